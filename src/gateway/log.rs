//! The log of the gateway. Each request gives one line, and each line is one JSON object.
//!
//! ```json
//! {"version":1,"time":"2026-11-23T10:00:00Z","request":7,"peer":"127.0.0.1:5123","http":"1.1",
//!  "method":"POST","path":"/mcp","mcp":{"method":"tools/call","name":"pay"},"status":"invalid",
//!  "code":"expired","mode":"permissive","outcome":"passed","key":null,"tag":null,"answer":200,
//!  "upstream":200,"ms":1.25,"sent":118,"received":2310,"note":null}
//! ```
//!
//! (This is one line of the log; `touch`, `via`, `hint` and `traceparent` are left out if they are
//! empty.) The line holds no secrets: no query, no body, and no header field but `traceparent`.
//! Texts that a client chose are cut at [`MAX_TEXT_CHARS`] characters. Characters that could break
//! a line or control a terminal are written as JSON escapes, so that no request can forge, break or
//! hide a line.
//!
//! Members may be added; a reader ignores members that it does not know. `version` changes only if
//! a member changes its meaning.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::Timestamp;
use crate::message::shown;
use crate::tower::{Mode, Status};
use crate::verify::{Code, Rejection, Verified};

mod coding;
mod lines;
mod parts;
mod touch;
mod traceparent;

pub use lines::LogLines;
pub use parts::{LoggedKey, LoggedOperation, LoggedOutcome, LoggedStatus};
pub use touch::LoggedTouch;

/// The version of the format, which is the first member of every line.
pub const VERSION: u8 = 1;

/// The maximum number of characters of a text that a client chose. A longer text ends with its
/// length and the beginning of its SHA-256 ([`shown::capped`]).
pub const MAX_TEXT_CHARS: usize = 128;

/// An upper bound of the length of a line in bytes: thirteen texts of [`MAX_TEXT_CHARS`] characters
/// of which each is escaped in twelve bytes, and the other members.
pub const LONGEST_LINE: usize = 24 * 1024;

/// The memory that most lines need, in bytes.
const TYPICAL_LINE_BYTES: usize = 640;

/// A text of at most [`MAX_TEXT_CHARS`] characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct LogText(Cow<'static, str>);

impl LogText {
    /// Makes a text from `text`, which is cut if it is too long.
    pub fn new(text: &str) -> Self {
        LogText(Cow::Owned(shown::capped(text, MAX_TEXT_CHARS).into_owned()))
    }

    /// Returns true if the text was cut.
    pub fn is_cut(&self) -> bool {
        self.0.chars().count() > MAX_TEXT_CHARS
    }

    /// Makes a text from a fixed word of this program, which needs no checks.
    pub const fn word(word: &'static str) -> Self {
        LogText(Cow::Borrowed(word))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown::visible(&self.0))
    }
}

impl<'de> Deserialize<'de> for LogText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        // A text that was cut when the line was written must not be cut again when it is read.
        // Older versions of this program ended a cut text with `…` only.
        let bare =
            || text.strip_suffix('…').is_some_and(|text| text.chars().count() == MAX_TEXT_CHARS);
        let cut = shown::is_capped(&text, MAX_TEXT_CHARS) || bare();
        Ok(if cut { LogText(Cow::Owned(text.into_owned())) } else { LogText::new(&text) })
    }
}

/// The log line of one request.
///
/// ```
/// use mcpid::clock::Timestamp;
/// use mcpid::gateway::log::LogLine;
///
/// let line = LogLine::new(Timestamp::from_unix(0), 7, "POST", "/mcp?token=secret");
/// assert_eq!(line.path.as_str(), "/mcp");
/// assert_eq!(LogLine::parse(line.to_line().as_bytes()), Some(line));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    #[serde(deserialize_with = "this_version")]
    version: u8,
    /// When the request arrived.
    #[serde(serialize_with = "coding::time_out", deserialize_with = "coding::time_in")]
    pub time: Timestamp,
    /// The number of the request since the start of the process, counted from 1.
    pub request: u64,
    /// The client: an address and port, or `unix`; only an address if trusted proxies reported it.
    #[serde(default)]
    pub peer: Option<LogText>,
    /// The version of HTTP, `1.1` or `2`.
    #[serde(default)]
    pub http: Option<LogText>,
    /// The HTTP method.
    pub method: LogText,
    /// The path as received, without the query.
    pub path: LogText,
    /// The MCP operation of the request.
    #[serde(default)]
    pub mcp: Option<LoggedOperation>,
    /// The verification status; `None` if the request was refused before it was judged.
    #[serde(default)]
    pub status: Option<LoggedStatus>,
    /// The exact refusal code, which only operators see. The client may get a more general code.
    #[serde(default, serialize_with = "coding::code_out", deserialize_with = "coding::code_in")]
    pub code: Option<Code>,
    /// The mode that applied to a request that is not verified.
    #[serde(default, serialize_with = "coding::mode_out", deserialize_with = "coding::mode_in")]
    pub mode: Option<Mode>,
    /// What happened to the request.
    pub outcome: LoggedOutcome,
    /// The key, of a verified request only.
    #[serde(default)]
    pub key: Option<LoggedKey>,
    /// The trusted key whose signature is valid, of a refused request only. For example, it is the
    /// revoked key of a refusal with the code `key_revoked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<LoggedKey>,
    /// The touch of a security key that confirms the signature, of a verified request only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch: Option<LoggedTouch>,
    /// Why no touch of a security key was accepted ([`TouchFault`](crate::verify::TouchFault)), if
    /// the code is `touch_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub touch_fault: Option<LogText>,
    /// The client id that the signature states, of a verified request only.
    #[serde(default)]
    pub tag: Option<LogText>,
    /// The status of the response; `None` if the client disconnected before it was sent.
    #[serde(default)]
    pub answer: Option<u16>,
    /// The status of the upstream's answer.
    #[serde(default)]
    pub upstream: Option<u16>,
    /// Milliseconds from the head of the request to the head of the answer.
    #[serde(default)]
    pub ms: f64,
    /// Bytes of the body of the request.
    #[serde(default)]
    pub sent: u64,
    /// Bytes of the body of the response.
    #[serde(default)]
    pub received: u64,
    /// A remark from a fixed list, for example the reason of a failure.
    #[serde(default)]
    pub note: Option<LogText>,
    /// The proxy that reported the address of the client: an address and port, or `unix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<LogText>,
    /// A hint for the operator how to correct a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<LogText>,
    /// The W3C trace of the request, as the client claims it in a header or `params._meta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<LogText>,
}

impl LogLine {
    /// Makes the line of a new request. Its outcome is `Failed` until another one is set.
    pub fn new(time: Timestamp, request: u64, method: &str, path: &str) -> Self {
        LogLine {
            version: VERSION,
            time,
            request,
            peer: None,
            http: None,
            method: LogText::new(method),
            // `path` may be a whole request target. The query is removed: it may be secret.
            path: LogText::new(path.split(['?', '#']).next().unwrap_or_default()),
            mcp: None,
            status: None,
            code: None,
            mode: None,
            outcome: LoggedOutcome::Failed,
            key: None,
            signer: None,
            touch: None,
            touch_fault: None,
            tag: None,
            answer: None,
            upstream: None,
            ms: 0.0,
            sent: 0,
            received: 0,
            note: None,
            via: None,
            hint: None,
            traceparent: None,
        }
    }

    /// Sets status and code. For a verified request, also sets key and tag; for a refused one, the signer.
    pub fn judged(&mut self, status: &Status) {
        self.status = Some(status.into());
        self.code = status.code();
        let verified = status.verified();
        self.key = verified.map(LoggedKey::from);
        self.touch = verified.and_then(Verified::touch).map(LoggedTouch::from);
        let fault = status.rejection().and_then(Rejection::touch_fault);
        self.touch_fault = fault.map(|fault| LogText::word(fault.as_str()));
        self.signer = status.rejection().and_then(LoggedKey::of_refused);
        self.tag = verified.and_then(Verified::tag).map(LogText::new);
        if let Some(ids) = status.rejection().and_then(Rejection::kid_of) {
            let note = format!("keyid is the kid of {ids}; here a key is named by its thumbprint");
            self.note = Some(LogText::new(&note));
        }
    }

    /// Sets the trace to `text` if it is a valid `traceparent` and no trace is set yet. A
    /// `traceparent` of a later version is rewritten as version 00.
    pub fn traced(&mut self, text: &str) {
        if self.traceparent.is_none() {
            self.traceparent = traceparent::parse(text).map(|trace| LogText::new(&trace));
        }
    }

    /// Sets the time that the request took, rounded to microseconds.
    pub fn took(&mut self, time: Duration) {
        self.ms = (time.as_secs_f64() * 1e6).round() / 1e3;
    }

    /// Returns the line, without a line feed at its end. The line contains no character that any
    /// standard treats as a line break.
    pub fn to_line(&self) -> String {
        let mut bytes = Vec::with_capacity(TYPICAL_LINE_BYTES);
        // This cannot fail: the values are strings and numbers, and JSON is UTF-8.
        let _ = serde_json::to_writer(&mut bytes, self);
        let text = String::from_utf8(bytes).unwrap_or_default();
        match shown::json(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(escaped) => escaped,
        }
    }

    /// Parses a line. Returns `None` if the line is not of this format and version.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

fn this_version<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    match u8::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(serde::de::Error::custom(format_args!("version {other}"))),
    }
}
