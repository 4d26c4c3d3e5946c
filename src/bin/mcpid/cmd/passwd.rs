//! `mcpid passwd`: changes the passphrase of a keyfile.

use std::path::Path;

use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::store;
use rand::rngs::SysRng;

use crate::args::PasswdArgs;
use crate::cmd::keygen::KeyfileJson;
use crate::input::files;
use crate::keys::keyfile::{self, keyfile_failure, store_failure};
use crate::keys::signing_key;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase;

/// Replaces the keyfile by one with the new passphrase.
pub(crate) fn run(args: &PasswdArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let place = signing_key::keyfile_place(args.key.as_deref(), "--key")?;
    let keyfile = keyfile::load(&place)?;
    // Everything that can fail is checked before a person is asked for passphrases.
    let link = std::fs::symlink_metadata(&place.path).is_ok_and(|about| about.is_symlink());
    if link {
        let error = store::FileError::NotRegular("a symbolic link");
        // Replacing the file would replace the link and not its target.
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
    let replaced = match new {
        None => keyfile.plain_again(&secret),
        Some(new) => {
            let given = new.fresh(&place.name(), args.weak)?;
            keyfile.sealed_again(&secret, &given, cost(&keyfile), &mut SysRng)
        }
    };
    let replaced = replaced.map_err(|e| keyfile_failure(&place.path, &e))?;
    store::replace_keyfile(&place.path, &replaced).map_err(|error| match error {
        store::FileError::Io(e) => Failure::write(&place.path, &e),
        other => store_failure(&place.path, other),
    })?;
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

/// Refuses one descriptor for both passphrases, because the second read would find nothing.
fn one_descriptor(args: &PasswdArgs) -> Result<(), Failure> {
    match (args.passphrase.passphrase_fd, args.new_passphrase_fd) {
        (Some(old), Some(new)) if old == new => {
            let message = "--passphrase-fd and --new-passphrase-fd cannot be the same descriptor";
            Err(Failure::usage(message).hint("mcpid passwd --help"))
        }
        _ => Ok(()),
    }
}

/// Returns the cost of the new encryption: the old cost if it is higher than the default.
fn cost(keyfile: &Keyfile) -> KdfCost {
    let work = |cost: KdfCost| u64::from(cost.memory_kib()) * u64::from(cost.passes());
    let old = keyfile.cost().filter(|old| work(*old) > work(KdfCost::DEFAULT));
    old.unwrap_or(KdfCost::DEFAULT)
}
