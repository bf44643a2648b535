//! The spool: what is on its way to the database waits in files of lines, so that a slow or lost database delays
//! nobody and loses nothing.
//!
//! Each line has a number, counted up over all restarts. A file is named after the number of its first line; so the
//! next number is known from the files alone, also where all lines are gone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use ring::rand::{SecureRandom, SystemRandom};

use super::{event::Written, way::Mark};

/// A file of so many bytes is followed by a new one.
const SEGMENT: u64 = 8 << 20;
/// Bytes that are read at once.
const AHEAD: usize = 128 << 10;
/// Lines that get other numbers at once.
const AT_ONCE: usize = 2000;

/// The writing end.
pub struct Spool {
    folder: PathBuf,
    file: File,
    /// Number of the file's first line.
    first: u64,
    /// Number of the line that comes next.
    next: u64,
    /// Whole lines in the file, in bytes.
    written: u64,
    /// Bytes in the files before this one.
    before: u64,
    limit: u64,
    /// Held as long as this is there: nobody else writes.
    _lock: File,
}

fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.jsonl"))
}

/// The line of an event under another number. What nobody can read stays so.
fn renumbered(line: &str, number: u64) -> String {
    match line.strip_prefix("{\"id\":").and_then(|rest| rest.find(',').map(|at| &rest[at..])) {
        Some(rest) => format!("{{\"id\":{number}{rest}\n"),
        None => format!("{line}\n"),
    }
}

/// The numbers of the first lines of all files, in order.
fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let first =
            name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|name| name.parse::<u64>().ok());
        firsts.extend(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Keep everybody else from writing to the spool in `folder`, which is made where it is not there, as long as the file
/// that is given back is open.
pub fn hold(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock().map_err(|_| io::Error::other("another server writes to this folder's spool"))?;
    Ok(lock)
}

impl Spool {
    /// The spool in `folder`, which is made where it is not there. A line that was torn is forgotten. `limit`: most
    /// bytes on disk.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Spool> {
        let lock = hold(folder)?;
        let all = segments(folder)?;
        let first = all.last().copied().unwrap_or(1);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path(folder, first))?;
        let (mut lines, mut written) = (0, 0);
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            lines += 1;
            written += line.len() as u64;
            line.clear();
        }
        file.set_len(written)?;
        let mut before = 0;
        for earlier in all.iter().filter(|earlier| **earlier != first) {
            before += fs::metadata(path(folder, *earlier))?.len();
        }
        let (folder, next) = (folder.to_owned(), first + lines);
        Ok(Spool { folder, file, first, next, written, before, limit, _lock: lock })
    }

    /// What is in its files.
    pub fn marks(&self) -> io::Result<Vec<Mark>> {
        let firsts = segments(&self.folder)?;
        let nexts = firsts.iter().skip(1).copied().chain([self.next]);
        let mark = |(first, next): (u64, u64)| {
            let file = File::open(path(&self.folder, first))?;
            let bytes = file.metadata()?.len();
            let mut line = String::new();
            BufReader::new(file).read_line(&mut line)?;
            let at_ms = serde_json::from_str::<Written<'_>>(&line).map_or(0, |event| event.at_ms);
            Ok((next > first).then_some(Mark { last: next - 1, bytes, at_ms }))
        };
        let marks: io::Result<Vec<_>> = firsts.iter().copied().zip(nexts).map(mark).collect();
        Ok(marks?.into_iter().flatten().collect())
    }

    /// The number of the next line.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Write whole lines, the first of which has the number [`Spool::next`]. When this returns, they are on the disk;
    /// where it fails, nothing of them is.
    pub fn append(&mut self, lines: &[u8], count: u64) -> io::Result<()> {
        if self.written >= SEGMENT {
            let file =
                OpenOptions::new().create_new(true).read(true).write(true).open(path(&self.folder, self.next))?;
            self.before += self.written;
            (self.file, self.first, self.written) = (file, self.next, 0);
        }
        if self.before + self.written + lines.len() as u64 > self.limit {
            self.before = self.measure()?;
            if self.before + self.written + lines.len() as u64 > self.limit {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool has reached store.spool_mb"));
            }
        }
        let done = self.file.write_all_at(lines, self.written).and_then(|()| self.file.sync_data());
        if let Err(error) = done {
            // What was begun is no whole line to anybody: it lies behind the end, and is written over.
            let _ = self.file.set_len(self.written);
            return Err(error);
        }
        self.written += lines.len() as u64;
        self.next += count;
        Ok(())
    }

    /// The lines from the number `from` on get the numbers after `done`, and so does what comes; the lines before them
    /// are not needed any more. Lines begin with their number. Where it fails, all is as it was.
    pub fn renumber(&mut self, from: u64, done: u64) -> io::Result<()> {
        let (new, earlier) = (self.folder.join("renumbered"), segments(&self.folder)?);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).read(true).write(true).open(&new)?;
        let mut tail = Tail::after(&self.folder, from.saturating_sub(1));
        let (mut next, mut written) = (done + 1, 0);
        loop {
            let lines = tail.read(self.next - 1, AT_ONCE)?;
            if lines.is_empty() {
                break;
            }
            let text: String = lines.iter().zip(next..).map(|((_, line), number)| renumbered(line, number)).collect();
            file.write_all_at(text.as_bytes(), written)?;
            (next, written) = (next + lines.len() as u64, written + text.len() as u64);
        }
        file.sync_all()?;
        fs::rename(&new, path(&self.folder, done + 1))?;
        File::open(&self.folder)?.sync_all()?;
        (self.file, self.first, self.next) = (file, done + 1, next);
        (self.written, self.before) = (written, 0);
        for first in earlier {
            // Readers pass what is left of them.
            fs::remove_file(path(&self.folder, first))?;
        }
        Ok(())
    }

    /// Bytes in the files before the present one; readers take files away.
    fn measure(&self) -> io::Result<u64> {
        let earlier = segments(&self.folder)?.into_iter().filter(|first| *first != self.first);
        Ok(earlier.filter_map(|first| fs::metadata(path(&self.folder, first)).ok()).map(|file| file.len()).sum())
    }
}

/// The reading end.
pub struct Tail {
    folder: PathBuf,
    open: Option<BufReader<File>>,
    /// Number of the line that is read next.
    next: u64,
}

impl Tail {
    /// From the first line after `done`.
    pub fn after(folder: &Path, done: u64) -> Tail {
        Tail { folder: folder.to_owned(), open: None, next: done + 1 }
    }

    /// At most `most` lines up to the number `end`, with their numbers. Lines that are not there any more are passed.
    pub fn read(&mut self, end: u64, most: usize) -> io::Result<Vec<(u64, String)>> {
        let mut lines = Vec::new();
        while self.next <= end && lines.len() < most {
            let mut reader = match self.open.take() {
                Some(reader) => reader,
                None => match self.find()? {
                    Some(reader) => reader,
                    None => break,
                },
            };
            let mut line = String::new();
            // The end of this file: the next one begins with the number that is due.
            if reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                let all = segments(&self.folder)?;
                let Some(following) = all.iter().find(|first| **first >= self.next) else { break };
                // Numbers may have been passed over.
                self.next = *following;
                continue;
            }
            line.pop();
            lines.push((self.next, line));
            self.next += 1;
            self.open = Some(reader);
        }
        Ok(lines)
    }

    /// The file with the line that is due, read up to it.
    fn find(&mut self) -> io::Result<Option<BufReader<File>>> {
        let all = segments(&self.folder)?;
        let first = all.iter().rev().find(|first| **first <= self.next).or(all.first());
        let Some(first) = first.copied() else { return Ok(None) };
        self.next = self.next.max(first);
        let mut reader = BufReader::with_capacity(AHEAD, File::open(path(&self.folder, first))?);
        for _ in first..self.next {
            reader.skip_until(b'\n')?;
        }
        Ok(Some(reader))
    }

    /// Take away the files of which nothing is needed after the line `done`; never the last one.
    pub fn forget(&self, done: u64) -> io::Result<()> {
        let all = segments(&self.folder)?;
        for two in all.windows(2) {
            if two[1] <= done + 1 {
                fs::remove_file(path(&self.folder, two[0]))?;
            }
        }
        Ok(())
    }
}

/// The name of this spool in the database, made with the spool: numbers of two spools are never taken for one another.
pub fn name(folder: &Path) -> io::Result<String> {
    fs::create_dir_all(folder)?;
    let file = folder.join("name");
    let mut text = String::new();
    match File::open(&file) {
        Ok(mut open) => open.read_to_string(&mut text).map(drop)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut bytes = [0; 8];
            SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the kernel gives no randomness"))?;
            text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let new = folder.join("name.new");
            fs::write(&new, &text)?;
            File::open(&new)?.sync_all()?;
            fs::rename(&new, &file)?;
        }
        Err(error) => return Err(error),
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 30;

    fn line(number: u64) -> Vec<u8> {
        format!("line {number} {}\n", "x".repeat(1000)).into_bytes()
    }

    fn fill(spool: &mut Spool, count: u64) {
        for _ in 0..count {
            spool.append(&line(spool.next()), 1).unwrap();
        }
    }

    #[test]
    fn lines_come_back_in_order_over_files_and_restarts_and_read_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), LIMIT).unwrap();
        fill(&mut spool, 12_000);
        drop(spool);
        let mut spool = Spool::open(folder.path(), LIMIT).unwrap();
        assert_eq!(spool.next(), 12_001);
        fill(&mut spool, 8_000);
        assert!(segments(folder.path()).unwrap().len() > 2);
        let mut tail = Tail::after(folder.path(), 7);
        let mut due = 8;
        while due <= 20_000 {
            let lines = tail.read(20_000, 777).unwrap();
            assert!(!lines.is_empty(), "{due}");
            for (number, text) in lines {
                assert_eq!(number, due);
                assert!(text.starts_with(&format!("line {due} ")), "{due}: {text}");
                due += 1;
            }
        }
        assert!(tail.read(20_000, 10).unwrap().is_empty());
        tail.forget(20_000).unwrap();
        assert_eq!(segments(folder.path()).unwrap().len(), 1);
        drop(spool);
        assert_eq!(Spool::open(folder.path(), LIMIT).unwrap().next(), 20_001, "numbers outlive their lines");
    }

    #[test]
    fn a_torn_line_is_forgotten_and_its_number_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), LIMIT).unwrap();
        fill(&mut spool, 3);
        assert!(Spool::open(folder.path(), LIMIT).is_err(), "one writer at a time");
        drop(spool);
        let file = path(folder.path(), 1);
        let length = fs::metadata(&file).unwrap().len();
        OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 5).unwrap();
        let mut spool = Spool::open(folder.path(), LIMIT).unwrap();
        assert_eq!(spool.next(), 3);
        spool.append(b"new\n", 1).unwrap();
        let lines = Tail::after(folder.path(), 0).read(3, 10).unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2].1, "new");
    }

    #[test]
    fn a_full_spool_says_so_and_takes_more_once_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 20 << 20).unwrap();
        let refused = loop {
            let next = spool.next();
            if let Err(error) = spool.append(&line(next), 1) {
                break error;
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        let last = spool.next() - 1;
        assert!(last > 18_000, "{last}");
        Tail::after(folder.path(), last).forget(last).unwrap();
        fill(&mut spool, 10);
        assert_eq!(Tail::after(folder.path(), last).read(last + 10, 100).unwrap().len(), 10);
    }

    #[test]
    fn lines_get_other_numbers_and_what_follows_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), LIMIT).unwrap();
        for number in 1..=5 {
            spool.append(format!("{{\"id\":{number},\"order\":{number}}}\n").as_bytes(), 1).unwrap();
        }
        spool.append(b"torn\n", 1).unwrap();
        spool.renumber(4, 5000).unwrap();
        assert_eq!(spool.next(), 5004);
        spool.append(b"{\"id\":5004}\n", 1).unwrap();
        drop(spool);
        assert_eq!(Spool::open(folder.path(), LIMIT).unwrap().next(), 5005);
        let lines = Tail::after(folder.path(), 0).read(6000, 100).unwrap();
        let text: Vec<_> = lines.iter().map(|(number, line)| format!("{number} {line}")).collect();
        let wanted =
            ["5001 {\"id\":5001,\"order\":4}", "5002 {\"id\":5002,\"order\":5}", "5003 torn", "5004 {\"id\":5004}"];
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_reader_passes_over_numbers_that_no_file_has() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path(), 1), "a\nb\n").unwrap();
        fs::write(path(folder.path(), 10), "c\n").unwrap();
        let lines = Tail::after(folder.path(), 0).read(10, 100).unwrap();
        assert_eq!(lines.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 10]);
    }

    #[test]
    fn a_spool_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let first = name(folder.path()).unwrap();
        assert_eq!((first.len(), name(folder.path()).unwrap()), (16, first));
    }
}
