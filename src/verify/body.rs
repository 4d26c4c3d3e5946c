//! Judges a request after its body has arrived (steps 9 to 11): the digest of the body, its MCP
//! content, and what the key may do.

use std::cell::OnceCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::params::SignatureParams;
use crate::key::trust::TrustEntry;
use crate::mcp::body::{self, AmbiguousBody, Reading, Scope};
use crate::mcp::headers;
use crate::mcp::pattern::{Operation, Pattern};
use crate::message::Head;
use crate::message::digest::{ContentDigest, DigestError};
use crate::message::error_chain::chain;
use crate::profile::{DigestAlgorithms, LastSteps, Presence};

use super::candidate::{self, VerifiedSignature};
use super::rejection::{Code, Rejection, Step};
use super::{JudgedBody, VerifiedHead, Verifier, coverage, touch, verdict, window};

impl Verifier {
    /// Judges steps 9 to 11 after the last byte of the body, and step 5 again: the signature may
    /// have expired while the body arrived.
    ///
    /// If the profile claims nonces before it reads the body, a refusal of step 10 or 11 is
    /// returned by [`Verifier::claim`] later.
    ///
    /// # Errors
    /// The rejection of the signature that got furthest; of several equally far, the first.
    pub fn judge_body(
        &self,
        request: VerifiedHead<'_>,
        body: &[u8],
    ) -> Result<JudgedBody, Rejection> {
        let (head, reading) = (request.head, OnceCell::new());
        self.judge_parsed_body(request, body, || {
            reading.get_or_init(|| body::read(head, body, self.scope))
        })
    }

    /// Works as [`Verifier::judge_body`], for a body that the caller has already parsed. `reading`
    /// returns the parsed body.
    pub(crate) fn judge_parsed_body<'r>(
        &self,
        request: VerifiedHead<'_>,
        body: &[u8],
        reading: impl FnOnce() -> &'r Result<Reading<'r>, AmbiguousBody>,
    ) -> Result<JudgedBody, Rejection> {
        let judged = self.judge_with_body(request, body, reading);
        judged.map_err(|rejection| rejection.with_profile_code(&self.profile))
    }

    fn judge_with_body<'r>(
        &self,
        request: VerifiedHead<'_>,
        body: &[u8],
        reading: impl FnOnce() -> &'r Result<Reading<'r>, AmbiguousBody>,
    ) -> Result<JudgedBody, Rejection> {
        let VerifiedHead { head, mut signatures, mut failed, .. } = request;
        // Only the verdict on the head shows these, and a server keeps the verdict for longer.
        for one in &mut signatures {
            (one.base, one.signature) = (String::new(), Vec::new());
        }
        let now = self.clock.now();
        // A refusal of the whole request is reported with what its first signature states.
        let whole = |rejection: Rejection| verdict::rejected(head, &signatures, rejection);

        // Step 1: the limit on the size of the body.
        if body.len() > self.max_body {
            let message =
                format!("the body is {} bytes long, {} at most", body.len(), self.max_body);
            return Err(whole(Rejection::new(Step::Limits, Code::TooLarge, message)));
        }
        // Step 5 again: the signature may have expired while the body arrived.
        let times = |one: &VerifiedSignature| (one.created, one.expires);
        let late = |one: &VerifiedSignature| {
            let (created, expires) = times(one);
            window::judge(&self.profile, created, expires, now).err()
        };
        let mut counting = signatures.iter().filter(|one| one.can_authorise);
        if counting.all(|one| late(one).is_some()) {
            let first = signatures.first().and_then(late);
            return Err(whole(first.unwrap_or_else(unsigned)));
        }

        // Step 6 (coverage) again: the head need not have stated that a body follows, and a
        // signature must cover more if there is a body.
        if !body.is_empty() && !self.profile.components.with_body.is_empty() {
            let rejections = self.drop_uncovered(head, &mut signatures);
            if let (false, Some(first)) =
                (signatures.iter().any(|one| one.can_authorise), rejections.first())
            {
                return Err(first.clone());
            }
            failed.extend(rejections);
        }
        let whole = |rejection: Rejection| verdict::rejected(head, &signatures, rejection);

        // Step 9: the digest.
        self.judge_digest(head, body).map_err(whole)?;

        // Step 10: the MCP content. If the profile claims the nonce first, the refusal is returned
        // after step 12.
        let reading = reading();
        let nonce_first = self.profile.last_steps == LastSteps::NonceBeforeBody;
        let mut rejected = self.judge_reading(head, body, reading).err().map(whole);
        if let Some(rejected) = rejected.take_if(|_| !nonce_first) {
            return Err(rejected);
        }

        // Step 11: the allowed operations. A body that cannot be parsed matches no `allow` pattern.
        let operation = reading.as_ref().ok().and_then(Reading::operation);
        let may = |one: &VerifiedSignature| match operation {
            Some(operation) => one.entry.allows(operation),
            None => !one.entry.is_limited(),
        };
        let allowed =
            |one: &VerifiedSignature| one.can_authorise && late(one).is_none() && may(one);
        if rejected.is_none() && !signatures.iter().any(allowed) {
            let first = signatures.first().map(|one| not_allowed(operation, &one.entry));
            let first = whole(first.unwrap_or_else(unsigned));
            if !nonce_first {
                return Err(first);
            }
            rejected = Some(first);
        }
        // If another signature authorises the request, signatures that are not allowed are only
        // reported.
        for one in signatures.iter().filter(|_| signatures.len() > 1) {
            let rejection = match late(one) {
                None if may(one) => continue,
                None => not_allowed(operation, &one.entry),
                Some(late) => late,
            };
            let rejection = verdict::rejected_one(head, one, rejection);
            failed.push(rejection.with_profile_code(&self.profile));
        }

        // The first signature in the list authorises the request: its key is allowed this
        // operation, and it is confirmed by a touch of a security key if possible. The others stay
        // in the list, because their nonces are claimed too.
        signatures.retain(|one| late(one).is_none());
        // The security key of a touch must be allowed the operation too.
        touch::assign(&mut signatures, may);
        signatures.sort_by_key(|one| (!one.can_authorise, !may(one), one.touched_by.is_none()));
        let rejected = rejected.map(|rejected| Box::new(rejected.with_profile_code(&self.profile)));
        Ok(JudgedBody { signatures, failed, now, rejected })
    }

    /// Judges step 10: the MCP content of the body.
    fn judge_reading(
        &self,
        head: &Head<'_>,
        body: &[u8],
        reading: &Result<Reading<'_>, AmbiguousBody>,
    ) -> Result<(), Rejection> {
        if self.profile.judge_mcp || self.profile.judge_json {
            reading.as_ref().map_err(ambiguous)?;
        }
        if self.profile.judge_json && !body.is_empty() {
            body::check_json(body).map_err(|error| ambiguous(&error))?;
        }
        // The profile `adcp` covers no `Mcp-*` field. So if a server acts on them, they must agree
        // with the body, which is signed.
        let compares =
            self.profile.judge_mcp || (self.profile.judge_json && self.scope == Scope::Endpoint);
        if let (true, Ok(reading)) = (compares, reading) {
            headers::check(head, reading).map_err(|mismatch| {
                let side = |value: Option<&str>| match value {
                    Some(value) => format!("{value:?}"),
                    None => "says none".to_owned(),
                };
                let header = format!("{}: {}", mismatch.header(), side(mismatch.header_value()));
                Rejection::new(Step::Mcp, Code::HeaderBodyMismatch, mismatch.to_string())
                    .with("header", header)
                    .with("body", side(mismatch.body_value()))
            })?;
        }
        Ok(())
    }

    /// Removes the signatures that do not cover the components required for a request with a body,
    /// and returns their refusals.
    fn drop_uncovered(
        &self,
        head: &Head<'_>,
        signatures: &mut Vec<VerifiedSignature>,
    ) -> Vec<Rejection> {
        let mut rejections = Vec::new();
        signatures.retain(|one| {
            let params = candidate::params_of(head, one);
            let covered = params.as_ref().map(SignatureParams::components).unwrap_or_default();
            let signature = (one.label.as_str(), covered);
            match coverage::judge(&self.profile, &self.overrides, (head, true), signature) {
                Ok(()) => true,
                Err(rejected) => {
                    rejections.push(verdict::rejected_one(head, one, rejected));
                    false
                }
            }
        });
        rejections
    }

    fn judge_digest(&self, head: &Head<'_>, body: &[u8]) -> Result<(), Rejection> {
        let refuse = |code, message: String| Rejection::new(Step::Digest, code, message);
        let demanded = match self.profile.digest {
            Presence::Required => true,
            Presence::RequiredWithBody => !body.is_empty(),
            Presence::IfPresent => false,
        };
        if !demanded && !head.has("content-digest") {
            return Ok(());
        }
        let counted = |digest: ContentDigest| match self.profile.digests {
            DigestAlgorithms::Sha256OrSha512 => Ok(digest),
            DigestAlgorithms::Sha256 => digest.sha256_only(),
        };
        let checked = ContentDigest::read(head).and_then(counted).and_then(|d| d.check(body));
        checked.map_err(|error| match error {
            DigestError::Missing { .. } | DigestError::Sha512Only => {
                refuse(Code::DigestMissing, chain(&error))
            }
            DigestError::Mismatch { algorithm, expected, actual, length } => refuse(
                Code::DigestMismatch,
                format!("the body of {length} bytes is not the one that was signed"),
            )
            .with(
                "content-digest",
                format!("{}=:{}:", algorithm.as_str(), STANDARD.encode(expected)),
            )
            .with("body", format!("{}=:{}:", algorithm.as_str(), STANDARD.encode(actual))),
            _ => refuse(Code::DigestInvalid, chain(&error)),
        })
    }
}

/// Returns the refusal of a head without signatures. It is never used, because a [`VerifiedHead`]
/// has at least one signature.
fn unsigned() -> Rejection {
    Rejection::new(Step::Present, Code::SignatureMissing, "the request is unsigned")
}

fn ambiguous(error: &AmbiguousBody) -> Rejection {
    Rejection::new(Step::Mcp, Code::BodyAmbiguous, chain(error))
}

fn not_allowed(operation: Option<Operation<'_>>, entry: &TrustEntry) -> Rejection {
    let ambiguous = operation.and_then(|operation| operation.forms().ambiguous());
    let asked = match (operation, ambiguous) {
        (Some(operation), Some(why)) => format!("{} (name ambiguous: {why})", operation.printed()),
        (Some(operation), None) => operation.printed(),
        (None, _) => "a body that is no MCP message".to_owned(),
    };
    let message = match ambiguous {
        Some(_) => "this key may not do this: name ambiguous",
        None => "this key may not do this",
    };
    Rejection::new(Step::Allowed, Code::NotAllowed, message)
        .with("asked", asked)
        .with("allow", grants(entry))
}

/// Returns the `allow` patterns of a trust entry as text for a message.
fn grants(entry: &TrustEntry) -> String {
    let list = |list: &Vec<_>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let lists: Vec<String> = entry.allow().iter().map(|l: &Vec<Pattern>| list(l)).collect();
    lists.join(", and of these ")
}
