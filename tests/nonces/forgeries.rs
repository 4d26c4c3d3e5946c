//! Tests that a request without a valid signature never reaches the nonce store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcpid::clock::{FixedClock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{KeyId, SecretKey, Sign, format};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::contract::{StorePlace, at};
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Code, ReplayCheck, Verifier, VerifyError};
use rand::rngs::SysRng;

use crate::wait;

/// A store that counts the nonces it is asked about.
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

/// Returns a request that `key` signed at second 100.
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

/// Returns the head with the value of one field changed.
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

pub(crate) fn forgeries_never_reach_the_store(place: &dyn StorePlace) {
    let key = Arc::new(SecretKey::generate(&mut SysRng).unwrap());
    let unknown = Arc::new(SecretKey::generate(&mut SysRng).unwrap());
    let trusted = format::jwks(key.public(), None);
    let registry = Registry::merge([TrustFile::parse(trusted.as_bytes()).unwrap()]);
    let counting = Arc::new(Counting { store: place.open(), claims: AtomicUsize::new(0) });
    let verifier = |now| {
        Verifier::new(
            Profile::mcp(),
            Arc::new(registry.clone()),
            Origins::unknown(),
            Arc::new(FixedClock(at(now))),
            ReplayCheck::Claim(counting.clone()),
        )
    };
    let judge = |now, head: &Head<'_>, body: &[u8]| wait(verifier(now).verify(head, body));
    let good = signed(&key);
    let later = |value: &str| value.replace("created=", "created=1");
    let forged = |value: &str| value.replacen(['A', 'a', 'B', 'b', 'Q', 'x'], "z", 1);
    let renamed = |value: &str| value.replacen("nonce=\"", "nonce=\"z", 1);
    for (what, now, head, body) in [
        ("an unknown key", 100, signed(&unknown), BODY),
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
        assert!(matches!(judge(now, &head, body), Err(VerifyError::Rejected(_))), "{what}");
        assert_eq!(counting.claims.load(Ordering::SeqCst), 0, "{what}");
    }
    judge(100, &good, BODY).unwrap();
    assert_eq!(counting.claims.load(Ordering::SeqCst), 1);
    match judge(100, &good, BODY) {
        Err(VerifyError::Rejected(r)) => assert_eq!(r.code(), Code::NonceReplayed),
        other => panic!("{other:?}"),
    }
}
