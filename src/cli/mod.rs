//! The command line: what each command does, and what it prints.

mod api;
mod ask;
mod demo;
mod erase;
mod keys;
mod ladder;
mod phone;
mod store;
mod waveform;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    conf::{Conf, LogFormat},
    io,
    server::{self, Server},
};

/// What went wrong with the configuration or the start.
const EXIT_MISUSE: u8 = 2;

/// A SIP/RTP media server with scripting.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Examples:
  switchhook demo                                 a call from beginning to end, without a phone
  switchhook run                                  a server on the defaults; dial 100 at this machine
  switchhook run --conf conf/switchhook.toml      a server as configured
  switchhook check --conf conf/switchhook.toml    is the configuration right, do the scripts compile?
  switchhook call sip:100@127.0.0.1 --digits 12#  call somebody, press keys, see the SIP ladder"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the server, and run until it is told to stop (SIGTERM, Ctrl-C).
    Run(ConfFile),
    /// Check configuration and scripts without starting anything.
    Check(ConfFile),
    /// Call a SIP address from the command line: a phone without a handset.
    Call(phone::Call),
    #[command(flatten)]
    Api(api::Verb),
    /// Make a key to the API of the server with this configuration, and print it.
    Key {
        #[command(flatten)]
        file: ConfFile,
        #[command(flatten)]
        new: keys::NewKey,
    },
    /// Keys to the API: list them, make one, take one back.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Let somebody log in to the API of the server with this configuration: make a password, and print it.
    Password {
        #[command(flatten)]
        file: ConfFile,
        #[command(flatten)]
        new: keys::NewPassword,
    },
    /// Copy all that is kept (the database, what scripts keep, where phones are) into one file; the server may run.
    Backup(store::Backup),
    /// Bring back what was copied with `backup`, into the database of this configuration; the server must not run.
    Restore(store::Restore),
    /// Erase all recordings of calls from or to a number.
    Erase(erase::Erase),
    /// Start a server, call its menu, press keys, and tell what was heard.
    Demo(demo::Demo),
}

#[derive(Debug, clap::Args)]
struct ConfFile {
    /// Configuration, laid over the defaults. Without it, conf/switchhook.toml is read where there is one.
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
}

impl ConfFile {
    fn load(&self) -> Result<Conf, String> {
        let usual = PathBuf::from("conf/switchhook.toml");
        let file = self.conf.clone().or_else(|| usual.exists().then_some(usual));
        Conf::load(file.as_deref()).map_err(|fault| fault.to_string())
    }
}

/// Do what the command line says.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Verb::Run(file) => file.load().and_then(|conf| run_server(conf, &file)),
        Verb::Check(file) => file.load().and_then(|conf| check(&conf)),
        Verb::Api(verb) => verb.run(),
        Verb::Key { file, new } => file.load().and_then(|conf| new.run(&conf)),
        Verb::Keys(keys) => keys.run(),
        Verb::Backup(backup) => backup.file.load().and_then(|conf| backup.run(&conf)),
        Verb::Restore(restore) => restore.file.load().and_then(|conf| restore.run(&conf)),
        Verb::Password { file, new } => file.load().and_then(|conf| new.run(&conf)),
        Verb::Erase(erase) => erase.file.load().and_then(|conf| erase.run(&conf)),
        Verb::Call(call) => return call.run(),
        Verb::Demo(demo) => return demo.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("switchhook: {fault}");
            ExitCode::from(EXIT_MISUSE)
        }
    }
}

fn run_server(conf: Conf, file: &ConfFile) -> Result<(), String> {
    io::allocate_in_steps();
    let _log = server::log_in_background(&conf.log_level, conf.log_format).map_err(|error| error.to_string())?;
    server::bring_scripts(&conf.folders).map_err(|error| error.to_string())?;
    faultless(&conf)?;
    let server = Server::start(&conf, server::Wishes::default()).map_err(|error| error.to_string())?;
    for line in server.greeting(&conf) {
        println!("{line}");
    }
    let held = server.run_until_told(conf, || file.load()).map_err(|error| error.to_string())?;
    println!("stopped with {}", server::counts_json(&held));
    Ok(())
}

/// Every script that a number names is there and compiles.
fn check(conf: &Conf) -> Result<(), String> {
    server::log_to_stderr("warn", LogFormat::Text);
    faultless(conf)?;
    server::check_addresses(conf).map_err(|error| error.to_string())?;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    println!("ok: {}, {}", plural(conf.routes.len(), "number"), plural(conf.interfaces.len(), "interface"));
    Ok(())
}

fn faultless(conf: &Conf) -> Result<(), String> {
    let faults = server::script_faults(conf);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\nswitchhook: ")) }
}
