//! Chromium, headless: a page of ours calls over secure WebSocket with the browser's own WebRTC (ICE, DTLS-SRTP).

use std::{path::Path, process::Command};

use crate::{
    baresip::{Phone, heard},
    command_line::{seconds_of, tone},
    support::{Process, Server, breathe, read_wav},
    wires::certificates,
};

const EXTENSION: &str = include_str!("../scripts/extension.lua");

/// Chromium on the page; `what`: the port of the server's secure WebSocket, and `#answers` where it is to be called.
fn chromium(folder: &Path, what: &str) -> Process {
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
    command.arg(format!("--user-data-dir={}", folder.display())).arg(format!("file://{page}#{what}"));
    Process::start(command)
}

#[test]
fn a_browser_hears_is_heard_presses_keys_holds_and_restarts_ice() {
    calls_and_comes_back("", "PCMU");
}

#[test]
fn a_browser_that_speaks_opus_hears_is_heard_presses_keys_holds_and_restarts_ice() {
    calls_and_comes_back("#opus", "opus");
}

fn calls_and_comes_back(role: &str, codec: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (_, own) = certificates(folder.path());
    let script = "call:answer()
        call:tone({600}, {seconds = 2})
        vars.digits = call:gather{max = 2, first_timeout = 30, timeout = 10}
        vars.ended = call:echo{stop_on = '#', limit = 60}";
    let conf = format!("wss = 0\n[tls]\ncertificate = {own:?}\n[[number]]\nnumber = \"100\"\nscript = \"echo.lua\"\n");
    let server = Server::start(&conf, &[("echo.lua", script)]);
    let browser = chromium(&folder.path().join("profile"), &format!("{}{role}", server.port("wss")));
    let talk = ["answered", "connected", "hears 600", "may dial", "hears itself", "on hold", "resumed"];
    for step in talk.into_iter().chain(["another name", "restarted", "hung up"]) {
        browser.wait_for(&format!("step: {step}"));
    }
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["vars"]["digits"], "42", "{record:#}");
    assert_eq!(record["vars"]["ended"], "key", "{record:#}");
    assert_eq!(record["codec"], codec, "{record:#}");
    server.wait_until_idle();
}

#[test]
fn a_browser_that_registered_is_called_and_talks_to_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let (_, own) = certificates(folder.path());
    let conf = format!(
        "wss = 0\n[tls]\ncertificate = {own:?}\n[[number]]\nnumber = \"200\"\nscript = \"dial.lua\"\n\
         [phones]\nguests = true\nalgorithms = [\"SHA-256\"]\n[[phone]]\nuser = \"page\"\nnumber = \"201\"\npassword = \"secret\"\n"
    );
    let dial = "call:answer() local peer, why = call:dial{'201', timeout = 30} if not peer then error(why) end
        call:bridge(peer)";
    let server = Server::start(&conf, &[("dial.lua", dial), ("extension.lua", EXTENSION)]);
    let browser = chromium(&folder.path().join("profile"), &format!("{}#answers", server.port("wss")));
    browser.wait_for("step: registered");
    let speaks = folder.path().join("speak.wav");
    tone(&speaks, 600.0, 8000, 120);
    let phone_folder = tempfile::tempdir().unwrap();
    let mut phone = Phone::with_account(phone_folder.path(), &speaks, "<sip:baresip@elsewhere.invalid>;regint=0");
    phone.dial(&format!("sip:200@{}", server.sip));
    browser.wait_for("step: hears 600");
    (0..50).for_each(|_| breathe(server.sip));
    phone.tell("hangup", "");
    browser.wait_for("step: hung up");
    phone.wait_for_event("CALL_CLOSED");
    drop(phone);
    let (channels, _) = read_wav(&heard(phone_folder.path()));
    let browsers = seconds_of(&channels[0], 1000.0);
    assert!(browsers > 0.5, "{browsers} s of the browser's tone");
    server.wait_until_idle();
}
