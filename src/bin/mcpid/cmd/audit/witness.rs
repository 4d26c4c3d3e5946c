//! `mcpid audit consistency` and `mcpid audit cosign`: check that a log has only grown between two
//! checkpoints. The second command also signs the newer one, as a witness.

use mcpid::audit::LogError;
use mcpid::audit::cosign::{self, WitnessState};
use mcpid::audit::growth;
use mcpid::audit::note::{self, NoteKey, NoteKeyKind};
use mcpid::audit::proof::ProofError;
use mcpid::clock::{Clock as _, SystemClock};

use super::prove::proof_failure;
use crate::args::{AuditConsistencyArgs, AuditCosignArgs};
use crate::cmd::audit::open::{self, note_key};
use crate::input::files;
use crate::keys::signing_key::SigningKey;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::Ui;

/// Checks that the log only grew between two checkpoints.
pub(crate) fn consistency(args: &AuditConsistencyArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = open::folder(&args.log)?;
    let key = note_key("--log-key", &args.log_key, NoteKeyKind::Log)?;
    let (old, new_note) = (open::checkpoint(&args.old)?, open::checkpoint(&args.new)?);
    match growth::consistent(&folder, &key, &old, &new_note) {
        Ok(growth) => {
            let (old, new) = (&growth.old, &growth.new);
            if args.print {
                let note = String::from_utf8_lossy(&new_note);
                ui.data(growth.request(&note).as_bytes())?;
            } else if ui.json() {
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
    let key = note_key("--log-key", &args.log_key, NoteKeyKind::Log)?;
    let signing_key = SigningKey::find(&args.signing_key)?;
    let name = args.name.clone().unwrap_or_else(|| signing_key.name().to_owned());
    if !note::is_name(&name) {
        return Err(Failure::usage(format!(
            "a witness cannot be called '{name}': no white space, no plus sign"
        ))
        .hint("give it another name: --name example.com/witness"));
    }
    let mut state = WitnessState::open(&args.state).map_err(|e| state_failure(&e))?;
    if args.first && state.knows(key.name()) {
        return Err(Failure::new(
            Exit::Rejected,
            "not_first",
            format!("not signed: checkpoints of {} were signed before", key.name()),
        )
        .hint("without --first, with what mcpid audit consistency --print prints"));
    }
    let input = files::open(args.input.as_deref(), ui)?;
    let bytes = input.read(u64::try_from(cosign::MAX_REQUEST).unwrap_or(u64::MAX))?;
    let request = cosign::CosignRequest::parse(&bytes).map_err(|e| state_failure(&e))?;
    let path = args.input.as_deref().filter(|path| *path != std::path::Path::new("-"));
    open::check_copy(&request.note, path)?;
    let source = signing_key.source(&args.passphrase, ui)?;
    let secret = signing_key.open(source)?;
    let now = SystemClock.now();
    let done = cosign::cosign(&mut state, &key, &request, args.first, (&name, &*secret), now);
    let (checkpoint, text) = done.map_err(|e| match e {
        // A forged checkpoint must be reported as such, and not as a copy that was damaged by
        // accident.
        error @ (ProofError::Damaged(_) | ProofError::Checkpoint(_)) => {
            let failure = Failure::new(
                Exit::Rejected,
                "inconsistent",
                format!("not signed: {}", chain(&error)),
            );
            match state.knows(key.name()) {
                true => failure.hint("keep the checkpoint: it may show that history was rewritten"),
                false => failure.hint("the first one is signed with --first"),
            }
        }
        error => state_failure(&error),
    })?;
    let public = NoteKey::new(&name, NoteKeyKind::Witness, secret.public().clone())
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

fn state_failure(error: &ProofError) -> Failure {
    let line = chain(error);
    match error {
        ProofError::Log(LogError::Locked(path)) => {
            let message = format!("another process has {}", path.display());
            Failure::new(Exit::Unavailable, "locked", message)
        }
        ProofError::Log(LogError::Io { act, path, source }) => {
            let (code, why) = reason(source);
            Failure::new(Exit::Input, code, format!("cannot {act} {}: {why}", path.display()))
        }
        _ => Failure::new(Exit::Input, "not_a_checkpoint", line),
    }
}
