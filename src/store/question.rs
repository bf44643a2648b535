//! What is asked of the journal, and what it answers.

use std::sync::Arc;

use tokio::sync::{broadcast, oneshot};

use super::{
    behind::Behind,
    event::{Event, Totals},
    way::Waiting,
};
use crate::switch::{CallQuality, Progress};

/// A call that is not over, and how its audio goes, where something is known of that.
pub type Standing = (Arc<Progress>, Option<Arc<CallQuality>>);

/// What is asked of the journal.
#[derive(Debug)]
pub enum Question {
    /// Which calls are not over?
    Live(oneshot::Sender<Vec<Standing>>),
    /// This call, where it is not over.
    Find(String, oneshot::Sender<Option<Standing>>),
    /// The events of this call that the database may not have yet, in order.
    Coming(String, oneshot::Sender<Vec<Arc<Event>>>),
    /// The end of this call, where the database may not have it yet.
    Ended(String, oneshot::Sender<Option<Arc<Event>>>),
    /// How much the database does not have yet.
    Waiting(oneshot::Sender<Waiting>),
    /// Answered when it is on the disk that this call was begun.
    Kept(String, oneshot::Sender<()>),
    /// What has not come to the disk?
    Unwritten(oneshot::Sender<Unwritten>),
    /// What all calls of this run come to.
    Totals(oneshot::Sender<Totals>),
    /// The spool's numbers lie behind: it shall go on with others. Not answered: it could not.
    Renumber(Behind, oneshot::Sender<()>),
    /// The events from now on, and those after a number that the database may not have yet.
    Follow {
        /// The number; absent: only what happens from now on.
        after: Option<u64>,
        /// Who asks.
        to: oneshot::Sender<Following>,
    },
}

/// Events from a certain moment on.
#[derive(Debug)]
pub struct Following {
    /// Those that are not on the disk yet, and all that come.
    pub events: broadcast::Receiver<Arc<Event>>,
    /// Those before them that were asked for and that the database may not have yet, in order: all of these, unless it
    /// is far behind.
    pub at_hand: Vec<Arc<Event>>,
    /// The number of the last event before those that come.
    pub last: u64,
    /// By which the database knows this server.
    pub node: Arc<str>,
}

/// What is not on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Events that wait in memory.
    pub events: usize,
    /// The disk takes nothing.
    pub failing: bool,
    /// Events that found no room in memory any more, since the start.
    pub lost: u64,
}
