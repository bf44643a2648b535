//! Text to sound by a speech program (espeak-ng): one process a sentence, its WAV read from standard output.

use std::{io, process::Stdio, sync::Arc, thread, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command, sync::mpsc, time::timeout};

use crate::{
    audio::wav,
    codec::Rate,
    io::{SoundCache, SpeakText},
    media::Pcm,
    switch::Input,
    verbs::{NoSound, SoundFault, Speech},
};

/// Longest time for the engine to speak one text.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest text, in bytes.
const MAX_TEXT: usize = 4000;
/// Texts spoken at a time; the others wait.
const AT_ONCE: usize = 4;

/// Which program speaks, and how when the script does not say.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The program; empty: none.
    pub engine: String,
    /// Its voice; empty: chosen by language.
    pub voice: String,
    /// Language when a script does not say.
    pub language: String,
    /// Bytes of spoken sounds that are kept.
    pub cache: usize,
}

/// The first line of the engine's `--version`, or what to do to have one.
pub fn version(engine: &str) -> Result<String, String> {
    let output =
        std::process::Command::new(engine).arg("--version").output().map_err(|error| missing(engine, &error))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Start the thread that speaks. It ends when the sender of `jobs` is gone.
pub fn spawn(
    config: Config,
    mut jobs: mpsc::Receiver<SpeakText>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    crate::io::runs_alone("speech", None, async move {
        let mut cache = SoundCache::new(config.cache);
        let mut speaking = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                job = jobs.recv(), if speaking.len() < AT_ONCE => {
                    let Some(SpeakText { load, speech, rate }) = job else { return };
                    let wanted = (speech, rate);
                    if let Some(pcm) = cache.get(&wanted) {
                        let _ = control.send(Input::Loaded { load, result: Ok(pcm) }).await;
                    } else {
                        let config = config.clone();
                        speaking.spawn(async move { (load, speak(&config, &wanted.0, wanted.1).await, wanted) });
                    }
                }
                Some(Ok((load, result, wanted))) = speaking.join_next() => {
                    if let Ok(pcm) = &result {
                        cache.put(wanted, pcm);
                    }
                    let result = result.map_err(|why| NoSound::new(SoundFault::Engine, why));
                    let _ = control.send(Input::Loaded { load, result }).await;
                }
            }
        }
    })
}

async fn speak(config: &Config, speech: &Speech, rate: Rate) -> Result<Arc<Pcm>, String> {
    if config.engine.is_empty() {
        return Err("no speech engine is configured: set speech.engine, for instance to espeak-ng".into());
    }
    if speech.text.len() > MAX_TEXT {
        return Err(format!("text of {} bytes; allowed: up to {MAX_TEXT}", speech.text.len()));
    }
    if speech.text.trim().is_empty() {
        return Ok(Arc::new(Pcm { rate: Rate::Narrow, samples: Box::default(), looped: false }));
    }
    let wave = timeout(PATIENCE, run(config, speech))
        .await
        .map_err(|_| format!("{} did not finish within {} s", config.engine, PATIENCE.as_secs()))??;
    let (rate, samples) = wav::decode(&wave, rate).map_err(|error| format!("{}: {error}", config.engine))?;
    Ok(Arc::new(Pcm { rate, samples: samples.into_boxed_slice(), looped: false }))
}

async fn run(config: &Config, speech: &Speech) -> Result<Vec<u8>, String> {
    let voice = match (&speech.voice, config.voice.as_str()) {
        (Some(voice), _) => voice.clone(),
        (None, "") => speech.language.as_ref().unwrap_or(&config.language).to_lowercase(),
        (None, _) if speech.language.is_some() => speech.language.clone().unwrap_or_default().to_lowercase(),
        (None, voice) => voice.to_owned(),
    };
    // A voice that begins with a dash would be an option.
    if voice.starts_with('-') {
        return Err(format!("voice `{voice}`: allowed: a name that `{} --voices` lists", config.engine));
    }
    let mut child = Command::new(&config.engine)
        .args(["-v", &voice, "--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| missing(&config.engine, &error))?;
    let mut stdin = child.stdin.take().expect("it was piped");
    let text = speech.text.clone();
    // Written beside the reading: neither side may wait for the other with a full pipe.
    let (_, output) = tokio::join!(
        async move {
            // An engine that stops reading says why on standard error.
            let _ = stdin.write_all(text.as_bytes()).await;
        },
        child.wait_with_output()
    );
    let output = output.map_err(|error| format!("{}: {error}", config.engine))?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(output.stdout);
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} could not speak with voice `{voice}`: {}", config.engine, why.trim()))
}

fn missing(engine: &str, error: &io::Error) -> String {
    format!("speech engine `{engine}`: {error}; install it (apt install espeak-ng) or set speech.engine")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(engine: &str) -> Config {
        Config { engine: engine.into(), voice: String::new(), language: "en-US".into(), cache: 1 << 20 }
    }

    fn say(text: &str, voice: Option<&str>) -> Speech {
        Speech { text: text.into(), language: None, voice: voice.map(Into::into) }
    }

    #[tokio::test]
    async fn a_missing_engine_is_a_clear_error() {
        let error = speak(&config("no-such-engine"), &say("hello", None), Rate::Narrow).await.unwrap_err();
        assert!(error.contains("no-such-engine") && error.contains("install"), "{error}");
    }

    #[tokio::test]
    async fn words_become_sound_of_about_their_length() {
        let text = say("Hello, this is a test of the speech engine.", None);
        let pcm = speak(&config("espeak-ng"), &text, Rate::Narrow).await.unwrap();
        let wide = speak(&config("espeak-ng"), &text, Rate::Full).await.unwrap();
        assert_eq!(wide.rate, Rate::Wide, "the engine speaks at 22,050 Hz");
        assert!(wide.samples.len().abs_diff(2 * pcm.samples.len()) <= 2);
        let seconds = pcm.samples.len() as f32 / 8000.0;
        assert!((1.5..6.0).contains(&seconds), "{seconds} s");
        let loud = pcm.samples.iter().filter(|s| s.unsigned_abs() > 1000).count();
        assert!(loud > pcm.samples.len() / 20, "only {loud} loud samples");
    }

    #[tokio::test]
    async fn an_unknown_voice_is_told() {
        let error = speak(&config("espeak-ng"), &say("hello", Some("klingon-9")), Rate::Narrow).await.unwrap_err();
        assert!(error.contains("klingon-9"), "{error}");
    }
}
