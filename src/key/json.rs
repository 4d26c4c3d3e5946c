//! A strict reader of JSON, for trust files and keys.
//!
//! If an object has two members with one name, `serde_json` silently takes the last, and other
//! readers take the first. A trust file would then mean two things, so a repeated name is an error
//! here, at any depth. Everything else is RFC 8259 as `serde_json` reads it: no `NaN`, no lone
//! surrogates, no depth beyond 128. One byte order mark at the start is ignored (section 8.1
//! permits that), because editors and shells on Windows write one.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::secret::{json_fault, quoted};

/// A JSON value. Its objects keep the order of their members, and no object has two members with
/// one name.
pub(crate) enum StrictJson {
    Null,
    Bool(bool),
    /// A non-negative number without fraction and exponent.
    Unsigned(u64),
    /// Any other number, rounded to an IEEE 754 double.
    Number(f64),
    /// A string, wiped when it is dropped, because it may be a private key.
    String(Zeroizing<String>),
    Array(Vec<StrictJson>),
    Object(StrictObject),
}

/// The members of one object, in the order of the file.
pub(crate) struct StrictObject(Vec<(String, StrictJson)>);

/// The error for a text that is not JSON, or in which an object has a member twice. The message
/// states the position.
#[derive(Debug, thiserror::Error)]
#[error("{}", json_fault(.0))]
#[non_exhaustive]
pub struct JsonError(pub(crate) serde_json::Error);

/// Reads exactly one JSON value.
pub(crate) fn read(bytes: &[u8]) -> Result<StrictJson, JsonError> {
    serde_json::from_slice(without_bom(bytes)).map_err(JsonError)
}

/// Returns `bytes` without the byte order mark of UTF-8 at their start.
pub(crate) fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

impl StrictJson {
    /// Returns the kind of value for error messages; never the value, which may be secret.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            StrictJson::Null => "null",
            StrictJson::Bool(_) => "a boolean",
            StrictJson::Unsigned(_) | StrictJson::Number(_) => "a number",
            StrictJson::String(_) => "a string",
            StrictJson::Array(_) => "an array",
            StrictJson::Object(_) => "an object",
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let StrictJson::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&[StrictJson]> {
        if let StrictJson::Array(items) = self { Some(items) } else { None }
    }

    pub(crate) fn as_object(&self) -> Option<&StrictObject> {
        if let StrictJson::Object(members) = self { Some(members) } else { None }
    }
}

impl StrictObject {
    pub(crate) fn get(&self, name: &str) -> Option<&StrictJson> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &StrictJson)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the string member `name`, if it is present.
    ///
    /// # Errors
    /// The kind of value that the member has instead, as a fragment of a sentence.
    pub(crate) fn string(&self, name: &str) -> Result<Option<&str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(StrictJson::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{name:?} is {}, not a string", other.kind())),
        }
    }

    /// Returns the boolean member `name`, or false if it is absent.
    ///
    /// # Errors
    /// The kind of value that the member has instead, as a fragment of a sentence.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(false),
            Some(StrictJson::Bool(value)) => Ok(*value),
            Some(other) => Err(format!("{name:?} is {}, not a boolean", other.kind())),
        }
    }

    /// Returns the member `name`, an array of strings, if it is present.
    ///
    /// # Errors
    /// What is wrong, as a fragment of a sentence, if the member is anything else.
    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        let Some(json) = self.get(name) else { return Ok(None) };
        let wrong = || format!("{name:?} is not an array of strings");
        let items = json.as_array().ok_or_else(wrong)?;
        let texts = items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong));
        texts.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// Returns the canonical JSON (RFC 8785, JCS) of this object without its member `without`, or
    /// `None` if the object has values other than strings, unsigned integers and objects of these.
    pub(crate) fn canonical_without(&self, without: &str) -> Option<String> {
        let mut out = String::new();
        canonical_members(self, Some(without), &mut out)?;
        Some(out)
    }
}

fn canonical_members(
    members: &StrictObject,
    without: Option<&str>,
    out: &mut String,
) -> Option<()> {
    let mut sorted: Vec<_> = members.iter().filter(|(name, _)| Some(*name) != without).collect();
    // RFC 8785 section 3.2.3 sorts names by UTF-16 code units. Above U+FFFF, this order differs
    // from that of UTF-8 bytes.
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        canonical_string(name, out);
        out.push(':');
        match value {
            StrictJson::String(text) => canonical_string(text, out),
            // RFC 8785 writes numbers as ECMAScript does. From 2^53 on, that is no longer the plain
            // digits.
            StrictJson::Unsigned(n) if *n < 1 << 53 => out.push_str(&n.to_string()),
            StrictJson::Object(inner) => canonical_members(inner, None, out)?,
            _ => return None,
        }
    }
    out.push('}');
    Some(())
}

/// Writes a string as in RFC 8785 section 3.2.2.2: with the two-character escapes where they exist,
/// and with `\u00xx` in lower case for other control characters. All other characters stay
/// unchanged.
fn canonical_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Returns `text` as a JSON string with quotes, in the form of RFC 8785.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    canonical_string(text, &mut out);
    out
}

impl<'de> Deserialize<'de> for StrictJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = StrictJson;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<StrictJson, E> {
        Ok(StrictJson::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<StrictJson, E> {
        Ok(StrictJson::Bool(value))
    }

    fn visit_u64<E>(self, n: u64) -> Result<StrictJson, E> {
        Ok(StrictJson::Unsigned(n))
    }

    fn visit_i64<E>(self, n: i64) -> Result<StrictJson, E> {
        Ok(StrictJson::Number(n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> Result<StrictJson, E> {
        Ok(StrictJson::Number(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<StrictJson, E> {
        Ok(StrictJson::String(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StrictJson, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(StrictJson::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrictJson, A::Error> {
        let mut members: Vec<(String, StrictJson)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                let name = quoted(&name);
                return Err(A::Error::custom(format_args!("the member {name} stands twice")));
            }
            members.push((name, map.next_value()?));
        }
        Ok(StrictJson::Object(StrictObject(members)))
    }
}
