//! A security key (FIDO) in an ssh-agent: the agent passes the message to the device, which signs
//! after its user has touched it.

use std::fmt;
use std::time::Duration;

use super::answer::typed_signature;
use super::{Agent, AgentError, AgentIdentity};
use crate::key::format::openssh;
use crate::key::{PRESENCE_SIGNATURE_BYTES, PresenceError, SecurityKey, SignByTouch, SignError};

/// A security key in an agent. Signing blocks until the key was touched; asynchronous programs must
/// sign on a thread that may block.
#[derive(Clone)]
pub struct AgentSecurityKey {
    pub(super) agent: Agent,
    pub(super) identity: AgentIdentity,
    pub(super) key: SecurityKey,
}

impl AgentSecurityKey {
    /// Sets how long to wait for a touch of a security key: 60 s by default. Meanwhile, the agent
    /// asks the user for the touch, and offers no way to decline.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.agent = self.agent.with_timeout(timeout);
        self
    }

    /// Returns the comment. The program that added the key chose it; it can be any text.
    pub fn comment(&self) -> &str {
        self.identity.comment()
    }

    fn signature(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], AgentError> {
        let answer = self.agent.signature(&self.identity, message)?;
        let signature = signature(&answer, &self.key)
            .ok_or(AgentError::Malformed("not a signature of a security key"))?;
        match self.key.verify(message, &signature) {
            Ok(_) => Ok(signature),
            Err(PresenceError::Signature) => Err(AgentError::WrongSignature),
            Err(error) => Err(AgentError::NotTouched(error)),
        }
    }
}

/// Returns a signature of a security key: after the signature, the answer has one byte of flags and
/// a counter of four bytes (PROTOCOL.u2f of OpenSSH). Signatures for WebAuthn have another type and
/// are refused.
fn signature(answer: &[u8], key: &SecurityKey) -> Option<[u8; PRESENCE_SIGNATURE_BYTES]> {
    let kind = key.public().kind();
    let (signature, rest) = typed_signature(answer, kind, openssh::security_type_of(kind))?;
    [&signature[..], rest].concat().try_into().ok()
}

impl SignByTouch for AgentSecurityKey {
    fn security_key(&self) -> &SecurityKey {
        &self.key
    }

    fn sign_by_touch(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError> {
        self.signature(message).map_err(|error| SignError(error.into()))
    }
}

impl fmt::Debug for AgentSecurityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentSecurityKey({:?} at {})", self.identity, self.agent.socket().display())
    }
}
