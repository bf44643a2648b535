//! What was done by the API, on its way into the audit log: in order, and not lost where the database is away for a
//! while.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{Context, Shared, access::Caller};

/// Notes that may wait for the database.
pub(super) const WAITING: usize = 10_000;
/// A database that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// It is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);

/// Something that was done.
#[derive(Debug)]
pub(super) struct Note {
    at_ms: i64,
    who: String,
    what: String,
    about: String,
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
            pause(AGAIN).await;
        }
        away.send_replace(false);
        if let Some(taken) = note.taken {
            // Who waited may be gone.
            let _ = taken.send(());
        }
    }
}

pub(super) async fn pause(time: Duration) {
    // Nothing comes: that is the point.
    let _ = timeout(time, std::future::pending::<()>()).await;
}

/// False: the database is away.
async fn write(context: &Context, note: &Note) -> bool {
    let writing = async {
        let store = context.store().await.ok()?;
        store.note(note.at_ms, &note.who, &note.what, &note.about).await.ok()
    };
    timeout(PATIENCE, writing).await.ok().flatten().is_some()
}

impl Caller {
    /// Remember what was done. It is in the database then, unless that is away: nobody waits for it.
    pub async fn note(&self, context: &Context, what: &str, about: &str) {
        let away = *context.notes_away.borrow();
        let (taken, wait) = oneshot::channel();
        let (who, at_ms) = (self.0.id.clone(), context.now_ms());
        let note = Note { at_ms, who, what: what.into(), about: about.into(), taken: (!away).then_some(taken) };
        if context.notes.try_send(note).is_err() {
            return tracing::error!(key = self.0.id, what, about, "done by a key of the API; it is only in this line");
        }
        // A note is dropped, and with it the other end, where it cannot be written at once.
        if away || wait.await.is_err() {
            tracing::warn!(key = self.0.id, what, about, "done by a key of the API; the audit log has it later");
        }
    }
}
