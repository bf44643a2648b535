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

use crate::{
    audio::{self, m3u},
    codec::Rate,
    ids::LoadId,
    media::Pcm,
    switch::Input,
    time::Time,
    verbs::{NoSound, Sound, SoundFault, Speech},
};

/// Longest file that is read, in bytes: an hour of 16-bit stereo at 48 kHz would be 691 MB.
const MAX_FILE: u64 = 256 << 20;

/// A changed file may be heard in its old state for so long.
const FRESH: Duration = Duration::from_secs(1);

/// One file wanted; answered by [`Input::Loaded`], a play list by [`Input::Listed`].
#[derive(Debug)]
pub struct LoadFile {
    /// Carried by the answer.
    pub load: LoadId,
    /// Path below the prompt folder.
    pub path: String,
    /// The highest rate that is of use.
    pub rate: Rate,
}

/// One sound of the web wanted; answered by [`Input::Loaded`], a play list by [`Input::Listed`].
#[derive(Debug)]
pub struct FetchSound {
    /// Carried by the answer.
    pub load: LoadId,
    /// Its `http://` or `https://` address.
    pub url: String,
    /// The highest rate that is of use.
    pub rate: Rate,
}

/// One text wanted as sound; answered by [`Input::Loaded`].
#[derive(Debug)]
pub struct SpeakText {
    /// Carried by the answer.
    pub load: LoadId,
    /// What to say.
    pub speech: Speech,
    /// The highest rate that is of use.
    pub rate: Rate,
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
        for LoadFile { load, path, rate } in jobs {
            let answer = match m3u::is_list(&path) {
                true => Input::Listed { load, result: files.list(&path) },
                false => Input::Loaded { load, result: files.load(&path, rate) },
            };
            if control.blocking_send(answer).is_err() {
                return;
            }
        }
    })
}

/// What was loaded a moment ago, kept by who asks: a prompt that many calls play is looked up once a second, not once a
/// call.
#[derive(Debug, Default)]
pub struct Fresh {
    loading: HashMap<LoadId, (String, Rate)>,
    sounds: HashMap<(String, Rate), (Time, Arc<Pcm>)>,
}

impl Fresh {
    /// The sound at a path for a rate, where it was loaded within the last second.
    pub fn get(&self, now: Time, sound: &(String, Rate)) -> Option<Arc<Pcm>> {
        let (loaded, pcm) = self.sounds.get(sound)?;
        (now - *loaded < FRESH).then(|| Arc::clone(pcm))
    }

    /// It is being loaded.
    pub fn asked(&mut self, load: LoadId, sound: (String, Rate)) {
        self.loading.insert(load, sound);
    }

    /// What came of it.
    pub fn loaded(&mut self, now: Time, load: LoadId, result: &Result<Arc<Pcm>, NoSound>) {
        let Some(sound) = self.loading.remove(&load) else { return };
        self.sounds.retain(|_, (loaded, _)| now - *loaded < FRESH);
        if let Ok(pcm) = result {
            self.sounds.insert(sound, (now, Arc::clone(pcm)));
        }
    }
}

/// One version of a file, for a rate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Version {
    file: PathBuf,
    changed: Duration,
    size: u64,
    rate: Rate,
}

/// The prompt folder and what was read from it.
pub struct Files {
    folder: PathBuf,
    cache: SoundCache<Version>,
}

impl Files {
    /// Sounds below `folder`, of which up to `cache` bytes are kept.
    pub fn new(folder: PathBuf, cache: usize) -> Files {
        Files { folder, cache: SoundCache::new(cache) }
    }

    /// The sound in a file, at its own rate or at `rate`, whichever is lower; an error says which file, and what is wrong
    /// with it.
    pub fn load(&mut self, path: &str, rate: Rate) -> Result<Arc<Pcm>, NoSound> {
        let (file, seen) = self.find(path, MAX_FILE)?;
        let changed = seen.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default();
        let key = Version { file: file.clone(), changed, size: seen.len(), rate };
        if let Some(pcm) = self.cache.get(&key) {
            return Ok(pcm);
        }
        let bytes = fs::read(&file).map_err(|error| unread(&file, &error))?;
        let decoded = decode(&bytes, rate, self.cache.most());
        let pcm = decoded.map_err(|why| NoSound::new(SoundFault::Format, format!("{}: {why}", file.display())))?;
        self.cache.put(key, &pcm);
        Ok(pcm)
    }

    /// The entries of a play list.
    fn list(&self, path: &str) -> Result<Vec<Sound>, NoSound> {
        let (file, _) = self.find(path, m3u::LONGEST as u64)?;
        let bytes = fs::read(&file).map_err(|error| unread(&file, &error))?;
        m3u::entries(path, &bytes)
    }

    /// The file at a path, of at most so many bytes.
    fn find(&self, path: &str, most: u64) -> Result<(PathBuf, fs::Metadata), NoSound> {
        let file = below(&self.folder, path).map_err(|why| NoSound::new(SoundFault::Denied, why))?;
        let seen = fs::metadata(&file).map_err(|error| unread(&file, &error))?;
        if seen.len() > most {
            let why = format!("{}: {} bytes; allowed: up to {most}", file.display(), seen.len());
            return Err(NoSound::new(SoundFault::TooLarge, why));
        }
        Ok((file, seen))
    }
}

fn unread(file: &Path, error: &io::Error) -> NoSound {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let fault = if missing { SoundFault::Missing } else { SoundFault::Unreadable };
    NoSound::new(fault, format!("{}: {error}", file.display()))
}

/// The sound in the bytes of a file, at its own rate or at `rate`, whichever is lower. What would be larger than `most`
/// bytes, or too long for its rate, is brought to a lower rate, as far as there is one: it would be decoded anew for each
/// call otherwise. A decoder that panics over strange bytes spoils this one sound.
pub fn decode(bytes: &[u8], rate: Rate, most: usize) -> Result<Arc<Pcm>, String> {
    let decoded = |rate| {
        let made = catch_unwind(|| audio::decode_file(bytes, rate));
        made.unwrap_or_else(|_| Err("its decoder gave up".to_owned()))
    };
    let lower = |rate: Rate| Rate::ALL.into_iter().rev().find(|lower| *lower < rate);
    let mut wish = rate;
    loop {
        let made = decoded(wish);
        let found = made.as_ref().map_or(wish, |(found, _)| *found);
        match (made, lower(found)) {
            (Ok((_, samples)), Some(next)) if 2 * samples.len() > most => wish = next,
            (Err(_), Some(next)) => wish = next,
            (Ok((rate, samples)), _) => {
                return Ok(Arc::new(Pcm { rate, samples: samples.into_boxed_slice(), looped: false }));
            }
            (Err(why), None) => return Err(why),
        }
    }
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

    /// How many bytes it keeps.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The sound of `key`, if it is still here.
    pub fn get(&mut self, key: &K) -> Option<Arc<Pcm>> {
        self.uses += 1;
        let (pcm, used) = self.sounds.get_mut(key)?;
        *used = self.uses;
        Some(Arc::clone(pcm))
    }

    /// Whether the sound of `key` is here; looking does not count as use.
    pub fn has(&self, key: &K) -> bool {
        self.sounds.contains_key(key)
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
        let (x, y) = (("x.wav".to_owned(), Rate::Narrow), ("x.wav".to_owned(), Rate::Wide));
        fresh.asked(LoadId(1), x.clone());
        assert!(fresh.get(at(0), &x).is_none());
        fresh.loaded(at(0), LoadId(1), &Ok(pcm(10)));
        assert!(fresh.get(at(999), &x).is_some() && fresh.get(at(999), &y).is_none());
        assert!(fresh.get(at(1000), &x).is_none());
        fresh.asked(LoadId(2), y);
        fresh.loaded(at(2000), LoadId(2), &Err(NoSound::new(SoundFault::Missing, "gone")));
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
        let mut files = Files::new(folder.path().to_owned(), 1 << 20);
        write(folder.path(), 8000, 100);
        let first = files.load("x.wav", Rate::Narrow).unwrap();
        assert!(Arc::ptr_eq(&first, &files.load("x.wav", Rate::Narrow).unwrap()));
        write(folder.path(), 8000, 200);
        assert_eq!(files.load("x.wav", Rate::Narrow).unwrap().samples.len(), 200);
        let missing = files.load("y.wav", Rate::Narrow).unwrap_err();
        assert!(missing.fault == SoundFault::Missing && missing.text.contains("y.wav"), "{missing:?}");
        let outside = files.load("../y.wav", Rate::Narrow).unwrap_err();
        assert_eq!(outside.fault, SoundFault::Denied);
        fs::write(folder.path().join("z.wav"), "no sound").unwrap();
        assert_eq!(files.load("z.wav", Rate::Narrow).unwrap_err().fault, SoundFault::Format);
    }

    #[test]
    fn a_play_list_is_read_from_the_folder_and_its_entries_stand_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned(), 1 << 20);
        fs::create_dir(folder.path().join("music")).unwrap();
        fs::write(folder.path().join("music/all.m3u"), "#EXTM3U\na.wav\n../b.wav\n").unwrap();
        let found = files.list("music/all.m3u").unwrap();
        assert_eq!(found, [Sound::File("music/a.wav".into()), Sound::File("b.wav".into())]);
        assert_eq!(files.list("none.m3u").unwrap_err().fault, SoundFault::Missing);
        assert_eq!(files.list("../all.m3u").unwrap_err().fault, SoundFault::Denied);
        fs::write(folder.path().join("long.m3u"), "#".repeat(m3u::LONGEST + 1)).unwrap();
        assert_eq!(files.list("long.m3u").unwrap_err().fault, SoundFault::TooLarge);
    }

    #[test]
    fn each_call_gets_the_rate_that_it_can_use_unless_that_takes_too_much_memory() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 48_000, 24_000);
        let mut files = Files::new(folder.path().to_owned(), 1 << 20);
        for rate in Rate::ALL {
            let pcm = files.load("x.wav", rate).unwrap();
            assert_eq!((pcm.rate, pcm.samples.len()), (rate, 4000 * rate.scale()));
            assert!(Arc::ptr_eq(&pcm, &files.load("x.wav", rate).unwrap()));
        }
        let mut small = Files::new(folder.path().to_owned(), 20_000);
        assert_eq!(small.load("x.wav", Rate::Full).unwrap().rate, Rate::Wide);
        let mut none = Files::new(folder.path().to_owned(), 0);
        assert_eq!(none.load("x.wav", Rate::Full).unwrap().rate, Rate::Narrow);
    }

    /// So many samples of their own number, as `x.wav`.
    fn write(folder: &Path, rate: u32, count: i16) {
        let (channels, bits_per_sample, sample_format) = (1, 16, hound::SampleFormat::Int);
        let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample, sample_format };
        let mut file = hound::WavWriter::create(folder.join("x.wav"), spec).unwrap();
        (0..count).for_each(|_| file.write_sample(count).unwrap());
        file.finalize().unwrap();
    }
}
