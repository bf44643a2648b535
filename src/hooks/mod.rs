//! What runs outside and is called from within: the speech engine, and the web servers that have signers' certificates.

mod certificates;
mod https;
mod speech;

pub use certificates::{Config as CertificatesConfig, spawn as spawn_certificates};
pub use https::connector as https_connector;
pub use speech::{Config as SpeechConfig, spawn as spawn_speech, version as speech_version};
