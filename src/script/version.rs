//! Which text of a script it is: the number under which it was put into service, or the beginning of its hash.

use std::{fmt::Write, fs, io, path::Path, sync::Arc};

use ring::digest::{SHA256, digest};

/// Where the numbers are, below the script folder: `.versions/menu.lua.txt` says `3 sha256:0123456789abcdef`.
const FOLDER: &str = ".versions";

/// `sha256:` and the first 16 digits of the text's hash.
pub(super) fn hash(text: &[u8]) -> Arc<str> {
    let mut name = "sha256:".to_owned();
    for byte in &digest(&SHA256, text).as_ref()[..8] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.into()
}

/// From now on `text` is known as this version of the script `name` below `folder`, until another one is. To be called
/// before the script's own file is written.
pub fn mark(folder: &Path, name: &str, version: i64, text: &str) -> io::Result<()> {
    let file = folder.join(FOLDER).join(format!("{name}.txt"));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, format!("{version} {}\n", hash(text.as_bytes())))
}

/// The number of the text with this hash, where it is the one that was marked last.
pub(super) fn number(folder: &Path, name: &str, hash: &str) -> Option<Arc<str>> {
    let line = fs::read_to_string(folder.join(FOLDER).join(format!("{name}.txt"))).ok()?;
    let (number, marked) = line.trim_end().split_once(' ')?;
    (marked == hash && number.parse::<i64>().is_ok()).then(|| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_number_under_which_it_was_marked_and_no_other_text_has() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (hash(b"call:answer()"), hash(b"call:hangup()"));
        assert_eq!(&*one, "sha256:5bb2b6d6ffa13e8d", "as sha256sum has it");
        assert_ne!(one, other);
        assert_eq!(number(folder.path(), "shop/menu.lua", &one), None);
        mark(folder.path(), "shop/menu.lua", 3, "call:answer()").unwrap();
        assert_eq!(number(folder.path(), "shop/menu.lua", &one).as_deref(), Some("3"));
        assert_eq!(number(folder.path(), "shop/menu.lua", &other), None, "somebody wrote the file by hand");
        mark(folder.path(), "shop/menu.lua", 4, "call:hangup()").unwrap();
        assert_eq!(number(folder.path(), "shop/menu.lua", &other).as_deref(), Some("4"));
    }
}
