//! The parser for entries.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::erasure::{Erasure, Tombstone};
use super::record::{Dropped, FIRST_VERSION, VERSION, Verdict};
use super::redact::Redacted;
use super::tree::{self, Hash};
use crate::clock::Timestamp;
use crate::message::line::{self, Text};
use crate::secret::quoted;

/// The reason why a line is not an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The line is not JSON with the right members, or a member is duplicate.
    #[error("not an audit entry")]
    EntryMembers(#[from] serde_json::Error),
    /// An entry of a version that this program does not know.
    #[error("an entry of the unknown version {}", quoted(.0))]
    Version(String),
    /// A member says something that no entry says.
    #[error("the member {0} cannot be read")]
    Member(&'static str),
}

/// The version of an entry's format; later versions compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// Version `audit/1`: a signer's own copy has no rules, and a clock step leaves no entry.
    First,
    /// Version `audit/2`.
    Second,
}

/// One entry, as read from its line.
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
    /// Numbers of requests that have no entry.
    Dropped(Dropped),
    /// The clock of the writer stepped. The times of later entries are ahead of that clock.
    Clock(ClockStep),
    /// The rules by which later requests are judged.
    Rules(Rules),
    /// The first entry of a log that follows another one.
    After(PreviousLog),
    /// The last entry of a log that another one follows.
    Closed(Closed),
    /// An entry before this one was erased.
    Erased(Erasure),
    /// A tombstone that replaces an erased entry.
    Tombstone(Tombstone),
}

impl Event<'_> {
    /// Returns the value of the member `event`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Event::Request(_) => "request",
            Event::Dropped(_) => "dropped",
            Event::Clock(_) => "clock",
            Event::Rules(_) => "rules",
            Event::After(_) => "after",
            Event::Closed(_) => "closed",
            Event::Erased(_) => "erased",
            Event::Tombstone(_) => "tombstone",
        }
    }
}

/// Seconds by which the times of entries are ahead of the clock, which stepped back: the time of an
/// entry never goes back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// Seconds, in force until the next such entry.
    pub offset: i64,
}

/// The log that this one follows.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PreviousLog {
    /// The public key of the previous log, as NAME+HASH+KEY.
    pub log_key: String,
    /// The last checkpoint of the previous log: the signed note in base64.
    pub checkpoint: String,
    /// True if the previous log's last entry names this log; otherwise it was abandoned.
    pub closed: bool,
    /// The number of logs before the previous one, according to that log.
    pub predecessors: u64,
}

/// The log that follows this one.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// The public key of the next log, as NAME+HASH+KEY; the name is its origin.
    pub successor: String,
}

/// A request as an entry records it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The verdict on the request.
    pub verdict: Verdict,
    /// The step that refused it, if one did.
    pub step: Option<u8>,
    /// The code of the refusal, if there was one.
    pub code: Option<String>,
    /// The rules that it was judged by.
    pub rules: Option<Rules>,
    /// The MCP operation that the request asks for.
    pub mcp: Option<Mcp>,
    /// `Content-Digest` as received.
    pub digest: Option<String>,
    /// The signatures that held.
    pub signatures: Vec<Signature<'a>>,
    /// The request line of DESIGN section 7a.
    pub request: &'a RawValue,
    /// The body with values cut out.
    pub redacted: Option<Redacted>,
}

/// The rules that a request was judged by; written as they are in a record.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rules {
    /// The name of the profile.
    pub profile: String,
    /// Seconds back.
    pub window: Option<i64>,
    /// Seconds ahead.
    pub ahead: i64,
    /// Names that had to be covered besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Names that could stay uncovered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_uncovered: Vec<String>,
    /// Origins that requests had to be sent to. Empty: any origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
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

/// A signature as an entry records it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a signature")]
#[non_exhaustive]
pub struct Signature<'a> {
    /// The label of the signature.
    #[serde(borrow)]
    pub label: Cow<'a, str>,
    /// The key, as a trust file has it.
    #[serde(borrow)]
    pub key: &'a RawValue,
    /// The signature base as JSON text, if it may be known.
    #[serde(default, borrow)]
    pub base: Option<&'a RawValue>,
    /// The SHA-256 of the base in base64, if the base is not kept.
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
    dropped: Option<Dropped>,
    #[serde(default)]
    clock: Option<ClockStep>,
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

/// Reads a line without its line feed.
///
/// # Errors
/// [`EntryError`].
pub fn parse(line: &[u8]) -> Result<Entry<'_>, EntryError> {
    let json: EntryMembers<'_> = line::json(line)?;
    let version = match &*json.mcpid {
        VERSION => Version::Second,
        FIRST_VERSION => Version::First,
        other => return Err(EntryError::Version(other.chars().take(64).collect())),
    };
    // A time has only one valid spelling.
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

/// Returns the event of an entry. Members of other events are refused.
fn event(mut json: EntryMembers<'_>) -> Result<Event<'_>, EntryError> {
    let wrong = EntryError::Member("event");
    if json.event == "request" {
        let others = [json.dropped.is_some(), json.clock.is_some(), json.after.is_some()];
        let (Some(request), Some(verdict)) = (json.request, &json.verdict) else {
            return Err(wrong);
        };
        let erasure = json.erased.is_some() || json.tombstone.is_some();
        if others.contains(&true) || json.closed.is_some() || erasure {
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
        "after" => json.after.take().map(Event::After),
        "closed" => json.closed.take().map(Event::Closed),
        "erased" => json.erased.take().map(Event::Erased),
        "tombstone" => json.tombstone.take().map(Event::Tombstone),
        _ => None,
    };
    let rest = json.dropped.is_some()
        || json.clock.is_some()
        || json.rules.is_some()
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

/// Returns the leaf hash of a line without its line feed: the hash of its bytes, or the recorded
/// hash for a tombstone.
///
/// ```
/// use mcpid::audit::{entry, tree};
///
/// let line = br#"{"mcpid":"audit/2","n":0,"time":"2026-11-23T10:00:00Z","event":"clock","clock":{"offset":9}}"#;
/// assert_eq!(entry::leaf(line), tree::leaf(line));
/// ```
pub fn leaf(line: &[u8]) -> Hash {
    // Looked for before it is read: nearly no line is a tombstone.
    if is_about(line, "tombstone")
        && let Ok(Entry { event: Event::Tombstone(tombstone), .. }) = parse(line)
    {
        return tombstone.leaf;
    }
    tree::leaf(line)
}

/// Returns true if the front of the line contains the member `event` with this value, in the
/// writer's own spelling. The line is not parsed.
pub(super) fn is_about(line: &[u8], event: &str) -> bool {
    let front = line.get(..120).unwrap_or(line);
    let member = format!("\"event\":\"{event}\"");
    front.windows(member.len()).any(|part| part == member.as_bytes())
}

/// Reads only the number and time of an entry: both are at the front, with one valid spelling.
pub(super) fn stamp(line: &[u8]) -> Option<(u64, Timestamp)> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('}'))?;
    let rest = text.strip_prefix("{\"mcpid\":\"")?;
    let rest = rest.strip_prefix(VERSION).or_else(|| rest.strip_prefix(FIRST_VERSION))?;
    let (n, rest) = rest.strip_prefix("\",\"n\":")?.split_once(',')?;
    let (time, _) = rest.strip_prefix("\"time\":\"")?.split_once('"')?;
    Some((n.parse().ok()?, Timestamp::parse_rfc3339(time).ok()?))
}
