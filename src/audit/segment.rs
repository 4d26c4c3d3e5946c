//! Reads the files of a log: entries line by line, hashes by position, checkpoints one by one.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::archived::{self, EntryFile};
use super::fault::{LogError, MAX_LINE};
use super::files;
use super::folder::Folder;
use super::note::MAX_NOTE;
use super::tree::{self, HASH, Hash, Nodes};
use super::unpack::Unpacker;

/// A length in bytes that is less than that of any entry, because the members `mcpid`, `n`, `time`
/// and `event` take more.
const MIN_LINE_BYTES: usize = 40;
/// Maximum number of lines of a file that are too short for an entry. Reading of the file ends
/// after that many lines: a packed file of a megabyte can hold a billion empty lines.
const MAX_SHORT_LINES: u32 = 1_000;

/// One line of a file of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    /// The position of the line in the log, counted from the first line of the first file.
    pub position: u64,
    /// The line's bytes, without the line feed.
    pub bytes: Vec<u8>,
    /// Whether the line ends with a line feed.
    pub whole: bool,
    /// The position of the line in its file, in bytes.
    pub offset: u64,
    /// The position of the line by the name of its file: the number in the name, plus the lines
    /// before it in the file. It differs from `position` if entries are missing.
    pub position_by_name: u64,
    /// What is wrong with the file, if it cannot be read completely.
    pub fault: Option<String>,
}

/// The lines of one file of entries.
pub(super) struct EntryLines {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    packed: bool,
    position: u64,
    offset: u64,
    /// Length of the last line in bytes. As much memory is reserved for the next line.
    length: usize,
    /// Set after a line that is longer than any entry: the rest of the file is not read.
    ended: bool,
    /// Number of lines so far that are too short for an entry.
    short: u32,
}

impl EntryLines {
    pub(super) fn open(path: &Path, first: u64) -> Result<Self, LogError> {
        EntryLines::of(&EntryFile { first, path: path.to_owned(), packed: false })
    }

    pub(super) fn of(file: &EntryFile) -> Result<Self, LogError> {
        let EntryFile { first: position, path, packed } = file.clone();
        let opened = files::read(&path)?;
        let reader: Box<dyn BufRead + Send> = match packed {
            true => Box::new(BufReader::with_capacity(256 * 1024, Unpacker::new(opened))),
            false => Box::new(BufReader::with_capacity(256 * 1024, opened)),
        };
        Ok(EntryLines {
            reader,
            path,
            packed,
            position,
            offset: 0,
            length: 0,
            ended: false,
            short: 0,
        })
    }

    /// Opens an unpacked file at the line with this `position` in the log, which begins `offset`
    /// bytes after the beginning of the file.
    pub(super) fn open_at(path: &Path, position: u64, offset: u64) -> Result<Self, LogError> {
        let mut opened = files::read(path)?;
        opened.seek(SeekFrom::Start(offset)).map_err(|e| LogError::io("read", path, e))?;
        let reader = Box::new(BufReader::with_capacity(64 * 1024, opened));
        let path = path.to_owned();
        Ok(EntryLines {
            reader,
            path,
            packed: false,
            position,
            offset,
            length: 0,
            ended: false,
            short: 0,
        })
    }

    fn read(&mut self) -> io::Result<Option<EntryLine>> {
        if self.ended {
            return Ok(None);
        }
        if self.short > MAX_SHORT_LINES {
            return Ok(Some(
                self.end_with_fault("has over 1000 lines that are too short for an entry"),
            ));
        }
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
            self.ended = true;
        }
        self.short += u32::from(bytes.len() < MIN_LINE_BYTES);
        let (position, offset) = (self.position, self.offset);
        self.position = self.position.saturating_add(1);
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(Some(EntryLine {
            position,
            bytes,
            whole,
            offset,
            position_by_name: position,
            fault: None,
        }))
    }

    /// Ends the reading of a damaged file, and returns an incomplete line with the fault. `why` is
    /// the error text.
    fn end_with_fault(&mut self, why: &str) -> EntryLine {
        self.ended = true;
        let (position, offset) = (self.position, self.offset);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let kind = if self.packed { "archive" } else { "file" };
        let fault = Some(format!("its {kind} {name} {why}"));
        EntryLine {
            position,
            bytes: Vec::new(),
            whole: false,
            offset,
            position_by_name: position,
            fault,
        }
    }
}

impl Iterator for EntryLines {
    type Item = Result<EntryLine, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Err(error) if self.packed => {
                Some(Ok(self.end_with_fault(&format!("cannot be unpacked: {error}"))))
            }
            read => read.map_err(|e| LogError::io("read", &self.path, e)).transpose(),
        }
    }
}

/// Returns all lines of the log, in order. Each line has two positions, one counted from the start
/// of the log and one from the number in the name of its file. The two positions differ if entries
/// are missing.
///
/// # Errors
/// [`LogError`] if the files cannot be read.
pub fn lines(
    folder: &Folder,
) -> Result<impl Iterator<Item = Result<EntryLine, LogError>>, LogError> {
    let mut position = 0_u64;
    Ok(archived::entry_files(folder)?
        .into_iter()
        .flat_map(|file| match EntryLines::of(&file) {
            Ok(lines) => Box::new(lines) as Box<dyn Iterator<Item = _> + Send>,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })
        .map(move |line| {
            line.map(|line| {
                let line = EntryLine { position, ..line };
                position = position.saturating_add(1);
                line
            })
        }))
}

/// Reads the line of entry `n`, and the last line before it in the same file for which `wanted`
/// returns true. Returns `None` if there is no entry `n`.
///
/// # Errors
/// [`LogError`] if the files cannot be read.
pub(super) fn line(
    folder: &Folder,
    n: u64,
    wanted: impl Fn(&EntryLine) -> bool,
) -> Result<Option<(EntryLine, Option<EntryLine>)>, LogError> {
    let files = archived::entry_files(folder)?;
    if folder.is_not_given(n)? {
        return Err(LogError::Archived(n));
    }
    let at = files.partition_point(|file| file.first <= n);
    let Some(file) = at.checked_sub(1).and_then(|at| files.get(at)) else {
        return Ok(None);
    };
    let mut picked = None;
    for line in EntryLines::of(file)? {
        let line = line?;
        if line.position == n {
            return Ok(line.whole.then_some((line, picked)));
        }
        if wanted(&line) {
            picked = Some(line);
        }
    }
    Ok(None)
}

/// Reads the line of entry `n` from this file. Returns `None` if the file does not have the entry.
///
/// # Errors
/// [`LogError`] if the file cannot be read.
pub(super) fn line_of(file: &EntryFile, n: u64) -> Result<Option<EntryLine>, LogError> {
    for line in EntryLines::of(file)? {
        let line = line?;
        if let Some(why) = line.fault {
            return Err(LogError::Archive { path: file.path.clone(), why });
        }
        if line.position == n {
            return Ok(line.whole.then_some(line));
        }
    }
    Ok(None)
}

/// The file with the stored hashes of a log's tree.
pub(super) struct TreeFile {
    file: Mutex<File>,
    path: PathBuf,
}

impl TreeFile {
    pub(super) fn open(folder: &Folder) -> Result<Self, LogError> {
        let path = folder.tree();
        let file = files::read(&path)?;
        Ok(TreeFile { file: Mutex::new(file), path })
    }

    /// Returns the number of leaves for which all hashes are stored.
    pub(super) fn leaves(&self) -> Result<u64, LogError> {
        let file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        let about = file.metadata().map_err(|e| LogError::io("read", &self.path, e))?;
        Ok(tree::leaves_of(about.len() / HASH))
    }

    /// Opens a reader over all stored hashes, in the order in which they are stored.
    pub(super) fn in_order(folder: &Folder) -> Result<BufReader<File>, LogError> {
        Ok(BufReader::with_capacity(64 * 1024, files::read(&folder.tree())?))
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

/// Reads the notes in the file of all checkpoints, one by one. Each signed note has five lines:
/// origin, size, root, an empty line, and the signature.
pub(super) struct Notes {
    reader: Option<BufReader<File>>,
    path: PathBuf,
    /// The length of the notes that were read so far, in bytes.
    pub(super) length: u64,
    /// The bytes after the last complete note, from an interrupted write.
    pub(super) incomplete: Vec<u8>,
}

impl Notes {
    /// Opens the file. If it is missing, there are no notes.
    pub(super) fn open(folder: &Folder) -> Result<Self, LogError> {
        let path = folder.checkpoints();
        let reader = match files::read(&path) {
            Ok(file) => Some(BufReader::with_capacity(64 * 1024, file)),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        Ok(Notes { reader, path, length: 0, incomplete: Vec::new() })
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let mut note = Vec::with_capacity(256);
        for _ in 0..5 {
            let room = (MAX_NOTE + 1).saturating_sub(note.len());
            let limit = u64::try_from(room).unwrap_or(u64::MAX);
            let read = reader.by_ref().take(limit).read_until(b'\n', &mut note)?;
            // No valid note is that long. The bytes are returned nevertheless, and the caller will
            // fail to parse them.
            if note.len() > MAX_NOTE {
                self.reader = None;
                return Ok(Some(note));
            }
            if read == 0 || note.last() != Some(&b'\n') {
                self.reader = None;
                self.incomplete = note;
                return Ok(None);
            }
        }
        self.length = self.length.saturating_add(u64::try_from(note.len()).unwrap_or(u64::MAX));
        Ok(Some(note))
    }
}

impl Iterator for Notes {
    type Item = Result<Vec<u8>, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().map_err(|e| LogError::io("read", &self.path, e));
        if read.is_err() {
            self.reader = None;
        }
        read.transpose()
    }
}
