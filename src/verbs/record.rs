//! The words of recordings.

use std::time::Duration;

use crate::codec::Rate;

/// How to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// File name below the recording folder; absent: made from date and call id.
    pub file: Option<String>,
    /// What kind of file; absent: as the file's ending says, else WAV.
    pub format: Option<FileFormat>,
    /// Whose voice, and where.
    pub voices: Voices,
    /// Record the room of this name, all who are heard there, in place of the call; `voices` does not matter then.
    pub room: Option<String>,
    /// Of its samples; absent: that of the call, as far as the operator allows.
    pub rate: Option<Rate>,
    /// Ends after this much audio.
    pub max: Option<Duration>,
    /// Ends when the party was silent for this long.
    pub end_of_silence: Option<Duration>,
    /// Digits of the party that end it; empty: none.
    pub stop_on: String,
    /// Play a beep first, which is not recorded.
    pub beep: bool,
    /// True: the reply comes when the recording ended.
    pub wait: bool,
}

/// What a recording holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voices {
    /// One channel with what the party says and hears.
    Mixed,
    /// One channel with only what the party says (a voicemail).
    Party,
    /// Two channels, the party left and what it hears right.
    Stereo,
    /// As stereo, in two files: see [`leg_files`].
    Apart,
}

/// Kinds of sound files that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// 16-bit PCM.
    Wav,
    /// MPEG layer III, constant bit rate.
    Mp3,
    /// Opus in Ogg (RFC 7845).
    Ogg,
}

impl FileFormat {
    /// All of them.
    pub const ALL: [FileFormat; 3] = [FileFormat::Wav, FileFormat::Mp3, FileFormat::Ogg];

    /// Its name, which is the ending of its files.
    pub const fn as_str(self) -> &'static str {
        match self {
            FileFormat::Wav => "wav",
            FileFormat::Mp3 => "mp3",
            FileFormat::Ogg => "ogg",
        }
    }

    /// The format that a file's ending names.
    pub fn of_file(file: &str) -> Option<FileFormat> {
        let (_, ending) = file.rsplit_once('.')?;
        FileFormat::ALL.into_iter().find(|format| format.as_str().eq_ignore_ascii_case(ending))
    }
}

/// The files of [`Voices::Apart`]: `x.wav` becomes `x-said.wav` (by the party) and `x-heard.wav`.
pub fn leg_files(file: &str) -> [String; 2] {
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, "wav"));
    ["said", "heard"].map(|side| format!("{stem}-{side}.{ending}"))
}

/// The files of a recording by the name that it was asked by; `apart`: one a leg.
pub fn files_of(file: &str, apart: bool) -> Vec<String> {
    if apart { leg_files(file).to_vec() } else { vec![file.to_owned()] }
}

/// What becomes of the sound while a recording runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordMode {
    /// It is kept.
    Keep,
    /// It is left out: the recording is shorter by that.
    Pause,
    /// It is silence in the file, as long as it was (card digits).
    Mask,
}

/// Why a recording's file is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The file and what the disk said.
    pub why: String,
    /// What came before is in the file, and can be played.
    pub begun: bool,
}

/// What ended a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordEnd {
    /// It was stopped, or the call ended.
    Stopped,
    /// This digit.
    Key(char),
    /// It was as long as allowed.
    Max,
    /// The party was silent.
    Silence,
}

impl RecordEnd {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordEnd::Stopped => "stopped",
            RecordEnd::Key(_) => "key",
            RecordEnd::Max => "max",
            RecordEnd::Silence => "silence",
        }
    }
}
