//! Step 12: each nonce is claimed once, last, and only for a signature that held.

use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::nonce::{Claim, NonceStore};

use super::candidate::Held;
use super::rejection::{Code, Refusal, Rejection, Step, Unavailable};
use super::window::span;
use super::{BodyHeld, Statement, Replay, Seen, Verified, Verifier};

/// The longest that a nonce of a profile without a window of its own is remembered, in seconds.
const LONGEST_UNWINDOWED: i64 = 24 * 60 * 60;

impl Verifier {
    /// Step 12. The distinct (key, nonce) pairs of **all** signatures that hold are claimed, in
    /// order of first appearance: if only one were, stripping it would make a replay look fresh.
    ///
    /// # Errors
    /// `nonce_replayed`, `nonce_quota`, `expired`, or [`Refusal::Unavailable`].
    pub async fn claim(&self, request: BodyHeld<'_>) -> Result<Verified, Refusal> {
        let BodyHeld { head, held, now } = request;
        let mut seen = Seen::Unchecked;
        for (at, one) in held.iter().enumerate() {
            let (Some(nonce), Some(until)) = (&one.parameters.nonce, self.until(one, now)) else {
                continue;
            };
            let id = one.entry.key().id();
            let same = |h: &Held| h.entry.key().id() == id && h.parameters.nonce.as_ref() == Some(nonce);
            if held[..at].iter().any(same) {
                continue;
            }
            let outcome = match &self.replay {
                Replay::Unchecked => continue,
                Replay::LookUp(store) => look_up(&**store, now, id, nonce).await?,
                Replay::Claim(store) | Replay::ClaimOnce(store) => {
                    let floor = claim(&**store, now, id, nonce, until).await.map_err(|r| match r {
                        Refusal::Rejected(rejection) => {
                            let statement = Statement::of(head, &one.label, Some(&one.params), Some(&one.entry));
                            Refusal::Rejected(rejection.stating(statement))
                        }
                        other => other,
                    })?;
                    self.judge_floor(one.parameters.created, floor, now)?
                }
            };
            seen = worse(seen, outcome);
        }
        Ok(Verified { held, now, seen })
    }

    /// Until when a nonce has to be remembered: as long as any clock within the margin could
    /// still accept the request. None where nothing bounds that.
    fn until(&self, one: &Held, now: Timestamp) -> Option<Timestamp> {
        let window = self.profile.window;
        let until = match (one.parameters.created, window.back, one.parameters.expires) {
            (Some(created), Some(back), _) => {
                created.plus(back).plus(window.ahead).plus(window.margin())
            }
            (_, None, Some(expires)) => expires.plus(window.margin()),
            _ => return None,
        };
        (window.back.is_some_and(|back| back <= LONGEST_UNWINDOWED)
            || until.since(now) <= LONGEST_UNWINDOWED)
            .then_some(until)
    }

    /// A request made when the store may already have forgotten is not judged, or only reported.
    fn judge_floor(
        &self,
        created: Option<Timestamp>,
        floor: Timestamp,
        now: Timestamp,
    ) -> Result<Seen, Refusal> {
        match created {
            Some(created) if created > floor => Ok(Seen::Fresh),
            _ if matches!(self.replay, Replay::ClaimOnce(_)) => Ok(Seen::BelowFloor),
            _ => Err(Refusal::Unavailable(Unavailable::BelowFloor {
                floor,
                created,
                retry_after: floor.since(now).saturating_add(1).max(1),
            })),
        }
    }
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
        Ok(Claim::Replayed(first)) => {
            let message = match first {
                Some(first) => format!("the nonce was used {} ago", span(now.since(first.when))),
                None => "the nonce was used before".to_owned(),
            };
            refuse(Code::NonceReplayed, message).with("nonce", nonce)
        }
        Ok(Claim::OverQuota) => refuse(
            Code::NonceQuota,
            "the key has too many requests within the window".to_owned(),
        ),
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
) -> Result<Seen, Refusal> {
    match store.peek(now, key, nonce).await {
        Ok(Some(_)) => Ok(Seen::Replayed),
        Ok(None) => Ok(Seen::Fresh),
        Err(error) => Err(Refusal::Unavailable(Unavailable::Store(error))),
    }
}

/// Of several signatures, the most worrying outcome is the request's.
fn worse(one: Seen, other: Seen) -> Seen {
    let rank = |seen| match seen {
        Seen::Unchecked => 0,
        Seen::Fresh => 1,
        Seen::BelowFloor => 2,
        Seen::Replayed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}
