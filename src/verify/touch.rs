//! Touches: a person touches a security key, whose signature confirms another signature of the
//! request.

use crate::key::KeyId;

use super::candidate::VerifiedSignature;

/// The touch of a security key that confirms the signature of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Touch<'a> {
    /// The id of the security key.
    pub key: &'a KeyId,
    /// The name of the security key in its trust entry.
    pub name: Option<&'a str>,
    /// The label of the security key's signature, which is its touch.
    pub label: &'a str,
    /// The application for which the security key was created.
    pub application: &'a str,
    /// Whether the security key also verified its user, by a PIN or a fingerprint.
    pub verified: bool,
    /// The signature counter of the security key. No decision depends on it.
    pub counter: u32,
}

impl Touch<'_> {
    /// Returns `verified` if the security key verified its user, otherwise `present`.
    pub fn as_str(&self) -> &'static str {
        if self.verified { "verified" } else { "present" }
    }
}

/// Records for each signature which touch confirms it. Of several touches, one that verified the
/// user is preferred, then the first in the request. Only touches for which `is_good` returns true
/// are considered.
pub(super) fn assign(
    signatures: &mut [VerifiedSignature],
    is_good: impl Fn(&VerifiedSignature) -> bool,
) {
    let touch_of = |signature: &VerifiedSignature| {
        let touches = signatures.iter().filter(|one| {
            one.touch_for.as_ref().is_some_and(|label| *label == signature.label) && is_good(one)
        });
        let verified = |one: &VerifiedSignature| one.presence.is_some_and(|proof| proof.verified);
        touches.min_by_key(|one| (!verified(one), one.index)).map(|one| one.index)
    };
    let touches: Vec<Option<usize>> = signatures.iter().map(touch_of).collect();
    for (one, touch) in signatures.iter_mut().zip(touches) {
        one.touched_by = touch;
    }
}

/// Returns the touch of a security key that confirms the first signature, which authorises the
/// request.
pub(super) fn of(signatures: &[VerifiedSignature]) -> Option<Touch<'_>> {
    let index = signatures.first()?.touched_by?;
    let touch = signatures.iter().find(|one| one.index == index)?;
    let proof = touch.presence?;
    Some(Touch {
        key: touch.entry.key().id(),
        name: touch.entry.name(),
        label: &touch.label,
        application: touch.entry.security_key()?.application()?.as_str(),
        verified: proof.verified,
        counter: proof.counter,
    })
}
