//! The parser for entries of the log.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::erasure_record::{Erasure, Tombstone};
use super::record::{FIRST_VERSION, RefusalCounts, VERSION, Verdict};
use super::recovery::Recovery;
use super::redact::Redacted;
use super::tree::{self, Hash};
use crate::clock::Timestamp;
use crate::message::json_line::{self, Text};
use crate::secret::quoted;

/// Why a line is not an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The line is not a JSON object with the members of an entry, or a member occurs twice.
    #[error("not an audit entry")]
    EntryMembers(#[from] serde_json::Error),
    /// An entry of a version that this program does not know.
    #[error("an entry of the unknown version {}", quoted(.0))]
    Version(String),
    /// A member has a value that no entry can have; the text names the member.
    #[error("the member {0} cannot be read")]
    Member(&'static str),
}

/// The version of the format of an entry. A later version compares greater than an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Version `audit/1`: the entry of a signer has no rules, and no entry records a clock step.
    First,
    /// Version `audit/2`.
    Second,
}

/// One entry, parsed from its line.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// The version of the entry's format.
    pub version: Version,
    /// The entry's number, from 0.
    pub n: u64,
    /// The time at which the entry was appended.
    pub time: Timestamp,
    /// The event that the entry records.
    pub event: Event<'a>,
}

/// An event that an entry records.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request and its verdict.
    Request(Box<Request<'a>>),
    /// Counts of requests that have no entry of their own.
    Dropped(RefusalCounts),
    /// The clock of the machine was set back. Times of entries must not go back, so the times of
    /// later entries are ahead of this clock.
    Clock(ClockStep),
    /// The rules by which later requests are verified.
    Rules(Rules),
    /// Entries before this one were under no checkpoint when the log was opened.
    Recovered(Recovery),
    /// The first entry of a log that has a predecessor.
    After(PreviousLog),
    /// The last entry of a log that has a successor.
    Closed(Closed),
    /// An entry before this one was erased.
    Erased(Erasure),
    /// A tombstone that replaces an erased entry.
    Tombstone(Tombstone),
}

impl Event<'_> {
    /// Returns the value of the entry's JSON member `event`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Event::Request(_) => "request",
            Event::Dropped(_) => "dropped",
            Event::Clock(_) => "clock",
            Event::Rules(_) => "rules",
            Event::Recovered(_) => "recovered",
            Event::After(_) => "after",
            Event::Closed(_) => "closed",
            Event::Erased(_) => "erased",
            Event::Tombstone(_) => "tombstone",
        }
    }
}

/// The offset between the times of entries and the clock of the machine. If the clock is set back,
/// the times of entries still do not go back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Seconds by which later entries are ahead of the clock, until the next entry of this kind.
    pub offset: i64,
}

/// The predecessor of a log.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PreviousLog {
    /// The public key of the previous log, as NAME+HASH+KEY.
    pub log_key: String,
    /// The last checkpoint of the previous log, as a signed note in base64.
    pub checkpoint: String,
    /// Whether the last entry of the previous log names this log. If it does not, the previous log
    /// was abandoned: it may have further entries.
    pub closed: bool,
    /// The number of logs before the previous one, as the previous log states it.
    pub predecessors: u64,
}

/// The successor of a log.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// The public key of the next log, as NAME+HASH+KEY. The name is the log's origin.
    pub successor: String,
}

/// A request, as an entry records it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The verdict on the request.
    pub verdict: Verdict,
    /// The step at which the request was refused.
    pub step: Option<u8>,
    /// The code of the refusal, such as `expired`.
    pub code: Option<String>,
    /// The rules by which the request was verified.
    pub rules: Option<Rules>,
    /// The MCP operation that the request asks for.
    pub mcp: Option<Mcp>,
    /// `Content-Digest` as received.
    pub digest: Option<String>,
    /// The valid signatures of the request.
    pub signatures: Vec<Signature<'a>>,
    /// The head of the request as a request line (JSON).
    pub request: &'a RawValue,
    /// The body with secret values removed.
    pub redacted: Option<Redacted>,
}

/// The rules by which a request was verified, in the form of an entry.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// The name of the profile.
    pub profile: String,
    /// Maximum age of `created`, in seconds.
    pub window: Option<i64>,
    /// Maximum number of seconds by which `created` may lie in the future.
    pub ahead: i64,
    /// Names of components that a signature must cover, in addition to those of the profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Names of components that a signature may leave uncovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_uncovered: Vec<String>,
    /// The origins to which requests must be sent. Empty: any origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Patterns of requests that need the touch of a security key, and `destructive`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touch: Vec<String>,
}

/// The MCP operation that a request asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mcp {
    /// The method, or `@get`, `@delete`, `@response`.
    pub method: String,
    /// The name of the tool, prompt, resource or task.
    pub name: Option<String>,
}

/// A signature of the request, as an entry records it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a signature")]
#[non_exhaustive]
pub struct Signature<'a> {
    /// The label of the signature.
    #[serde(borrow)]
    pub label: Cow<'a, str>,
    /// The key as JSON, as a trust file would list it.
    #[serde(borrow)]
    pub key: &'a RawValue,
    /// The signature base (RFC 9421 section 2.5) as a JSON string. Absent if it contains data that
    /// the log must not keep.
    #[serde(default, borrow)]
    pub base: Option<&'a RawValue>,
    /// The SHA-256 of the signature base in base64, if the base is not kept.
    #[serde(default)]
    pub base_sha256: Option<String>,
    /// The signature's value, in base64.
    #[serde(borrow)]
    pub signature: Cow<'a, str>,
}

/// All members that an entry can have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an audit entry")]
struct EntryMembers<'a> {
    #[serde(borrow)]
    mcpid: Cow<'a, str>,
    n: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    dropped: Option<RefusalCounts>,
    #[serde(default)]
    clock: Option<ClockStep>,
    #[serde(default)]
    recovered: Option<Recovery>,
    #[serde(default)]
    after: Option<PreviousLog>,
    #[serde(default)]
    closed: Option<Closed>,
    #[serde(default)]
    erased: Option<Erasure>,
    #[serde(default)]
    tombstone: Option<Tombstone>,
    #[serde(borrow, default)]
    verdict: Option<Text<'a>>,
    #[serde(default)]
    step: Option<u8>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    rules: Option<Rules>,
    #[serde(default)]
    mcp: Option<Mcp>,
    #[serde(default)]
    digest: Option<String>,
    #[serde(borrow, default)]
    signatures: Vec<Signature<'a>>,
    #[serde(borrow, default)]
    request: Option<&'a RawValue>,
    #[serde(default)]
    redacted: Option<Redacted>,
}

/// Parses a line without its line feed.
///
/// # Errors
/// [`EntryError`] if the line is not an entry.
pub fn parse(line: &[u8]) -> Result<Entry<'_>, EntryError> {
    let json: EntryMembers<'_> = json_line::json(line)?;
    let version = match &*json.mcpid {
        VERSION => Version::Second,
        FIRST_VERSION => Version::First,
        other => return Err(EntryError::Version(other.chars().take(64).collect())),
    };
    // A time is accepted only in the spelling that this program writes.
    let time = match Timestamp::parse_own(json.time.as_bytes()) {
        Some(time) => time,
        None => Timestamp::parse_rfc3339(&json.time)
            .ok()
            .filter(|time| time.to_string() == json.time)
            .ok_or(EntryError::Member("time"))?,
    };
    let n = json.n;
    let event = event(json)?;
    let of_the_first = matches!(event, Event::Request(_) | Event::Dropped(_));
    if version == Version::First && !of_the_first {
        return Err(EntryError::Member("event"));
    }
    Ok(Entry { version, n, time, event })
}

/// Returns the event of an entry. If the entry has members of another event, it is refused.
fn event(mut json: EntryMembers<'_>) -> Result<Event<'_>, EntryError> {
    let wrong = EntryError::Member("event");
    if json.event == "request" {
        let others = [
            json.dropped.is_some(),
            json.clock.is_some(),
            json.recovered.is_some(),
            json.after.is_some(),
            json.closed.is_some(),
            json.erased.is_some(),
            json.tombstone.is_some(),
        ];
        let (Some(request), Some(verdict)) = (json.request, &json.verdict) else {
            return Err(wrong);
        };
        if others.contains(&true) {
            return Err(wrong);
        }
        return Ok(Event::Request(Box::new(Request {
            verdict: Verdict::from_text(&verdict.0).ok_or(EntryError::Member("verdict"))?,
            step: json.step,
            code: json.code,
            rules: json.rules,
            mcp: json.mcp,
            digest: json.digest,
            signatures: json.signatures,
            request,
            redacted: json.redacted,
        })));
    }
    let event = match &*json.event {
        "dropped" => json.dropped.take().map(Event::Dropped),
        "clock" => json.clock.take().map(Event::Clock),
        "rules" => json.rules.take().map(Event::Rules),
        "recovered" => json.recovered.take().map(Event::Recovered),
        "after" => json.after.take().map(Event::After),
        "closed" => json.closed.take().map(Event::Closed),
        "erased" => json.erased.take().map(Event::Erased),
        "tombstone" => json.tombstone.take().map(Event::Tombstone),
        _ => None,
    };
    let rest = json.dropped.is_some()
        || json.clock.is_some()
        || json.rules.is_some()
        || json.recovered.is_some()
        || json.after.is_some()
        || json.closed.is_some()
        || json.erased.is_some()
        || json.tombstone.is_some()
        || json.verdict.is_some()
        || json.step.is_some()
        || json.code.is_some()
        || json.mcp.is_some()
        || json.digest.is_some()
        || !json.signatures.is_empty()
        || json.request.is_some()
        || json.redacted.is_some();
    event.filter(|_| !rest).ok_or(wrong)
}

/// Returns the leaf hash of a line without its line feed. For a tombstone, this is the recorded
/// hash of the erased line; for any other line, the hash of its bytes.
///
/// ```
/// use mcpid::audit::{entry, tree};
///
/// let line = br#"{"mcpid":"audit/2","n":0,"time":"2026-11-23T10:00:00Z","event":"clock","clock":{"offset":9}}"#;
/// assert_eq!(entry::leaf(line), tree::leaf(line));
/// ```
pub fn leaf(line: &[u8]) -> Hash {
    // Tombstones are rare, so the line is parsed only if its beginning names the event `tombstone`.
    if is_about(line, "tombstone")
        && let Ok(Entry { event: Event::Tombstone(tombstone), .. }) = parse(line)
    {
        return tombstone.leaf;
    }
    tree::leaf(line)
}

/// Returns true if the beginning of the line has the member `event` with this value, as the writer
/// spells it. The line is not parsed.
pub(super) fn is_about(line: &[u8], event: &str) -> bool {
    let front = line.get(..120).unwrap_or(line);
    let member = format!("\"event\":\"{event}\"");
    front.windows(member.len()).any(|part| part == member.as_bytes())
}

/// Parses only the number and time of an entry, which stand at the beginning of the line. Both have
/// exactly one valid spelling.
pub(super) fn stamp(line: &[u8]) -> Option<(u64, Timestamp)> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('}'))?;
    let rest = text.strip_prefix("{\"mcpid\":\"")?;
    let rest = rest.strip_prefix(VERSION).or_else(|| rest.strip_prefix(FIRST_VERSION))?;
    let (n, rest) = rest.strip_prefix("\",\"n\":")?.split_once(',')?;
    let (time, _) = rest.strip_prefix("\"time\":\"")?.split_once('"')?;
    Some((n.parse().ok()?, Timestamp::parse_rfc3339(time).ok()?))
}
