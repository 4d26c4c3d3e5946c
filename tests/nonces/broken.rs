//! Tests the contract itself (the tests that every nonce store must pass): for a store that has one
//! defect, the test of the contract about that defect must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use rand::rngs::SysRng;

use crate::contract::{self, StorePlace, at, key, retention};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    AlwaysFresh,
    OneKeyForAll,
    LetterCaseIgnored,
    PeekClaims,
    NoFloor,
    ExpiredIsClaimed,
    RetentionIgnored,
    ErrorsAreFresh,
}

/// A store in memory that has one defect.
struct Broken(Memory, Defect);

impl Broken {
    fn has(&self, defect: Defect) -> bool {
        self.1 == defect
    }

    fn shown(&self, floor: Timestamp) -> Timestamp {
        if self.has(Defect::NoFloor) { Timestamp::from_unix(i64::MIN) } else { floor }
    }
}

impl NonceStore for Broken {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.has(Defect::RetentionIgnored) {
            return Box::pin(async { Ok(()) });
        }
        self.0.register(now, retention)
    }

    fn claim<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        if until <= now && !self.has(Defect::ExpiredIsClaimed) {
            return Box::pin(async { Ok(Claim::Expired) });
        }
        self.claim_live(now, key, nonce, until)
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        claimed: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async move {
            let one = key(255);
            let claimed = if self.has(Defect::OneKeyForAll) { &one } else { claimed };
            let lower = nonce.to_lowercase();
            let nonce = if self.has(Defect::LetterCaseIgnored) { &lower } else { nonce };
            let claim = self.0.claim_live(now, claimed, nonce, until).await;
            let floor = self.shown(self.0.floor(now).await?);
            match claim {
                Ok(Claim::Fresh { floor }) => Ok(Claim::Fresh { floor: self.shown(floor) }),
                Ok(Claim::Replayed { .. }) if self.has(Defect::AlwaysFresh) => {
                    Ok(Claim::Fresh { floor })
                }
                Err(_) if self.has(Defect::ErrorsAreFresh) => Ok(Claim::Fresh { floor }),
                claim => claim,
            }
        })
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        Box::pin(async move {
            if self.has(Defect::PeekClaims) {
                self.0.claim(now, key, nonce, now.plus(65)).await?;
            }
            self.0.peek(now, key, nonce).await
        })
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(async move { Ok(self.shown(self.0.floor(now).await?)) })
    }
}

struct NewBroken(Arc<Broken>);

impl StorePlace for NewBroken {
    fn open(&self) -> Arc<dyn NonceStore> {
        self.0.clone()
    }
}

fn passes(part: fn(&dyn StorePlace), defect: Defect) -> bool {
    let store = Memory::new(at(0), retention(), &mut SysRng).unwrap();
    let place = NewBroken(Arc::new(Broken(store, defect)));
    catch_unwind(AssertUnwindSafe(|| part(&place))).is_ok()
}

#[test]
fn each_defect_of_a_store_fails_its_part_of_the_contract() {
    use Defect as D;
    for (defect, part) in [
        (D::AlwaysFresh, contract::a_nonce_is_fresh_once as fn(&dyn StorePlace)),
        (D::AlwaysFresh, contract::one_of_many_threads_claims_a_nonce),
        (D::AlwaysFresh, contract::one_of_many_tasks_claims_a_nonce),
        (D::AlwaysFresh, contract::one_of_many_handles_claims_a_nonce),
        (D::AlwaysFresh, contract::a_claim_lasts_while_any_clock_could_accept_it),
        (D::AlwaysFresh, contract::a_dropped_claim_affects_no_other_claim),
        (D::OneKeyForAll, contract::one_nonce_of_two_keys_counts_twice),
        (D::LetterCaseIgnored, contract::a_nonce_is_fresh_once),
        (D::PeekClaims, contract::a_look_up_changes_nothing),
        (D::NoFloor, contract::a_new_store_refuses_earlier_requests),
        (D::NoFloor, contract::a_clock_step_makes_no_nonce_fresh_again),
        (D::NoFloor, contract::a_claim_ends_after_its_retention),
        (D::ExpiredIsClaimed, contract::a_claim_that_ends_now_is_expired),
        (D::RetentionIgnored, contract::a_longer_window_raises_the_floor),
        (D::ErrorsAreFresh, contract::times_beyond_the_range_are_errors),
    ] {
        assert!(!passes(part, defect), "{defect:?}");
    }
    // The contract's tests about other defects pass.
    assert!(passes(contract::a_look_up_changes_nothing, D::AlwaysFresh));
    assert!(passes(contract::a_nonce_is_fresh_once, D::NoFloor));
}
