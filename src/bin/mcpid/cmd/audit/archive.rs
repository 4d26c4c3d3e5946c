//! `mcpid audit archive` moves old entries into an archive, and `mcpid audit erase` erases one
//! entry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpid::audit::archive::{self, ArchiveError};
use mcpid::audit::erase::{self, EraseError};
use mcpid::audit::{Folder, LogError};
use mcpid::clock::SystemClock;
use mcpid::message::shown::quoted;

use crate::args::{AuditArchiveArgs, AuditEraseArgs};
use crate::cmd::audit::open::{self, log_failure};
use crate::input::files::NamedPath;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::{Ui, path_word};

/// Moves old entries out of a log.
pub(crate) fn archive(args: &AuditArchiveArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = open::folder_with_key(&args.log, &args.key, ui)?;
    let done = archive::archive(&folder, args.before, &args.to)
        .map_err(|error| archive_failure(&error, &place, &args.to))?;
    if ui.json() {
        let last = (done.files > 0).then(|| done.next - 1);
        ui.json_line(&serde_json::json!({
            "version": 1, "audit": place.name(), "to": args.to.display().to_string(),
            "files": done.files, "first": (done.files > 0).then_some(done.first), "last": last,
            "bytes": done.bytes, "packed": done.packed,
        }))?;
        return Ok(Exit::Ok);
    }
    if done.files == 0 {
        ui.note(&format!(
            "nothing to archive: no file that is over and done has all its entries from before {}",
            args.before
        ));
        return Ok(Exit::Ok);
    }
    let files = if done.files == 1 { "file" } else { "files" };
    ui.line(&format!(
        "archived entries {} to {}: {} {files}, {} bytes, {} packed",
        done.first,
        done.next - 1,
        done.files,
        done.bytes,
        done.packed
    ))?;
    ui.hint(&format!(
        "mcpid audit verify{} --archive {} --log-key log-key.pub -r trust.json",
        place.as_flag("--audit"),
        path_word(&args.to)
    ));
    Ok(Exit::Ok)
}

/// Returns the failure for archiving that stopped in the middle. It says what was moved before.
fn archive_failure(error: &ArchiveError, place: &NamedPath, to: &Path) -> Failure {
    let (failure, moved) = (log_failure(&error.source, place), &error.moved);
    if moved.files == 0 {
        return failure;
    }
    let message = format!(
        "{}; before that, {} moved to {}: entries {} to {}",
        failure.message,
        if moved.files == 1 {
            "1 file was".to_owned()
        } else {
            format!("{} files were", moved.files)
        },
        to.display(),
        moved.first,
        moved.next - 1
    );
    Failure { message, ..failure }
}

/// Erases one entry.
pub(crate) fn erase(args: &AuditEraseArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let (folder, place) = open::folder_with_key(&args.log, &args.key, ui)?;
    let folder = with_archives(folder, &place, &args.archives.archive)?;
    let done = erase::erase(&folder, args.n, &args.reason, Arc::new(SystemClock))
        .map_err(|e| erase_failure(&e, &place))?;
    if ui.json() {
        ui.json_line(&serde_json::json!({
            "version": 1, "audit": place.name(), "erased": done.n, "entry": done.recorded_in,
            "files": done.files, "reason": done.reason,
        }))?;
    } else {
        ui.line(&format!("erased entry {}, as entry {} says", done.n, done.recorded_in))?;
    }
    if done.reason != args.reason {
        ui.warning(&format!(
            "the reason that stands is that of an earlier try, in entry {}: {}; the given one is \
             not in the log",
            done.recorded_in,
            quoted(&done.reason)
        ));
    }
    ui.note("copies elsewhere, such as backups and other archives, still have it");
    Ok(Exit::Ok)
}

/// Returns a log with the archives that the flags name.
///
/// # Errors
/// An archive is not a folder, or belongs to another log.
pub(super) fn with_archives(
    folder: Folder,
    place: &NamedPath,
    paths: &[PathBuf],
) -> Result<Folder, Failure> {
    let own = folder.public().map_err(|e| log_failure(&e, place))?.to_string();
    for path in paths {
        match owner(path)? {
            Some(other) if other != own => return Err(of_another(path, &other)),
            _ => {}
        }
    }
    Ok(folder.with_archives(paths.to_vec()))
}

/// Returns the key of the log to which a folder belongs, as the folder itself states it; `None` if
/// it states none.
///
/// # Errors
/// The path is not a folder.
pub(super) fn owner(path: &Path) -> Result<Option<String>, Failure> {
    if !path.is_dir() {
        let message = format!("--archive {}: no such folder", path.display());
        return Err(Failure::new(Exit::Input, "not_found", message));
    }
    match archive::owner(path) {
        Ok(key) => Ok(key.map(|key| key.to_string())),
        Err(error) => {
            let message = format!("--archive {}: {}", path.display(), chain(&error));
            Err(Failure::new(Exit::Input, "archive", message))
        }
    }
}

/// Returns the failure for an archive that belongs to another log.
pub(super) fn of_another(path: &Path, owner: &str) -> Failure {
    let message = format!("--archive {} has entries of another log: {owner}", path.display());
    Failure::new(Exit::Input, "archive", message)
}

fn erase_failure(error: &EraseError, place: &NamedPath) -> Failure {
    let line = chain(error);
    let show = format!("mcpid audit show{}", place.as_flag("--audit"));
    match error {
        EraseError::Log(error @ LogError::Followed { .. }) => {
            let failure = log_failure(error, place);
            failure.hint("no entry can tell of an erasure in a closed log")
        }
        EraseError::Log(error) => log_failure(error, place),
        EraseError::Reason(_) => Failure::usage(format!("--{}", line.trim_start_matches("the "))),
        EraseError::NoEntry(_) => Failure::new(Exit::Input, "no_entry", line).hint(show),
        EraseError::Already { .. } => Failure::new(Exit::Input, "erased", line),
        _ => Failure::new(Exit::Input, "no_request", line).hint(show),
    }
}
