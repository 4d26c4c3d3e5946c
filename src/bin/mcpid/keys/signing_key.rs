//! Finds and opens the key that signs: in a keyfile, in an ssh-agent by `-k ssh-agent:ID`, behind a
//! program by `-k exec:PROGRAM`, or in a token by `-k pkcs11:URI`.

use std::env;
use std::path::Path;
use std::sync::Arc;

use mcpid::key::agent::{Agent, AgentError};
use mcpid::key::exec::ExecError;
use mcpid::key::pkcs11::Pkcs11Error;
use mcpid::key::source::{
    FindKeyError, FindOptions, FoundKey, KeyRef, KeyRefError, OpenKeyError, SSH_AGENT,
};
use mcpid::key::{PublicKey, Sign, SignError};
use mcpid::profile::Profile;

use crate::args::{PassphraseArgs, SigningKeyArgs};
use crate::input::files::{self, NamedBy, NamedPath};
use crate::keys::agent_failure::{SOCKET, agent_failure, choose_failure, no_agent};
use crate::keys::program_failure::{MODULE, UNFIT_KEY, program_failure, token_failure};
use crate::keys::public_key::{KeyPin, PUBLIC_KEY};
use crate::keys::{keyfile, naming};
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::{Ui, path_word};
use crate::prompt::passphrase::{self, PassphraseSource};
use crate::prompt::terminal;

/// A key that can sign, and the flag or variable that names it. It is not opened yet: no passphrase
/// or PIN was given.
pub(crate) struct SigningKey {
    key: FoundKey,
    place: NamedPath,
    /// The reference to the key, which says where it is.
    reference: KeyRef,
}

impl SigningKey {
    /// Finds the key that `--key`, `MCPID_KEY` or the default names.
    ///
    /// # Errors
    /// The keyfile cannot be read, the agent does not have exactly one such key, or the key is not
    /// that of `--public-key`.
    pub(crate) fn find(args: &SigningKeyArgs) -> Result<SigningKey, Failure> {
        SigningKey::find_as("-k", args)
    }

    /// Finds the key as [`SigningKey::find`] does. Hints write `option` before a key; it is
    /// empty if the command has no option for the key.
    ///
    /// # Errors
    /// As for [`SigningKey::find`].
    pub(crate) fn find_as(option: &str, args: &SigningKeyArgs) -> Result<SigningKey, Failure> {
        let pin = KeyPin::flag(PUBLIC_KEY, args.public_key.as_deref())?;
        SigningKey::find_at(files::key(args.key.as_deref())?, option, &pin)
    }

    /// Finds the key at `path`, which another flag than `--key` names, such as the key of the audit
    /// log.
    ///
    /// # Errors
    /// As for [`SigningKey::find`]. The message begins with the flag.
    pub(crate) fn find_by(
        flag: &str,
        path: &Path,
        pin: &KeyPin<'_>,
    ) -> Result<SigningKey, Failure> {
        let place = NamedPath { path: path.to_owned(), named: NamedBy::Flag };
        SigningKey::find_at(place, flag, pin).map_err(|failure| Failure {
            message: format!("{flag}: {}", failure.message),
            ..failure
        })
    }

    fn find_at(place: NamedPath, option: &str, pin: &KeyPin<'_>) -> Result<SigningKey, Failure> {
        let reference = key_ref(&place.path, option)?;
        // Memory is protected first, because reading a keyfile without a passphrase puts the
        // private key into memory.
        passphrase::keep_out_of_dumps();
        let mut options = FindOptions::default();
        if let Some(socket) = env::var_os(SOCKET).filter(|socket| !socket.is_empty()) {
            options = options.with_agent(socket);
        }
        if let Some(module) = env::var_os(MODULE).filter(|module| !module.is_empty()) {
            options = options.with_pkcs11_module(module);
        }
        if let Some(pinned) = pin.key() {
            options = options.with_public_key(pinned.clone());
        }
        let key = reference.find(&options).map_err(|error| match error {
            FindKeyError::File(error) => {
                let failure = keyfile::load_failure(&place, error);
                let meant = place.path == Path::new("ssh-agent") && failure.code == "not_found";
                let hint = format!("a key in the ssh-agent: {}", naming(option, SSH_AGENT));
                if meant { Failure { hints: vec![hint], ..failure } } else { failure }
            }
            FindKeyError::NoAgent => no_agent(),
            FindKeyError::Agent(error) => choose_failure(error, &reference, option),
            FindKeyError::Pkcs11(error) => token_failure(&error),
            FindKeyError::NoPublicKey => pin.missing(),
            FindKeyError::Weak => Failure::new(Exit::Key, "weak_key", error.to_string()),
            FindKeyError::AnotherKey { pinned, found } => pin.another(&found, &pinned),
            other => Failure::new(Exit::Key, "no_such_key", other.to_string()),
        })?;
        Ok(SigningKey { key, place, reference })
    }

    /// Checks that the profile accepts signatures by keys of this kind, before the user is asked
    /// for a passphrase.
    ///
    /// # Errors
    /// The profile does not allow this kind; the hint names profiles that do.
    pub(crate) fn check_kind(&self, profile: &Profile) -> Result<(), Failure> {
        let kind = self.public().kind();
        if profile.key_kinds.contains(&kind) {
            return Ok(());
        }
        let serves = |profile: Profile| profile.key_kinds.contains(&kind);
        let profiles = Profile::NAMED.iter().filter(|named| serves(named.profile()));
        let profiles: Vec<_> = profiles.map(|named| named.name).collect();
        let (described, place) = (kind.described(), self.described());
        let message =
            format!("{place} is {described}, which cannot sign by the profile {}", profile.name);
        Err(Failure::new(Exit::Key, UNFIT_KEY, message)
            .hint(format!("such keys sign with --profile {}", profiles.join(" or ")))
            .hint("to make a key for this profile: mcpid keygen -o another.json"))
    }

    /// Returns true if opening the key needs a passphrase.
    pub(crate) fn needs_passphrase(&self) -> bool {
        self.key.is_sealed()
    }

    /// Returns the path of the keyfile, or names the agent, program or token that has the key.
    /// Arguments of a program are left out, because they may contain a secret.
    fn described(&self) -> String {
        match &self.reference {
            KeyRef::Exec(command) => format!("the key of the program {}", command.name()),
            KeyRef::Pkcs11(_) => format!("the key {} in the token", self.key.name()),
            _ => self.place.name(),
        }
    }

    /// Returns true if an agent or program signs, which may ask a person for each signature.
    pub(super) fn signs_elsewhere(&self) -> bool {
        self.key.signs_elsewhere()
    }

    /// Returns the public key.
    pub(crate) fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// Returns the name in the keyfile, the comment in the agent or the name of the program, which
    /// can be any text.
    pub(crate) fn name(&self) -> &str {
        self.key.name()
    }

    /// Determines where the passphrase comes from, without asking for it yet. Returns None if no
    /// passphrase is needed.
    ///
    /// # Errors
    /// As for [`keyfile::source`].
    pub(crate) fn source(
        &self,
        args: &PassphraseArgs,
        ui: &mut Ui,
    ) -> Result<Option<PassphraseSource>, Failure> {
        if let FoundKey::File(keyfile) = &self.key {
            return keyfile::source(keyfile, &self.place, args, ui);
        }
        if self.key.is_sealed() {
            return passphrase::source(args, ui).map(Some);
        }
        passphrase::check(args)?;
        if args.passphrase_file.is_some() || args.passphrase_fd.is_some() {
            let place = self.reference.place();
            ui.note(&format!("the key is {place}; the passphrase is not used"));
        }
        Ok(None)
    }

    /// Determines where the passphrase of an audit log's key comes from: the file that `flag`
    /// names, or else the Secret Service or a person. `MCPID_PASSPHRASE` is not used: it may belong
    /// to another key, and a few wrong PINs lock a token.
    ///
    /// # Errors
    /// As for [`passphrase::source_of_log_key`].
    pub(crate) fn log_source(
        &self,
        file: Option<&Path>,
        flag: &str,
        ui: &mut Ui,
    ) -> Result<Option<PassphraseSource>, Failure> {
        if !self.key.is_sealed() {
            if file.is_some() {
                ui.note(&format!("{flag}-file is not used: the key needs no passphrase"));
            }
            return Ok(None);
        }
        let remembered = matches!(self.key, FoundKey::File(_)).then(|| self.public().id());
        passphrase::source_of_log_key(remembered, file, flag, ui).map(Some)
    }

    /// Opens the key for signing. For a keyfile, this may ask for the passphrase. With a key in an
    /// agent or behind a program, each signature blocks until the agent or program has answered.
    ///
    /// # Errors
    /// As for [`keyfile::open`].
    pub(crate) fn open(self, source: Option<PassphraseSource>) -> Result<Arc<dyn Sign>, Failure> {
        let described = self.described();
        let SigningKey { key, place, .. } = self;
        if let FoundKey::Exec(_) = &key {
            terminal::stop_programs_on_signals();
        }
        let (given, is_remembered) = keyfile::read(source, &described)?;
        let passphrase = given.as_ref().map(|bytes| bytes.as_slice());
        key.open(passphrase).map_err(|error| match error {
            OpenKeyError::Keyfile(error) => keyfile::open_failure(&place, &error, is_remembered),
            OpenKeyError::Pkcs11(error) => token_failure(&error),
            other => Failure::new(Exit::Key, "key", other.to_string()),
        })
    }
}

/// Parses a reference to a signing key. Hints write `option` before a reference.
///
/// # Errors
/// The reference begins with an unknown scheme.
pub(super) fn key_ref(path: &Path, option: &str) -> Result<KeyRef, Failure> {
    KeyRef::parse(path).map_err(|error| {
        let failure = Failure::usage(error.to_string());
        match error {
            KeyRefError::UnknownScheme { .. } => {
                let file = path_word(&Path::new(".").join(path));
                failure.hint(format!("a file of that name: {}", naming(option, &file)))
            }
            _ => failure.hint("mcpid sign --help"),
        }
    })
}

/// Returns the path of a keyfile that is to be created, changed or read as a file.
///
/// # Errors
/// As for [`files::key`], and if the reference names a key that is not in a keyfile.
pub(crate) fn keyfile_place(flag: Option<&Path>, name: &str) -> Result<NamedPath, Failure> {
    let place = files::key(flag)?;
    let reference = key_ref(&place.path, name)?;
    if let KeyRef::File(_) = reference {
        return Ok(place);
    }
    let by = match place.named {
        NamedBy::Variable => "MCPID_KEY",
        NamedBy::Flag | NamedBy::Default => name,
    };
    let message = format!("{by} names a key {}; a keyfile is needed here", reference.place());
    Err(Failure::usage(message).hint(format!("name a file: {name} FILE")))
}

/// Connects to the agent of the user's session.
///
/// # Errors
/// The session has no agent.
pub(crate) fn agent() -> Result<Agent, Failure> {
    match env::var_os(SOCKET) {
        Some(socket) if !socket.is_empty() => Ok(Agent::at(socket)),
        _ => Err(no_agent()),
    }
}

/// Returns the failure for a key that did not sign. `message` is the text to use if the source of
/// the error is unknown.
pub(crate) fn sign_failure(why: &SignError, message: String) -> Failure {
    if let Some(error) = why.0.downcast_ref::<AgentError>() {
        return agent_failure(error);
    }
    if let Some(error) = why.0.downcast_ref::<Pkcs11Error>() {
        return token_failure(error);
    }
    match why.0.downcast_ref::<ExecError>() {
        Some(error) => program_failure(error),
        None => Failure::new(Exit::Key, "key", message),
    }
}
