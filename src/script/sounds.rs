//! What scripts write where a sound is wanted.

use mlua::{Table, Value};

use super::args::{Given, Options, Refusal, misuse};
use crate::verbs::{SignalTone, Sound, Speech, Tone};

/// Longest text to be spoken, in characters.
const LONGEST_TEXT: usize = 4000;
/// Most sounds in a row.
const MOST_SOUNDS: usize = 64;
const ALLOWED: &str = "a file, an http(s) address, a table with say, tone or silence, or a list of these";
/// Longest address, in bytes.
const LONGEST_URL: usize = 2048;

/// One sound, or a list of them.
pub(super) fn sounds(given: &Given) -> Result<Vec<Sound>, Refusal> {
    let Value::Table(table) = &given.value else { return Ok(vec![sound(given)?]) };
    if is_one(table)? {
        return Ok(vec![sound(given)?]);
    }
    let length = table.raw_len();
    if !(1..=MOST_SOUNDS).contains(&length) {
        return misuse(format!("{} must have 1 to {MOST_SOUNDS} sounds, not {length}", given.place));
    }
    (1..=length)
        .map(|index| sound(&Given { place: format!("{}[{index}]", given.place), value: table.raw_get(index)? }))
        .collect()
}

fn is_one(table: &Table) -> Result<bool, Refusal> {
    for name in ["say", "tone", "silence"] {
        if !table.raw_get::<Value>(name)?.is_nil() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One sound.
pub(super) fn sound(given: &Given) -> Result<Sound, Refusal> {
    let table = match &given.value {
        Value::String(text) => return named(given, &text.to_string_lossy()),
        Value::Table(table) if is_one(table)? => table,
        _ => return given.wrong(ALLOWED),
    };
    let inside = |name: &str| -> Result<Given, Refusal> {
        Ok(Given { place: format!("{}.{name}", given.place), value: table.raw_get(name)? })
    };
    if let Some(text) = inside("say")?.optional() {
        let options = Options::new(&given.place, &given.value, &["say", "language", "voice"], false)?;
        return speech(&text, &options);
    }
    if let Some(which) = inside("tone")?.optional() {
        let options = Options::new(&given.place, &given.value, &["tone", "seconds", "country"], false)?;
        return tone(&which, &options);
    }
    Options::new(&given.place, &given.value, &["silence"], false)?;
    Ok(Sound::Silence(inside("silence")?.seconds_up_to(0.0, 3600.0)?))
}

/// A file of ours, or of a web server.
fn named(given: &Given, text: &str) -> Result<Sound, Refusal> {
    match Sound::named(text) {
        Sound::Web(url) if url.len() <= LONGEST_URL && url.bytes().all(|b| b.is_ascii_graphic()) => Ok(Sound::Web(url)),
        Sound::Web(_) => given.wrong("an address of at most 2,048 characters, without white space"),
        _ => Ok(Sound::File(given.path()?)),
    }
}

/// Text to be spoken, with options `language` and `voice`.
pub(super) fn speech(text: &Given, options: &Options) -> Result<Sound, Refusal> {
    let spoken = text.text(4 * LONGEST_TEXT)?;
    if spoken.chars().count() > LONGEST_TEXT {
        return misuse(format!("{} must be at most {LONGEST_TEXT} characters long", text.place));
    }
    let language = options.text("language", 35)?;
    let voice = options.text("voice", 64)?;
    Ok(Sound::Speech(Speech { text: spoken, language, voice }))
}

/// A tone by name or frequencies, with options `seconds` and `country`.
pub(super) fn tone(which: &Given, options: &Options) -> Result<Sound, Refusal> {
    let country = options.text("country", 2)?.map(|country| country.to_ascii_lowercase());
    let signal = |signal| Tone::Signal { signal, country: country.clone() };
    let tone = match &which.value {
        Value::String(name) => match name.to_string_lossy().as_str() {
            "beep" => Tone::Beep,
            "ringing" => signal(SignalTone::Ringing),
            "busy" => signal(SignalTone::Busy),
            "congestion" => signal(SignalTone::Congestion),
            "dial" => signal(SignalTone::Dial),
            _ => return which.wrong("'beep', 'ringing', 'busy', 'congestion' or 'dial', or one or two frequencies"),
        },
        Value::Table(list) => {
            let (first, second): (Value, Value) = (list.raw_get(1)?, list.raw_get(2)?);
            let place = |index: u8| format!("{}[{index}]", which.place);
            let mut frequencies = vec![frequency(&Given { place: place(1), value: first })?];
            if !second.is_nil() {
                frequencies.push(frequency(&Given { place: place(2), value: second })?);
            }
            if list.raw_len() > 2 {
                return misuse(format!("{} can have at most two frequencies", which.place));
            }
            Tone::Frequencies(frequencies)
        }
        _ => Tone::Frequencies(vec![frequency(which)?]),
    };
    Ok(Sound::Tone { tone, length: options.seconds("seconds", 0.0)? })
}

fn frequency(given: &Given) -> Result<u16, Refusal> {
    let hertz = given.whole(20..=3800)?;
    Ok(u16::try_from(hertz).expect("3800 fits"))
}
