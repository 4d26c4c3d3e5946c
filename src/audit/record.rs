//! What is written of one request: everything that is needed to judge it again, and no live secret.
//!
//! Of the head only `Host`, the signature fields, `Content-Digest` and what the profile `mcp`
//! covers are kept, so that no `Authorization`, `DPoP` or `Cookie` gets into a file that is handed
//! to others. A signature over anything else is kept as the hash of its base: what is hashed
//! cannot be read, and cannot be judged again either.

use std::io::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::key::PublicKey;
use crate::key::trust::Entry as Trusted;
use crate::mcp::body::Reading;
use crate::message::{Head, RequestTarget, line};
use crate::profile::Profile;
use crate::verify::{HeldSignature, Verifier};

/// The format of an entry, its first member.
pub(super) const VERSION: &str = "audit/1";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// All twelve steps held: it was handed on.
    Verified,
    /// It was refused.
    Refused,
    /// It was handed on in permissive mode, and strict mode would have refused it.
    WouldRefuse,
    /// The client's own copy: it was signed, and then sent.
    Signed,
}

impl Verdict {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Refused => "refused",
            Verdict::WouldRefuse => "would_refuse",
            Verdict::Signed => "signed",
        }
    }

    /// The verdict that is written so.
    pub fn from_text(text: &str) -> Option<Self> {
        let all = [Verdict::Verified, Verdict::Refused, Verdict::WouldRefuse, Verdict::Signed];
        all.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// Why a request was not verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct Because<'a> {
    /// The step, 1 to 12, if it was one.
    pub step: Option<u8>,
    /// The true code.
    pub code: &'a str,
}

/// An entry but for its number and its time, which it gets when it is appended.
#[derive(Clone, Debug)]
pub struct Record(Vec<u8>);

/// The signatures of a request that hold, written down before the body is judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// As JSON objects, with a comma between two of them.
    signatures: Vec<u8>,
    /// The first of the signatures, which no other request has.
    first: Option<[u8; 64]>,
}

/// The rules that a request was judged by, as far as they differ between verifiers.
#[derive(Serialize)]
struct Rules<'a> {
    profile: &'a str,
    window: Option<i64>,
    ahead: i64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    require: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allow_uncovered: &'a [String],
}

#[derive(Serialize)]
struct Mcp<'a> {
    method: &'a str,
    name: Option<&'a str>,
}

/// The members of an entry behind number and time, and before `signatures`, `request` and
/// `redacted`.
#[derive(Serialize)]
struct Front<'a> {
    event: &'static str,
    verdict: Verdict,
    step: Option<u8>,
    code: Option<&'a str>,
    rules: Option<Rules<'a>>,
    mcp: Option<Mcp<'a>>,
    digest: Option<String>,
}

#[derive(Serialize)]
struct Signature<'a> {
    label: &'a str,
    key: Jwk<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_sha256: Option<String>,
    signature: String,
}

/// A key of a trust file, as it stood when the request was judged.
#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcpid: Option<Standing<'a>>,
}

#[derive(Serialize)]
struct Standing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    client_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
}

fn jwk(key: &PublicKey) -> Jwk<'_> {
    let x = URL_SAFE_NO_PAD.encode(key.as_bytes());
    Jwk { kty: "OKP", crv: "Ed25519", x, kid: key.id().as_str(), mcpid: None }
}

fn standing(entry: &Trusted) -> Standing<'_> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    // Of several files' lists every one must pass, which one list cannot say.
    let allow = match entry.allow() {
        [one] => one.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Standing {
        name: entry.name(),
        client_ids: entry.client_ids(),
        not_before: time(entry.not_before()),
        not_after: time(entry.not_after()),
        revoked_at: time(entry.revoked_at()),
        allow,
    }
}

/// A trust entry as a JWK of a trust file.
pub(super) fn trusted(entry: &Trusted) -> Box<RawValue> {
    let jwk = Jwk { mcpid: Some(standing(entry)), ..jwk(entry.key()) };
    serde_json::value::to_raw_value(&jwk).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl Evidence {
    /// The signatures of a request that `judge_head` found to hold.
    pub fn of<'a>(head: &Head<'_>, held: impl Iterator<Item = HeldSignature<'a>>) -> Self {
        let mut evidence = Evidence { signatures: Vec::with_capacity(1_024), first: None };
        for one in held {
            let key = Jwk { mcpid: Some(standing(one.entry)), ..jwk(one.entry.key()) };
            evidence.add(head, one.label, key, one.base, one.signature);
        }
        evidence
    }

    /// The signature that a client has made with `key`, before it is sent.
    pub fn signed(
        head: &Head<'_>,
        label: &str,
        key: &PublicKey,
        base: &str,
        signature: &[u8; 64],
    ) -> Self {
        let mut evidence = Evidence { signatures: Vec::with_capacity(1_024), first: None };
        evidence.add(head, label, jwk(key), base, signature);
        evidence
    }

    fn add(
        &mut self,
        head: &Head<'_>,
        label: &str,
        key: Jwk<'_>,
        base: &str,
        signature: &[u8; 64],
    ) {
        if self.first.is_some() {
            self.signatures.push(b',');
        }
        self.first.get_or_insert(*signature);
        let opaque = is_opaque(head, base);
        let hash = opaque.then(|| STANDARD.encode(Sha256::digest(base)));
        let base = (!opaque).then_some(base);
        let signature = STANDARD.encode(signature);
        write_json(
            &mut self.signatures,
            &Signature { label, key, base, base_sha256: hash, signature },
        );
    }

    /// What salts are bound to.
    pub(super) fn binding(&self) -> String {
        self.first.map(|signature| STANDARD.encode(signature)).unwrap_or_default()
    }
}

/// Whether a signature over `base` covers what is not kept. Each line of a base begins with the
/// name of a component in quotation marks (RFC 9421 section 2.5); what does not is not kept.
fn is_opaque(head: &Head<'_>, base: &str) -> bool {
    let absolute = matches!(head.target(), RequestTarget::Absolute(_));
    base.lines().any(|line| {
        match line.strip_prefix('"').and_then(|line| line.split_once('"')) {
            // A line keeps the target, but not in which form it stood on the request line.
            Some(("@request-target", _)) => absolute,
            Some((name, _)) => !name.starts_with('@') && !is_kept(name),
            None => true,
        }
    })
}

/// Whether a field is written down (DESIGN section 10).
fn is_kept(name: &str) -> bool {
    static MCP: LazyLock<Profile> = LazyLock::new(Profile::mcp);
    matches!(name, "host" | "content-digest" | "signature-input" | "signature")
        || MCP.covers_if_carried(name)
}

/// Everything else about a request that is written down.
pub(super) struct Facts<'a, 'h> {
    pub(super) verdict: Verdict,
    pub(super) because: Option<Because<'a>>,
    pub(super) verifier: Option<&'a Verifier>,
    pub(super) head: &'a Head<'h>,
    pub(super) target_uri: &'a str,
    pub(super) reading: Option<&'a Reading<'a>>,
    /// As it is to be kept.
    pub(super) body: Option<&'a [u8]>,
    pub(super) redacted: Option<&'a super::redact::Redacted>,
    /// The moment as of which it was judged.
    pub(super) time: Timestamp,
}

/// Writes the record of a request.
pub(super) fn write(facts: &Facts<'_, '_>, evidence: &Evidence) -> Record {
    // Values that are no UTF-8 are left out, so that a line can always be written.
    let kept = facts.head.fields().iter().filter(|field| is_kept(field.name()));
    let text = kept.filter_map(|f| Some((f.name(), std::str::from_utf8(f.value()).ok()?)));
    let headers: Vec<(&str, &str)> = text.collect();
    let digest = headers.iter().filter(|(name, _)| *name == "content-digest");
    let digest: Vec<&str> = digest.map(|(_, value)| *value).collect();
    let operation = facts.reading.and_then(Reading::operation);
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    let body = facts.body.map_or(0, |body| body.len().div_ceil(3).saturating_mul(4));
    let mut out = Vec::with_capacity(512 + evidence.signatures.len() + size + body);
    write_json(
        &mut out,
        &Front {
            event: "request",
            verdict: facts.verdict,
            step: facts.because.and_then(|because| because.step),
            code: facts.because.map(|because| because.code),
            rules: facts.verifier.map(|verifier| Rules {
                profile: &verifier.profile().name,
                window: verifier.profile().window.back,
                ahead: verifier.profile().window.ahead,
                require: &verifier.changes().require,
                allow_uncovered: &verifier.changes().allow_uncovered,
            }),
            mcp: operation.map(|o| Mcp { method: o.method, name: o.name }),
            digest: (!digest.is_empty()).then(|| digest.join(", ")),
        },
    );
    // What follows is JSON already, or is written in its place: nothing of it is made twice.
    out.pop();
    out.extend_from_slice(b",\"signatures\":[");
    out.extend_from_slice(&evidence.signatures);
    out.extend_from_slice(b"],\"request\":");
    let (method, time) = (facts.head.method(), Some(facts.time));
    line::write_to(&mut out, method, facts.target_uri, headers, facts.body, time);
    if let Some(redacted) = facts.redacted {
        out.extend_from_slice(b",\"redacted\":");
        write_json(&mut out, redacted);
    }
    out.push(b'}');
    Record(out)
}

/// How many requests were not written down one by one.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Requests without a signature that holds, or refused too often, since the last such entry.
    pub seen: u64,
    /// Of these, how many were not even written to the side file.
    pub dropped: u64,
    /// Seen, by the code with which each was refused.
    pub codes: std::collections::BTreeMap<String, u64>,
    /// Requests that were handed on without an entry, under `best-effort`.
    pub gaps: u64,
}

#[derive(Serialize)]
struct DroppedEntry<'a> {
    event: &'static str,
    dropped: &'a Dropped,
}

impl Dropped {
    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, other: &Dropped) {
        self.seen = self.seen.saturating_add(other.seen);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.gaps = self.gaps.saturating_add(other.gaps);
        for (code, count) in &other.codes {
            let sum = self.codes.entry(code.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    pub(super) fn record(&self) -> Record {
        let mut out = Vec::with_capacity(256);
        write_json(&mut out, &DroppedEntry { event: "dropped", dropped: self });
        Record(out)
    }
}

impl Record {
    /// The line of the entry, its line feed included.
    pub(super) fn line(&self, n: u64, time: &str, out: &mut Vec<u8>) {
        let members = self.0.strip_prefix(b"{").unwrap_or(&self.0);
        out.reserve(members.len() + 96);
        // There is always room behind a vector.
        let _ = write!(out, "{{\"mcpid\":\"{VERSION}\",\"n\":{n},\"time\":\"{time}\",");
        out.extend_from_slice(members);
        out.push(b'\n');
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }
}

/// Writes `value` behind what `out` holds. Strings, numbers and lists of such always make JSON, and
/// there is always room behind a vector.
fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}
