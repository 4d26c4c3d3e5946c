//! Tests of how long a store keeps nonces and of its floor (the time before which it may have lost
//! some), with clocks that differ and clocks that are set.

use super::{AHEAD, LENGTH, MARGIN, START, WINDOW};
use super::{StorePlace, accepts, at, claim, is_fresh, key, retention, try_claim, wait};
use crate::clock::Timestamp;
use crate::nonce::{Claim, Retention};

/// Test: a claim is kept as long as the clock of any verifier could still accept the request.
///
/// The test counts true time in quarters of a second. The clocks of verifiers differ by up to the
/// margin, and round down. One verifier claims a nonce. A second verifier, whose clock is ahead by
/// the margin, claims other nonces, so that the store removes every nonce that it may remove. A
/// third verifier, whose clock would still accept the request, must find the replay.
pub fn a_claim_lasts_while_any_clock_could_accept_it(place: &dyn StorePlace) {
    let store = place.open();
    let key = key(1);
    let mut rounds = 0;
    // A clock that rounds down accepts the request until three quarters of a second after `created
    // + WINDOW` (the maximum age of a request).
    for claimed in [-4 * AHEAD, -1, 0, 1, 4 * WINDOW + 3] {
        for replayed in [claimed.max(0), 4 * WINDOW, 4 * WINDOW + 3] {
            for ahead in [0, 1, 4 * MARGIN - 1, 4 * MARGIN] {
                // Each round starts later than the round before it, so that no clock seems to have
                // been set back.
                rounds += 1;
                let created = rounds * 500;
                let clock = |quarters: i64| created + quarters.div_euclid(4);
                let until = at(created + LENGTH);
                let nonce = format!("{rounds}");
                place.pass(clock(claimed));
                let first = wait(store.claim(at(clock(claimed)), &key, &nonce, until));
                assert!(accepts(&first, created), "{claimed} {first:?}");
                for i in 0..8 {
                    let other = format!("{rounds}-{i}");
                    claim(&*store, clock(replayed + ahead), &key, &other);
                }
                let again = wait(store.claim(at(clock(replayed)), &key, &nonce, until));
                assert!(
                    matches!(again, Ok(Claim::Replayed { .. })),
                    "{claimed} {replayed} {ahead}: {again:?}"
                );
            }
        }
    }
    assert_eq!(rounds, 60);
}

/// Test: a nonce can be claimed again a few seconds after it is no longer needed. The floor of the
/// store then excludes the old request.
pub fn a_claim_ends_after_its_retention(place: &dyn StorePlace) {
    let store = place.open();
    assert!(is_fresh(claim(&*store, 10, &key(1), "n")));
    let until = wait(store.peek(at(10), &key(1), "n")).unwrap().unwrap().until.unix() - START;
    // The store keeps a nonce only a few seconds longer than it is needed.
    assert!((10 + LENGTH..=10 + LENGTH + AHEAD + 1).contains(&until), "{until}");
    assert!(!is_fresh(claim(&*store, until - 1, &key(1), "n")));
    place.pass(until);
    assert_eq!(wait(store.peek(at(until), &key(1), "n")).unwrap(), None);
    // A new request may use the nonce again. The old one is refused, because it is too old or
    // because it was created before the store's floor (up to which nonces may be lost).
    let again = try_claim(&*store, until, &key(1), "n");
    assert!(accepts(&again, until), "{again:?}");
    assert!(!accepts(&again, 10), "{again:?}");
    assert!(!is_fresh(claim(&*store, until, &key(1), "n")));
}

/// Test: a user that accepts older requests raises the floor (the time up to which nonces may be
/// lost) for all users of the store, because nonces that this user needs may already be removed.
pub fn a_longer_window_raises_the_floor(place: &dyn StorePlace) {
    let store = place.open();
    assert!(accepts(&try_claim(&*store, 10, &key(1), "before"), 10));
    let other = place.open_to_raise();
    // A shorter or equal retention changes nothing.
    for less in [Retention::new(30, 5), Retention::new(10, 5), Retention::new(30, 0)] {
        wait(other.register(at(20), less)).unwrap();
        assert!(wait(store.floor(at(20))).unwrap() <= at(AHEAD));
    }
    wait(other.register(at(20), Retention::new(300, 60))).unwrap();
    // The raised floor (the time up to which nonces may be lost) applies to every handle: the
    // present time (20) plus `ahead` (60) plus the clock margin (300).
    let floor = wait(store.floor(at(20))).unwrap();
    assert_eq!(floor, at(20 + 60 + 300));
    assert!(!accepts(&try_claim(&*store, 100, &key(1), "low"), 100));
    assert!(accepts(&try_claim(&*store, 381, &key(1), "high"), 381));
    // The store keeps every nonce for the longer retention, also those of users that asked for the
    // shorter one.
    let seen = wait(store.peek(at(381), &key(1), "high")).unwrap().unwrap();
    assert!(seen.until >= at(381 + 300 + 60 + 300), "{seen:?}");
    wait(store.register(at(400), Retention::new(300, 60))).unwrap();
    assert_eq!(wait(store.floor(at(400))).unwrap(), floor);
}

/// Test: a user that accepts very old requests is refused, because the raised floor would exclude
/// the current requests of all users of the store. Only for stores that several processes share.
pub fn a_longer_window_is_refused_unless_allowed(place: &dyn StorePlace) {
    let store = place.open();
    assert!(accepts(&try_claim(&*store, 10, &key(1), "before"), 10));
    let other = place.open();
    for (longer, seconds) in [
        (Retention::new(300, 60), 360),
        (Retention::new(86_400, 5), 86_405),
        (Retention::new(31, 5), 36),
        (Retention::new(30, 6), 36),
        (Retention::new(10, 86_400), 86_430),
        (Retention::new(u32::MAX, u32::MAX), 2 * i64::from(u32::MAX)),
    ] {
        let error = wait(other.register(at(20), longer)).unwrap_err();
        let retention_too_short =
            error.retention_too_short().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!(retention_too_short.recorded, Some(retention()));
        assert_eq!(retention_too_short.seconds(), seconds);
        assert!(error.to_string().contains(&format!("for {seconds} s")), "{error}");
        // The refusal has changed nothing, for any user of the store.
        for (handle, store) in [(1, &store), (2, &other)] {
            assert!(wait(store.floor(at(20))).unwrap() <= at(AHEAD), "{longer:?}");
            let nonce = format!("{longer:?} {handle}");
            assert!(accepts(&try_claim(&**store, 20, &key(2), &nonce), 20));
            let until = wait(store.peek(at(20), &key(2), &nonce)).unwrap().unwrap().until;
            assert!(until <= at(20 + LENGTH + AHEAD + 1), "{until:?}");
        }
    }
    // An equal or shorter retention is always allowed; once one user has raised the retention, the
    // longer one is allowed too.
    wait(other.register(at(20), retention())).unwrap();
    wait(place.open_to_raise().register(at(20), Retention::new(300, 60))).unwrap();
    wait(other.register(at(21), Retention::new(300, 60))).unwrap();
    assert_eq!(wait(other.floor(at(21))).unwrap(), at(20 + 60 + 300));
}

/// Test: after a clock was set forward and back, no used nonce is accepted again. Only for stores
/// that use the times that callers pass; a store with its own clock has a separate test.
pub fn a_clock_step_makes_no_nonce_fresh_again(place: &dyn StorePlace) {
    let store = place.open_to_raise();
    let key = key(1);
    for i in 0..20 {
        assert!(accepts(&try_claim(&*store, 100, &key, &format!("old-{i}")), 100));
    }
    // The clock is set an hour ahead. These claims make the store remove everything that has ended
    // by then.
    for i in 0..300 {
        assert!(is_fresh(claim(&*store, 3_600, &key, &format!("ahead-{i}"))));
    }
    // The clock is set back to a time at which the old requests are young enough again.
    for i in 0..20 {
        let answer = try_claim(&*store, 101, &key, &format!("old-{i}"));
        assert!(!accepts(&answer, 100), "{answer:?}");
        assert!(answer.is_ok());
    }
    let floor = wait(store.floor(at(101))).unwrap();
    for i in 0..100 {
        claim(&*store, 102, &key, &format!("back-{i}"));
    }
    assert!(wait(store.floor(at(102))).unwrap() >= floor, "a horizon never moves back");
    // Raising the retention uses the time of the latest claim, even if the clock was set back
    // since.
    wait(store.register(at(103), Retention::new(60, 5))).unwrap();
    for i in 0..300 {
        let answer = try_claim(&*store, 3_600, &key, &format!("ahead-{i}"));
        assert!(!accepts(&answer, 3_600), "{answer:?}");
    }
    assert!(wait(store.floor(at(103))).unwrap() >= at(3_600));
}

/// Test: times that the store cannot represent are errors, and change nothing.
pub fn times_beyond_the_range_are_errors(place: &dyn StorePlace) {
    let store = place.open();
    let (far, early) = (Timestamp::from_unix(i64::MAX), Timestamp::from_unix(i64::MIN));
    for (now, until) in [(at(10), far), (early, at(10)), (early, far)] {
        assert!(wait(store.claim(now, &key(1), "n", until)).is_err(), "{now:?} {until:?}");
    }
    assert_eq!(wait(store.claim(far, &key(1), "n", far)).unwrap(), Claim::Expired);
    // The store still answers after these errors.
    assert!(accepts(&try_claim(&*store, 10, &key(1), "n"), 10));
}
