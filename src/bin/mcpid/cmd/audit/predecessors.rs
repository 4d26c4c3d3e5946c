//! Finds the logs that precede the verified log, and collects the results of their audits.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::auditor::{self, AuditorInputs, Finding, Report, ReportedErasure};
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::entry::{self, Event, PreviousLog};
use mcpid::audit::note::{Note, NoteKey};
use mcpid::audit::{Folder, succession};

use super::archive;
use crate::args::AuditVerifyArgs;
use crate::cmd::audit::open::log_failure;
use crate::input::files::{self, NamedPath};
use crate::output::failure::Failure;

/// A log that comes before the verified log in the chain of logs.
pub(super) struct Predecessor {
    pub(super) folder: Folder,
    pub(super) place: NamedPath,
    pub(super) key: NoteKey,
    /// The checkpoint of this predecessor that the next log names, as a signed note.
    named: Vec<u8>,
}

/// The short result for one predecessor.
pub(super) struct PredecessorSummary {
    pub(super) name: String,
    pub(super) entries: u64,
    /// The number of entries that a checkpoint with a witness's signature covers, or one that was
    /// kept outside the log.
    pub(super) anchored: Option<u64>,
    pub(super) erased: u64,
    pub(super) erasures: Vec<ReportedErasure>,
}

/// The results for all predecessors.
#[derive(Default)]
pub(super) struct PredecessorsOutcome {
    pub(super) logs: Vec<PredecessorSummary>,
    /// The contradictions within these logs and between them.
    pub(super) findings: Vec<Finding>,
    /// What is uncertain, one sentence for each point.
    pub(super) uncertain: Vec<String>,
}

impl PredecessorsOutcome {
    pub(super) fn is_good(&self) -> bool {
        self.uncertain.is_empty()
    }

    /// Adds the result of auditing one log. `auditor_inputs` is what the auditor supplied for all
    /// logs together.
    pub(super) fn add(
        &mut self,
        log: &Predecessor,
        report: &Report,
        auditor_inputs: &AuditorInputs,
    ) {
        let name = log.place.name();
        self.findings.extend(report.findings.iter().cloned().map(|mut finding| {
            finding.why = format!("{} (in {name})", finding.why);
            finding
        }));
        if report.not_good > 0 {
            let (entries, are) =
                if report.not_good == 1 { ("entry", "is") } else { ("entries", "are") };
            self.uncertain.push(format!("{} {entries} of {name} {are} unjudged", report.not_good));
        }
        // This counts only checkpoints that the auditor kept. The checkpoint that the next log
        // names is in the logs themselves, so it proves less.
        let own = auditor_inputs.kept.iter().filter(|note| is_of(note, &log.key));
        let own = own.filter_map(|note| Checkpoint::of(&Note::parse(note).ok()?).ok());
        let most = own.map(|checkpoint| checkpoint.size).max();
        let anchored = report.anchored.and_then(|size| match auditor_inputs.witnesses.is_empty() {
            true => most.map(|most| most.min(size)),
            false => Some(size),
        });
        let (entries, erased, erasures) = (report.entries, report.erased, report.erasures.clone());
        self.logs.push(PredecessorSummary { name, entries, anchored, erased, erasures });
    }

    /// Adds the result of checking that `log` is the successor of the log before it.
    pub(super) fn follows(&mut self, log: (&Report, &NoteKey), before: Option<&(Report, NoteKey)>) {
        let Some((before, before_key)) = before else { return };
        match succession::follows(log, (before, before_key)) {
            Ok(None) => {}
            Ok(Some(why)) => self.uncertain.push(why),
            Err(finding) => self.findings.push(finding),
        }
    }
}

impl Predecessor {
    /// Returns what this log is checked against: the checkpoints of this log that the auditor kept,
    /// and the one that the next log names.
    pub(super) fn auditor_inputs(&self, auditor_inputs: &AuditorInputs) -> AuditorInputs {
        let mut kept = auditor_inputs.kept.clone();
        kept.retain(|note| is_of(note, &self.key));
        kept.push(self.named.clone());
        // The witness policy applies only to the verified log itself, and not to its predecessors.
        AuditorInputs {
            log_key: Some(self.key.clone()),
            kept,
            policy: None,
            ..auditor_inputs.clone()
        }
    }
}

/// Removes the checkpoints of the logs in `logs`.
pub(super) fn without_theirs(auditor_inputs: AuditorInputs, logs: &[Predecessor]) -> AuditorInputs {
    let mut kept = auditor_inputs.kept.clone();
    kept.retain(|note| !logs.iter().any(|log| is_of(note, &log.key)));
    AuditorInputs { kept, ..auditor_inputs }
}

/// Returns true if the checkpoint in `note` belongs to the log with this key.
fn is_of(note: &[u8], key: &NoteKey) -> bool {
    let checkpoint = Note::parse(note).ok().and_then(|note| Checkpoint::of(&note).ok());
    checkpoint.is_some_and(|checkpoint| checkpoint.origin == key.name())
}

/// Sorts the folders that the user named: the archives of the verified log, and its predecessors,
/// newest first. The first entry of each log names its predecessor.
///
/// # Errors
/// A folder cannot be read, or belongs to none of these logs.
pub(super) fn find(
    folder: Folder,
    args: &AuditVerifyArgs,
    key: &NoteKey,
) -> Result<(Folder, Vec<Predecessor>), Failure> {
    let mut given = Vec::new();
    for path in &args.predecessor {
        let place = files::audit(Some(path))?;
        let folder = Folder::at(&place.path).map_err(|e| log_failure(&e, &place))?;
        let key = folder.public().map_err(|e| log_failure(&e, &place))?;
        given.push((folder, place, key, Vec::new()));
    }
    let mut own: Vec<PathBuf> = Vec::new();
    for path in &args.archives.archive {
        let Some(owner) = archive::owner(path)?.filter(|owner| *owner != key.to_string()) else {
            own.push(path.clone());
            continue;
        };
        match given.iter_mut().find(|(_, _, key, _)| key.to_string() == owner) {
            Some((.., archives)) => archives.push(path.clone()),
            None => return Err(archive::of_another(path, &owner)),
        }
    }
    let folder = folder.with_archives(own);
    let mut chain: Vec<Predecessor> = Vec::new();
    while !given.is_empty() {
        let behind = chain.last().map_or(&folder, |log| &log.folder);
        let after = log_before(behind);
        let named = after.as_ref().map(|after| &*after.log_key);
        let at = given.iter().position(|(_, _, key, _)| Some(&*key.to_string()) == named);
        let (Some(at), Some(after)) = (at, &after) else {
            let (_, place, ..) = &given[0];
            let failure = Failure::usage(format!(
                "--predecessor {}: no log here names it as the one that it follows",
                place.name()
            ));
            return Err(match behind.is_not_given(0) {
                Ok(true) => failure.hint("the entry that would name it is archived: --archive DIR"),
                _ => failure,
            });
        };
        let named = STANDARD.decode(&after.checkpoint).unwrap_or_default();
        let (folder, place, key, archives) = given.swap_remove(at);
        let folder = folder.with_archives(archives);
        chain.push(Predecessor { folder, place, key, named });
    }
    Ok((folder, chain))
}

/// Reads what the first entry of a log states about the previous log.
fn log_before(folder: &Folder) -> Option<PreviousLog> {
    let line = auditor::lines(folder).ok()?.next()?.ok()?;
    match entry::parse(&line.bytes).ok()?.event {
        Event::After(after) => Some(after),
        _ => None,
    }
}
