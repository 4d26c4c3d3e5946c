//! Parses the answers of an agent: its list of keys, and signatures.

use super::AgentIdentity;
use crate::key::format::openssh::{self, SshKey, Wire};
use crate::key::{KeyKind, SecurityKey};

/// Parses the agent's list of keys, from the bytes after the message type. Returns `None` if the
/// list is too short or too long.
pub(super) fn identities(answer: &[u8]) -> Option<Vec<AgentIdentity>> {
    let mut wire = Wire(answer);
    let count = wire.number()?;
    // Each key takes at least eight bytes, so the length of the answer limits the number of keys.
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = wire.string()?.to_vec();
        let comment = String::from_utf8_lossy(wire.string()?).into_owned();
        let found = openssh::public_blob(&blob).and_then(Result::ok);
        let (key, security_key) = match found.filter(|found| !found.key.is_weak()) {
            Some(SshKey { key, application: Some(application) }) => {
                (None, Some(SecurityKey::new(key, application)))
            }
            Some(SshKey { key, application: None }) => (Some(key), None),
            None => (None, None),
        };
        keys.push(AgentIdentity { blob, comment, key, security_key });
    }
    wire.0.is_empty().then_some(keys)
}

/// Returns the 64 bytes of a signature.
pub(super) fn signature(answer: &[u8], kind: KeyKind) -> Option<[u8; 64]> {
    let (signature, rest) = typed_signature(answer, kind, openssh::type_of(kind))?;
    rest.is_empty().then_some(signature)
}

/// Returns the 64 bytes of a signature of this type, and the bytes that follow inside the answer.
/// For ECDSA (RFC 5656 section 3.1.2), the two integers are padded to 32 bytes each.
pub(super) fn typed_signature<'a>(
    answer: &'a [u8],
    kind: KeyKind,
    of_type: &str,
) -> Option<([u8; 64], &'a [u8])> {
    let mut outer = Wire(answer);
    let mut inner = Wire(outer.string()?);
    let is_of_type = inner.string()? == of_type.as_bytes();
    let signature = inner.string()?;
    let signature = match kind {
        KeyKind::Ed25519 => signature.try_into().ok()?,
        KeyKind::P256 => {
            let mut numbers = Wire(signature);
            let r = openssh::mpint(numbers.string()?)?;
            let s = openssh::mpint(numbers.string()?).filter(|_| numbers.0.is_empty())?;
            [*r, *s].as_flattened().try_into().ok()?
        }
    };
    (is_of_type && outer.0.is_empty()).then_some((signature, inner.0))
}
