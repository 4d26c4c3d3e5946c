//! Makes requests that a security key confirmed by a touch, for the tests of touch rules.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mcpid::clock::{Clock as _, Timestamp};
use mcpid::key::SecretKey;
use mcpid::key::trust::Registry;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signed, Signer};
use mcpid::tower::{TouchRules, VerifyLayer};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::servers::*;
use crate::software_key::SoftwareKey;

pub(crate) const DELETE: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_db"}}"#;

/// Returns alice's security key.
pub(crate) fn touch_key() -> SoftwareKey {
    SoftwareKey::new(key(21))
}

/// Returns alice's security key, which signs with other flags.
pub(crate) fn flagged(flags: u8) -> SoftwareKey {
    let mut toucher = touch_key();
    toucher.flags = flags;
    toucher
}

/// Returns the trust file's entry of an ordinary key with this name.
pub(crate) fn named(secret: &SecretKey, name: &str, mut more: Value) -> Value {
    more["name"] = json!(name);
    let mut entry = entry(secret, json!({}));
    entry["mcpid"] = more;
    entry
}

/// Returns the trust file's entry of a security key whose touch confirms the signatures of
/// `signers`.
pub(crate) fn touching(secret: &SecretKey, name: &str, signers: &[&str], mut more: Value) -> Value {
    more["security_key"] = json!({"application": "ssh:mcpid", "for": signers});
    named(secret, name, more)
}

/// Returns the usual trusted keys: alice's key 1 and her security key, and bob's key 2 and his
/// security key.
pub(crate) fn usual() -> Vec<Value> {
    vec![
        named(&key(1), "alice", json!({})),
        named(&key(2), "bob", json!({})),
        touching(&key(21), "alice's security key", &["alice"], json!({})),
        touching(&key(22), "bob's security key", &["bob"], json!({})),
    ]
}

pub(crate) fn delete_rules() -> TouchRules {
    TouchRules::new().with_pattern("tools/call:delete_*".parse().unwrap())
}

pub(crate) fn layer_of(clock: &Arc<HandClock>, entries: Vec<Value>) -> VerifyLayer {
    let registry: Arc<Registry> = registry(entries);
    let layer = VerifyLayer::new(verifier(clock, registry, Arc::new(store()))).unwrap();
    layer.with_touch(delete_rules()).unwrap()
}

/// A request that the test signs step by step.
pub(crate) struct Draft {
    pub(crate) head: Head<'static>,
    body: String,
    at: Timestamp,
    nonce: Nonce,
}

impl Draft {
    pub(crate) fn new(clock: &HandClock, body: &str) -> Self {
        let target = RequestTarget::Origin("/mcp?tenant=a%2fb".into());
        let mut head = Head::new("POST", target).unwrap();
        for (name, value) in [("host", "mcp.example.com"), ("content-type", "application/json")] {
            head.push(name, value.as_bytes()).unwrap();
        }
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        Draft { head, body: body.to_owned(), at: clock.now(), nonce }
    }

    /// Returns the signature of key `number`, under `label`.
    pub(crate) fn signed(&self, number: u8, label: &str) -> Signed {
        let signer = signer(number).with_label(label);
        signer.sign(&self.head, &origins(), self.body.as_bytes(), self.at, &self.nonce).unwrap()
    }

    /// Adds a signature of `toucher` that confirms the signature `first`.
    pub(crate) fn touched(&self, toucher: &SoftwareKey, first: &Signed) -> Signed {
        signer(1).sign_touch(toucher, &self.head, &origins(), first).unwrap()
    }

    /// Returns the request with these signature fields.
    pub(crate) fn request(&self, signed: &Signed) -> Request<Full<Bytes>> {
        let mut request = plain(&self.body);
        for (name, value) in signed.headers() {
            let name = http::HeaderName::try_from(name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }
}

pub(crate) fn signer(number: u8) -> Signer {
    Signer::new(Arc::new(key(number)), &Profile::mcp()).unwrap()
}

/// Returns a call of `delete_db` that key `number` signed and `toucher` confirmed.
pub(crate) fn touched_by(
    clock: &HandClock,
    number: u8,
    toucher: &SoftwareKey,
) -> Request<Full<Bytes>> {
    let draft = Draft::new(clock, DELETE);
    let first = draft.signed(number, "mcp");
    draft.request(&draft.touched(toucher, &first))
}
