//! The file `NAME-last`, which records the last claim: it shows when an older copy has replaced the
//! store file.
//!
//! An older copy of the store file contains everything that the store file says about itself, and
//! so looks valid. So a second file, `NAME-last`, records which file was written last (device and
//! inode), when it changed (its `ctime`, which only the kernel sets), and the last claim. A copy in
//! place of the file has another inode or another `ctime`; if SQLite's log was removed, the last
//! claim is missing in the file. Only a snapshot of the whole file system, which restores both
//! files, goes unnoticed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::fault::SqliteFault;

/// The first word of `NAME-last`, with the version of its format. Content that begins otherwise is
/// ignored.
const FORM: &str = "mcpid-last/1";

/// The size of `NAME-last` in bytes, padded with blanks. It is always the same, so that overwriting
/// it needs no room on a full disk.
const NOTE_BYTES: usize = 192;

/// The version of a file: device, inode, and the seconds and nanoseconds of its last change.
pub(super) type FileVersion = [i64; 4];

/// A stored nonce: its id, and the earliest time at which it may be forgotten.
pub(super) type Claimed = ([u8; 32], i64);

/// The content of `NAME-last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastClaimNote {
    pub(super) version: FileVersion,
    pub(super) claimed: Option<Claimed>,
}

/// The file `NAME-last`. It stays locked from the check of the store file until it is written, so
/// that no process overwrites newer content with older.
#[derive(Debug)]
pub(super) struct LastClaim {
    file: File,
}

impl LastClaim {
    /// Opens `NAME-last` of the store at `store`, and creates it if it is missing: with access for
    /// its owner only, and without following a link.
    ///
    /// # Errors
    /// [`SqliteFault`] if the file cannot be opened or created.
    pub(super) fn open(store: &Path) -> Result<Self, SqliteFault> {
        let failed = |e: io::Error| SqliteFault::io("the file beside it cannot be opened", &e);
        let path = sibling_path(store, "-last");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Opening with `create` follows links and blocks on a FIFO, so only a regular file is
        // opened.
        if path.symlink_metadata().is_ok_and(|about| !about.is_file()) {
            return Err(SqliteFault::new("the file beside it is not a regular file"));
        }
        let file = options.open(&path).map_err(failed)?;
        Ok(LastClaim { file })
    }

    /// Returns the content of the file, if it can be parsed.
    pub(super) fn read(&self) -> Option<LastClaimNote> {
        let mut text = Vec::with_capacity(NOTE_BYTES + 1);
        let mut file = &self.file;
        file.rewind().ok()?;
        file.take(NOTE_BYTES as u64 + 1).read_to_end(&mut text).ok()?;
        (text.len() == NOTE_BYTES).then_some(text).and_then(|text| LastClaimNote::parse(&text))
    }

    /// Writes the file version that `version` returns, and the claim `claimed`. If `claimed` is
    /// `None`, the recorded claim stays, unless `forgotten` is set.
    ///
    /// # Errors
    /// [`SqliteFault`] if the file cannot be written, or if `version` fails.
    pub(super) fn write(
        &self,
        version: impl FnOnce() -> Result<FileVersion, SqliteFault>,
        claimed: Option<Claimed>,
        forgotten: bool,
    ) -> Result<FileVersion, SqliteFault> {
        let failed = |e: io::Error| SqliteFault::io("the file beside it cannot be written", &e);
        self.file.lock().map_err(failed)?;
        let written = version().and_then(|version| {
            let old = if forgotten { None } else { self.read().and_then(|note| note.claimed) };
            let text = LastClaimNote { version, claimed: claimed.or(old) }.text();
            let mut file = &self.file;
            file.rewind().and_then(|()| file.write_all(&text)).map_err(failed)?;
            Ok(version)
        });
        self.file.unlock().map_err(failed)?;
        written
    }
}

impl LastClaimNote {
    fn text(&self) -> Vec<u8> {
        let [device, inode, seconds, nanos] = self.version;
        let mut text = format!("{FORM} {device} {inode} {seconds} {nanos} ");
        match self.claimed {
            Some((id, until)) => {
                text.extend(id.iter().map(|byte| format!("{byte:02x}")));
                text.push_str(&format!(" {until}"));
            }
            None => text.push('-'),
        }
        let mut bytes = text.into_bytes();
        bytes.resize(NOTE_BYTES - 1, b' ');
        bytes.push(b'\n');
        bytes
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let words: Vec<&str> = std::str::from_utf8(text).ok()?.split_ascii_whitespace().collect();
        let [form, device, inode, seconds, nanos, ref claimed @ ..] = *words else { return None };
        let version = [device, inode, seconds, nanos].map(|word| word.parse().ok());
        let [Some(device), Some(inode), Some(seconds), Some(nanos)] = version else { return None };
        let claimed = match *claimed {
            ["-"] => None,
            [id, until] if id.len() == 64 && id.is_ascii() => {
                let mut bytes = [0; 32];
                for (byte, digits) in bytes.iter_mut().zip(id.as_bytes().chunks_exact(2)) {
                    *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                }
                Some((bytes, until.parse().ok()?))
            }
            _ => return None,
        };
        let note = LastClaimNote { version: [device, inode, seconds, nanos], claimed };
        // Only the exact spelling that `text` writes is accepted.
        (form == FORM && note.text() == text).then_some(note)
    }
}

/// Returns the path of a file that belongs to the store: the store's path plus `suffix`.
pub(super) fn sibling_path(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
