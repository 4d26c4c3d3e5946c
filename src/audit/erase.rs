//! Erases one entry, for example after a court order.
//!
//! First, an entry that records the erasure is appended to the log and covered by a checkpoint.
//! Then a tombstone, a line with the hash of the erased entry, replaces that entry, in the log's
//! folder or in an archive. If a process ends between these two steps, a second call of [`erase`]
//! completes the erasure.

use std::sync::Arc;

use super::archive::write_packed;
use super::archived::{self, EntryFile};
use super::checkpoint::Checkpoint;
use super::entry::{self, Event};
use super::erasure_match;
use super::erasure_record::{self, Erasure};
use super::fault::LogError;
use super::files;
use super::folder::{Folder, PACKED, file_name};
use super::segment::{self, EntryLines, TreeFile};
use super::tree;
use super::writer::{LogSettings, LogWriter};
use crate::clock::Clock;

/// An entry that was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedEntry {
    /// The number of the erased entry.
    pub n: u64,
    /// The number of the entry that records the erasure.
    pub recorded_in: u64,
    /// The number of files in which the entry was replaced: its file, and a packed copy if there is
    /// one.
    pub files: u64,
    /// The reason in the entry that records the erasure. If an earlier call wrote that entry and
    /// was then interrupted, this is the reason of the earlier call: a checkpoint covers the entry,
    /// so it cannot change.
    pub reason: String,
}

/// Why an entry is not erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// The log cannot be read or written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The given reason is not allowed in an entry.
    #[error("the reason {0}")]
    Reason(&'static str),
    /// The log has no entry with this number.
    #[error("the log has no entry {0}")]
    NoEntry(u64),
    /// The entry is not about a request. Entries about the log itself cannot be erased: they
    /// contain no personal data, and the log cannot be read without them.
    #[error("entry {n} is not about a request but about {event:?}: only requests can be erased")]
    NoRequest {
        /// The number of the entry.
        n: u64,
        /// The event that the entry records.
        event: &'static str,
    },
    /// The entry was already erased.
    #[error("entry {n} was erased before, as entry {recorded_in} says")]
    Already {
        /// The number of the entry.
        n: u64,
        /// The number of the entry that records the erasure.
        recorded_in: u64,
    },
}

/// Erases entry `n` for `reason`, in the log's folder and in the archives that `folder` names.
///
/// # Errors
/// [`EraseError`]. In particular: [`LogError::Locked`] while another process writes the log;
/// [`LogError::Archived`] if the entry or a later one is in an archive that `folder` does not name;
/// [`LogError::Followed`] if the log is closed, because no entry can record an erasure then.
pub fn erase(
    folder: &Folder,
    n: u64,
    reason: &str,
    clock: Arc<dyn Clock>,
) -> Result<ErasedEntry, EraseError> {
    erasure_record::check_reason(reason).map_err(EraseError::Reason)?;
    let key = folder.key()?;
    let _lock = folder.lock_maintenance()?;
    let mut writer = LogWriter::open(folder.clone(), key.clone(), LogSettings::default(), clock)?;
    if n >= writer.size() {
        return Err(EraseError::NoEntry(n));
    }
    writer.checkpoint()?;
    // The entry may have been erased before. The entry that records this can be in any later file,
    // so all later files must be readable.
    if let Some(not_given) = archived::not_given(folder)?.iter().find(|range| range.end > n) {
        return Err(LogError::Archived(not_given.start.max(n)).into());
    }
    let changed = |why: String| LogError::changed(folder.path(), why);
    let copies = copies(folder, n)?;
    // If archiving was interrupted after it wrote its note, a packed copy of the entry may exist in
    // an archive that was not named. Then the entry is not erased, because the copy would remain.
    let first = copies.first().map(|copy| copy.first);
    let is_archived = folder.stubs()?.iter().any(|(start, _)| Some(*start) == first);
    if is_archived && copies.iter().all(|copy| !copy.packed) {
        return Err(LogError::Archived(n).into());
    }
    // A killed process may have left an unfinished copy of a file, which also contains the entry.
    for place in std::iter::once(folder.path()).chain(folder.archives().iter().map(|p| p.as_path()))
    {
        files::remove_unfinished(place)?;
    }
    let (mut line, mut tombs) = (None, 0);
    for copy in &copies {
        let found = segment::line_of(copy, n)?.ok_or(EraseError::NoEntry(n))?;
        match entry::is_about(&found.bytes, "tombstone") {
            true => tombs += 1,
            false => line = Some(found.bytes),
        }
    }
    let record = erasure_match::find_record(folder, n)?;
    let Some(line) = line else {
        return Err(match record {
            Some((recorded_in, _)) => EraseError::Already { n, recorded_in },
            None => changed(format!("entry {n} was removed, and no entry tells of it")).into(),
        });
    };
    let entry =
        entry::parse(&line).map_err(|_| changed(format!("entry {n} is not what was written")))?;
    if !matches!(entry.event, Event::Request(_)) {
        return Err(EraseError::NoRequest { n, event: entry.event.as_str() });
    }
    let leaf = tree::leaf(&line);
    check(folder, n, &leaf, key.public())?;
    let (recorded_in, erasure) = match record {
        Some((by, record)) if record.leaf == leaf && record.time == entry.time => (by, record),
        Some((by, _)) => {
            let why = format!("entry {by} tells of the erasure of another one in its place");
            return Err(changed(why).into());
        }
        None if tombs > 0 => {
            return Err(changed(format!("entry {n} was removed, and no entry tells of it")).into());
        }
        None => {
            let erasure = Erasure::new(n, entry.time, leaf, reason);
            let numbers = writer.append(std::iter::once(&erasure.record()))?;
            writer.checkpoint()?;
            (numbers.first().copied().unwrap_or_default(), erasure)
        }
    };
    for copy in &copies {
        write_tombstone(copy, &erasure)?;
    }
    // Dropping the writer releases the log, so that other processes can write again.
    drop(writer);
    let files = u64::try_from(copies.len()).unwrap_or(u64::MAX);
    Ok(ErasedEntry { n, recorded_in, files, reason: erasure.reason })
}

/// Lists the files that contain entry `n`: its file, and also a packed copy if archiving was
/// interrupted.
fn copies(folder: &Folder, n: u64) -> Result<Vec<EntryFile>, LogError> {
    let files = archived::entry_files(folder)?;
    let at = files.partition_point(|file| file.first <= n);
    let Some(file) = at.checked_sub(1).and_then(|at| files.get(at)) else {
        return Ok(Vec::new());
    };
    let mut copies = vec![file.clone()];
    for archive in folder.archives().iter().filter(|_| !file.packed) {
        let path = archive.join(file_name(file.first, PACKED));
        if path.exists() {
            copies.push(EntryFile { first: file.first, path, packed: true });
        }
    }
    Ok(copies)
}

/// Checks that the line of entry `n`, with the leaf hash `leaf`, is the one that the latest
/// checkpoint covers. A line that was changed is evidence of tampering, and is not erased.
fn check(
    folder: &Folder,
    n: u64,
    leaf: &tree::Hash,
    key: &super::note::NoteKey,
) -> Result<(), LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let note = folder.latest()?.ok_or_else(|| changed("its checkpoint was removed".to_owned()))?;
    let (checkpoint, _) =
        Checkpoint::signed(&note, key).map_err(|e| changed(format!("its checkpoint is {e}")))?;
    let proof = tree::inclusion(&TreeFile::open(folder)?, n, checkpoint.size)?;
    match tree::root_of_inclusion(leaf, n, checkpoint.size, &proof) == Some(checkpoint.root) {
        true => Ok(()),
        false => Err(changed(format!("entry {n} is not the one under its checkpoint"))),
    }
}

/// Writes a file of entries anew, with a tombstone in place of the erased entry.
fn write_tombstone(file: &EntryFile, erasure: &Erasure) -> Result<(), LogError> {
    let wrong = |e| LogError::io("write", &file.path, e);
    let mut read = Ok(());
    files::replace(&file.path, Some(&file.path), |out, _| {
        write_packed(out, file.packed, |out| {
            for line in EntryLines::of(file).map_err(std::io::Error::other)? {
                match line {
                    Ok(line) if line.fault.is_some() || !line.whole => {
                        let why = line.fault.unwrap_or_else(|| "it breaks off".to_owned());
                        read = Err(LogError::Archive { path: file.path.clone(), why });
                        return Ok(());
                    }
                    Ok(line) if line.position == erasure.n => {
                        out.write_all(&erasure.tombstone())?
                    }
                    Ok(mut line) => {
                        line.bytes.push(b'\n');
                        out.write_all(&line.bytes)?;
                    }
                    Err(error) => {
                        read = Err(error);
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
        .map_err(wrong)?;
        read
    })
}
