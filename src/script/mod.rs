//! Lua flows: one VM per flow, driven step by step.
//!
//! [`Vm`] has no clock and no thread: it is started, resumed with a reply, and gives back a [`Step`]. [`Runner`] drives
//! many of them in turn. [`Library`] keeps the scripts. A script is straight-line code; a wait suspends its coroutine.
//!
//! ```text
//! start ──▶ Request ──resume(reply)──▶ Keep ──resume(reply)──▶ ... ──▶ Ended
//!             │   ▲                                              ▲
//!             │   └── Slice, Log, Tell ──go_on──▶ ...            │
//!             └── hang_up ──▶ closers, on_hangup handlers ───────┘
//! ```
//!
//! A flow that reaches a limit is not killed by an error, which a `pcall` could catch: its coroutine yields and is never
//! resumed. Only where Lua cannot yield (inside `__tostring`, say) an error is raised, at every instruction from then on
//! (`hook.rs`).

mod args;
mod ask;
mod contacts;
mod hook;
mod library;
mod meter;
mod native;
mod pattern;
mod play;
mod prelude;
mod reply;
mod roster;
mod sounds;
mod stream;
mod strings;
mod texts;
mod thread;
mod version;
mod vm;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, rc::Rc, time::Duration};

pub use library::{Library, Program, ScriptError, check};
pub use thread::{FromScript, Outbox, Runner, spawn};
pub use version::mark as mark_version;
pub use vm::{Level, Modules, Step, Vm};

use crate::time::Time;

/// Shows the time while a script runs, to end time slices; a constant one leaves only the count of instructions.
pub type Clock = Rc<dyn Fn() -> Time>;

/// How scripts are run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where the scripts are.
    pub folder: PathBuf,
    /// VMs that stand ready in each thread.
    pub pool: usize,
    /// What each flow may use.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config { folder: "scripts".into(), pool: 64, limits: Limits::default() }
    }
}

/// What one flow may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of the VM, in bytes; at least 256 KiB. The VM itself takes about 40 KB.
    pub memory: usize,
    /// Length of a time slice, in Lua instructions.
    pub slice_instructions: u32,
    /// Length of a time slice by the clock.
    pub slice_time: Duration,
    /// Lua instructions in the whole life of the flow.
    pub instructions: u64,
    /// Longest time of running (waiting for other flows left out) between two waits.
    pub run_time: Duration,
    /// Longest time of running where the script cannot be interrupted (inside `__tostring`, for example).
    pub stuck_time: Duration,
    /// Coroutines of the script's own that are alive.
    pub coroutines: u32,
    /// Lua instructions for to-be-closed variables at the end, and again for `on_hangup` handlers.
    pub ending_instructions: u64,
    /// Time of running for these.
    pub ending_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 4 << 20,
            slice_instructions: 50_000,
            slice_time: Duration::from_millis(1),
            instructions: 2_000_000_000,
            run_time: Duration::from_secs(5),
            stuck_time: Duration::from_millis(20),
            coroutines: 100,
            ending_instructions: 10_000_000,
            ending_time: Duration::from_secs(1),
        }
    }
}
