//! Step 12: claims the nonces at the nonce store. It is the last step, and done only for verified
//! signatures.

use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::key::trust::TrustEntry;
use crate::nonce::{Claim, NonceStore, Retention};
use crate::profile::Presence;

use super::candidate::VerifiedSignature;
use super::rejection::{Code, Rejection, Step, Unavailable, VerifyError};
use super::window::span;
use super::{JudgedBody, NonceOutcome, ReplayCheck, UnreadRequest, Verified, Verifier};

/// The maximum time for which a nonce is kept if the profile does not demand nonces: one day, in
/// seconds.
const MAX_OPTIONAL_NONCE_SECONDS: i64 = 24 * 60 * 60;

/// How many seconds a nonce is kept after the signature's validity has ended, because clocks
/// differ.
const MARGIN: i64 = 30;

impl Verifier {
    /// Performs step 12: claims the (key, nonce) pairs of **all** verified signatures, each pair
    /// once, in the order of the request. If only one pair were claimed, an attacker could remove
    /// the signature of that pair and replay the request with the other signatures.
    ///
    /// # Errors
    /// `nonce_replayed`, `nonce_quota`, `expired`, or [`VerifyError::Unavailable`]. The rejection
    /// does not contain what the signature states; see [`JudgedBody::statement`]. If the profile
    /// claims nonces before it reads the body, the refusals of steps 10 and 11 are returned here
    /// too.
    pub async fn claim(&self, request: JudgedBody) -> Result<Verified, VerifyError> {
        let JudgedBody { signatures, now, rejected, .. } = request;
        let seen = self.claim_pairs(&signatures, now).await?;
        match rejected {
            Some(rejected) => Err(VerifyError::Rejected(*rejected)),
            None => Ok(Verified { signatures, now, nonce_outcome: seen }),
        }
    }

    /// Performs step 12 for a request whose body was not kept. The request is not verified, because
    /// its digest cannot be checked, but a replay is detected.
    ///
    /// # Errors
    /// As [`Verifier::claim`].
    pub async fn claim_unread(&self, request: UnreadRequest) -> Result<NonceOutcome, VerifyError> {
        self.claim_pairs(&request.signatures, request.now).await
    }

    pub(super) async fn claim_pairs(
        &self,
        signatures: &[VerifiedSignature],
        now: Timestamp,
    ) -> Result<NonceOutcome, VerifyError> {
        self.claim_each(signatures, now).await.map_err(|error| match error {
            VerifyError::Rejected(rejection) => {
                VerifyError::Rejected(rejection.with_profile_code(&self.profile))
            }
            other => other,
        })
    }

    async fn claim_each(
        &self,
        signatures: &[VerifiedSignature],
        now: Timestamp,
    ) -> Result<NonceOutcome, VerifyError> {
        let mut seen = NonceOutcome::Unchecked;
        for pair in self.pairs(signatures, now) {
            let outcome = self.claim_one(&pair, now).await.map_err(|error| match error {
                VerifyError::Rejected(why) => VerifyError::Rejected(why.signed_by(pair.entry)),
                other => other,
            })?;
            seen = worse(seen, outcome);
        }
        Ok(seen)
    }

    async fn claim_one(
        &self,
        pair: &NoncePair<'_>,
        now: Timestamp,
    ) -> Result<NonceOutcome, VerifyError> {
        let NoncePair { entry, nonce, until, created } = *pair;
        let key = entry.key().id();
        match &self.replay {
            ReplayCheck::Unchecked => Ok(NonceOutcome::Unchecked),
            ReplayCheck::WithinRun(run) => {
                claim(&**run, now, key, nonce, until).await?;
                Ok(NonceOutcome::Unchecked)
            }
            ReplayCheck::LookUp { store, within_run: run } => {
                claim(&**run, now, key, nonce, until).await?;
                look_up(&**store, now, key, nonce, created).await
            }
            ReplayCheck::Claim(store) | ReplayCheck::ClaimOnce(store) => {
                let floor = claim(&**store, now, key, nonce, until).await?;
                self.judge_floor(created, floor, now)
            }
        }
    }

    /// Returns the pairs to claim, in the order of the request. Signatures with the same key and
    /// nonce give one pair. The store keeps it until the last of these signatures has expired. Its
    /// `created` is the earliest of them, because the store may have lost an earlier use of that
    /// one.
    fn pairs<'v>(&self, signatures: &'v [VerifiedSignature], now: Timestamp) -> Vec<NoncePair<'v>> {
        if let [one] = signatures {
            return self.pair(one, now).into_iter().collect();
        }
        let mut order: Vec<&VerifiedSignature> = signatures.iter().collect();
        order.sort_by_key(|one| one.index);
        let mut pairs: Vec<NoncePair<'v>> = Vec::with_capacity(1);
        for one in order {
            let Some(new) = self.pair(one, now) else { continue };
            match pairs.iter_mut().find(|pair| pair.is_same(&new)) {
                Some(pair) => {
                    pair.until = pair.until.max(new.until);
                    // `None`, an unknown time, counts as the earliest time.
                    pair.created = pair.created.min(new.created);
                }
                None => pairs.push(new),
            }
        }
        pairs
    }

    fn pair<'v>(&self, one: &'v VerifiedSignature, now: Timestamp) -> Option<NoncePair<'v>> {
        let (nonce, until) = (one.nonce.as_ref()?, self.until(one, now)?);
        Some(NoncePair { entry: &one.entry, nonce, until, created: one.created })
    }

    /// Returns how long this verifier needs a store to keep nonces. Register it with the store
    /// before the first claim.
    ///
    /// A profile without a limited lifetime needs no retention: its nonces are kept until
    /// `expires`. A longer retention would make all other users of a shared store refuse requests
    /// for a while.
    pub fn retention(&self) -> Retention {
        let whole = |seconds: i64| u32::try_from(seconds).unwrap_or(u32::MAX);
        let lifetime = self.profile.lifetime().unwrap_or(0);
        Retention::new(whole(lifetime), whole(self.profile.window.max_skew))
    }

    /// Returns until when a nonce has to be kept: as long as a verifier whose clock differs by the
    /// margin could accept the request. Returns `None` if the profile allows requests without a
    /// nonce and neither the maximum age nor `expires` ends the validity within a day.
    fn until(&self, one: &VerifiedSignature, now: Timestamp) -> Option<Timestamp> {
        let VerifiedSignature { created, expires, .. } = *one;
        match (self.profile.window.max_age, created, expires) {
            // A profile that demands a nonce needs it kept until it ends, even for more than a day.
            (Some(max_age), Some(created), _)
                if max_age <= MAX_OPTIONAL_NONCE_SECONDS
                    || self.profile.nonce == Presence::Required =>
            {
                Some(self.retention().until(created))
            }
            (_, _, Some(expires))
                if expires.since(now) <= MAX_OPTIONAL_NONCE_SECONDS
                    || self.profile.nonce == Presence::Required =>
            {
                Some(expires.plus(self.profile.expiry.last).plus(1 + MARGIN))
            }
            _ => None,
        }
    }

    /// Checks that the request was created after the floor of the store. The store may have lost
    /// nonces of requests that were created at or before its floor.
    fn judge_floor(
        &self,
        created: Option<Timestamp>,
        floor: Timestamp,
        now: Timestamp,
    ) -> Result<NonceOutcome, VerifyError> {
        match created {
            Some(created) if created > floor => Ok(NonceOutcome::Fresh),
            _ if matches!(self.replay, ReplayCheck::ClaimOnce(_)) => Ok(NonceOutcome::BelowFloor),
            _ => Err(VerifyError::Unavailable(Unavailable::BelowFloor {
                floor,
                created,
                retry_after: floor.since(now).saturating_add(1).max(1),
            })),
        }
    }
}

/// A pair of key and nonce, which one or more signatures of the request have.
struct NoncePair<'v> {
    entry: &'v TrustEntry,
    nonce: &'v str,
    until: Timestamp,
    created: Option<Timestamp>,
}

impl NoncePair<'_> {
    /// Returns true if `other` has the same key and nonce.
    fn is_same(&self, other: &NoncePair<'_>) -> bool {
        self.entry.key().id() == other.entry.key().id() && self.nonce == other.nonce
    }
}

async fn claim(
    store: &dyn NonceStore,
    now: Timestamp,
    key: &KeyId,
    nonce: &str,
    until: Timestamp,
) -> Result<Timestamp, VerifyError> {
    let refuse =
        |code, message: String| Rejection::new(Step::Nonce, code, message).with("key", key);
    Err(VerifyError::Rejected(match store.claim(now, key, nonce, until).await {
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
        Err(error) => return Err(VerifyError::Unavailable(Unavailable::Store(error))),
    }))
}

async fn look_up(
    store: &dyn NonceStore,
    now: Timestamp,
    key: &KeyId,
    nonce: &str,
    created: Option<Timestamp>,
) -> Result<NonceOutcome, VerifyError> {
    let unavailable = |error| VerifyError::Unavailable(Unavailable::Store(error));
    if store.peek(now, key, nonce).await.map_err(unavailable)?.is_some() {
        return Ok(NonceOutcome::Replayed);
    }
    // That the store does not know a nonce is no proof of a first use if the request was created at
    // or before the floor.
    let floor = store.floor(now).await.map_err(unavailable)?;
    Ok(if created.is_some_and(|created| created > floor) {
        NonceOutcome::Fresh
    } else {
        NonceOutcome::BelowFloor
    })
}

/// Returns the worse of two outcomes. The outcome of a request with several signatures is the worst
/// of theirs.
fn worse(one: NonceOutcome, other: NonceOutcome) -> NonceOutcome {
    let rank = |seen| match seen {
        NonceOutcome::Unchecked => 0,
        NonceOutcome::Fresh => 1,
        NonceOutcome::BelowFloor => 2,
        NonceOutcome::Replayed => 3,
    };
    if rank(other) > rank(one) { other } else { one }
}
