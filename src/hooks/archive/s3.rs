//! Signing requests to S3-compatible storage: AWS Signature Version 4, with the body's hash.

use std::time::Duration;

use ring::{digest, hmac};

use crate::time::civil;

/// Who signs, and for where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Key {
    /// The access key's public half.
    pub id: String,
    /// Its secret half.
    pub secret: String,
    /// Of the bucket; servers other than Amazon's mostly take any.
    pub region: String,
}

/// What is signed, beside the method.
pub(super) struct Signed<'a> {
    /// Encoded, begins with a slash.
    pub path: &'a str,
    /// Names in small letters and values, in the order of the names.
    pub headers: &'a [(&'a str, &'a str)],
    /// Of the body, as hexadecimal digits.
    pub hash: &'a str,
}

/// The value of `Authorization` for a request at `time`, which is also the value of `x-amz-date`.
pub(super) fn authorization(key: &S3Key, method: &str, what: &Signed<'_>, time: &str) -> String {
    let names = what.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let headers: String = what.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let request = format!("{method}\n{}\n\n{headers}\n{names}\n{}", what.path, what.hash);
    let day = time.get(..8).unwrap_or(time);
    let scope = format!("{day}/{}/s3/aws4_request", key.region);
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref())
    );
    let mut chain = format!("AWS4{}", key.secret).into_bytes();
    for step in [day, &key.region, "s3", "aws4_request", &text] {
        chain = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &chain), step.as_bytes()).as_ref().to_vec();
    }
    let (id, signature) = (&key.id, hex(&chain));
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope},SignedHeaders={names},Signature={signature}")
}

/// `YYYYMMDDTHHMMSSZ`, from the time since 1970.
pub(super) fn timestamp(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (year, month, day) = civil(seconds);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// A path with all but letters, digits, `-._~` and slashes as `%XX`.
pub(super) fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of "Authenticating Requests: Using the Authorization Header" in Amazon's S3 API reference.
    #[test]
    fn the_examples_of_the_s3_reference_are_signed_alike() {
        let key = S3Key {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        };
        let (host, time) = ("examplebucket.s3.amazonaws.com", "20130524T000000Z");
        let hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
        let headers = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("host", host),
            ("x-amz-content-sha256", hash),
            ("x-amz-date", time),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        let path = encoded("/test$file.text");
        let signed = authorization(&key, "PUT", &Signed { path: &path, headers: &headers, hash }, time);
        assert!(
            signed.ends_with("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
            "{signed}"
        );
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [("host", host), ("range", "bytes=0-9"), ("x-amz-content-sha256", hash), ("x-amz-date", time)];
        let signed = authorization(&key, "GET", &Signed { path: "/test.txt", headers: &headers, hash }, time);
        assert!(
            signed.ends_with("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            "{signed}"
        );
        assert_eq!(timestamp(Duration::from_secs(1_369_353_600)), time);
    }
}
