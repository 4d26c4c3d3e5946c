//! Reading the files of a log: entries line by line, hashes by their place, checkpoints one by one.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::fault::{LogError, MAX_LINE};
use super::folder::Folder;
use super::tree::{self, HASH, Hash, Nodes};

/// Bytes of all checkpoints that are read: ten years of one a minute.
const MAX_CHECKPOINTS: u64 = 2 * 1024 * 1024 * 1024;

/// One line of a file of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the log by counting.
    pub n: u64,
    /// Its bytes, without the line feed.
    pub bytes: Vec<u8>,
    /// Whether a line feed ends it.
    pub whole: bool,
    /// Where it begins in its file.
    pub offset: u64,
}

/// The lines of one file of entries.
pub(super) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    n: u64,
    offset: u64,
    /// Bytes of the last line: the next one is hardly shorter.
    length: usize,
}

impl Lines {
    pub(super) fn open(path: &Path, first: u64) -> Result<Self, LogError> {
        let file = File::open(path).map_err(|e| LogError::io("read", path, e))?;
        let reader = BufReader::with_capacity(256 * 1024, file);
        Ok(Lines { reader, path: path.to_owned(), n: first, offset: 0, length: 0 })
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::with_capacity(self.length.min(64 * 1024) + 64);
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.length = read;
        let whole = bytes.last() == Some(&b'\n');
        if whole {
            bytes.pop();
        } else if read >= MAX_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
        }
        let (n, offset) = (self.n, self.offset);
        self.n = self.n.saturating_add(1);
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(Some(Line { n, bytes, whole, offset }))
    }
}

impl Iterator for Lines {
    type Item = Result<Line, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().map_err(|e| LogError::io("read", &self.path, e));
        read.transpose()
    }
}

/// Every line of the log, in order, with its place by counting. A file of entries that does not
/// begin where the one before ends is read on at the place where it says that it begins, so that
/// what is missing is named.
///
/// # Errors
/// The files cannot be read.
pub fn lines(folder: &Folder) -> Result<impl Iterator<Item = Result<Line, LogError>>, LogError> {
    let segments = folder.segments()?;
    let mut place = 0_u64;
    Ok(segments
        .into_iter()
        .flat_map(|(first, path)| match Lines::open(&path, first) {
            Ok(lines) => Box::new(lines) as Box<dyn Iterator<Item = _> + Send>,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })
        .map(move |line| {
            line.map(|line| {
                let line = Line { n: place, ..line };
                place = place.saturating_add(1);
                line
            })
        }))
}

/// The line of entry `n`.
///
/// # Errors
/// The files cannot be read. `None` if there is no such entry.
pub(super) fn line(folder: &Folder, n: u64) -> Result<Option<Line>, LogError> {
    let segments = folder.segments()?;
    let at = segments.partition_point(|(first, _)| *first <= n);
    let Some((first, path)) = at.checked_sub(1).and_then(|at| segments.get(at)) else {
        return Ok(None);
    };
    let skipped = usize::try_from(n - first).unwrap_or(usize::MAX);
    Lines::open(path, *first)?.nth(skipped).transpose().map(|line| line.filter(|l| l.whole))
}

/// The stored hashes of a log.
pub(super) struct TreeFile {
    file: Mutex<File>,
    path: PathBuf,
}

impl TreeFile {
    pub(super) fn open(folder: &Folder) -> Result<Self, LogError> {
        let path = folder.tree();
        let file = File::open(&path).map_err(|e| LogError::io("read", &path, e))?;
        Ok(TreeFile { file: Mutex::new(file), path })
    }

    /// Leaves whose hashes, and those of the subtrees that they fill, are all there.
    pub(super) fn leaves(&self) -> Result<u64, LogError> {
        let file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        let about = file.metadata().map_err(|e| LogError::io("read", &self.path, e))?;
        Ok(tree::leaves_of(about.len() / HASH))
    }

    /// A reader of the hashes in the order of storage.
    pub(super) fn in_order(folder: &Folder) -> Result<BufReader<File>, LogError> {
        let path = folder.tree();
        let file = File::open(&path).map_err(|e| LogError::io("read", &path, e))?;
        Ok(BufReader::with_capacity(64 * 1024, file))
    }
}

impl Nodes for TreeFile {
    type Error = LogError;

    fn node(&self, level: u32, n: u64) -> Result<Hash, LogError> {
        let mut hash = [0; 32];
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        file.seek(SeekFrom::Start(tree::place(level, n).saturating_mul(HASH)))
            .and_then(|_| file.read_exact(&mut hash))
            .map_err(|e| LogError::io("read", &self.path, e))?;
        Ok(hash)
    }
}

/// The notes in the file of all checkpoints, and whether the last one is whole. Ours have five
/// lines: origin, size, root, none, signature.
pub(super) fn notes(folder: &Folder) -> Result<(Vec<Vec<u8>>, bool), LogError> {
    let path = folder.checkpoints();
    let wrong = |e| LogError::io("read", &path, e);
    let mut text = Vec::new();
    match File::open(&path) {
        Ok(file) => {
            file.take(MAX_CHECKPOINTS).read_to_end(&mut text).map_err(wrong)?;
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(wrong(e)),
    }
    let mut lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    let broken_off = lines.pop_if(|line| !line.ends_with(b"\n")).is_some();
    let notes = lines.chunks_exact(5);
    let whole = !broken_off && notes.remainder().is_empty();
    Ok((notes.map(<[_]>::concat).collect(), whole))
}
