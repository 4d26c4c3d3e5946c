//! Tests of the nonce store in memory: a nonce is fresh once, the number of nonces is limited, and
//! no nonce is accepted again after it was removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use mcpid::clock::Timestamp;
use mcpid::key::{KeyId, SecretKey, Sign};
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{BoxFuture, Claim, NonceStore, Retention, StoreError};
use rand::rngs::SysRng;

const START: i64 = 1_795_392_000;
/// How long a nonce is kept after its request was created, in seconds: maximum age 30, clock
/// difference of clients 5, and margin 30.
const LENGTH: i64 = 65;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

fn key(seed: u8) -> KeyId {
    *SecretKey::from_seed(&[seed; 32]).public().id()
}

fn store() -> Memory {
    Memory::new(at(0), Retention::new(30, 5), &mut SysRng).unwrap()
}

/// Returns the result of a future of the memory store, which is always ready.
fn ready<T>(mut future: BoxFuture<'_, T>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory has nothing to wait for"),
    }
}

fn try_claim(store: &Memory, now: i64, key: &KeyId, nonce: &str) -> Result<Claim, StoreError> {
    ready(store.claim(at(now), key, nonce, at(now + LENGTH)))
}

fn claim(store: &Memory, now: i64, key: &KeyId, nonce: &str) -> Claim {
    try_claim(store, now, key, nonce).unwrap()
}

fn is_fresh(claim: Claim) -> bool {
    matches!(claim, Claim::Fresh { .. })
}

#[test]
fn a_nonce_is_fresh_once() {
    let store = store();
    let (a, b) = (key(1), key(2));
    assert!(is_fresh(claim(&store, 10, &a, "nonce-0")));
    for now in [10, 11, 40, 74] {
        let again = claim(&store, now, &a, "nonce-0");
        assert_eq!(again, Claim::Replayed { first: Some(at(10)) }, "{now}");
    }
    for other in ["nonce-1", "Nonce-0", "nonce-0 ", "nonce-", "nonce-0=", ""] {
        assert!(is_fresh(claim(&store, 10, &a, other)), "{other:?}");
    }
    assert!(is_fresh(claim(&store, 10, &b, "nonce-0")), "another key's is another nonce");
}

#[test]
fn a_nonce_is_kept_until_its_request_expires() {
    let store = store();
    let key = key(1);
    // The request was created five seconds ahead, as far as allowed, so its nonce is needed until
    // 75.
    ready(store.claim(at(5), &key, "n", at(10 + LENGTH))).unwrap();
    assert!(!is_fresh(claim(&store, 10 + LENGTH - 1, &key, "n")));
    assert!(is_fresh(claim(&store, 200, &key, "n")), "and not for ever");
    // A caller can ask for a nonce to be kept longer than the retention.
    ready(store.claim(at(5), &key, "long", at(10_000))).unwrap();
    assert!(!is_fresh(claim(&store, 9_999, &key, "long")));
    assert!(is_fresh(claim(&store, 10_000, &key, "long")));
}

#[test]
fn a_nonce_of_an_expired_request_is_never_fresh() {
    let store = store();
    for until in [-1000, 9, 10] {
        let claim = ready(store.claim(at(10), &key(1), "n", at(until))).unwrap();
        assert_eq!(claim, Claim::Expired, "{until}");
    }
    assert_eq!(ready(store.peek(at(10), &key(1), "n")).unwrap(), None, "nothing was written");
    assert!(is_fresh(ready(store.claim(at(10), &key(1), "n", at(11))).unwrap()));
}

#[test]
fn a_look_up_changes_no_nonce() {
    let store = store();
    assert_eq!(ready(store.peek(at(10), &key(1), "n")).unwrap(), None);
    assert!(is_fresh(claim(&store, 10, &key(1), "n")));
    let seen = ready(store.peek(at(20), &key(1), "n")).unwrap().unwrap();
    assert_eq!(seen.first, Some(at(10)));
    assert!(seen.until >= at(10 + LENGTH));
    assert_eq!(ready(store.peek(at(20), &key(2), "n")).unwrap(), None);
    assert_eq!(ready(store.peek(seen.until, &key(1), "n")).unwrap(), None);
}

#[test]
fn the_floor_is_the_start_unless_there_is_none() {
    let store = store();
    assert_eq!(ready(store.floor(at(0))).unwrap(), at(5));
    assert_eq!(claim(&store, 10, &key(1), "n"), Claim::Fresh { floor: at(5) });
    let without = self::store().without_floor();
    assert!(ready(without.floor(at(0))).unwrap() < at(-1_000_000));
    // The floor (up to which nonces may be lost) is earlier than any request that may be accepted
    // now.
    assert!(matches!(claim(&without, 0, &key(1), "n"), Claim::Fresh { floor } if floor < at(-30)));
}

#[test]
fn a_longer_retention_raises_the_floor_past_the_latest_claim() {
    let store = store();
    let same = [Retention::new(30, 5), Retention::new(10, 0), Retention::new(0, 5)];
    for retention in same {
        ready(store.register(at(100), retention)).unwrap();
        assert_eq!(ready(store.floor(at(100))).unwrap(), at(5), "{retention:?}");
    }
    assert!(is_fresh(claim(&store, 100, &key(1), "before")));
    ready(store.register(at(100), Retention::new(300, 60))).unwrap();
    assert_eq!(ready(store.floor(at(100))).unwrap(), at(100 + 60 + 300));
    // From now on all nonces are kept for 300 + 60 + 300 seconds, including those of users with a
    // shorter retention.
    assert_eq!(claim(&store, 100, &key(1), "n"), Claim::Fresh { floor: at(460) });
    assert!(!is_fresh(claim(&store, 100 + 659, &key(1), "n")));
    // Registering a shorter retention changes nothing.
    ready(store.register(at(200), Retention::new(30, 5))).unwrap();
    assert_eq!(ready(store.floor(at(200))).unwrap(), at(460));
    assert!(is_fresh(claim(&store, 200, &key(1), "m")));
    assert!(!is_fresh(claim(&store, 200 + 659, &key(1), "m")));
}

#[test]
fn a_clock_step_forward_and_back_makes_no_nonce_fresh_again() {
    let store = store().without_floor();
    let key = key(1);
    // The nonce `old` is stored at 100, for a request created at that time.
    assert!(is_fresh(claim(&store, 100, &key, "old")));
    // The clock is set an hour ahead. Storing these nonces makes the store remove everything that
    // has expired by then.
    for i in 0..2_000 {
        assert!(is_fresh(claim(&store, 3_600, &key, &format!("ahead-{i}"))));
    }
    assert_eq!(ready(store.peek(at(100), &key, "old")).unwrap(), None, "it was swept");
    // The clock is set back so that the request is young enough again. If the store has removed the
    // nonce, its floor excludes the request.
    match claim(&store, 101, &key, "old") {
        Claim::Fresh { floor } => assert!(at(100) <= floor && floor >= at(3_600 - LENGTH)),
        other => assert!(matches!(other, Claim::Replayed { .. }), "{other:?}"),
    }
    // A nonce that is stored while the clock is behind is kept.
    assert!(is_fresh(claim(&store, 101, &key, "back")));
    for i in 0..2_000 {
        claim(&store, 102, &key, &format!("back-{i}"));
    }
    assert!(!is_fresh(claim(&store, 103, &key, "back")));
    // The floor (the time up to which nonces may be lost) does not fall when the clock is set back.
    // It rises again when the clock has caught up.
    assert!(ready(store.floor(at(103))).unwrap() >= at(3_600 - LENGTH));
    assert!(
        matches!(claim(&store, 4_000, &key, "x"), Claim::Fresh { floor } if floor == at(4_000 - LENGTH))
    );
    // If the retention (how long nonces are kept) is raised while the clock is behind, requests are
    // refused by the time of the latest claim, and not by the clock.
    ready(store.register(at(100), Retention::new(60, 5))).unwrap();
    assert_eq!(ready(store.floor(at(100))).unwrap(), at(4_000 + 5 + 60));
}

#[test]
fn a_full_store_says_so_and_forgets_nothing() {
    let store = store().bounded(80);
    let keys: Vec<_> = (1..=8).map(key).collect();
    for (k, key) in keys.iter().enumerate() {
        for i in 0..10 {
            assert!(is_fresh(claim(&store, 10, key, &format!("{k}-{i}"))));
        }
    }
    let error = try_claim(&store, 10, &key(9), "more").unwrap_err();
    assert!(error.to_string().contains("80"), "{error}");
    for (k, key) in keys.iter().enumerate() {
        for i in 0..10 {
            assert!(!is_fresh(claim(&store, 20, key, &format!("{k}-{i}"))));
        }
    }
    // All earlier nonces have ended, so there is room in every shard of the store.
    for i in 0..10 {
        assert!(is_fresh(claim(&store, 1_000, &key(9), &format!("{i}"))), "{i}");
    }
    assert_eq!(claim(&store, 1_000, &key(9), "10"), Claim::OverQuota);
}

#[test]
fn one_key_gets_an_eighth_of_the_store_and_other_keys_keep_their_share() {
    let store = store().bounded(800);
    for i in 0..100 {
        assert!(is_fresh(claim(&store, i / 10, &key(1), &format!("{i}"))));
    }
    for i in 100..200 {
        assert_eq!(claim(&store, 10, &key(1), &format!("{i}")), Claim::OverQuota);
    }
    assert!(matches!(claim(&store, 10, &key(1), "0"), Claim::Replayed { .. }));
    assert!(is_fresh(claim(&store, 10, &key(2), "0")));
    // Each nonce of the key expires at its own time. Before the first one has expired, the key has
    // used its quota.
    let kept = ready(store.peek(at(10), &key(1), "0")).unwrap().unwrap().until.unix() - START;
    assert_eq!(claim(&store, kept - 1, &key(1), "new"), Claim::OverQuota);
    for i in 0..10 {
        assert!(is_fresh(claim(&store, kept, &key(1), &format!("new-{i}"))), "{i}");
    }
    assert_eq!(claim(&store, kept, &key(1), "new-10"), Claim::OverQuota);
}

#[test]
fn one_of_many_threads_claims_each_nonce() {
    let store = Arc::new(store());
    let wins: Arc<Vec<AtomicUsize>> = Arc::new((0..50).map(|_| AtomicUsize::new(0)).collect());
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let key = key(1);
                for (i, won) in wins.iter().enumerate() {
                    if is_fresh(claim(&store, 10, &key, &format!("{i}"))) {
                        won.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(wins.iter().all(|won| won.load(Ordering::SeqCst) == 1));
}

#[test]
fn the_bounds_of_the_store_hold_among_threads() {
    let store = Arc::new(store().bounded(400));
    let (fresh, full, over) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let per_key: Vec<AtomicUsize> = (0..16).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..32_u8 {
            let (store, per_key, fresh, full, over) = (&store, &per_key, &fresh, &full, &over);
            scope.spawn(move || {
                let key = key(thread % 16);
                for i in 0..60 {
                    match try_claim(store, 10, &key, &format!("{thread}-{i}")) {
                        Ok(Claim::Fresh { .. }) => {
                            fresh.fetch_add(1, Ordering::SeqCst);
                            per_key[usize::from(thread % 16)].fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(Claim::OverQuota) => _ = over.fetch_add(1, Ordering::SeqCst),
                        Err(_) => _ = full.fetch_add(1, Ordering::SeqCst),
                        Ok(other) => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(fresh.load(Ordering::SeqCst), 400, "exactly as many as there is room for");
    assert!(per_key.iter().all(|n| n.load(Ordering::SeqCst) <= 50));
    assert_eq!(full.load(Ordering::SeqCst) + over.load(Ordering::SeqCst), 32 * 60 - 400);
}

#[test]
fn claims_and_sweeps_among_threads_accept_no_nonce_twice() {
    // Two threads claim every nonce, at different speeds, while old nonces are removed. If a slow
    // thread claims a nonce that was removed already, its request is too old: it was created before
    // the store's floor.
    let store = Arc::new(store().bounded(100_000));
    let accepted: Vec<AtomicUsize> = (0..4 * 3_000).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for pair in 0..4_u8 {
            for _ in 0..2 {
                let (store, accepted) = (&store, &accepted[usize::from(pair) * 3_000..]);
                scope.spawn(move || {
                    let key = key(pair);
                    for (i, accepted) in accepted.iter().take(3_000).enumerate() {
                        let now = 100 + i64::try_from(i).unwrap() / 5;
                        match claim(store, now, &key, &format!("{i}")) {
                            Claim::Fresh { floor } if floor < at(now) => {
                                accepted.fetch_add(1, Ordering::SeqCst);
                            }
                            _ => {}
                        }
                    }
                });
            }
        }
    });
    let counts: Vec<_> = accepted.iter().map(|n| n.load(Ordering::SeqCst)).collect();
    assert!(counts.iter().all(|&n| n <= 1));
    assert!(counts.contains(&1));
}

#[test]
fn ended_nonces_make_room_in_the_store_and_in_quotas() {
    let store = store().bounded(1_000);
    for i in 0..20_000_i64 {
        // Nine nonces a second are stored, and each is kept for seventy seconds. So at most 630 of
        // the thousand places are in use.
        let owner = key(u8::try_from(i % 10).unwrap());
        assert!(is_fresh(claim(&store, 100 + i / 9, &owner, &format!("{i}"))), "{i}");
    }
}

#[test]
fn times_beyond_the_range_are_an_error_and_not_a_panic() {
    let store = store();
    let (far, early) = (Timestamp::from_unix(i64::MAX), Timestamp::from_unix(i64::MIN));
    assert!(ready(store.claim(at(0), &key(1), "n", far)).is_err());
    assert!(ready(store.claim(early, &key(1), "n", at(100))).is_err());
    assert_eq!(ready(store.claim(far, &key(1), "n", far)).unwrap(), Claim::Expired);
    assert!(ready(store.peek(far, &key(1), "n")).unwrap().is_none());
    // The store has three bytes for the time that a nonce is kept, so a longer time is refused.
    let longest = (1 << 24) - 1;
    assert!(is_fresh(ready(store.claim(at(0), &key(1), "m", at(longest))).unwrap()));
    let seen = ready(store.peek(at(longest - 1), &key(1), "m")).unwrap().unwrap();
    assert_eq!(seen.until, at(longest));
    let error = ready(store.claim(at(0), &key(1), "n", at(longest + 1))).unwrap_err();
    assert!(error.to_string().contains("194 days"), "{error}");
    let before = ready(store.floor(at(0))).unwrap();
    let error = ready(store.register(far, Retention::new(u32::MAX, u32::MAX))).unwrap_err();
    assert!(error.to_string().contains("194 days"), "{error}");
    assert_eq!(ready(store.floor(at(0))).unwrap(), before, "it was refused as a whole");
    assert!(is_fresh(claim(&store, 0, &key(1), "n")));
    ready(store.register(far, Retention::new(60, 5))).unwrap();
    assert_eq!(ready(store.floor(at(0))).unwrap(), far);
}

#[test]
fn stores_are_usable_as_dyn() {
    let store: Box<dyn NonceStore> = Box::new(store());
    assert!(is_fresh(ready(store.claim(at(10), &key(1), "n", at(20))).unwrap()));
    let error = StoreError::because("the store cannot be reached", "no route");
    assert_eq!(error.to_string(), "the store cannot be reached");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no route");
}
