//! `connect --check`: prints the results of a test of the server.

use mcpid::connect::{CheckOutcome, ServerCheck};
use serde_json::json;

use crate::args::ConnectArgs;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Maximum number of characters of the server's name that are printed.
const MAX_NAME_SHOWN: usize = 200;

/// Prints the results of the server test with the key `id`.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn report(
    found: &ServerCheck,
    args: &ConnectArgs,
    id: &str,
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    let (verdict, exit) = match found.outcome {
        CheckOutcome::Accepted => ("accepted", Exit::Ok),
        CheckOutcome::Refused => ("rejected", Exit::Rejected),
        CheckOutcome::NotSigned => ("not_signed", Exit::Key),
        _ => ("unavailable", Exit::Unavailable),
    };
    let server: Option<String> =
        found.server.as_ref().map(|server| server.chars().take(MAX_NAME_SHOWN).collect());
    if ui.json() {
        ui.json_line(&json!({
            "version": 1,
            "url": args.url,
            "verdict": verdict,
            "code": found.code,
            "message": found.message,
            "hint": found.hint,
            "revision": found.revision,
            "server": server,
            "key": { "id": id, "known": found.is_key_known },
        }))?;
        return Ok(exit);
    }
    let known = match (found.is_key_known, found.outcome) {
        (Some(true), _) => ", known: a request that is not signed is refused",
        (Some(false), _) => ", not known there",
        (None, CheckOutcome::Accepted) => {
            ", perhaps not known: the server does not demand signatures"
        }
        (None, _) => "",
    };
    let message = format!("{}: {}", verdict.replace('_', " "), found.message);
    let message = ui.shown(&message);
    ui.line(&message)?;
    ui.line(&format!("    url       {}", ui.shown(&args.url)))?;
    ui.line(&format!("    key       {id}{known}"))?;
    for (name, value) in [("server", &server), ("revision", &found.revision)] {
        if let Some(value) = value {
            ui.line(&format!("    {name:<8}  {}", ui.shown(value)))?;
        }
    }
    if let Some(hint) = &found.hint {
        ui.hint(hint);
    }
    Ok(exit)
}
