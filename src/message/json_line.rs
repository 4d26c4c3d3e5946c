//! Request lines: one request per line, as JSON (not the request line of HTTP/1.1). Logs keep
//! requests in this form.
//!
//! ```json
//! {"time":"2026-11-23T10:00:00Z","method":"POST","target":"https://mcp.example.com/mcp",
//!  "headers":[["content-type","application/json"]],"body":"e30="}
//! ```
//!
//! A request line contains no line breaks. `body` is base64 (standard alphabet, padded, unused bits
//! zero), so that each body has one spelling. If `body` is absent, the body was not kept. `time`
//! may be absent. Members with other names are ignored. An object with a member `request` is an
//! audit entry: only that member is read, and its value is the request line.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::json_writer::{ObjectWriter, push_string};
use super::uri::UriError;
use super::{Body, Head, HeadError, InputRequest, RequestTarget};
use crate::clock::{Timestamp, TimestampError};

/// Why a line is not a request line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The line is not a JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The line is not JSON, or a member has the wrong type or occurs twice.
    #[error("not a request line")]
    Json(#[from] serde_json::Error),
    /// A required member is missing.
    #[error("the request line has no {0}")]
    Missing(&'static str),
    /// The member `request` of an audit entry is an audit entry itself.
    #[error("an audit entry inside an audit entry")]
    Nested,
    /// The time is not RFC 3339.
    #[error("the member time cannot be read")]
    Time(#[from] TimestampError),
    /// A method or field is not valid in HTTP.
    #[error("the request line is not an HTTP request")]
    Head(#[from] HeadError),
    /// The target is not an absolute `http` or `https` URL without fragment.
    #[error("the member target cannot be read")]
    Target(#[from] UriError),
    /// The body is not canonical base64.
    #[error("the member body is not canonical base64")]
    Body(#[from] base64::DecodeError),
}

/// The members of a request line or an audit entry, to tell the two apart. The values are not read,
/// but a repeated member is an error.
#[derive(Deserialize)]
#[serde(expecting = "a request line")]
struct LineEnvelope<'a> {
    #[serde(default, rename = "time", deserialize_with = "present")]
    _time: Option<IgnoredAny>,
    #[serde(default, rename = "method", deserialize_with = "present")]
    _method: Option<IgnoredAny>,
    #[serde(default, rename = "target", deserialize_with = "present")]
    _target: Option<IgnoredAny>,
    #[serde(default, rename = "headers", deserialize_with = "present")]
    _headers: Option<IgnoredAny>,
    #[serde(default, rename = "body", deserialize_with = "present")]
    _body: Option<IgnoredAny>,
    #[serde(borrow, default, deserialize_with = "present")]
    request: Option<&'a RawValue>,
}

/// The members of a request line, in JSON.
#[derive(Deserialize)]
#[serde(expecting = "a request line")]
struct LineJson<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    time: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    target: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    headers: Option<Vec<(Text<'a>, Text<'a>)>>,
    #[serde(borrow, default, deserialize_with = "present")]
    body: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    request: Option<IgnoredAny>,
}

/// Reads a member so that the value `null` is an error. By default, serde would treat it like an
/// absent member.
fn present<'de, D, T>(d: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(d).map(Some)
}

/// A JSON string, borrowed if it holds no escapes.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Parses JSON. UTF-8 is checked once for the whole text, which is faster than for each string.
pub(crate) fn json<'a, T: Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(text) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(text),
    }
}

/// Parses one line, with or without its line end: a request line or an audit entry.
///
/// # Errors
/// [`LineError`] if the line is neither.
///
/// ```
/// use mcpid::message::json_line;
///
/// let text = br#"{"method":"GET","target":"https://mcp.example.com/mcp","headers":[]}"#;
/// let request = json_line::parse(text)?;
/// assert_eq!(request.head.method(), "GET");
/// assert_eq!(request.time, None);
/// # Ok::<(), json_line::LineError>(())
/// ```
pub fn parse(line: &[u8]) -> Result<InputRequest<'_>, LineError> {
    let outer: LineEnvelope<'_> = object(line)?;
    read(outer.request.map_or(line, |inner| inner.get().as_bytes()))
}

/// Parses one line as [`parse`] does, but also accepts a target that cannot be read, and keeps it
/// unchanged. A verifier refuses such a request. Use this for profiles with a separate refusal code
/// for unreadable targets, such as `adcp`.
///
/// # Errors
/// As [`parse`], but for [`LineError::Target`].
pub fn parse_with_any_target(line: &[u8]) -> Result<InputRequest<'_>, LineError> {
    let outer: LineEnvelope<'_> = object(line)?;
    read_as(outer.request.map_or(line, |inner| inner.get().as_bytes()), |target| {
        Ok(RequestTarget::from_url(target.clone()).unwrap_or(RequestTarget::Uri(target)))
    })
}

/// Parses one JSON object. A derived `Deserialize` alone would also accept an array of the values.
fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, LineError> {
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(LineError::NotAnObject);
    }
    Ok(json(text)?)
}

/// Parses a request line that must not be an audit entry.
///
/// # Errors
/// As [`parse`], and [`LineError::Nested`] for an audit entry.
pub(crate) fn read(text: &[u8]) -> Result<InputRequest<'_>, LineError> {
    read_as(text, RequestTarget::from_url)
}

fn read_as<'a>(
    text: &'a [u8],
    read_target: impl FnOnce(Cow<'a, str>) -> Result<RequestTarget<'a>, UriError>,
) -> Result<InputRequest<'a>, LineError> {
    // Only one level of `request` is read, so that a client cannot choose how deep the parser
    // descends.
    let json: LineJson<'_> =
        object(text).map_err(|error| match object::<LineEnvelope<'_>>(text) {
            Ok(outer) if outer.request.is_some() => LineError::Nested,
            _ => error,
        })?;
    if json.request.is_some() {
        return Err(LineError::Nested);
    }
    let time = json.time.map(|Text(time)| Timestamp::parse_rfc3339(&time)).transpose()?;
    let Text(method) = json.method.ok_or(LineError::Missing("method"))?;
    let Text(target) = json.target.ok_or(LineError::Missing("target"))?;
    let headers = json.headers.ok_or(LineError::Missing("headers"))?;
    let mut head = Head::new(method, read_target(target)?)?;
    for (Text(name), Text(value)) in headers {
        let value = match value {
            Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
            Cow::Owned(value) => Cow::Owned(value.into_bytes()),
        };
        head.push(name, value)?;
    }
    let body = match json.body {
        Some(Text(body)) => Body::Kept(STANDARD.decode(body.as_bytes())?.into()),
        None => Body::NotKept,
    };
    Ok(InputRequest { head, body, time })
}

/// A header value is not UTF-8, so JSON cannot represent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {} is not UTF-8, a request line cannot hold it", crate::secret::quoted(.0))]
pub struct WriteError(String);

/// Returns the request line of a request, without a line end.
///
/// `target_uri` must be resolved ([`Target::target_uri`](super::target::Target::target_uri)),
/// because a request line does not name the origins of the server, which a reader would need to
/// resolve it. `body` is `None` if the body is not to be kept.
///
/// # Errors
/// [`WriteError`] if a header value is not UTF-8.
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
    write_to(&mut line, head.method(), target_uri, &headers, body, time);
    Ok(String::from_utf8(line).unwrap_or_default())
}

/// Appends a request line with these headers to `out`; see [`write`].
pub(crate) fn write_to(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
    time: Option<Timestamp>,
) {
    let mut line = ObjectWriter::new(out);
    if let Some(time) = time {
        line.string("time", &time.to_string());
    }
    line.string("method", method);
    line.string("target", target);
    let out = line.member("headers");
    for (at, (name, value)) in headers.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"[[" } else { b",[" });
        push_string(out, name);
        out.push(b',');
        push_string(out, value);
        out.push(b']');
    }
    out.extend_from_slice(if headers.is_empty() { b"[]" } else { b"]" });
    if let Some(body) = body {
        line.string("body", &STANDARD.encode(body));
    }
    line.end();
}
