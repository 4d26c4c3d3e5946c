//! Moves old files of an audit log into an archive folder, compressed with gzip. Each file holds a
//! range of log entries. The hashes of their entries stay in the log, so that appending and proofs
//! of inclusion and consistency still work.
//!
//! A file is copied, forced to the disk, read back and compared with the tree. Then a signed note
//! replaces the file in the log, and only then the file is removed. If a process ends between two
//! of these steps, the log is still complete, and a second call of [`archive`] continues at the
//! step that is missing.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::archived::{self, ArchiveNote, EntryFile};
use super::checkpoint::Checkpoint;
use super::entry::{self, Event};
use super::fault::LogError;
use super::files;
use super::folder::{Folder, PACKED, PUBLIC, file_name};
use super::log_key::LogKey;
use super::note::{MAX_NOTE, NoteKey};
use super::segment::{EntryLines, TreeFile};
use super::tree::{self, HASH};
use super::unpack::MAX_UNPACKED;
use crate::clock::Timestamp;
use crate::key::file_io;

/// The files that [`archive`] moved, and their entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archived {
    /// Number of moved files.
    pub files: u64,
    /// The number of the first moved entry, if any was moved.
    pub first: u64,
    /// The number of the last moved entry plus 1.
    pub next: u64,
    /// Size of the moved files before packing, in bytes.
    pub bytes: u64,
    /// Size of the moved files after packing, in bytes.
    pub packed: u64,
}

/// The error of a call of [`archive`] that may have moved files before.
#[derive(Debug, thiserror::Error)]
#[error("nothing more is archived")]
#[non_exhaustive]
pub struct ArchiveError {
    /// The files that were moved before the error. They are complete; a second call continues with
    /// the next file.
    pub moved: Archived,
    /// The reason why no further file is moved.
    pub source: LogError,
}

/// What archiving needs to know about a file of entries to which the writer adds nothing more.
struct Sealed {
    /// The time of the last entry in the file.
    last: Timestamp,
    /// The number of logs before this one in the chain of logs, if the first entry states it.
    predecessors: u64,
}

/// Moves files of entries into the folder `to`. A file is moved if the writer has finished it and
/// its last entry is older than `before`. The newest file with an entry under a checkpoint stays,
/// because the writer needs its entries to open the log. Another process may write the log at the
/// same time.
///
/// # Errors
/// [`LogError::Maintained`] if another process archives or erases; [`LogError::Changed`] if an
/// entry differs from the one under the log's checkpoint; [`LogError::Archive`] if `to` cannot be
/// used. After an error, nothing more is moved; the error names the files that were moved before.
pub fn archive(folder: &Folder, before: Timestamp, to: &Path) -> Result<Archived, ArchiveError> {
    let mut moved = Archived::default();
    match move_files(folder, before, to, &mut moved) {
        Ok(()) => Ok(moved),
        Err(source) => Err(ArchiveError { moved, source }),
    }
}

/// Moves the files, and adds each one to the counts in `moved` once its move is complete.
fn move_files(
    folder: &Folder,
    before: Timestamp,
    to: &Path,
    moved: &mut Archived,
) -> Result<(), LogError> {
    folder.check()?;
    let key = folder.key()?;
    let _lock = folder.lock_maintenance()?;
    let changed = |why: &str| LogError::changed(folder.path(), why);
    let note = folder.latest()?.ok_or_else(|| changed("its checkpoint was removed"))?;
    let (checkpoint, _) = Checkpoint::signed(&note, key.public())
        .map_err(|e| changed(&format!("its checkpoint is {e}")))?;
    make_folder(to, folder, key.public())?;
    let places = places(folder, &key)?;
    for pair in places.windows(2) {
        let [(first, path), (next, _)] = pair else { break };
        // This file and all later ones are not moved: no checkpoint covers their last entry, or the
        // writer still needs them to find the position of the next entry.
        if *next >= checkpoint.size {
            break;
        }
        let Some(path) = path else { continue };
        let file = EntryFile { first: *first, path: path.clone(), packed: false };
        let sealed = check(&file, *next, folder, &checkpoint)?;
        if sealed.last >= before {
            break;
        }
        let (bytes, packed) = pack(&file, *next, folder, (&checkpoint, to))?;
        let stub = ArchiveNote { first: *first, next: *next, predecessors: sealed.predecessors };
        let note = stub.sign(key.public(), &*key.secret)?;
        let path = folder.stub(*first);
        files::replace(&path, Some(&file.path), |out, _| {
            out.write_all(note.as_bytes()).map_err(|e| LogError::io("write", &path, e))
        })?;
        fs::remove_file(&file.path).map_err(|e| LogError::io("remove", &file.path, e))?;
        folder.sync()?;
        if moved.files == 0 {
            moved.first = *first;
        }
        moved.next = *next;
        moved.files += 1;
        moved.bytes = moved.bytes.saturating_add(bytes);
        moved.packed = moved.packed.saturating_add(packed);
    }
    Ok(())
}

/// Returns the key of the log to which the archive in `to` belongs, as the file of the public key
/// in `to` says, or `None` if there is no such file. The key is not authenticated: it only prevents
/// mixing the archives of two logs.
///
/// # Errors
/// [`LogError::KeyUnfit`] if the file does not hold a key.
pub fn owner(to: &Path) -> Result<Option<NoteKey>, LogError> {
    let Some(bytes) = files::small(&to.join(PUBLIC), MAX_NOTE)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end().parse().map(Some).map_err(|_| LogError::KeyUnfit("log-key.pub is not one"))
}

/// Creates the folder of an archive, or checks that an existing one belongs to this log.
fn make_folder(to: &Path, folder: &Folder, key: &NoteKey) -> Result<(), LogError> {
    let wrong = |e| LogError::io("make", to, e);
    let other = |why: String| LogError::Archive { path: to.to_owned(), why };
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let missing = to.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing: Vec<_> = missing.collect();
    builder.create(to).map_err(wrong)?;
    // After the move, the entries exist only in the archive. So the names of all new folders must
    // be on the disk before the originals are removed.
    for made in missing {
        files::sync_folder(file_io::folder_of(made))?;
    }
    let about = fs::metadata(to).map_err(wrong)?;
    if let Some(mode) = file_io::mode_of(&about).filter(|mode| mode & 0o022 != 0) {
        return Err(LogError::TooOpen { path: to.to_owned(), mode });
    }
    let real = |path: &Path| fs::canonicalize(path).map_err(wrong);
    if real(to)? == real(folder.path())? {
        return Err(other("it is the folder of the log itself".to_owned()));
    }
    let path = to.join(PUBLIC);
    let text = format!("{key}\n");
    match files::small(&path, MAX_NOTE)? {
        None => files::replace(&path, None, |out, _| {
            out.write_all(text.as_bytes()).map_err(|e| LogError::io("write", &path, e))
        }),
        Some(found) if found == text.as_bytes() => Ok(()),
        Some(found) => {
            let text = String::from_utf8_lossy(&found);
            let owner = text.trim_end().parse::<NoteKey>();
            let name =
                owner.map_or("another log".to_owned(), |key| format!("the log {:?}", key.name()));
            Err(other(format!("it has entries of {name}")))
        }
    }
}

/// Returns the number of the first entry of each file, in order, with the path of the file; the
/// path is `None` if the file was archived before.
fn places(folder: &Folder, key: &LogKey) -> Result<Vec<(u64, Option<PathBuf>)>, LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let segments: BTreeMap<u64, PathBuf> = folder.segments()?.into_iter().collect();
    let mut places: BTreeMap<u64, Option<PathBuf>> =
        segments.into_iter().map(|(first, path)| (first, Some(path))).collect();
    let mut ends = Vec::new();
    for (first, path) in folder.stubs()? {
        let note = archived::note_at(&path, first, key.public());
        let note =
            note.map_err(|why| changed(format!("the note that entry {first} was archived {why}")))?;
        ends.push(note.next);
        places.entry(first).or_insert(None);
    }
    match std::iter::once(0).chain(ends).find(|next| !places.contains_key(next)) {
        Some(next) if !places.is_empty() => Err(changed(format!("entry {next} is missing"))),
        _ => Ok(places.into_iter().collect()),
    }
}

/// Packs a file into the archive folder. Returns its size before and after packing, in bytes.
fn pack(
    file: &EntryFile,
    next: u64,
    folder: &Folder,
    (checkpoint, to): (&Checkpoint, &Path),
) -> Result<(u64, u64), LogError> {
    let path = to.join(file_name(file.first, PACKED));
    let wrong = |e| LogError::io("read", &file.path, e);
    let mut source = files::read(&file.path)?;
    let bytes = source.metadata().map_err(wrong)?.len();
    if bytes > MAX_UNPACKED {
        let why = "a file of over 1 GiB is not archived".to_owned();
        return Err(LogError::Archive { path: file.path.clone(), why });
    }
    if fs::symlink_metadata(&path).is_ok() {
        let there = EntryFile { first: file.first, path: path.clone(), packed: true };
        check(&there, next, folder, checkpoint).map_err(|_| {
            let why = "it is there already, and does not hold these entries".to_owned();
            LogError::Archive { path: path.clone(), why }
        })?;
    }
    files::replace(&path, Some(&file.path), |out, temporary| {
        write_packed(out, true, |out| io::copy(&mut source, out).map(drop))
            .map_err(|e| LogError::io("write", &path, e))?;
        out.sync_all().map_err(|e| LogError::io("write", &path, e))?;
        // The packed file is read back and checked before the original is removed.
        let there = EntryFile { first: file.first, path: temporary.to_owned(), packed: true };
        check(&there, next, folder, checkpoint).map(drop)
    })?;
    let packed = fs::metadata(&path).map_err(|e| LogError::io("read", &path, e))?.len();
    Ok((bytes, packed))
}

/// Writes a file of entries, packed or unpacked.
pub(super) fn write_packed(
    out: &mut File,
    packed: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(256 * 1024, out);
    if packed {
        let mut encoder = GzEncoder::new(&mut buffer, Compression::default());
        write(&mut encoder)?;
        encoder.finish()?;
    } else {
        write(&mut buffer)?;
    }
    buffer.flush()
}

/// Checks that a file holds the entries up to `next`, that the log's checkpoint covers each of
/// them, and that the stored hashes are the hashes of these entries.
fn check(
    file: &EntryFile,
    next: u64,
    folder: &Folder,
    checkpoint: &Checkpoint,
) -> Result<Sealed, LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let nodes = TreeFile::open(folder)?;
    let mut frontier = tree::frontier(&nodes, file.first)?;
    let path = folder.tree();
    let mut stored = files::read(&path)?;
    stored
        .seek(SeekFrom::Start(tree::stored(file.first).saturating_mul(HASH)))
        .map_err(|e| LogError::io("read", &path, e))?;
    let mut stored = BufReader::with_capacity(64 * 1024, stored);
    let (mut predecessors, mut last) = (0, Vec::new());
    for line in EntryLines::of(file)? {
        let line = line?;
        if let Some(why) = line.fault {
            return Err(LogError::Archive { path: file.path.clone(), why });
        }
        if !line.whole || line.position >= next {
            return Err(changed(format!("entry {} is not what was written", line.position)));
        }
        let mut same = true;
        frontier.push(entry::leaf(&line.bytes), |hash| {
            let mut other = [0; 32];
            same &= stored.read_exact(&mut other).is_ok() && other == *hash;
        });
        if !same {
            return Err(changed(format!(
                "entry {} is not the one whose hash is stored",
                line.position
            )));
        }
        if line.position == 0
            && let Ok(entry) = entry::parse(&line.bytes)
            && let Event::After(after) = entry.event
        {
            predecessors = after.predecessors;
        }
        last = line.bytes;
    }
    if frontier.size() != next {
        return Err(changed(format!("entry {} is missing", frontier.size())));
    }
    let proof = tree::consistency(&nodes, next, checkpoint.size)?;
    let (old, new) = (frontier.root(), (checkpoint.size, &checkpoint.root));
    if !tree::is_consistent((next, &old), new, &proof) {
        return Err(changed(format!(
            "the entries {} to {} are not those under its checkpoint",
            file.first,
            next - 1
        )));
    }
    let entry = entry::parse(&last)
        .map_err(|_| changed(format!("entry {} is not what was written", next - 1)))?;
    Ok(Sealed { last: entry.time, predecessors })
}
