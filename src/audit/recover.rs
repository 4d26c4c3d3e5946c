//! Opening a log where another process has left it, however that ended.
//!
//! What was acknowledged was on the disk before, so a process or machine that ends in the middle
//! can only leave something behind it: the beginning of a line, or blocks that were never filled.
//! That much is cut off. Anything else that does not fit was done by somebody, and the log is not
//! opened: a writer that went on would sign over the traces.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use super::checkpoint::Checkpoint;
use super::entry;
use super::fault::LogError;
use super::folder::{self, Folder, LogKey};
use super::segment::{self, Lines, TreeFile};
use super::state::{self, Hashes, Segment, State, day_of};
use super::tree::{self, Edge, HASH};
use crate::clock::Timestamp;

/// Opens the files for the next entry. Reads the last file of entries, and O(log n) hashes; all of
/// them only where the hashes are lost.
pub(super) fn open(folder: &Folder, key: &LogKey) -> Result<State, LogError> {
    let checkpoint = latest(folder, key)?;
    let segments = folder.segments()?;
    if checkpoint.is_none() && segments.len() > 1 {
        return Err(LogError::changed(folder.path(), "its checkpoint was removed"));
    }
    let last = segments.last().map_or(0, |(first, _)| *first);
    let from = match edge_at(folder, last) {
        Some(edge) if fits(&edge, checkpoint.as_ref()) => (edge, segments.len().saturating_sub(1)),
        _ => (Edge::new(), 0),
    };
    let mut state = replay(folder, &segments, from, checkpoint.as_ref())?;
    if let Some(checkpoint) = &checkpoint
        && checkpoint.size > state.edge.size()
    {
        let (held, said) = (state.edge.size(), checkpoint.size);
        let why = format!("it holds {held} entries, and its checkpoint says {said}");
        return Err(LogError::changed(folder.path(), why));
    }
    state.checkpointed = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    Ok(state)
}

/// The latest checkpoint, which the log's own key has to have signed. It is written behind the
/// others first, and then on its own: where the process ended between the two, that is made good.
fn latest(folder: &Folder, key: &LogKey) -> Result<Option<Checkpoint>, LogError> {
    let (notes, whole) = segment::notes(folder)?;
    if !whole {
        cut_checkpoints(folder, notes.iter().map(Vec::len).sum())?;
    }
    let path = folder.checkpoint();
    let alone = match std::fs::read(&path) {
        Ok(note) => Some(note),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(LogError::io("read", &path, e)),
    };
    let changed = |why: String| LogError::changed(folder.path(), why);
    if let Some(note) = &alone {
        Checkpoint::signed(note, key.public())
            .map_err(|e| changed(format!("its checkpoint is {e}")))?;
        if !notes.contains(note) {
            return Err(changed("its checkpoint is not among all of them".to_owned()));
        }
    }
    let Some(last) = notes.last() else { return Ok(None) };
    let (checkpoint, _) = Checkpoint::signed(last, key.public())
        .map_err(|e| changed(format!("its last checkpoint is {e}")))?;
    if alone.as_ref() != Some(last) {
        state::show(folder, last)?;
    }
    Ok(Some(checkpoint))
}

/// The edge before the last file of entries, if the stored hashes have it.
fn edge_at(folder: &Folder, first: u64) -> Option<Edge> {
    if first == 0 {
        return Some(Edge::new());
    }
    let nodes = TreeFile::open(folder).ok()?;
    let all = nodes.leaves().ok()? >= first;
    all.then(|| tree::edge(&nodes, first).ok()).flatten()
}

fn fits(edge: &Edge, checkpoint: Option<&Checkpoint>) -> bool {
    match checkpoint {
        Some(checkpoint) if checkpoint.size == edge.size() => checkpoint.root == edge.root(),
        // A file is only begun behind a checkpoint over all before it.
        Some(checkpoint) => checkpoint.size > edge.size(),
        None => edge.size() == 0,
    }
}

/// Reads the files of entries from one on, and puts the hashes of what is in them into place.
fn replay(
    folder: &Folder,
    segments: &[(u64, std::path::PathBuf)],
    (mut edge, from): (Edge, usize),
    checkpoint: Option<&Checkpoint>,
) -> Result<State, LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let hashes_before = tree::stored(edge.size());
    let mut hashes = TreeWriter::at(folder, hashes_before)?;
    let mut time = Timestamp::from_unix(i64::MIN);
    let mut last: Option<Segment> = None;
    let tail = segments.get(from..).unwrap_or_default();
    for (at, (first, path)) in tail.iter().enumerate() {
        if *first != edge.size() {
            let held = edge.size();
            return Err(changed(format!(
                "entry {held} is missing, the next file begins at {first}"
            )));
        }
        let is_last = at + 1 == tail.len();
        let mut end = 0;
        let mut day = None;
        for line in Lines::open(path, *first)? {
            let line = line?;
            let torn = !line.whole || line.bytes.contains(&0);
            if torn && is_last && checkpoint.is_none_or(|c| c.size <= line.n) {
                break;
            }
            let stamp = entry::stamp(&line.bytes).filter(|_| line.whole);
            let Some((n, stamp)) = stamp.filter(|(n, t)| *n == line.n && *t >= time) else {
                return Err(changed(format!("entry {} is not what was written", line.n)));
            };
            debug_assert_eq!(n, line.n);
            time = stamp;
            day.get_or_insert(day_of(stamp));
            hashes.push(&mut edge, tree::leaf(&line.bytes))?;
            end = line.offset + u64::try_from(line.bytes.len()).unwrap_or(u64::MAX) + 1;
            if let Some(checkpoint) = checkpoint
                && checkpoint.size == edge.size()
                && checkpoint.root != edge.root()
            {
                let why =
                    format!("its first {} entries are not those of its checkpoint", edge.size());
                return Err(changed(why));
            }
        }
        let file = folder::open(path, OpenOptions::new().append(true))?;
        let length = file.metadata().map_err(|e| LogError::io("read", path, e))?.len();
        if length > end {
            file.set_len(end)
                .and_then(|()| file.sync_all())
                .map_err(|e| LogError::io("write", path, e))?;
        }
        // A file that was begun and got nothing has no day yet.
        let day = day.unwrap_or(i64::MIN);
        last = Some(Segment { file, path: path.clone(), length: end, day });
    }
    if tail.len() <= 1 && last.as_ref().is_none_or(|segment| segment.length == 0) {
        time = before(segments, from)?;
    }
    let tree = Hashes::new(hashes.finish()?, folder.tree(), edge.size());
    Ok(State { edge, time, segment: last, tree, checkpointed: 0 })
}

/// The time of the last entry before a file of entries.
fn before(segments: &[(u64, std::path::PathBuf)], from: usize) -> Result<Timestamp, LogError> {
    let earliest = Timestamp::from_unix(i64::MIN);
    let Some((first, path)) = from.checked_sub(1).and_then(|at| segments.get(at)) else {
        return Ok(earliest);
    };
    let last = Lines::open(path, *first)?.last().transpose()?;
    Ok(last.and_then(|line| entry::stamp(&line.bytes)).map_or(earliest, |(_, time)| time))
}

/// Writes hashes behind those that are known to be good.
struct TreeWriter {
    out: std::io::BufWriter<File>,
    path: std::path::PathBuf,
    failed: Option<std::io::Error>,
}

impl TreeWriter {
    fn at(folder: &Folder, hashes: u64) -> Result<Self, LogError> {
        let path = folder.tree();
        let file = folder::open(&path, OpenOptions::new().append(true).create(true))?;
        let wrong = |e| LogError::io("write", &path, e);
        file.set_len(hashes.saturating_mul(HASH)).map_err(wrong)?;
        Ok(TreeWriter { out: std::io::BufWriter::new(file), path, failed: None })
    }

    fn push(&mut self, edge: &mut Edge, leaf: tree::Hash) -> Result<(), LogError> {
        edge.push(leaf, |hash| {
            if let Err(e) = self.out.write_all(hash) {
                self.failed.get_or_insert(e);
            }
        });
        self.failed.take().map_or(Ok(()), |e| Err(LogError::io("write", &self.path, e)))
    }

    fn finish(self) -> Result<File, LogError> {
        let path = self.path;
        self.out.into_inner().map_err(|e| LogError::io("write", &path, e.into_error()))
    }
}

/// Cuts off the beginning of a checkpoint that was never finished.
fn cut_checkpoints(folder: &Folder, length: usize) -> Result<(), LogError> {
    let path: &Path = &folder.checkpoints();
    let file = folder::open(path, OpenOptions::new().write(true))?;
    file.set_len(u64::try_from(length).unwrap_or(u64::MAX))
        .map_err(|e| LogError::io("write", path, e))
}
