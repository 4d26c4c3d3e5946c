//! Judges one signature of a request, in steps 3 to 8. A fault refuses only this signature.

use std::sync::Arc;

use crate::base;
use crate::base::MemberFault;
use crate::base::header::{self, Candidate};
use crate::base::params::SignatureParams;
use crate::clock::Timestamp;
use crate::key::trust::{PresenceFault, Registry, TrustEntry};
use crate::key::{KeyKind, PRESENCE_SIGNATURE_BYTES, PresenceError, PresenceProof};
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::message::target::Target;
use crate::nonce::NonceStore;
use crate::profile::{KeyLookup, Profile, TagRule};

use super::coverage::{self, CoverageOverrides};
use super::covered_signatures::{self, CoveredSignatures};
use super::parameters::{self, CheckedParameters};
use super::rejection::{Code, KID_OF, Rejection, Step};
use super::standing::KeyCheckInput;
use super::statement::Statement;
use super::touch_fault::TouchFault;
use super::{MAX_COMPONENTS, client_field, standing, window};

/// What is needed to judge each signature of a request.
pub(super) struct JudgeContext<'a> {
    pub(super) profile: &'a Profile,
    pub(super) overrides: &'a CoverageOverrides,
    pub(super) registry: &'a Registry,
    pub(super) head: &'a Head<'a>,
    /// All signatures of the head.
    pub(super) candidates: &'a [Candidate<'a>],
    pub(super) has_body: bool,
    pub(super) target: &'a Target<'a>,
    pub(super) now: Timestamp,
    /// The nonce store, which limits the live nonces of each key.
    pub(super) store: Option<&'a dyn NonceStore>,
}

/// A signature that passed steps 3 to 8, with the data for later steps and for the verdict. It
/// leaves out what only reports show; a report parses the head again.
#[derive(Clone, Debug)]
pub(super) struct VerifiedSignature {
    /// The position of the signature among those of the request, from 0.
    pub(super) index: usize,
    pub(super) label: String,
    pub(super) created: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
    pub(super) nonce: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) entry: Arc<TrustEntry>,
    /// True if this signature can authorise the request. The nonces of the other signatures are
    /// stored too.
    pub(super) can_authorise: bool,
    /// The bytes that were signed; empty once the body is judged.
    pub(super) base: String,
    /// The value of the signature: 64 bytes, or 69 from a security key; empty once the body is
    /// judged.
    pub(super) signature: Vec<u8>,
    /// What the security key reported about the touch, if the signature is by a security key.
    pub(super) presence: Option<PresenceProof>,
    /// Which other signatures this signature covers, if the profile knows touches of security keys.
    pub(super) covered_signatures: Option<CoveredSignatures>,
    /// The label of the signature that this signature confirms as a touch of a security key.
    pub(super) touch_for: Option<String>,
    /// The index of the signature by which a touch of a security key confirms this one.
    pub(super) touched_by: Option<usize>,
}

/// What the verification of a signature yields: the signature base, and what a security key
/// reported about the touch.
type SignatureProof = (String, Option<PresenceProof>);

/// The results for a signature that passed steps 3 to 8.
type CandidateResult<'p> = (CheckedParameters<'p>, Arc<TrustEntry>, SignatureProof);

/// A refusal, and the trust entry of the key if one was found.
type CandidateRejection = (Rejection, Option<Arc<TrustEntry>>);

impl JudgeContext<'_> {
    /// Judges one signature. The first step that refuses it ends the check. The rejection contains
    /// what the signature states about itself.
    pub(super) fn judge(
        &self,
        index: usize,
        candidate: &Candidate<'_>,
    ) -> Result<VerifiedSignature, Rejection> {
        let Candidate { label, params, signature } = candidate;

        // Step 3: the member of this signature in the two fields. Nothing may be repeated, base64
        // must be canonical, and the components must be an inner list of strings.
        let params = params.as_ref().map_err(|fault| {
            malformed("signature-input", fault).stating(Statement::of(self.head, label, None, None))
        })?;
        let mut found = None;
        let bytes = signature.as_deref();
        match self.judge_parsed_signature((label, params), bytes, &mut found) {
            Ok((CheckedParameters { created, expires, nonce, tag, .. }, entry, proof)) => {
                let knows_touches = !self.profile.security_keys.is_empty();
                Ok(VerifiedSignature {
                    index,
                    created,
                    expires,
                    nonce: nonce.map(str::to_owned),
                    tag: tag.map(str::to_owned),
                    entry,
                    can_authorise: true,
                    base: proof.0,
                    // Never empty: the signature was verified.
                    signature: bytes.unwrap_or_default().to_vec(),
                    presence: proof.1,
                    covered_signatures: knows_touches
                        .then(|| CoveredSignatures::of(label, params))
                        .flatten(),
                    label: label.to_string(),
                    touch_for: None,
                    touched_by: None,
                })
            }
            Err(rejection) => {
                // If the signature was refused before its key was looked up, the report names the
                // key that its `keyid` claims.
                let claimed = || self.registry.by_id(params.keyid().value()?);
                let entry = found.as_ref().or_else(claimed).map(|entry| &**entry);
                let statement = Statement::of(self.head, label, Some(params), entry);
                Err(rejection.stating(statement))
            }
        }
    }

    /// Judges a signature whose parameters could be parsed. `found` is set to the trust entry of
    /// the key, if there is one, also if the signature is refused.
    fn judge_parsed_signature<'p>(
        &self,
        (label, params): (&str, &'p SignatureParams<'_>),
        signature: Result<&[u8], &MemberFault>,
        found: &mut Option<Arc<TrustEntry>>,
    ) -> Result<CandidateResult<'p>, Rejection> {
        let signature = signature.map_err(|fault| malformed("signature", fault))?;
        // The limit on the number of components (step 1) comes before any work on each of them.
        let mut count = params.components().len();
        if !self.profile.security_keys.is_empty() {
            count -= covered_signatures::uncounted_components(params);
        }
        if count > MAX_COMPONENTS {
            let message = format!("{count} components are covered, {MAX_COMPONENTS} at most");
            return Err(Rejection::new(Step::Limits, Code::TooLarge, message));
        }
        // Step 4: the parameters.
        let parameters = parameters::judge(self.profile, params)?;
        let client = client_field::client_named_by(self.profile, self.head)?;
        // Step 5: the validity in time, which compares `created` and `expires` with the clock.
        window::judge(self.profile, parameters.created, parameters.expires, self.now)?;
        // Step 6: coverage.
        let covered = (label, params.components());
        let request = (self.head, self.has_body);
        coverage::judge(self.profile, self.overrides, request, covered)?;
        // Steps 7 and 8: the key and the signature.
        let claims = (&parameters, client.as_deref());
        let (entry, proof) =
            self.judge_key(params, claims, signature).map_err(|(rejection, entry)| {
                *found = entry;
                rejection
            })?;
        Ok((parameters, entry, proof))
    }

    /// Judges the key and the signature (steps 7 and 8). If `keyid` is a thumbprint, it names one
    /// key. If it is a `kid`, it may name several keys; then the key under which the signature is
    /// valid is judged.
    fn judge_key(
        &self,
        params: &SignatureParams<'_>,
        claims: KeyCheckInput<'_>,
        signature: &[u8],
    ) -> Result<(Arc<TrustEntry>, SignatureProof), CandidateRejection> {
        let (registry, parameters) = (self.registry, claims.0);
        let by_id = registry.by_id(parameters.keyid);
        let by_kid = (by_id.is_none() && self.takes_kid(parameters))
            .then(|| registry.by_kid(parameters.keyid));
        let mut furthest: Option<(Rejection, Arc<TrustEntry>)> = None;
        for entry in by_id.into_iter().chain(by_kid.into_iter().flatten()) {
            match self.judge_entry(entry, params, claims, signature) {
                Ok(proof) => return Ok((Arc::clone(entry), proof)),
                Err(r) if r.signer().is_some() => return Err((r, Some(Arc::clone(entry)))),
                Err(r) if furthest.as_ref().is_none_or(|(f, _)| r.step() > f.step()) => {
                    furthest = Some((r, Arc::clone(entry)));
                }
                Err(_) => {}
            }
        }
        Err(match furthest {
            Some((rejection, entry)) => (rejection, Some(entry)),
            None => (self.unknown(parameters), None),
        })
    }

    /// Returns true if a `keyid` that is not a thumbprint may be the `kid` of a key, by the rules
    /// of the profile.
    fn takes_kid(&self, parameters: &CheckedParameters<'_>) -> bool {
        let by_thumbprint =
            matches!(self.profile.tag, TagRule::UntaggedOr(_)) && parameters.tag.is_some();
        self.profile.key_lookup == KeyLookup::ThumbprintThenKid && !by_thumbprint
    }

    /// Returns the refusal of a signature whose key is not found. If the profile looks keys up by
    /// thumbprint and a key has the `keyid` as its `kid`, the message for the operator says so. The
    /// client learns only the code.
    fn unknown(&self, parameters: &CheckedParameters<'_>) -> Rejection {
        let keyid = parameters.keyid;
        let of_kid = match self.takes_kid(parameters) {
            true => Vec::new(),
            false => self.registry.by_kid(keyid).map(|entry| entry.key().id().as_str()).collect(),
        };
        let message = match of_kid.as_slice() {
            [] => "no trusted key has this id",
            _ => "the id is the kid of a trusted key, and here a key is named by its thumbprint",
        };
        if let (Some(_), Some(why)) = (self.profile.key_purpose, self.registry.why_skipped(keyid)) {
            return purpose_invalid(why).with("keyid", format!("{keyid:?}"));
        }
        let rejection = Rejection::new(Step::Key, Code::KeyUnknown, message)
            .with("keyid", format!("{keyid:?}"));
        match of_kid.as_slice() {
            [] => rejection.with("trusted", plural(self.registry.len(), "key")),
            ids => rejection.with(KID_OF, ids.join(" ")),
        }
    }

    fn judge_entry(
        &self,
        entry: &TrustEntry,
        params: &SignatureParams<'_>,
        claims: KeyCheckInput<'_>,
        signature: &[u8],
    ) -> Result<SignatureProof, Rejection> {
        if self.profile.key_first {
            // In this profile, the two cheap checks of the key come first: if the key is refused,
            // its signature need not be verified.
            self.judge_purpose(entry, claims.0)?;
            standing::judge(self.profile, entry, claims, self.now)?;
            self.judge_quota(entry)?;
            return self.judge_signature(entry, params, signature);
        }
        let signature = self.judge_signature(entry, params, signature);
        // In all other profiles, the signature (step 8) is checked before the key (step 7), because
        // only a client with a valid signature may learn why its key is refused.
        standing::judge(self.profile, entry, claims, self.now)
            .map_err(|r| if signature.is_ok() { r.signed_by(entry) } else { r })?;
        signature
    }

    /// Refuses a key whose JWK does not state the purpose that the profile demands (such as signing
    /// requests), or that is for another algorithm than the signature names.
    fn judge_purpose(
        &self,
        entry: &TrustEntry,
        parameters: &CheckedParameters<'_>,
    ) -> Result<(), Rejection> {
        let Some(purpose) = self.profile.key_purpose else { return Ok(()) };
        let kind = entry.key().kind();
        let lacks = entry.lacks_of_purpose(purpose).or_else(|| {
            let fits = parameters.alg.is_none_or(|alg| alg == kind);
            (!fits).then(|| format!("it is {}", kind.described()))
        });
        match lacks {
            Some(lacks) => Err(purpose_invalid(&lacks).with("key", entry.key().id())),
            None => Ok(()),
        }
    }

    /// Refuses a key that already has as many live nonces (those that the store still keeps) as
    /// permitted, as far as this process knows. The store itself is asked at the end (step 12).
    fn judge_quota(&self, entry: &TrustEntry) -> Result<(), Rejection> {
        let key = entry.key().id();
        match self.store {
            Some(store) if store.is_over_quota(self.now, key) => {
                let message = "the key has too many requests within the window";
                Err(Rejection::new(Step::Nonce, Code::NonceQuota, message).with("key", key))
            }
            _ => Ok(()),
        }
    }

    fn judge_signature(
        &self,
        entry: &TrustEntry,
        params: &SignatureParams<'_>,
        signature: &[u8],
    ) -> Result<SignatureProof, Rejection> {
        let refuse =
            |message: String| Rejection::new(Step::Signature, Code::SignatureInvalid, message);
        let base = || {
            base::signature_base_among(params, self.head, self.target, self.candidates)
                .map_err(|e| refuse(format!("the signature base cannot be rebuilt: {}", chain(&e))))
        };
        if let Some(rules) = entry.security_key() {
            let Ok(signature) = <&[u8; PRESENCE_SIGNATURE_BYTES]>::try_from(signature) else {
                let length = signature.len();
                return Err(refuse(format!(
                    "the signature is {length} bytes long, not the {PRESENCE_SIGNATURE_BYTES} of a security key"
                )));
            };
            let base = base()?;
            let proof = rules.verify(entry.key(), base.as_bytes(), signature).map_err(|fault| {
                let because = match fault {
                    PresenceFault::Presence(PresenceError::NotPresent) => {
                        Some(TouchFault::NotPresent)
                    }
                    PresenceFault::NotVerified => Some(TouchFault::NotVerified),
                    _ => None,
                };
                refuse(fault.to_string()).with("key", entry.key().id()).lacking_touch(because)
            })?;
            return Ok((base, Some(proof)));
        }
        let Ok(signature) = <&[u8; 64]>::try_from(signature) else {
            let length = signature.len();
            let der = match (entry.key().kind(), signature) {
                // The signature has the form ECDSA-Sig-Value (RFC 3279 section 2.2.3), which
                // openssl writes: a SEQUENCE with its length, which begins with an INTEGER.
                (KeyKind::P256, [0x30, rest_length, 0x02, ..])
                    if usize::from(*rest_length) == length - 2 =>
                {
                    ": it looks like DER, and r and s are needed"
                }
                (_, [..]) if length == PRESENCE_SIGNATURE_BYTES => {
                    ": a security key signs so, and its trust entry does not say that it is one"
                }
                _ => "",
            };
            return Err(refuse(format!("the signature is {length} bytes long, not 64{der}")));
        };
        let base = base()?;
        entry.key().verify_strict(base.as_bytes(), signature).map_err(|_| {
            refuse("the signature does not hold over this request".to_owned())
                .with("key", entry.key().id())
        })?;
        Ok((base, None))
    }
}

/// Returns the components and parameters of one signature, parsed again from the head.
pub(super) fn params_of<'h>(
    head: &'h Head<'_>,
    one: &VerifiedSignature,
) -> Option<SignatureParams<'h>> {
    let candidates = header::read(head).unwrap_or_default();
    candidates.into_iter().find(|candidate| candidate.label == one.label)?.params.ok()
}

fn purpose_invalid(why: &str) -> Rejection {
    let message = format!("the key is not published for this: {why}");
    Rejection::new(Step::Key, Code::KeyPurposeInvalid, message)
}

fn malformed(field: &'static str, fault: &MemberFault) -> Rejection {
    let message = format!("{field} is malformed: {}", chain(fault));
    Rejection::new(Step::Parse, Code::SignatureMalformed, message)
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
