//! Fixtures for the tests of verification: a trusted key, a signed `tools/call`, and a verifier
//! that accepts this call. A test usually changes one of these things.

mod judge;
mod store;

pub(crate) use judge::Judge;
pub(crate) use store::{Counting, memory, store};

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::base::{header, signature_base};
use mcpid::clock::Timestamp;
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign};
use mcpid::message::digest::content_digest;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use serde_json::{Value, json};

pub(crate) const CREATED: i64 = 1_795_392_000;
pub(crate) const NOW: i64 = CREATED + 10;
pub(crate) const NONCE: &str = "AAECAwQFBgcICQoLDA0ODw";
pub(crate) const ORIGIN: &str = "https://mcp.example.com";
pub(crate) const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Oslo"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

/// Returns the private key for a number. None of these keys is published.
pub(crate) fn key(number: u8) -> SecretKey {
    let mut seed = *b"0 seed that no specification has";
    seed[0] = number;
    SecretKey::from_seed(&seed)
}

/// Decodes hexadecimal digits of exactly `N` bytes.
pub(crate) fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    any_bytes(hex).try_into().unwrap()
}

/// Decodes hexadecimal digits.
pub(crate) fn any_bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Returns private keys that a person might make up: one of `bytes` repeated 32 times, a small
/// number with zeros, and 32 bytes that count up or down.
pub(crate) fn obvious_secrets(bytes: RangeInclusive<u8>) -> Vec<[u8; 32]> {
    let mut secrets: Vec<[u8; 32]> = bytes.map(|byte| [byte; 32]).collect();
    for n in 1..=16 {
        let (mut first, mut last) = ([0; 32], [0; 32]);
        (first[0], last[31]) = (n, n);
        secrets.extend([first, last]);
    }
    let from =
        |start: u8| -> [u8; 32] { std::array::from_fn(|i| start + u8::try_from(i).unwrap()) };
    for mut counting in [from(0), from(1)] {
        secrets.push(counting);
        counting.reverse();
        secrets.push(counting);
    }
    secrets
}

/// Returns the trust entry of a key, without any restriction.
pub(crate) fn trusted(key: &dyn Sign) -> Value {
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key.public().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x,
        "mcpid": {"name": "alice", "client_ids": ["alice-laptop"]}})
}

/// Returns a registry of trusted keys, each entry from a separate file.
pub(crate) fn registry(entries: &[Value]) -> Arc<Registry> {
    let file =
        |entry: &Value| TrustFile::parse(json!({"keys": [entry]}).to_string().as_bytes()).unwrap();
    Arc::new(Registry::merge(entries.iter().map(file)))
}

/// Returns the output of a future that is ready at once, as with a store in memory.
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here has to wait"),
    }
}

pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

/// A request that a test can change.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) target: RequestTarget<'static>,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// Returns a `tools/call` of revision 2026-07-28 that is not signed yet.
    pub(crate) fn unsigned() -> Self {
        let fields = [
            ("host", "mcp.example.com"),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "get_weather"),
            ("mcp-param-city", "Oslo"),
            ("content-digest", &content_digest(BODY.as_bytes())),
        ];
        Call {
            method: "POST".to_owned(),
            target: RequestTarget::Origin("/mcp?tenant=a%2fb".into()),
            fields: fields.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).to_vec(),
            body: BODY.as_bytes().to_vec(),
        }
    }

    /// Returns the call, signed by key 1 with the profile `mcp`.
    pub(crate) fn signed() -> Self {
        let mut call = Call::unsigned();
        let input = Input::of(&call, &key(1));
        call.sign(&key(1), "mcp", &input);
        call
    }

    /// Signs with the parameters in `input`, even if they are invalid, and adds the signature in
    /// new lines of both signature fields.
    pub(crate) fn sign(&mut self, key: &SecretKey, label: &str, input: &Input) {
        let signature = key.sign(self.base(input).as_bytes()).unwrap();
        self.attach(label, &input.to_string(), &signature);
    }

    /// Adds a signature with arbitrary bytes as its value.
    pub(crate) fn attach(&mut self, label: &str, input: &str, signature: &[u8]) {
        self.push("signature-input", &format!("{label}={input}"));
        self.push("signature", &format!("{label}=:{}:", STANDARD.encode(signature)));
    }

    /// Returns the signature base for the parameters in `input`.
    pub(crate) fn base(&self, input: &Input) -> String {
        let mut bare = self.clone();
        bare.remove("signature-input").remove("signature").attach("x", &input.to_string(), &[]);
        let mut head = bare.head();
        let candidates = header::read(&head).unwrap();
        let params = candidates[0].params.clone().unwrap().into_owned();
        drop(candidates);
        head = self.head();
        let origins = Origins::unknown();
        signature_base(&params, &head, &origins.resolve(&head).unwrap()).unwrap()
    }

    pub(crate) fn head(&self) -> Head<'_> {
        let mut head = Head::new(self.method.as_str(), self.target.clone()).unwrap();
        for (name, value) in &self.fields {
            head.push(name.as_str(), value.as_slice()).unwrap();
        }
        head
    }

    pub(crate) fn push(&mut self, name: &str, value: &str) -> &mut Self {
        self.fields.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn remove(&mut self, name: &str) -> &mut Self {
        self.fields.retain(|(n, _)| n != name);
        self
    }

    /// Replaces all lines of `name` with one line, at the position of the first.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.fields.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.as_bytes().to_vec(),
            None => {
                self.push(name, value);
            }
        }
        self
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        let (_, value) = self.fields.iter().find(|(n, _)| n == name).unwrap();
        std::str::from_utf8(value).unwrap()
    }

    /// Replaces the text `from` by `to` in the first line of `name`. The line must contain `from`.
    pub(crate) fn edit(&mut self, name: &str, from: &str, to: &str) -> &mut Self {
        let old = self.get(name).to_owned();
        assert!(old.contains(from), "{name}: {old} holds no {from}");
        self.set(name, &old.replacen(from, to, 1))
    }

    /// Sets another body, and its digest in `Content-Digest`.
    pub(crate) fn with_body(&mut self, body: &str) -> &mut Self {
        self.body = body.as_bytes().to_vec();
        self.set("content-digest", &content_digest(body.as_bytes()))
    }
}

/// A member of `Signature-Input`, as the separate texts of its components and parameters.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) components: Vec<String>,
    pub(crate) params: Vec<(String, String)>,
}

impl Input {
    /// Returns the components and parameters that the profile `mcp` requires for this request and
    /// key.
    pub(crate) fn of(call: &Call, key: &SecretKey) -> Self {
        let head = call.head();
        let profile = Profile::mcp();
        let carried = head.fields().iter().map(|f| f.name());
        let carried = carried.filter(|name| profile.components.covers_if_carried(name));
        let mut components: Vec<String> = Vec::new();
        for name in ["@method", "@target-uri", "content-digest"].into_iter().chain(carried) {
            let quoted = format!("\"{name}\"");
            if !components.contains(&quoted) {
                components.push(quoted);
            }
        }
        let id = key.public().id();
        let params = [
            ("created", CREATED.to_string()),
            ("expires", (CREATED + 30).to_string()),
            ("nonce", format!("\"{NONCE}\"")),
            ("keyid", format!("\"{id}\"")),
            ("tag", format!("\"{id}\"")),
        ];
        Input { components, params: params.map(|(n, v)| (n.to_owned(), v)).to_vec() }
    }

    /// Sets a parameter. `value` is written as it is sent, for example with quotation marks.
    pub(crate) fn set(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        match self.params.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_string(),
            None => self.params.push((name.to_owned(), value.to_string())),
        }
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.params.retain(|(n, _)| n != name);
        self
    }

    /// Replaces the component `name` by the identifier `to`, written as it is sent.
    pub(crate) fn recover(&mut self, name: &str, to: &str) -> &mut Self {
        let at = self.components.iter().position(|c| *c == format!("\"{name}\"")).unwrap();
        self.components[at] = to.to_owned();
        self
    }

    pub(crate) fn uncover(&mut self, name: &str) -> &mut Self {
        let before = self.components.len();
        self.components.retain(|c| *c != format!("\"{name}\""));
        assert_eq!(self.components.len() + 1, before, "{name} was covered");
        self
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.components.join(" "))?;
        self.params.iter().try_for_each(|(name, value)| write!(f, ";{name}={value}"))
    }
}
