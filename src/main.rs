//! The program: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use switchhook::cli::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
