//! Touches: signatures of security keys that join one other signature of the request.
//!
//! A touch covers `"signature";key=L` and `"signature-input";key=L`, where L is the label of the
//! signature that it joins. It says that a person touched a key for exactly that signature, and
//! nothing else: the joined signature has to hold by itself, and its key alone decides the name and
//! the rights of the request.

use crate::base::params::SignatureParams;
use crate::key::KeyId;
use crate::message::Head;

use super::candidate::VerifiedSignature;
use super::rejection::{Code, Rejection, Step};
use super::verdict;

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

/// The names of the fields that a touch covers by the label of the joined signature.
const FIELDS: [&str; 2] = ["signature", "signature-input"];

/// What a signature covers of other signatures of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CoveredSignatures {
    /// The labels of the other signatures.
    labels: Vec<String>,
    /// True if a signature field is covered in another form than one member of it.
    in_another_form: bool,
    /// The label of the only other signature, if its members of both fields are covered.
    joined: Option<String>,
}

impl CoveredSignatures {
    /// Returns what a signature with this label covers; `None` if it covers no other signature.
    pub(super) fn of(label: &str, params: &SignatureParams<'_>) -> Option<Self> {
        let mut covered = [Vec::new(), Vec::new()];
        let mut in_another_form = false;
        for component in params.components() {
            let Some(at) = FIELDS.iter().position(|field| *field == component.name()) else {
                continue;
            };
            let key = component.params().get("key").and_then(|key| key.as_string());
            match (key, covered.get_mut(at)) {
                (Some(key), Some(labels)) if component.params().len() == 1 => {
                    labels.extend((key != label).then(|| key.to_owned()));
                }
                _ => in_another_form = true,
            }
        }
        let [signatures, inputs] = covered;
        let joined = match (signatures.as_slice(), inputs.as_slice()) {
            ([one], [other]) if one == other && !in_another_form => Some(one.clone()),
            _ => None,
        };
        let labels = [signatures, inputs].concat();
        (in_another_form || !labels.is_empty()).then_some(CoveredSignatures {
            labels,
            in_another_form,
            joined,
        })
    }
}

/// Returns how many components do not count against the limit: the two by which a touch names the
/// signature that it joins.
pub(super) fn uncounted_components(params: &SignatureParams<'_>) -> usize {
    let is_member = |field: &str| {
        params.components().iter().any(|component| {
            component.name() == field
                && component.params().len() == 1
                && component.params().get("key").is_some()
        })
    };
    FIELDS.iter().filter(|field| is_member(field)).count()
}

/// Decides which verified signatures can authorise the request. Removes the signatures that cover
/// another one which does not hold, and returns the refusals of those that do not count.
pub(super) fn settle(head: &Head<'_>, held: &mut Vec<VerifiedSignature>) -> Vec<Rejection> {
    if held.iter().all(|one| one.covered_signatures.is_none() && one.presence.is_none()) {
        return Vec::new();
    }
    let mut failed = Vec::new();
    for one in held.iter_mut() {
        if one.covered_signatures.is_some() {
            one.counts = false;
        } else if one.presence.is_some()
            && !one.entry.security_key().is_some_and(|rules| rules.may_sign_alone())
        {
            one.counts = false;
            let message = "a security key signs alone only if its trust entry says \"alone\":true";
            let refused = Rejection::new(Step::Allowed, Code::NotAllowed, message)
                .with("key", one.entry.key().id());
            failed.push(refused.after_signature(true).stating(verdict::of_one(head, one)));
        }
    }
    // A signature over another one holds only if that one holds by itself, or over one that does.
    let mut standing: Vec<String> =
        held.iter().filter(|one| one.counts).map(|one| one.label.clone()).collect();
    let holds = |covered: &CoveredSignatures, standing: &[String]| {
        !covered.in_another_form && covered.labels.iter().all(|label| standing.contains(label))
    };
    while let Some(next) = held.iter().find(|one| {
        let covered = one.covered_signatures.as_ref();
        covered.is_some_and(|covered| holds(covered, &standing)) && !standing.contains(&one.label)
    }) {
        standing.push(next.label.clone());
    }
    held.retain(|one| {
        let stays = one.covered_signatures.is_none() || standing.contains(&one.label);
        if !stays {
            let message = "the signature covers another signature, which does not hold";
            let refused = Rejection::new(Step::Present, Code::SignatureMissing, message);
            failed.push(refused.after_signature(true).stating(verdict::of_one(head, one)));
        }
        stays
    });
    let joins: Vec<Option<String>> = held.iter().map(|one| joined(head, one, held)).collect();
    for (one, joins) in held.iter_mut().zip(joins) {
        one.joins = joins;
    }
    failed
}

/// Returns the label of the signature that `touch` counts for.
fn joined(
    head: &Head<'_>,
    touch: &VerifiedSignature,
    held: &[VerifiedSignature],
) -> Option<String> {
    touch.presence?;
    let Some(covered) = &touch.covered_signatures else {
        // A security key that may sign alone was touched for its own signature.
        return touch.counts.then(|| touch.label.clone());
    };
    let label = covered.joined.as_ref()?;
    let signature = held.iter().find(|one| one.counts && one.label == *label)?;
    let of = |one: &VerifiedSignature| (one.created, one.expires, one.nonce.clone());
    if of(touch) != of(signature) || !touch.entry.may_touch_for(&signature.entry) {
        return None;
    }
    let (more, less) = (verdict::params_of(head, touch)?, verdict::params_of(head, signature)?);
    let covers = |component: &_| more.components().iter().any(|one| one.same_as(component));
    less.components().iter().all(covers).then(|| label.clone())
}

/// Records for each signature which touch counts for it. Of several, one that verified the person
/// comes first, then the first in the request. A touch counts only if it `is_good`.
pub(super) fn assign(held: &mut [VerifiedSignature], is_good: impl Fn(&VerifiedSignature) -> bool) {
    let touch_of = |signature: &VerifiedSignature| {
        let touches = held.iter().filter(|one| {
            one.joins.as_ref().is_some_and(|label| *label == signature.label) && is_good(one)
        });
        let verified = |one: &VerifiedSignature| one.presence.is_some_and(|proof| proof.verified);
        touches.min_by_key(|one| (!verified(one), one.place)).map(|one| one.place)
    };
    let touches: Vec<Option<usize>> = held.iter().map(touch_of).collect();
    for (one, touch) in held.iter_mut().zip(touches) {
        one.touched_by = touch;
    }
}

/// Returns the touch that counts for the first signature, which names the request.
pub(super) fn of(held: &[VerifiedSignature]) -> Option<Touch<'_>> {
    let place = held.first()?.touched_by?;
    let touch = held.iter().find(|one| one.place == place)?;
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
