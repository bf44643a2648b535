//! What outlives a call: the key-value store of the scripts.

mod keep;

pub use keep::{Answer, spawn as spawn_keep};
