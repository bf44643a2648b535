//! What runs outside and is called from within: the speech engine.

mod speech;

pub use speech::{Config as SpeechConfig, spawn as spawn_speech, version as speech_version};
