//! The record of one request: all data that an auditor needs to judge the request again, but no
//! credential that could still be used.

use std::io::Write as _;
use std::ops::Range;

use serde::Serialize;

use super::evidence::{Evidence, KeptFields, write_json};
use crate::clock::Timestamp;
use crate::mcp::body::Reading;
use crate::message::json_writer::ObjectWriter;
use crate::message::{Head, json_line};
use crate::profile::Profile;
use crate::verify::Verifier;

/// The format version of new entries, which is the value of their first member `mcpid`.
pub(super) const VERSION: &str = "audit/2";

/// The first format version. Entries of this version are read, but not written any more. In
/// `audit/1`, the entry that a client writes about its own request has no rules, and no entry
/// records that the clock was set back.
pub(super) const FIRST_VERSION: &str = "audit/1";

/// The verdict on a request, as an entry records it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// All twelve steps passed: the request was forwarded.
    Verified,
    /// The request was refused.
    Refused,
    /// The request was forwarded in permissive mode; strict mode would have refused it.
    WouldRefuse,
    /// The client signed the request and then sent it (an entry of the client's own log).
    Signed,
}

impl Verdict {
    /// Returns the word for this verdict in an entry.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Refused => "refused",
            Verdict::WouldRefuse => "would_refuse",
            Verdict::Signed => "signed",
        }
    }

    /// Parses the word for a verdict; `None` if there is no such verdict.
    ///
    /// ```
    /// use mcpid::audit::Verdict;
    ///
    /// assert_eq!(Verdict::from_text("would_refuse"), Some(Verdict::WouldRefuse));
    /// assert_eq!(Verdict::from_text("executed"), None);
    /// ```
    pub fn from_text(text: &str) -> Option<Self> {
        let all = [Verdict::Verified, Verdict::Refused, Verdict::WouldRefuse, Verdict::Signed];
        all.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// Why a request was not verified.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordedRefusal<'a> {
    /// The number of the verification step that refused the request, 1 to 12; `None` if no step
    /// did.
    pub step: Option<u8>,
    /// The true code of the refusal; the client may have got a more general code.
    pub code: &'a str,
}

/// An entry without number and time, which the log adds when it appends the entry.
#[derive(Clone, Debug)]
pub struct Record {
    /// The members of the entry, as one JSON object.
    members: Vec<u8>,
    /// The time at which the request was judged. The time of its entry must be close to it.
    pub(super) judged: Option<Timestamp>,
    /// The place in `members` of the rules by which the request was judged.
    rules: Option<Range<usize>>,
}

/// The rules by which a request was judged, as far as they can be configured.
#[derive(Serialize)]
struct RecordRules<'a> {
    profile: &'a str,
    window: Option<i64>,
    ahead: i64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    require: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    allow_uncovered: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    origins: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    touch: &'a [String],
}

impl<'a> RecordRules<'a> {
    fn of(verifier: &'a Verifier, touch: &'a [String]) -> Self {
        let profile = verifier.profile();
        RecordRules {
            profile: &profile.name,
            window: profile.window.max_age,
            ahead: profile.window.max_skew,
            require: &verifier.coverage_overrides().require,
            allow_uncovered: &verifier.coverage_overrides().allow_uncovered,
            origins: verifier.origins().iter().map(ToString::to_string).collect(),
            touch,
        }
    }

    /// Returns the rules that a signer records: only its profile.
    fn of_profile(profile: &'a Profile) -> Self {
        RecordRules {
            profile: &profile.name,
            window: profile.window.max_age,
            ahead: profile.window.max_skew,
            require: &[],
            allow_uncovered: &[],
            origins: Vec::new(),
            touch: &[],
        }
    }
}

#[derive(Serialize)]
struct RecordOperation<'a> {
    method: &'a str,
    name: Option<&'a str>,
}

/// Whose rules are recorded in an entry.
#[derive(Clone, Copy)]
pub(super) enum RulesSource<'a> {
    /// The rules of a verifier, and the patterns of requests that need a touch of a security key.
    Verifier(&'a Verifier, &'a [String]),
    /// The rules of a signer.
    Signer(&'a Profile),
}

/// Everything that is recorded about a request, except its signatures.
pub(super) struct RequestFacts<'a, 'h> {
    pub(super) verdict: Verdict,
    pub(super) because: Option<RecordedRefusal<'a>>,
    pub(super) by: RulesSource<'a>,
    pub(super) head: &'a Head<'h>,
    pub(super) target_uri: &'a str,
    pub(super) reading: Option<&'a Reading<'a>>,
    /// The body as the log keeps it: complete, redacted, or not at all.
    pub(super) body: Option<&'a [u8]>,
    pub(super) redacted: Option<&'a super::redact::Redacted>,
    /// The time at which the request was judged.
    pub(super) time: Timestamp,
}

/// Writes the record of a request.
pub(super) fn write(facts: &RequestFacts<'_, '_>, evidence: &Evidence) -> Record {
    // Values that are not UTF-8 are left out, so that a line of JSON can always be written.
    let profile = match facts.by {
        RulesSource::Verifier(verifier, _) => verifier.profile(),
        RulesSource::Signer(profile) => profile,
    };
    let fields = KeptFields::of(Some(&profile.name));
    let kept = facts.head.fields().iter().filter(|field| fields.has(field.name()));
    let text = kept.filter_map(|f| Some((f.name(), std::str::from_utf8(f.value()).ok()?)));
    let headers: Vec<(&str, &str)> = text.collect();
    let digest = headers.iter().filter(|(name, _)| *name == "content-digest");
    let digest: Vec<&str> = digest.map(|(_, value)| *value).collect();
    let operation = facts.reading.and_then(Reading::operation);
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    let body = facts.body.map_or(0, |body| body.len().div_ceil(3).saturating_mul(4));
    let signatures = evidence.signatures(operation);
    let mut out = Vec::with_capacity(512 + signatures.len() + size + body);
    let rules = match facts.by {
        RulesSource::Verifier(verifier, touch) => RecordRules::of(verifier, touch),
        RulesSource::Signer(profile) => RecordRules::of_profile(profile),
    };
    let mut members = ObjectWriter::new(&mut out);
    members.string("event", "request");
    write_json(members.member("verdict"), &facts.verdict);
    write_json(members.member("step"), &facts.because.and_then(|because| because.step));
    write_json(members.member("code"), &facts.because.map(|because| because.code));
    let place = members.member("rules");
    let start = place.len();
    write_json(place, &rules);
    let rules = matches!(facts.by, RulesSource::Verifier(..)).then(|| start..place.len());
    write_json(
        members.member("mcp"),
        &operation.map(|o| RecordOperation { method: o.method, name: o.name }),
    );
    write_json(members.member("digest"), &(!digest.is_empty()).then(|| digest.join(", ")));
    let list = members.member("signatures");
    list.push(b'[');
    list.extend_from_slice(&signatures);
    list.push(b']');
    let (method, time) = (facts.head.method(), Some(facts.time));
    let line = members.member("request");
    json_line::write_to(line, method, facts.target_uri, &headers, facts.body, time);
    if let Some(redacted) = facts.redacted {
        write_json(members.member("redacted"), redacted);
    }
    members.end();
    Record { members: out, judged: Some(facts.time), rules }
}

/// Counts of requests that have no entry of their own.
#[derive(Clone, Debug, Default, Serialize, serde::Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RefusalCounts {
    /// Number of requests since the last entry with counts: those without a valid signature, and
    /// refused ones with a valid signature beyond the rate limit of entries.
    pub seen: u64,
    /// The part of `seen` that was not written to the file `refused.jsonl` either, because that
    /// file had reached its limits.
    pub dropped: u64,
    /// The requests in `seen`, by refusal code.
    pub codes: std::collections::BTreeMap<String, u64>,
    /// Number of requests that were forwarded without an entry, which the policy `best-effort`
    /// permits.
    pub gaps: u64,
}

impl RefusalCounts {
    /// Adds the counts of `other`.
    pub(super) fn add(&mut self, other: &RefusalCounts) {
        self.seen = self.seen.saturating_add(other.seen);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.gaps = self.gaps.saturating_add(other.gaps);
        for (code, count) in &other.codes {
            let sum = self.codes.entry(code.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Returns true if the counts are consistent: neither `dropped` nor the sum of `codes` exceeds
    /// `seen`.
    pub(super) fn adds_up(&self) -> bool {
        let by_code = self.codes.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        self.dropped <= self.seen && by_code <= self.seen
    }

    pub(super) fn record(&self) -> Record {
        Record::event("dropped", self)
    }
}

impl Record {
    /// Creates an entry for an event that is not a request. Its members are
    /// `{"event":NAME,NAME:VALUE}`.
    pub(super) fn event(name: &'static str, value: &impl Serialize) -> Self {
        let mut members = Vec::with_capacity(256);
        let _ = write!(members, "{{\"event\":\"{name}\",\"{name}\":");
        write_json(&mut members, value);
        members.push(b'}');
        Record { members, judged: None, rules: None }
    }

    /// Returns the rules by which the request was judged, as JSON. If they differ from the rules
    /// that the log has stated, the log first writes an entry with the new rules.
    pub(super) fn rules(&self) -> Option<&[u8]> {
        self.rules.clone().and_then(|place| self.members.get(place))
    }

    /// Writes the line of the entry, with its line feed.
    pub(super) fn line(&self, n: u64, time: &str, out: &mut Vec<u8>) {
        let members = self.members.strip_prefix(b"{").unwrap_or(&self.members);
        out.reserve(members.len() + 96);
        // A write to a vector cannot fail.
        let _ = write!(out, "{{\"mcpid\":\"{VERSION}\",\"n\":{n},\"time\":\"{time}\",");
        out.extend_from_slice(members);
        out.push(b'\n');
    }

    /// Returns the memory that the record takes, in bytes.
    pub(super) fn size(&self) -> usize {
        self.members.len()
    }
}
