//! Step 12: each nonce is claimed once, last, and only for a signature that held.

use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::nonce::{Claim, NonceStore, Retention};
use crate::profile::Presence;

use super::candidate::HeldCandidate;
use super::rejection::{Code, Refusal, Rejection, Step, Unavailable};
use super::window::span;
use super::{BodyHeld, NonceOutcome, Replay, Unread, Verified, Verifier};

/// The longest time for which something may be good and its nonce still be remembered: a day.
const LONGEST: i64 = 24 * 60 * 60;

/// How long a nonce outlives the `expires` that bounds it, in seconds: clocks differ.
const MARGIN: i64 = 30;

impl Verifier {
    /// Step 12. The distinct (key, nonce) pairs of **all** signatures that hold are claimed, in
    /// order of first appearance: if only one were, stripping it would make a replay look fresh.
    ///
    /// # Errors
    /// `nonce_replayed`, `nonce_quota`, `expired`, or [`Refusal::Unavailable`]. The rejection
    /// carries no statement; [`BodyHeld::statement`] has it.
    pub async fn claim(&self, request: BodyHeld) -> Result<Verified, Refusal> {
        let BodyHeld { held, now, .. } = request;
        let seen = self.claim_pairs(&held, now).await?;
        Ok(Verified { held, now, seen })
    }

    /// Step 12 for a request whose body was not kept, so that its digest cannot be judged. That
    /// makes it no verified request, but a replay shows all the same.
    ///
    /// # Errors
    /// As [`Verifier::claim`].
    pub async fn claim_unread(&self, request: Unread) -> Result<NonceOutcome, Refusal> {
        self.claim_pairs(&request.held, request.now).await
    }

    pub(super) async fn claim_pairs(
        &self,
        held: &[HeldCandidate],
        now: Timestamp,
    ) -> Result<NonceOutcome, Refusal> {
        let mut seen = NonceOutcome::Unchecked;
        for NoncePair { key, nonce, until, created } in self.pairs(held, now) {
            let outcome = match &self.replay {
                Replay::Unchecked => NonceOutcome::Unchecked,
                Replay::WithinRun(run) => {
                    claim(&**run, now, key, nonce, until).await?;
                    NonceOutcome::Unchecked
                }
                Replay::LookUp { store, run } => {
                    claim(&**run, now, key, nonce, until).await?;
                    look_up(&**store, now, key, nonce, created).await?
                }
                Replay::Claim(store) | Replay::ClaimOnce(store) => {
                    let floor = claim(&**store, now, key, nonce, until).await?;
                    self.judge_floor(created, floor, now)?
                }
            };
            seen = worse(seen, outcome);
        }
        Ok(seen)
    }

    /// What is to be claimed, in order of first appearance. Signatures that share key and nonce
    /// are one pair, which is remembered until the last of them is over; and as a whole it is as
    /// old as the first of them, for that one may have been shown before.
    fn pairs<'v>(&self, held: &'v [HeldCandidate], now: Timestamp) -> Vec<NoncePair<'v>> {
        if let [one] = held {
            return self.pair(one, now).into_iter().collect();
        }
        let mut order: Vec<&HeldCandidate> = held.iter().collect();
        order.sort_by_key(|one| one.place);
        let mut pairs: Vec<NoncePair<'v>> = Vec::with_capacity(1);
        for one in order {
            let Some(new) = self.pair(one, now) else { continue };
            match pairs.iter_mut().find(|pair| pair.key == new.key && pair.nonce == new.nonce) {
                Some(pair) => {
                    pair.until = pair.until.max(new.until);
                    // None, which is before every moment, is a time that nobody knows.
                    pair.created = pair.created.min(new.created);
                }
                None => pairs.push(new),
            }
        }
        pairs
    }

    fn pair<'v>(&self, one: &'v HeldCandidate, now: Timestamp) -> Option<NoncePair<'v>> {
        let (nonce, until) = (one.nonce.as_ref()?, self.until(one, now)?);
        Some(NoncePair { key: one.entry.key().id(), nonce, until, created: one.created })
    }

    /// How long this verifier needs a store to keep what it claims; to be registered with the
    /// store before the first claim.
    ///
    /// A profile without a window of its own registers none: what it claims is kept until the end
    /// that `expires` sets, and to make a shared store keep everything for a day would raise the
    /// floor of all its other users by as much. For old requests it reports the floor instead.
    pub fn retention(&self) -> Retention {
        let window = self.profile.window;
        let whole = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
        Retention::new(whole(window.back.unwrap_or(0)), whole(window.ahead))
    }

    /// Until when a nonce has to be remembered: as long as any clock within the margin could
    /// still accept the request. None where a nonce may be absent and nothing bounds that, or only
    /// something beyond a day.
    fn until(&self, one: &HeldCandidate, now: Timestamp) -> Option<Timestamp> {
        let HeldCandidate { created, expires, .. } = *one;
        match (self.profile.window.back, created, expires) {
            // A profile that demands a nonce demands that it is used once, whatever that costs.
            (Some(back), Some(created), _)
                if back <= LONGEST || self.profile.nonce == Presence::Required =>
            {
                Some(self.retention().until(created))
            }
            (_, _, Some(expires)) if expires.since(now) <= LONGEST => Some(expires.plus(MARGIN)),
            _ => None,
        }
    }

    /// A request made when the store may already have forgotten is not judged, or only reported.
    fn judge_floor(
        &self,
        created: Option<Timestamp>,
        floor: Timestamp,
        now: Timestamp,
    ) -> Result<NonceOutcome, Refusal> {
        match created {
            Some(created) if created > floor => Ok(NonceOutcome::Fresh),
            _ if matches!(self.replay, Replay::ClaimOnce(_)) => Ok(NonceOutcome::BelowFloor),
            _ => Err(Refusal::Unavailable(Unavailable::BelowFloor {
                floor,
                created,
                retry_after: floor.since(now).saturating_add(1).max(1),
            })),
        }
    }
}

/// A nonce of a key, whichever signatures of the request bear it.
struct NoncePair<'v> {
    key: &'v KeyId,
    nonce: &'v str,
    until: Timestamp,
    created: Option<Timestamp>,
}

async fn claim(
    store: &dyn NonceStore,
    now: Timestamp,
    key: &KeyId,
    nonce: &str,
    until: Timestamp,
) -> Result<Timestamp, Refusal> {
    let refuse = |code, message: String| {
        Rejection::new(Step::Nonce, code, message).after_signature(true).with("key", key)
    };
    Err(Refusal::Rejected(match store.claim(now, key, nonce, until).await {
        Ok(Claim::Fresh { floor }) => return Ok(floor),
        Ok(Claim::Replayed { first }) => {
            let message = match first {
                Some(first) => format!("the nonce was used {} ago", span(now.since(first))),
                None => "the nonce was used before".to_owned(),
            };
            refuse(Code::NonceReplayed, message).with("nonce", nonce)
        }
        Ok(Claim::OverQuota) => {
            refuse(Code::NonceQuota, "the key has too many requests within the window".to_owned())
        }
        Ok(Claim::Expired) => {
            let late = span(now.since(until));
            refuse(Code::Expired, format!("expired {late} before its nonce could be claimed"))
                .with("until", until)
                .with("now", now)
        }
        Err(error) => return Err(Refusal::Unavailable(Unavailable::Store(error))),
    }))
}

async fn look_up(
    store: &dyn NonceStore,
    now: Timestamp,
    key: &KeyId,
    nonce: &str,
    created: Option<Timestamp>,
) -> Result<NonceOutcome, Refusal> {
    let unavailable = |error| Refusal::Unavailable(Unavailable::Store(error));
    if store.peek(now, key, nonce).await.map_err(unavailable)?.is_some() {
        return Ok(NonceOutcome::Replayed);
    }
    // That a store does not know a nonce says nothing where it may have forgotten it.
    let floor = store.floor(now).await.map_err(unavailable)?;
    Ok(if created.is_some_and(|created| created > floor) {
        NonceOutcome::Fresh
    } else {
        NonceOutcome::BelowFloor
    })
}

/// Of several signatures, the most worrying outcome is the request's.
fn worse(one: NonceOutcome, other: NonceOutcome) -> NonceOutcome {
    let rank = |seen| match seen {
        NonceOutcome::Unchecked => 0,
        NonceOutcome::Fresh => 1,
        NonceOutcome::BelowFloor => 2,
        NonceOutcome::Replayed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}
