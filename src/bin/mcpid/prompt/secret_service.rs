//! Passphrases in the Secret Service of the user's session (the D-Bus interface of keyring daemons,
//! such as that of GNOME), through the program `secret-tool` of libsecret.
//!
//! A passphrase is found by the id of the key that it opens. It goes to `secret-tool` on stdin, and
//! never on its command line, which every user of the machine can see.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use mcpid::key::KeyId;
use mcpid::key::exec::{ExecCommand, ExecError};
use zeroize::Zeroizing;

use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain};
use crate::output::ui::Ui;
use crate::prompt::terminal;

const PROGRAM: &str = "secret-tool";
/// Maximum time for one call in a session without a screen, where no keyring can ask the user for
/// anything.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for one call in a session with a screen, where a locked keyring first asks the user
/// for its own password.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(300);

/// Returns the passphrase that is remembered for a key. Returns None if there is none, and if the
/// session has no Secret Service or no `secret-tool`. Prints a note if the Secret Service does not
/// answer.
pub(crate) fn lookup(key: &KeyId, ui: &mut Ui) -> Option<Zeroizing<Vec<u8>>> {
    if !has_bus() {
        return None;
    }
    match remembered(key) {
        Ok(found) => found,
        Err(ExecError::TimedOut { within, .. }) => {
            ui.note(&format!(
                "the Secret Service did not answer within {} s, so it is not asked for the \
                 passphrase",
                within.as_secs()
            ));
            None
        }
        Err(_) => None,
    }
}

fn remembered(key: &KeyId) -> Result<Option<Zeroizing<Vec<u8>>>, ExecError> {
    let found = run("lookup", None, key, b"")?;
    Ok((!found.is_empty()).then_some(found))
}

/// Remembers a passphrase, and replaces an earlier one of the same key. The secret is read back,
/// because `secret-tool` changes some texts.
///
/// # Errors
/// The Secret Service did not take the passphrase, or gives another one back.
pub(crate) fn store(
    key: &KeyId,
    name: &str,
    passphrase: &Zeroizing<Vec<u8>>,
) -> Result<(), Failure> {
    if std::str::from_utf8(passphrase).is_err() {
        let message = "the passphrase is not UTF-8, and the Secret Service takes only text";
        return Err(Failure::new(Exit::Key, "not_remembered", message));
    }
    check_bus()?;
    let label = format!("--label=mcpid passphrase of {name}");
    run("store", Some(label), key, passphrase).map_err(|e| failed(&e))?;
    if remembered(key).ok().flatten().is_some_and(|kept| kept == *passphrase) {
        return Ok(());
    }
    // A passphrase that was stored wrongly is removed again.
    let _ = run("clear", None, key, b"");
    let message = "the Secret Service gave the passphrase back changed; it is not remembered";
    Err(Failure::new(Exit::Key, "not_remembered", message))
}

/// Forgets the passphrase of a key. Returns false if none was remembered.
///
/// # Errors
/// The session has no Secret Service, or it still has the passphrase.
pub(crate) fn clear(key: &KeyId) -> Result<bool, Failure> {
    check_bus()?;
    let was_there = remembered(key).ok().flatten().is_some();
    let cleared = run("clear", None, key, b"");
    match cleared {
        Ok(_) => Ok(was_there),
        // `secret-tool clear` also exits with 1 if there was nothing to clear.
        Err(ExecError::Failed { code: 1, .. }) if !was_there => Ok(false),
        Err(error) => Err(failed(&error)),
    }
}

/// Runs `secret-tool` once. If a signal ends this process, the program is ended too.
fn run(
    act: &str,
    label: Option<String>,
    key: &KeyId,
    input: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ExecError> {
    terminal::stop_programs_on_signals();
    // `--` is needed, because the id of one key in 64 begins with a hyphen.
    let attributes = ["--", "application", "mcpid", "key", key.as_str()].map(str::to_owned);
    let arguments = [act.to_owned()].into_iter().chain(label).chain(attributes);
    let has_screen = is_set("DISPLAY").is_some() || is_set("WAYLAND_DISPLAY").is_some();
    let within = if has_screen { UNLOCK_TIMEOUT } else { TIMEOUT };
    ExecCommand::new(PROGRAM, arguments).run(input, within)
}

fn is_set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns true if the session has a D-Bus. Without one, `secret-tool` could start a separate bus.
fn has_bus() -> bool {
    is_set("DBUS_SESSION_BUS_ADDRESS").is_some()
        || is_set("XDG_RUNTIME_DIR").is_some_and(|dir| Path::new(&dir).join("bus").exists())
}

fn check_bus() -> Result<(), Failure> {
    if has_bus() {
        return Ok(());
    }
    let message = "there is no Secret Service: this session has no D-Bus";
    Err(Failure::new(Exit::Key, "no_secret_service", message))
}

fn failed(error: &ExecError) -> Failure {
    let failure = |message: String| Failure::new(Exit::Key, "no_secret_service", message);
    match error {
        ExecError::Start { .. } => failure(chain(error))
            .hint("it is in the package libsecret-tools of Debian, libsecret of Fedora"),
        ExecError::TimedOut { within, .. } => {
            failure(format!("the Secret Service did not answer within {} s", within.as_secs()))
        }
        _ => failure(format!("the Secret Service refused: {PROGRAM} failed")).hint(
            "is a keyring daemon running, and unlocked? secret-tool search application mcpid",
        ),
    }
}
