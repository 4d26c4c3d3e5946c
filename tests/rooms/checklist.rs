//! The checklist as a whole: its order, several signatures, who is told what, the profiles, and
//! what is done with nonces.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mcpid::clock::{Clock, Timestamp};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::mcp::body::Scope;
use mcpid::nonce::{NonceStore as _, Retention};
use mcpid::profile::{Profile, Window};
use mcpid::verify::{Code, Refusal, Rejection, Replay, Seen, Unavailable};
use serde_json::json;

use crate::refusals::{Play, use_up};
use crate::scene::{
    CREATED, Call, Counting, Input, Judge, NONCE, NOW, key, memory, ready, store, time, trusted,
};

/// One fault for each step, such that all of them can be in one request.
type Fault = (u8, fn(&mut Play), fn(&mut Play));

const FAULTS: [Fault; 12] = [
    (
        1,
        |_| (),
        |p| {
            p.call.push("mcp-name", "get_weather");
        },
    ),
    (
        2,
        |_| (),
        |p| {
            p.call.remove("signature");
        },
    ),
    (
        3,
        |_| (),
        |p| {
            p.call.edit("signature-input", "mcp=(", "mcp=(\"@method\" ");
        },
    ),
    (4, |p| drop(p.input.params.remove(4)), |_| ()),
    (5, |_| (), |p| p.judge = p.judge.clone().at(CREATED + 31)),
    (
        6,
        |p| {
            p.input.uncover("content-type");
        },
        |_| (),
    ),
    (7, |p| p.limit("revoked_at", json!(time(CREATED).to_string())), |_| ()),
    (8, |_| (), |p| p.key = key(2)),
    (9, |_| (), |p| p.call.body.push(b' ')),
    (
        10,
        |p| {
            p.call.set("mcp-name", "delete_weather");
        },
        |_| (),
    ),
    (11, |p| p.limit("allow", json!([])), |_| ()),
    (12, |p| use_up(&p.judge.clone().trusting(vec![trusted(&key(1))]), NONCE), |_| ()),
];

fn with_faults(faults: &[&Fault]) -> u8 {
    let mut play = Play::new();
    // The store first: its fault is to have accepted a request without faults.
    for (_, before, _) in faults.iter().rev() {
        before(&mut play);
    }
    if faults.iter().any(|(step, ..)| *step == 8) {
        play.key = key(2);
    }
    play.sign();
    for (_, _, after) in faults.iter().rev() {
        after(&mut play);
    }
    play.judge.refuses(&play.call).step().number()
}

#[test]
fn of_two_faults_the_earlier_step_is_reported() {
    for (at, first) in FAULTS.iter().enumerate() {
        assert_eq!(with_faults(&[first]), first.0);
        for second in &FAULTS[at + 1..] {
            assert_eq!(with_faults(&[first, second]), first.0, "{} and {}", first.0, second.0);
        }
    }
    assert_eq!(with_faults(&FAULTS.each_ref()), 1);
    assert_eq!(with_faults(&FAULTS.each_ref()[2..]), 3);
}

/// A call signed by key 1 as `a`, and by key 2 as `b` with another nonce.
fn two() -> (Judge, Call) {
    let judge = Judge::mcp().trusting(vec![trusted(&key(1)), trusted(&key(2))]);
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "a", &input);
    input = Input::of(&call, &key(2));
    call.sign(&key(2), "b", input.set("nonce", "\"second-nonce-of-22-chr\""));
    (judge, call)
}

/// The same call with the signature of one label only.
fn stripped(call: &Call, keep: &str) -> Call {
    let mut call = call.clone();
    let other = |value: &[u8]| !value.starts_with(format!("{keep}=").as_bytes());
    call.fields.retain(|(name, value)| !(name.starts_with("signature") && other(value)));
    call
}

#[test]
fn the_nonces_of_all_that_hold_are_claimed() {
    let (judge, call) = two();
    assert_eq!(judge.accepts(&call).label(), "a");
    for keep in ["a", "b"] {
        let refused = judge.refusal(&stripped(&call, keep));
        assert_eq!(refused, (12, Code::NonceReplayed), "{keep} alone");
    }
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // The other way round: whichever was used first, both together are no longer fresh.
    for keep in ["a", "b"] {
        let (judge, call) = two();
        judge.accepts(&stripped(&call, keep));
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed), "{keep} first");
    }
}

#[test]
fn one_that_holds_is_enough() {
    for broken in ["a", "b"] {
        let (judge, mut call) = two();
        for (name, value) in &mut call.fields {
            if name == "signature" && value.starts_with(broken.as_bytes()) {
                value[10] ^= 1;
            }
        }
        let held = if broken == "a" { "b" } else { "a" };
        assert_eq!(judge.accepts(&call).label(), held);
        // What did not hold used nothing up.
        let (_, whole) = two();
        judge.accepts(&stripped(&whole, broken));
    }
    // So with a member that cannot be read, and one by a stranger.
    for (input, signature) in [
        ("(\"@method\" \"@method\");created=1", ":AAAA:"),
        ("(\"Bad\");created=1", ":AAAA:"),
        ("1", ":AAAA:"),
        ("()", "1"),
        ("()", ":AAAA:;x"),
        ("();a;a", ":AAAA:"),
        ("()", ":AB==:"),
        ("(\"@method\");created=1;keyid=\"stranger\"", ":AAAA:"),
    ] {
        for first in [true, false] {
            let (judge, mut call) = (Judge::mcp(), Call::signed());
            let at = if first { 0 } else { call.fields.len() };
            let line = |name: &str, value| (name.to_owned(), format!("x={value}").into_bytes());
            call.fields.insert(at, line("signature", signature));
            call.fields.insert(at, line("signature-input", input));
            assert_eq!(judge.accepts(&call).label(), "mcp", "{input} {signature}");
        }
    }
}

#[test]
fn a_fault_of_the_dictionary_refuses_all() {
    for (name, more) in [
        ("signature", "x=:AAAA:"),
        ("signature-input", "x=()"),
        ("signature", "mcp=:AAAA:"),
        ("signature-input", "mcp=()"),
        ("signature", "="),
        ("signature-input", "x=("),
        ("signature", "X=:AAAA:"),
        ("signature", "x=:AAAA"),
    ] {
        let mut call = Call::signed();
        call.push(name, more);
        let refused = Judge::mcp().refusal(&call);
        assert_eq!(refused, (3, Code::SignatureMalformed), "{name}: {more}");
    }
}

#[test]
fn four_labels_are_the_most() {
    let mut call = Call::signed();
    for label in ["b", "c", "d"] {
        call.attach(label, "()", &[]);
    }
    Judge::mcp().accepts(&call);
    call.attach("e", "()", &[]);
    assert_eq!(Judge::mcp().refusal(&call), (1, Code::TooLarge));
}

#[test]
fn of_those_that_fail_the_furthest_speaks() {
    let broken = |call: &mut Call, label: &str, change: fn(&mut Input)| {
        let mut input = Input::of(call, &key(1));
        change(&mut input);
        call.attach(label, &input.to_string(), &[1; 64]);
    };
    let changes: [(u8, fn(&mut Input)); 5] = [
        (4, |i| drop(i.params.remove(2))),
        (5, |i| {
            i.set("created", 0).set("expires", 1);
        }),
        (6, |i| i.components.clear()),
        (7, |i| {
            i.set("keyid", "\"stranger\"");
        }),
        (8, |_| ()),
    ];
    for (first, one) in changes {
        for (second, other) in changes {
            let mut call = Call::unsigned();
            broken(&mut call, "one", one);
            broken(&mut call, "other", other);
            let rejection = Judge::mcp().refuses(&call);
            assert_eq!(rejection.step().number(), first.max(second));
            let label = &rejection.statement().unwrap().label;
            assert_eq!(label, if second > first { "other" } else { "one" }, "{first} {second}");
        }
    }
}

#[test]
fn a_pair_is_claimed_once() {
    let counting = Counting::new();
    let judge = Judge::mcp().replay(Replay::Claim(counting.clone()));
    let mut call = Call::unsigned();
    for label in ["a", "b", "c"] {
        let mut input = Input::of(&call, &key(1));
        call.sign(&key(1), label, input.set("x", format!("\"{label}\"")));
    }
    judge.accepts(&call);
    assert_eq!(counting.claimed(), 1);
    for keep in ["a", "b", "c"] {
        assert_eq!(judge.refusal(&stripped(&call, keep)), (12, Code::NonceReplayed), "{keep}");
    }
    // The nonce of one key is not that of another.
    let mut call = Call::unsigned();
    for (label, by) in [("a", 1), ("b", 2)] {
        let input = Input::of(&call, &key(by));
        call.sign(&key(by), label, &input);
    }
    let counting = Counting::new();
    let both = vec![trusted(&key(1)), trusted(&key(2))];
    let judge = Judge::mcp().trusting(both).replay(Replay::Claim(counting.clone()));
    judge.accepts(&call);
    assert_eq!(counting.claimed(), 2);
}

/// Under `rfc9421` two signatures may share a nonce and end at different times, or never.
#[test]
fn a_shared_nonce_is_remembered_until_the_last_signature_is_over() {
    for first_ends in [Some(CREATED + 20), None] {
        let mut call = Call::unsigned();
        for (label, ends) in [("a", first_ends), ("b", Some(CREATED + 3_600))] {
            let mut input = Input::of(&call, &key(1));
            match ends {
                Some(ends) => input.set("expires", ends),
                None => input.unset("expires"),
            };
            call.sign(&key(1), label, &input);
        }
        let shared = Arc::new(
            mcpid::nonce::memory::Memory::new(time(NOW), Retention::new(0, 5), &mut {
                rand::rngs::SysRng
            })
            .unwrap()
            .without_floor(),
        );
        let judge = Judge::by(Profile::rfc9421()).replay(Replay::WithinRun(shared));
        judge.accepts(&call);
        for later in [0, 100, 3_500] {
            let again = judge.clone().at(NOW + later).refusal(&stripped(&call, "b"));
            assert_eq!(again, (12, Code::NonceReplayed), "{first_ends:?} {later}");
        }
    }
}

#[test]
fn the_verdict_names_the_first_that_may() {
    let (mut judge, call) = two();
    judge.trust[0]["mcpid"]["allow"] = json!(["tools/list"]);
    let verified = judge.accepts(&call);
    assert_eq!((verified.label(), verified.key()), ("b", key(2).public().id()));
    // The one that may not is used up all the same.
    judge.trust[0]["mcpid"]["allow"] = json!(["tools/call"]);
    assert_eq!(judge.refusal(&stripped(&call, "a")), (12, Code::NonceReplayed));
}

fn told(rejection: &Rejection) -> (Code, Code) {
    (rejection.code(), rejection.told())
}

/// What a registry holds is none of a stranger's business: who does not hold the key cannot tell
/// unknown, revoked, expired, bound and published keys apart.
#[test]
fn a_stranger_is_told_nothing_of_the_registry() {
    type Change = fn(&mut Play);
    let cases: [(Code, Change); 7] = [
        (Code::KeyUnknown, |p| p.judge.trust.clear()),
        (Code::KeyRevoked, |p| p.limit("revoked_at", json!(time(CREATED).to_string()))),
        (Code::KeyNotValid, |p| p.limit("not_after", json!(time(CREATED).to_string()))),
        (Code::KeyNotValid, |p| p.limit("not_before", json!(time(NOW + 9).to_string()))),
        (Code::TagMismatch, |p| {
            p.input.set("tag", "\"bob\"");
        }),
        (Code::KeyPublished, |p| {
            p.key = SecretKey::from_seed(&[7; 32]);
            p.judge.trust = vec![trusted(&p.key)];
            p.input = Input::of(&p.call, &p.key);
        }),
        (Code::SignatureInvalid, |p| p.key = key(2)),
    ];
    for (code, change) in cases {
        let mut play = Play::new();
        change(&mut play);
        // Genuine, where there is a key that it could be genuine under.
        play.sign();
        let genuine = play.judge.refuses(&play.call);
        let known = !matches!(code, Code::KeyUnknown | Code::SignatureInvalid);
        assert_eq!(told(&genuine), (code, if known { code } else { Code::KeyUnknown }));
        // Forged.
        let mut forged = play.call.clone();
        forged.remove("signature").remove("signature-input");
        forged.attach("mcp", &play.input.to_string(), &[9; 64]);
        assert_eq!(told(&play.judge.refuses(&forged)), (code, Code::KeyUnknown));
        // Of the wrong length.
        let mut short = play.call.clone();
        short.remove("signature").remove("signature-input");
        short.attach("mcp", &play.input.to_string(), &[9; 63]);
        assert_eq!(play.judge.refuses(&short).told(), Code::KeyUnknown);
    }
    // Before and after these two steps there is nothing to hide.
    for case in crate::refusals::cases() {
        if matches!(case.step, 7 | 8) {
            continue;
        }
        let mut play = Play::new();
        (case.before)(&mut play);
        play.sign();
        (case.after)(&mut play);
        let rejection = play.judge.refuses(&play.call);
        assert_eq!(rejection.told(), rejection.code(), "{}", case.why);
    }
}

#[test]
fn every_published_key_is_refused_but_by_a_profile_for_tests() {
    let seeds = (0..=255_u8).map(|byte| [byte; 32]).chain((1..=16_u8).flat_map(|n| {
        let (mut low, mut high) = ([0; 32], [0; 32]);
        (low[0], high[31]) = (n, n);
        [low, high]
    }));
    let for_tests = Profile { refuse_published: false, ..Profile::mcp() };
    let mut tried = 0;
    for seed in seeds {
        let key = SecretKey::from_seed(&seed);
        let mut call = Call::unsigned();
        let input = Input::of(&call, &key);
        call.sign(&key, "mcp", &input);
        let trust = vec![trusted(&key)];
        // Refusing costs two verifications each here; a few for each of the other profiles.
        let profiles = [Profile::mcp(), Profile::sep2752(), Profile::rfc9421()];
        for profile in profiles.into_iter().take(if tried % 16 == 0 { 3 } else { 1 }) {
            let judge = Judge::by(profile).trusting(trust.clone());
            assert_eq!(judge.refusal(&call), (7, Code::KeyPublished), "{seed:?}");
        }
        if tried % 16 == 0 {
            Judge::by(for_tests.clone()).trusting(trust).accepts(&call);
        }
        tried += 1;
    }
    assert_eq!(tried, 256 + 32);
}

/// A clock that goes on between two looks at it.
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
fn a_body_that_trickles_expires() {
    let counting = Counting::new();
    let ticking = |step| {
        let clock = Arc::new(Ticking { now: AtomicI64::new(CREATED), step });
        Judge { clock, ..Judge::mcp() }.replay(Replay::Claim(counting.clone()))
    };
    assert_eq!(ticking(30).refusal(&Call::signed()), (5, Code::Expired));
    assert_eq!(counting.claimed(), 0);
    let verified = ticking(29).accepts(&Call::signed());
    assert_eq!(verified.now(), time(CREATED + 29));
    // A clock that steps back makes it early.
    assert_eq!(ticking(-6).refusal(&Call::signed()), (5, Code::NotYetValid));
    // Two signatures: the one that lasts carries the request.
    let mut call = Call::unsigned();
    for (label, ends) in [("a", CREATED + 5), ("b", CREATED + 30)] {
        let mut input = Input::of(&call, &key(1));
        let nonce = format!("\"another-nonce-of-{label}\"");
        call.sign(&key(1), label, input.set("expires", ends).set("nonce", nonce));
    }
    assert_eq!(ticking(10).accepts(&call).label(), "b");
}

#[test]
fn the_three_stages_are_the_whole() {
    let (judge, call) = (Judge::mcp(), Call::signed());
    let verifier = judge.verifier();
    let head = call.head();
    let held = verifier.judge_head(&head).unwrap();
    assert_eq!(held.statement().key_name.as_deref(), Some("alice"));
    assert_eq!(held.now(), time(NOW));
    let held = verifier.judge_body(held, &call.body).unwrap();
    assert_eq!(held.statement(&head).nonce.as_deref(), Some(NONCE));
    let verified = ready(verifier.claim(held)).unwrap();
    assert_eq!((verified.name(), verified.seen()), (Some("alice"), Seen::Fresh));
    assert_eq!(verified.key(), key(1).public().id());
    assert_eq!(verified.tag(), Some(key(1).public().id().as_str()));
    assert_eq!(verified.created(), Some(time(CREATED)));
    // A body that was not kept: never verified, but a replay shows.
    let held = verifier.judge_head(&head).unwrap().unread();
    let Err(Refusal::Rejected(again)) = ready(verifier.claim_unread(held)) else {
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
    assert_eq!(ready(verifier.claim_unread(held)).unwrap(), Seen::Fresh);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
}

fn unavailable(judge: &Judge, call: &Call) -> Unavailable {
    match judge.judge(call) {
        Err(Refusal::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_or_broken_store_is_no_yes() {
    // Room for eight, one for each key.
    let full = Arc::new(memory().without_floor().bounded(8));
    for n in 0..8 {
        let id = *key(100 + n).public().id();
        ready(full.claim(time(NOW), &id, "n", time(NOW + 60))).unwrap();
    }
    let judge = Judge::mcp().replay(Replay::Claim(full.clone()));
    let Unavailable::Store(_) = unavailable(&judge, &Call::signed()) else { panic!() };
    // Nothing that is live was pushed out for it.
    for n in 0..8 {
        let id = *key(100 + n).public().id();
        assert!(ready(full.peek(time(NOW), &id, "n")).unwrap().is_some(), "{n}");
    }
    // There is room again once the others are over; the request was not used up.
    let later = judge.clone().at(NOW + 300);
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.set("created", NOW + 300).set("expires", NOW + 330));
    later.accepts(&call);

    let broken = Counting::broken();
    for replay in [
        Replay::Claim(broken.clone()),
        Replay::ClaimOnce(broken.clone()),
        Replay::WithinRun(broken.clone()),
        Replay::LookUp { store: broken.clone(), run: store() },
        Replay::LookUp { store: store(), run: broken.clone() },
    ] {
        let judge = Judge::mcp().replay(replay);
        let Unavailable::Store(_) = unavailable(&judge, &Call::signed()) else { panic!() };
    }
    Judge::mcp().replay(Replay::Unchecked).accepts(&Call::signed());
}

#[test]
fn below_the_floor_nothing_is_verified() {
    // Started at NOW, so that its floor is NOW + 5.
    let signed_at = |created: i64| {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        input.set("created", created).unset("expires");
        call.sign(&key(1), "mcp", &input);
        call
    };
    for (created, fresh) in [(NOW, false), (NOW + 4, false), (NOW + 5, false), (NOW + 6, true)] {
        let judge = Judge::mcp().at(NOW + 4).replay(Replay::Claim(Arc::new(memory())));
        let call = signed_at(created);
        if fresh {
            assert_eq!(judge.accepts(&call).seen(), Seen::Fresh);
            continue;
        }
        let below = unavailable(&judge, &call);
        let Unavailable::BelowFloor { floor, created: said, retry_after } = below else {
            panic!("{below:?}")
        };
        assert_eq!((floor, said, retry_after), (time(NOW + 5), Some(time(created)), 2));
        // It is used up all the same: nobody can try it until it passes.
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        // A program that lives for one verdict reports it.
        let judge = judge.replay(Replay::ClaimOnce(Arc::new(memory())));
        assert_eq!(judge.accepts(&call).seen(), Seen::BelowFloor);
        assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    }
}

#[test]
fn what_is_done_with_nonces() {
    let call = Call::signed();
    // Within a run the second use is refused, and no more is said.
    let judge = Judge::mcp().replay(Replay::WithinRun(store()));
    assert_eq!(judge.accepts(&call).seen(), Seen::Unchecked);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
    // A look-up changes nothing in the store that it looks at.
    let theirs = Counting::new();
    let look = || Replay::LookUp { store: theirs.clone(), run: store() };
    let judge = Judge::mcp().replay(look());
    assert_eq!(judge.accepts(&call).seen(), Seen::Fresh);
    assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed), "twice in this run");
    assert_eq!((theirs.claimed(), theirs.peeked()), (0, 1));
    Judge::mcp().replay(Replay::Claim(theirs.clone())).accepts(&call);
    assert_eq!(Judge::mcp().replay(look()).accepts(&call).seen(), Seen::Replayed);
    // A store that may have forgotten proves nothing.
    let young = Replay::LookUp { store: Arc::new(memory()), run: store() };
    assert_eq!(Judge::mcp().replay(young).accepts(&call).seen(), Seen::BelowFloor);
    // Unchecked is unchecked.
    let judge = Judge::mcp().replay(Replay::Unchecked);
    for _ in 0..2 {
        assert_eq!(judge.accepts(&call).seen(), Seen::Unchecked);
    }
}

#[test]
fn tags_are_the_key_or_one_of_its_clients() {
    let tagged = |tag: &str| {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        input.set("tag", format!("\"{tag}\""));
        call.sign(&key(1), "mcp", &input);
        call
    };
    assert_eq!(Judge::mcp().accepts(&tagged("alice-laptop")).tag(), Some("alice-laptop"));
    assert_eq!(Judge::mcp().refusal(&tagged("bob")), (7, Code::TagMismatch));
    for profile in [Profile::sep2752(), Profile::rfc9421()] {
        Judge::by(profile.clone()).accepts(&tagged("bob"));
        Judge::by(profile).accepts(&tagged(""));
    }
}

#[test]
fn sep2752_is_wider_but_not_laxer() {
    let sep = || Judge::by(Profile::sep2752());
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", input.unset("expires"));
    for (now, code) in [
        (CREATED - 61, Some(Code::NotYetValid)),
        (CREATED - 60, None),
        (CREATED + 300, None),
        (CREATED + 301, Some(Code::Expired)),
    ] {
        match code {
            None => drop(sep().at(now).accepts(&call)),
            Some(code) => assert_eq!(sep().at(now).refusal(&call), (5, code), "{now}"),
        }
    }
    let until = sep().verifier().retention().until(time(CREATED));
    assert_eq!(until, time(CREATED + 660), "nonces are kept for 660 s");
    for name in ["created", "nonce", "keyid", "tag"] {
        let mut call = Call::unsigned();
        let mut input = Input::of(&call, &key(1));
        call.sign(&key(1), "mcp", input.unset("expires").unset(name));
        assert_eq!(sep().refusal(&call), (4, Code::ParameterMissing), "{name}");
    }
    // The body is signed, not read.
    let mut call = Call::unsigned();
    call.with_body("no JSON");
    let input = Input::of(&call, &key(1));
    call.sign(&key(1), "mcp", &input);
    sep().accepts(&call);
    // But what cannot be read is granted nothing.
    let mut limited = sep();
    limited.trust[0]["mcpid"]["allow"] = json!(["*"]);
    assert_eq!(limited.refusal(&call), (11, Code::NotAllowed));
    limited.scope = Scope::Anywhere;
    assert_eq!(limited.refusal(&call), (11, Code::NotAllowed));
}

fn rfc(change: impl FnOnce(&mut Input)) -> Call {
    let mut call = Call::unsigned();
    let mut input = Input::of(&call, &key(1));
    change(&mut input);
    call.sign(&key(1), "sig1", &input);
    call
}

#[test]
fn rfc9421_takes_what_verifies() {
    let judge = || Judge::by(Profile::rfc9421());
    // No parameter but the key is asked for, and nothing has to be covered.
    let bare = rfc(|i| {
        i.components.clear();
        i.unset("created").unset("expires").unset("nonce").unset("tag");
    });
    assert_eq!(judge().accepts(&bare).seen(), Seen::Unchecked);
    assert_eq!(judge().accepts(&bare).created(), None);
    let anonymous = rfc(|i| {
        i.unset("keyid");
    });
    assert_eq!(judge().refusal(&anonymous), (4, Code::ParameterMissing));
    // Five seconds ahead, and without an end behind.
    for (now, code) in [(CREATED - 6, Some(Code::NotYetValid)), (CREATED - 5, None)] {
        let call = rfc(|i| {
            i.unset("expires");
        });
        match code {
            None => drop(judge().at(now).accepts(&call)),
            Some(code) => assert_eq!(judge().at(now).refusal(&call), (5, code)),
        }
        judge().at(CREATED + 1_000_000_000).accepts(&call);
    }
    assert_eq!(judge().at(CREATED + 30).refusal(&rfc(|_| ())), (5, Code::Expired));
    // A window can be asked for; then `created` has to be there.
    let window = Window { back: Some(30), ahead: 5 };
    let windowed = Judge::by(Profile { window, ..Profile::rfc9421() });
    assert_eq!(windowed.refusal(&bare), (4, Code::ParameterMissing));
    // The digest, if there is one.
    let mut without = Call::unsigned();
    without.remove("content-digest");
    let mut input = Input::of(&without, &key(1));
    without.sign(&key(1), "sig1", input.uncover("content-digest"));
    judge().accepts(&without);
    let mut changed = rfc(|_| ());
    changed.body.push(b' ');
    assert_eq!(judge().refusal(&changed), (9, Code::DigestMismatch));
    let mut uncovered = rfc(|i| {
        i.uncover("content-digest");
    });
    judge().accepts(&uncovered);
    uncovered.body.push(b' ');
    // A new nonce store, so that only the body is another.
    assert_eq!(judge().refusal(&uncovered), (9, Code::DigestMismatch));
    // Still no other algorithm, and no key that may not.
    let other = rfc(|i| {
        i.set("alg", "\"hmac-sha256\"");
    });
    assert_eq!(judge().refusal(&other), (4, Code::AlgNotAllowed));
}

#[test]
fn rfc9421_claims_what_is_bounded() {
    let counting = Counting::new();
    let judge = Judge::by(Profile::rfc9421()).replay(Replay::Claim(counting.clone()));
    for (ends, seen) in [
        (None, Seen::Unchecked),
        (Some(NOW + 86_401), Seen::Unchecked),
        (Some(NOW + 86_400), Seen::Fresh),
    ] {
        let call = rfc(|i| {
            match ends {
                Some(ends) => i.set("expires", ends),
                None => i.unset("expires"),
            };
        });
        let before = counting.claimed();
        assert_eq!(judge.accepts(&call).seen(), seen, "{ends:?}");
        assert_eq!(counting.claimed() - before, usize::from(seen == Seen::Fresh));
        if seen == Seen::Unchecked {
            judge.accepts(&call);
        } else {
            assert_eq!(judge.refusal(&call), (12, Code::NonceReplayed));
        }
    }
    // A nonce of any form counts, and none at all is none.
    let short = |nonce: Option<&str>| {
        rfc(|i| {
            match nonce {
                Some(nonce) => i.set("nonce", nonce),
                None => i.unset("nonce"),
            };
        })
    };
    let judge = Judge::by(Profile::rfc9421());
    assert_eq!(judge.accepts(&short(Some("\"x\""))).seen(), Seen::Fresh);
    assert_eq!(judge.refusal(&short(Some("\"x\""))), (12, Code::NonceReplayed));
    assert_eq!(judge.accepts(&short(None)).seen(), Seen::Unchecked);
    assert_eq!(judge.refusal(&short(Some("x"))), (4, Code::ParameterInvalid));
}

#[test]
fn rfc9421_finds_keys_by_kid() {
    let named = |number: u8, kid: &str| {
        let mut entry = trusted(&key(number));
        entry["kid"] = json!(kid);
        entry
    };
    let call = rfc(|i| {
        i.set("keyid", "\"shared\"");
    });
    let judge = |numbers: &[u8]| {
        let trust = numbers.iter().map(|n| named(*n, "shared")).collect();
        Judge::by(Profile::rfc9421()).trusting(trust)
    };
    for numbers in [&[1][..], &[1, 2], &[2, 1], &[2, 3, 1], &[4, 3, 2, 1]] {
        let verified = judge(numbers).accepts(&call);
        assert_eq!(verified.key(), key(1).public().id(), "{numbers:?}");
    }
    assert_eq!(judge(&[5, 4, 3, 2, 1]).refusal(&call), (8, Code::SignatureInvalid), "four");
    assert_eq!(judge(&[2, 3]).refusal(&call), (8, Code::SignatureInvalid));
    let stranger = Judge::by(Profile::rfc9421()).trusting(vec![named(1, "other")]);
    assert_eq!(stranger.refusal(&call), (7, Code::KeyUnknown));
    // `mcp` takes no kid.
    assert_eq!(Judge::mcp().trusting(vec![named(1, "shared")]).refusal(&call).0, 7);
    // A thumbprint comes first, even where another key bears it as its kid.
    let id = key(1).public().id().to_string();
    let trust = vec![named(2, &id), named(1, "x")];
    let verified = Judge::by(Profile::rfc9421()).trusting(trust).accepts(&rfc(|_| ()));
    assert_eq!(verified.key().as_str(), id);
    // Of several keys, the one that signed gives the reason.
    for first in [true, false] {
        let mut revoked = named(1, "shared");
        revoked["mcpid"]["revoked_at"] = json!(time(CREATED).to_string());
        let mut late = named(2, "shared");
        late["mcpid"]["not_after"] = json!(time(CREATED).to_string());
        let strong = named(3, "shared");
        let trust = if first { vec![revoked, late, strong] } else { vec![strong, late, revoked] };
        let rejection = Judge::by(Profile::rfc9421()).trusting(trust).refuses(&call);
        assert_eq!(told(&rejection), (Code::KeyRevoked, Code::KeyRevoked));
        let statement = rejection.statement().unwrap();
        assert_eq!(statement.key.as_deref(), Some(key(1).public().id().as_str()));
    }
}

#[test]
fn a_statement_says_what_was_signed() {
    let mut call = Call::signed();
    call.push("x-forwarded-for", "10.0.0.1");
    call.body.push(b' ');
    let mut judge = Judge::mcp();
    judge.trust[0]["mcpid"]["revoked_at"] = json!(time(NOW + 1_000).to_string());
    let rejection = judge.refuses(&call);
    let said = rejection.statement().unwrap();
    assert_eq!(said.label, "mcp");
    assert_eq!(said.key.as_deref(), Some(key(1).public().id().as_str()));
    assert_eq!(said.key_name.as_deref(), Some("alice"));
    assert_eq!(said.revoked_at, Some(time(NOW + 1_000)));
    assert_eq!((said.created, said.expires), (Some(time(CREATED)), Some(time(CREATED + 30))));
    assert_eq!(said.covered[..3], ["@method", "@target-uri", "content-digest"]);
    assert_eq!(said.not_covered, ["accept", "x-forwarded-for"]);
}

/// Many verifications of one request at once: one is the first.
#[test]
fn of_many_at_once_one_is_verified() {
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
                Err(Refusal::Rejected(r)) if r.code() == Code::NonceReplayed => replayed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!((verified, replayed), (1, 63));
}
