//! Sources of signing keys: finds the private half of a key and opens it.
//!
//! | reference | source |
//! |---|---|
//! | `PATH` | a keyfile |
//! | `ssh-agent:ID` | a key in an ssh-agent, by fingerprint, key id or comment; by nothing, the only one |
//!
//! A new source is a variant of [`KeyRef`] and of [`FoundKey`], and a type that implements
//! [`Sign`]. Callers use only that trait.

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(unix)]
use super::agent::{Agent, AgentKey, AgentSecurityKey, ChooseError};
use super::keyfile::{Keyfile, KeyfileError};
use super::store::{self, FileError};
use super::{PublicKey, Sign};

/// The prefix of an `ssh-agent:` reference.
pub const SSH_AGENT: &str = "ssh-agent:";

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
/// // Not a file of that name: that is ./pkcs11:token.
/// assert!(parse("pkcs11:token").is_err());
/// assert_eq!(parse("./pkcs11:token")?, KeyRef::File("./pkcs11:token".into()));
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
}

/// A reference with a scheme that names no source of keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{scheme}: is no source of keys; a key is a file or {SSH_AGENT}ID")]
#[non_exhaustive]
pub struct KeyRefError {
    /// The scheme, without its colon: at most 32 ASCII characters.
    pub scheme: String,
}

impl KeyRef {
    /// Reads a reference. A text that begins like a URI is a reference to a source. That is two or
    /// more lower-case letters, digits, `+`, `-` or `.`, the first a letter, and then a colon (RFC
    /// 3986 section 3.1). All other texts are paths, so `./ssh-agent:x` is a file.
    ///
    /// # Errors
    /// [`KeyRefError`] for a scheme that is not known.
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
            _ => Err(KeyRefError { scheme: scheme.to_owned() }),
        }
    }

    /// Finds the key without reading its secret: a keyfile stays sealed, and an agent is only asked
    /// for its list. `agent` is the socket of the user's ssh-agent, if there is one.
    ///
    /// # Errors
    /// [`FindKeyError`].
    pub fn find(&self, agent: Option<&Path>) -> Result<FoundKey, FindKeyError> {
        match self {
            KeyRef::File(path) => Ok(FoundKey::File(Box::new(store::load_keyfile(path)?))),
            #[cfg(unix)]
            KeyRef::Agent(wanted) => {
                let socket = agent.ok_or(FindKeyError::NoAgent)?;
                Ok(FoundKey::Agent(Arc::new(Agent::at(socket).choose(wanted)?)))
            }
            #[cfg(not(unix))]
            KeyRef::Agent(_) => {
                let _ = agent;
                Err(FindKeyError::NoAgent)
            }
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
}

/// A key that can sign. Its secret has not been read yet.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoundKey {
    /// The key is in a keyfile, which is still sealed.
    File(Box<Keyfile>),
    /// The key is in an ssh-agent, and its secret stays there.
    #[cfg(unix)]
    Agent(Arc<AgentKey>),
}

impl FoundKey {
    /// Returns true if opening the key needs a passphrase.
    pub fn is_sealed(&self) -> bool {
        match self {
            FoundKey::File(keyfile) => !keyfile.is_plain(),
            #[cfg(unix)]
            FoundKey::Agent(_) => false,
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
        }
    }

    /// Returns the keyfile's name or the agent's comment. Either can be any text.
    pub fn name(&self) -> &str {
        match self {
            FoundKey::File(keyfile) => keyfile.name(),
            #[cfg(unix)]
            FoundKey::Agent(key) => key.comment(),
        }
    }

    /// Opens the key, with the passphrase of a sealed keyfile. Signing with a key in an agent
    /// blocks the thread until the agent has answered.
    ///
    /// # Errors
    /// As [`Keyfile::open`].
    pub fn open(self, passphrase: Option<&[u8]>) -> Result<Arc<dyn Sign>, KeyfileError> {
        match self {
            FoundKey::File(keyfile) => Ok(Arc::new(keyfile.open(passphrase)?)),
            #[cfg(unix)]
            FoundKey::Agent(key) => Ok(key),
        }
    }
}
