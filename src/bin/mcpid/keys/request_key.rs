//! The key that signs requests: an ordinary key, or a security key that signs alone, with a touch
//! for each request.

use std::sync::Arc;
use std::time::Duration;

use mcpid::key::agent::AgentSecurityKey;
use mcpid::key::{PublicKey, Sign, SignByTouch};
use mcpid::profile::{NamedProfile, Profile};
use mcpid::sign::{Signer, SigningError};

use super::program_failure::UNFIT_KEY;
use super::public_key::{KeyPin, PUBLIC_KEY};
use super::signing_key::SigningKey;
use super::touch_key;
use crate::args::{PassphraseArgs, SigningKeyArgs};
use crate::input::files;
use crate::output::exit::Exit;
use crate::output::failure::Failure;
use crate::output::ui::Ui;
use crate::prompt::passphrase::PassphraseSource;

/// A key that can sign requests, but is not opened yet: no passphrase or PIN was given.
pub(crate) enum RequestKey {
    Plain(Box<SigningKey>),
    SecurityKey(Box<AgentSecurityKey>),
}

/// A key that was opened and can sign.
pub(crate) enum OpenedKey {
    Plain(Arc<dyn Sign>),
    SecurityKey(Arc<dyn SignByTouch>),
}

impl RequestKey {
    /// Finds the key as [`SigningKey::find`] does. If only a security key in the ssh-agent has the
    /// given name, that one is returned.
    ///
    /// # Errors
    /// As for [`SigningKey::find`].
    pub(crate) fn find(args: &SigningKeyArgs) -> Result<Self, Failure> {
        let unfit = match SigningKey::find(args) {
            Ok(key) => return Ok(RequestKey::Plain(Box::new(key))),
            Err(failure) if failure.code == UNFIT_KEY => failure,
            Err(failure) => return Err(failure),
        };
        let place = files::key(args.key.as_deref())?;
        // An error of this second search is dropped, because the first error already says what the
        // key is.
        let Ok(key) = touch_key::find("-k", &place.path) else { return Err(unfit) };
        KeyPin::flag(PUBLIC_KEY, args.public_key.as_deref())?.check(key.security_key().public())?;
        Ok(RequestKey::SecurityKey(Box::new(key)))
    }

    /// Checks that the profile accepts signatures by keys of this kind.
    ///
    /// # Errors
    /// The profile does not allow this kind, or knows no security keys.
    pub(crate) fn check_kind(&self, profile: &Profile) -> Result<(), Failure> {
        match self {
            RequestKey::Plain(key) => key.check_kind(profile),
            RequestKey::SecurityKey(key) => {
                let kind = key.security_key().public().kind();
                if profile.security_keys.contains(&kind) {
                    return Ok(());
                }
                let serves = |named: &&NamedProfile| named.profile().security_keys.contains(&kind);
                let names: Vec<&str> =
                    Profile::NAMED.iter().filter(serves).map(|named| named.name).collect();
                let message = format!("a security key cannot sign by the profile {}", profile.name);
                Err(Failure::new(Exit::Key, UNFIT_KEY, message)
                    .hint(format!("such keys sign with --profile {}", names.join(" or "))))
            }
        }
    }

    /// Returns true if opening the key needs a passphrase or PIN.
    pub(crate) fn needs_passphrase(&self) -> bool {
        matches!(self, RequestKey::Plain(key) if key.needs_passphrase())
    }

    /// Returns true if an agent, a token or a program signs, or a person has to touch the key.
    pub(crate) fn signs_elsewhere(&self) -> bool {
        match self {
            RequestKey::Plain(key) => key.signs_elsewhere(),
            RequestKey::SecurityKey(_) => true,
        }
    }

    /// Returns the public key.
    pub(crate) fn public(&self) -> &PublicKey {
        match self {
            RequestKey::Plain(key) => key.public(),
            RequestKey::SecurityKey(key) => key.security_key().public(),
        }
    }

    /// Returns the security key, if it is one.
    pub(crate) fn security_key(&self) -> Option<&AgentSecurityKey> {
        match self {
            RequestKey::Plain(_) => None,
            RequestKey::SecurityKey(key) => Some(key),
        }
    }

    /// Returns the name of the key, which can be any text.
    pub(crate) fn name(&self) -> &str {
        match self {
            RequestKey::Plain(key) => key.name(),
            RequestKey::SecurityKey(key) => key.comment(),
        }
    }

    /// Determines where the passphrase comes from, as [`SigningKey::source`] does.
    ///
    /// # Errors
    /// As for [`SigningKey::source`].
    pub(crate) fn source(
        &self,
        args: &PassphraseArgs,
        ui: &mut Ui,
    ) -> Result<Option<PassphraseSource>, Failure> {
        match self {
            RequestKey::Plain(key) => key.source(args, ui),
            RequestKey::SecurityKey(_) => Ok(None),
        }
    }

    /// Opens the key. A person has the time `within` for each touch of a security key.
    ///
    /// # Errors
    /// As for [`SigningKey::open`].
    pub(crate) fn open(
        self,
        source: Option<PassphraseSource>,
        within: Duration,
    ) -> Result<OpenedKey, Failure> {
        match self {
            RequestKey::Plain(key) => key.open(source).map(OpenedKey::Plain),
            RequestKey::SecurityKey(key) => {
                Ok(OpenedKey::SecurityKey(Arc::new((*key).with_timeout(within))))
            }
        }
    }
}

impl OpenedKey {
    /// Returns a signer with this key.
    ///
    /// # Errors
    /// As for [`Signer::new`].
    pub(crate) fn signer(self, profile: &Profile) -> Result<Signer, SigningError> {
        match self {
            OpenedKey::Plain(key) => Signer::new(key, profile),
            OpenedKey::SecurityKey(key) => Signer::by_security_key(key, profile),
        }
    }
}

/// Prints what the user and the server's operator have to do for a security key that signs alone.
pub(crate) fn note_alone(seconds: u64, each: &str, ui: &mut Ui) {
    ui.note(&format!("touch the security key within {seconds} s{each}"));
    ui.note(
        "servers accept a security key alone only if they trust it so: mcpid trust add --alone",
    );
}
