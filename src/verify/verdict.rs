//! What the stages hand over. None of these can be made outside this room.

use crate::base::header;
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::key::trust::Entry;
use crate::message::Head;

use super::candidate::HeldCandidate;
use super::rejection::{Code, Rejection, Step};
use super::statement::Statement;

/// Steps 1 to 8 hold for at least one signature of this head. The body is still to be judged.
#[derive(Debug)]
pub struct HeadHeld<'h> {
    pub(super) head: &'h Head<'h>,
    pub(super) held: Vec<HeldCandidate>,
    pub(super) failed: Vec<Rejection>,
    pub(super) now: Timestamp,
}

/// Steps 1 to 11 hold for at least one signature. Its nonce is still to be claimed.
#[derive(Debug)]
pub struct BodyHeld {
    /// The signatures that hold, the one that the verdict names first.
    pub(super) held: Vec<HeldCandidate>,
    pub(super) failed: Vec<Rejection>,
    pub(super) now: Timestamp,
}

/// Steps 1 to 8 hold for a request whose body nobody has. It can never be verified.
#[derive(Debug)]
pub struct Unread {
    pub(super) held: Vec<HeldCandidate>,
    pub(super) now: Timestamp,
}

/// One signature that holds, with all that a third party needs to see it too.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HeldSignature<'a> {
    /// The label, which has no meaning.
    pub label: &'a str,
    /// The trust entry of the key, as the registry had it.
    pub entry: &'a Entry,
    /// The signature base: the exact bytes that were signed.
    pub base: &'a str,
    /// The signature over them.
    pub signature: &'a [u8; 64],
    /// When it says that it was made.
    pub created: Option<Timestamp>,
    /// Its one-time value.
    pub nonce: Option<&'a str>,
}

impl HeadHeld<'_> {
    /// The signatures that hold, at least one, in the order of the request. Which of them the
    /// verdict will name is not known yet.
    pub fn signatures(&self) -> impl Iterator<Item = HeldSignature<'_>> {
        self.held.iter().map(|one| HeldSignature {
            label: &one.label,
            entry: &one.entry,
            base: &one.base,
            signature: &one.signature,
            created: one.created,
            nonce: one.nonce.as_deref(),
        })
    }

    /// What the first signature that held says of itself.
    pub fn statement(&self) -> Statement {
        of(self.head, &self.held)
    }

    /// The signatures that do not hold beside those that do, in the order of the request, each
    /// with its statement. They change nothing about the verdict.
    pub fn failed(&self) -> &[Rejection] {
        &self.failed
    }

    /// The moment as of which the head was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Gives up on the body, because it was not kept.
    pub fn unread(self) -> Unread {
        Unread { held: self.held, now: self.now }
    }
}

impl BodyHeld {
    /// The id of the key that the verdict will name.
    pub fn key(&self) -> &KeyId {
        // Nothing holds without at least one signature.
        self.held[0].entry.key().id()
    }

    /// Refuses at step 11 for a reason of the caller's own, such as a session that is another
    /// key's. `why` is a lower-case fragment for the log; the client is told `not_allowed`.
    pub fn not_allowed(&self, head: &Head<'_>, why: impl Into<String>) -> Rejection {
        Rejection::new(Step::Allowed, Code::NotAllowed, why)
            .after_signature(true)
            .stating(self.statement(head))
            .with("key", self.key())
    }

    /// The signatures of the request that do not hold, or may not do this, beside one that does,
    /// each with its statement.
    pub fn failed(&self) -> &[Rejection] {
        &self.failed
    }

    /// What the signature that the verdict names says of itself; `head` is the request's.
    pub fn statement(&self, head: &Head<'_>) -> Statement {
        of(head, &self.held)
    }

    /// The moment as of which the request was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What the first of these says of itself.
pub(super) fn of(head: &Head<'_>, held: &[HeldCandidate]) -> Statement {
    held.first().map(|one| of_one(head, one)).unwrap_or_default()
}

/// What this one says of itself. Its label is on `head` once: a repeated one would have refused the
/// request.
pub(super) fn of_one(head: &Head<'_>, one: &HeldCandidate) -> Statement {
    let candidates = header::read(head).unwrap_or_default();
    let same = candidates.into_iter().find(|candidate| candidate.label == one.label);
    let params = same.and_then(|candidate| candidate.params.ok());
    Statement::of(head, &one.label, params.as_ref(), Some(&one.entry))
}

/// What the memory of nonces had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NonceOutcome {
    /// Claimed, and never used before.
    Fresh,
    /// Used before; only a look-up reports this, a claim refuses.
    Replayed,
    /// Not asked, or nothing bounds how long it would have to be remembered.
    Unchecked,
    /// Claimed or looked up, but the store may have forgotten an earlier use.
    BelowFloor,
}

impl NonceOutcome {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NonceOutcome::Fresh => "fresh",
            NonceOutcome::Replayed => "replayed",
            NonceOutcome::Unchecked => "unchecked",
            NonceOutcome::BelowFloor => "below_floor",
        }
    }
}

/// The proof that a request passed all twelve steps: who authorised exactly this, and when.
#[derive(Clone, Debug)]
pub struct Verified {
    pub(super) held: Vec<HeldCandidate>,
    pub(super) now: Timestamp,
    pub(super) seen: NonceOutcome,
}

impl Verified {
    /// The id of the key that signed.
    pub fn key(&self) -> &KeyId {
        self.entry().key().id()
    }

    /// The name that the trust entry gives the key.
    pub fn name(&self) -> Option<&str> {
        self.entry().name()
    }

    /// The stable client id that the signature bears.
    pub fn tag(&self) -> Option<&str> {
        self.held[0].tag.as_deref()
    }

    /// The label of the signature.
    pub fn label(&self) -> &str {
        &self.held[0].label
    }

    /// When the signature says that it was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.held[0].created
    }

    /// The trust entry of the key.
    pub fn entry(&self) -> &Entry {
        // A verdict is only made of at least one signature that held.
        &self.held[0].entry
    }

    /// The moment as of which the request was judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What the memory of nonces had to say.
    pub fn seen(&self) -> NonceOutcome {
        self.seen
    }
}
