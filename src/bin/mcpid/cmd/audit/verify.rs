//! `mcpid audit verify`: the whole log, on all cores.

use std::cell::RefCell;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::LogError;
use mcpid::audit::auditor::{self, Auditor, Line, Report};
use mcpid::audit::judge::{Judge, Looked, Trust};

use crate::again;
use crate::args::AuditVerifyArgs;
use crate::auditing::{self, log_failure};
use crate::crew;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files::Place;
use crate::ui::Ui;

/// Lines that one core judges in one go; fewer where they are long.
const LINES: usize = 32;
/// Bytes of lines in one go.
const BYTES: usize = 1024 * 1024;

thread_local! {
    /// What a core has learnt about keys; the threads end with the work.
    static JUDGE: RefCell<Option<Judge>> = const { RefCell::new(None) };
}

/// Audits, and prints what was found.
pub(crate) fn run(args: &AuditVerifyArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = auditing::folder(&args.log)?;
    // One that is not there must not be taken for one without entries.
    let found = folder.public().map_err(|e| log_failure(&e, &place))?;
    if args.pins.log_key.is_none() {
        return Err(auditing::unpinned(&found, |key| again::audit_verify(args, key)));
    }
    let anchor = auditing::anchor(&args.pins)?;
    let trust = auditing::trust(&args.pins, ui)?;
    let mut auditor = Auditor::new(&folder, &anchor).map_err(|e| log_failure(&e, &place))?;
    let lines = auditor::lines(&folder).map_err(|e| log_failure(&e, &place))?;
    let started = Instant::now();
    let done = crew::in_order(
        |giver| {
            let (mut batch, mut bytes) = (Vec::with_capacity(LINES), 0);
            for line in lines {
                let last = line.is_err();
                bytes += line.as_ref().map_or(0, |line| line.bytes.len());
                batch.push(line);
                if last || batch.len() >= LINES || bytes >= BYTES {
                    bytes = 0;
                    if giver.give(std::mem::take(&mut batch)).is_break() || last {
                        return;
                    }
                }
            }
            let _ = giver.give(batch);
        },
        |batch| look(batch, &trust),
        |looked: Result<Vec<Looked>, LogError>| {
            for looked in looked.map_err(Some)? {
                auditor.take(looked);
            }
            if ui.shows_progress() {
                let seconds = started.elapsed().as_secs_f64().max(0.001);
                #[allow(clippy::cast_precision_loss)]
                let rate = auditor.entries() as f64 / seconds;
                ui.progress(&format!("{} entries judged, {rate:.0} a second", auditor.entries()));
            }
            // What follows a finding could not be relied on.
            if auditor.is_over() { Err(None) } else { Ok(()) }
        },
    );
    if let Err(Some(error)) = done {
        return Err(log_failure(&error, &place));
    }
    let whole = auditor.finish();
    print(&whole, args, &place, ui)?;
    Ok(if whole.finding.is_some() { Exit::Rejected } else { Exit::Ok })
}

fn look(batch: Vec<Result<Line, LogError>>, trust: &Trust) -> Result<Vec<Looked>, LogError> {
    JUDGE.with_borrow_mut(|judge| {
        let judge = judge.get_or_insert_with(|| Judge::new(trust.clone()));
        batch.into_iter().map(|line| line.map(|line| judge.look(&line))).collect()
    })
}

/// What nothing here can exclude, each in a sentence.
fn open_ends(report: &Report, args: &AuditVerifyArgs) -> Vec<String> {
    let mut open = Vec::new();
    match report.anchored {
        // One that was given and does not fit is the finding.
        None if !args.pins.checkpoint.is_empty() => {}
        None => open.push(
            "without a --checkpoint kept elsewhere, whoever has the log's key can have removed, \
             changed, added or rolled back anything"
                .to_owned(),
        ),
        Some(size) if size < report.entries => open.push(format!(
            "what follows entry {} lies under nothing that was kept elsewhere",
            size.saturating_sub(1)
        )),
        Some(_) => {}
    }
    if args.pins.trust.is_empty() {
        open.push("without -r it is the log's own word whose keys were valid when".to_owned());
    }
    open
}

fn print(
    report: &Report,
    args: &AuditVerifyArgs,
    place: &Place,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let open = open_ends(report, args);
    let anchored = report.anchored.is_some() && report.finding.is_none();
    let root = report.root.map(|root| STANDARD.encode(root));
    if ui.json() {
        let finding = report.finding.as_ref().map(|finding| {
            serde_json::json!({
                "what": finding.what.as_str(), "entry": finding.n, "message": finding.to_string(),
            })
        });
        return ui.json_line(&serde_json::json!({
            "version": 1,
            "audit": place.name(),
            "verdict": if report.finding.is_some() { "bad" } else { "good" },
            "finding": finding,
            "anchored": anchored,
            "anchored_entries": report.anchored,
            "entries": report.entries,
            "first": report.span.map(|(first, _)| first.to_string()),
            "last": report.span.map(|(_, last)| last.to_string()),
            "signatures": report.signatures,
            "without_body": report.without_body,
            "opaque": report.opaque,
            "checkpoints": report.checkpoints,
            "unfinished": report.unfinished,
            "root": root,
            "not_excluded": open,
        }));
    }
    match &report.finding {
        Some(finding) => {
            let line = format!("bad: {finding}");
            let line = ui.shown(&line).into_owned();
            ui.line(&line)?;
            ui.line(&format!(
                "    {:<12} {}",
                "before it",
                plural(report.entries, "entry", "entries")
            ))?;
        }
        None => {
            let span = report.span.map(|(first, last)| format!(", {first} to {last}"));
            let count = plural(report.entries, "entry", "entries");
            ui.line(&format!("good: {count}{}", span.unwrap_or_default()))?;
        }
    }
    let anchor = match report.anchored {
        Some(size) => format!("up to {}", plural(size, "entry", "entries")),
        None => "no".to_owned(),
    };
    let mut numbers = vec![
        ("anchored", anchor),
        ("signatures", format!("{} verified", report.signatures)),
        ("checkpoints", format!("{} fit", report.checkpoints)),
    ];
    if report.without_body > 0 {
        let count = plural(report.without_body, "body was", "bodies were");
        numbers.push(("bodies", format!("{count} not kept: steps 9 to 11 rest on the log's word")));
    }
    if report.opaque > 0 {
        let count = plural(report.opaque, "entry covers", "entries cover");
        numbers.push(("opaque", format!("{count} what is not kept, and cannot be judged again")));
    }
    if report.unfinished {
        numbers.push(("unfinished", "the last write was not completed, or goes on".to_owned()));
    }
    if let Some(root) = root {
        numbers.push(("root", root));
    }
    for (name, value) in numbers {
        ui.line(&format!("    {name:<12} {value}"))?;
    }
    for sentence in open {
        ui.note(&sentence);
    }
    Ok(())
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
