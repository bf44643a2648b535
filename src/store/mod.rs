//! What outlives a call, and the program: the key-value store of the scripts, the registrations of phones.

mod keep;
mod registrations;

pub use keep::{Answer, spawn as spawn_keep};
pub use registrations::{load as load_registrations, spawn as spawn_registrations};
