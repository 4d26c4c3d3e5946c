//! `mcpid trust`: who is trusted, in one trust file.

mod add;
mod list;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{self, Document, EditError, TrustEntry};

use crate::args::{TrustAct, TrustArgs, TrustRemoveArgs, TrustRevokeArgs};
use crate::input::files;
use crate::keys::trust_file::edit_failure;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// Does one of the four acts.
pub(crate) fn run(args: &TrustArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    match &args.act {
        TrustAct::Add(args) => add::run(args, ui),
        TrustAct::List(args) => list::run(args, ui),
        TrustAct::Revoke(args) => revoke(args, ui),
        TrustAct::Remove(args) => remove(args, ui),
    }
}

/// Prints the id of the key that is revoked. One that was revoked before stays so from then on:
/// what the caller wants is so already.
fn revoke(args: &TrustRevokeArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let now = SystemClock.now();
    let at = args.at.unwrap_or(now);
    let mut since = None;
    let revoked = trust::edit(&place.path, |document| match document.revoke(&args.key, at) {
        Err(EditError::AlreadyRevoked { since: earlier }) => {
            since = Some(earlier);
            entry(document, &args.key)
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

/// Prints the id of the key that was removed.
fn remove(args: &TrustRemoveArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = files::trust(args.trust.as_deref())?;
    let removed = trust::edit(&place.path, |document| document.remove(&args.key))
        .map_err(|error| edit_failure(error, &place))?;
    report(&removed, ui)
}

/// The entry with this name or id; `revoke` has just found it.
fn entry(document: &Document, who: &str) -> Result<TrustEntry, EditError> {
    let named = |entry: &&TrustEntry| entry.key().id().as_str() == who || entry.name() == Some(who);
    let found = document.file().entries().iter().find(named);
    found.cloned().ok_or_else(|| EditError::NotFound(who.to_owned()))
}

/// Says which key it was: its id, or all about it as JSON.
fn report(entry: &TrustEntry, ui: &mut Ui) -> Result<Exit, Failure> {
    if ui.json() {
        ui.json_line(&list::Shown::of(entry, SystemClock.now()).alone())?;
    } else {
        ui.line(entry.key().id().as_str())?;
    }
    Ok(Exit::Ok)
}
