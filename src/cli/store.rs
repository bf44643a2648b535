//! Commands about what is kept: a copy of all of it, and the way back.

use std::path::PathBuf;

use super::ConfFile;
use crate::{
    conf::Conf,
    server,
    store::{self, BackupError, Counted},
};

/// Where a copy goes.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// A file that is not there yet.
    to: PathBuf,
    #[command(flatten)]
    pub file: ConfFile,
}

/// Where a copy comes from.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The copy. It stays as it is.
    from: PathBuf,
    /// What is there goes; without this, nothing is done where there is something.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    pub file: ConfFile,
}

impl Backup {
    /// Make it.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        told(|| async { store::backup(&server::database(conf), &conf.folders.state, &self.to).await })
    }
}

impl Restore {
    /// Bring it back.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        let state = &conf.folders.state;
        std::fs::create_dir_all(state).map_err(|error| format!("{}: {error}", state.display()))?;
        told(|| async { store::restore(&server::database(conf), state, &self.from, self.replace).await })
    }
}

fn told<F: Future<Output = Result<Counted, BackupError>>>(work: impl FnOnce() -> F) -> Result<(), String> {
    let runtime = crate::io::runtime().map_err(|e| e.to_string())?;
    for (table, rows) in runtime.block_on(work()).map_err(|error| error.to_string())? {
        println!("{rows:>10} {table}");
    }
    Ok(())
}
