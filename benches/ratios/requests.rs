//! Requests as a client sends them, and the verifier that judges them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ed25519_dalek::{Signature, VerifyingKey};
use mcpid::base::header;
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{KeyKind, PublicKey, SecretKey, Sign as _, format};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::Retention;
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer};
use mcpid::verify::{ReplayCheck, Verified, Verifier};
use rand::rngs::SysRng;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

/// The request body for all benchmarks, from a file in the repository: a `tools/call` of exactly 1
/// KiB.
pub(crate) const TOOLS_CALL: &[u8; 1024] = include_bytes!("../tools_call.json");

/// What a request contains besides the signature fields.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Bytes that are not an MCP message, so that there is no MCP content to check.
    Opaque,
    /// A `tools/call` of revision 2026-07-28, with the fields that this revision requires.
    ToolsCall,
}

/// One key with its signer, the verifier that trusts it, the server's own origins, and the same key
/// for the library whose bare verification is the baseline.
pub(crate) struct BenchSetup {
    pub(crate) public: PublicKey,
    baseline: BaselineKey,
    pub(crate) origins: Origins,
    pub(crate) verifier: Verifier,
    pub(crate) signer: Signer,
}

/// A key as the library of the baseline needs it.
pub(crate) enum BaselineKey {
    Ed25519(VerifyingKey),
    P256(UnparsedPublicKey<Vec<u8>>),
}

/// A signed request after parsing, with the data that the bare verification needs.
pub(crate) struct Request {
    pub(crate) head: Head<'static>,
    pub(crate) base: String,
    pub(crate) signature: [u8; 64],
}

impl BenchSetup {
    /// Creates a verifier for requests that `secret` signs, by the profile `mcp` for keys of both kinds.
    pub(crate) fn new(secret: SecretKey) -> Self {
        let trust = format::jwks(secret.public(), None);
        BenchSetup::trusting(secret, &trust)
    }

    /// Like [`BenchSetup::new`], with the text of a trust file that contains the key of `secret`.
    pub(crate) fn trusting(secret: SecretKey, trust: &str) -> Self {
        let public = secret.public().clone();
        let profile = Profile { key_kinds: KeyKind::ALL, ..Profile::mcp() };
        let trust = TrustFile::parse(trust.as_bytes()).unwrap();
        let origins = Origins::new([Origin::parse("https://mcp.example.com").unwrap()]);
        let store = Memory::new(SystemClock.now(), Retention::new(30, 5), &mut SysRng)
            .unwrap()
            .without_floor();
        let verifier = Verifier::new(
            profile.clone(),
            Arc::new(Registry::merge([trust])),
            origins.clone(),
            Arc::new(SystemClock),
            ReplayCheck::Claim(Arc::new(store)),
        );
        let signer = Signer::new(Arc::new(secret), &profile).unwrap();
        let baseline = BaselineKey::of(&public);
        BenchSetup { public, baseline, origins, verifier, signer }
    }

    /// Returns the head of a request without a signature.
    pub(crate) fn unsigned(&self, kind: Kind) -> Head<'static> {
        let mut head = Head::new("POST", RequestTarget::Origin("/mcp".into())).unwrap();
        let mut add = |name: &'static str, value: &'static str| {
            head.push(name, value.as_bytes()).unwrap();
        };
        add("Host", "mcp.example.com");
        add("User-Agent", "bench/1.0");
        add("Content-Length", "1024");
        match kind {
            Kind::Opaque => add("Content-Type", "application/octet-stream"),
            Kind::ToolsCall => {
                add("Accept", "application/json, text/event-stream");
                add("Content-Type", "application/json");
                add("MCP-Protocol-Version", "2026-07-28");
                add("Mcp-Method", "tools/call");
                add("Mcp-Name", "create_issue");
            }
        }
        head
    }

    /// Returns a request with a fresh nonce, created now.
    pub(crate) fn signed(&self, kind: Kind) -> Request {
        let head = self.unsigned(kind);
        let signed = self.sign(&head);
        let head = with_fields(head, &signed);
        let signature = header::read(&head).unwrap().remove(0).signature.unwrap();
        Request { head, base: signed.base, signature: signature.try_into().unwrap() }
    }

    /// Signs the request with this head, now and with a fresh nonce.
    pub(crate) fn sign(&self, head: &Head<'static>) -> Signed {
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        self.signer.sign(head, &self.origins, TOOLS_CALL, SystemClock.now(), &nonce).unwrap()
    }

    /// Verifies a signature with the library of the baseline. The time of this function is the
    /// ratio 1.00.
    pub(crate) fn verify_baseline(&self, base: &[u8], signature: &[u8; 64]) {
        self.baseline.verify(base, signature);
    }

    /// Returns the name of the baseline, whose time is the ratio 1.00.
    pub(crate) fn baseline_name(&self) -> &'static str {
        match self.baseline {
            BaselineKey::Ed25519(_) => "bare verify_strict",
            BaselineKey::P256(_) => "ring's bare verify of P-256",
        }
    }

    /// Runs the whole of [`Verifier::verify`] for a request with this head.
    pub(crate) fn verify(&self, head: &Head<'_>) -> Verified {
        polled(self.verifier.verify(head, TOOLS_CALL)).unwrap()
    }
}

impl BaselineKey {
    pub(crate) fn of(public: &PublicKey) -> Self {
        match public.kind() {
            KeyKind::Ed25519 => {
                BaselineKey::Ed25519(VerifyingKey::try_from(public.as_bytes()).unwrap())
            }
            _ => {
                let point = public.as_bytes().to_vec();
                BaselineKey::P256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
            }
        }
    }

    /// Verifies a signature with the curve library alone: strictly with a decoded key for Ed25519,
    /// and with a key that is decoded each time for P-256.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8; 64]) {
        match self {
            BaselineKey::Ed25519(key) => {
                key.verify_strict(message, &Signature::from_bytes(signature)).unwrap();
            }
            BaselineKey::P256(key) => key.verify(message, signature).unwrap(),
        }
    }
}

/// Returns the head with the signature fields added.
pub(crate) fn with_fields(mut head: Head<'static>, signed: &Signed) -> Head<'static> {
    for (name, value) in signed.headers() {
        head.push(name, value.as_bytes().to_vec()).unwrap();
    }
    head
}

/// Returns the result of a future that is ready at once, as all futures here are with a store in
/// memory.
pub(crate) fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the memory store answered late"),
    }
}
