//! `mcpid audit verify`: audits a whole log, on all cores.

use std::cell::RefCell;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::auditor::{self, Auditor, AuditorInputs, EntryLine, Report, UsedNonces};
use mcpid::audit::entry_judge::{AuditorTrust, EntryFindings, EntryJudge, UnjudgedReason};
use mcpid::audit::note::NoteKey;
use mcpid::audit::{Folder, LogError};

use super::entry_text::{self, plural};
use super::erasure_list;
use super::log_verdict::LogVerdict;
use super::page::CLOCK_ALLOWED;
use super::predecessors::{self, PredecessorsOutcome};
use super::report::summary::{LogSummary, SummaryRow};
use crate::args::AuditVerifyArgs;
use crate::args::rerun_hint;
use crate::cmd::audit::open::{self, log_failure};
use crate::cmd::verify::parallel;
use crate::input::files::NamedPath;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Number of lines that a worker takes at a time; fewer if the lines are long.
const BATCH_LINES: usize = 32;
/// Size, in bytes, of the lines that a worker takes at a time.
const BATCH_BYTES: usize = 1024 * 1024;

thread_local! {
    /// The value with which a worker thread judges entries. It caches verifiers.
    static JUDGE: RefCell<Option<EntryJudge>> = const { RefCell::new(None) };
}

/// Audits the logs, and prints what was found.
pub(crate) fn run(args: &AuditVerifyArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let verdict = conduct(args, &mut None, |key| rerun_hint::audit_verify(args, key), ui)?;
    match ui.json() {
        true => ui.json_line(&verdict.json)?,
        false => verdict.print(&[], ui)?,
    }
    Ok(verdict.exit)
}

/// Runs the audit. If `summary` is given, the entries are counted in it. `again` returns the user's
/// command with the key of the log added, for a hint.
pub(super) fn conduct(
    args: &AuditVerifyArgs,
    summary: &mut Option<LogSummary>,
    again: impl FnOnce(&str) -> String,
    ui: &mut Ui,
) -> Result<LogVerdict, Failure> {
    let (folder, place) = open::folder(&args.log)?;
    // A missing log is reported here, so that it does not look like an empty log.
    let found = folder.public().map_err(|e| log_failure(&e, &place))?;
    let auditor_inputs = AuditorInputs {
        all: args.all,
        allow_erased: args.allow_erased,
        ..open::auditor_inputs(&args.pins)?
    };
    if auditor_inputs.log_key.is_none() {
        return Err(open::unpinned(&found, again));
    }
    let trust = open::trust(&args.pins, ui)?;
    let inputs = super::page::pins(&args.pins, &auditor_inputs, &trust);
    let key = auditor_inputs.log_key.clone().unwrap_or_else(|| found.clone());
    let (folder, before) = predecessors::find(folder, args, &found)?;
    let mut outcome = PredecessorsOutcome::default();
    let mut nonces = UsedNonces::default();
    // The oldest log comes first, because a nonce that it used must not occur in a later log.
    let mut last: Option<(Report, NoteKey)> = None;
    for log in before.iter().rev() {
        let pins = log.auditor_inputs(&auditor_inputs);
        let (report, used) =
            audit((&log.folder, &log.place), &pins, &trust, (nonces, &mut None), ui)?;
        nonces = used;
        outcome.add(log, &report, &auditor_inputs);
        outcome.follows((&report, &log.key), last.as_ref());
        last = Some((report, log.key.clone()));
    }
    let auditor_inputs = predecessors::without_theirs(auditor_inputs, &before);
    let (mut report, _) = audit((&folder, &place), &auditor_inputs, &trust, (nonces, summary), ui)?;
    outcome.follows((&report, &key), last.as_ref());
    report.findings.append(&mut outcome.findings);
    let exit = match (report.finding(), report.is_good() && outcome.is_good()) {
        (Some(_), _) => Exit::Rejected,
        (None, true) => Exit::Ok,
        (None, false) => Exit::Unavailable,
    };
    let (first, numbers, open, json) = words(&report, args, &place, &outcome);
    let folder = place.name();
    Ok(LogVerdict { exit, first, numbers, open, json, report, inputs, log_key: key, folder })
}

/// Judges every entry of one log, on all cores.
fn audit(
    (folder, place): (&Folder, &NamedPath),
    auditor_inputs: &AuditorInputs,
    trust: &AuditorTrust,
    (nonces, summary): (UsedNonces, &mut Option<LogSummary>),
    ui: &mut Ui,
) -> Result<(Report, UsedNonces), Failure> {
    let failed = |e: &LogError| log_failure(e, place);
    let mut auditor =
        Auditor::new(folder, auditor_inputs).map_err(|e| failed(&e))?.with_earlier_nonces(nonces);
    let lines = auditor::lines(folder).map_err(|e| failed(&e))?;
    let started = Instant::now();
    let counts = summary.is_some();
    let done = parallel::in_order(
        1,
        |units| {
            let (mut batch, mut bytes) = (Vec::with_capacity(BATCH_LINES), 0);
            for line in lines {
                let last = line.is_err();
                bytes += line.as_ref().map_or(0, |line| line.bytes.len());
                batch.push(line);
                if last || batch.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
                    bytes = 0;
                    if units.send(std::mem::take(&mut batch)).is_break() || last {
                        return;
                    }
                }
            }
            let _ = units.send(batch);
        },
        |batch| judge_lines(batch, trust, counts),
        |looked: Result<Vec<(EntryFindings, Option<SummaryRow>)>, LogError>| {
            for (looked, row) in looked.map_err(Some)? {
                auditor.take(looked);
                if let (Some(summary), Some(row), false) = (&mut *summary, row, auditor.is_over()) {
                    summary.add(row);
                }
            }
            if ui.shows_progress() {
                let seconds = started.elapsed().as_secs_f64().max(0.001);
                #[allow(clippy::cast_precision_loss)]
                let rate = auditor.entries() as f64 / seconds;
                ui.progress(&format!("{} entries judged, {rate:.0} a second", auditor.entries()));
            }
            // After an entry was found inserted or removed, further results would not be reliable.
            if auditor.is_over() { Err(None) } else { Ok(()) }
        },
    );
    if let Err(Some(error)) = done {
        return Err(failed(&error));
    }
    auditor.finish_with_nonces().map_err(|e| failed(&e))
}

/// Judges lines of a log. If `counts` is true, each result has the facts for a summary.
fn judge_lines(
    batch: Vec<Result<EntryLine, LogError>>,
    trust: &AuditorTrust,
    counts: bool,
) -> Result<Vec<(EntryFindings, Option<SummaryRow>)>, LogError> {
    JUDGE.with_borrow_mut(|judge| {
        let judge = judge.get_or_insert_with(|| EntryJudge::new(trust.clone()));
        let judged = batch.into_iter().map(|line| {
            let line = line?;
            let looked = judge.judge_line(&line);
            let row = counts.then(|| SummaryRow::of(&line.bytes, &looked)).flatten();
            Ok((looked, row))
        });
        judged.collect()
    })
}

/// Returns what this audit cannot prove, one sentence for each point.
fn open_ends(
    report: &Report,
    args: &AuditVerifyArgs,
    outcome: &PredecessorsOutcome,
) -> Vec<String> {
    let mut open = Vec::new();
    match report.anchored {
        // A checkpoint of the auditor that does not match is already reported as a finding.
        None if !args.pins.checkpoint.is_empty() => {}
        None if report.lacks_quorum => open.push(
            "without cosignatures by the quorum of the witness policy, the holder of the log's key \
             can have removed, changed, added or rolled back anything"
                .to_owned(),
        ),
        None => open.push(
            "without a --checkpoint kept elsewhere, the holder of the log's key can have removed, \
             changed, added or rolled back anything"
                .to_owned(),
        ),
        Some(size) if size < report.entries => open.push(format!(
            "what follows entry {} lies under nothing that was kept elsewhere or cosigned",
            size.saturating_sub(1)
        )),
        Some(_) => {}
    }
    if args.pins.trust.is_empty() {
        open.push(
            "without -r nothing says whose keys these are: any key can be given any name"
                .to_owned(),
        );
    }
    if report.erased > 0 {
        open.push(
            "what the erased entries said is not known, nor whether their nonces were used again"
                .to_owned(),
        );
    }
    for log in outcome.logs.iter().filter(|log| log.erased > 0) {
        open.push(format!(
            "{} of {} erased: what they said is not known, nor whether their nonces were used again",
            plural(log.erased, "entry", "entries"),
            log.name
        ));
    }
    if report.not_given > 0 {
        open.push(format!(
            "{} archived and not seen: only their hashes were checked",
            plural(report.not_given, "entry is", "entries are")
        ));
    }
    if report.link.first_unknown {
        open.push(
            "the first entry, which would name a log before this one, was not seen".to_owned(),
        );
    }
    if let Some(successor) = &report.link.successor {
        open.push(format!("the log is closed, and goes on as {successor}"));
    }
    open.extend(outcome.uncertain.iter().cloned());
    open
}

/// A report: its first lines, its rows (label and number), what is not proved, and its JSON.
type Words = (Vec<String>, Vec<(&'static str, String)>, Vec<String>, serde_json::Value);

fn words(
    report: &Report,
    args: &AuditVerifyArgs,
    place: &NamedPath,
    outcome: &PredecessorsOutcome,
) -> Words {
    let open = open_ends(report, args, outcome);
    let finding = report.finding();
    let anchored = report.anchored.is_some() && finding.is_none();
    let good = report.is_good() && outcome.is_good();
    let root = report.root.map(|root| STANDARD.encode(root));
    let verified = u64::try_from(outcome.logs.len()).unwrap_or(u64::MAX);
    let json = {
        let shown = |finding: &auditor::Finding| {
            serde_json::json!({
                "what": finding.what.as_str(), "entry": finding.n, "message": finding.to_string(),
            })
        };
        let all: Vec<_> = report.findings.iter().map(shown).collect();
        serde_json::json!({
            "version": 1,
            "audit": place.name(),
            "verdict": match (finding, good) {
                (Some(_), _) => "bad",
                (None, true) => "good",
                (None, false) => "unjudged",
            },
            "finding": finding.map(shown),
            "findings": args.all.then_some(all),
            "unjudged": report.unjudged,
            "unjudged_entries": report.not_good,
            "anchored": anchored,
            "anchored_entries": report.anchored,
            "witnessed_entries": report.witnessed.map(|(entries, _)| entries),
            "witnessed_at": report.witnessed.map(|(_, time)| time.to_string()),
            "lacks_quorum": report.lacks_quorum,
            "entries": report.entries,
            "requests": report.requests,
            "first": report.span.map(|(first, _)| first.to_string()),
            "last": report.span.map(|(_, last)| last.to_string()),
            "signatures": report.signatures,
            "without_body": report.without_body,
            "opaque": report.base_not_kept,
            "claimed": report.operation_claimed,
            "touched": report.touched.0,
            "touches_not_confirmed": report.touched.1,
            "under_clock_offset": report.ahead_of_clock,
            "recoveries": report.recoveries, "recovered": report.recovered,
            "checkpoints": report.checkpoints,
            "unfinished": report.unfinished,
            "predecessors": report.link.predecessors,
            "predecessors_verified": verified,
            "predecessor_logs": outcome.logs.iter().map(|log| serde_json::json!({
                "audit": log.name, "entries": log.entries, "anchored_entries": log.anchored,
                "erased": log.erased, "erasures": erasure_list::json(&log.erasures),
            })).collect::<Vec<_>>(),
            "archived_unseen": report.not_given,
            "erased": report.erased,
            "erasures": erasure_list::json(&report.erasures),
            "successor": report.link.successor,
            "root": root,
            "not_excluded": open,
        })
    };
    let count = plural(report.entries, "entry", "entries");
    let mut lines = Vec::new();
    let mut numbers = Vec::new();
    match finding {
        Some(first) => {
            let rest = if args.all { report.findings.len() } else { 1 };
            lines.push(format!("bad: {first}"));
            let others = report.findings.get(1..rest).unwrap_or_default();
            lines.extend(others.iter().map(|finding| format!("bad: {finding}")));
            if report.more_findings > 0 {
                lines.push(format!("bad: {} more findings", report.more_findings));
            }
            numbers.push((if args.all { "entries" } else { "before it" }, count));
        }
        None => {
            let span = report.span.map(|(first, last)| format!(", {first} to {last}"));
            let span = span.unwrap_or_default();
            lines.push(match (good, report.not_good) {
                (true, _) => format!("good: {count}{span}"),
                (false, _) if report.lacks_quorum => {
                    let mut reasons: Vec<&str> = report.unjudged.keys().copied().collect();
                    reasons.push("quorum");
                    format!("unjudged: {}: {count}{span}", reasons.join(", "))
                }
                (false, 0) => format!("unjudged: the logs before it: {count}{span}"),
                (false, n) => {
                    let reasons: Vec<&str> = report.unjudged.keys().copied().collect();
                    format!("unjudged: {}: {n} of {count}{span}", reasons.join(", "))
                }
            });
        }
    }
    for reason in UnjudgedReason::ALL {
        if let Some(n) = report.unjudged.get(reason.as_str()) {
            let n = plural(*n, "entry", "entries");
            numbers.push(("unjudged", format!("{n}: {}", reason.text())));
        }
    }
    numbers.push((
        "anchored",
        match report.anchored {
            Some(size) => format!("up to {}", plural(size, "entry", "entries")),
            None => "no".to_owned(),
        },
    ));
    match report.witnessed {
        Some((size, time)) => {
            let size = plural(size, "entry", "entries");
            numbers.push(("witnessed", format!("up to {size}, at {time}")));
        }
        None if report.lacks_quorum => {
            numbers.push(("witnessed", "no: the quorum has cosigned no checkpoint".to_owned()));
        }
        None => {}
    }
    numbers.push(("signatures", format!("{} verified", report.signatures)));
    numbers.push(("checkpoints", format!("{} fit", report.checkpoints)));
    if report.without_body > 0 {
        let count = plural(report.without_body, "body was", "bodies were");
        numbers.push(("bodies", format!("{count} not kept: steps 9 to 11 rest on the log's word")));
    }
    numbers.extend(entry_text::touched(report.touched).map(|text| ("touched", text)));
    if report.operation_claimed > 0 {
        let count = plural(report.operation_claimed, "entry asks", "entries ask");
        numbers.push(("claimed", format!("{count} for what only the log's word says")));
    }
    match (report.link.predecessors, verified) {
        (0, _) => {}
        (n, 0) => numbers.push(("predecessors", format!("{n}, not verified here"))),
        (n, verified) => numbers.push(("predecessors", format!("{n}, {verified} verified here"))),
    }
    for log in &outcome.logs {
        let anchored = match log.anchored {
            Some(size) => format!("anchored up to {}", plural(size, "entry", "entries")),
            None => "anchored only by the log behind it".to_owned(),
        };
        let count = plural(log.entries, "entry", "entries");
        numbers.push(("before", format!("{}: {count}, {anchored}", log.name)));
        let of = format!(" of {}", log.name);
        numbers.extend(erasure_list::lines(&log.erasures, &of).map(|line| ("erased", line)));
    }
    if report.erased > 0 {
        let count = plural(report.erased, "entry", "entries");
        numbers.push(("erased", format!("{count}, as the log says")));
    }
    numbers.extend(erasure_list::lines(&report.erasures, "").map(|line| ("erased", line)));
    if report.ahead_of_clock > 0 && args.pins.allow_clock {
        let count = plural(report.ahead_of_clock, "entry", "entries");
        numbers.push(("clock", format!("{count}: {CLOCK_ALLOWED}")));
    }
    let recovered = entry_text::recovered(report.recoveries, report.recovered);
    numbers.extend(recovered.map(|text| ("recovered", text)));
    if report.unfinished {
        numbers.push(("unfinished", "the last write was not completed, or goes on".to_owned()));
    }
    if let Some(root) = root {
        numbers.push(("root", root));
    }
    (lines, numbers, open, json)
}
