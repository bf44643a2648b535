//! Play lists: M3U, one sound a line. Entries are paths or addresses, most often beside the list.
//!
//! There is no standard; this is what players agree on. Lines that begin with `#` are remarks, but for those of HLS (RFC
//! 8216), whose "entries" are pieces of one film: such a list is no play list.

use crate::verbs::{NoSound, Sound, SoundFault};

/// Longest list, in bytes.
pub const LONGEST: usize = 64 << 10;
/// Most entries of one list.
pub const MOST: usize = 256;

/// True where this is the name of a play list.
pub fn is_list(name: &str) -> bool {
    let web = matches!(Sound::named(name), Sound::Web(_));
    let name = if web { name.split(['?', '#']).next().unwrap_or(name) } else { name };
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.eq_ignore_ascii_case("m3u") || ending.eq_ignore_ascii_case("m3u8")
}

/// The entries of the list that was found at `place`, an address or a path: at least one.
pub fn entries(place: &str, bytes: &[u8]) -> Result<Vec<Sound>, NoSound> {
    let wrong = |fault, why: &str| Err(NoSound::new(fault, format!("{place}: {why}")));
    if bytes.len() > LONGEST {
        return wrong(SoundFault::TooLarge, &format!("a play list may have {LONGEST} bytes"));
    }
    // Old lists are not UTF-8; what they are is anybody's guess, and Latin-1 the usual one.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("#EXT-X-") {
            return wrong(SoundFault::Format, "a list of HLS segments, which is no play list");
        }
        if line.starts_with('#') {
            continue;
        }
        if found.len() == MOST {
            return wrong(SoundFault::TooLarge, &format!("a play list may have {MOST} entries"));
        }
        match beside(place, line) {
            Some(sound) => found.push(sound),
            None => return wrong(SoundFault::Denied, &format!("{line:?} leads out of where the list is")),
        }
    }
    if found.is_empty() { wrong(SoundFault::Format, "the play list is empty") } else { Ok(found) }
}

/// What `entry` means in the list at `place`.
fn beside(place: &str, entry: &str) -> Option<Sound> {
    let has_scheme =
        entry.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
    if has_scheme {
        let sound = Sound::named(&entry.replace(' ', "%20"));
        return matches!(sound, Sound::Web(_)).then_some(sound);
    }
    match Sound::named(place) {
        Sound::Web(url) => from_web(&url, &entry.replace(' ', "%20")).map(Sound::Web),
        _ => {
            let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
            // Lists from Windows have its kind of slash.
            let entry = entry.replace('\\', "/");
            let named = !entry.starts_with('/') && !entry.contains(':');
            named.then(|| steps(folder, &entry)).flatten().filter(|path| !path.is_empty()).map(Sound::File)
        }
    }
}

/// Where `entry` leads from the address `url` (RFC 3986 section 5.2, as far as lists have need of it).
fn from_web(url: &str, entry: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if let Some(other) = entry.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (folder, entry) = entry.strip_prefix('/').map_or((folder, entry), |entry| ("", entry));
    let (entry, query) = entry.split_at(entry.find(['?', '#']).unwrap_or(entry.len()));
    Some(format!("{scheme}://{host}/{}{query}", steps(folder, entry)?))
}

/// From `folder` along `path`; nothing where that leads above the top.
fn steps(folder: &str, path: &str) -> Option<String> {
    let mut walked: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(walked.pop()?),
            part => walked.push(part),
        }
    }
    Some(walked.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str, text: &str) -> Vec<String> {
        let found = entries(list, text.as_bytes()).unwrap_or_else(|why| panic!("{why:?}"));
        found
            .into_iter()
            .map(|sound| match sound {
                Sound::File(name) | Sound::Web(name) => name,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn fault(list: &str, text: &[u8]) -> SoundFault {
        entries(list, text).unwrap_err().fault
    }

    #[test]
    fn a_list_is_known_by_its_name() {
        for name in ["a.m3u", "music/A.M3U8", "http://x/a.m3u?b=c.wav", "https://x/y/a.M3u8#z"] {
            assert!(is_list(name), "{name}");
        }
        for name in ["a.wav", "m3u", "http://x/a.wav?b=c.m3u", "http://x/m3u8"] {
            assert!(!is_list(name), "{name}");
        }
    }

    #[test]
    fn entries_stand_beside_the_list_wherever_that_is() {
        let text =
            "\u{feff}#EXTM3U\r\n#EXTINF:12,A song\r\na b.mp3\r\n\r\n./sub\\c.ogg\r\n../d.wav\r\nhttp://y/e f.wav\r\n";
        assert_eq!(names("music/list.m3u", text), ["music/a b.mp3", "music/sub/c.ogg", "d.wav", "http://y/e%20f.wav"]);
        assert_eq!(names("list.m3u", "a.wav\nmore.m3u8"), ["a.wav", "more.m3u8"]);
        let text = "a b.mp3\n/top.wav?x=1/2\n../up.wav\n//z/f.wav\nhttps://y/e.wav";
        let want = [
            "http://x:81/m/a%20b.mp3",
            "http://x:81/top.wav?x=1/2",
            "http://x:81/up.wav",
            "http://z/f.wav",
            "https://y/e.wav",
        ];
        assert_eq!(names("http://x:81/m/list.m3u?q=/", text), want);
        assert_eq!(names("http://x", "a.wav"), ["http://x/a.wav"]);
    }

    #[test]
    fn old_lists_are_read_as_latin_1() {
        let found = entries("l.m3u", b"f\xfcr.wav\n").unwrap();
        assert_eq!(found, [Sound::File("für.wav".into())]);
    }

    #[test]
    fn what_is_empty_too_long_of_another_kind_or_leads_astray_is_refused_in_a_word() {
        assert_eq!(fault("a.m3u", b"#EXTM3U\n\n"), SoundFault::Format);
        assert_eq!(fault("a.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n1.ts"), SoundFault::Format);
        assert_eq!(fault("a.m3u", &b"a.wav\n".repeat(MOST + 1)), SoundFault::TooLarge);
        assert_eq!(fault("a.m3u", &vec![b'#'; LONGEST + 1]), SoundFault::TooLarge);
        for entry in ["/etc/passwd", "../x.wav", "a/../../x.wav", "C:\\x.wav", "file:///etc/passwd", "."] {
            assert_eq!(fault("a.m3u", entry.as_bytes()), SoundFault::Denied, "{entry}");
        }
        assert_eq!(fault("http://x/a/b.m3u", b"../../c.wav"), SoundFault::Denied);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut seed = 1_u32;
        for list in ["a/b.m3u", "http://x/a.m3u", "http://", "x"] {
            for _ in 0..2000 {
                let text: Vec<u8> = (0..24)
                    .map(|_| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        b"a./\\:#?\n \xff"[(seed >> 24) as usize % 10]
                    })
                    .collect();
                drop(entries(list, &text));
            }
        }
    }
}
