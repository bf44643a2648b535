//! What runs outside and is called from within: the speech engine, and the web servers that have sounds or signers'
//! certificates, or take recordings, and the programs that listen to calls.

use std::{future::Future, io, thread};

mod address;
mod archive;
mod certificates;
pub mod http;
mod speech;
mod stream;
mod web;

pub use address::Url;
pub use archive::{
    ArchiveConfig, Destination, Quota, S3Key, Upload, erase, erase_file, same_number, spawn as spawn_archive,
};
pub use certificates::{Config as CertificatesConfig, spawn as spawn_certificates};
pub use http::connector as https_connector;
pub use speech::{Config as SpeechConfig, spawn as spawn_speech, version as speech_version};
pub use stream::{Config as StreamConfig, spawn as spawn_stream};
pub use web::{Config as WebConfig, spawn as spawn_web};

/// A thread of its own for `work`, which ends with it. Of what would block it, so much at a time goes to other threads;
/// absent: as much as the runtime lets.
fn runs_alone(
    name: &str,
    blocking: Option<usize>,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        if let Some(most) = blocking {
            runtime.max_blocking_threads(most);
        }
        let runtime = runtime.enable_all().build().expect("a runtime needs only what every process has");
        runtime.block_on(work);
    })
}
