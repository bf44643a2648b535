//! Certificates of those who sign calls (STIR/SHAKEN), fetched from where the signature says.

use std::{io, path::PathBuf, thread, time::Duration};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{ACCEPT, USER_AGENT},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    address::{Closed, Url},
    http::{HttpError, ask, nothing, request},
};
use crate::switch::Input;

/// Longest certificate with its chain, in bytes.
const LONGEST: usize = 128 << 10;

/// Who may be asked, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long one may take to come.
    pub patience: Duration,
    /// Hosts that are asked, wherever they are; empty: every one with a public address.
    pub hosts: Vec<String>,
    /// PEM file: authorities of the web servers.
    pub trust: PathBuf,
    /// What we call ourselves.
    pub agent: String,
}

/// Start the thread that fetches. It ends when the sender of `jobs` is gone. Each address that comes is answered with
/// [`Input::Found`], once.
pub fn spawn(
    config: Config,
    mut jobs: mpsc::Receiver<String>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    // The switch never asks for more than a few at a time.
    crate::io::runs_alone("certificates", None, async move {
        let mut fetching = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                job = jobs.recv() => {
                    let Some(url) = job else { return };
                    let config = config.clone();
                    fetching.spawn(async move { (fetch(&config, &url).await, url) });
                }
                Some(Ok((result, url))) = fetching.join_next() => {
                    let _ = control.send(Input::Found { url, result }).await;
                }
            }
        }
    })
}

/// What lies at `url`, or why it cannot be had.
async fn fetch(config: &Config, url: &str) -> Result<Bytes, String> {
    let url = Url::parse(url).filter(|url| url.secure).ok_or("no https address that we understand")?;
    match timeout(config.patience, fetch_at(config, &url)).await {
        Ok(result) => result,
        Err(_) => Err(format!("it did not come within {} ms", config.patience.as_millis())),
    }
}

async fn fetch_at(config: &Config, url: &Url) -> Result<Bytes, String> {
    let at = url.places(&config.hosts).await.map_err(|closed| match closed {
        Closed::Unnamed => format!("{} is not among the hosts that are asked", url.host),
        Closed::Unknown(error) => error.to_string(),
        Closed::Private => format!("{} has no public address", url.host),
    })?;
    let told = |error: HttpError| error.to_string();
    let request = request(Method::GET, url).header(USER_AGENT, &config.agent).header(ACCEPT, "*/*").body(nothing());
    let answer = ask((url, &at[..]), &config.trust, request.map_err(|error| told(error.into()))?, Some(LONGEST)).await;
    let answer = answer.map_err(told)?;
    // A redirection is not followed: the signature names the place.
    match answer.status() {
        StatusCode::OK => Ok(Bytes::from(answer.into_body())),
        other => Err(format!("the server says {}", other.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::SocketAddr, sync::Arc};

    use rustls::pki_types::PrivateKeyDer;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A web server on loopback that answers once, and the file with its own certificate.
    async fn server(answer: &'static str) -> (SocketAddr, tempfile::NamedTempFile) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let trust = tempfile::NamedTempFile::new().unwrap();
        fs::write(trust.path(), cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            let mut asked = vec![0; 1000];
            let length = stream.read(&mut asked).await.unwrap();
            assert!(asked[..length].starts_with(b"GET /shaken.pem HTTP/1.1\r\nHost: localhost:"));
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        (at, trust)
    }

    fn config(hosts: &[&str], trust: PathBuf) -> Config {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Config { patience: Duration::from_secs(5), hosts, trust, agent: "Switchhook".into() }
    }

    #[tokio::test]
    async fn a_certificate_is_fetched_over_tls_from_a_host_that_is_named() {
        let (at, trust) = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
        let url = format!("https://localhost:{}/shaken.pem", at.port());
        let config = config(&["localhost"], trust.path().into());
        assert_eq!(fetch(&config, &url).await, Ok(Bytes::from_static(b"hello")));
    }

    #[tokio::test]
    async fn a_server_of_another_authority_is_not_believed() {
        let (at, _trust) = server("").await;
        let (_, other) = server("").await;
        let url = format!("https://localhost:{}/shaken.pem", at.port());
        let told = fetch(&config(&["localhost"], other.path().into()), &url).await.unwrap_err();
        assert!(told.contains("certificate"), "{told}");
    }

    #[tokio::test]
    async fn only_200_will_do() {
        let (at, trust) = server("HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n").await;
        let url = format!("https://localhost:{}/shaken.pem", at.port());
        let told = fetch(&config(&["localhost"], trust.path().into()), &url).await.unwrap_err();
        assert_eq!(told, "the server says 302");
    }

    #[tokio::test]
    async fn a_strangers_address_never_leads_into_our_own_network() {
        let (at, trust) = server("").await;
        let url = format!("https://localhost:{}/shaken.pem", at.port());
        let told = fetch(&config(&[], trust.path().into()), &url).await.unwrap_err();
        assert_eq!(told, "localhost has no public address");
        let told = fetch(&config(&["cr.example"], trust.path().into()), &url).await.unwrap_err();
        assert_eq!(told, "localhost is not among the hosts that are asked");
    }
}
