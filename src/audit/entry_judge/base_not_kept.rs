//! Checks a signature whose signature base the log does not keep. It cannot be verified, but some
//! facts about it can be checked. A signature without a base is only allowed if it covers data that
//! no log keeps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::entry::Signature;
use super::super::evidence::KeptFields;
use crate::base::header::Candidate;
use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::PRESENCE_SIGNATURE_BYTES;
use crate::message::Head;
use crate::profile::Profile;
use crate::verify::coverage::{self, CoverageOverrides};
use crate::verify::window;

/// Checks the recorded signature `told`, whose signature base is not in the log: its bytes are
/// those of the request, it covers data that no log keeps, and its age and covered components fit
/// the profile. Returns the parameters that the signature states.
pub(super) fn check<'c>(
    told: &Signature<'_>,
    candidates: &'c [Candidate<'_>],
    (head, time): (&Head<'_>, Timestamp),
    (profile, overrides): (&Profile, &CoverageOverrides),
) -> Result<&'c SignatureParams<'c>, String> {
    let label = &told.label;
    let hash = told.base_sha256.as_deref().and_then(|hash| STANDARD.decode(hash).ok());
    if hash.is_none_or(|hash| hash.len() != 32) {
        return Err(format!("the signature {label:?} has neither a base nor the hash of one"));
    }
    let candidate = candidates.iter().find(|candidate| candidate.label == *label);
    let candidate = candidate.ok_or(format!("its request has no signature {label:?}"))?;
    let signature = candidate.signature.as_ref().map_err(|e| e.to_string())?;
    // The signature of a security key is longer than an Ed25519 or P-256 signature.
    let fits = matches!(signature.len(), 64 | PRESENCE_SIGNATURE_BYTES);
    if !fits || STANDARD.encode(signature) != told.signature {
        return Err("its signature is not that of its request".to_owned());
    }
    let params = candidate.params.as_ref().map_err(|e| e.to_string())?;
    let fields = KeptFields::of(Some(&profile.name));
    let kept = |name: &str| {
        // The log keeps the absolute target URI, but not whether the request line was in origin
        // form or absolute form.
        name != "@request-target" && (name.starts_with('@') || fields.has(name))
    };
    if params.components().iter().all(|component| kept(component.name())) {
        return Err(format!(
            "the base of the signature {label:?} is missing, although all that it covers is kept"
        ));
    }
    let moment = |seconds: Option<i64>| seconds.map(Timestamp::from_unix);
    let times = (moment(params.created().value()), moment(params.expires().value()));
    let request = (head, coverage::says_body_follows(head));
    let no = window::judge(profile, times.0, times.1, time).and_then(|()| {
        coverage::judge(profile, overrides, request, (&**label, params.components()))
    });
    no.map_err(|no| super::facts::refused(&no))?;
    Ok(params)
}
