//! Chromium, headless: a page of ours calls over secure WebSocket with the browser's own WebRTC (ICE, DTLS-SRTP).

use std::{path::Path, process::Command};

use crate::{
    support::{Process, Server},
    wires::certificates,
};

/// Chromium on the page, calling the server's secure WebSocket at `port`.
fn chromium(folder: &Path, port: u16) -> Process {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/sip-tests/browser.html");
    let mut command = Command::new("chromium");
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--enable-logging=stderr",
        "--ignore-certificate-errors",
        "--autoplay-policy=no-user-gesture-required",
        "--allow-loopback-in-peer-connection",
        "--use-fake-device-for-media-stream",
    ]);
    command.arg(format!("--user-data-dir={}", folder.display())).arg(format!("file://{page}#{port}"));
    Process::start(command)
}

#[test]
fn a_browser_hears_is_heard_presses_keys_and_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (_, own) = certificates(folder.path());
    let script = "call:answer()
        call:tone({600}, {seconds = 2})
        vars.digits = call:gather{max = 2, first_timeout = 30, timeout = 10}
        vars.ended = call:echo{stop_on = '#', limit = 60}";
    let conf = format!(
        "wss = 0\n[tls]\ncertificate = {own:?}\n[[number]]\nnumber = \"100\"\nscript = \"echo.lua\"\n"
    );
    let server = Server::start(&conf, &[("echo.lua", script)]);
    let browser = chromium(&folder.path().join("profile"), server.port("wss"));
    for step in ["answered", "connected", "hears 600", "may dial", "hears itself", "on hold", "resumed", "hung up"] {
        browser.wait_for(&format!("step: {step}"));
    }
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["vars"]["digits"], "42", "{record:#}");
    assert_eq!(record["vars"]["ended"], "key", "{record:#}");
    server.wait_until_idle();
}
