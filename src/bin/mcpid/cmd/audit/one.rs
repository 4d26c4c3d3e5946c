//! `mcpid audit prove` and `mcpid audit check`: one entry on its own.

use std::io::Write as _;

use mcpid::audit::entry::Event;
use mcpid::audit::proof::{self, Checked, ProofError};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::message::shown::printed;

use crate::again;
use crate::args::{AuditCheckArgs, AuditProveArgs};
use crate::auditing::{self, log_failure};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files::{self, Place};
use crate::trustfiles;
use crate::ui::{Ui, path_word};

/// Writes the evidence of one entry.
pub(crate) fn prove(args: &AuditProveArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = auditing::folder(&args.log)?;
    if let Some(output) = &args.output {
        files::check_free(output)?;
    }
    let checkpoint = args.checkpoint.as_deref().map(auditing::checkpoint).transpose()?;
    let registry = match args.trust.as_slice() {
        [] => None,
        paths => Some(trustfiles::registry(paths, ui)?),
    };
    let known = registry.as_ref().map(|registry| (registry, SystemClock.now()));
    let text = proof::prove(&folder, args.n, checkpoint.as_deref(), known)
        .map_err(|e| proof_failure(&e, &place))?;
    match &args.output {
        Some(path) => {
            let written = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|e| Failure::write(path, &e))?;
            let file = path_word(path);
            ui.hint(&format!("mcpid audit check --log-key log-key.pub {file}"));
        }
        None if ui.json() => {
            // The same on one line.
            let value: Box<serde_json::value::RawValue> = serde_json::from_str(&text)
                .map_err(|e| Failure::new(Exit::Bug, "bug", format!("the evidence: {e}")))?;
            let value: serde_json::Value = serde_json::from_str(value.get())
                .map_err(|e| Failure::new(Exit::Bug, "bug", format!("the evidence: {e}")))?;
            ui.json_line(&value)?;
        }
        None => ui.data(text.as_bytes())?,
    }
    Ok(Exit::Ok)
}

/// What to say of a proof that cannot be made.
pub(crate) fn proof_failure(error: &ProofError, place: &Place) -> Failure {
    let line = chain(error);
    match error {
        ProofError::Log(error) => log_failure(error, place),
        ProofError::NoEntry(_) => Failure::new(Exit::Input, "no_entry", line)
            .hint(format!("mcpid audit show{}", place.as_flag("--audit"))),
        ProofError::NoCheckpoint { .. } => Failure::new(Exit::Input, "no_checkpoint", line)
            .hint("a running log makes one within a minute; one that ends makes its last one"),
        ProofError::NoRequest(_) => Failure::new(Exit::Input, "no_request", line),
        ProofError::Damaged(_) => Failure::new(Exit::Rejected, "damaged", line)
            .hint(format!("mcpid audit verify{} --log-key log-key.pub", place.as_flag("--audit"))),
        ProofError::Checkpoint(_) => Failure::new(Exit::Rejected, "checkpoint", line),
        _ => Failure::new(Exit::Input, "not_evidence", line),
    }
}

/// Checks the evidence of one entry.
pub(crate) fn check(args: &AuditCheckArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let anchor = auditing::anchor(&args.pins)?;
    let trust = auditing::trust(&args.pins, ui)?;
    let input = files::open(args.file.as_deref(), ui)?;
    let name = input.name.clone();
    let bytes = input.read(proof::MAX_BYTES)?;
    auditing::whole_text(&bytes)
        .map_err(|why| Failure::new(Exit::Input, "damaged_copy", format!("{name} {why}")))?;
    let checked = proof::check(&bytes, &anchor, trust).map_err(|error| {
        let message = format!("{name} is {}", chain(&error));
        Failure::new(Exit::Input, "not_evidence", message)
            .hint("evidence is made by: mcpid audit prove N")
    })?;
    if !checked.pinned {
        return Err(auditing::unpinned(&checked.log_key, |key| again::audit_check(args, key)));
    }
    print(&checked, args, &name, ui)?;
    Ok(if checked.fault.is_some() { Exit::Rejected } else { Exit::Ok })
}

fn open_ends(checked: &Checked, args: &AuditCheckArgs) -> Vec<String> {
    let mut open = Vec::new();
    if !checked.anchored {
        open.push(
            "without a witness or a checkpoint kept elsewhere, whoever has the log's key can have \
             made this at any time"
                .to_owned(),
        );
    }
    if args.pins.trust.is_empty() {
        open.push("without -r it is the log's word that this key was trusted then".to_owned());
    }
    open
}

fn print(checked: &Checked, args: &AuditCheckArgs, name: &str, ui: &mut Ui) -> Result<(), Failure> {
    let open = open_ends(checked, args);
    let entry = checked.entry();
    let request = entry.as_ref().and_then(|entry| match &entry.event {
        Event::Request(request) => Some(request),
        _ => None,
    });
    let mut unjudged = Vec::new();
    if checked.judged.opaque {
        unjudged.extend(1..=11);
    } else if checked.judged.without_body {
        unjudged.extend([9, 10, 11]);
    }
    let line: Option<serde_json::Value> = serde_json::from_slice(&checked.line).ok();
    let member = |path: &str| line.as_ref().and_then(|line| line.pointer(path)).cloned();
    if ui.json() {
        return ui.json_line(&serde_json::json!({
            "version": 1,
            "input": name,
            "verdict": if checked.fault.is_some() { "bad" } else { "good" },
            "message": checked.fault,
            "anchored": checked.anchored && checked.fault.is_none(),
            "log_key": checked.log_key.to_string(),
            "witnessed_at": checked.witnessed.map(|time| time.to_string()),
            "entry": entry.as_ref().map(|entry| entry.n),
            "time": entry.as_ref().map(|entry| entry.time.to_string()),
            "entry_verdict": request.map(|request| request.verdict.as_str()),
            "code": request.and_then(|request| request.code.clone()),
            "key": member("/signatures/0/key/kid"),
            "key_name": member("/signatures/0/key/mcpid/name"),
            "revoked_at": checked.revoked_at.map(|time| time.to_string()),
            "method": member("/request/method"),
            "target": member("/request/target"),
            "mcp": member("/mcp"),
            "unjudged": unjudged,
            "size": checked.checkpoint.size,
            "not_excluded": open,
        }));
    }
    let text = |path: &str| {
        member(path).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let first = match (&checked.fault, &entry, request) {
        (Some(fault), _, _) => format!("bad: {fault}"),
        (None, Some(entry), Some(request)) => {
            let code = request.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!(
                "good: entry {} of {}: {}{code} at {}",
                entry.n,
                checked.log_key.name(),
                request.verdict.as_str(),
                entry.time
            )
        }
        _ => "bad: no request".to_owned(),
    };
    let mut numbers = vec![(String::new(), first)];
    let mut add = |name: &str, value: String| numbers.push((format!("    {name:<12} "), value));
    if checked.fault.is_none() {
        let key = text("/signatures/0/key/kid");
        let name = text("/signatures/0/key/mcpid/name");
        let key = printed(&key).into_owned();
        add("key", if name.is_empty() { key } else { format!("{key} ({})", printed(&name)) });
        if let Some(revoked) = checked.revoked_at {
            add("revoked", revoked.to_string());
        }
        let shown = |path: &str| {
            member(path).and_then(|value| value.as_str().map(|text| printed(text).into_owned()))
        };
        let both = |one: &str, two: &str| {
            [shown(one), shown(two)].into_iter().flatten().collect::<Vec<_>>().join(" ")
        };
        add("target", both("/request/method", "/request/target"));
        let asked = both("/mcp/method", "/mcp/name");
        if !asked.is_empty() {
            add("mcp", asked);
        }
        if let Some(time) = checked.witnessed {
            add("witnessed", time.to_string());
        }
    }
    add("anchored", if checked.anchored { "yes" } else { "no" }.to_owned());
    if checked.judged.opaque {
        add("unjudged", "the signature covers what is not kept".to_owned());
    } else if checked.judged.without_body && checked.fault.is_none() {
        add("unjudged", "steps 9 to 11: the body was not kept".to_owned());
    }
    for (name, value) in numbers {
        let line = format!("{name}{value}");
        let line = ui.shown(&line).into_owned();
        ui.line(&line)?;
    }
    for sentence in open {
        ui.note(&sentence);
    }
    if checked.fault.is_none() {
        ui.detail("an entry proves that this was authorised, not that it was carried out");
    }
    Ok(())
}
