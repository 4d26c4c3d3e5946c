//! Tests of slow bodies, of nonce stores that are full, new or failing, and of which nonces are
//! stored.

use super::*;

/// A clock that advances each time it is read.
struct Ticking {
    now: AtomicI64,
    step: i64,
}

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        time(self.now.fetch_add(self.step, Ordering::SeqCst))
    }
}

#[test]
fn a_request_whose_body_arrives_slowly_expires() {
    let counting = Counting::new();
    let ticking = |step| {
        let clock = Arc::new(Ticking { now: AtomicI64::new(CREATED), step });
        Judge { clock, ..Judge::mcp() }.replay(ReplayCheck::Claim(counting.clone()))
    };
    assert_eq!(ticking(30).refusal(&Call::signed()), (5, Code::Expired));
    assert_eq!(counting.claimed(), 0);
    let verified = ticking(29).accepts(&Call::signed());
    assert_eq!(verified.now(), time(CREATED + 29));
    // If the clock is set back between the two checks of the time, the request seems to come from
    // the future.
    assert_eq!(ticking(-6).refusal(&Call::signed()), (5, Code::NotYetValid));
    // Of the two signatures of a request, one expires while the body arrives. The other one is
    // still valid, so the request is accepted.
    let mut call = Call::unsigned();
    for (label, ends) in [("a", CREATED + 5), ("b", CREATED + 30)] {
        let mut input = Input::of(&call, &key(1));
        let nonce = format!("\"another-nonce-of-{label}\"");
        call.sign(&key(1), label, input.set("expires", ends).set("nonce", nonce));
    }
    assert_eq!(ticking(10).accepts(&call).label(), "b");
}

#[test]
fn judging_in_three_calls_equals_verify() {
    let (judge, call) = (Judge::mcp(), Call::signed());
    let verifier = judge.verifier();
    let head = call.head();
    let held = verifier.judge_head(&head).unwrap();
    assert_eq!(held.statement().key_name.as_deref(), Some("alice"));
    assert_eq!(held.now(), time(NOW));
    let held = verifier.judge_body(held, &call.body).unwrap();
    assert_eq!(held.statement(&head).nonce.as_deref(), Some(NONCE));
    let verified = ready(verifier.claim(held)).unwrap();
    assert_eq!((verified.name(), verified.nonce_outcome()), (Some("alice"), NonceOutcome::Fresh));
    assert_eq!(verified.key(), key(1).public().id());
    assert_eq!(verified.tag(), Some(key(1).public().id().as_str()));
    assert_eq!(verified.created(), Some(time(CREATED)));
    // If the body was not kept, the request is never verified, but a replay of it is found.
    let held = verifier.judge_head(&head).unwrap().unread();
    let Err(VerifyError::Rejected(again)) = ready(verifier.claim_unread(held)) else {
        panic!("a replay")
    };
    assert_eq!((again.step().number(), again.code()), (12, Code::NonceReplayed));
}

#[test]
fn unread_and_read_requests_share_their_nonces() {
    let (judge, call) = (Judge::mcp(), Call::signed());
    let verifier = judge.verifier();
    let head = call.head();
    let held = verifier.judge_head(&head).unwrap().unread();
    assert_eq!(ready(verifier.claim_unread(held)).unwrap(), NonceOutcome::Fresh);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
}

fn unavailable(judge: &Judge, call: &Call) -> Unavailable {
    match judge.judge(call) {
        Err(VerifyError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_request_is_verified_with_a_full_or_broken_store() {
    // The store has room for eight nonces. Eight keys use one each.
    let full = Arc::new(memory().without_floor().bounded(8));
    for n in 0..8 {
        let id = *key(100 + n).public().id();
        ready(full.claim(time(NOW), &id, "n", time(NOW + 60))).unwrap();
    }
    let judge = Judge::mcp().replay(ReplayCheck::Claim(full.clone()));
    let Unavailable::Store(_) = unavailable(&judge, &Call::signed()) else { panic!() };
    // The full store has removed no nonce that is still needed.
    for n in 0..8 {
        let id = *key(100 + n).public().id();
        assert!(ready(full.peek(time(NOW), &id, "n")).unwrap().is_some(), "{n}");
    }
    // When the other nonces have ended, there is room again. The refused request used up no nonce,
    // so it is accepted now.
    let later = judge.clone().at(NOW + 300);
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.set("created", NOW + 300).set("expires", NOW + 330));
    later.accepts(&call);

    let broken = Counting::broken();
    for replay in [
        ReplayCheck::Claim(broken.clone()),
        ReplayCheck::ClaimOnce(broken.clone()),
        ReplayCheck::WithinRun(broken.clone()),
        ReplayCheck::LookUp { store: broken.clone(), within_run: store() },
        ReplayCheck::LookUp { store: store(), within_run: broken.clone() },
    ] {
        let judge = Judge::mcp().replay(replay);
        let Unavailable::Store(_) = unavailable(&judge, &Call::signed()) else { panic!() };
    }
    Judge::mcp().replay(ReplayCheck::Unchecked).accepts(&Call::signed());
}

#[test]
fn no_request_created_below_the_floor_is_verified() {
    // The store was created at NOW, so it refuses requests created up to its floor, which is NOW +
    // 5.
    let signed_at = |created: i64| {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        input.set("created", created).unset("expires");
        call.sign(&key(1), "mcp", &input);
        call
    };
    for (created, fresh) in [(NOW, false), (NOW + 4, false), (NOW + 5, false), (NOW + 6, true)] {
        let judge = Judge::mcp().at(NOW + 4).replay(ReplayCheck::Claim(Arc::new(memory())));
        let call = signed_at(created);
        if fresh {
            assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::Fresh);
            continue;
        }
        let below = unavailable(&judge, &call);
        let Unavailable::BelowFloor { floor, created: said, retry_after } = below else {
            panic!("{below:?}")
        };
        assert_eq!((floor, said, retry_after), (time(NOW + 5), Some(time(created)), 2));
        // The nonce of the refused request is used up nevertheless, so an attacker cannot repeat it
        // until it is accepted.
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        // A program that gives a single verdict does not refuse a request that is older than the
        // floor, but reports that a use may have been lost.
        let judge = judge.replay(ReplayCheck::ClaimOnce(Arc::new(memory())));
        assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::BelowFloor);
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    }
}

#[test]
fn the_verdict_states_the_outcome_of_the_nonce_check() {
    let call = Call::signed();
    // Within one run, the second use of a nonce is refused. No nonce is stored in a server's store.
    let judge = Judge::mcp().replay(ReplayCheck::WithinRun(store()));
    assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::Unchecked);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // Looking a nonce up changes nothing in the store.
    let theirs = Counting::new();
    let look = || ReplayCheck::LookUp { store: theirs.clone(), within_run: store() };
    let judge = Judge::mcp().replay(look());
    assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::Fresh);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed), "twice in this run");
    assert_eq!((theirs.claimed(), theirs.peeked()), (0, 1));
    Judge::mcp().replay(ReplayCheck::Claim(theirs.clone())).accepts(&call);
    assert_eq!(Judge::mcp().replay(look()).accepts(&call).nonce_outcome(), NonceOutcome::Replayed);
    // A store that may have lost nonces cannot prove that a nonce is unused.
    let young = ReplayCheck::LookUp { store: Arc::new(memory()), within_run: store() };
    assert_eq!(Judge::mcp().replay(young).accepts(&call).nonce_outcome(), NonceOutcome::BelowFloor);
    // With `ReplayCheck::Unchecked`, nonces are not checked.
    let judge = Judge::mcp().replay(ReplayCheck::Unchecked);
    for _ in 0..2 {
        assert_eq!(judge.accepts(&call).nonce_outcome(), NonceOutcome::Unchecked);
    }
}

/// The same request is verified many times at once. Exactly one of them is accepted.
#[test]
fn one_of_many_parallel_copies_is_verified() {
    let judge = Judge::mcp();
    let verifier = judge.verifier();
    let call = Call::signed();
    let start = std::sync::Barrier::new(64);
    let (mut verified, mut replayed) = (0, 0);
    std::thread::scope(|scope| {
        let one = || {
            let head = call.head();
            start.wait();
            ready(verifier.verify(&head, &call.body))
        };
        let threads: Vec<_> = (0..64).map(|_| scope.spawn(one)).collect();
        for thread in threads {
            match thread.join().unwrap() {
                Ok(_) => verified += 1,
                Err(VerifyError::Rejected(r)) if r.code() == Code::NonceReplayed => replayed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!((verified, replayed), (1, 63));
}
