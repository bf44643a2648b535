//! Sounds from files: read below one folder, decoded once, shared by all calls that play them.

use std::{
    collections::HashMap,
    fs,
    hash::Hash,
    io,
    panic::catch_unwind,
    path::{Component, Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{audio, codec::Rate, ids::LoadId, media::Pcm, switch::Input, time::Time, verbs::Speech};

/// Longest file that is read, in bytes: an hour of 16-bit stereo at 48 kHz would be 691 MB.
const MAX_FILE: u64 = 256 << 20;

/// A changed file may be heard in its old state for so long.
const FRESH: Duration = Duration::from_secs(1);

/// One file wanted; answered by [`Input::Loaded`].
#[derive(Debug)]
pub struct LoadFile {
    /// Carried by the answer.
    pub load: LoadId,
    /// Path below the prompt folder.
    pub path: String,
}

/// One text wanted as sound; answered by [`Input::Loaded`].
#[derive(Debug)]
pub struct SpeakText {
    /// Carried by the answer.
    pub load: LoadId,
    /// What to say.
    pub speech: Speech,
}

/// Start the thread that reads sounds below `folder`, keeping up to `cache` bytes of them. It ends when the sender of
/// `jobs` is gone.
pub fn spawn(
    folder: PathBuf,
    cache: usize,
    jobs: mpsc::Receiver<LoadFile>,
    control: tokio::sync::mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("sounds".into()).spawn(move || {
        let mut files = Files { folder, cache: SoundCache::new(cache) };
        for LoadFile { load, path } in jobs {
            let result = files.load(&path);
            if control.blocking_send(Input::Loaded { load, result }).is_err() {
                return;
            }
        }
    })
}

/// What was loaded a moment ago, kept by who asks: a prompt that many calls play is looked up once a second, not once a
/// call.
#[derive(Debug, Default)]
pub struct Fresh {
    loading: HashMap<LoadId, String>,
    sounds: HashMap<String, (Time, Arc<Pcm>)>,
}

impl Fresh {
    /// The sound at `path`, where it was loaded within the last second.
    pub fn get(&self, now: Time, path: &str) -> Option<Arc<Pcm>> {
        let (loaded, pcm) = self.sounds.get(path)?;
        (now - *loaded < FRESH).then(|| Arc::clone(pcm))
    }

    /// `path` is being loaded.
    pub fn asked(&mut self, load: LoadId, path: String) {
        self.loading.insert(load, path);
    }

    /// What came of it.
    pub fn loaded(&mut self, now: Time, load: LoadId, result: &Result<Arc<Pcm>, String>) {
        let Some(path) = self.loading.remove(&load) else { return };
        self.sounds.retain(|_, (loaded, _)| now - *loaded < FRESH);
        if let Ok(pcm) = result {
            self.sounds.insert(path, (now, Arc::clone(pcm)));
        }
    }
}

/// The prompt folder and what was read from it.
pub struct Files {
    folder: PathBuf,
    cache: SoundCache<(PathBuf, Duration, u64)>,
}

impl Files {
    /// Sounds below `folder`, of which up to `cache` bytes are kept.
    pub fn new(folder: PathBuf, cache: usize) -> Files {
        Files { folder, cache: SoundCache::new(cache) }
    }

    /// The sound in a file; an error says which file, and what is wrong with it.
    pub fn load(&mut self, path: &str) -> Result<Arc<Pcm>, String> {
        let file = below(&self.folder, path)?;
        let seen = fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        if seen.len() > MAX_FILE {
            return Err(format!("{}: {} bytes; allowed: up to {MAX_FILE}", file.display(), seen.len()));
        }
        let changed = seen.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let key = (file, changed.unwrap_or_default(), seen.len());
        if let Some(pcm) = self.cache.get(&key) {
            return Ok(pcm);
        }
        let bytes = fs::read(&key.0).map_err(|error| format!("{}: {error}", key.0.display()))?;
        let samples = decode(&bytes).map_err(|error| format!("{}: {error}", key.0.display()))?;
        let pcm = Arc::new(Pcm { rate: Rate::Narrow, samples: samples.into_boxed_slice(), looped: false });
        self.cache.put(key, &pcm);
        Ok(pcm)
    }
}

/// What is in a file. A decoder that panics over strange bytes spoils this one sound.
fn decode(bytes: &[u8]) -> Result<Vec<i16>, String> {
    catch_unwind(|| audio::decode_file(bytes)).unwrap_or_else(|_| Err("its decoder gave up".to_owned()))
}

/// `path` below `folder`; a path that leads out of it is refused.
pub fn below(folder: &Path, path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("`{path}`: allowed: a path below {}, without `..`", folder.display()));
    }
    Ok(folder.join(relative))
}

/// Decoded sounds, the least recently used of which go when there are too many bytes.
pub struct SoundCache<K> {
    sounds: HashMap<K, (Arc<Pcm>, u64)>,
    bytes: usize,
    most: usize,
    uses: u64,
}

impl<K: Hash + Eq + Clone> SoundCache<K> {
    /// Keeps up to `most` bytes.
    pub fn new(most: usize) -> SoundCache<K> {
        SoundCache { sounds: HashMap::new(), bytes: 0, most, uses: 0 }
    }

    /// The sound of `key`, if it is still here.
    pub fn get(&mut self, key: &K) -> Option<Arc<Pcm>> {
        self.uses += 1;
        let (pcm, used) = self.sounds.get_mut(key)?;
        *used = self.uses;
        Some(Arc::clone(pcm))
    }

    /// Keep a sound. One that alone exceeds the limit is not kept.
    pub fn put(&mut self, key: K, pcm: &Arc<Pcm>) {
        let size = size_of_val(&*pcm.samples);
        if size > self.most {
            return;
        }
        while self.bytes + size > self.most {
            let oldest = self.sounds.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
            let Some((gone, _)) = oldest.and_then(|key| self.sounds.remove(&key)) else { break };
            self.bytes -= size_of_val(&*gone.samples);
        }
        self.uses += 1;
        if let Some((old, _)) = self.sounds.insert(key, (Arc::clone(pcm), self.uses)) {
            self.bytes -= size_of_val(&*old.samples);
        }
        self.bytes += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(samples: usize) -> Arc<Pcm> {
        Arc::new(Pcm { rate: Rate::Narrow, samples: vec![0; samples].into_boxed_slice(), looped: false })
    }

    #[test]
    fn the_least_recently_used_sound_goes_first() {
        let mut cache = SoundCache::new(400);
        cache.put("a", &pcm(100));
        cache.put("b", &pcm(100));
        assert!(cache.get(&"a").is_some());
        cache.put("c", &pcm(50));
        assert!(cache.get(&"b").is_none(), "b was used longest ago");
        assert!(cache.get(&"a").is_some() && cache.get(&"c").is_some());
        cache.put("huge", &pcm(1000));
        assert!(cache.get(&"huge").is_none() && cache.get(&"a").is_some(), "what cannot fit pushes nothing out");
    }

    #[test]
    fn what_was_loaded_is_fresh_for_a_second() {
        let at = |ms| Time::START + Duration::from_millis(ms);
        let mut fresh = Fresh::default();
        fresh.asked(LoadId(1), "x.wav".into());
        assert!(fresh.get(at(0), "x.wav").is_none());
        fresh.loaded(at(0), LoadId(1), &Ok(pcm(10)));
        assert!(fresh.get(at(999), "x.wav").is_some() && fresh.get(at(999), "y.wav").is_none());
        assert!(fresh.get(at(1000), "x.wav").is_none());
        fresh.asked(LoadId(2), "y.wav".into());
        fresh.loaded(at(2000), LoadId(2), &Err("gone".into()));
        assert!(fresh.sounds.is_empty() && fresh.loading.is_empty(), "nothing old is kept");
    }

    #[test]
    fn a_path_out_of_the_folder_is_refused() {
        let folder = Path::new("prompts");
        for path in ["../x.wav", "/etc/passwd", "a/../../x", ""] {
            assert!(below(folder, path).is_err(), "{path}");
        }
        assert_eq!(below(folder, "de/hello.wav").unwrap(), Path::new("prompts/de/hello.wav"));
    }

    #[test]
    fn a_file_is_decoded_once_and_read_again_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |amplitude: i16| {
            let spec = hound::WavSpec {
                channels: 1,
                sample_rate: 8000,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut file = hound::WavWriter::create(folder.path().join("x.wav"), spec).unwrap();
            (0..amplitude).for_each(|_| file.write_sample(amplitude).unwrap());
            file.finalize().unwrap();
        };
        let mut files = Files::new(folder.path().to_owned(), 1 << 20);
        write(100);
        let first = files.load("x.wav").unwrap();
        assert!(Arc::ptr_eq(&first, &files.load("x.wav").unwrap()));
        write(200);
        assert_eq!(files.load("x.wav").unwrap().samples.len(), 200);
        assert!(files.load("y.wav").unwrap_err().contains("y.wav"));
    }
}
