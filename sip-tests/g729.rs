//! G.729 by the system's libbcg729: a SIPp that speaks nothing else hears a tone, says it back, and is recorded.

use crate::{
    sipp::{caller, numbers, passes, scenario},
    support::{Server, read_wav},
};

#[test]
fn a_caller_that_speaks_g729_only_is_played_to_and_recorded() {
    let script = "call:answer()
        call:record{file = 'said', party_only = true}
        call:tone({600}, {seconds = 10})";
    let conf = format!("[media]\ncodecs = [\"PCMU\", \"G729\"]\n{}", numbers(&[("100", "a.lua")]));
    let server = Server::start(&conf, &[("a.lua", script)]);
    let folder = server.folder.path().to_owned();
    let file = scenario("g729_caller");
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "1", "-rtp_echo"];
    passes(caller(server.sip, &folder, "100", &arguments), &folder);
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["codec"], "G729", "libbcg729-0 is installed: {record:#}");
    let (channels, rate) = read_wav(&server.path("recordings/said.wav"));
    let middle = &channels[0][channels[0].len() / 3..channels[0].len() * 2 / 3];
    let crossings = middle.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    let hz = crossings as f64 / 2.0 * f64::from(rate) / middle.len() as f64;
    assert!((590.0..610.0).contains(&hz) && middle.iter().any(|sample| *sample > 2000), "{hz} Hz");
    server.wait_until_idle();
}
