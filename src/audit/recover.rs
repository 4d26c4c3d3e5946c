//! Opens a log after another process has written it, even if that process crashed.
//!
//! An entry is acknowledged only after it is on the disk. So a crash can leave only an incomplete
//! end of a file: a part of a line, or blocks that were never written. Such an end is cut off. The
//! last entries are also cut off if they record an erasure or close the log, and the checkpoint
//! that must follow these kinds of entries is missing. After any other difference, the log is not
//! opened, because further entries would hide the traces of an attack.
//!
//! All other entries that no checkpoint covers yet are kept, and the next checkpoint covers them.
//! The writer first records which they are, in an entry of its own ([`Recovery`]).
//!
//! All files are read before anything is written, so that a log that is refused stays unchanged.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::entry::{self, Event, Rules};
use super::fault::LogError;
use super::files;
use super::folder::Folder;
use super::log_key::LogKey;
use super::record::Verdict;
use super::recovery::Recovery;
use super::segment::{EntryLine, EntryLines, Notes, TreeFile};
use super::state::{self, HashFile, LogState, OpenSegment, RulesInForce, day_of};
use super::tree::{self, Frontier, HASH};
use crate::clock::Timestamp;

/// The checkpoints that were read from a log without damage.
struct LatestCheckpoint {
    checkpoint: Checkpoint,
    note: Vec<u8>,
    /// Whether the file `checkpoint`, which holds the latest checkpoint, is missing or outdated and
    /// has to be written.
    to_rewrite: bool,
    /// The length, in bytes, to which the file of all checkpoints has to be cut because an
    /// incomplete note follows.
    cut_to: Option<u64>,
}

/// The facts that were read from the files of entries.
struct ReplayedEntries {
    frontier: Frontier,
    time: Timestamp,
    offset: i64,
    rules: RulesInForce,
    successor: Option<String>,
    /// The path of the newest file, the number of its bytes that are complete entries, and the day
    /// of its entries.
    last: Option<(PathBuf, u64, i64)>,
    /// The index, in storage order, of the first hash in this value.
    hashes_from: u64,
    hashes: Vec<u8>,
}

/// Opens the files for appending. Reads only the last file of entries and O(log n) hashes; if
/// hashes are lost, reads all files.
pub(super) fn open(folder: &Folder, key: &LogKey) -> Result<LogState, LogError> {
    let latest = latest(folder, key)?;
    let segments = folder.segments()?;
    let last = segments.last().map_or(0, |(first, _)| *first);
    let from = match frontier_at(folder, last) {
        Some(frontier) if fits(&frontier, &latest.checkpoint) => {
            (frontier, segments.len().saturating_sub(1))
        }
        _ => (Frontier::new(), 0),
    };
    let replayed = replay(folder, &segments, from, &latest.checkpoint)?;
    let (held, said) = (replayed.frontier.size(), latest.checkpoint.size);
    if said > held {
        let why = format!("it holds {held} entries, and its checkpoint says {said}");
        return Err(LogError::changed(folder.path(), why));
    }
    let stored = stored_hashes(folder, &replayed, said)?;
    take_up(folder, latest, replayed, stored)
}

/// Reads the latest checkpoint, and verifies that the log's own key signed it. A writer first
/// appends a checkpoint to the file of all checkpoints and then writes the file `checkpoint`. If it
/// ended between these two steps, the file of all checkpoints has the newer checkpoint.
fn latest(folder: &Folder, key: &LogKey) -> Result<LatestCheckpoint, LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let alone = folder.latest()?;
    let mut notes = Notes::open(folder)?;
    let (mut last, mut among) = (None, false);
    for note in notes.by_ref() {
        let note = note?;
        among |= alone.as_ref() == Some(&note);
        last = Some(note);
    }
    // An incomplete note at the end must be the beginning of a checkpoint of this log.
    let origin = key.public().name().as_bytes();
    let torn = notes.incomplete.as_slice();
    if !torn.starts_with(origin) && !origin.starts_with(torn) {
        return Err(changed("what stands behind its checkpoints is none of them".to_owned()));
    }
    let Some(note) = last else {
        let why = "it has no checkpoint, not even the one over no entries that it began with";
        return Err(changed(why.to_owned()));
    };
    let (checkpoint, _) = Checkpoint::signed(&note, key.public())
        .map_err(|e| changed(format!("its last checkpoint is {e}")))?;
    if let Some(alone) = &alone {
        Checkpoint::signed(alone, key.public())
            .map_err(|e| changed(format!("its checkpoint is {e}")))?;
        if !among {
            return Err(changed("its checkpoint is not among all of them".to_owned()));
        }
    }
    let cut_to = (!torn.is_empty()).then_some(notes.length);
    let to_rewrite = alone.as_ref() != Some(&note);
    Ok(LatestCheckpoint { checkpoint, note, to_rewrite, cut_to })
}

/// Returns the right edge of the tree (its frontier) before the last file of entries, if the stored
/// hashes suffice to compute it.
fn frontier_at(folder: &Folder, first: u64) -> Option<Frontier> {
    if first == 0 {
        return Some(Frontier::new());
    }
    let nodes = TreeFile::open(folder).ok()?;
    let all = nodes.leaves().ok()? >= first;
    all.then(|| tree::frontier(&nodes, first).ok()).flatten()
}

fn fits(frontier: &Frontier, checkpoint: &Checkpoint) -> bool {
    match checkpoint.size == frontier.size() {
        true => checkpoint.root == frontier.root(),
        // A writer begins a new file only after a checkpoint that covers all earlier entries.
        false => checkpoint.size > frontier.size(),
    }
}

/// Reads the files of entries from one file on, and computes the state of the log after them.
fn replay(
    folder: &Folder,
    segments: &[(u64, PathBuf)],
    (mut frontier, from): (Frontier, usize),
    checkpoint: &Checkpoint,
) -> Result<ReplayedEntries, LogError> {
    let changed = |why: String| LogError::changed(folder.path(), why);
    let hashes_from = tree::stored(frontier.size());
    let (mut hashes, mut offset, mut successor) = (Vec::new(), 0, None);
    let mut rules = if from == 0 { RulesInForce::None } else { RulesInForce::Unknown };
    let mut time = Timestamp::from_unix(i64::MIN);
    let mut last = None;
    let tail = segments.get(from..).unwrap_or_default();
    for (at, (first, path)) in tail.iter().enumerate() {
        if *first != frontier.size() {
            let held = frontier.size();
            if held == 0 && !folder.stubs()?.is_empty() {
                return Err(changed(format!(
                    "its stored hashes are damaged, and the entries before {first}, which they could \
                     be made from, are archived"
                )));
            }
            return Err(changed(format!(
                "entry {held} is missing, the next file begins at {first}"
            )));
        }
        let is_last = at + 1 == tail.len();
        let mut end = 0;
        let mut day = None;
        for line in EntryLines::open(path, *first)? {
            let line = line?;
            let torn = !line.whole || line.bytes.contains(&0);
            if torn && is_last && checkpoint.size <= line.position {
                break;
            }
            if is_last && line.position == checkpoint.size && is_unfinished_statement(path, &line)?
            {
                break;
            }
            let entry = entry::parse(&line.bytes).ok().filter(|_| line.whole);
            let Some(entry) = entry.filter(|e| e.n == line.position && e.time >= time) else {
                return Err(changed(format!("entry {} is not what was written", line.position)));
            };
            if successor.is_some() {
                return Err(changed(format!("entry {} stands behind its end", line.position)));
            }
            if let Event::Erased(_) | Event::Closed(_) = entry.event
                && line.position >= checkpoint.size
            {
                let event = entry.event.as_str();
                let why =
                    format!("entry {} is about {event:?}, and under no checkpoint", line.position);
                return Err(changed(why));
            }
            match &entry.event {
                Event::Clock(step) => offset = step.offset,
                Event::Rules(said) => rules = rules_in_force(said),
                Event::Request(request) if request.verdict != Verdict::Signed => {
                    rules = request.rules.as_ref().map_or(rules, rules_in_force);
                }
                Event::Closed(closed) => successor = Some(closed.successor.clone()),
                _ => {}
            }
            let leaf = match entry.event {
                // An entry is replaced by a tombstone only after a checkpoint covers the record of
                // its erasure. That checkpoint also covers the entry. So a tombstone under no
                // checkpoint is a forgery.
                Event::Tombstone(_) if line.position >= checkpoint.size => {
                    let why =
                        format!("entry {} is a tombstone, and under no checkpoint", line.position);
                    return Err(changed(why));
                }
                Event::Tombstone(tombstone) => {
                    // The erased entry may have stated rules that also apply to later requests.
                    // They are unknown now.
                    rules = if rules == RulesInForce::None { RulesInForce::Unknown } else { rules };
                    tombstone.leaf
                }
                _ => tree::leaf(&line.bytes),
            };
            time = entry.time;
            day.get_or_insert(day_of(time));
            frontier.push(leaf, |hash| hashes.extend_from_slice(hash));
            end = line.offset + u64::try_from(line.bytes.len()).unwrap_or(u64::MAX) + 1;
            if checkpoint.size == frontier.size() && checkpoint.root != frontier.root() {
                let why = format!(
                    "its first {} entries are not those of its checkpoint",
                    frontier.size()
                );
                return Err(changed(why));
            }
        }
        // A new file without any entry has no day yet, so it counts as older than all days.
        last = Some((path.clone(), end, day.unwrap_or(i64::MIN)));
    }
    if tail.len() <= 1 && last.as_ref().is_none_or(|(_, end, _)| *end == 0) {
        (time, successor) = before(segments, from)?;
    }
    Ok(ReplayedEntries { frontier, time, offset, rules, successor, last, hashes_from, hashes })
}

/// Returns true if the last entries of a file, from `line` on, record an erasure or close the log,
/// and no checkpoint covers them. An entry about the clock may stand before them.
///
/// A writer signs a checkpoint right after entries of these two kinds, and acknowledges them only
/// then. If the process ended before that checkpoint, the entries are cut off, and the caller
/// repeats its call. If they stayed, an attacker without the log's key could forge them, and the
/// next checkpoint would sign the forgery.
fn is_unfinished_statement(path: &Path, line: &EntryLine) -> Result<bool, LogError> {
    let rest: Vec<EntryLine> =
        EntryLines::open_at(path, line.position, line.offset)?.take(3).collect::<Result<_, _>>()?;
    let events: Vec<_> = rest
        .iter()
        .map(|line| entry::parse(&line.bytes).ok().filter(|_| line.whole))
        .map(|entry| entry.map(|entry| entry.event))
        .collect();
    Ok(matches!(
        events.as_slice(),
        [Some(Event::Erased(_) | Event::Closed(_))]
            | [Some(Event::Clock(_)), Some(Event::Erased(_) | Event::Closed(_))]
    ))
}

/// Returns the rules as JSON. This cannot fail: they are numbers and strings.
fn rules_in_force(rules: &Rules) -> RulesInForce {
    serde_json::to_vec(rules).map_or(RulesInForce::Unknown, RulesInForce::Known)
}

/// Returns the time of the last entry before the file `segments[from]`. If that entry closed the
/// log, also returns the name of the log that continues this one.
fn before(
    segments: &[(u64, PathBuf)],
    from: usize,
) -> Result<(Timestamp, Option<String>), LogError> {
    let earliest = Timestamp::from_unix(i64::MIN);
    let Some((first, path)) = from.checked_sub(1).and_then(|at| segments.get(at)) else {
        return Ok((earliest, None));
    };
    let last = EntryLines::open(path, *first)?.last().transpose()?;
    let entry = last.as_ref().and_then(|line| entry::parse(&line.bytes).ok());
    Ok(entry.map_or((earliest, None), |entry| match entry.event {
        Event::Closed(closed) => (entry.time, Some(closed.successor)),
        _ => (entry.time, None),
    }))
}

/// Returns how many bytes of the file of hashes match the entries. For entries that a checkpoint
/// covers, missing hashes can be computed again. For later entries, the stored hashes are the only
/// evidence that the entries were not changed.
fn stored_hashes(
    folder: &Folder,
    replayed: &ReplayedEntries,
    signed: u64,
) -> Result<u64, LogError> {
    let changed = |why: &str| LogError::changed(folder.path(), why.to_owned());
    let mut file = match files::read(&folder.tree()) {
        Ok(file) => file,
        Err(error) if error.is_not_found() && signed == replayed.frontier.size() => return Ok(0),
        Err(error) if error.is_not_found() => {
            return Err(changed(
                "its stored hashes were removed, and its last entries are signed by nothing",
            ));
        }
        Err(error) => return Err(error),
    };
    let wrong = |e| LogError::io("read", &folder.tree(), e);
    let length = file.metadata().map_err(wrong)?.len();
    let whole = tree::stored(replayed.frontier.size()).saturating_mul(HASH);
    // An interrupted write leaves less than one hash after the complete ones. More bytes than that
    // were added by an attacker.
    if length >= whole.saturating_add(HASH) && signed < replayed.frontier.size() {
        return Err(changed("more hashes are stored than it has entries"));
    }
    let from = replayed.hashes_from.saturating_mul(HASH);
    let mut same = from;
    file.seek(SeekFrom::Start(from)).map_err(wrong)?;
    let mut reader = std::io::BufReader::new(file);
    for hash in replayed.hashes.chunks_exact(32) {
        let mut stored = [0; 32];
        match reader.read_exact(&mut stored) {
            Ok(()) if stored == *hash => same = same.saturating_add(HASH),
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(same),
            Err(e) => return Err(wrong(e)),
        }
    }
    match same < length.min(whole) && same >= tree::stored(signed).saturating_mul(HASH) {
        true => Err(changed("an entry is not the one whose hash is stored")),
        false => Ok(same),
    }
}

/// Cuts incomplete bytes off the ends of the files, and opens the files for appending. Nothing is
/// written before this step.
///
/// At each moment, and on the disk, there are at most as many hashes as entries: hashes without
/// entries are the trace of entries that were removed. So the file of hashes is cut first, and gets
/// missing hashes last.
fn take_up(
    folder: &Folder,
    latest: LatestCheckpoint,
    replayed: ReplayedEntries,
    stored: u64,
) -> Result<LogState, LogError> {
    let ReplayedEntries { frontier, time, offset, rules, successor, last, .. } = replayed;
    let (hashes_from, hashes) = (replayed.hashes_from, replayed.hashes);
    let newest = match last {
        None => None,
        Some((path, length, day)) => {
            let file = files::open(&path, OpenOptions::new().append(true))?;
            if !files::lock(&file, &path)? {
                return Err(LogError::Locked(folder.path().to_owned()));
            }
            Some((file, path, length, day))
        }
    };
    let mut hash_file = cut_hashes(folder, stored)?;
    let mut cut = 0;
    let segment = match newest {
        None => None,
        Some((file, path, length, day)) => {
            let wrong = |e| LogError::io("write", &path, e);
            cut = file.metadata().map_err(wrong)?.len().saturating_sub(length);
            if cut > 0 {
                file.set_len(length).map_err(wrong)?;
            }
            // The process that wrote the end may have been killed before the end was on the disk.
            file.sync_all().map_err(wrong)?;
            Some(OpenSegment::new(file, path, length, day)?)
        }
    };
    if let Some(length) = latest.cut_to {
        let path = folder.checkpoints();
        let file = files::open(&path, OpenOptions::new().write(true))?;
        file.set_len(length).map_err(|e| LogError::io("write", &path, e))?;
    }
    if latest.to_rewrite {
        state::show(folder, &latest.note)?;
    }
    let known = usize::try_from(stored.saturating_sub(hashes_from.saturating_mul(HASH)));
    let missing = known.ok().and_then(|known| hashes.get(known..)).unwrap_or_default();
    hash_file.write_all(missing).map_err(|e| LogError::io("write", &folder.tree(), e))?;
    let tree = HashFile::new(hash_file, folder.tree(), frontier.size())?;
    let checkpointed = latest.checkpoint.size;
    let entries = frontier.size().saturating_sub(checkpointed);
    let recovery = Recovery::of(checkpointed, entries, cut);
    Ok(LogState { frontier, time, segment, tree, checkpointed, offset, rules, successor, recovery })
}

/// Opens the file of hashes, and cuts it after its first `good` bytes, which are valid.
fn cut_hashes(folder: &Folder, good: u64) -> Result<File, LogError> {
    let path = folder.tree();
    let wrong = |e| LogError::io("write", &path, e);
    let file = files::open(&path, OpenOptions::new().append(true).create(true))?;
    if file.metadata().map_err(wrong)?.len() != good {
        file.set_len(good).and_then(|()| file.sync_all()).map_err(wrong)?;
    }
    Ok(file)
}
