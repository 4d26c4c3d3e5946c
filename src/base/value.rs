//! The values of components (RFC 9421 sections 2.1 and 2.2).

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::component::{Component, ComponentError, Derived, Plan};
use super::fields::Kind;
use crate::message::Head;
use crate::message::structured::{self, Dictionary, Item, List};
use crate::message::target::Target;

impl Component<'_> {
    /// Appends the value of this component in the request to `out`.
    pub(super) fn write_value(
        &self,
        head: &Head<'_>,
        target: &Target<'_>,
        out: &mut String,
    ) -> Result<(), ComponentError> {
        match self.plan()? {
            Plan::Derived(derived) => write_derived(derived, head, target, out),
            Plan::QueryParam(name) => write_query_param(name, target.query(), out),
            Plan::Field => write_lines(head, self.name(), out),
            Plan::Wrapped => write_wrapped(head, self.name(), out),
            Plan::Strict(kind) => write_strict(kind, &combined(head, self.name())?, out),
            Plan::Key(key) => write_member(key, &combined(head, self.name())?, out),
        }
    }
}

fn write_derived(
    derived: Derived,
    head: &Head<'_>,
    target: &Target<'_>,
    out: &mut String,
) -> Result<(), ComponentError> {
    match derived {
        Derived::Method => push(head.method().as_bytes(), out),
        Derived::TargetUri => {
            target.target_uri_pieces().iter().try_for_each(|piece| push(piece.as_bytes(), out))
        }
        Derived::Authority => push(target.authority().as_bytes(), out),
        Derived::Scheme => push(target.scheme().as_bytes(), out),
        Derived::RequestTarget => push(target.request_target().as_bytes(), out),
        Derived::Path => push(target.path().ok_or(ComponentError::Absent)?.as_bytes(), out),
        Derived::Query => {
            // Section 2.2.7: without a query the value is the question mark alone.
            out.push('?');
            push(target.query().unwrap_or_default().as_bytes(), out)
        }
    }
}

/// Section 2.1: all lines in order, a comma and a space between them. The head holds no
/// surrounding white space and no folded lines.
fn write_lines(head: &Head<'_>, name: &str, out: &mut String) -> Result<(), ComponentError> {
    let mut lines = head.values(name);
    push(lines.next().ok_or(ComponentError::Absent)?, out)?;
    lines.try_for_each(|line| {
        out.push_str(", ");
        push(line, out)
    })
}

/// Section 2.1.3: every line as a byte sequence, so that it may hold anything, and two lines do
/// not look like one with a comma in it.
fn write_wrapped(head: &Head<'_>, name: &str, out: &mut String) -> Result<(), ComponentError> {
    let mut separator = "";
    for line in head.values(name) {
        out.push_str(separator);
        separator = ", ";
        out.push(':');
        STANDARD.encode_string(line, out);
        out.push(':');
    }
    if separator.is_empty() { Err(ComponentError::Absent) } else { Ok(()) }
}

fn combined<'h>(head: &'h Head<'_>, name: &'h str) -> Result<Cow<'h, [u8]>, ComponentError> {
    structured::combine(head.values(name)).ok_or(ComponentError::Absent)
}

/// Section 2.1.1. A value that two parsers could read in two ways has no strict form.
fn write_strict(kind: Kind, value: &[u8], out: &mut String) -> Result<(), ComponentError> {
    match kind {
        Kind::Dictionary => {
            Dictionary::strict(value).map_err(ComponentError::Value)?.write_to(out)?;
        }
        Kind::List => List::strict(value).map_err(ComponentError::Value)?.write_to(out)?,
        Kind::Item => Item::strict(value).map_err(ComponentError::Value)?.write_to(out)?,
    }
    Ok(())
}

/// Section 2.1.2. Faults inside other members do not matter here, a repeated key does.
fn write_member(key: &str, value: &[u8], out: &mut String) -> Result<(), ComponentError> {
    let dictionary = Dictionary::parse(value).map_err(ComponentError::Value)?;
    if let Some(fault) = dictionary.duplicate {
        return Err(ComponentError::Value(fault));
    }
    let member = dictionary.get(key).ok_or(ComponentError::KeyAbsent)?;
    match member.fault {
        Some(fault) => Err(ComponentError::Value(fault)),
        None => Ok(member.value.write_to(out)?),
    }
}

/// Section 2.2.8: the query is read as a form is, and name and value are then encoded again in
/// the one way of the URL standard's form encoding, but with `%20` for a space.
fn write_query_param(
    wanted: &str,
    query: Option<&str>,
    out: &mut String,
) -> Result<(), ComponentError> {
    let mut found: Option<(Vec<u8>, Vec<u8>)> = None;
    let mut name_again = String::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name);
        name_again.clear();
        encode(&String::from_utf8_lossy(&name), &mut name_again);
        if name_again != wanted {
            continue;
        }
        if found.is_some() {
            return Err(ComponentError::QueryParamRepeated);
        }
        found = Some((name, decode(value)));
    }
    let (name, value) = found.ok_or(ComponentError::QueryParamAbsent)?;
    // The URL standard puts U+FFFD where bytes are not UTF-8; then many queries have one value.
    if std::str::from_utf8(&name).is_err() {
        return Err(ComponentError::QueryParamEncoding);
    }
    let value = std::str::from_utf8(&value).map_err(|_| ComponentError::QueryParamEncoding)?;
    encode(value, out);
    Ok(())
}

/// `+` and percent-encoded bytes undone; a `%` without two hexadecimal digits stays itself.
fn decode(text: &str) -> Vec<u8> {
    let hex = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16)).map(u8::try_from);
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match (byte, hex(bytes.get(at)), hex(bytes.get(at + 1))) {
            (b'%', Some(Ok(high)), Some(Ok(low))) => {
                out.push(high << 4 | low);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Section 2.5: a signature base is ASCII, its lines hold visible characters, spaces and tabs.
fn push(value: &[u8], out: &mut String) -> Result<(), ComponentError> {
    // Without an early end, so that the compiler looks at many bytes at once.
    if !value.iter().fold(true, |good, b| good & matches!(b, b' '..=b'~' | b'\t')) {
        return Err(ComponentError::Characters);
    }
    out.push_str(std::str::from_utf8(value).map_err(|_| ComponentError::Characters)?);
    Ok(())
}
