//! The contract of nonce stores, as tests: for the stores of this crate and for stores of other
//! crates. Requires the feature `store-contract`.
//!
//! For its tests, a store needs an implementation of [`StorePlace`]: the environment of one empty
//! store that was created at [`START`]. Its users accept requests from 5 seconds before to 30
//! seconds after their creation ([`retention`]):
//!
//! ```
//! use std::sync::Arc;
//!
//! use mcpid::nonce::contract::{StorePlace, at, retention};
//! use mcpid::nonce::{NonceStore, memory::Memory};
//! use rand::rngs::SysRng;
//!
//! struct InMemory(Arc<Memory>);
//!
//! impl InMemory {
//!     fn new() -> Self {
//!         let store = Memory::new(at(0), retention(), &mut SysRng);
//!         InMemory(Arc::new(store.expect("the system gives random numbers")))
//!     }
//! }
//!
//! impl StorePlace for InMemory {
//!     fn open(&self) -> Arc<dyn NonceStore> {
//!         self.0.clone()
//!     }
//! }
//!
//! // Makes a `#[test]` of each part; `contract::check` runs them all in one go.
//! mcpid::test_nonce_store!(InMemory::new());
//! # mcpid::nonce::contract::a_nonce_is_fresh_once(&InMemory::new());
//! ```
//!
//! A test that fails panics.
#![allow(clippy::unwrap_used, reason = "a part of the contract is a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{Claim, NonceStore, Retention, StoreError};
use crate::block_on::block_on as wait;
use crate::clock::Timestamp;
use crate::key::{KeyId, SecretKey, Sign as _};

mod clocks;

pub use clocks::{
    a_claim_ends_after_its_retention, a_claim_lasts_while_any_clock_could_accept_it,
    a_clock_step_makes_no_nonce_fresh_again, a_longer_window_is_refused_unless_allowed,
    a_longer_window_raises_the_floor, times_beyond_the_range_are_errors,
};

/// Runs all tests of the contract, each with a new, empty store from `make`. The test
/// [`a_longer_window_is_refused_unless_allowed`] is not among them, because it is only for stores
/// that several processes share.
///
/// # Panics
/// If the store breaks its contract.
pub fn check<P: StorePlace>(make: impl Fn() -> P) {
    crate::test_nonce_store!(@all run make());
}

/// Makes a `#[test]` of each test of the [contract](crate::nonce::contract), or only of the tests
/// that are listed after the expression for the [`StorePlace`](crate::nonce::contract::StorePlace).
/// `own_clock:` before the list adds all tests that also suit a store with its own clock. The
/// expression is evaluated anew for each test.
#[macro_export]
macro_rules! test_nonce_store {
    (@run $place:expr, $($part:ident)*) => { $(
        $crate::nonce::contract::$part(&$place);
    )* };
    (@test $place:expr, $($part:ident)*) => { $(
        #[test]
        fn $part() {
            $crate::nonce::contract::$part(&$place);
        }
    )* };
    (@own_clock $kind:ident $place:expr, $($more:ident)*) => {
        $crate::test_nonce_store! { @$kind $place,
            a_nonce_is_fresh_once
            one_nonce_of_two_keys_counts_twice
            a_look_up_changes_nothing
            a_claim_that_ends_now_is_expired
            a_new_store_refuses_earlier_requests
            one_of_many_threads_claims_a_nonce
            one_of_many_tasks_claims_a_nonce
            one_of_many_handles_claims_a_nonce
            a_claim_lasts_while_any_clock_could_accept_it
            a_longer_window_raises_the_floor
            times_beyond_the_range_are_errors
            a_dropped_claim_affects_no_other_claim
            $($more)*
        }
    };
    (@all $kind:ident $place:expr) => {
        $crate::test_nonce_store! { @own_clock $kind $place,
            a_claim_ends_after_its_retention
            a_clock_step_makes_no_nonce_fresh_again
        }
    };
    ($place:expr, own_clock: $($part:ident)*) => {
        $crate::test_nonce_store! { @own_clock test $place, $($part)* }
    };
    ($place:expr, $($part:ident)*) => {
        $crate::test_nonce_store! { @test $place, $($part)* }
    };
    ($place:expr) => {
        $crate::test_nonce_store! { @all test $place }
    };
}

/// The time at which the store in a test is created: 2026-11-23T00:00:00Z, in Unix seconds.
pub const START: i64 = 1_795_392_000;
const WINDOW: i64 = 30;
const AHEAD: i64 = 5;
const MARGIN: i64 = 30;
const LENGTH: i64 = WINDOW + AHEAD + MARGIN;

/// The environment of one empty store that was created at [`START`] for the retention
/// [`retention`].
pub trait StorePlace: Sync {
    /// Opens a further handle on the same store.
    fn open(&self) -> Arc<dyn NonceStore>;

    /// Opens a further handle that is allowed to raise the retention for all users of the store.
    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        self.open()
    }

    /// Advances the store's own clock to `seconds` after [`START`], if the store has a clock. Most
    /// stores have none, and use the times that the caller passes.
    fn pass(&self, _seconds: i64) {}
}

/// Returns the time `seconds` after [`START`].
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

/// Returns the retention of the tests: requests are accepted from 5 seconds before to 30 seconds
/// after their creation.
pub fn retention() -> Retention {
    Retention::new(30, 5)
}

/// Returns the id of one of 255 test keys.
pub fn key(seed: u8) -> KeyId {
    *SecretKey::from_seed(&[seed; 32]).public().id()
}

/// Claims the nonce of a request (stores it if it is new) that was created `now` seconds after
/// [`START`], at that same time.
///
/// # Errors
/// As [`NonceStore::claim`].
pub fn try_claim(
    store: &dyn NonceStore,
    now: i64,
    key: &KeyId,
    nonce: &str,
) -> Result<Claim, StoreError> {
    wait(store.claim(at(now), key, nonce, at(now + LENGTH)))
}

/// Claims as [`try_claim`] does, and expects an answer.
///
/// # Panics
/// If the store answers with an error.
pub fn claim(store: &dyn NonceStore, now: i64, key: &KeyId, nonce: &str) -> Claim {
    try_claim(store, now, key, nonce).unwrap()
}

/// Returns true if the store answered that the nonce was not used before.
pub fn is_fresh(claim: Claim) -> bool {
    matches!(claim, Claim::Fresh { .. })
}

/// Returns true if a verifier accepts a request that was created at `created` if the store gave
/// this answer: the nonce must be fresh, and the request newer than the floor of the store.
pub fn accepts(answer: &Result<Claim, StoreError>, created: i64) -> bool {
    matches!(answer, Ok(Claim::Fresh { floor }) if at(created) > *floor)
}

/// Test: only the first claim of a nonce (request to store it if it is new) is fresh. A nonce that
/// differs in one character is another nonce.
pub fn a_nonce_is_fresh_once(place: &dyn StorePlace) {
    let store = place.open();
    assert!(is_fresh(claim(&*store, 10, &key(1), "n")));
    match claim(&*store, 11, &key(1), "n") {
        Claim::Replayed { first } => assert!(first.is_none_or(|first| first == at(10))),
        other => panic!("{other:?}"),
    }
    for other in ["N", "n ", "", "n\0", "m"] {
        assert!(is_fresh(claim(&*store, 11, &key(1), other)), "{other:?}");
        assert!(!is_fresh(claim(&*store, 12, &key(1), other)), "{other:?}");
    }
    assert!(!is_fresh(claim(&*store, 70, &key(1), "n")));
}

/// Test: the same nonce used with two keys counts as two nonces.
pub fn one_nonce_of_two_keys_counts_twice(place: &dyn StorePlace) {
    let store = place.open();
    for seed in 1..=20 {
        assert!(is_fresh(claim(&*store, 10, &key(seed), "n")), "{seed}");
    }
    for seed in 1..=20 {
        assert!(!is_fresh(claim(&*store, 10, &key(seed), "n")), "{seed}");
    }
}

/// Test: `peek` returns the earlier claim, and changes nothing.
pub fn a_look_up_changes_nothing(place: &dyn StorePlace) {
    let store = place.open();
    for _ in 0..3 {
        assert_eq!(wait(store.peek(at(10), &key(1), "n")).unwrap(), None);
    }
    assert!(is_fresh(claim(&*store, 10, &key(1), "n")));
    for _ in 0..3 {
        let seen = wait(store.peek(at(11), &key(1), "n")).unwrap().unwrap();
        assert!(seen.first.is_none_or(|first| first == at(10)));
        assert!(seen.until >= at(10 + LENGTH), "{seen:?}");
    }
    assert_eq!(wait(store.peek(at(11), &key(2), "n")).unwrap(), None);
    assert_eq!(wait(store.peek(at(11), &key(1), "m")).unwrap(), None);
}

/// Test: a claim whose `until` is not after `now` is answered with `Expired`, and the store writes
/// nothing.
pub fn a_claim_that_ends_now_is_expired(place: &dyn StorePlace) {
    let store = place.open();
    for (now, until) in [(10, 10), (11, 10), (10_000, 10)] {
        let answer = wait(store.claim(at(now), &key(1), "n", at(until))).unwrap();
        assert_eq!(answer, Claim::Expired);
    }
    // The look-ups and expired claims above wrote nothing, so this claim is the first one.
    assert!(is_fresh(wait(store.claim(at(10), &key(1), "n", at(11))).unwrap()));
}

/// Test: the floor of a new store lies `ahead` seconds after its creation, so that requests whose
/// nonces an earlier store may have had are refused.
pub fn a_new_store_refuses_earlier_requests(place: &dyn StorePlace) {
    let store = place.open();
    match claim(&*store, 10, &key(1), "n") {
        Claim::Fresh { floor } => {
            assert!(floor >= at(AHEAD), "{floor:?}");
            assert_eq!(floor, wait(store.floor(at(10))).unwrap());
        }
        other => panic!("{other:?}"),
    }
}

/// Claims one nonce (asks the store to keep it if it is new) from 64 threads with one handle:
/// exactly one claim is fresh.
pub fn one_of_many_threads_claims_a_nonce(place: &dyn StorePlace) {
    let store = place.open();
    winners(64, |_| Arc::clone(&store));
}

/// Claims one nonce (asks the store to keep it if it is new) from 64 threads with eight handles:
/// exactly one claim is fresh.
pub fn one_of_many_handles_claims_a_nonce(place: &dyn StorePlace) {
    let handles: Vec<_> = (0..8).map(|_| place.open()).collect();
    winners(64, |thread| Arc::clone(&handles[thread % 8]));
}

fn winners(threads: usize, handle: impl Fn(usize) -> Arc<dyn NonceStore>) {
    let wins: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (store, wins) = (handle(thread), &wins);
            scope.spawn(move || {
                for (i, won) in wins.iter().enumerate() {
                    if is_fresh(claim(&*store, 10, &key(1), &i.to_string())) {
                        won.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(wins.iter().all(|won| won.load(Ordering::SeqCst) == 1), "{wins:?}");
}

/// Claims one nonce (asks the store to keep it if it is new) from 64 futures on one thread. All
/// futures are polled once before any is complete. Exactly one claim is fresh.
pub fn one_of_many_tasks_claims_a_nonce(place: &dyn StorePlace) {
    let store = place.open();
    let key = key(1);
    for i in 0..20 {
        let nonce = i.to_string();
        let mut tasks: Vec<_> =
            (0..64).map(|_| store.claim(at(10), &key, &nonce, at(10 + LENGTH))).collect();
        let mut fresh = 0;
        while !tasks.is_empty() {
            tasks.retain_mut(|task| {
                match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => {
                        fresh += usize::from(is_fresh(answer.unwrap()));
                        false
                    }
                    Poll::Pending => true,
                }
            });
            thread::yield_now();
        }
        assert_eq!(fresh, 1, "{nonce}");
    }
}

/// Dropping the future of one claim (a request to store a nonce if it is new) does not affect other
/// claims.
pub fn a_dropped_claim_affects_no_other_claim(place: &dyn StorePlace) {
    let store = place.open();
    let key = key(1);
    for i in 0..200 {
        let nonce = format!("{i}");
        let mut given_up = store.claim(at(10), &key, &nonce, at(10 + LENGTH));
        let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(given_up);
        drop(store.claim(at(10), &key, "never begun", at(10 + LENGTH)));
    }
    assert!(is_fresh(claim(&*store, 10, &key, "never begun")));
    assert!(is_fresh(claim(&*store, 10, &key, "other")));
    for i in 0..200 {
        claim(&*store, 10, &key, &format!("{i}"));
        assert!(!is_fresh(claim(&*store, 10, &key, &format!("{i}"))));
    }
}
