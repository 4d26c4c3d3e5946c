//! The signatures of a request as an entry records them: label, key, base and signature.
//!
//! The log keeps only these fields of the head: `Host`, the signature fields, `Content-Digest` and
//! the fields that the profile `mcp` covers. So credentials in `Authorization`, `DPoP` or `Cookie`
//! do not get into a file that is shown to auditors. If a signature covers other fields, only the
//! hash of its base is kept: the signature cannot be verified again.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::key::trust::{SecurityKeyRules, TrustEntry as Trusted};
use crate::key::{JwkMembers, KeyId, PublicKey, SecurityKey};
use crate::mcp::pattern::{Operation, Pattern};
use crate::message::json_writer::ObjectWriter;
use crate::message::{Head, RequestTarget};
use crate::profile::{ComponentRules, NamedProfile, Profile};
use crate::verify::VerifiedSignatureRef;

/// The valid signatures of a request, recorded before the body is judged.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The signatures as JSON objects, separated by commas.
    signatures: Vec<u8>,
    /// The bytes of the first signature. No other request has the same bytes, so they identify the
    /// request.
    first: Option<Vec<u8>>,
    kept: KeptFields,
    /// The signatures by keys that have several `allow` lists.
    limited: Vec<LimitedSignature>,
}

/// A signature by a key that is in several trust files, each with its own `allow` list. An entry
/// can record one list only. Which one is decided when the entry is written, because the operation
/// is known only then.
#[derive(Clone, Debug)]
struct LimitedSignature {
    /// The bytes of the signature in [`Evidence::signatures`], where the first list is recorded.
    place: Range<usize>,
    /// Each list, and the signature with this list as a JSON object.
    lists: Vec<(Vec<Pattern>, Vec<u8>)>,
}

/// A key of a trust file, as it was when the request was judged.
struct RecordedKey<'a> {
    jwk: JwkMembers,
    kid: &'a str,
    mcpid: Option<RecordedStanding<'a>>,
}

impl RecordedKey<'_> {
    /// Appends the key to `out` as JSON.
    fn write_to(&self, out: &mut Vec<u8>) {
        let mut key = ObjectWriter::new(out);
        key.string("kty", self.jwk.kty);
        key.string("crv", self.jwk.crv);
        key.string("x", &self.jwk.x);
        if let Some(y) = &self.jwk.y {
            key.string("y", y);
        }
        key.string("kid", self.kid);
        if let Some(standing) = &self.mcpid {
            write_json(key.member("mcpid"), standing);
        }
        key.end();
    }
}

#[derive(Default, Serialize)]
struct RecordedStanding<'a> {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    security_key: Option<Cow<'a, SecurityKeyRules>>,
}

fn jwk(key: &PublicKey) -> RecordedKey<'_> {
    RecordedKey { jwk: key.jwk_members(), kid: key.id().as_str(), mcpid: None }
}

/// Returns what the trust files say about a key. `allow` is one list of allowed operations.
/// `joined` are the ids of the keys whose signatures were confirmed by touches of this key.
fn standing<'a>(
    entry: &'a Trusted,
    allow: Option<&Vec<Pattern>>,
    joined: &[String],
) -> RecordedStanding<'a> {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    RecordedStanding {
        name: entry.name(),
        client_ids: entry.client_ids(),
        not_before: time(entry.not_before()),
        not_after: time(entry.not_after()),
        revoked_at: time(entry.revoked_at()),
        allow: allow.into_iter().flatten().map(ToString::to_string).collect(),
        security_key: entry.security_key().map(|rules| Cow::Owned(rules.recorded(joined.to_vec()))),
    }
}

impl Evidence {
    /// Records the signatures of a request that the verifier found valid by the rules of `profile`.
    pub fn of<'a>(
        profile: &Profile,
        head: &Head<'_>,
        signatures: impl Iterator<Item = VerifiedSignatureRef<'a>>,
    ) -> Self {
        let mut evidence = Evidence::none(profile);
        let all: Vec<VerifiedSignatureRef<'_>> = signatures.collect();
        for one in &all {
            let joined = joined_keys(&all, one.entry.key().id());
            // If the verifier looked the key up by another name than its thumbprint, the entry
            // keeps that name as `kid`, so that an auditor's verifier finds the key in the same
            // way.
            let (id, kids) = (one.entry.key().id().as_str(), one.entry.kids());
            let is_named = kids.iter().any(|kid| kid != id);
            let named = is_named.then(|| keyid(one.base)).flatten();
            let kid = named.filter(|id| kids.iter().any(|kid| kid == id));
            let key = |allow| {
                let mcpid = Some(standing(one.entry, allow, &joined));
                let key = jwk(one.entry.key());
                RecordedKey { mcpid, kid: kid.unwrap_or(key.kid), ..key }
            };
            let lists = one.entry.allow();
            let place = evidence.add(head, one.label, key(lists.first()), one.base, one.signature);
            if lists.len() > 1 {
                let mut texts = Vec::new();
                for list in lists {
                    let (key, mut text) = (key(Some(list)), Vec::new());
                    evidence.write(&mut text, head, one.label, key, one.base, one.signature);
                    texts.push((list.clone(), text));
                }
                evidence.limited.push(LimitedSignature { place, lists: texts });
            }
        }
        evidence
    }

    /// Records the signature that a client made with `key` by the rules of `profile`, before the
    /// request is sent.
    pub fn signed(
        profile: &Profile,
        head: &Head<'_>,
        label: &str,
        key: &PublicKey,
        base: &str,
        signature: &[u8],
    ) -> Self {
        let mut evidence = Evidence::none(profile);
        evidence.add(head, label, jwk(key), base, signature);
        evidence
    }

    /// Records the signature that a client made with the security key `key` alone: its `label`, its
    /// base, and its signature.
    pub fn signed_by_touch(
        profile: &Profile,
        head: &Head<'_>,
        key: &SecurityKey,
        (label, base, signature): (&str, &str, &[u8]),
    ) -> Self {
        let rules = SecurityKeyRules::new(key.application().clone()).alone();
        let standing =
            RecordedStanding { security_key: Some(Cow::Owned(rules)), ..Default::default() };
        let recorded = RecordedKey { mcpid: Some(standing), ..jwk(key.public()) };
        let mut evidence = Evidence::none(profile);
        evidence.add(head, label, recorded, base, signature);
        evidence
    }

    /// Adds a touch: the signature by which the security key `key` confirms the signature of the
    /// key `signer`. Recorded are its `label`, its base and its value.
    #[must_use]
    pub fn with_touch(
        mut self,
        head: &Head<'_>,
        (key, signer): (&SecurityKey, &KeyId),
        (label, base, signature): (&str, &str, &[u8]),
    ) -> Self {
        let rules = SecurityKeyRules::new(key.application().clone()).touching_for(signer.as_str());
        let standing =
            RecordedStanding { security_key: Some(Cow::Owned(rules)), ..Default::default() };
        let key = RecordedKey { mcpid: Some(standing), ..jwk(key.public()) };
        self.add(head, label, key, base, signature);
        self
    }

    fn none(profile: &Profile) -> Self {
        let kept = KeptFields::of(Some(&profile.name));
        let (signatures, limited) = (Vec::with_capacity(1_024), Vec::new());
        Evidence { signatures, first: None, kept, limited }
    }

    /// Returns the signatures as JSON objects, separated by commas, in the entry of a request for
    /// `operation`. If a key has several `allow` lists, the one that forbids the operation is
    /// recorded, or the first one if all allow it.
    pub(super) fn signatures(&self, operation: Option<Operation<'_>>) -> Cow<'_, [u8]> {
        let forbids = |(list, _): &&(Vec<Pattern>, Vec<u8>)| {
            operation.is_none_or(|operation| {
                let forms = operation.forms();
                !operation.is_always_allowed() && !list.iter().any(|p| p.grants_forms(&forms))
            })
        };
        let mut all = Cow::Borrowed(self.signatures.as_slice());
        for LimitedSignature { place, lists } in self.limited.iter().rev() {
            if let Some((_, text)) = lists.iter().find(forbids) {
                all.to_mut().splice(place.clone(), text.iter().copied());
            }
        }
        all
    }

    /// Adds a signature, and returns the range of bytes that its text takes.
    fn add(
        &mut self,
        head: &Head<'_>,
        label: &str,
        key: RecordedKey<'_>,
        base: &str,
        signature: &[u8],
    ) -> Range<usize> {
        let mut all = std::mem::take(&mut self.signatures);
        if self.first.is_some() {
            all.push(b',');
        }
        self.first.get_or_insert_with(|| signature.to_vec());
        let start = all.len();
        self.write(&mut all, head, label, key, base, signature);
        self.signatures = all;
        start..self.signatures.len()
    }

    /// Writes a signature as a JSON object.
    fn write(
        &self,
        out: &mut Vec<u8>,
        head: &Head<'_>,
        label: &str,
        key: RecordedKey<'_>,
        base: &str,
        signature: &[u8],
    ) {
        let mut recorded = ObjectWriter::new(out);
        recorded.string("label", label);
        key.write_to(recorded.member("key"));
        match self.kept.leave_open(head, base) {
            true => recorded.string("base_sha256", &STANDARD.encode(Sha256::digest(base))),
            false => recorded.string("base", base),
        }
        recorded.string("signature", &STANDARD.encode(signature));
        recorded.end();
    }

    /// Returns the value from which the salts of removed secret values are derived.
    pub(super) fn binding(&self) -> String {
        self.first.as_ref().map(|signature| STANDARD.encode(signature)).unwrap_or_default()
    }
}

/// Returns the ids of the keys whose signatures are confirmed by touches of the security key `id`.
/// The same list is recorded for all signatures of this key, because an auditor's verifier knows
/// each key once.
fn joined_keys(held: &[VerifiedSignatureRef<'_>], id: &KeyId) -> Vec<String> {
    let touches = held.iter().filter(|one| one.entry.key().id() == id);
    // If a security key signs alone, its signature names its own label: it confirms no other
    // signature.
    let labels = touches.filter_map(|one| one.touch_for.filter(|label| *label != one.label));
    let signers = labels.filter_map(|label| held.iter().find(|one| one.label == label));
    let mut ids: Vec<_> = signers.map(|one| one.entry.key().id().to_string()).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Returns the `keyid` in the last line of a base, unless it contains escapes.
fn keyid(base: &str) -> Option<&str> {
    let (_, rest) = base.rsplit_once('\n')?.1.rsplit_once(";keyid=\"")?;
    let (id, _) = rest.split_once('"')?;
    (!id.contains('\\')).then_some(id)
}

/// The header fields of a request that a log keeps: fields that affect an MCP server, the signature
/// fields, and fields that the profile demands to be covered if they are present.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptFields(Option<&'static ComponentRules>);

impl KeptFields {
    /// Returns the fields that a log keeps of a request that was verified by the profile of this
    /// name.
    pub(super) fn of(profile: Option<&str>) -> Self {
        let rules = PROFILES.iter().find(|known| profile == Some(&*known.name));
        // The fields of `mcp` are always kept, so they are not searched twice.
        let rules = rules.filter(|known| known.name != MCP.name);
        KeptFields(rules.map(|known| &known.components))
    }

    /// Returns true if the log keeps the field `name`.
    pub(super) fn has(self, name: &str) -> bool {
        matches!(name, "host" | "content-digest" | "signature-input" | "signature")
            || MCP.components.covers_if_carried(name)
            || self.0.is_some_and(|rules| rules.covers_if_carried(name))
    }

    /// Returns true if a signature over `base` covers data that the log does not keep. Each line of
    /// a base begins with the name of a component in quotation marks (RFC 9421 section 2.5); any
    /// other line counts as not kept.
    fn leave_open(self, head: &Head<'_>, base: &str) -> bool {
        let absolute = matches!(head.target(), RequestTarget::Absolute(_));
        base.lines().any(|line| {
            match line.strip_prefix('"').and_then(|line| line.split_once('"')) {
                // The log keeps the absolute target URI, but not whether the request line was in
                // origin form or absolute form.
                Some(("@request-target", _)) => absolute,
                Some((name, _)) => !name.starts_with('@') && !self.has(name),
                None => true,
            }
        })
    }
}

/// The profile `mcp`, built once.
static MCP: LazyLock<Profile> = LazyLock::new(Profile::mcp);

/// All named profiles, built once.
static PROFILES: LazyLock<Vec<Profile>> =
    LazyLock::new(|| Profile::NAMED.iter().map(NamedProfile::profile).collect());

/// Appends `value` to `out` as JSON. It cannot fail: strings, numbers and lists of these always
/// serialize, and so does a write to a vector.
pub(super) fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}
