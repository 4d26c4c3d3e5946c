//! `mcpid audit consistency` and `mcpid audit cosign`: that a log only grows.

use mcpid::audit::growth;
use mcpid::audit::note::{self, Kind, NoteKey};
use mcpid::audit::proof::ProofError;
use mcpid::clock::{Clock as _, SystemClock};

use super::one::proof_failure;
use crate::args::{AuditConsistencyArgs, AuditCosignArgs};
use crate::auditing::{self, note_key};
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::holder::Holder;
use crate::ui::Ui;

/// Compares two checkpoints.
pub(crate) fn consistency(args: &AuditConsistencyArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = auditing::folder(&args.log)?;
    let key = note_key("--log-key", &args.log_key, Kind::Log)?;
    let (old, new) = (auditing::checkpoint(&args.old)?, auditing::checkpoint(&args.new)?);
    match growth::consistent(&folder, &key, &old, &new) {
        Ok((old, new)) => {
            if ui.json() {
                ui.json_line(&serde_json::json!({
                    "version": 1, "verdict": "good", "old": old.size, "new": new.size,
                    "message": null,
                }))?;
            } else {
                ui.line(&format!(
                    "good: from {} to {} entries it has only grown",
                    old.size, new.size
                ))?;
            }
            Ok(Exit::Ok)
        }
        Err(error @ (ProofError::Damaged(_) | ProofError::Checkpoint(_))) => {
            let why = chain(&error);
            if ui.json() {
                ui.json_line(&serde_json::json!({
                    "version": 1, "verdict": "bad", "old": null, "new": null, "message": why,
                }))?;
            } else {
                let line = format!("bad: {why}");
                let line = ui.shown(&line).into_owned();
                ui.line(&line)?;
            }
            Ok(Exit::Rejected)
        }
        Err(error) => Err(proof_failure(&error, &place)),
    }
}

/// Signs a checkpoint as a witness.
pub(crate) fn cosign(args: &AuditCosignArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = auditing::folder(&args.log)?;
    let key = note_key("--log-key", &args.log_key, Kind::Log)?;
    let kept = args.checkpoint.as_deref().map(auditing::checkpoint).transpose()?;
    let new = args.new.as_deref().map(auditing::checkpoint).transpose()?;
    let holder = Holder::find(args.key.as_deref())?;
    let name = args.name.clone().unwrap_or_else(|| holder.name().to_owned());
    if !note::is_name(&name) {
        return Err(Failure::usage(format!(
            "a witness cannot be called '{name}': no white space, no plus sign"
        ))
        .hint("give it another name: --name example.com/witness"));
    }
    let source = holder.source(&args.passphrase, ui)?;
    let secret = holder.open(source)?;
    let done = growth::cosign(
        &folder,
        &key,
        (kept.as_deref(), new.as_deref()),
        (&name, &*secret),
        SystemClock.now(),
    );
    let (checkpoint, text) = done.map_err(|e| match e {
        // It must not look like something that was merely mistyped.
        error @ (ProofError::Damaged(_) | ProofError::Checkpoint(_)) => {
            Failure::new(Exit::Rejected, "inconsistent", format!("not signed: {}", chain(&error)))
                .hint("keep both checkpoints: together they show that history was rewritten")
        }
        error => proof_failure(&error, &place),
    })?;
    let public = NoteKey::new(&name, Kind::Witness, secret.public().clone())
        .map_err(|e| Failure::usage(e.to_string()))?;
    if ui.json() {
        ui.json_line(&serde_json::json!({
            "version": 1, "size": checkpoint.size, "witness": public.to_string(), "note": text,
        }))?;
    } else {
        ui.data(text.as_bytes())?;
    }
    ui.note(&format!("signed for {} entries as {public}", checkpoint.size));
    Ok(Exit::Ok)
}
