//! The `Mcp-*` fields, which repeat what the body says.
//!
//! Revision 2026-07-28 lets proxies route and meter by these fields instead of the body. A field
//! that tells another story than the body would make them act on something that was never done,
//! so the two are held against each other, and a request of that revision must carry them.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::{Message, MessageKind, Reading, name_member, shorten};
use crate::message::Head;

/// The first revision that wants the fields.
const FIRST_MIRRORED: &str = "2026-07-28";

const VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

const OPENING: &str = "=?base64?";
const CLOSING: &str = "?=";

/// A field that does not agree with the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    header: &'static str,
    fault: Fault,
    header_value: Option<String>,
    body_value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Differs,
    Repeated,
    Unreadable,
}

impl Mismatch {
    /// The field, in the spelling of the MCP specification.
    pub fn header(&self) -> &'static str {
        self.header
    }

    /// What the field says, decoded where that was possible; nothing if it is absent or stands
    /// on several lines. At most 64 characters.
    pub fn header_value(&self) -> Option<&str> {
        self.header_value.as_deref()
    }

    /// What the body says; nothing if it says nothing. At most 64 characters.
    pub fn body_value(&self) -> Option<&str> {
        self.body_value.as_deref()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header;
        match (self.fault, &self.header_value, &self.body_value) {
            (Fault::Repeated, ..) => write!(f, "{header} stands on more than one line"),
            (Fault::Unreadable, Some(said), _) => {
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

/// Whether a protocol version wants the fields.
///
/// Versions are dates and compare as text. One that is no date is of an unknown age: it is held
/// to the stricter rules, which is also what a draft of a later revision would ask.
pub fn wants_mirror(version: &str) -> bool {
    let is_date = version.len() == 10
        && version.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    !is_date || version >= FIRST_MIRRORED
}

/// Whether a request with this method must name what it acts on in `Mcp-Name`.
fn wants_name(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Holds the `Mcp-*` fields of `head` against what the body says. `Mcp-Param-*` is not judged.
///
/// # Errors
/// [`Mismatch`] for the first field that is missing, repeated, not readable or not equal.
pub fn check(head: &Head<'_>, reading: &Reading<'_>) -> Result<(), Mismatch> {
    match reading {
        // Nothing to hold them against: there is no body that could say otherwise.
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
            // A body that names no version leaves nothing to disagree with. It lacks what the
            // revision wants in `_meta`, which is the server's to say (-32602). Nothing hangs on
            // the body here: the field alone has asked for the other two.
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
    // A method that goes by no name leaves nothing to disagree with either; a response does, for
    // it has no business with the field at all.
    match message.method() {
        Some(method) if name_member(method).is_none() => Ok(()),
        _ => agree(NAME, name, message.name()),
    }
}

/// A field that is present must say what the body says.
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
        fault: Fault::Differs,
        header_value: said.map(shorten),
        body_value: body.map(shorten),
    }
}

/// The decoded value of a field, if it is there.
fn decoded<'h>(head: &'h Head<'_>, header: &'static str) -> Result<Option<Cow<'h, str>>, Mismatch> {
    let name = match header {
        METHOD => "mcp-method",
        NAME => "mcp-name",
        _ => "mcp-protocol-version",
    };
    let fault = |fault, said: Option<&[u8]>| Mismatch {
        header,
        fault,
        header_value: said.map(|said| shorten(&String::from_utf8_lossy(said))),
        body_value: None,
    };
    match head.single(name) {
        Ok(None) => Ok(None),
        Ok(Some(said)) => match decode(said) {
            Some(text) => Ok(Some(text)),
            None => Err(fault(Fault::Unreadable, Some(said))),
        },
        Err(_) => Err(fault(Fault::Repeated, None)),
    }
}

/// Decodes the value of an `Mcp-*` field: visible ASCII and inner spaces stand for themselves,
/// `=?base64?…?=` for the UTF-8 text whose padded standard base64 (RFC 4648 section 4) it holds.
///
/// Nothing for any other byte, for base64 that is not canonical, or for an opening mark without
/// its closing one, which some decoders take for an encoded value. The marks are case-sensitive.
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

/// Encodes a value for an `Mcp-*` field so that [`decode`] gives it back.
///
/// Base64 is used for whatever a field cannot carry as it is: bytes outside visible ASCII, spaces
/// at the ends, nothing at all (some clients drop an empty field), and text that looks encoded.
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

/// The fields, name and value, that a client should send with `message`: none where its body
/// names no version that wants them, and none for a response, for which they are not defined.
pub fn for_message(message: &Message<'_>) -> Vec<(&'static str, String)> {
    let version = message.protocol_version().filter(|version| wants_mirror(version));
    let (Some(version), Some(method)) = (version, message.method()) else {
        return Vec::new();
    };
    let mut fields =
        vec![(VERSION, encode(version).into_owned()), (METHOD, encode(method).into_owned())];
    // The tasks extension wants its `taskId` here too, so every name that there is goes along.
    if let Some(name) = message.name() {
        fields.push((NAME, encode(name).into_owned()));
    }
    fields
}
