//! A file that is there as a whole or not at all.

use std::{fs, io, path::Path};

/// Put `text` in the place of what `file` held. Who reads meanwhile, or after a crash, finds the one or the other.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}
