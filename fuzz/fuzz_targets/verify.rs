//! Fuzzes the whole verification, from bytes to a verdict. The private key of the seeds was
//! deleted. So each verified request must equal a seed in everything that affects a server: method,
//! target, body, and the fields that a signature covers.
#![no_main]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use mcpid::clock::{FixedClock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::message::Head;
use mcpid::message::capture::Captured;
use mcpid::message::target::Origins;
use mcpid::profile::Profile;
use mcpid::verify::{ReplayCheck, Verifier};

const TRUST: &[u8] =
    br#"{"kty":"OKP","crv":"Ed25519","x":"VtSqw_2mJ1tUwLDPVvUkoH5ktH-gS6lX0mpmxPPOh_k"}"#;
const SEEDS: [&[u8]; 2] =
    [include_bytes!("../seeds/verify/call"), include_bytes!("../seeds/verify/get")];

/// The parts of a request that affect a server.
#[derive(Debug, PartialEq)]
struct Effect {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn effect(captured: &Captured<'_>) -> Effect {
    let head: &Head<'_> = captured.head();
    let none = Origins::default();
    let steers = |name: &str| {
        ["content-type", "content-encoding", "last-event-id"].contains(&name)
            || name.starts_with("mcp-")
    };
    let mut fields: Vec<_> = head
        .fields()
        .iter()
        .filter(|field| steers(field.name()))
        .map(|field| (field.name().to_owned(), field.value().to_vec()))
        .collect();
    fields.sort();
    Effect {
        method: head.method().to_owned(),
        target: none.resolve(head).expect("a verified target").target_uri(),
        fields,
        body: captured.body().to_vec(),
    }
}

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let registry = Registry::merge([TrustFile::parse(TRUST).expect("a JWK")]);
    let clock = FixedClock(Timestamp::from_unix(1_795_392_010));
    let none = Origins::default();
    Verifier::new(Profile::mcp(), Arc::new(registry), none, Arc::new(clock), ReplayCheck::Unchecked)
});

static EFFECTS: LazyLock<Vec<Effect>> = LazyLock::new(|| {
    let effects = SEEDS.map(|seed| {
        assert!(holds(&Captured::parse(seed, 1 << 16).expect("a seed")), "a seed is refused");
        effect(&Captured::parse(seed, 1 << 16).expect("a seed"))
    });
    effects.into()
});

fn holds(captured: &Captured<'_>) -> bool {
    let mut judged = pin!(VERIFIER.verify(captured.head(), captured.body()));
    match judged.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => verdict.is_ok(),
        Poll::Pending => unreachable!("no store, nothing to wait for"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(captured) = Captured::parse(data, 1 << 16) else { return };
    // The seeds are parsed first, so that the first input reveals a broken seed.
    let effects = &*EFFECTS;
    if holds(&captured) {
        let found = effect(&captured);
        assert!(effects.contains(&found), "verified: {found:?}");
    }
});
