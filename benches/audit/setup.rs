//! The keys, the verifier and the requests that all measurements use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mcpid::audit::{Evidence, JudgedRequest, Recorder};
use mcpid::clock::{Clock, SystemClock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer};
use mcpid::verify::{ReplayCheck, Verifier};
use rand::rngs::SysRng;

pub(crate) const CALL: &[u8; 1024] = include_bytes!("../tools_call.json");
pub(crate) const NAME: &str = "example.com/bench";

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct BenchSetup {
    pub(crate) key: Arc<SecretKey>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) verifier: Verifier,
    signer: Signer,
    origins: Origins,
}

impl BenchSetup {
    pub(crate) fn new() -> Self {
        let key = Arc::new(SecretKey::generate(&mut SysRng).unwrap());
        let file = TrustFile::parse(format::jwk(key.public(), None).as_bytes()).unwrap();
        let registry = Arc::new(Registry::merge([file]));
        let origins = Origins::new([Origin::parse("https://mcp.example.com").unwrap()]);
        let clock = Arc::new(SetClock(AtomicI64::new(SystemClock.now().unix())));
        let profile = Profile::mcp();
        let verifier = Verifier::new(
            profile.clone(),
            registry,
            origins.clone(),
            clock.clone(),
            ReplayCheck::Unchecked,
        );
        let signer = Signer::new(key.clone(), &profile).unwrap();
        BenchSetup { key, clock, verifier, signer, origins }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn head<'a>(&self, signed: Option<&'a Signed>) -> Head<'a> {
        let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
        for (name, value) in [
            ("host", "mcp.example.com"),
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "get_weather"),
        ] {
            head.push(name, value.as_bytes()).unwrap();
        }
        for (name, value) in signed.iter().flat_map(|signed| signed.headers()) {
            head.push(name, value.as_bytes()).unwrap();
        }
        head
    }

    pub(crate) fn signed(&self) -> Signed {
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        self.signer.sign(&self.head(None), &self.origins, CALL, self.now(), &nonce).unwrap()
    }

    pub(crate) async fn record(&self, recorder: &Recorder, signed: &Signed) {
        let head = self.head(Some(signed));
        let held = self.verifier.judge_head(&head).unwrap();
        let evidence = Evidence::of(&Profile::mcp(), &head, held.signatures());
        let judged = JudgedRequest::new(&head, &self.verifier, self.now()).with_body(Some(CALL));
        recorder.verified(&judged, &evidence).await.unwrap();
    }
}
