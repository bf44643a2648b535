//! What outlives a call, and the program: call records and events, the key-value store of the scripts, the registrations
//! of phones.
//!
//! ```text
//! control ──Fact──▶ journal ──lines──▶ spool (files) ──▶ store ──▶ SQLite or PostgreSQL
//!                      └──Event──▶ readers
//! ```

mod audit;
mod backup;
mod behind;
mod calls;
mod contacts;
mod copy;
mod database;
mod desk_schema;
mod event;
mod flows;
mod journal;
mod keep;
mod keys;
mod lookup;
mod password;
mod people;
mod question;
mod reconcile;
mod recordings;
mod registrations;
mod retention;
mod roster;
mod rows;
mod schema;
mod spool;
#[cfg(test)]
mod tests;
mod transcripts;
mod way;
mod webhooks;
mod writer;

pub use audit::Done;
pub use backup::{BackupError, Counted, backup, restore};
pub use calls::{CallFilter, CallView, Ordered, Page, Store};
pub use contacts::{Contact, ContactFilter};
pub use database::Database;
pub use event::{Event, Totals};
pub use flows::{Activity, Version};
pub use journal::{Journal, JournalConfig, Line, spawn as spawn_journal};
pub use keep::{Answer, spawn as spawn_keep};
pub use keys::{Key, Scope, hash as secret_hash};
pub use lookup::{LookupConfig, spawn as spawn_lookup};
pub use password::{Password, fresh as fresh_password};
pub use people::Person;
pub use question::{Following, Question, Standing, Unwritten};
pub use reconcile::Tell;
pub use recordings::{Kept, RecordingFilter};
pub use registrations::{load as load_registrations, spawn as spawn_registrations};
pub use retention::Days;
pub use roster::{Filed, Put, Removed};
pub use spool::name as spool_name;
pub use transcripts::Turn;
pub use way::{Stored, Waiting};
pub use webhooks::{Candidate, Told, Webhook};
pub use writer::{WriterConfig, spawn as spawn_writer};

/// Where a page of a list ended: a moment, and the id of what was shown last.
pub type Place = (i64, String);
