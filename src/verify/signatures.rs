//! Steps 1 to 8 for all signatures of a request.

use crate::base::header::{self, Candidate, HeaderError};
use crate::base::params::Param;
use crate::message::Head;
use crate::message::error_chain::chain;
use crate::profile::{SeveralSignatures, TagRule};

use super::candidate::{JudgeContext, VerifiedSignature};
use super::covered_signatures::CoveredSignatures;
use super::rejection::{Code, Rejection, Step};
use super::signature_roles::{self, OpaqueRole};
use super::{MAX_LABELS, VerifiedHead, Verifier, present, touch};

/// A signature that was valid when its request was judged first, and that cannot be verified again,
/// because it covers a field that an audit log does not keep.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "audit"), allow(dead_code))]
pub(crate) struct OpaqueSignature<'a> {
    /// The label of the signature.
    pub(crate) label: &'a str,
    /// The id of its key.
    pub(crate) key: &'a str,
}

/// The valid signatures of a request, and the refusal if none of them can authorise the request.
#[derive(Debug)]
pub(crate) struct JudgedSignatures<'h> {
    /// The valid signatures. The list may be empty if there is a refusal.
    pub(crate) head: VerifiedHead<'h>,
    /// The refusal if no valid signature can authorise the request: that of the signature that
    /// passed the most steps, or of the first of these.
    pub(crate) refusal: Option<Rejection>,
}

impl Verifier {
    /// Judges steps 1 to 8 for all signatures. If this succeeds, at least one signature can
    /// authorise the request.
    pub(super) fn judge_signatures<'h>(
        &self,
        head: &'h Head<'h>,
        has_body: bool,
    ) -> Result<VerifiedHead<'h>, Rejection> {
        let JudgedSignatures { head, refusal } = self.judge_each(head, has_body, &[])?;
        refusal.map_or(Ok(head), Err)
    }

    /// Judges each signature. The `opaque` signatures, which cannot be verified again, are treated
    /// as valid where another signature covers them.
    ///
    /// # Errors
    /// A refusal of the whole request.
    pub(crate) fn judge_each<'h>(
        &self,
        head: &'h Head<'h>,
        has_body: bool,
        opaque: &[OpaqueSignature<'_>],
    ) -> Result<JudgedSignatures<'h>, Rejection> {
        // Step 1, limits: sizes, fields that must not be repeated, and the host of this server.
        let target = self.judge_limits(head)?;

        // Step 2: both signature fields must be present. Without them, the request is unsigned.
        present::judge(&self.profile, head)?;

        // Step 3, parsing. A fault of a whole field refuses the request; a fault of one member
        // refuses only the signature of that member.
        let candidates = header::read(head).map_err(|fault| match fault {
            // Empty signature fields count as absent (RFC 9651 section 3.2).
            HeaderError::Missing(_) => present::empty_signature_fields(&self.profile),
            _ => Rejection::new(Step::Parse, Code::SignatureMalformed, chain(&fault)),
        })?;
        if candidates.len() > MAX_LABELS {
            let message = format!("{} signatures, {MAX_LABELS} at most", candidates.len());
            return Err(Rejection::new(Step::Limits, Code::TooLarge, message));
        }

        // Steps 4 to 8, for each signature.
        let (profile, overrides, registry) = (&self.profile, &self.overrides, &*self.registry);
        let (now, target, store) = (self.clock.now(), &target, self.replay.store());
        let candidates = &candidates;
        let context = JudgeContext {
            profile,
            overrides,
            registry,
            head,
            candidates,
            has_body,
            target,
            now,
            store,
        };
        let decides = self.decides(candidates);
        let roles = self.roles_of(opaque, candidates);
        let mut signatures = Vec::with_capacity(1);
        let mut failed = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            match context.judge(index, candidate) {
                Ok(one) => signatures.push(VerifiedSignature {
                    can_authorise: decides.is_none_or(|decides| decides == index),
                    ..one
                }),
                Err(rejection) if decides == Some(index) && opaque.is_empty() => {
                    return Err(rejection);
                }
                Err(rejection) => failed.push(rejection.with_profile_code(profile)),
            }
        }
        failed.extend(signature_roles::settle(head, candidates, &mut signatures, &roles));
        let mut refusal = None;
        if !signatures.iter().any(|one| one.can_authorise) {
            let further = |f: Rejection, r: Rejection| if r.step() > f.step() { r } else { f };
            let furthest = failed.iter().cloned().reduce(further);
            refusal = Some(furthest.unwrap_or_else(|| present::empty_signature_fields(profile)));
        }
        // The signature that authorises the request comes first; one that is confirmed by a touch
        // of a security key is preferred.
        touch::assign(&mut signatures, |_| true);
        signatures.sort_by_key(|one| (!one.can_authorise, one.touched_by.is_none()));
        Ok(JudgedSignatures { head: VerifiedHead { head, signatures, failed, now }, refusal })
    }

    /// Returns the index of the signature that alone decides, if the profile says that one does.
    fn decides(&self, candidates: &[Candidate<'_>]) -> Option<usize> {
        let TagRule::Exactly(tag) = self.profile.tag else { return None };
        if self.profile.several != SeveralSignatures::FirstTagged {
            return None;
        }
        let tagged = candidates.iter().position(|candidate| {
            candidate.params.as_ref().is_ok_and(|params| params.tag() == Param::Value(tag))
        });
        Some(tagged.unwrap_or(0))
    }

    /// Returns, for each of the `opaque` signatures, which others it covers, and whether a
    /// signature over it could be valid.
    fn roles_of(
        &self,
        opaque: &[OpaqueSignature<'_>],
        candidates: &[Candidate<'_>],
    ) -> Vec<OpaqueRole> {
        let mut roles = Vec::new();
        for OpaqueSignature { label, key } in opaque {
            let candidate = candidates.iter().find(|candidate| candidate.label == *label);
            let Some(Ok(params)) = candidate.map(|candidate| &candidate.params) else { continue };
            let entry = self.registry.by_id(key);
            let rules = entry.and_then(|entry| entry.security_key());
            roles.push(OpaqueRole {
                label: (*label).to_owned(),
                covered: CoveredSignatures::of(label, params),
                may_sign_alone: rules.is_none_or(|rules| rules.may_sign_alone()),
            });
        }
        roles
    }
}
