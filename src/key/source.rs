//! Sources of signing keys: finds the private half of a key and opens it.
//!
//! | reference | source |
//! |---|---|
//! | `PATH` | a keyfile |
//! | `ssh-agent:ID` | a key in an ssh-agent, by fingerprint, key id or comment; without ID, the agent's only key |
//! | `exec:PROGRAM [ARG…]`, or a list in JSON | a program that signs ([`super::exec`]) |
//! | `pkcs11:…` (RFC 7512) | a key in a PKCS #11 token (feature `pkcs11`) |
//!
//! A new source is a variant of [`KeyRef`] and of [`FoundKey`], and a type that implements
//! [`Sign`]. Callers use only that trait.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use super::agent::{Agent, AgentKey, AgentSecurityKey, ChooseError};
#[cfg(unix)]
use super::exec::ExecKey;
use super::exec::{ExecCommand, ExecCommandError};
use super::file_io::{self, FileError};
use super::keyfile::{Keyfile, KeyfileError};
#[cfg(feature = "pkcs11")]
use super::pkcs11::{Pkcs11Error, Pkcs11Key, Pkcs11Uri, Pkcs11UriError};
use super::{KeyId, PublicKey, Sign};

/// The prefix of an `ssh-agent:` reference.
pub const SSH_AGENT: &str = "ssh-agent:";
/// The prefix of an `exec:` reference.
pub const EXEC: &str = "exec:";
/// The prefix of a `pkcs11:` reference.
pub const PKCS11: &str = "pkcs11:";

/// A reference to a signing key, as given in a flag or variable.
///
/// ```
/// use std::path::Path;
///
/// use mcpid::key::source::KeyRef;
///
/// let parse = |text: &str| KeyRef::parse(Path::new(text));
/// assert_eq!(parse("keys/alice.json")?, KeyRef::File("keys/alice.json".into()));
/// assert_eq!(parse("ssh-agent:alice")?, KeyRef::Agent("alice".to_owned()));
/// assert!(matches!(parse("exec:sign-by-kms alias/agent")?, KeyRef::Exec(_)));
/// // Not a file of that name: that is ./keychain:alice.
/// assert!(parse("keychain:alice").is_err());
/// assert_eq!(parse("./keychain:alice")?, KeyRef::File("./keychain:alice".into()));
/// # Ok::<(), mcpid::key::source::KeyRefError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRef {
    /// The keyfile at this path.
    File(PathBuf),
    /// The key in the ssh-agent that has this fingerprint, key id or comment. An empty text names
    /// the agent's only key.
    Agent(String),
    /// The key whose private half this program uses to sign.
    Exec(ExecCommand),
    /// The key in a PKCS #11 token that this URI names.
    #[cfg(feature = "pkcs11")]
    Pkcs11(Pkcs11Uri),
}

/// The error for a text that is not a reference to a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefError {
    /// The text has a scheme (the part before the colon) that names no source of keys.
    #[error(
        "{scheme}: is no source of keys; a key is a file, {SSH_AGENT}ID, {EXEC}PROGRAM or {PKCS11}URI"
    )]
    UnknownScheme {
        /// The scheme, without its colon: at most 32 ASCII characters.
        scheme: String,
    },
    /// `exec:` is followed by a text that is not a command.
    #[error(transparent)]
    Exec(#[from] ExecCommandError),
    /// `pkcs11:` is followed by a text that is not the URI of a key.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11UriError),
}

/// What a source may need beside the reference, to find a key.
///
/// ```
/// use mcpid::key::source::FindOptions;
///
/// let options = FindOptions::default().with_agent("/run/user/1000/ssh-agent");
/// assert!(options.public_key().is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct FindOptions {
    agent: Option<PathBuf>,
    public_key: Option<PublicKey>,
    #[cfg(feature = "pkcs11")]
    pkcs11_module: Option<PathBuf>,
}

impl FindOptions {
    /// Sets the socket of the user's ssh-agent.
    #[must_use]
    pub fn with_agent(mut self, socket: impl Into<PathBuf>) -> Self {
        self.agent = Some(socket.into());
        self
    }

    /// Pins the public key: a source that cannot return the public half of its key uses this one.
    /// For any other source, its key must equal this one.
    #[must_use]
    pub fn with_public_key(mut self, key: PublicKey) -> Self {
        self.public_key = Some(key);
        self
    }

    /// Sets the PKCS #11 module for a URI that names none. The path must be absolute.
    #[cfg(feature = "pkcs11")]
    #[must_use]
    pub fn with_pkcs11_module(mut self, path: impl Into<PathBuf>) -> Self {
        self.pkcs11_module = Some(path.into());
        self
    }

    /// Returns the pinned public key.
    pub fn public_key(&self) -> Option<&PublicKey> {
        self.public_key.as_ref()
    }
}

impl KeyRef {
    /// Reads a reference. A text that begins with a URI scheme (RFC 3986 section 3.1) of two or
    /// more characters in lower case and a colon is a reference to a source. Any other text is a
    /// path, so `./ssh-agent:x` is a file.
    ///
    /// # Errors
    /// [`KeyRefError`] for a scheme that is not known, and a text that its scheme does not allow.
    pub fn parse(text: &Path) -> Result<Self, KeyRefError> {
        let Some((scheme, rest)) = text.to_str().and_then(|text| text.split_once(':')) else {
            return Ok(KeyRef::File(text.to_owned()));
        };
        let is_scheme = (2..=32).contains(&scheme.len())
            && scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.')
            });
        match scheme {
            _ if !is_scheme => Ok(KeyRef::File(text.to_owned())),
            "ssh-agent" => Ok(KeyRef::Agent(rest.to_owned())),
            "exec" => Ok(KeyRef::Exec(ExecCommand::parse(rest)?)),
            #[cfg(feature = "pkcs11")]
            "pkcs11" => Ok(KeyRef::Pkcs11(Pkcs11Uri::parse(rest)?)),
            _ => Err(KeyRefError::UnknownScheme { scheme: scheme.to_owned() }),
        }
    }

    /// Returns where the key is, as a phrase for messages: `in a keyfile`, for example.
    pub fn place(&self) -> &'static str {
        match self {
            KeyRef::File(_) => "in a keyfile",
            KeyRef::Agent(_) => "in the ssh-agent",
            KeyRef::Exec(_) => "behind a program",
            #[cfg(feature = "pkcs11")]
            KeyRef::Pkcs11(_) => "in a token",
        }
    }

    /// Finds the key without reading its secret: a keyfile stays encrypted, an agent is only asked
    /// for its list, and a program is not started.
    ///
    /// # Errors
    /// [`FindKeyError`].
    pub fn find(&self, options: &FindOptions) -> Result<FoundKey, FindKeyError> {
        let found = match self {
            KeyRef::File(path) => FoundKey::File(Box::new(file_io::load_keyfile(path)?)),
            #[cfg(unix)]
            KeyRef::Agent(wanted) => {
                let socket = options.agent.as_ref().ok_or(FindKeyError::NoAgent)?;
                FoundKey::Agent(Arc::new(Agent::at(socket).choose(wanted)?))
            }
            #[cfg(unix)]
            KeyRef::Exec(command) => {
                let public = options.public_key.clone().ok_or(FindKeyError::NoPublicKey)?;
                if public.is_weak() {
                    return Err(FindKeyError::Weak);
                }
                FoundKey::Exec(Arc::new(ExecKey::new(command.clone(), public)))
            }
            #[cfg(feature = "pkcs11")]
            KeyRef::Pkcs11(uri) => {
                let module = options.pkcs11_module.as_deref();
                FoundKey::Pkcs11(Box::new(Pkcs11Key::find(uri, module, options.public_key())?))
            }
            #[cfg(not(unix))]
            KeyRef::Agent(_) => return Err(FindKeyError::NoAgent),
            #[cfg(not(unix))]
            KeyRef::Exec(_) => return Err(FindKeyError::NoPrograms),
        };
        match options.public_key() {
            Some(pinned) if pinned != found.public() => {
                Err(FindKeyError::AnotherKey { pinned: *pinned.id(), found: *found.public().id() })
            }
            _ => Ok(found),
        }
    }
}

#[cfg(unix)]
impl KeyRef {
    /// Finds a security key, which signs by a touch. Only an ssh-agent has such keys. `agent` is the
    /// socket of the user's ssh-agent, if there is one.
    ///
    /// # Errors
    /// [`FindKeyError`].
    pub fn find_security_key(
        &self,
        agent: Option<&Path>,
    ) -> Result<AgentSecurityKey, FindKeyError> {
        match self {
            KeyRef::Agent(wanted) => {
                let socket = agent.ok_or(FindKeyError::NoAgent)?;
                Ok(Agent::at(socket).choose_security_key(wanted)?)
            }
            _ => Err(FindKeyError::NoSecurityKey),
        }
    }
}

/// The reason why a key was not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindKeyError {
    /// The keyfile cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no ssh-agent.
    #[error("there is no ssh-agent")]
    NoAgent,
    /// The reference names a source that has no security keys.
    #[error("a security key is in the ssh-agent: {SSH_AGENT}ID")]
    NoSecurityKey,
    /// The ssh-agent has no such key, or several.
    #[cfg(unix)]
    #[error(transparent)]
    Agent(#[from] ChooseError),
    /// The token has no such key, or its module failed.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
    /// The source cannot return the public half of the key, and no public key is pinned.
    #[error("the public key is not given")]
    NoPublicKey,
    /// The pinned public key is weak: signatures under it prove nothing.
    #[error("the public key is weak: signatures under it prove nothing")]
    Weak,
    /// The source has another key than the pinned public key.
    #[error("the key is {found}, and the public key that was given is {pinned}")]
    AnotherKey {
        /// The id of the pinned public key.
        pinned: KeyId,
        /// The id of the key that was found.
        found: KeyId,
    },
    /// This build starts no programs.
    #[cfg(not(unix))]
    #[error("programs that sign are supported on Unix only")]
    NoPrograms,
}

/// A key that can sign. Its secret has not been read yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundKey {
    /// The key is in a keyfile that is not decrypted yet.
    File(Box<Keyfile>),
    /// The key is in an ssh-agent, and its secret stays there.
    #[cfg(unix)]
    Agent(Arc<AgentKey>),
    /// The private half is used by an external program.
    #[cfg(unix)]
    Exec(Arc<ExecKey>),
    /// The key is in a PKCS #11 token.
    #[cfg(feature = "pkcs11")]
    Pkcs11(Box<Pkcs11Key>),
}

/// The reason why a key was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenKeyError {
    /// The keyfile was not decrypted.
    #[error(transparent)]
    Keyfile(#[from] KeyfileError),
    /// The login to the token failed.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Pkcs11(#[from] Pkcs11Error),
}

impl FoundKey {
    /// Returns true if opening the key needs a passphrase, or the PIN of a token.
    pub fn is_sealed(&self) -> bool {
        match self {
            FoundKey::File(keyfile) => !keyfile.is_plain(),
            #[cfg(unix)]
            FoundKey::Agent(_) | FoundKey::Exec(_) => false,
            #[cfg(feature = "pkcs11")]
            FoundKey::Pkcs11(key) => key.needs_pin(),
        }
    }

    /// Returns true if another program, such as an agent, makes the signatures. That program may
    /// ask a person each time.
    pub fn signs_elsewhere(&self) -> bool {
        !matches!(self, FoundKey::File(_))
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        match self {
            FoundKey::File(keyfile) => keyfile.public(),
            #[cfg(unix)]
            FoundKey::Agent(key) => key.public(),
            #[cfg(unix)]
            FoundKey::Exec(key) => key.public(),
            #[cfg(feature = "pkcs11")]
            FoundKey::Pkcs11(key) => key.public(),
        }
    }

    /// Returns the keyfile's name, the agent's comment, the file name of the program, or
    /// the label of the key in a token. Each can be any text.
    pub fn name(&self) -> &str {
        match self {
            FoundKey::File(keyfile) => keyfile.name(),
            #[cfg(unix)]
            FoundKey::Agent(key) => key.comment(),
            #[cfg(unix)]
            FoundKey::Exec(key) => key.name(),
            #[cfg(feature = "pkcs11")]
            FoundKey::Pkcs11(key) => key.name(),
        }
    }

    /// Makes the key ready for signing, with the passphrase of an encrypted keyfile or the PIN of a
    /// token. Signing blocks the thread until the agent, program or token has answered; only the
    /// key of a keyfile signs at once.
    ///
    /// # Errors
    /// [`OpenKeyError`].
    pub fn open(self, passphrase: Option<&[u8]>) -> Result<Arc<dyn Sign>, OpenKeyError> {
        match self {
            FoundKey::File(keyfile) => Ok(Arc::new(keyfile.open(passphrase)?)),
            #[cfg(unix)]
            FoundKey::Agent(key) => Ok(key),
            #[cfg(unix)]
            FoundKey::Exec(key) => Ok(key),
            #[cfg(feature = "pkcs11")]
            FoundKey::Pkcs11(key) => Ok(Arc::new(key.open(passphrase)?)),
        }
    }
}
