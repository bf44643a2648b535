//! What runs outside and is called from within: the speech engine, and the web servers that have sounds or signers'
//! certificates, or take recordings, and the programs that listen to calls.

mod address;
mod archive;
mod certificates;
pub mod http;
mod speech;
mod stream;
mod web;

pub use address::Url;
pub use archive::{ArchiveConfig, Destination, Quota, S3Key, Upload, erase, erase_file, spawn as spawn_archive};
pub use certificates::{Config as CertificatesConfig, spawn as spawn_certificates};
pub use http::connector as https_connector;
pub use speech::{Config as SpeechConfig, spawn as spawn_speech, version as speech_version};
pub use stream::{Config as StreamConfig, spawn as spawn_stream};
pub use web::{Config as WebConfig, spawn as spawn_web};
