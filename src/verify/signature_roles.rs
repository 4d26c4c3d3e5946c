//! The roles of the verified signatures of a request: which of them can authorise it, and which are
//! touches of security keys.
//!
//! A touch covers `"signature";key=L` and `"signature-input";key=L`, where L is the label of the
//! signature that it joins. The joined signature has to hold by itself, and its key alone decides the
//! name and the rights of the request.

use crate::message::Head;

use super::candidate::VerifiedSignature;
use super::covered_signatures::CoveredSignatures;
use super::rejection::{Code, Rejection, Step};
use super::verdict;

/// Decides which verified signatures can authorise the request. Removes the signatures that cover
/// another one which does not hold, and returns the refusals of those that do not count.
pub(super) fn settle(head: &Head<'_>, signatures: &mut Vec<VerifiedSignature>) -> Vec<Rejection> {
    if signatures.iter().all(|one| one.covered_signatures.is_none() && one.presence.is_none()) {
        return Vec::new();
    }
    let mut failed = Vec::new();
    for one in signatures.iter_mut() {
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
        signatures.iter().filter(|one| one.counts).map(|one| one.label.clone()).collect();
    let holds = |covered: &CoveredSignatures, standing: &[String]| {
        !covered.in_another_form && covered.labels.iter().all(|label| standing.contains(label))
    };
    while let Some(next) = signatures.iter().find(|one| {
        let covered = one.covered_signatures.as_ref();
        covered.is_some_and(|covered| holds(covered, &standing)) && !standing.contains(&one.label)
    }) {
        standing.push(next.label.clone());
    }
    signatures.retain(|one| {
        let stays = one.covered_signatures.is_none() || standing.contains(&one.label);
        if !stays {
            let message = "the signature covers another signature, which does not hold";
            let refused = Rejection::new(Step::Present, Code::SignatureMissing, message);
            failed.push(refused.after_signature(true).stating(verdict::of_one(head, one)));
        }
        stays
    });
    let joins: Vec<Option<String>> =
        signatures.iter().map(|one| joined(head, one, signatures)).collect();
    for (one, joins) in signatures.iter_mut().zip(joins) {
        one.joins = joins;
    }
    failed
}

/// Returns the label of the signature that `touch` counts for.
fn joined(
    head: &Head<'_>,
    touch: &VerifiedSignature,
    signatures: &[VerifiedSignature],
) -> Option<String> {
    touch.presence?;
    let Some(covered) = &touch.covered_signatures else {
        // A security key that may sign alone was touched for its own signature.
        return touch.counts.then(|| touch.label.clone());
    };
    let label = covered.joined.as_ref()?;
    let signature = signatures.iter().find(|one| one.counts && one.label == *label)?;
    let of = |one: &VerifiedSignature| (one.created, one.expires, one.nonce.clone());
    if of(touch) != of(signature) || !touch.entry.may_touch_for(&signature.entry) {
        return None;
    }
    let (more, less) = (verdict::params_of(head, touch)?, verdict::params_of(head, signature)?);
    let covers = |component: &_| more.components().iter().any(|one| one.same_as(component));
    less.components().iter().all(covers).then(|| label.clone())
}
