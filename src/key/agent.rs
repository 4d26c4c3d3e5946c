//! The client of an ssh-agent. The agent signs, and no private key of the agent enters this
//! process.
//!
//! Implements a part of the agent protocol (draft-miller-ssh-agent): list, sign and add keys of
//! Ed25519 and P-256.
//! Each request has a separate connection, so that a restarted agent or a broken answer affects
//! only that one request. The length of answers is limited, their parsing is strict, and a
//! signature is verified before it is returned.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::format::openssh::{self, Wire, push_string as string};
use super::{KeyId, KeyKind, PresenceError, PublicKey, SecretKey, SecurityKey, Sign, SignError};

mod answer;
mod choose;
mod exchange;
mod security_key;

pub use choose::ChooseError;
use exchange::exchange;
pub use security_key::AgentSecurityKey;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const ADD_IDENTITY: u8 = 17;
const ADD_ID_CONSTRAINED: u8 = 25;
const SUCCESS: u8 = 6;
const CONSTRAIN_LIFETIME: u8 = 1;
const CONSTRAIN_CONFIRM: u8 = 2;

/// Timeout for an agent's answer to a request for which the agent does not ask a person, such as
/// listing keys.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for an agent's signature: the agent may have to ask a person first.
const SIGN_TIMEOUT: Duration = Duration::from_secs(60);

/// An ssh-agent, identified by its socket.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
    timeout: Duration,
}

/// The reason why a request to an agent failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// There is no agent at the socket, or this process may not connect to it.
    #[error("there is no ssh-agent at {}", .socket.display())]
    Gone {
        /// The path of the socket.
        socket: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or ended before the answer did.
    #[error("the connection to the ssh-agent broke")]
    Broken(#[source] io::Error),
    /// The agent did not answer in time.
    #[error("the ssh-agent did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The message to sign, or the key to add, does not fit into 256 KiB.
    #[error("{0} bytes are more than an ssh-agent takes")]
    TooLong(usize),
    /// The answer breaks the protocol; the text says how.
    #[error("the ssh-agent answered what is no proper answer: {0}")]
    Malformed(&'static str),
    /// The agent lists no keys. A locked agent gives the same answer.
    #[error("the ssh-agent shows no keys: it is empty or locked")]
    Empty,
    /// The agent listed the key before, but has removed it since.
    #[error("the ssh-agent has the key no longer: it was removed or has expired")]
    Removed,
    /// The agent holds the key and refused to sign.
    #[error("the ssh-agent has the key and did not sign: whoever it asked may have declined")]
    Declined,
    /// The agent refused to add the key: it is locked, or does not support such keys or
    /// constraints.
    #[error("the ssh-agent did not take the key: it is locked, or knows no such key or constraint")]
    NotTaken,
    /// The agent sent an invalid signature. Nothing was signed.
    #[error("the ssh-agent sent a signature that does not hold")]
    WrongSignature,
    /// The agent sent a signature of a security key that does not show a touch.
    #[error("the ssh-agent sent a signature that shows no touch")]
    NotTouched(#[source] PresenceError),
}

/// Constraints of a key that is added to an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Constraints {
    /// The seconds after which the agent removes the key, at least 1. `None`: never.
    pub lifetime: Option<u32>,
    /// True if the agent must ask a person before each signature.
    pub confirm: bool,
}

/// A key that an agent lists.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentIdentity {
    blob: Vec<u8>,
    comment: String,
    key: Option<PublicKey>,
    security_key: Option<SecurityKey>,
}

impl AgentIdentity {
    /// Returns the key, or `None` if it cannot sign requests: another type, not a point of the
    /// curve, or weak.
    pub fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// Returns the key, if it is a security key, which signs only after a touch.
    pub fn security_key(&self) -> Option<&SecurityKey> {
        self.security_key.as_ref()
    }

    /// Returns the id of the key. Returns `None` if the key can neither sign requests nor confirm
    /// them by a touch of a security key.
    fn id(&self) -> Option<&KeyId> {
        let of_security_key = || self.security_key.as_ref().map(SecurityKey::public);
        self.key.as_ref().or_else(of_security_key).map(PublicKey::id)
    }

    /// Returns the comment. The program that added the key chose it; it can be any text.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Returns the SHA-256 fingerprint as `ssh-add -l` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.blob)
    }

    /// Returns the kind of the key, as text.
    pub fn kind(&self) -> &'static str {
        match Wire(&self.blob).string().unwrap_or_default() {
            _ if self.key.is_some() => self.key.as_ref().map_or("", |key| key.kind().described()),
            b"ssh-ed25519" => "a broken or weak Ed25519 key",
            b"ecdsa-sha2-nistp256" if cfg!(feature = "p256") => "a broken P-256 key",
            b"ecdsa-sha2-nistp256" => "a P-256 key, which this build leaves out",
            b"sk-ssh-ed25519@openssh.com" | b"sk-ecdsa-sha2-nistp256@openssh.com" => {
                match self.security_key {
                    Some(_) => "a security key (FIDO), whose touch joins another key's signature",
                    None => "a security key (FIDO) that is broken or for another application",
                }
            }
            b"ssh-rsa" => "an RSA key",
            b"ssh-dss" => "a DSA key",
            t if t.starts_with(b"ecdsa-sha2-") && !t.ends_with(b"@openssh.com") => {
                "an elliptic-curve key"
            }
            t if t.ends_with(b"-cert-v01@openssh.com") => "an SSH certificate",
            _ => "a key of another kind",
        }
    }
}

impl fmt::Debug for AgentIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentIdentity({}, {:?}, {})", self.fingerprint(), self.comment, self.kind())
    }
}

/// Returns the SHA-256 fingerprint of `key`, as `ssh-add -l` and `ssh-keygen -l` print it.
pub fn ssh_fingerprint(key: &PublicKey) -> String {
    fingerprint(&openssh::encode_public(key))
}

fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(blob)))
}

impl Agent {
    /// Creates a client for the agent at `socket`, a Unix socket, without connecting yet.
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Agent { socket: socket.into(), timeout: SIGN_TIMEOUT }
    }

    /// Sets how long to wait for a signature: 60 s by default, since the agent may ask a person.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the agent's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the keys of all kinds that the agent lists. A locked agent lists no keys.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn identities(&self) -> Result<Vec<AgentIdentity>, AgentError> {
        let answer = self.request(REQUEST_IDENTITIES, &[], self.timeout.min(LIST_TIMEOUT))?;
        let Some((&IDENTITIES_ANSWER, answer)) = answer.split_first() else {
            return Err(AgentError::Malformed("not a list of keys"));
        };
        answer::identities(answer)
            .ok_or(AgentError::Malformed("a list of keys that is cut or overlong"))
    }

    /// Returns the key that `wanted` names: by its fingerprint as `ssh-add -l` prints it, by its
    /// key id, or by its comment. An empty `wanted` names the agent's only key.
    ///
    /// A text in the form of a fingerprint or key id is never compared with comments, because the
    /// program that adds a key chooses its comment. If an Ed25519 key and a P-256 key match, only
    /// the Ed25519 key counts.
    ///
    /// # Errors
    /// [`ChooseError`]: no key or several keys match; the error lists the candidates.
    pub fn choose(&self, wanted: &str) -> Result<AgentKey, ChooseError> {
        let (identity, public) = choose::choose(self.identities()?, wanted)?;
        Ok(AgentKey { agent: self.clone(), identity, public })
    }

    /// Returns the security key that `wanted` names, as [`choose`](Self::choose) does among the other
    /// keys. An empty `wanted` names the agent's only security key.
    ///
    /// # Errors
    /// [`ChooseError`].
    pub fn choose_security_key(&self, wanted: &str) -> Result<AgentSecurityKey, ChooseError> {
        let (identity, key) = choose::choose_security_key(self.identities()?, wanted)?;
        Ok(AgentSecurityKey { agent: self.clone(), identity, key })
    }

    /// Adds `key` to the agent. If the agent holds the key already, the key gets the new
    /// constraints.
    ///
    /// # Errors
    /// [`AgentError`]. A lifetime of 0 s is refused with [`AgentError::NotTaken`], because agents
    /// read it as no limit.
    pub fn add(
        &self,
        key: &SecretKey,
        comment: &str,
        constraints: Constraints,
    ) -> Result<(), AgentError> {
        if constraints.lifetime == Some(0) {
            return Err(AgentError::NotTaken);
        }
        let (public, secret) = (key.public(), key.to_bytes());
        // The whole capacity is allocated at once: a vector that grows would leave copies of the
        // secret in memory.
        let mut message = Zeroizing::new(Vec::with_capacity(200 + comment.len()));
        message.extend_from_slice(&openssh::encode_public(public));
        match public.kind() {
            KeyKind::Ed25519 => {
                message.extend_from_slice(&64_u32.to_be_bytes());
                message.extend_from_slice(secret.as_ref());
                message.extend_from_slice(public.as_bytes());
            }
            KeyKind::P256 => {
                // An mpint (SSH's big integer) has no leading zeros, except one zero byte that
                // keeps the number positive.
                let zeros = secret.iter().take_while(|byte| **byte == 0).count();
                let number = secret.get(zeros..).unwrap_or_default();
                let sign = number.first().is_some_and(|byte| byte & 0x80 != 0);
                let length = u32::try_from(number.len()).unwrap_or(32) + u32::from(sign);
                message.extend_from_slice(&length.to_be_bytes());
                message.extend(sign.then_some(0));
                message.extend_from_slice(number);
            }
        }
        string(&mut message, comment.as_bytes());
        if let Some(seconds) = constraints.lifetime {
            message.push(CONSTRAIN_LIFETIME);
            message.extend_from_slice(&seconds.to_be_bytes());
        }
        if constraints.confirm {
            message.push(CONSTRAIN_CONFIRM);
        }
        let constrained = constraints != Constraints::default();
        let act = if constrained { ADD_ID_CONSTRAINED } else { ADD_IDENTITY };
        match *self.request(act, &message, self.timeout.min(LIST_TIMEOUT))? {
            [SUCCESS] => Ok(()),
            [kind] if is_failure(kind) => Err(AgentError::NotTaken),
            _ => Err(AgentError::Malformed("neither success nor failure")),
        }
    }

    fn request(&self, act: u8, message: &[u8], within: Duration) -> Result<Vec<u8>, AgentError> {
        exchange(&self.socket, act, message, within)
    }
}

/// A key in an agent. Signing blocks until the agent has answered, which can include the wait for a
/// person; asynchronous programs must sign on a thread that may block.
pub struct AgentKey {
    agent: Agent,
    identity: AgentIdentity,
    public: PublicKey,
}

impl AgentKey {
    /// Returns the comment. The program that added the key chose it; it can be any text.
    pub fn comment(&self) -> &str {
        &self.identity.comment
    }

    fn signature(&self, message: &[u8]) -> Result<[u8; 64], AgentError> {
        let answer = self.agent.signature(&self.identity, message)?;
        let signature = answer::signature(&answer, self.public.kind())
            .ok_or(AgentError::Malformed("not a signature of the key's kind"))?;
        self.public.verify_strict(message, &signature).map_err(|_| AgentError::WrongSignature)?;
        Ok(signature)
    }
}

impl Agent {
    /// Asks for a signature over `message`. Returns the part of the agent's answer that contains
    /// the signature.
    fn signature(&self, identity: &AgentIdentity, message: &[u8]) -> Result<Vec<u8>, AgentError> {
        let mut request = Vec::with_capacity(identity.blob.len() + message.len() + 12);
        string(&mut request, &identity.blob);
        string(&mut request, message);
        request.extend_from_slice(&0_u32.to_be_bytes());
        let mut answer = self.request(SIGN_REQUEST, &request, self.timeout)?;
        match answer.split_first() {
            Some((&kind, [])) if is_failure(kind) => Err(self.why_not(identity)),
            Some((&SIGN_RESPONSE, _)) => Ok(answer.split_off(1)),
            _ => Err(AgentError::Malformed("neither a signature nor a refusal")),
        }
    }

    /// Returns the reason why the agent did not sign. The agent's answer does not state a reason,
    /// so the keys are listed again to see whether the key is still there.
    fn why_not(&self, identity: &AgentIdentity) -> AgentError {
        match self.identities() {
            Ok(keys) if keys.is_empty() => AgentError::Empty,
            Ok(keys) if keys.iter().any(|key| key.blob == identity.blob) => AgentError::Declined,
            Ok(_) => AgentError::Removed,
            Err(error) => error,
        }
    }
}

impl Sign for AgentKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.signature(message).map_err(|error| SignError(error.into()))
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({:?} at {})", self.identity, self.agent.socket.display())
    }
}

/// Returns true for `SSH_AGENT_FAILURE` and for the failure that some agents send on unknown
/// requests.
fn is_failure(kind: u8) -> bool {
    matches!(kind, 5 | 28)
}
