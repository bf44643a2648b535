//! One recording's file, or two where each side of the call has its own. It can be played at any time up to about the
//! last second: nothing has to be written at its end.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Component, Path},
    sync::Arc,
};

use super::{
    lame::{Lame, Mp3},
    opus::OggOpus,
    replace::replace,
};
use crate::{
    audio::wav,
    media::{Layout, Shape},
    verbs::{FileFormat, Torn, files_of},
};

/// Bytes before the audio of a WAV file.
const HEADER: u64 = 44;
const SILENCE: [i16; 4000] = [0; 4000];

/// A recording that is being written.
pub(super) struct Recording {
    name: String,
    tracks: Vec<Track>,
    channels: u16,
    /// Samples per channel.
    written: u64,
    /// Why it is given up.
    failed: Option<String>,
    one: Vec<i16>,
}

/// One file.
struct Track {
    file: File,
    /// Bytes of audio in it.
    size: u64,
    coder: Coder,
    bytes: Vec<u8>,
}

enum Coder {
    Wav { channels: u16, rate: u32, in_header: u64 },
    Mp3(Mp3),
    Ogg(Box<OggOpus>),
}

impl Recording {
    /// Make the file, and the folders that its name goes through. `lame` is loaded where it is needed first.
    pub(super) fn create(
        folder: &Path,
        name: &str,
        shape: Shape,
        serial: u64,
        lame: &mut Option<Arc<Lame>>,
    ) -> io::Result<Recording> {
        let apart = shape.apart && shape.layout == Layout::Stereo;
        let names = files_of(name, apart);
        let channels = if apart { 1 } else { shape.layout.channels() };
        let coders = names.iter().map(|_| Coder::new(shape.format, (channels, shape.rate), serial, lame));
        let coders = coders.collect::<io::Result<Vec<_>>>()?;
        let tracks = names.iter().zip(coders).map(|(name, coder)| Track::new(create(folder, name)?, coder));
        let tracks = tracks.collect::<io::Result<Vec<_>>>()?;
        let channels = shape.layout.channels();
        Ok(Recording { name: name.to_owned(), tracks, channels, written: 0, failed: None, one: Vec::new() })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Keep what is known of its call beside each of its files, as `x.wav.json`: so whose they are is known, whatever
    /// becomes of the call.
    pub(super) fn note(&self, folder: &Path, note: &str, upload: bool) -> io::Result<()> {
        self.names().iter().try_for_each(|name| {
            if upload {
                fs::write(folder.join(format!("{name}.todo")), b"")?;
            }
            replace(&folder.join(format!("{name}.json")), note)
        })
    }

    /// Keep this in the place of what was noted before. Where a file was erased meanwhile nothing of it comes back.
    pub(super) fn note_again(&self, folder: &Path, note: &str) -> io::Result<()> {
        let names = self.names();
        let mut there = names.iter().filter(|name| folder.join(name).exists());
        there.try_for_each(|name| replace(&folder.join(format!("{name}.json")), note))
    }

    fn names(&self) -> Vec<String> {
        files_of(&self.name, self.tracks.len() > 1)
    }

    /// Interleaved samples.
    pub(super) fn add(&mut self, samples: &[i16]) {
        if self.failed.is_some() {
            return;
        }
        let added = match self.tracks.as_mut_slice() {
            [track] => track.add(samples),
            tracks => tracks.iter_mut().enumerate().try_for_each(|(at, track)| {
                self.one.clear();
                self.one.extend(samples.iter().skip(at).step_by(usize::from(self.channels)));
                track.add(&self.one)
            }),
        };
        match added {
            Ok(()) => self.written += samples.len() as u64 / u64::from(self.channels),
            Err(error) => self.fail(&error),
        }
    }

    /// Bring up to date what says how long it is.
    pub(super) fn patch(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.tracks.iter_mut().try_for_each(Track::patch)
        {
            self.fail(&error);
        }
    }

    /// The end: silence up to so many samples per channel. What came of it.
    pub(super) fn finish(mut self, samples: u64) -> Result<String, Torn> {
        let mut missing = samples.saturating_sub(self.written);
        while missing > 0 && self.failed.is_none() {
            let some = missing.min((SILENCE.len() / usize::from(self.channels)) as u64);
            self.add(&SILENCE[..some as usize * usize::from(self.channels)]);
            missing -= some;
        }
        if self.failed.is_none()
            && let Err(error) = self.tracks.iter_mut().try_for_each(Track::finish)
        {
            self.fail(&error);
        }
        match self.failed {
            None => Ok(self.name),
            Some(reason) => Err(Torn { why: format!("{}: {reason}", self.name), begun: self.written > 0 }),
        }
    }

    pub(super) fn fail(&mut self, error: &io::Error) {
        tracing::error!(file = self.name, %error, "a recording ends here");
        // What was written can be played, if the disk still takes these few bytes.
        self.tracks.iter_mut().for_each(|track| drop(track.patch()));
        self.failed = Some(error.to_string());
    }
}

impl Coder {
    fn new(
        format: FileFormat,
        (channels, rate): (u16, u32),
        serial: u64,
        lame: &mut Option<Arc<Lame>>,
    ) -> io::Result<Coder> {
        match format {
            FileFormat::Wav => Ok(Coder::Wav { channels, rate, in_header: u64::MAX }),
            FileFormat::Mp3 => {
                let loaded = match lame {
                    Some(loaded) => Arc::clone(loaded),
                    None => Arc::clone(lame.insert(Lame::load()?)),
                };
                Ok(Coder::Mp3(Mp3::new(loaded, channels, rate)?))
            }
            FileFormat::Ogg => Ok(Coder::Ogg(Box::new(OggOpus::new(channels, rate, serial as u32)?))),
        }
    }

    /// Where the audio begins in the file.
    fn start(&self) -> u64 {
        match self {
            Coder::Wav { .. } => HEADER,
            Coder::Mp3(_) | Coder::Ogg(_) => 0,
        }
    }
}

impl Track {
    fn new(file: File, coder: Coder) -> io::Result<Track> {
        let mut track = Track { file, size: 0, coder, bytes: Vec::new() };
        track.patch()?;
        Ok(track)
    }

    fn add(&mut self, samples: &[i16]) -> io::Result<()> {
        match &mut self.coder {
            Coder::Wav { .. } => self.bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Coder::Mp3(coder) => coder.add(samples, &mut self.bytes)?,
            Coder::Ogg(coder) => coder.add(samples, &mut self.bytes)?,
        }
        self.write()
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.coder {
            Coder::Wav { .. } => {}
            Coder::Mp3(coder) => coder.finish(&mut self.bytes)?,
            Coder::Ogg(coder) => coder.finish(&mut self.bytes)?,
        }
        self.write()?;
        self.patch()
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.coder.start() + self.size)?;
        self.size += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    fn patch(&mut self) -> io::Result<()> {
        match &mut self.coder {
            Coder::Wav { channels, rate, in_header } if *in_header != self.size => {
                let samples = self.size / (2 * u64::from(*channels));
                self.file.write_all_at(&wav::header(*channels, *rate, samples), 0)?;
                *in_header = self.size;
                Ok(())
            }
            Coder::Wav { .. } | Coder::Mp3(_) | Coder::Ogg(_) => Ok(()),
        }
    }
}

/// No name leads out of `folder`.
fn create(folder: &Path, name: &str) -> io::Result<File> {
    let name = Path::new(name);
    let stays_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside || name.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name below the folder of recordings"));
    }
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    // Who makes room leaves it alone as long as it is locked: while a recording pauses, it looks old. Where the file system
    // has no locks, or another one writes to the same name, it is recorded all the same.
    let _ = file.try_lock();
    Ok(file)
}
