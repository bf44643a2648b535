//! What outlives a call, and the program: call records and events, the key-value store of the scripts, the registrations
//! of phones.
//!
//! ```text
//! control ──Fact──▶ journal ──lines──▶ spool (files) ──▶ store ──▶ SQLite or PostgreSQL
//!                      └──Event──▶ readers
//! ```

mod backup;
mod calls;
mod copy;
mod database;
mod event;
mod journal;
mod keep;
mod keys;
mod registrations;
mod retention;
mod rows;
mod schema;
mod spool;
#[cfg(test)]
mod tests;
mod writer;

use std::time::Duration;

pub use backup::{BackupError, Counted, backup, restore};
pub use calls::{CallFilter, CallView, Page, Store};
pub use database::Database;
pub use event::{Event, Totals};
pub use journal::{Journal, JournalConfig, Question, spawn as spawn_journal};
pub use keep::{Answer, spawn as spawn_keep};
pub use keys::{Key, Scope};
pub use registrations::{load as load_registrations, spawn as spawn_registrations};
pub use spool::name as spool_name;
pub use writer::{WriterConfig, spawn as spawn_writer};

async fn wait(time: Duration) {
    // Nothing comes: that is the point.
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}
