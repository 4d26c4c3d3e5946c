//! `mcpid trust`: lists and changes the keys of one trust file.

mod add;
mod list;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{self, EditError, TrustEntry};

use crate::args::{TrustAct, TrustArgs, TrustRemoveArgs, TrustRevokeArgs};
use crate::input::files;
use crate::keys::trust_file::edit_failure;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Runs the subcommand.
pub(crate) fn run(args: &TrustArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        TrustAct::Add(args) => add::run(args, ui),
        TrustAct::List(args) => list::run(args, ui),
        TrustAct::Revoke(args) => revoke(args, ui),
        TrustAct::Remove(args) => remove(args, ui),
    }
}

/// Revokes a key, and prints its id. If the key was revoked before, the earlier time stays, and the
/// command succeeds.
fn revoke(args: &TrustRevokeArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let now = SystemClock.now();
    let at = args.at.unwrap_or(now);
    let mut since = None;
    let revoked = trust::edit(&place.path, |document| match document.revoke(&args.key, at) {
        Err(EditError::AlreadyRevoked { since: earlier }) => {
            since = Some(earlier);
            document.entry(&args.key).cloned()
        }
        other => other,
    });
    let revoked = revoked.map_err(|error| edit_failure(error, &place))?;
    if let Some(since) = since {
        ui.note(&format!("it was revoked before, as of {since}, and stays so"));
    } else if at > now {
        ui.note(&format!("it stays valid until {at}"));
    }
    report(&revoked, ui)
}

/// Removes a key, and prints its id.
fn remove(args: &TrustRemoveArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let removed = trust::edit(&place.path, |document| document.remove(&args.key))
        .map_err(|error| edit_failure(error, &place))?;
    report(&removed, ui)
}

/// Prints the id of the key, or the whole entry as JSON.
fn report(entry: &TrustEntry, ui: &mut Ui) -> Result<Exit, Failure> {
    if ui.json() {
        ui.json_line(&list::TrustedKeyJson::of(entry, SystemClock.now()).with_version())?;
    } else {
        ui.line(entry.key().id().as_str())?;
    }
    Ok(Exit::Ok)
}
