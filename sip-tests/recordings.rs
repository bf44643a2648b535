//! Recordings that other people's programs can play, also when the server was killed while it wrote them.

use std::process::Command;

use crate::{
    command_line::run,
    support::{Server, signal},
};

/// Seconds of sound that ffmpeg finds in a file.
fn seconds(file: &std::path::Path) -> f64 {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i", file.to_str().unwrap(), "-f", "s16le", "-ac", "1", "-ar", "8000", "-"])
        .output()
        .expect("ffmpeg is installed: apt install ffmpeg");
    assert!(decoded.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&decoded.stderr));
    decoded.stdout.len() as f64 / 16_000.0
}

#[test]
fn ffmpeg_plays_all_three_formats_and_what_a_killed_server_left_of_them() {
    for (format, killed) in
        [("wav", false), ("mp3", false), ("ogg", false), ("wav", true), ("mp3", true), ("ogg", true)]
    {
        let script = format!(
            "call:answer()
            call:record{{file = 'a', format = '{format}', stereo = true}}
            call:tone({{600}}, {{seconds = 3}})
            log('three seconds')
            call:tone({{600}}, {{seconds = {}}})",
            if killed { 30 } else { 1 }
        );
        let server = Server::start("[[number]]\nnumber = \"100\"\nscript = \"a.lua\"\n", &[("a.lua", &script)]);
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sip:100@{}", server.sip);
        let file = server.path(&format!("recordings/a.{format}"));
        if killed {
            let phone = std::thread::spawn(move || run(folder.path(), &["call", &uri]));
            server.wait_for("three seconds");
            signal(server.pid(), "KILL");
            phone.join().unwrap();
            let length = seconds(&file);
            assert!((1.9..=4.0).contains(&length), "{format}: {length} s after the kill");
        } else {
            run(folder.path(), &["call", &uri]);
            assert_eq!(server.wait_for_records(1)[0]["recordings"][0], format!("a.{format}"));
            let length = seconds(&file);
            assert!((3.9..=4.4).contains(&length), "{format}: {length} s");
        }
    }
}
