//! PostgreSQL for tests, those of the real program included.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// A PostgreSQL of our own, on a free port.
pub struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
    programs: PathBuf,
}

/// A test cannot run here for the lack of something: it fails, unless the variable `LEAVE_OUT` names that.
pub fn left_out(what: &str) {
    let names = std::env::var("LEAVE_OUT").unwrap_or_default();
    assert!(names.split(',').any(|name| name.trim() == what), "no {what} here; LEAVE_OUT={what} leaves this test out");
    eprintln!("left out for the lack of {what}");
}

impl Postgres {
    /// None where it is not installed, and that may be so.
    pub fn start() -> Option<Postgres> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let Some(programs) = versions.filter_map(Result::ok).map(|one| one.path().join("bin")).max() else {
            left_out("postgresql");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let postgres = Postgres { folder, port, programs };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(postgres.folder.path(), mode).unwrap();
        // Nothing here is brought to the disk in haste: it is our program that is killed in these tests, not the machine,
        // and what the system was given it keeps.
        postgres.run("initdb", &["-D", "DATA", "-U", "tester", "-A", "trust", "-N"]);
        postgres.up();
        Some(postgres)
    }

    /// Start it again.
    pub fn up(&self) {
        let options = format!("-p {} -h 127.0.0.1 -k /tmp -F", self.port);
        self.run("pg_ctl", &["-D", "DATA", "-o", &options, "-l", "LOG", "-w", "start"]);
    }

    /// Stop it at once, as a crash of its own would.
    pub fn down(&self) {
        self.run("pg_ctl", &["-D", "DATA", "-m", "immediate", "-w", "stop"]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.runs(program, arguments), "{program} {arguments:?}");
    }

    /// PostgreSQL refuses to run as root. False: it failed.
    fn runs(&self, program: &str, arguments: &[&str]) -> bool {
        let at = self.folder.path().display().to_string();
        let arguments: Vec<String> = arguments
            .iter()
            .map(|one| one.replace("DATA", &format!("{at}/data")).replace("LOG", &format!("{at}/log")))
            .collect();
        let program = self.programs.join(program);
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let mut command = if root { Command::new("runuser") } else { Command::new(&program) };
        if root {
            command.args(["-u", "postgres", "--"]).arg(&program);
        }
        command.args(&arguments).current_dir("/tmp").stdout(Stdio::null()).status().unwrap().success()
    }

    /// Its address, as configurations have it.
    pub fn url(&self) -> String {
        format!("postgres://tester@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A test that failed may have stopped it already.
        let _ = self.runs("pg_ctl", &["-D", "DATA", "-m", "immediate", "-w", "stop"]);
    }
}
