//! Steps 3 to 8 for one signature of a request. A fault here refuses this one only.

use std::sync::Arc;

use crate::base;
use crate::base::MemberFault;
use crate::base::header::Candidate;
use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::trust::{Entry, Registry};
use crate::message::Head;
use crate::message::target::Target;
use crate::profile::{KeyLookup, Profile};

use super::coverage::{self, Changes};
use super::parameters::{self, CheckedParameters};
use super::rejection::{Code, Rejection, Step, chain};
use super::statement::Statement;
use super::{MAX_COMPONENTS, standing, window};

/// What all candidates of a request are judged against.
pub(super) struct JudgeContext<'a> {
    pub(super) profile: &'a Profile,
    pub(super) changes: &'a Changes,
    pub(super) registry: &'a Registry,
    pub(super) head: &'a Head<'a>,
    pub(super) target: &'a Target<'a>,
    pub(super) now: Timestamp,
}

/// A signature that held: steps 3 to 8 are behind it. Only what later steps and the verdict need;
/// a report reads the rest from the head again, which most requests never ask for.
#[derive(Clone, Debug)]
pub(super) struct HeldCandidate {
    /// Where it stands among the request's signatures.
    pub(super) place: usize,
    pub(super) label: String,
    pub(super) created: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
    pub(super) nonce: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) entry: Arc<Entry>,
    /// The bytes that were signed, and the signature over them: what a third party needs.
    pub(super) base: String,
    pub(super) signature: [u8; 64],
}

/// A base over which a signature holds.
type Proof = (String, [u8; 64]);

/// A refusal, and the trust entry of the key, if there is one.
type CandidateRefusal = (Rejection, Option<Arc<Entry>>);

impl JudgeContext<'_> {
    /// Judges one candidate, step by step; the first step that refuses ends it. The rejection
    /// carries what the signature says of itself.
    pub(super) fn judge(
        &self,
        place: usize,
        candidate: Candidate<'_>,
    ) -> Result<HeldCandidate, Rejection> {
        let Candidate { label, params, signature } = candidate;

        // 3. The member itself: nothing twice, canonical base64, an inner list of strings.
        let params = params.map_err(|fault| {
            malformed("signature-input", &fault)
                .stating(Statement::of(self.head, &label, None, None))
        })?;
        let mut found = None;
        match self.judge_read(&params, signature, &mut found) {
            Ok((CheckedParameters { created, expires, nonce, tag, .. }, entry, proof)) => {
                Ok(HeldCandidate {
                    place,
                    label: label.into_owned(),
                    created,
                    expires,
                    nonce: nonce.map(str::to_owned),
                    tag: tag.map(str::to_owned),
                    entry,
                    base: proof.0,
                    signature: proof.1,
                })
            }
            Err(rejection) => {
                // Also what was refused before its key was looked up is reported by the name that
                // the key it claims would have.
                let claimed = || self.registry.by_id(params.keyid().value()?);
                let entry = found.as_ref().or_else(claimed).map(|entry| &**entry);
                let statement = Statement::of(self.head, &label, Some(&params), entry);
                Err(rejection.stating(statement))
            }
        }
    }

    /// The same, once the signature parameters could be read. `found` is the trust entry of the
    /// key, if there is one, whatever becomes of the signature.
    fn judge_read<'p>(
        &self,
        params: &'p SignatureParams<'_>,
        signature: Result<Vec<u8>, MemberFault>,
        found: &mut Option<Arc<Entry>>,
    ) -> Result<(CheckedParameters<'p>, Arc<Entry>, Proof), Rejection> {
        let signature = signature.map_err(|fault| malformed("signature", &fault))?;
        // 1. Its share of the limits, before any work is done on each component.
        let count = params.components().len();
        if count > MAX_COMPONENTS {
            let message = format!("{count} components are covered, {MAX_COMPONENTS} at most");
            return Err(Rejection::new(Step::Limits, Code::TooLarge, message));
        }
        // 4. Parameters.
        let parameters = parameters::judge(self.profile, params)?;
        // 5. Window.
        window::judge(self.profile.window, parameters.created, parameters.expires, self.now)?;
        // 6. Coverage.
        coverage::judge(self.profile, self.changes, self.head, params.components())?;
        // 7. Key. 8. Signature.
        let (entry, proof) =
            self.judge_key(params, &parameters, &signature).map_err(|(rejection, entry)| {
                *found = entry;
                rejection
            })?;
        Ok((parameters, entry, proof))
    }

    /// Steps 7 and 8. A thumbprint names one key; a `kid` may be shared by a few, and then the
    /// one under which the signature holds is meant: if that one is refused, this is the reason.
    fn judge_key(
        &self,
        params: &SignatureParams<'_>,
        parameters: &CheckedParameters<'_>,
        signature: &[u8],
    ) -> Result<(Arc<Entry>, Proof), CandidateRefusal> {
        let registry = self.registry;
        let by_id = registry.by_id(parameters.keyid);
        let by_kid = (by_id.is_none() && self.profile.key_lookup == KeyLookup::ThumbprintThenKid)
            .then(|| registry.by_kid(parameters.keyid));
        let mut furthest: Option<(Rejection, Arc<Entry>)> = None;
        for entry in by_id.into_iter().chain(by_kid.into_iter().flatten()) {
            match self.judge_entry(entry, params, parameters, signature) {
                Ok(proof) => return Ok((Arc::clone(entry), proof)),
                Err(r) if r.signature_held() => return Err((r, Some(Arc::clone(entry)))),
                Err(r) if furthest.as_ref().is_none_or(|(f, _)| r.step() > f.step()) => {
                    furthest = Some((r, Arc::clone(entry)));
                }
                Err(_) => {}
            }
        }
        Err(match furthest {
            Some((rejection, entry)) => (rejection, Some(entry)),
            None => {
                let rejection =
                    Rejection::new(Step::Key, Code::KeyUnknown, "no trusted key has this id")
                        .with("keyid", format!("{:?}", parameters.keyid))
                        .with("trusted", plural(registry.len(), "key"));
                (rejection, None)
            }
        })
    }

    fn judge_entry(
        &self,
        entry: &Entry,
        params: &SignatureParams<'_>,
        parameters: &CheckedParameters<'_>,
        signature: &[u8],
    ) -> Result<Proof, Rejection> {
        let signature = self.judge_signature(entry, params, signature);
        // Step 7 comes first, but whoever proves to hold the key may be told why it is refused,
        // and that has to be known by then (DESIGN section 8).
        standing::judge(self.profile, entry, parameters, self.now)
            .map_err(|rejection| rejection.after_signature(signature.is_ok()))?;
        signature
    }

    fn judge_signature(
        &self,
        entry: &Entry,
        params: &SignatureParams<'_>,
        signature: &[u8],
    ) -> Result<Proof, Rejection> {
        let refuse =
            |message: String| Rejection::new(Step::Signature, Code::SignatureInvalid, message);
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else {
            let length = signature.len();
            return Err(refuse(format!("the signature is {length} bytes long, not 64")));
        };
        let base = base::signature_base(params, self.head, self.target)
            .map_err(|e| refuse(format!("the signature base cannot be rebuilt: {}", chain(&e))))?;
        entry.key().verify_strict(base.as_bytes(), signature).map_err(|_| {
            refuse("the signature does not hold over this request".to_owned())
                .with("key", entry.key().id())
        })?;
        Ok((base, *signature))
    }
}

fn malformed(field: &'static str, fault: &MemberFault) -> Rejection {
    let message = format!("{field} is malformed: {}", chain(fault));
    Rejection::new(Step::Parse, Code::SignatureMalformed, message)
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
