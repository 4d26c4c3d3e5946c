//! Logs that succeed each other. The last entry of a closed log names its successor, and the first
//! entry of the successor names the last checkpoint of its predecessor. A predecessor that does not
//! name its successor is *abandoned*: it may have entries after that checkpoint.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::archived;
use super::checkpoint::Checkpoint;
use super::entry::{self, Event, PreviousLog};
use super::fault::LogError;
use super::finding::{Finding, FindingKind};
use super::folder::Folder;
use super::log_key::LogKey;
use super::note::NoteKey;
use super::record::Record;
use super::report::Report;
use super::segment;
use super::writer::{LogSettings, LogWriter};
use crate::clock::Clock;

/// Closes the log in `old`, and makes the new, empty log in `new` its successor. If a call was
/// interrupted, a second call completes it.
///
/// # Errors
/// [`LogError`] if `old` is damaged or already has another successor, or if `new` is not empty or
/// has the origin of `old`.
pub fn follow(new: &Folder, old: &Folder, clock: &Arc<dyn Clock>) -> Result<(), LogError> {
    let (key, old_key) = (new.key()?, old.key()?);
    let note = match LogWriter::open(old.clone(), old_key.clone(), settings(), Arc::clone(clock)) {
        Ok(mut writer) => {
            check_origins_differ(&key, old_key.public())?;
            writer.end(key.public())?
        }
        Err(LogError::Followed { successor, .. }) if successor == key.public().to_string() => {
            let note = old.latest()?;
            note.ok_or_else(|| LogError::changed(old.path(), "its checkpoint was removed"))?
        }
        Err(error) => return Err(error),
    };
    let log_key = old_key.public().to_string();
    let (checkpoint, predecessors) = (STANDARD.encode(note), predecessors(old)?);
    begin(new, key, &PreviousLog { log_key, checkpoint, closed: true, predecessors }, clock)
}

/// Makes the new, empty log in `new` the successor of an abandoned log. `note` is a checkpoint of
/// that log, signed by `old_key`.
///
/// # Errors
/// As [`follow`]; also [`LogError::Changed`] if `note` is not a checkpoint signed by `old_key`.
pub fn follow_abandoned(
    new: &Folder,
    (old_key, note): (&NoteKey, &[u8]),
    clock: &Arc<dyn Clock>,
) -> Result<(), LogError> {
    let key = new.key()?;
    check_origins_differ(&key, old_key)?;
    Checkpoint::signed(note, old_key)
        .map_err(|e| LogError::changed(new.path(), format!("the checkpoint before it is {e}")))?;
    let (log_key, checkpoint) = (old_key.to_string(), STANDARD.encode(note));
    begin(new, key, &PreviousLog { log_key, checkpoint, closed: false, predecessors: 1 }, clock)
}

fn settings() -> LogSettings {
    LogSettings::default()
}

/// Checks that the logs have different origins: two logs with the same origin would look like two
/// contradicting versions of one log.
fn check_origins_differ(new: &LogKey, old: &NoteKey) -> Result<(), LogError> {
    match new.public().name() == old.name() {
        true => Err(LogError::KeyUnfit("its name is that of the log before it")),
        false => Ok(()),
    }
}

/// Returns the number of logs before the successor of `old` in the chain, computed from what `old`
/// states.
fn predecessors(old: &Folder) -> Result<u64, LogError> {
    if let Some((0, path)) = old.stubs()?.first()
        && archived::entry_files(old)?.first().is_none_or(|file| file.first > 0)
    {
        let note = archived::note_at(path, 0, &old.public()?).map_err(|why| {
            LogError::changed(old.path(), format!("the note that entry 0 was archived {why}"))
        })?;
        return Ok(note.predecessors.saturating_add(1));
    }
    Ok(previous(old)?.map_or(1, |after| after.predecessors.saturating_add(1)))
}

/// Returns the predecessor that the first entry of a log names, if it names one.
fn previous(folder: &Folder) -> Result<Option<PreviousLog>, LogError> {
    let first = segment::lines(folder)?.next().transpose()?;
    let entry = first.as_ref().and_then(|line| entry::parse(&line.bytes).ok());
    Ok(match entry.map(|entry| entry.event) {
        Some(Event::After(after)) => Some(after),
        _ => None,
    })
}

/// Returns true if the log has no entry but its first one and records of recoveries.
fn is_only_begun(folder: &Folder) -> Result<bool, LogError> {
    for line in segment::lines(folder)?.skip(1) {
        let line = line?;
        let entry = entry::parse(&line.bytes).map(|entry| entry.event);
        if !matches!(entry, Ok(Event::Recovered(_))) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn begin(
    new: &Folder,
    key: LogKey,
    after: &PreviousLog,
    clock: &Arc<dyn Clock>,
) -> Result<(), LogError> {
    let mut writer = LogWriter::open(new.clone(), key, settings(), Arc::clone(clock))?;
    if writer.size() > 0 {
        // An earlier call may have written the entry but no checkpoint, because the key did not
        // sign.
        let covered = writer.last_checkpoint().0;
        return match previous(new)? {
            Some(said) if said == *after && covered == 0 && is_only_begun(new)? => {
                writer.checkpoint()
            }
            _ => Err(LogError::Exists(new.path().to_owned())),
        };
    }
    writer.append(std::iter::once(&Record::event("after", after)))?;
    writer.checkpoint()
}

/// Checks that the log of `report`, with `key`, is the successor of the log of `before`, with
/// `before_key`. Returns `None` if that is certain, or the reason why it is not.
///
/// # Errors
/// The contradiction between the two logs, as a text.
pub fn follows(
    (report, key): (&Report, &NoteKey),
    (before, before_key): (&Report, &NoteKey),
) -> Result<Option<String>, Finding> {
    let fault = |why: String| Finding { what: FindingKind::Successor, n: Some(0), why };
    if report.link.first_unknown {
        return Ok(Some("its first entry, which names the log before it, was not seen".to_owned()));
    }
    let after = report.link.after.as_ref();
    let after = after.ok_or_else(|| fault("its first entry names no log before it".to_owned()))?;
    if after.log_key != before_key.to_string() {
        return Err(fault(format!("it follows the log of {}", after.log_key)));
    }
    let note = STANDARD.decode(&after.checkpoint).unwrap_or_default();
    let (checkpoint, _) = Checkpoint::signed(&note, before_key)
        .map_err(|e| fault(format!("the checkpoint that it follows is {e}")))?;
    let same = checkpoint.size == before.entries && Some(checkpoint.root) == before.root;
    match (&before.link.successor, after.closed) {
        (Some(successor), _) if *successor != key.to_string() => {
            Err(fault(format!("the log before it names another successor, {successor}")))
        }
        (Some(_), true) if same => Ok(None),
        (Some(_), _) => Err(fault("it does not follow the end of the log before it".to_owned())),
        (None, true) => Err(fault("the log before it was never closed".to_owned())),
        (None, false) => Ok(Some(format!(
            "the log before was abandoned: what came after entry {} cannot be excluded",
            checkpoint.size.saturating_sub(1)
        ))),
    }
}
