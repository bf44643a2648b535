//! A phone that is gone: no audio, no reports, no BYE.

use crate::{
    sipp::{caller, scenario},
    support::Server,
};

#[test]
fn a_phone_that_is_gone_is_hung_up_after_its_time_and_one_that_talks_is_not() {
    let conf =
        "[media]\nsilence_timeout_s = 1\nrtp_timeout_s = 2\n[[number]]\nnumber = \"100\"\nscript = \"echo.lua\"\n";
    let server = Server::start(conf, &[("echo.lua", "call:answer() call:echo{limit = 60}")]);
    let folder = server.folder.path().to_owned();
    std::fs::write(folder.join("audio.pcmu"), vec![0x31; 8000 * 4]).unwrap();
    let file = |name: &str| scenario(name).to_str().unwrap().to_owned();
    let gone = caller(server.sip, &folder, "100", &["-sf", &file("answered"), "-m", "1"]);
    let talks = caller(server.sip, &folder, "100", &["-sf", &file("talk"), "-m", "1"]);
    for process in [gone, talks] {
        let (status, said) = process.finish();
        assert!(status.success(), "{said}");
    }
    let records = server.wait_for_records(2);
    let ended = |reason: &str| records.iter().find(|record| record["end_reason"] == reason);
    let gone = ended("telephony_error").unwrap_or_else(|| panic!("{records:#?}"));
    assert_eq!((&gone["status"], &gone["end_detail"]), (&"completed".into(), &"rtp_timeout".into()));
    let error = gone["error"].as_str().unwrap();
    assert!(
        error.starts_with("neither audio nor reports came any more: no packet came; SDP says 127.0.0.1:"),
        "{error}"
    );
    let seconds = gone["talk_seconds"].as_f64().unwrap();
    assert!((1.9..4.0).contains(&seconds), "{seconds}");
    let talked = ended("caller_hangup").unwrap_or_else(|| panic!("{records:#?}"));
    assert!(talked["end_detail"].is_null());
    assert!(talked["talk_seconds"].as_f64().unwrap() > 3.0, "{talked:#}");
}
