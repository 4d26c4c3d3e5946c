//! What every nonce store promises. Each part gets a place where a store has just been made, with
//! nothing in it, at [`START`], for a window of 30 seconds and 5 ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use mcpid::clock::{FixedClock, Timestamp};
use mcpid::key::format;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{KeyId, SecretKey, Sign};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Code, Refusal, Replay, Verifier};
use rand::rngs::SysRng;

use crate::{key, wait};

pub(crate) const START: i64 = 1_795_392_000;
const WINDOW: i64 = 30;
const AHEAD: i64 = 5;
const MARGIN: i64 = 30;
const LENGTH: i64 = WINDOW + AHEAD + MARGIN;

/// Where a store is kept.
pub(crate) trait Place: Sync {
    /// One more handle on it.
    fn open(&self) -> Arc<dyn NonceStore>;

    /// One more handle, which may raise the retention for all.
    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        self.open()
    }

    /// Lets the store's own time pass, if it has one, up to `seconds` after [`START`]. Most go by
    /// the time that they are told.
    fn pass(&self, _seconds: i64) {}
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(START + seconds)
}

pub(crate) fn retention() -> Retention {
    Retention::new(30, 5)
}

/// Claims for something created at `now`.
pub(crate) fn try_claim(
    store: &dyn NonceStore,
    now: i64,
    key: &KeyId,
    nonce: &str,
) -> Result<Claim, StoreError> {
    wait(store.claim(at(now), key, nonce, at(now + LENGTH)))
}

pub(crate) fn claim(store: &dyn NonceStore, now: i64, key: &KeyId, nonce: &str) -> Claim {
    try_claim(store, now, key, nonce).unwrap()
}

pub(crate) fn is_fresh(claim: Claim) -> bool {
    matches!(claim, Claim::Fresh { .. })
}

/// Whether a server would accept what was created at `created` and got this answer.
pub(crate) fn accepts(answer: &Result<Claim, StoreError>, created: i64) -> bool {
    matches!(answer, Ok(Claim::Fresh { floor }) if at(created) > *floor)
}

pub(crate) fn a_nonce_is_fresh_once(place: &dyn Place) {
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

pub(crate) fn one_nonce_of_two_keys_is_two(place: &dyn Place) {
    let store = place.open();
    for seed in 1..=20 {
        assert!(is_fresh(claim(&*store, 10, &key(seed), "n")), "{seed}");
    }
    for seed in 1..=20 {
        assert!(!is_fresh(claim(&*store, 10, &key(seed), "n")), "{seed}");
    }
}

pub(crate) fn a_look_changes_nothing(place: &dyn Place) {
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

pub(crate) fn what_ends_now_is_expired(place: &dyn Place) {
    let store = place.open();
    for (now, until) in [(10, 10), (11, 10), (10_000, 10)] {
        let answer = wait(store.claim(at(now), &key(1), "n", at(until))).unwrap();
        assert_eq!(answer, Claim::Expired);
    }
    // And nothing was written.
    assert!(is_fresh(wait(store.claim(at(10), &key(1), "n", at(11))).unwrap()));
}

pub(crate) fn a_start_forgets_what_was_before(place: &dyn Place) {
    let store = place.open();
    match claim(&*store, 10, &key(1), "n") {
        Claim::Fresh { floor } => {
            assert!(floor >= at(AHEAD), "{floor:?}");
            assert_eq!(floor, wait(store.floor(at(10))).unwrap());
        }
        other => panic!("{other:?}"),
    }
}

/// 64 threads, one handle.
pub(crate) fn of_many_threads_one_wins(place: &dyn Place) {
    let store = place.open();
    winners(64, |_| Arc::clone(&store));
}

/// 64 threads, each with a handle of its own among eight.
pub(crate) fn of_many_handles_one_wins(place: &dyn Place) {
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

/// 64 futures on one thread, all begun before any is done.
pub(crate) fn of_many_tasks_one_wins(place: &dyn Place) {
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

/// Quarter seconds of true time, clocks that differ by up to the margin, and rounding down. One
/// verifier claims; another, whose clock is as far ahead as it may be, claims other things, so
/// that whatever can be swept is; a third, whose clock would still accept it, gets the replay.
pub(crate) fn a_claim_lasts_while_any_clock_could_accept_it(place: &dyn Place) {
    let store = place.open();
    let key = key(1);
    let mut scenes = 0;
    // The latest replay that a clock accepts: `created + WINDOW`, and 3 quarters.
    for claimed in [-4 * AHEAD, -1, 0, 1, 4 * WINDOW + 3] {
        for replayed in [claimed.max(0), 4 * WINDOW, 4 * WINDOW + 3] {
            for ahead in [0, 1, 4 * MARGIN - 1, 4 * MARGIN] {
                // Each scene later than the one before, so that no clock seems to step back.
                scenes += 1;
                let created = scenes * 500;
                let clock = |quarters: i64| created + quarters.div_euclid(4);
                let until = at(created + LENGTH);
                let nonce = format!("{scenes}");
                place.pass(clock(claimed));
                let first = wait(store.claim(at(clock(claimed)), &key, &nonce, until));
                assert!(accepts(&first, created), "{claimed} {first:?}");
                for i in 0..8 {
                    let other = format!("{scenes}-{i}");
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
    assert_eq!(scenes, 60);
}

pub(crate) fn a_claim_is_gone_after(place: &dyn Place) {
    let store = place.open();
    assert!(is_fresh(claim(&*store, 10, &key(1), "n")));
    let until = wait(store.peek(at(10), &key(1), "n")).unwrap().unwrap().until.unix() - START;
    // Not longer than twice the time that anybody needs it.
    assert!((10 + LENGTH..=10 + LENGTH + AHEAD + 1).contains(&until), "{until}");
    assert!(!is_fresh(claim(&*store, until - 1, &key(1), "n")));
    place.pass(until);
    assert_eq!(wait(store.peek(at(until), &key(1), "n")).unwrap(), None);
    // A new request may bear it, and the old one lies below the floor or out of every window.
    let again = try_claim(&*store, until, &key(1), "n");
    assert!(accepts(&again, until), "{again:?}");
    assert!(!accepts(&again, 10), "{again:?}");
    assert!(!is_fresh(claim(&*store, until, &key(1), "n")));
}

pub(crate) fn a_longer_window_raises_the_floor(place: &dyn Place) {
    let store = place.open();
    assert!(accepts(&try_claim(&*store, 10, &key(1), "before"), 10));
    let other = place.open_to_raise();
    // Less, or as much, changes nothing.
    for less in [Retention::new(30, 5), Retention::new(10, 5), Retention::new(30, 0)] {
        wait(other.register(at(20), less)).unwrap();
        assert!(wait(store.floor(at(20))).unwrap() <= at(AHEAD));
    }
    wait(other.register(at(20), Retention::new(300, 60))).unwrap();
    // Everybody obeys it: now + ahead + margin.
    let floor = wait(store.floor(at(20))).unwrap();
    assert_eq!(floor, at(20 + 60 + 300));
    assert!(!accepts(&try_claim(&*store, 100, &key(1), "low"), 100));
    assert!(accepts(&try_claim(&*store, 381, &key(1), "high"), 381));
    // And keeps for the longer time, also for who only asked for the shorter.
    let seen = wait(store.peek(at(381), &key(1), "high")).unwrap().unwrap();
    assert!(seen.until >= at(381 + 300 + 60 + 300), "{seen:?}");
    wait(store.register(at(400), Retention::new(300, 60))).unwrap();
    assert_eq!(wait(store.floor(at(400))).unwrap(), floor);
}

/// For stores that others share: one with a long window must not close them in passing.
pub(crate) fn a_longer_window_is_refused_unless_allowed(place: &dyn Place) {
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
        let would_close = error.would_close().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!(would_close.recorded, Some(retention()));
        assert_eq!(would_close.seconds(), seconds);
        assert!(error.to_string().contains(&format!("for {seconds} s")), "{error}");
        // Nothing has changed, for anybody.
        for (handle, store) in [(1, &store), (2, &other)] {
            assert!(wait(store.floor(at(20))).unwrap() <= at(AHEAD), "{longer:?}");
            let nonce = format!("{longer:?} {handle}");
            assert!(accepts(&try_claim(&**store, 20, &key(2), &nonce), 20));
            let until = wait(store.peek(at(20), &key(2), &nonce)).unwrap().unwrap().until;
            assert!(until <= at(20 + LENGTH + AHEAD + 1), "{until:?}");
        }
    }
    // As much, or less, needs no leave; and once somebody has raised it, nobody else needs it.
    wait(other.register(at(20), retention())).unwrap();
    wait(place.open_to_raise().register(at(20), Retention::new(300, 60))).unwrap();
    wait(other.register(at(21), Retention::new(300, 60))).unwrap();
    assert_eq!(wait(other.floor(at(21))).unwrap(), at(20 + 60 + 300));
}

/// Only for stores that go by the time they are told; one with its own has its own test.
pub(crate) fn a_clock_that_steps_makes_nothing_fresh_again(place: &dyn Place) {
    let store = place.open_to_raise();
    let key = key(1);
    for i in 0..20 {
        assert!(accepts(&try_claim(&*store, 100, &key, &format!("old-{i}")), 100));
    }
    // An hour ahead, and enough is claimed there for everything to be swept.
    for i in 0..300 {
        assert!(is_fresh(claim(&*store, 3_600, &key, &format!("ahead-{i}"))));
    }
    // And back again, inside the window.
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
    // A longer retention goes by the latest that was claimed, whatever the clock says.
    wait(store.register(at(103), Retention::new(60, 5))).unwrap();
    for i in 0..300 {
        let answer = try_claim(&*store, 3_600, &key, &format!("ahead-{i}"));
        assert!(!accepts(&answer, 3_600), "{answer:?}");
    }
    assert!(wait(store.floor(at(103))).unwrap() >= at(3_600));
}

pub(crate) fn times_out_of_reach_are_errors(place: &dyn Place) {
    let store = place.open();
    let (far, early) = (Timestamp::from_unix(i64::MAX), Timestamp::from_unix(i64::MIN));
    for (now, until) in [(at(10), far), (early, at(10)), (early, far)] {
        assert!(wait(store.claim(now, &key(1), "n", until)).is_err(), "{now:?} {until:?}");
    }
    assert_eq!(wait(store.claim(far, &key(1), "n", far)).unwrap(), Claim::Expired);
    // It goes on as if nothing had been.
    assert!(accepts(&try_claim(&*store, 10, &key(1), "n"), 10));
}

pub(crate) fn a_claim_that_is_given_up_harms_nothing(place: &dyn Place) {
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

/// Counts what comes through.
struct Counting {
    store: Arc<dyn NonceStore>,
    claims: AtomicUsize,
}

impl NonceStore for Counting {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.register(now, retention)
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        self.store.claim_live(now, key, nonce, until)
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        self.store.peek(now, key, nonce)
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        self.store.floor(now)
    }
}

const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;

/// A request that `key` signed at second 100.
fn signed(key: &Arc<SecretKey>) -> Head<'static> {
    let target = RequestTarget::from_url("https://mcp.example.com/mcp".to_owned()).unwrap();
    let mut head = Head::new("POST", target).unwrap();
    head.push("content-type", b"application/json".as_slice()).unwrap();
    let nonce = Nonce::generate(&mut SysRng).unwrap();
    let signer = Signer::new(key.clone(), &Profile::mcp()).unwrap();
    let signed = signer.sign(&head, &Origins::unknown(), BODY, at(100), &nonce).unwrap();
    for (name, value) in signed.headers() {
        head.push(name, value.as_bytes().to_vec()).unwrap();
    }
    head
}

/// The same head with one field's value changed.
fn changed(head: &Head<'_>, name: &str, change: impl Fn(&str) -> String) -> Head<'static> {
    let target = RequestTarget::from_url("https://mcp.example.com/mcp".to_owned()).unwrap();
    let mut other = Head::new("POST", target).unwrap();
    for field in head.fields() {
        let value = std::str::from_utf8(field.value()).unwrap();
        let value = if field.name() == name { change(value) } else { value.to_owned() };
        other.push(field.name().to_owned(), value.into_bytes()).unwrap();
    }
    other
}

pub(crate) fn forgeries_never_reach_the_store(place: &dyn Place) {
    let key = Arc::new(SecretKey::generate(&mut SysRng).unwrap());
    let stranger = Arc::new(SecretKey::generate(&mut SysRng).unwrap());
    let trusted = format::jwks(key.public(), None);
    let registry = Registry::merge([TrustFile::parse(trusted.as_bytes()).unwrap()]);
    let counting = Arc::new(Counting { store: place.open(), claims: AtomicUsize::new(0) });
    let verifier = |now| {
        Verifier::new(
            Profile::mcp(),
            Arc::new(registry.clone()),
            Origins::unknown(),
            Arc::new(FixedClock(at(now))),
            Replay::Claim(counting.clone()),
        )
    };
    let judge = |now, head: &Head<'_>, body: &[u8]| wait(verifier(now).verify(head, body));
    let good = signed(&key);
    let later = |value: &str| value.replace("created=", "created=1");
    let forged = |value: &str| value.replacen(['A', 'a', 'B', 'b', 'Q', 'x'], "z", 1);
    let renamed = |value: &str| value.replacen("nonce=\"", "nonce=\"z", 1);
    for (what, now, head, body) in [
        ("an unknown key", 100, signed(&stranger), BODY),
        ("another nonce", 100, changed(&good, "signature-input", renamed), BODY),
        ("another time", 100, changed(&good, "signature-input", later), BODY),
        ("another signature", 100, changed(&good, "signature", forged), BODY),
        ("another type", 100, changed(&good, "content-type", |_| "text/plain".into()), BODY),
        ("another body", 100, good.clone(), b"{}"),
        ("no body", 100, good.clone(), b""),
        ("too early", 94, good.clone(), BODY),
        ("too late", 131, good.clone(), BODY),
        ("no signature", 100, changed(&good, "signature", |_| String::new()), BODY),
    ] {
        assert!(matches!(judge(now, &head, body), Err(Refusal::Rejected(_))), "{what}");
        assert_eq!(counting.claims.load(Ordering::SeqCst), 0, "{what}");
    }
    judge(100, &good, BODY).unwrap();
    assert_eq!(counting.claims.load(Ordering::SeqCst), 1);
    match judge(100, &good, BODY) {
        Err(Refusal::Rejected(r)) => assert_eq!(r.code(), Code::NonceReplayed),
        other => panic!("{other:?}"),
    }
}
