//! Finds and reads passphrases: from a file, a descriptor or a variable; from the Secret Service; or
//! from a person, through an askpass program or on the terminal.
//!
//! A passphrase is never read from an argument, which every process can see. It is not read from
//! stdin by default, because stdin is for data.

use std::env;
use std::path::{Path, PathBuf};

use mcpid::key::KeyId;
use rand::TryRng as _;
use zeroize::Zeroizing;

use crate::args::PassphraseArgs;
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, visible};
use crate::prompt::askpass;
use crate::prompt::secret_service;
use crate::prompt::terminal::Terminal;

/// Maximum length of a passphrase, in bytes. A longer file cannot be the right one.
const MAX_BYTES: u32 = 4096;
/// Number of words of a generated passphrase: 11 bits each, 77 bits in all.
const GENERATED_WORDS: usize = 7;
/// Minimum number of characters of a new passphrase without `--weak`.
const MIN_CHARACTERS: usize = 8;
const VARIABLE: &str = "MCPID_PASSPHRASE";

/// The bytes of a passphrase, exactly as the user gave them.
pub(crate) type Passphrase = Zeroizing<Vec<u8>>;

/// Where a passphrase comes from. This is determined before any work, so that the user is not asked
/// for a passphrase that is not needed.
pub(crate) enum PassphraseSource {
    /// The passphrase was given by a flag or an environment variable.
    Given(Passphrase),
    /// The passphrase is stored in the Secret Service of the session.
    Remembered(Passphrase),
    /// The passphrase will be asked for on this terminal.
    Ask(Terminal),
    /// The passphrase will be asked for through this program.
    Askpass(PathBuf),
}

/// Returns how the user is asked: through `MCPID_ASKPASS` if it is set; or else on the terminal, if
/// no other program uses it; or else through `SSH_ASKPASS`.
fn person() -> Option<PassphraseSource> {
    if let Some(program) = askpass::own().or_else(askpass::of_ssh_first) {
        return Some(PassphraseSource::Askpass(program));
    }
    match (Terminal::open(), askpass::of_ssh()) {
        (Some(terminal), program) if terminal.is_free() || program.is_none() => {
            Some(PassphraseSource::Ask(terminal))
        }
        (_, program) => program.map(PassphraseSource::Askpass),
    }
}

/// Refuses two given passphrases, even if none is needed.
///
/// # Errors
/// Two passphrases are given. The failure names the two sources.
pub(crate) fn check(args: &PassphraseArgs) -> Result<(), Failure> {
    let given: Vec<&str> = [
        ("--passphrase-file", args.passphrase_file.is_some()),
        ("--passphrase-fd", args.passphrase_fd.is_some()),
        (VARIABLE, env::var_os(VARIABLE).is_some()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    match given[..] {
        [first, second, ..] => Err(two_sources_failure(first, second)),
        _ => Ok(()),
    }
}

/// Determines where a passphrase comes from: `--passphrase-file`, `--passphrase-fd`,
/// `MCPID_PASSPHRASE`, or else a person.
///
/// # Errors
/// Two passphrases are given, the given one cannot be read or is empty, or there is no source.
pub(crate) fn source(args: &PassphraseArgs, ui: &mut Ui) -> Result<PassphraseSource, Failure> {
    match given(args, ui)? {
        Some(given) => Ok(PassphraseSource::Given(given)),
        None => asked(),
    }
}

/// Determines where the passphrase of the existing key `key` comes from: as [`source`] does, but
/// one that the Secret Service remembers comes before a person.
///
/// # Errors
/// As for [`source`].
pub(crate) fn source_of(
    key: &KeyId,
    args: &PassphraseArgs,
    ui: &mut Ui,
) -> Result<PassphraseSource, Failure> {
    if let Some(given) = given(args, ui)? {
        return Ok(PassphraseSource::Given(given));
    }
    match secret_service::lookup(key, ui) {
        Some(remembered) => {
            ui.detail("the passphrase is the one that the Secret Service remembers");
            Ok(PassphraseSource::Remembered(remembered))
        }
        None => asked(),
    }
}

/// Determines where the passphrase of an audit log's key comes from: the file, or else a person.
/// One that the Secret Service remembers for `key` comes before a person. `flag` is the flag that
/// names the file, without `-file`.
///
/// # Errors
/// The file cannot be read or is empty, or there is no source.
pub(crate) fn source_of_log_key(
    key: Option<&KeyId>,
    file: Option<&Path>,
    flag: &str,
    ui: &mut Ui,
) -> Result<PassphraseSource, Failure> {
    keep_out_of_dumps();
    if let Some(given) = from_flags(file, None, flag, ui)? {
        return Ok(PassphraseSource::Given(given));
    }
    if let Some(remembered) = key.and_then(|key| secret_service::lookup(key, ui)) {
        return Ok(PassphraseSource::Remembered(remembered));
    }
    person().ok_or_else(|| {
        let message = format!(
            "no passphrase for the audit log's key: there is no terminal to ask on, and none of \
             {flag}-file, MCPID_ASKPASS and SSH_ASKPASS is given"
        );
        Failure::new(Exit::Key, "no_passphrase", message)
    })
}

/// Reads the passphrase that a flag or variable gives, if one does.
fn given(args: &PassphraseArgs, ui: &mut Ui) -> Result<Option<Passphrase>, Failure> {
    check(args)?;
    keep_out_of_dumps();
    if let Some(variable) = env::var_os(VARIABLE) {
        let bytes = Zeroizing::new(variable.into_encoded_bytes());
        return checked(bytes, VARIABLE).map(Some);
    }
    let file = args.passphrase_file.as_deref();
    from_flags(file, args.passphrase_fd, "--passphrase", ui)
}

fn asked() -> Result<PassphraseSource, Failure> {
    person().ok_or_else(|| {
        let message = "no passphrase: there is no terminal to ask on, and none of \
                       --passphrase-file, --passphrase-fd, MCPID_PASSPHRASE, MCPID_ASKPASS and \
                       SSH_ASKPASS is given";
        Failure::new(Exit::Key, "no_passphrase", message)
    })
}

/// Determines where the new passphrase comes from that replaces an old one.
///
/// # Errors
/// As for [`source`].
pub(crate) fn new_source(
    file: Option<&Path>,
    fd: Option<u32>,
    ui: &mut Ui,
) -> Result<PassphraseSource, Failure> {
    if file.is_some() && fd.is_some() {
        return Err(two_sources_failure("--new-passphrase-file", "--new-passphrase-fd"));
    }
    keep_out_of_dumps();
    if let Some(given) = from_flags(file, fd, "--new-passphrase", ui)? {
        return Ok(PassphraseSource::Given(given));
    }
    person().ok_or_else(|| {
        let message = "no new passphrase: there is no terminal to ask on, and none of \
                       --new-passphrase-file, --new-passphrase-fd, --no-passphrase, MCPID_ASKPASS \
                       and SSH_ASKPASS is given";
        Failure::new(Exit::Key, "no_passphrase", message)
    })
}

impl PassphraseSource {
    /// Refuses a passphrase that was given and is too short, before the user is asked anything.
    ///
    /// # Errors
    /// The passphrase has fewer than 8 characters, and `weak` is false.
    pub(crate) fn strong_unless(self, weak: bool) -> Result<Self, Failure> {
        if let PassphraseSource::Given(given) = &self {
            check_strength(given, weak)?;
        }
        Ok(self)
    }

    /// Returns the passphrase of an existing keyfile. A person is asked once.
    ///
    /// # Errors
    /// The answer is empty, or the person pressed Ctrl-D or Ctrl-C.
    pub(crate) fn existing(self, whose: &str) -> Result<Passphrase, Failure> {
        match self {
            PassphraseSource::Given(given) | PassphraseSource::Remembered(given) => Ok(given),
            PassphraseSource::Ask(terminal) => {
                let answer = terminal.ask(&format!("passphrase for {}: ", visible(whose)))?;
                checked(answer, "the passphrase")
            }
            PassphraseSource::Askpass(program) => {
                let question = format!("passphrase for {}: ", visible(whose));
                checked(
                    askpass::passphrase(&program, &question, MAX_BYTES as usize)?,
                    "the passphrase",
                )
            }
        }
    }

    /// Returns the passphrase for a new keyfile. A person is asked twice. If the answer is empty, a
    /// passphrase is generated, and shown only on the terminal.
    ///
    /// # Errors
    /// The passphrase has fewer than 8 characters and `weak` is false, the two answers differ, or
    /// the person pressed Ctrl-D or Ctrl-C.
    pub(crate) fn fresh(self, whose: &str, weak: bool) -> Result<Passphrase, Failure> {
        let terminal = match self {
            PassphraseSource::Given(given) | PassphraseSource::Remembered(given) => {
                return Ok(given);
            }
            PassphraseSource::Ask(terminal) => terminal,
            PassphraseSource::Askpass(program) => {
                let ask = |question: &str| {
                    let question = format!("{question} for {}: ", visible(whose));
                    checked(
                        askpass::passphrase(&program, &question, MAX_BYTES as usize)?,
                        "the new passphrase",
                    )
                };
                let first = ask("new passphrase")?;
                check_strength(&first, weak)?;
                let second = ask("the same passphrase again")?;
                return if first == second { Ok(first) } else { Err(differ()) };
            }
        };
        let whose = visible(whose);
        let first = terminal.ask(&format!("new passphrase for {whose} (empty: make one up): "))?;
        if first.is_empty() {
            let made = make_up()?;
            let bits = GENERATED_WORDS * 11;
            terminal.show(&format!(
                "the passphrase, {GENERATED_WORDS} words or {bits} bits, shown only now:\n\n    "
            ))?;
            terminal.show_secret(&made)?;
            terminal.show("\n\n")?;
            return Ok(made);
        }
        check_strength(&first, weak)?;
        let second = terminal.ask("the same again: ")?;
        if first == second { Ok(first) } else { Err(differ()) }
    }
}

/// Checks the length of a new passphrase, in characters and not in bytes. Each invalid byte counts
/// as one character.
fn check_strength(given: &Passphrase, weak: bool) -> Result<(), Failure> {
    let count: usize = given
        .utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum();
    if weak || count >= MIN_CHARACTERS {
        return Ok(());
    }
    let plural = if count == 1 { "" } else { "s" };
    let message = format!(
        "a passphrase of {count} character{plural} is guessed quickly: {MIN_CHARACTERS} or more are wanted"
    );
    Err(Failure::new(Exit::Key, "weak_passphrase", message)
        .hint("a good one: openssl rand -base64 24")
        .hint("to use it all the same: --weak"))
}

fn differ() -> Failure {
    let message = "the two passphrases differ; nothing was written";
    Failure::new(Exit::Key, "passphrases_differ", message)
}

fn two_sources_failure(first: &str, second: &str) -> Failure {
    let failure = Failure::usage(format!("two passphrases are given: {first} and {second}"));
    match second {
        VARIABLE => failure.hint(format!("unset {VARIABLE}")),
        _ => failure.hint(format!("leave {second} out")),
    }
}

fn from_flags(
    file: Option<&Path>,
    fd: Option<u32>,
    flag: &str,
    ui: &mut Ui,
) -> Result<Option<Passphrase>, Failure> {
    let (path, name) = match (file, fd) {
        (Some(path), _) if path == Path::new("-") => {
            let message =
                format!("{flag}-file cannot be -: a passphrase is not read from stdin unasked");
            return Err(
                Failure::usage(message).hint(format!("if stdin is where it is: {flag}-fd 0"))
            );
        }
        (Some(path), _) => (path.to_owned(), path.display().to_string()),
        // A file descriptor is opened through its path, because converting a number to a `File` is
        // unsafe code.
        (None, Some(fd)) => (PathBuf::from(format!("/dev/fd/{fd}")), format!("{flag}-fd {fd}")),
        (None, None) => return Ok(None),
    };
    let opened = files::open(Some(&path), ui).map_err(|failure| match fd {
        Some(fd) if file.is_none() && failure.code == "not_found" => Failure::new(
            Exit::Input,
            "not_found",
            format!("{flag}-fd {fd}: that file descriptor is not open"),
        )
        .hint(format!("in a shell: {flag}-fd {fd} {fd}<FILE")),
        // The value of this flag may be the passphrase itself, so the message does not repeat it.
        _ if failure.code == "not_found" => {
            Failure::new(Exit::Input, "not_found", format!("{flag}-file names no file"))
        }
        _ => failure,
    })?;
    checked(opened.read_secret(MAX_BYTES)?, &name).map(Some)
}

/// Removes one newline at the end of a passphrase. An empty passphrase is an error.
fn checked(mut bytes: Passphrase, name: &str) -> Result<Passphrase, Failure> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        let message = format!("{name} is empty; an empty passphrase protects nothing");
        let failure = Failure::new(Exit::Key, "no_passphrase", message);
        return Err(match name {
            VARIABLE => failure.hint(format!("unset {VARIABLE}")),
            _ => failure.hint("a good one: openssl rand -base64 24"),
        });
    }
    Ok(bytes)
}

/// Generates seven words from the English list of BIP 39. The list has 2^11 words, so eleven random
/// bits select one without bias.
fn make_up() -> Result<Passphrase, Failure> {
    let list = bip39::Language::English.word_list();
    // The whole capacity is allocated at once, because a growing vector leaves copies of a secret
    // in memory.
    let mut made = Zeroizing::new(Vec::with_capacity(GENERATED_WORDS * 9));
    for place in 0..GENERATED_WORDS {
        let random = rand::rngs::SysRng.try_next_u32().map_err(|e| {
            let message = format!("the operating system gives no random numbers: {e}");
            Failure::new(Exit::Unavailable, "no_random", message)
        })?;
        let word = usize::try_from(random % 2048).ok().and_then(|i| list.get(i));
        if place > 0 {
            made.push(b'-');
        }
        made.extend_from_slice(word.copied().unwrap_or_default().as_bytes());
    }
    Ok(made)
}

/// Keeps secrets out of core dumps, and prevents other processes of this user from reading the
/// memory of this process. Call this before the first secret is read. On a system without these
/// features, does nothing.
pub(crate) fn keep_out_of_dumps() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
