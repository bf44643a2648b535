//! `switchhook demo`: the first success. A server on free ports, a phone that calls its menu, presses keys and listens.

use std::{net::Ipv4Addr, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::Args;

use super::phone::Call;
use crate::{
    conf::{Conf, LogFormat},
    server::{self, Server, Wishes},
};

/// Start a server, call its menu, press keys, and tell what was heard.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where to save what was heard
    #[arg(long, value_name = "FILE", default_value = "heard.wav")]
    record: PathBuf,
    /// Keys to press in the menu; a comma waits for a second
    #[arg(long, value_name = "KEYS", default_value = ",,2")]
    digits: String,
}

impl Demo {
    pub(super) fn run(&self) -> ExitCode {
        server::log_to_stderr("warn", LogFormat::Text);
        match self.play() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(fault) => {
                eprintln!("switchhook: {fault}");
                ExitCode::from(super::EXIT_MISUSE)
            }
        }
    }

    fn play(&self) -> Result<bool, String> {
        let home = std::env::temp_dir().join(format!("switchhook-demo-{}", std::process::id()));
        let mut conf = Conf::load(None).map_err(|fault| fault.to_string())?;
        conf.interfaces.truncate(1);
        conf.interfaces[0].bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        conf.sip.max_calls = 16;
        conf.media.max_ports = 16;
        conf.script_pool = 2;
        for folder in [
            &mut conf.folders.scripts,
            &mut conf.folders.prompts,
            &mut conf.folders.recordings,
            &mut conf.folders.records,
            &mut conf.folders.state,
        ] {
            *folder = home.join(&*folder);
        }
        server::bring_scripts(&conf.folders).map_err(|error| error.to_string())?;
        let server = Server::start(&conf, Wishes::default()).map_err(|error| error.to_string())?;
        let address = server.addresses()[0];
        println!("1. a server listens on {address}; number 100 is scripts/menu.lua");
        println!("2. a phone calls sip:100@{address}, listens, and presses {}", self.digits);
        let call = Call {
            uri: format!("sip:100@{address}"),
            play: None,
            digits: Some(self.digits.clone()),
            record: Some(self.record.clone()),
            wait: 6.0,
            ring: 10.0,
            from: "demo".into(),
            bind: Some(Ipv4Addr::LOCALHOST.into()),
            messages: false,
        };
        let outcome = call.call()?;
        println!("3. what the phone heard:");
        call.tell(&outcome);
        server.stop();
        println!("4. what the server wrote down:");
        for line in server::read_records(&home.join("records")) {
            println!("   {line}");
        }
        let _ = std::fs::remove_dir_all(&home);
        println!("Next: `switchhook run`, and dial 100 with any SIP phone; the flows are Lua files in scripts/.");
        Ok(outcome.answered && outcome.heard.is_some_and(|(samples, _)| !samples.is_empty()))
    }
}
