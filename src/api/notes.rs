//! What was done by the API, on its way into the audit log: in order, and not lost where the database is away for a
//! while.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{Context, Shared, access::Caller, problem::Problem};
use crate::{io::pass, store::Done};

/// Notes that may wait for the database.
pub(super) const WAITING: usize = 10_000;
/// A database that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// It is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that was done.
#[derive(Debug)]
pub(super) struct Note {
    done: Done,
    /// Told when it is in the database; dropped when that is away.
    taken: Option<oneshot::Sender<()>>,
}

/// Write them down until the server is gone. `away` tells that the database takes none.
pub(super) async fn keep(context: Shared, mut notes: mpsc::Receiver<Note>, away: watch::Sender<bool>) {
    while let Some(mut note) = notes.recv().await {
        while !write(&context, &note).await {
            note.taken = None;
            if !away.send_replace(true) {
                tracing::warn!("the database takes no notes of what the API does; they wait");
            }
            pass(AGAIN).await;
        }
        away.send_replace(false);
        if let Some(taken) = note.taken {
            // Who waited may be gone.
            let _ = taken.send(());
        }
    }
}

/// False: the database is away.
async fn write(context: &Context, note: &Note) -> bool {
    let writing = async {
        let store = context.store().await.ok()?;
        store.note(&note.done).await.ok()
    };
    timeout(PATIENCE, writing).await.ok().flatten().is_some()
}

impl Caller {
    /// Remember what was done. It is in the database then, unless that is away: nobody waits for it.
    pub async fn note(&self, context: &Context, what: &str, about: &str) {
        self.note_as(context, what, about, "done".to_owned()).await;
    }

    /// Remember what was to be done, and whether it was.
    pub async fn note_result<T>(&self, context: &Context, what: &str, about: &str, result: &Result<T, Problem>) {
        let outcome =
            result.as_ref().map_or_else(|problem| format!("refused: {}", problem.kind), |_| "done".to_owned());
        self.note_as(context, what, about, outcome).await;
    }

    /// As [`Caller::note`], with what came of it in the words of [`Done::outcome`].
    pub async fn note_as(&self, context: &Context, what: &str, about: &str, outcome: String) {
        let away = *context.notes_away.borrow();
        let (taken, wait) = oneshot::channel();
        let (who, at_ms) = (self.0.id.clone(), context.now_ms());
        let done = Done { at_ms, who, what: what.into(), about: about.into(), outcome };
        let note = Note { done, taken: (!away).then_some(taken) };
        if context.notes.try_send(note).is_err() {
            return tracing::error!(key = self.0.id, what, about, "done by a key of the API; it is only in this line");
        }
        // A note is dropped, and with it the other end, where it cannot be written at once.
        if away || wait.await.is_err() {
            tracing::warn!(key = self.0.id, what, about, "done by a key of the API; the audit log has it later");
        }
    }
}
