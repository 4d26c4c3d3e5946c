//! Request lines: one request a line, as JSON; the form in which requests are kept in logs.
//!
//! ```json
//! {"time":"2026-11-23T10:00:00Z","method":"POST","target":"https://mcp.example.com/mcp",
//!  "headers":[["content-type","application/json"]],"body":"e30="}
//! ```
//!
//! (on one line.) `body` is base64 of the standard alphabet with padding and no stray bits, so
//! that one body has one spelling; absent, the body was not kept. `time` may be absent. Members
//! of other names are ignored. An object with a member `request` is an audit entry: the request
//! line is in there, and what stands beside it is not read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::uri::UriError;
use super::{Body, Head, HeadError, Request, RequestTarget};
use crate::clock::{Timestamp, TimestampError};

/// Why a line is not a request line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Not JSON, a member of the wrong type, or one that stands twice.
    #[error("not a request line")]
    Json(#[from] serde_json::Error),
    /// A member without which there is no request.
    #[error("the request line has no {0}")]
    Missing(&'static str),
    /// The `request` of an audit entry has a `request` itself.
    #[error("an audit entry inside an audit entry")]
    Nested,
    /// Not an RFC 3339 time.
    #[error("the member time cannot be read")]
    Time(#[from] TimestampError),
    /// A method or field that HTTP does not know.
    #[error("the request line is not an HTTP request")]
    Head(#[from] HeadError),
    /// Not an absolute `http` or `https` URL without fragment.
    #[error("the member target cannot be read")]
    Target(#[from] UriError),
    /// Not canonical base64.
    #[error("the member body is not canonical base64")]
    Body(#[from] base64::DecodeError),
}

/// All members that are read, unread: a repeated one is an error whether or not it is needed.
#[derive(Deserialize)]
#[serde(expecting = "a request line")]
struct LineJson<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    time: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    target: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    body: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    request: Option<&'a RawValue>,
}

/// Takes a `null` for a value of the wrong type rather than for nothing.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(d).map(Some)
}

/// A string that is borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Reads one line, with or without its line end, or the `request` of an audit entry.
///
/// # Errors
/// [`LineError`].
pub fn parse(line: &[u8]) -> Result<Request<'_>, LineError> {
    let json = members(line)?;
    match json.request {
        Some(inner) => {
            let json = members(inner.get().as_bytes())?;
            if json.request.is_some() {
                // One level, as audit entries have it; else depth would be the sender's choice.
                return Err(LineError::Nested);
            }
            read(&json)
        }
        None => read(&json),
    }
}

fn members(text: &[u8]) -> Result<LineJson<'_>, LineError> {
    // The derived reader would take a list for a struct.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(LineError::NotAnObject);
    }
    Ok(serde_json::from_slice(text)?)
}

fn read<'a>(json: &LineJson<'a>) -> Result<Request<'a>, LineError> {
    let time = match json.time {
        Some(raw) => Some(Timestamp::parse_rfc3339(&text(raw)?)?),
        None => None,
    };
    let method = text(json.method.ok_or(LineError::Missing("method"))?)?;
    let target = text(json.target.ok_or(LineError::Missing("target"))?)?;
    let headers = json.headers.ok_or(LineError::Missing("headers"))?;
    let mut head = Head::new(method, RequestTarget::from_url(target)?)?;
    let headers: Vec<(Text<'a>, Text<'a>)> = serde_json::from_str(headers.get())?;
    for (Text(name), Text(value)) in headers {
        let value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        };
        head.push(name, value)?;
    }
    let body = match json.body {
        Some(raw) => Body::Kept(STANDARD.decode(text(raw)?.as_bytes())?.into()),
        None => Body::NotKept,
    };
    Ok(Request { head, body, time })
}

fn text(raw: &RawValue) -> Result<Cow<'_, str>, LineError> {
    let Text(text) = serde_json::from_str(raw.get())?;
    Ok(text)
}

/// A header value that JSON text cannot hold, because it is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {0:?} is not UTF-8, a request line cannot hold it")]
pub struct WriteError(String);

#[derive(Serialize)]
struct LineOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// The request line of a request, without a line end.
///
/// `target_uri` is the resolved one ([`Target::target_uri`](super::target::Target::target_uri)):
/// a line stands for itself, without the origins that it was received under. `body` is None
/// where it is not to be kept.
///
/// # Errors
/// [`WriteError`].
pub fn write(
    head: &Head<'_>,
    target_uri: &str,
    body: Option<&[u8]>,
    time: Option<Timestamp>,
) -> Result<String, WriteError> {
    let mut headers = Vec::with_capacity(head.fields().len());
    for field in head.fields() {
        match std::str::from_utf8(field.value()) {
            Ok(value) => headers.push((field.name(), value)),
            Err(_) => return Err(WriteError(super::uri::shown(field.name()))),
        }
    }
    let mut line = Vec::new();
    write_to(&mut line, head.method(), target_uri, headers, body, time);
    Ok(String::from_utf8(line).unwrap_or_default())
}

/// As [`write`], behind what `out` holds, of these fields only.
pub(crate) fn write_to(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    time: Option<Timestamp>,
) {
    let time = time.map(|time| time.to_string());
    let body = body.map(|body| STANDARD.encode(body));
    let line = LineOut { time, method, target, headers, body };
    // Strings and pairs of strings always serialise, and there is always room behind a vector.
    let _ = serde_json::to_writer(out, &line);
}
