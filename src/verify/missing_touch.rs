//! Finds which signature a touch confirms, or why it confirms none.

use crate::base::header::{self, Candidate};
use crate::base::params::SignatureParams;
use crate::key::PRESENCE_SIGNATURE_BYTES;
use crate::message::Head;

use super::candidate::VerifiedSignature;
use super::covered_signatures::CoveredSignatures;
use super::rejection::{Rejection, Step};
use super::touch_fault::TouchFault;

/// Why no touch of a security key is accepted for a request, as a word and as a text.
pub(super) struct MissingTouch {
    pub(super) fault: TouchFault,
    /// Why no touch is accepted, as a lower-case fragment of a sentence.
    pub(super) why: String,
}

impl MissingTouch {
    /// Finds the reason why no touch of a security key confirms the first signature of
    /// `signatures`, which authorises the request. Of several touches, the one that got furthest
    /// gives the reason.
    pub(super) fn of(
        head: &Head<'_>,
        signatures: &[VerifiedSignature],
        failed: &[Rejection],
    ) -> Self {
        let candidates = header::read(head).unwrap_or_default();
        let mut furthest: Option<(bool, TouchFault, &str)> = None;
        for candidate in &candidates {
            let Some(fault) = fault_of(candidate, &candidates, (signatures, failed)) else {
                continue;
            };
            let is_held = signatures.iter().any(|one| one.label == candidate.label);
            if furthest.is_none_or(|(was_held, ..)| is_held && !was_held) {
                furthest = Some((is_held, fault, &*candidate.label));
            }
        }
        let (_, fault, label) = furthest.unwrap_or((false, TouchFault::Absent, ""));
        MissingTouch { fault, why: fault.text(label) }
    }
}

/// Returns why `candidate`, as the touch of a security key, is not accepted; `None` if it is no
/// touch.
fn fault_of(
    candidate: &Candidate<'_>,
    all: &[Candidate<'_>],
    (signatures, failed): (&[VerifiedSignature], &[Rejection]),
) -> Option<TouchFault> {
    let label = &*candidate.label;
    let params = candidate.params.as_ref().ok();
    let covered = params.and_then(|params| CoveredSignatures::of(label, params));
    let is_long =
        candidate.signature.as_ref().is_ok_and(|bytes| bytes.len() == PRESENCE_SIGNATURE_BYTES);
    if covered.is_none() && !is_long {
        return None;
    }
    let mut labels = covered.iter().flat_map(|covered| &covered.labels);
    if labels.any(|label| !all.iter().any(|one| one.label == *label)) {
        return Some(TouchFault::Relabelled);
    }
    if let Some(touch) = signatures.iter().find(|one| one.label == label) {
        let joins = match join(all, touch, signatures) {
            Ok(joins) => joins,
            Err(fault) => return Some(fault),
        };
        let of_first = signatures.first().is_some_and(|first| first.label == joins);
        return Some(if of_first { TouchFault::NotAllowed } else { TouchFault::OtherSigner });
    }
    let of_this = |no: &&Rejection| no.statement().is_some_and(|said| said.label == label);
    let rejected = failed.iter().find(of_this)?;
    Some(match rejected.touch_fault() {
        Some(fault) => fault,
        // The signature of the security key (the touch) is valid, but the one that it confirms is
        // not.
        None if rejected.step() == Step::Present => TouchFault::SignatureInvalid,
        None => TouchFault::Refused(rejected.code().as_str()),
    })
}

/// Returns the label of the signature that `touch` counts for. `candidates` are all signatures of the
/// head.
///
/// # Errors
/// Why it counts for none.
pub(super) fn join(
    candidates: &[Candidate<'_>],
    touch: &VerifiedSignature,
    signatures: &[VerifiedSignature],
) -> Result<String, TouchFault> {
    touch.presence.ok_or(TouchFault::NotSecurityKey)?;
    let Some(covered) = &touch.covered_signatures else {
        // The signature is by a security key that may sign alone, so the touch confirms this
        // signature itself.
        let own = touch.can_authorise.then(|| touch.label.clone());
        return own.ok_or(TouchFault::NotJoined);
    };
    let label = covered.joined.as_ref().ok_or(TouchFault::NotJoined)?;
    let signature = signatures.iter().find(|one| one.can_authorise && one.label == *label);
    let signature = signature.ok_or(TouchFault::SignatureInvalid)?;
    let has_same_parameters = touch.created == signature.created
        && touch.expires == signature.expires
        && touch.nonce == signature.nonce;
    if !has_same_parameters {
        return Err(TouchFault::OtherParameters);
    }
    if !touch.entry.may_touch_for(&signature.entry) {
        return Err(TouchFault::NotFor);
    }
    let params = |one: &VerifiedSignature| {
        let candidate = candidates.iter().find(|candidate| candidate.label == one.label);
        candidate.and_then(|one| one.params.as_ref().ok()).ok_or(TouchFault::NotJoined)
    };
    match covers(params(touch)?, params(signature)?) {
        true => Ok(label.clone()),
        false => Err(TouchFault::CoversLess),
    }
}

/// Returns true if `more` covers all that `less` covers.
fn covers(more: &SignatureParams<'_>, less: &SignatureParams<'_>) -> bool {
    let has = |component: &_| more.components().iter().any(|one| one.same_as(component));
    less.components().iter().all(has)
}
