//! What two ends of an encrypted stream call its ciphers and keys (SRTP: RFC 3711, RFC 6188, RFC 7714).

/// How packets are encrypted and proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// AEAD with AES-256-GCM (RFC 7714).
    AeadAes256Gcm,
    /// AEAD with AES-128-GCM (RFC 7714).
    AeadAes128Gcm,
    /// AES-256 in counter mode, 80 bits of proof (RFC 6188).
    AesCm256Sha1_80,
    /// AES-256 in counter mode, 32 bits of proof (RFC 6188).
    AesCm256Sha1_32,
    /// AES-128 in counter mode, 80 bits of proof: what everybody has (RFC 4568 section 6.2.1).
    AesCm128Sha1_80,
    /// AES-128 in counter mode, 32 bits of proof (RFC 4568 section 6.2.2).
    AesCm128Sha1_32,
}

impl Suite {
    /// All there are, dearest first.
    pub const ALL: [Suite; 6] = [
        Suite::AeadAes256Gcm,
        Suite::AeadAes128Gcm,
        Suite::AesCm256Sha1_80,
        Suite::AesCm128Sha1_80,
        Suite::AesCm256Sha1_32,
        Suite::AesCm128Sha1_32,
    ];

    /// As `a=crypto` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Suite::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Suite::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Suite::AesCm256Sha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Suite::AesCm256Sha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Suite::AesCm128Sha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Suite::AesCm128Sha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite that a name of `a=crypto` means.
    pub fn from_name(name: &str) -> Option<Suite> {
        Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of the master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AesCm256Sha1_80 | Suite::AesCm256Sha1_32 => 32,
            Suite::AeadAes128Gcm | Suite::AesCm128Sha1_80 | Suite::AesCm128Sha1_32 => 16,
        }
    }

    /// Bytes of the master salt.
    pub const fn salt_bytes(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    /// True for AES-GCM.
    pub const fn is_gcm(self) -> bool {
        matches!(self, Suite::AeadAes256Gcm | Suite::AeadAes128Gcm)
    }

    /// Bytes of proof at the end of an RTP packet. RTCP has 16 (GCM) or 10.
    pub const fn tag_bytes(self) -> usize {
        match self {
            Suite::AeadAes256Gcm | Suite::AeadAes128Gcm => 16,
            Suite::AesCm256Sha1_80 | Suite::AesCm128Sha1_80 => 10,
            Suite::AesCm256Sha1_32 | Suite::AesCm128Sha1_32 => 4,
        }
    }
}

/// The longest master key with its salt, in bytes.
const LONGEST: usize = 46;

/// A master key and its salt, for one direction. Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    suite: Suite,
    bytes: [u8; LONGEST],
}

impl Key {
    /// `bytes` are the key and then the salt, as `a=crypto` has them. `None`: not as many as the suite wants.
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Key> {
        let wanted = suite.key_bytes() + suite.salt_bytes();
        let mut kept = [0; LONGEST];
        kept[..wanted].copy_from_slice(bytes.get(..wanted).filter(|_| bytes.len() == wanted)?);
        Some(Key { suite, bytes: kept })
    }

    /// What it is for.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The master key.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.suite.key_bytes()]
    }

    /// The master salt.
    pub fn salt(&self) -> &[u8] {
        &self.bytes[self.suite.key_bytes()..self.suite.key_bytes() + self.suite.salt_bytes()]
    }

    /// The key and then the salt.
    pub fn both(&self) -> &[u8] {
        &self.bytes[..self.suite.key_bytes() + self.suite.salt_bytes()]
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.suite.name())
    }
}

/// What ICE messages are proved with (RFC 8445 section 5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceName {
    /// `a=ice-ufrag`.
    pub user: String,
    /// `a=ice-pwd`.
    pub password: String,
}

/// The hash of a certificate, as `a=fingerprint` names it (RFC 8122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// With which function.
    pub hash: Hash,
    /// 32, 48 or 64 bytes.
    pub bytes: Vec<u8>,
}

/// Hash functions of fingerprints. MD5 and SHA-1 can be forged and are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// What everybody uses.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl Hash {
    /// All there are.
    pub const ALL: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

    /// As `a=fingerprint` says it.
    pub const fn name(self) -> &'static str {
        match self {
            Hash::Sha256 => "sha-256",
            Hash::Sha384 => "sha-384",
            Hash::Sha512 => "sha-512",
        }
    }

    /// How many bytes it gives.
    pub const fn bytes(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }
}
