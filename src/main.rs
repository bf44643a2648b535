//! The program: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use switchhook::cli::{Arguments, run};

/// It gives memory back after a busy time, and serves many small header fields faster than the C library does: figures
/// in `benches/RESULTS.md`.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run(Arguments::parse())
}
