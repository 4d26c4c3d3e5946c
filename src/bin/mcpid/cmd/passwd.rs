//! `mcpid passwd`: changes the passphrase of a keyfile.

use std::path::Path;

use mcpid::key::file_io;
use mcpid::key::keyfile::{KdfCost, Keyfile};
use rand::rngs::SysRng;

use crate::args::PasswdArgs;
use crate::cmd::keygen::KeyfileJson;
use crate::input::files::{self, NamedPath};
use crate::keys::keyfile::{self, keyfile_failure, store_failure};
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase::{self, Passphrase};
use crate::prompt::secret_service;

/// Replaces the keyfile by one with the new passphrase.
pub(crate) fn run(args: &PasswdArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = signing_key::keyfile_place(args.key.as_deref(), "--key")?;
    let keyfile = keyfile::load(&place)?;
    if args.forget {
        return forget(&keyfile, &place, ui);
    }
    if args.remember {
        return remember(args, &keyfile, &place, ui);
    }
    // Everything that can fail is checked before the user is asked for passphrases.
    let link = std::fs::symlink_metadata(&place.path).is_ok_and(|about| about.is_symlink());
    if link {
        let error = file_io::FileError::NotRegular("a symbolic link");
        // A symbolic link is refused: the new file would replace the link and not its target.
        let failure = Failure { hints: Vec::new(), ..store_failure(&place.path, error) };
        let folder = place.path.parent().unwrap_or(Path::new(""));
        return Err(match std::fs::read_link(&place.path).map(|target| folder.join(target)) {
            Ok(target) => failure.hint(format!("mcpid passwd -k {}", path_word(&target))),
            Err(_) => failure,
        });
    }
    files::check_folder(&place.path)?;
    one_descriptor(args)?;
    let old = keyfile::source(&keyfile, &place, &args.passphrase, ui)?;
    let new = match args.no_passphrase {
        true => None,
        false => Some(
            passphrase::new_source(
                args.new_passphrase_file.as_deref(),
                args.new_passphrase_fd,
                ui,
            )?
            .strong_unless(args.weak)?,
        ),
    };
    let secret = keyfile::open(&keyfile, &place, old)?;
    let given = new.map(|new| new.fresh(&place.name(), args.weak)).transpose()?;
    let replaced = match &given {
        None => keyfile.plain_again(&secret),
        Some(given) => keyfile.sealed_again(&secret, given, cost(&keyfile), &mut SysRng),
    };
    let replaced = replaced.map_err(|e| keyfile_failure(&place.path, &e))?;
    file_io::replace_keyfile(&place.path, &replaced).map_err(|error| match error {
        file_io::FileError::Io(e) => Failure::write(&place.path, &e),
        other => store_failure(&place.path, other),
    })?;
    remember_change(&replaced, given.as_ref(), ui);
    if ui.json() {
        ui.json_line(&KeyfileJson::of(&place, &replaced))?;
    } else if replaced.is_plain() {
        ui.note(&format!(
            "{} is not encrypted any more: every program that can read it can sign",
            place.name()
        ));
    } else {
        ui.note(&format!("{} has a new passphrase", place.name()));
    }
    Ok(Exit::Ok)
}

/// Stores the passphrase in the Secret Service, after checking that it opens the keyfile.
fn remember(
    args: &PasswdArgs,
    keyfile: &Keyfile,
    place: &NamedPath,
    ui: &mut Ui,
) -> Result<Exit, Failure> {
    if keyfile.is_plain() {
        let message = format!("{} is not encrypted: it has no passphrase", place.name());
        return Err(Failure::new(Exit::Key, "no_passphrase", message));
    }
    let source = passphrase::source(&args.passphrase, ui)?;
    let given = source.existing(&place.name())?;
    keyfile.open(Some(&given)).map_err(|error| keyfile_failure(&place.path, &error))?;
    secret_service::store(keyfile.public().id(), keyfile.name(), &given)?;
    report_remembered(keyfile, place, true, ui)?;
    ui.note(&format!("the Secret Service remembers the passphrase of {}", place.name()));
    Ok(Exit::Ok)
}

/// Makes the Secret Service forget the passphrase.
fn forget(keyfile: &Keyfile, place: &NamedPath, ui: &mut Ui) -> Result<Exit, Failure> {
    let was_there = secret_service::clear(keyfile.public().id())?;
    report_remembered(keyfile, place, false, ui)?;
    let words = if was_there { "has forgotten" } else { "did not remember" };
    ui.note(&format!("the Secret Service {words} the passphrase of {}", place.name()));
    Ok(Exit::Ok)
}

fn report_remembered(
    keyfile: &Keyfile,
    place: &NamedPath,
    is_remembered: bool,
    ui: &mut Ui,
) -> Result<(), Failure> {
    if !ui.json() {
        return Ok(());
    }
    let id = keyfile.public().id().to_string();
    ui.json_line(&RememberedJson { version: 1, id, file: place.name(), remembered: is_remembered })
}

/// Whether a passphrase is remembered, as `--json` prints it.
#[derive(serde::Serialize)]
struct RememberedJson {
    version: u8,
    id: String,
    file: String,
    remembered: bool,
}

/// Replaces the passphrase in the Secret Service by the new one, or removes it if the keyfile has
/// none any more.
fn remember_change(keyfile: &Keyfile, given: Option<&Passphrase>, ui: &mut Ui) {
    let id = keyfile.public().id();
    if secret_service::lookup(id, ui).is_none() {
        return;
    }
    let (changed, done) = match given {
        Some(given) => {
            (secret_service::store(id, keyfile.name(), given), "remembers the new passphrase")
        }
        None => (secret_service::clear(id).map(|_| ()), "has forgotten the passphrase"),
    };
    match changed {
        Ok(()) => ui.note(&format!("the Secret Service {done}")),
        Err(failure) => ui.warning(&format!(
            "the Secret Service remembers the old passphrase: {}",
            failure.message
        )),
    }
}

/// Refuses the same file descriptor for both passphrases, because the second read would find
/// nothing.
fn one_descriptor(args: &PasswdArgs) -> Result<(), Failure> {
    match (args.passphrase.passphrase_fd, args.new_passphrase_fd) {
        (Some(old), Some(new)) if old == new => {
            let message = "--passphrase-fd and --new-passphrase-fd cannot be the same descriptor";
            Err(Failure::usage(message).hint("mcpid passwd --help"))
        }
        _ => Ok(()),
    }
}

/// Returns the cost of the passphrase hash for the new encryption: the old cost if it is higher
/// than the default.
fn cost(keyfile: &Keyfile) -> KdfCost {
    let work = |cost: KdfCost| u64::from(cost.memory_kib()) * u64::from(cost.passes());
    let old = keyfile.cost().filter(|old| work(*old) > work(KdfCost::DEFAULT));
    old.unwrap_or(KdfCost::DEFAULT)
}
