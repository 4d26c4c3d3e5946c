//! The values that the verifier's calls return. Only this module can create them, so that no step
//! can be skipped.

use crate::clock::Timestamp;
use crate::key::trust::TrustEntry;
use crate::key::{KeyId, PresenceProof};
use crate::mcp::pattern::Pattern;
use crate::message::Head;

use super::candidate::{VerifiedSignature, params_of};
use super::missing_touch::MissingTouch;
use super::rejection::{Code, Rejection, Step};
use super::statement::Statement;
use super::touch::{self, Touch};

/// The head of a request with at least one valid signature (steps 1 to 8 passed). The body is not
/// judged yet.
#[derive(Debug)]
pub struct VerifiedHead<'h> {
    pub(super) head: &'h Head<'h>,
    pub(super) signatures: Vec<VerifiedSignature>,
    pub(super) failed: Vec<Rejection>,
    pub(super) now: Timestamp,
}

/// A request with at least one signature that passed steps 1 to 11, or steps 1 to 9 if the profile
/// stores nonces before it reads the body. The nonce is not stored yet.
#[derive(Debug)]
pub struct JudgedBody {
    /// The valid signatures. The first one authorises the request.
    pub(super) signatures: Vec<VerifiedSignature>,
    pub(super) failed: Vec<Rejection>,
    pub(super) now: Timestamp,
    /// The refusal because of the body's MCP content or of the allowed operations (step 10 or 11),
    /// if it is reported only after the nonce was stored.
    pub(super) rejected: Option<Box<Rejection>>,
}

/// A request with a valid signature (steps 1 to 8) whose body was not kept. It can never be
/// verified.
#[derive(Debug)]
pub struct UnreadRequest {
    pub(super) signatures: Vec<VerifiedSignature>,
    pub(super) now: Timestamp,
}

/// A verified signature of a [`VerifiedHead`], with all that a third party needs to verify it
/// again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VerifiedSignatureRef<'a> {
    /// The label. It only distinguishes the signatures of one request.
    pub label: &'a str,
    /// The trust entry of the key, as the registry had it.
    pub entry: &'a TrustEntry,
    /// The signature base: the exact bytes that were signed.
    pub base: &'a str,
    /// The signature over the base: 64 bytes, or 69 of a security key.
    pub signature: &'a [u8],
    /// The `created` time of the signature.
    pub created: Option<Timestamp>,
    /// The one-time value of the signature.
    pub nonce: Option<&'a str>,
    /// What a security key reported about the touch; `None` for the signature of another kind of
    /// key.
    pub presence: Option<PresenceProof>,
    /// The label of the signature that this touch confirms; `None` if this is no touch of a
    /// security key.
    pub touch_for: Option<&'a str>,
}

impl VerifiedHead<'_> {
    /// Returns the verified signatures, at least one. Those that can authorise the request come
    /// first, and of these the ones that a touch of a security key confirms; otherwise the order is
    /// that of the request. Which one authorises the request is decided later, when the body is
    /// known.
    pub fn signatures(&self) -> impl Iterator<Item = VerifiedSignatureRef<'_>> {
        self.signatures.iter().map(|one| VerifiedSignatureRef {
            label: &one.label,
            entry: &one.entry,
            base: &one.base,
            signature: &one.signature,
            created: one.created,
            nonce: one.nonce.as_deref(),
            presence: one.presence,
            touch_for: one.touch_for.as_deref(),
        })
    }

    /// Returns what the first verified signature states about itself.
    pub fn statement(&self) -> Statement {
        of(self.head, &self.signatures)
    }

    /// Returns the refusals of the invalid signatures, in the order of the request. They do not
    /// affect the verdict.
    pub fn failed(&self) -> &[Rejection] {
        &self.failed
    }

    /// Returns the time at which the head was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Continues without the body, for a captured request whose body was not kept.
    pub fn unread(self) -> UnreadRequest {
        UnreadRequest { signatures: self.signatures, now: self.now }
    }
}

impl JudgedBody {
    /// Returns true if the request must be refused after its nonce was stored, as some profiles
    /// demand.
    #[cfg(feature = "tower")]
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejected.is_some()
    }

    /// Returns the refusal because of the body's MCP content or of the allowed operations (step 10
    /// or 11), which some profiles give only after they have stored the nonce.
    #[cfg(feature = "audit")]
    pub(crate) fn into_rejection(self) -> Result<(), super::rejection::Rejection> {
        self.rejected.map_or(Ok(()), |rejected| Err(*rejected))
    }

    /// Returns the id of the key that authorises the request.
    pub fn key(&self) -> &KeyId {
        // This cannot fail: there is at least one signature.
        self.signatures[0].entry.key().id()
    }

    /// Returns the touch of a security key that confirms the signature that authorises the request.
    pub fn touch(&self) -> Option<Touch<'_>> {
        touch::of(&self.signatures)
    }

    /// Makes the refusal of a request that needs a touch of a security key by `rule`, and has no
    /// acceptable touch. The refusal says why ([`Rejection::touch_fault`]).
    pub fn touch_required(&self, head: &Head<'_>, rule: Option<&Pattern>) -> Rejection {
        let MissingTouch { fault, why } = MissingTouch::of(head, &self.signatures, &self.failed);
        let why = match rule {
            Some(rule) => format!("{rule} needs a touch: {why}"),
            None => why,
        };
        self.refused_by_policy(head, Code::TouchRequired, why)
            .lacking_touch(Some(fault))
            .with("touch", fault.as_str())
    }

    /// Makes a refusal at step 11 for a reason of the caller, such as a session of another key.
    /// `why` is a lower-case fragment of a sentence for the log; the client receives `not_allowed`.
    pub fn not_allowed(&self, head: &Head<'_>, why: impl Into<String>) -> Rejection {
        self.refused_by_policy(head, Code::NotAllowed, why)
    }

    fn refused_by_policy(&self, head: &Head<'_>, code: Code, why: impl Into<String>) -> Rejection {
        let why = Rejection::new(Step::Allowed, code, why).with("key", self.key());
        rejected(head, &self.signatures, why)
    }

    /// Returns the refusals of the other signatures of the request, which are invalid or not
    /// allowed the operation.
    pub fn failed(&self) -> &[Rejection] {
        &self.failed
    }

    /// Returns what the signature that authorises the request states about itself; `head` is the
    /// head of the request.
    pub fn statement(&self, head: &Head<'_>) -> Statement {
        of(head, &self.signatures)
    }

    /// Returns the time at which the request was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// Returns what the first of `signatures` states about itself.
pub(super) fn of(head: &Head<'_>, signatures: &[VerifiedSignature]) -> Statement {
    signatures.first().map(|one| of_one(head, one)).unwrap_or_default()
}

/// Returns the refusal of a whole request, with the signer and the statements of its first
/// signature.
pub(super) fn rejected(head: &Head<'_>, all: &[VerifiedSignature], why: Rejection) -> Rejection {
    match all {
        [one, ..] => rejected_one(head, one, why),
        [] => why,
    }
}

/// Returns the refusal of one valid signature, with its signer and statements.
pub(super) fn rejected_one(head: &Head<'_>, one: &VerifiedSignature, why: Rejection) -> Rejection {
    why.signed_by(&one.entry).stating(of_one(head, one))
}

/// Returns the statements of one signature. Its label is unique on `head`, because repeated labels
/// are refused before (step 3).
pub(super) fn of_one(head: &Head<'_>, one: &VerifiedSignature) -> Statement {
    Statement::of(head, &one.label, params_of(head, one).as_ref(), Some(&one.entry))
}

/// The answer of the nonce store about the nonces of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonceOutcome {
    /// The nonces were stored, and were not used before.
    Fresh,
    /// A nonce was used before. Only a check that looks nonces up reports this; a check that stores
    /// them refuses the request.
    Replayed,
    /// No nonce was checked: the verifier ignores nonces, or no limit says how long to keep them.
    Unchecked,
    /// The nonces were stored or looked up, but the store may have lost an earlier use: the request
    /// was created at or before the store's floor.
    BelowFloor,
}

impl NonceOutcome {
    /// Returns the word for JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NonceOutcome::Fresh => "fresh",
            NonceOutcome::Replayed => "replayed",
            NonceOutcome::Unchecked => "unchecked",
            NonceOutcome::BelowFloor => "below_floor",
        }
    }
}

/// The result for a request that no step has refused: its signature is valid for head and body, and
/// its key is trusted and authorised.
///
/// [`Verified::nonce_outcome`] states whether the request was used before. Only
/// [`NonceOutcome::Fresh`] of a verifier that claims nonces
/// ([`ReplayCheck::Claim`](super::ReplayCheck::Claim) or
/// [`ReplayCheck::ClaimOnce`](super::ReplayCheck::ClaimOnce)) proves the first use. With every
/// other [`ReplayCheck`](super::ReplayCheck), no nonce was claimed in a server's store, so the same
/// request may also be accepted elsewhere.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(super) signatures: Vec<VerifiedSignature>,
    pub(super) now: Timestamp,
    pub(super) nonce_outcome: NonceOutcome,
}

impl Verified {
    /// Returns the id of the key that signed.
    pub fn key(&self) -> &KeyId {
        self.entry().key().id()
    }

    /// Returns the name of the key in its trust entry.
    pub fn name(&self) -> Option<&str> {
        self.entry().name()
    }

    /// Returns the parameter `tag` of the signature: the stable client id.
    pub fn tag(&self) -> Option<&str> {
        self.signatures[0].tag.as_deref()
    }

    /// Returns the label of the signature.
    pub fn label(&self) -> &str {
        &self.signatures[0].label
    }

    /// Returns the parameter `created` of the signature.
    pub fn created(&self) -> Option<Timestamp> {
        self.signatures[0].created
    }

    /// Returns the trust entry of the key.
    pub fn entry(&self) -> &TrustEntry {
        // This cannot fail: there is at least one signature.
        &self.signatures[0].entry
    }

    /// Returns the touch of a security key that confirms the signature.
    pub fn touch(&self) -> Option<Touch<'_>> {
        touch::of(&self.signatures)
    }

    /// Returns the time at which the request was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the answer of the nonce store.
    pub fn nonce_outcome(&self) -> NonceOutcome {
        self.nonce_outcome
    }
}
