use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::verbs;

/// A quarter of a second at 16,000 Hz.
fn wave() -> Vec<u8> {
    let mut bytes = crate::audio::wav::header(1, 16_000, 4000).to_vec();
    bytes.extend((0..4000_i16).flat_map(|n| (n % 100 * 100).to_le_bytes()));
    bytes
}

fn ok(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A web server on loopback: gives one answer after another, the last one for ever; counts the requests.
async fn server(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a.wav", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4000];
            let length = stream.read(&mut asked).await.unwrap();
            let at = counted.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let known = String::from_utf8_lossy(&asked[..length]).contains("If-None-Match: \"1\"");
            let same = b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=0\r\n\r\n".to_vec();
            let tagged = answers[at].windows(9).any(|nine| nine == b"ETag: \"1\"");
            let answer = if known && tagged { same } else { answers[at].clone() };
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    });
    (url, count)
}

fn config(hosts: &[&str]) -> Config {
    Config {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        patience: Duration::from_secs(5),
        largest: 100_000,
        cache: 1 << 20,
        keep: Duration::from_secs(60),
        keep_most: Duration::from_secs(3600),
        trust: PathBuf::from("/none.pem"),
        agent: "Switchhook".into(),
    }
}

/// A running thread, and what it tells.
struct Bench {
    jobs: mpsc::Sender<FetchSound>,
    told: mpsc::Receiver<Input>,
    asked: u64,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let (jobs, inbox) = mpsc::channel(100);
        let (control, told) = mpsc::channel(100);
        spawn(config, Clock::start(), inbox, control).unwrap();
        Bench { jobs, told, asked: 0 }
    }

    async fn ask(&mut self, url: &str, rate: Rate) {
        self.asked += 1;
        let job = FetchSound { load: LoadId(self.asked), url: url.to_owned(), rate };
        self.jobs.send(job).await.unwrap();
    }

    async fn answer(&mut self) -> Result<Arc<Pcm>, NoSound> {
        match self.told.recv().await {
            Some(Input::Loaded { result, .. }) => result,
            other => panic!("{other:?}"),
        }
    }

    async fn get(&mut self, url: &str) -> Result<Arc<Pcm>, NoSound> {
        self.ask(url, Rate::Wide).await;
        self.answer().await
    }

    async fn fault(&mut self, url: &str) -> (SoundFault, String) {
        let no = self.get(url).await.unwrap_err();
        (no.fault, no.text)
    }
}

#[tokio::test]
async fn a_sound_is_fetched_once_for_all_who_ask_at_the_rate_that_they_can_use() {
    let (url, count) = server(vec![ok("", &wave())]).await;
    let mut bench = Bench::new(config(&["127.0.0.1"]));
    for _ in 0..5 {
        bench.ask(&url, Rate::Full).await;
    }
    for _ in 0..5 {
        let pcm = bench.answer().await.unwrap();
        assert_eq!((pcm.rate, pcm.samples.len()), (Rate::Wide, 4000), "it has no more than that");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
    bench.ask(&url, Rate::Narrow).await;
    assert_eq!(bench.answer().await.unwrap().samples.len(), 2000);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_old_is_asked_for_by_its_version_and_played_on_while_the_server_is_down() {
    let tagged = ok("ETag: \"1\"\r\nCache-Control: max-age=0\r\n", &wave());
    let broken = b"HTTP/1.1 503 Busy\r\n\r\n".to_vec();
    let gone = b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec();
    let (url, count) = server(vec![tagged.clone(), tagged, broken, gone]).await;
    let mut bench = Bench::new(config(&["127.0.0.1"]));
    let first = bench.get(&url).await.unwrap();
    assert!(Arc::ptr_eq(&first, &bench.get(&url).await.unwrap()), "304");
    assert!(Arc::ptr_eq(&first, &bench.get(&url).await.unwrap()), "503");
    assert_eq!(bench.fault(&url).await, (SoundFault::Missing, format!("{url}: the server says 404")));
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn each_way_to_fail_has_its_word() {
    let mut bench = Bench::new(config(&["127.0.0.1"]));
    let (large, _) = server(vec![ok("", &[0; 100_001])]).await;
    assert_eq!(bench.fault(&large).await.0, SoundFault::TooLarge);
    let (text, _) = server(vec![ok("", b"<html>Sign in</html>")]).await;
    assert_eq!(bench.fault(&text).await.0, SoundFault::Format);
    let (busy, _) = server(vec![b"HTTP/1.1 500 No\r\n\r\n".to_vec()]).await;
    assert_eq!(bench.fault(&busy).await.0, SoundFault::Status(500));
    let (ssh, _) = server(vec![b"SSH-2.0-x\r\n".to_vec()]).await;
    assert_eq!(bench.fault(&ssh).await.0, SoundFault::Unreachable);
    let (circle, count) = server(vec![b"HTTP/1.1 302 Found\r\nLocation: /b.wav\r\n\r\n".to_vec()]).await;
    assert_eq!(bench.fault(&circle).await.0, SoundFault::Status(302));
    assert_eq!(count.load(Ordering::SeqCst), REDIRECTS + 1);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(bench.fault(&format!("http://{closed}/x")).await.0, SoundFault::Unreachable);
    assert_eq!(bench.fault("http://other.example/x").await.0, SoundFault::Denied);
    assert_eq!(bench.fault("http://a b/x").await.0, SoundFault::Denied);
}

#[tokio::test]
async fn a_redirection_is_followed_but_never_to_a_host_that_may_not_be_asked() {
    let (there, _) = server(vec![ok("", &wave())]).await;
    let location = format!("HTTP/1.1 302 Found\r\nLocation: {there}\r\n\r\n");
    let (url, _) = server(vec![location.into_bytes()]).await;
    let mut bench = Bench::new(config(&["127.0.0.1"]));
    assert_eq!(bench.get(&url).await.unwrap().samples.len(), 4000);
    let inside = there.replace("127.0.0.1", "127.0.0.2");
    let (url, _) = server(vec![format!("HTTP/1.1 302 Found\r\nLocation: {inside}\r\n\r\n").into_bytes()]).await;
    assert_eq!(bench.fault(&url).await.0, SoundFault::Denied);
}

#[tokio::test]
async fn without_named_hosts_nothing_leads_into_our_own_network() {
    let (url, count) = server(vec![ok("", &wave())]).await;
    let mut bench = Bench::new(config(&[]));
    let (fault, why) = bench.fault(&url).await;
    assert_eq!((fault, why.contains("no public address")), (SoundFault::Denied, true), "{why}");
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { patience: Duration::from_millis(100), ..config(&["127.0.0.1"]) };
    let url = format!("http://{}/x", silent.local_addr().unwrap());
    assert_eq!(Bench::new(config).fault(&url).await.0, SoundFault::Timeout);
}

#[tokio::test]
async fn a_sound_comes_over_tls_from_a_server_that_proves_who_it_is() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let trust = tempfile::NamedTempFile::new().unwrap();
    fs::write(trust.path(), cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/a.wav", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = vec![0; 4000];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&ok("", &wave())).await;
            let _ = stream.shutdown().await;
        }
    });
    let trusting = Config { trust: trust.path().into(), ..config(&["localhost"]) };
    assert_eq!(Bench::new(trusting).get(&url).await.unwrap().samples.len(), 4000);
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(trust.path(), other.cert.pem()).unwrap();
    let doubting = Config { trust: trust.path().into(), ..config(&["localhost"]) };
    assert_eq!(Bench::new(doubting).fault(&url).await.0, SoundFault::Unreachable);
}

#[tokio::test]
async fn a_play_list_is_asked_for_each_time_and_its_entries_stand_beside_it() {
    let (url, count) =
        server(vec![ok("", b"#EXTM3U\nb.wav\n/c.wav\n"), b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()]).await;
    let list = url.replace("/a.wav", "/music/all.m3u?x=1");
    let mut bench = Bench::new(config(&["127.0.0.1"]));
    let entries = |told: Option<Input>| match told {
        Some(Input::Listed { result, .. }) => result,
        other => panic!("{other:?}"),
    };
    bench.ask(&list, Rate::Wide).await;
    let found = entries(bench.told.recv().await).unwrap();
    let at = |path: &str| verbs::Sound::Web(url.replace("/a.wav", path));
    assert_eq!(found, [at("/music/b.wav"), at("/c.wav")]);
    bench.ask(&list, Rate::Wide).await;
    assert_eq!(entries(bench.told.recv().await).unwrap_err().fault, SoundFault::Missing);
    assert_eq!(count.load(Ordering::SeqCst), 2);
    let mut strict = Bench::new(config(&[]));
    strict.ask(&list, Rate::Wide).await;
    assert_eq!(entries(strict.told.recv().await).unwrap_err().fault, SoundFault::Denied);
}
