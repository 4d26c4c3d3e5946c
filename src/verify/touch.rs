//! The touch of a security key that counts for a request.

use crate::key::KeyId;

use super::candidate::VerifiedSignature;

/// The touch of a security key that counts for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Touch<'a> {
    /// The id of the security key.
    pub key: &'a KeyId,
    /// The name of the security key in its trust entry.
    pub name: Option<&'a str>,
    /// The label of the touch.
    pub label: &'a str,
    /// The application that the security key was made for.
    pub application: &'a str,
    /// Whether the security key also verified the person, by a PIN or a fingerprint.
    pub verified: bool,
    /// The counter of the security key, which is not judged.
    pub counter: u32,
}

impl Touch<'_> {
    /// Returns `verified` if the security key verified the person, otherwise `present`.
    pub fn as_str(&self) -> &'static str {
        if self.verified { "verified" } else { "present" }
    }
}

/// Records for each signature which touch counts for it. Of several, one that verified the person
/// comes first, then the first in the request. A touch counts only if it `is_good`.
pub(super) fn assign(
    signatures: &mut [VerifiedSignature],
    is_good: impl Fn(&VerifiedSignature) -> bool,
) {
    let touch_of = |signature: &VerifiedSignature| {
        let touches = signatures.iter().filter(|one| {
            one.touch_for.as_ref().is_some_and(|label| *label == signature.label) && is_good(one)
        });
        let verified = |one: &VerifiedSignature| one.presence.is_some_and(|proof| proof.verified);
        touches.min_by_key(|one| (!verified(one), one.place)).map(|one| one.place)
    };
    let touches: Vec<Option<usize>> = signatures.iter().map(touch_of).collect();
    for (one, touch) in signatures.iter_mut().zip(touches) {
        one.touched_by = touch;
    }
}

/// Returns the touch that counts for the first signature, which names the request.
pub(super) fn of(signatures: &[VerifiedSignature]) -> Option<Touch<'_>> {
    let place = signatures.first()?.touched_by?;
    let touch = signatures.iter().find(|one| one.place == place)?;
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
