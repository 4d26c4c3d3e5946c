//! The values of covered components (RFC 9421 sections 2.1 and 2.2).

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::component::{Component, ComponentError, DerivedComponent, ValueSource};
use super::fields::FieldType;
use super::header::{Candidate, SIGNATURE, SIGNATURE_INPUT};
use crate::message::structured::{self, Dictionary, Item, List};
use crate::message::target::Target;
use crate::message::{Field, Head};

impl Component<'_> {
    /// Appends the value of this component in the request to `out`.
    pub(super) fn write_value<'h>(
        &self,
        head: &'h Head<'_>,
        target: &'h Target<'_>,
        parts: &mut ParsedParts<'h>,
        out: &mut String,
    ) -> Result<(), ComponentError> {
        match self.value_source()? {
            ValueSource::Derived(derived) => write_derived(derived, head, target, out),
            ValueSource::QueryParam(name) => parts.write_param(target.query(), name, out),
            ValueSource::Field => write_lines(head, self.name(), out),
            ValueSource::Wrapped => write_wrapped(head, self.name(), out),
            ValueSource::Strict(kind) => write_strict(kind, &combined(head, self.name())?, out),
            ValueSource::Key(key) => parts.write_member(head, self.name(), key, out),
        }
    }
}

fn write_derived(
    derived: DerivedComponent,
    head: &Head<'_>,
    target: &Target<'_>,
    out: &mut String,
) -> Result<(), ComponentError> {
    match derived {
        DerivedComponent::Method => push(head.method().as_bytes(), out),
        DerivedComponent::TargetUri => {
            target.target_uri_pieces().iter().try_for_each(|piece| push(piece.as_bytes(), out))
        }
        DerivedComponent::Authority => push(target.authority().as_bytes(), out),
        DerivedComponent::Scheme => push(target.scheme().as_bytes(), out),
        DerivedComponent::RequestTarget => push(target.request_target().as_bytes(), out),
        DerivedComponent::Path => {
            push(target.path().ok_or(ComponentError::Absent)?.as_bytes(), out)
        }
        DerivedComponent::Query => {
            // If the target has no query, the value is only the question mark (section 2.2.7).
            out.push('?');
            push(target.query().unwrap_or_default().as_bytes(), out)
        }
    }
}

/// Appends all lines of a field, joined with a comma and a space (section 2.1). The lines in a
/// [`Head`] have no surrounding white space and are not folded.
fn write_lines(head: &Head<'_>, name: &str, out: &mut String) -> Result<(), ComponentError> {
    let mut lines = head.values(name);
    push(lines.next().ok_or(ComponentError::Absent)?, out)?;
    lines.try_for_each(|line| {
        out.push_str(", ");
        push(line, out)
    })
}

/// Appends every line as a byte sequence (section 2.1.3), so that two lines differ from one line
/// that contains a comma.
fn write_wrapped(head: &Head<'_>, name: &str, out: &mut String) -> Result<(), ComponentError> {
    let mut separator = "";
    for line in head.values(name) {
        out.push_str(separator);
        separator = ", ";
        write_bytes(line, out);
    }
    if separator.is_empty() { Err(ComponentError::Absent) } else { Ok(()) }
}

/// Appends a byte sequence (RFC 9651 section 4.1.8).
fn write_bytes(bytes: &[u8], out: &mut String) {
    out.push(':');
    STANDARD.encode_string(bytes, out);
    out.push(':');
}

fn combined<'h>(head: &'h Head<'_>, name: &'h str) -> Result<Cow<'h, [u8]>, ComponentError> {
    structured::combine(head.values(name)).ok_or(ComponentError::Absent)
}

/// Appends the strict serialisation of a field (section 2.1.1). A value that two parsers could read
/// differently is an error.
fn write_strict(kind: FieldType, value: &[u8], out: &mut String) -> Result<(), ComponentError> {
    match kind {
        FieldType::Dictionary => {
            Dictionary::strict(value).map_err(ComponentError::Value)?.write_to(out)?;
        }
        FieldType::List => List::strict(value).map_err(ComponentError::Value)?.write_to(out)?,
        FieldType::Item => Item::strict(value).map_err(ComponentError::Value)?.write_to(out)?,
    }
    Ok(())
}

/// The fields and query parameters of one request, each parsed once. Without this, a signature that
/// covers thirty keys of one very long field would make the verifier parse the field thirty times.
#[derive(Default)]
pub(super) struct ParsedParts<'h> {
    /// All signatures of the request, or none.
    candidates: &'h [Candidate<'h>],
    dictionaries: Vec<(String, Dictionary<'h>)>,
    params: Option<QueryParams<'h>>,
}

impl<'h> ParsedParts<'h> {
    /// `candidates` are all signatures of the request, if they were parsed already.
    pub(super) fn with(candidates: &'h [Candidate<'h>]) -> Self {
        ParsedParts { candidates, ..ParsedParts::default() }
    }

    /// Appends one dictionary member (section 2.1.2). Faults in other members are ignored; a
    /// repeated key is an error.
    fn write_member(
        &mut self,
        head: &'h Head<'_>,
        name: &str,
        key: &str,
        out: &mut String,
    ) -> Result<(), ComponentError> {
        if let Some(candidate) = self.candidates.iter().find(|candidate| candidate.label == key) {
            // A candidate with a fault is parsed again: it may be a member all the same.
            match (name, &candidate.params, &candidate.signature) {
                (SIGNATURE_INPUT, Ok(params), _) => return Ok(params.write_to(out)?),
                (SIGNATURE, _, Ok(bytes)) => {
                    write_bytes(bytes, out);
                    return Ok(());
                }
                _ => {}
            }
        }
        let at = match self.dictionaries.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.dictionaries.push((name.to_owned(), dictionary(head, name)?));
                self.dictionaries.len() - 1
            }
        };
        let member = self.dictionaries.get(at).and_then(|(_, dictionary)| dictionary.get(key));
        let member = member.ok_or(ComponentError::KeyAbsent)?;
        match member.fault {
            Some(fault) => Err(ComponentError::Value(fault)),
            None => Ok(member.value.write_to(out)?),
        }
    }

    /// Appends the value of one query parameter (section 2.2.8). The query is parsed as a form.
    /// Name and value are then encoded again, by the form encoding of the URL standard, except that
    /// a space becomes `%20`.
    fn write_param(
        &mut self,
        query: Option<&'h str>,
        name: &str,
        out: &mut String,
    ) -> Result<(), ComponentError> {
        let params = self.params.get_or_insert_with(|| params(query.unwrap_or_default()));
        let pair = params.get(name).ok_or(ComponentError::QueryParamAbsent)?;
        let (name, value) = pair.ok_or(ComponentError::QueryParamRepeated)?;
        // The URL standard replaces bytes that are not UTF-8 with U+FFFD, so that different queries
        // would get the same signed value.
        if [name, value].iter().any(|text| String::from_utf8(decoded(text).collect()).is_err()) {
            return Err(ComponentError::QueryParamEncoding);
        }
        encode(decoded(value), out);
        Ok(())
    }
}

fn dictionary<'h>(head: &'h Head<'_>, name: &str) -> Result<Dictionary<'h>, ComponentError> {
    let lines = head.fields().iter().filter(|field| field.name() == name).map(Field::value);
    let dictionary = match structured::combine(lines).ok_or(ComponentError::Absent)? {
        Cow::Borrowed(value) => Dictionary::parse(value),
        Cow::Owned(value) => Dictionary::parse(&value).map(Dictionary::into_owned),
    };
    let dictionary = dictionary.map_err(ComponentError::Value)?;
    match dictionary.duplicate {
        Some(fault) => Err(ComponentError::Value(fault)),
        None => Ok(dictionary),
    }
}

/// The parameters of a query by their re-encoded names; `None` for a name that occurs twice.
type QueryParams<'h> = HashMap<String, Option<(&'h str, &'h str)>>;

fn params(query: &str) -> QueryParams<'_> {
    let mut params = QueryParams::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bytes: Vec<u8> = decoded(name).collect();
        let mut again = String::with_capacity(name.len());
        encode(String::from_utf8_lossy(&bytes).bytes(), &mut again);
        params.entry(again).and_modify(|pair| *pair = None).or_insert(Some((name, value)));
    }
    params
}

/// Decodes `+` and percent-encoded bytes. A `%` without two hexadecimal digits after it stays.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    std::iter::from_fn(move || {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        if byte == b'%'
            && let [high, low, behind @ ..] = after
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            rest = behind;
            return Some(high << 4 | low);
        }
        Some(if byte == b'+' { b' ' } else { byte })
    })
}

fn encode(bytes: impl Iterator<Item = u8>, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
}

/// Appends a value if it is allowed in a signature base (section 2.5): visible ASCII, spaces and
/// tabs.
fn push(value: &[u8], out: &mut String) -> Result<(), ComponentError> {
    // The loop always runs to the end, so that the compiler can compare many bytes at once.
    if !value.iter().fold(true, |good, b| good & matches!(b, b' '..=b'~' | b'\t')) {
        return Err(ComponentError::Characters);
    }
    out.push_str(std::str::from_utf8(value).map_err(|_| ComponentError::Characters)?);
    Ok(())
}
