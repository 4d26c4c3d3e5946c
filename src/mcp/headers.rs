//! The `Mcp-*` fields, which repeat values of the body.
//!
//! From revision 2026-07-28 on, proxies may route and meter requests by these fields, without
//! reading the body. If a field disagreed with the body, a proxy would act on another operation
//! than the server. So the fields are compared with the body, and a request of that revision must
//! have them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ambiguity::shorten;
use super::body::{Message, MessageKind, Reading, name_member};
use crate::message::Head;

/// The first protocol version that requires the `Mcp-*` fields.
const FIRST_MIRRORED: &str = "2026-07-28";

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

const OPENING: &str = "=?base64?";
const CLOSING: &str = "?=";

/// An `Mcp-*` field that does not agree with the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    header: &'static str,
    kind: MismatchKind,
    header_value: Option<String>,
    body_value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MismatchKind {
    Differs,
    Repeated,
    Unreadable,
}

impl Mismatch {
    /// Returns the name of the `Mcp-*` field that contradicts the body, in the spelling of the MCP
    /// specification.
    pub fn header(&self) -> &'static str {
        self.header
    }

    /// Returns the value of the field that contradicts the body, decoded if possible, cut to 64
    /// characters. Returns `None` if the field is absent or is on several lines.
    pub fn header_value(&self) -> Option<&str> {
        self.header_value.as_deref()
    }

    /// Returns the value in the body, cut to 64 characters, or `None` if the body has none.
    pub fn body_value(&self) -> Option<&str> {
        self.body_value.as_deref()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header;
        match (self.kind, &self.header_value, &self.body_value) {
            (MismatchKind::Repeated, ..) => write!(f, "{header} stands on more than one line"),
            (MismatchKind::Unreadable, Some(said), _) => {
                write!(f, "{header} is {said:?}, which is neither visible ASCII nor strict base64")
            }
            (_, Some(said), Some(body)) => {
                write!(f, "{header} is {said:?}, and the body says {body:?}")
            }
            (_, Some(said), None) => write!(f, "{header} is {said:?}, and the body says none"),
            (_, None, Some(body)) => write!(f, "{header} is absent, and the body says {body:?}"),
            (_, None, None) => write!(f, "{header} is absent, and the body says none either"),
        }
    }
}

impl std::error::Error for Mismatch {}

/// Returns true if a protocol version requires the fields.
///
/// Versions are dates, and are compared as text. A version that is not a date, such as `draft`, is
/// of unknown age, so the stricter rules apply to it.
///
/// ```
/// use mcpid::mcp::headers::wants_mirror;
///
/// assert!(wants_mirror("2026-07-28") && wants_mirror("draft"));
/// assert!(!wants_mirror("2025-11-25"));
/// ```
pub fn wants_mirror(version: &str) -> bool {
    let is_date = version.len() == 10
        && version.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    !is_date || version >= FIRST_MIRRORED
}

/// Returns true if a request with this method must repeat the name on which it acts in `Mcp-Name`.
fn wants_name(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Compares the `Mcp-*` fields of `head` with the body. `Mcp-Param-*` is not compared.
///
/// # Errors
/// [`Mismatch`] for the first field that is missing, repeated, undecodable or different.
pub fn check(head: &Head<'_>, reading: &Reading<'_>) -> Result<(), Mismatch> {
    match reading {
        // Nothing to compare: there is no JSON body that the fields could contradict.
        Reading::Get | Reading::Delete | Reading::Opaque => Ok(()),
        Reading::Json => {
            agree(METHOD, decoded(head, METHOD)?, None)?;
            agree(NAME, decoded(head, NAME)?, None)
        }
        Reading::Message(message) => check_message(head, message),
    }
}

fn check_message(head: &Head<'_>, message: &Message<'_>) -> Result<(), Mismatch> {
    let version = decoded(head, VERSION)?;
    let method = decoded(head, METHOD)?;
    let name = decoded(head, NAME)?;
    let body_version = message.protocol_version();
    let required = message.kind() == MessageKind::Request
        && (version.as_deref().is_some_and(wants_mirror) || body_version.is_some_and(wants_mirror));
    if required {
        match (&version, body_version) {
            (Some(said), Some(body)) if said == body => {}
            // A body that names no version cannot contradict the field `MCP-Protocol-Version`. The
            // server itself refuses such a body (-32602), because the revision requires a version
            // in `_meta`.
            (Some(_), None) => {}
            _ => return Err(differs(VERSION, version.as_deref(), body_version)),
        }
        if method.is_none() {
            return Err(differs(METHOD, None, message.method()));
        }
        if name.is_none() && message.method().is_some_and(wants_name) {
            return Err(differs(NAME, None, message.name()));
        }
    } else if body_version.is_some() {
        agree(VERSION, version, body_version)?;
    }
    agree(METHOD, method, message.method())?;
    // If the method acts on no name, `Mcp-Name` cannot contradict the body. With a response,
    // `Mcp-Name` is refused, because it is not defined for responses.
    match message.method() {
        Some(method) if name_member(method).is_none() => Ok(()),
        _ => agree(NAME, name, message.name()),
    }
}

/// Checks that a field, if it is present, equals the value in the body.
fn agree(
    header: &'static str,
    said: Option<Cow<'_, str>>,
    body: Option<&str>,
) -> Result<(), Mismatch> {
    match said {
        Some(said) if body != Some(&*said) => Err(differs(header, Some(&said), body)),
        _ => Ok(()),
    }
}

fn differs(header: &'static str, said: Option<&str>, body: Option<&str>) -> Mismatch {
    Mismatch {
        header,
        kind: MismatchKind::Differs,
        header_value: said.map(shorten),
        body_value: body.map(shorten),
    }
}

/// Returns the decoded value of an `Mcp-*` field, if the request has that field.
fn decoded<'h>(head: &'h Head<'_>, header: &'static str) -> Result<Option<Cow<'h, str>>, Mismatch> {
    let name = match header {
        METHOD => "mcp-method",
        NAME => "mcp-name",
        _ => "mcp-protocol-version",
    };
    let mismatch = |kind, said: Option<&[u8]>| Mismatch {
        header,
        kind,
        header_value: said.map(|said| shorten(&String::from_utf8_lossy(said))),
        body_value: None,
    };
    match head.single(name) {
        Ok(None) => Ok(None),
        Ok(Some(said)) => match decode(said) {
            Some(text) => Ok(Some(text)),
            None => Err(mismatch(MismatchKind::Unreadable, Some(said))),
        },
        Err(_) => Err(mismatch(MismatchKind::Repeated, None)),
    }
}

/// Decodes the value of an `Mcp-*` field. Visible ASCII and inner spaces stand for themselves.
/// `=?base64?…?=` stands for the UTF-8 text in padded standard base64 (RFC 4648 section 4).
///
/// Returns `None` for any other byte, for base64 that is not canonical, and for `=?base64?` without
/// `?=` at the end, which some decoders accept. The marks are case-sensitive.
pub fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(value).ok()?;
    if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        return None;
    }
    match text.strip_prefix(OPENING) {
        None => Some(Cow::Borrowed(text)),
        Some(rest) => {
            let bytes = STANDARD.decode(rest.strip_suffix(CLOSING)?).ok()?;
            String::from_utf8(bytes).ok().map(Cow::Owned)
        }
    }
}

/// Encodes a value for an `Mcp-*` field so that [`decode`] returns it.
///
/// Base64 is used for text that a field cannot carry directly: bytes outside visible ASCII, spaces
/// at the ends, the empty text (some clients drop an empty field), and text that looks encoded.
///
/// ```
/// use mcpid::mcp::headers::{decode, encode};
///
/// assert_eq!(encode("pay"), "pay");
/// assert_eq!(encode("zahlen für"), "=?base64?emFobGVuIGbDvHI=?=");
/// assert_eq!(decode(b"=?base64?emFobGVuIGbDvHI=?=").as_deref(), Some("zahlen für"));
/// ```
pub fn encode(text: &str) -> Cow<'_, str> {
    let plain = !text.is_empty()
        && text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.trim_matches(' ') == text
        && !text.starts_with(OPENING);
    if plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{OPENING}{}{CLOSING}", STANDARD.encode(text)))
    }
}

/// Returns the fields that a client should send with `message`, as pairs of name and value. The
/// list is empty for a response, and if the body names no version that requires the fields.
pub fn for_message(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let version = message.protocol_version().filter(|version| wants_mirror(version));
    let (Some(version), Some(method)) = (version, message.method()) else {
        return Vec::new();
    };
    let mut fields =
        vec![(VERSION, encode(version).into_owned()), (METHOD, encode(method).into_owned())];
    // The tasks extension requires `Mcp-Name` for a `taskId` too. So the field is sent for every
    // method that acts on a name.
    if let Some(name) = message.name() {
        fields.push((NAME, encode(name).into_owned()));
    }
    fields
}
