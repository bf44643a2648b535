//! TLS 1.2 and 1.3: certificates read from files, read again when they change, and what peers have to show.

use std::{
    fmt::Display,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};

use super::sni::BySni;
use crate::io::trust::{Believed, Own, authorities, client};

/// Which certificates, and who has to show one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// Our certificate and its chain, PEM; absent: nobody can call us over TLS.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Certificates for other names, each PEM with its key: shown to clients that ask for these names.
    pub more: Vec<PathBuf>,
    /// The authorities that sign peers' certificates, PEM.
    pub trust: PathBuf,
    /// Check the certificates of servers that we call. False: encrypted, but to whom is not known.
    pub verify: bool,
    /// What clients have to show.
    pub clients: ClientCertificates,
}

/// Whether those who call us have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They are asked; one that is shown must be good.
    Asked,
    /// Without a good one there is no connection.
    Required,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {}: {what}", path.display())]
pub struct TlsError {
    /// The key that names it.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
}

/// Both sides, ready for use.
pub struct Tls {
    /// For those who call us.
    pub server: Option<Arc<ServerConfig>>,
    /// For those whom we call.
    pub client: Arc<ClientConfig>,
    stamps: Vec<Stamp>,
}

/// By this a changed file is told: when it was written, its length, its place on the disk.
type Stamp = Option<(i64, i64, u64, u64)>;

impl Tls {
    /// Read all files.
    pub fn load(config: &TlsConfig) -> Result<Tls, TlsError> {
        // Before reading: a change in between is seen the next time.
        let stamps = stamps(config);
        let provider = Arc::new(ring::default_provider());
        let own = own_certificate(config)?;
        let roots = Arc::new(roots(config)?);
        let server = own.as_ref().map(|own| server(config, &provider, &roots, own)).transpose()?;
        let whom = if config.verify { Believed::Signed(roots) } else { Believed::Anyone };
        let path = config.certificate.as_deref().unwrap_or(Path::new(""));
        let client = client(whom, own).map_err(|error| fault("tls.certificate", path, error))?;
        let client = Arc::new(client);
        Ok(Tls { server, client, stamps })
    }

    /// True where a file is not what it was when it was read.
    pub fn is_stale(&self, config: &TlsConfig) -> bool {
        self.stamps != stamps(config)
    }
}

/// Whom we mean to reach: a name to look for in the certificate, else the address itself (RFC 5922 section 7.1).
pub fn server_name(name: Option<&str>, address: IpAddr) -> ServerName<'static> {
    let named = name.and_then(|name| ServerName::try_from(name.trim_end_matches('.').to_owned()).ok());
    named.unwrap_or(ServerName::IpAddress(address.into()))
}

fn fault(key: &'static str, path: &Path, what: impl Display) -> TlsError {
    TlsError { key, path: path.to_owned(), what: what.to_string() }
}

fn own_certificate(config: &TlsConfig) -> Result<Option<Own>, TlsError> {
    let Some(path) = &config.certificate else { return Ok(None) };
    read("tls.certificate", path, config.key.as_deref()).map(Some)
}

/// A certificate and its chain; the key is in the same file where it has none of its own.
fn read(name: &'static str, path: &Path, key: Option<&Path>) -> Result<Own, TlsError> {
    let failed = |what: &dyn Display| fault(name, path, what);
    let text = fs::read(path).map_err(|error| failed(&error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| failed(&error))?;
    if chain.is_empty() {
        return Err(failed(&"no certificate in it; allowed: a PEM file"));
    }
    let (name, key_path) = key.map_or((name, path), |key| ("tls.key", key));
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| fault(name, key_path, error))?;
    Ok((chain, key))
}

/// A file that is not there means that nobody is trusted: that is told when it matters.
fn roots(config: &TlsConfig) -> Result<RootCertStore, TlsError> {
    match fs::read(&config.trust) {
        Ok(text) => Ok(authorities(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.clients == ClientCertificates::Off => {
            tracing::info!(file = %config.trust.display(), "tls.trust is not there: no server is trusted over TLS");
            Ok(RootCertStore::empty())
        }
        Err(error) => Err(fault("tls.trust", &config.trust, error)),
    }
}

fn server(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    own: &Own,
) -> Result<Arc<ServerConfig>, TlsError> {
    let path = config.certificate.as_deref().unwrap_or(Path::new(""));
    let verifier = || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let verifier = match config.clients {
        ClientCertificates::Off => Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Asked => verifier().allow_unauthenticated().build(),
        ClientCertificates::Required => verifier().build(),
    };
    let verifier = verifier.map_err(|error| fault("tls.trust", &config.trust, error))?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| fault("tls.certificate", path, error))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certificates(config, provider, path, own)?));
    Ok(Arc::new(server))
}

fn certificates(
    config: &TlsConfig,
    provider: &CryptoProvider,
    path: &Path,
    (chain, key): &Own,
) -> Result<BySni, TlsError> {
    let first = CertifiedKey::from_der(chain.clone(), key.clone_key(), provider);
    let first = first.map_err(|error| fault("tls.certificate", path, error))?;
    let one = |path: &PathBuf| {
        let (chain, key) = read("tls.more", path, None)?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| fault("tls.more", path, error))
    };
    Ok(BySni::new(first, config.more.iter().map(one).collect::<Result<_, _>>()?))
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let own = [config.certificate.as_ref(), config.key.as_ref(), Some(&config.trust)];
    let files = own.into_iter().flatten().chain(&config.more);
    let stamp = |path: &PathBuf| {
        let data = fs::metadata(path).ok()?;
        Some((data.mtime(), data.mtime_nsec(), data.len(), data.ino()))
    };
    files.map(stamp).collect()
}
