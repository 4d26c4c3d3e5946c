//! The gateway's log: one JSON object a line, one line a request.
//!
//! ```json
//! {"version":1,"time":"2026-11-23T10:00:00Z","request":7,"peer":"127.0.0.1:5123","http":"1.1",
//!  "method":"POST","path":"/mcp","mcp":{"method":"tools/call","name":"pay"},"status":"invalid",
//!  "code":"expired","mode":"permissive","outcome":"passed","key":null,"tag":null,"answer":200,
//!  "upstream":200,"ms":1.25,"sent":118,"received":2310,"note":null}
//! ```
//!
//! (On one line; `via` and `hint` stand there only if there is something to say.) There are no
//! secrets in it: no query, no header, no body. What strangers chose is cut at [`LONGEST`]
//! characters, and whatever could break a line or steer a terminal is written as a JSON escape, so
//! that no request can forge a line, break one, or hide in one.
//!
//! Members may be added; who reads a log ignores those it does not know. `version` changes only if
//! a member changes its meaning.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::mcp::pattern::Operation;
use crate::message::shown;
use crate::tower::{Mode, Status};
use crate::verify::{Code, Verified};

/// The version of the format, the first member of every line.
pub const VERSION: u8 = 1;

/// Characters of a text that a stranger chose; what is cut off leaves its length and the beginning
/// of its SHA-256 behind ([`shown::capped`]).
pub const LONGEST: usize = 128;

/// Bytes that no line reaches: eleven texts, each character an escape of twelve bytes, and the rest.
pub const LONGEST_LINE: usize = 20 * 1024;

/// A text of at most [`LONGEST`] characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Short(Cow<'static, str>);

impl Short {
    /// The beginning of `text`.
    pub fn new(text: &str) -> Self {
        Short(Cow::Owned(shown::capped(text, LONGEST).into_owned()))
    }

    /// Whether this is only the beginning of a text.
    pub fn is_cut(&self) -> bool {
        self.0.chars().count() > LONGEST
    }

    /// A word of ours, taken as it is.
    pub const fn word(word: &'static str) -> Self {
        Short(Cow::Borrowed(word))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown::visible(&self.0))
    }
}

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(from)?;
        // What was cut when it was written is not cut again; older versions left only `…` behind.
        let bare = || text.strip_suffix('…').is_some_and(|text| text.chars().count() == LONGEST);
        let cut = shown::is_capped(&text, LONGEST) || bare();
        Ok(if cut { Short(Cow::Owned(text.into_owned())) } else { Short::new(&text) })
    }
}

/// What is known about who sent a request: the word of [`Status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// All twelve steps hold.
    Verified,
    /// No signature.
    Unsigned,
    /// A well-formed signature under a key that the registry does not have.
    UnknownKey,
    /// A signature, refused at some other step.
    Invalid,
    /// It could not be judged.
    Unavailable,
}

impl Standing {
    /// Every standing there is.
    pub const ALL: [Standing; 5] = [
        Standing::Verified,
        Standing::Unsigned,
        Standing::UnknownKey,
        Standing::Invalid,
        Standing::Unavailable,
    ];

    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Verified => "verified",
            Standing::Unsigned => "unsigned",
            Standing::UnknownKey => "unknown_key",
            Standing::Invalid => "invalid",
            Standing::Unavailable => "unavailable",
        }
    }
}

impl From<&Status> for Standing {
    fn from(status: &Status) -> Self {
        match status {
            Status::Verified(_) => Standing::Verified,
            Status::Unsigned(_) => Standing::Unsigned,
            Status::UnknownKey(_) => Standing::UnknownKey,
            Status::Invalid(_) => Standing::Invalid,
            Status::Unavailable(_) => Standing::Unavailable,
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It went to the upstream, verified or by the grace of permissive.
    Passed,
    /// It was answered here, with no.
    Refused,
    /// It went through a path that is open to unsigned requests.
    Open,
    /// It was let through, or could have been, and the upstream or this program failed it.
    Failed,
}

/// What a request does, if its body was read and can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Does {
    /// The JSON-RPC method, or `@response`, `@get`, `@delete`.
    pub method: Short,
    /// What it acts on: a tool, a prompt, a resource, a task.
    #[serde(default)]
    pub name: Option<Short>,
}

impl From<Operation<'_>> for Does {
    fn from(Operation { method, name }: Operation<'_>) -> Self {
        Does { method: Short::new(method), name: name.map(Short::new) }
    }
}

/// The key that vouched for a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Its RFC 7638 thumbprint.
    pub id: Short,
    /// Its name in the registry.
    #[serde(default)]
    pub name: Option<Short>,
}

impl From<&Verified> for Key {
    fn from(verified: &Verified) -> Self {
        Key { id: Short::new(verified.key().as_str()), name: verified.name().map(Short::new) }
    }
}

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    #[serde(deserialize_with = "this_version")]
    version: u8,
    /// When the request came.
    #[serde(serialize_with = "time_out", deserialize_with = "time_in")]
    pub time: Timestamp,
    /// Its number since the start of the process, counted from 1.
    pub request: u64,
    /// Whence it came: an address and port, or `unix`; an address alone where trusted proxies told
    /// it.
    #[serde(default)]
    pub peer: Option<Short>,
    /// The version of HTTP, `1.1` or `2`.
    #[serde(default)]
    pub http: Option<Short>,
    /// The HTTP method.
    pub method: Short,
    /// The path as received, without the query.
    pub path: Short,
    /// What it does.
    #[serde(default)]
    pub mcp: Option<Does>,
    /// What is known of its sender; none where it was refused before there was any.
    #[serde(default)]
    pub status: Option<Standing>,
    /// The true code with which strict refuses it, or would have: for the operator only.
    #[serde(default, serialize_with = "code_out", deserialize_with = "code_in")]
    pub code: Option<Code>,
    /// The mode that decided, where it is not verified.
    #[serde(default, serialize_with = "mode_out", deserialize_with = "mode_in")]
    pub mode: Option<Mode>,
    /// What became of it.
    pub outcome: Outcome,
    /// The key, of a verified request only.
    #[serde(default)]
    pub key: Option<Key>,
    /// The client id, likewise.
    #[serde(default)]
    pub tag: Option<Short>,
    /// The status that the client was sent; none if it had gone by then.
    #[serde(default)]
    pub answer: Option<u16>,
    /// The status that the upstream answered with.
    #[serde(default)]
    pub upstream: Option<u16>,
    /// Milliseconds from the head of the request to the head of the answer.
    #[serde(default)]
    pub ms: f64,
    /// Bytes of the request's body.
    #[serde(default)]
    pub sent: u64,
    /// Bytes of the answer's body.
    #[serde(default)]
    pub received: u64,
    /// What else there is to say, in words of ours.
    #[serde(default)]
    pub note: Option<Short>,
    /// The proxy that told the address of the peer: an address and port, or `unix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Short>,
    /// Of a refusal, what would mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<Short>,
}

impl LogLine {
    /// A request of which nothing is known yet; as long as nobody says otherwise, it failed.
    pub fn new(time: Timestamp, request: u64, method: &str, path: &str) -> Self {
        LogLine {
            version: VERSION,
            time,
            request,
            peer: None,
            http: None,
            method: Short::new(method),
            // Whoever hands in a whole target must not leak what its query holds.
            path: Short::new(path.split(['?', '#']).next().unwrap_or_default()),
            mcp: None,
            status: None,
            code: None,
            mode: None,
            outcome: Outcome::Failed,
            key: None,
            tag: None,
            answer: None,
            upstream: None,
            ms: 0.0,
            sent: 0,
            received: 0,
            note: None,
            via: None,
            hint: None,
        }
    }

    /// Takes over a verdict: status, code, and for a verified request key and tag.
    pub fn judged(&mut self, status: &Status) {
        self.status = Some(status.into());
        self.code = status.code();
        let verified = status.verified();
        self.key = verified.map(Key::from);
        self.tag = verified.and_then(Verified::tag).map(Short::new);
    }

    /// Notes how long it took, to the microsecond.
    pub fn took(&mut self, time: Duration) {
        self.ms = (time.as_secs_f64() * 1e6).round() / 1e3;
    }

    /// The line, without a line feed. It has no character that is one to anybody.
    pub fn to_line(&self) -> String {
        // Strings, numbers and words always make JSON.
        let text = serde_json::to_string(self).unwrap_or_default();
        match shown::json(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(escaped) => escaped,
        }
    }

    /// Reads a line; nothing if it is none of this format and version.
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// The lines of a log: `None` for one that is no log line of this version, be it cut short, longer
/// than [`LONGEST_LINE`], or another program's. Empty lines are left out.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines from `input`, and never holds more than one of them.
    pub fn new(input: R) -> Self {
        Lines { input, line: Vec::new() }
    }

    /// Reads a line without its line feed; whether it was too long to be kept. `None` at the end.
    fn read(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let most = LONGEST_LINE as u64 + 1;
        if self.input.by_ref().take(most).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.pop_if(|last| *last == b'\n').is_some() || self.line.len() <= LONGEST_LINE {
            return Ok(Some(false));
        }
        self.input.skip_until(b'\n')?;
        Ok(Some(true))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Option<LogLine>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(None) => return None,
                Ok(Some(true)) => return Some(Ok(None)),
                Ok(Some(false)) if self.line.trim_ascii().is_empty() => {}
                Ok(Some(false)) => return Some(Ok(LogLine::parse(&self.line))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn this_version<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    match u8::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(serde::de::Error::custom(format_args!("version {other}"))),
    }
}

fn time_out<S: Serializer>(time: &Timestamp, into: S) -> Result<S::Ok, S::Error> {
    into.collect_str(time)
}

fn time_in<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    let text = Cow::<'de, str>::deserialize(from)?;
    Timestamp::parse_rfc3339(&text).map_err(serde::de::Error::custom)
}

fn code_out<S: Serializer>(code: &Option<Code>, into: S) -> Result<S::Ok, S::Error> {
    code.map(Code::as_str).serialize(into)
}

/// A code that this version does not know is no code: what else the line says still counts.
fn code_in<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Code>, D::Error> {
    let word = Option::<Cow<'de, str>>::deserialize(from)?;
    Ok(word.and_then(|word| Code::ALL.iter().copied().find(|code| code.as_str() == word)))
}

fn mode_out<S: Serializer>(mode: &Option<Mode>, into: S) -> Result<S::Ok, S::Error> {
    mode.map(Mode::as_str).serialize(into)
}

fn mode_in<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Mode>, D::Error> {
    match Option::<Cow<'de, str>>::deserialize(from)?.as_deref() {
        None => Ok(None),
        Some("strict") => Ok(Some(Mode::Strict)),
        Some("permissive") => Ok(Some(Mode::Permissive)),
        Some(_) => Err(serde::de::Error::custom("no such mode")),
    }
}
