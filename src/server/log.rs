//! Logs: one line an event on standard error, for people or for machines, with one id a call.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::conf::LogFormat;

/// From now on, everything from `level` up goes to standard error; RUST_LOG overrides the level. Only the first call
/// in a process has an effect.
pub fn to_stderr(level: &str, format: LogFormat) {
    // sqlx tells every statement at debug level; that is seldom what an operator wants to see.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},sqlx=warn")));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}
