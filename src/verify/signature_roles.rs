//! The roles of the verified signatures of a request: which of them can authorise it, and which are
//! touches of security keys.
//!
//! A touch covers `"signature";key=L` and `"signature-input";key=L`, where L is the label of the
//! signature that it confirms. The confirmed signature must be valid by itself, and its key alone
//! decides who signed the request and what is allowed.

use crate::base::header::Candidate;
use crate::message::Head;

use super::candidate::VerifiedSignature;
use super::covered_signatures::CoveredSignatures;
use super::rejection::{Code, Rejection, Step};
use super::{missing_touch, verdict};

/// What is known about a signature that was valid when the server judged the request, and cannot be
/// verified again.
pub(super) struct OpaqueRole {
    pub(super) label: String,
    pub(super) covered: Option<CoveredSignatures>,
    /// False for a security key that may only confirm signatures of other keys.
    pub(super) may_sign_alone: bool,
}

/// Decides which verified signatures can authorise the request. Removes each signature that covers
/// another signature that is not valid, and returns the refusals of the removed ones. The `opaque`
/// signatures, which cannot be verified again, are treated as valid. `candidates` are all signatures
/// of the head.
pub(super) fn settle(
    head: &Head<'_>,
    candidates: &[Candidate<'_>],
    signatures: &mut Vec<VerifiedSignature>,
    opaque: &[OpaqueRole],
) -> Vec<Rejection> {
    if signatures.iter().all(|one| one.covered_signatures.is_none() && one.presence.is_none()) {
        return Vec::new();
    }
    let mut failed = Vec::new();
    for one in signatures.iter_mut() {
        if one.covered_signatures.is_some() {
            one.can_authorise = false;
        } else if one.presence.is_some()
            && !one.entry.security_key().is_some_and(|rules| rules.may_sign_alone())
        {
            one.can_authorise = false;
            let message = "a security key signs alone only if its trust entry says \"alone\":true";
            let rejected = Rejection::new(Step::Allowed, Code::NotAllowed, message)
                .with("key", one.entry.key().id());
            failed.push(verdict::rejected_one(head, one, rejected));
        }
    }
    // A signature that covers another one is accepted only if the other is valid by itself, or
    // covers an accepted one.
    let alone = opaque.iter().filter(|one| one.covered.is_none() && one.may_sign_alone);
    let mut standing: Vec<String> = signatures
        .iter()
        .filter(|one| one.can_authorise)
        .map(|one| one.label.clone())
        .chain(alone.map(|one| one.label.clone()))
        .collect();
    let holds = |covered: &CoveredSignatures, standing: &[String]| {
        !covered.in_another_form && covered.labels.iter().all(|label| standing.contains(label))
    };
    let covering = || {
        let verified = signatures.iter().map(|one| (&one.label, one.covered_signatures.as_ref()));
        verified.chain(opaque.iter().map(|one| (&one.label, one.covered.as_ref())))
    };
    while let Some((next, _)) = covering().find(|(label, covered)| {
        covered.is_some_and(|covered| holds(covered, &standing)) && !standing.contains(label)
    }) {
        standing.push(next.clone());
    }
    signatures.retain(|one| {
        let stays = one.covered_signatures.is_none() || standing.contains(&one.label);
        if !stays {
            let message = "the signature covers another signature, which does not hold";
            let rejected = Rejection::new(Step::Present, Code::SignatureMissing, message);
            failed.push(verdict::rejected_one(head, one, rejected));
        }
        stays
    });
    let touch_for: Vec<Option<String>> = signatures
        .iter()
        .map(|one| missing_touch::join(candidates, one, signatures).ok())
        .collect();
    for (one, touch_for) in signatures.iter_mut().zip(touch_for) {
        one.touch_for = touch_for;
    }
    failed
}
