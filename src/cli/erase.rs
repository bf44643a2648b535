//! Erasing the recordings of a number: by what lies beside the files, and by the database's index of them.

use std::path::PathBuf;

use super::{ConfFile, keys};
use crate::{
    conf::Conf,
    hooks,
    store::{RecordingFilter, Store},
};

/// Recordings that are looked at in one page of the index.
const PAGE: u32 = 500;

/// Erase all recordings of calls from or to a number, and all others that it is on.
#[derive(Debug, clap::Args)]
pub struct Erase {
    /// Whichever way it is written.
    number: String,
    #[command(flatten)]
    pub(super) file: ConfFile,
}

/// What was done by the index.
#[derive(Default)]
struct Found {
    gone: Vec<PathBuf>,
    /// Files that are still there, and why.
    left: Vec<String>,
}

impl Erase {
    /// Do it, and tell which files are gone.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        let gone = hooks::erase(&conf.folders.recordings, |party| self.is(conf, party));
        let mut gone = gone.map_err(|error| error.to_string())?;
        // Files that lost what lay beside them; and the index is to know what is gone.
        let found = keys::in_store(conf, async |store: Store| self.by_index(conf, &store).await)
            .map_err(|error| format!("{} erased, but the database's index cannot be asked: {error}", gone.len()))?;
        gone.extend(found.gone);
        gone.iter().for_each(|path| println!("{}", path.display()));
        println!("erased: {} of {}", gone.len(), self.number);
        if found.left.is_empty() { Ok(()) } else { Err(format!("not erased: {}", found.left.join("; "))) }
    }

    /// Is this its number? People also write a `/` between digits.
    fn is(&self, conf: &Conf, party: &str) -> bool {
        conf.store.dialling.same(&party.replace('/', ""), &self.number.replace('/', ""))
    }

    /// What the index has of the number is erased, and known to be.
    async fn by_index(&self, conf: &Conf, store: &Store) -> Result<Found, sqlx::Error> {
        let (mut done, mut after) = (Found::default(), None);
        loop {
            let filter = RecordingFilter { after: after.take(), limit: PAGE, ..RecordingFilter::default() };
            let (page, next) = store.recordings(&filter).await?;
            let its = |party: &String| self.is(conf, party);
            for kept in page.into_iter().filter(|kept| kept.parties.iter().chain(&kept.heard).any(its)) {
                let path = conf.folders.recordings.join(&kept.file);
                match path.exists().then(|| hooks::erase_file(&path)) {
                    Some(Err(error)) => {
                        done.left.push(format!("{}: {error}", path.display()));
                        continue;
                    }
                    Some(Ok(())) => done.gone.push(path),
                    None => {}
                }
                store.recording_erased(&kept.id, keys::now_ms()).await?;
            }
            match next {
                Some(place) => after = Some(place),
                None => return Ok(done),
            }
        }
    }
}
