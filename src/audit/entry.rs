//! Reading an entry back.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Dropped, VERSION, Verdict};
use super::redact::Redacted;
use crate::clock::Timestamp;
use crate::message::line::{self, Text};
use crate::secret::quoted;

/// Why a line is not an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not JSON of the right members, or a member that stands twice.
    #[error("not an audit entry")]
    Json(#[from] serde_json::Error),
    /// An entry of a version that this program does not know.
    #[error("an entry of the unknown version {}", quoted(.0))]
    Version(String),
    /// A member says something that no entry says.
    #[error("the member {0} cannot be read")]
    Member(&'static str),
}

/// One entry, as it stands.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Its number, from 0.
    pub n: u64,
    /// When it was appended.
    pub time: Timestamp,
    /// What it tells of.
    pub event: Event<'a>,
}

/// What an entry tells of.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A request.
    Request(Box<Request<'a>>),
    /// How many requests got no entry of their own.
    Dropped(Dropped),
}

/// A request in the log.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What became of it.
    pub verdict: Verdict,
    /// The step that refused it, if one did.
    pub step: Option<u8>,
    /// Why it was refused.
    pub code: Option<String>,
    /// The rules that it was judged by.
    pub rules: Option<Rules>,
    /// What it asks for.
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

/// The rules that a request was judged by.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
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
    #[serde(default)]
    pub require: Vec<String>,
    /// Names that could stay uncovered.
    #[serde(default)]
    pub allow_uncovered: Vec<String>,
}

/// What a request asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Mcp {
    /// The method, or `@get`, `@delete`, `@response`.
    pub method: String,
    /// The tool, prompt, resource or task.
    pub name: Option<String>,
}

/// A signature in the log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a signature")]
#[non_exhaustive]
pub struct Signature<'a> {
    /// Its label.
    #[serde(borrow)]
    pub label: Cow<'a, str>,
    /// The key, as a trust file has it.
    #[serde(borrow)]
    pub key: &'a RawValue,
    /// The signature base as JSON text, if it may be known.
    #[serde(default, borrow)]
    pub base: Option<&'a RawValue>,
    /// Else its SHA-256, in base64.
    #[serde(default)]
    pub base_sha256: Option<String>,
    /// The signature, in base64.
    #[serde(borrow)]
    pub signature: Cow<'a, str>,
}

/// All members that an entry may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an audit entry")]
struct Json<'a> {
    #[serde(borrow)]
    mcpid: Cow<'a, str>,
    n: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default)]
    dropped: Option<Dropped>,
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
    let json: Json<'_> = line::json(line)?;
    if json.mcpid != VERSION {
        return Err(EntryError::Version(json.mcpid.chars().take(64).collect()));
    }
    // One moment has one spelling.
    let time = match Timestamp::parse_own(json.time.as_bytes()) {
        Some(time) => time,
        None => Timestamp::parse_rfc3339(&json.time)
            .ok()
            .filter(|time| time.to_string() == json.time)
            .ok_or(EntryError::Member("time"))?,
    };
    let event = match (&*json.event, json.dropped, json.request, json.verdict) {
        ("dropped", Some(dropped), None, None) => Event::Dropped(dropped),
        ("request", None, Some(request), Some(verdict)) => Event::Request(Box::new(Request {
            verdict: Verdict::from_text(&verdict.0).ok_or(EntryError::Member("verdict"))?,
            step: json.step,
            code: json.code,
            rules: json.rules,
            mcp: json.mcp,
            digest: json.digest,
            signatures: json.signatures,
            request,
            redacted: json.redacted,
        })),
        _ => return Err(EntryError::Member("event")),
    };
    Ok(Entry { n: json.n, time, event })
}

/// Number and time of an entry, of which nothing else is looked at: they stand in front, in one
/// spelling.
pub(super) fn stamp(line: &[u8]) -> Option<(u64, Timestamp)> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.ends_with('}'))?;
    let rest = text.strip_prefix("{\"mcpid\":\"")?.strip_prefix(VERSION)?;
    let (n, rest) = rest.strip_prefix("\",\"n\":")?.split_once(',')?;
    let (time, _) = rest.strip_prefix("\"time\":\"")?.split_once('"')?;
    Some((n.parse().ok()?, Timestamp::parse_rfc3339(time).ok()?))
}
