//! Logs: one line an event on standard error, for people or for machines, with one id a call.
//!
//! A server writes its lines from a thread of its own, several at a time: a call has about eight, and a system call for
//! each would cost the control task more than making them.

use std::{
    io::{self, IsTerminal, Write},
    thread::{self, JoinHandle},
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    conf::LogFormat,
    io::{pause, ring::Ring, wait_for},
};

/// Lines that may wait; more are written by whoever has them.
const WAITING: usize = 8192;

/// From now on, everything from `level` up goes to standard error; RUST_LOG overrides the level. Only the first call
/// in a process has an effect.
pub fn to_stderr(level: &str, format: LogFormat) {
    subscribe(level, format, io::stderr);
}

/// As [`to_stderr`], by a thread of its own, which writes up to 20 ms later. Keep the log until the end: the last lines
/// are written when it is dropped.
pub fn in_background(level: &str, format: LogFormat) -> io::Result<Log> {
    let lines = Ring::new(WAITING)?;
    let reader = lines.clone();
    let thread = thread::Builder::new().name("log".into()).spawn(move || write_lines(&reader))?;
    let writer = lines.clone();
    subscribe(level, format, move || Lines(writer.clone()));
    Ok(Log { lines, thread: Some(thread) })
}

fn subscribe<W>(level: &str, format: LogFormat, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // sqlx tells every statement at debug level; that is seldom what an operator wants to see.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},sqlx=warn")));
    let colours = io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_ansi(colours).with_env_filter(filter).with_writer(writer).with_target(false);
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
}

/// A line; absent: the last one was.
type Line = Option<Box<[u8]>>;

/// The thread that writes.
#[derive(Debug)]
pub struct Log {
    lines: Ring<Line>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Log {
    fn drop(&mut self) {
        // A thread that is overfull until now is not waited for.
        if self.lines.push(None).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Each write is one event, whole.
struct Lines(Ring<Line>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.push(Some(line.into())).is_err() {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(lines: &Ring<Line>) {
    let mut text = Vec::new();
    loop {
        wait_for(lines, None);
        // What comes right after the first goes along.
        pause();
        lines.acknowledge();
        let mut last = false;
        while let Some(line) = lines.pop() {
            match line {
                Some(line) => text.extend_from_slice(&line),
                None => last = true,
            }
        }
        // Nobody could be told that standard error is gone.
        let _ = io::stderr().write_all(&text);
        text.clear();
        if last {
            return;
        }
    }
}
