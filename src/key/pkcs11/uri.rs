//! URIs of keys in PKCS #11 tokens (RFC 7512). The parser refuses attributes that it does not know
//! or does not use, because ignoring one could select another key than the author meant.

use std::fmt;
use std::path::PathBuf;

/// A URI of one private key: its token, its label and id in that token, and the module.
///
/// ```
/// use mcpid::key::pkcs11::{Pkcs11Uri, Pkcs11UriError};
///
/// let uri = Pkcs11Uri::parse("token=agents;object=alice?module-path=/usr/lib/softhsm/libsofthsm2.so")?;
/// assert_eq!((uri.token(), uri.object()), (Some("agents"), Some("alice")));
/// // A PIN in the URI would be in the list of processes.
/// assert_eq!(Pkcs11Uri::parse("object=alice?pin-value=1234"), Err(Pkcs11UriError::PinValue));
/// # Ok::<(), Pkcs11UriError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    pub(super) token: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) slot_id: Option<u64>,
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module_path: Option<PathBuf>,
}

/// The reason why a text is no URI of a key. No message repeats a value, which may be a PIN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11UriError {
    /// The URI has no attribute, so any key of any token would match.
    #[error("pkcs11: names no key; it is pkcs11:token=TOKEN;object=LABEL")]
    Empty,
    /// A part does not have the form `NAME=VALUE`.
    #[error("pkcs11: a part is not NAME=VALUE; parts are separated by ; and behind the ? by &")]
    NoValue,
    /// An attribute has an empty value.
    #[error("pkcs11: {0} is empty")]
    EmptyValue(&'static str),
    /// RFC 7512 does not define this attribute for this half of the URI (before or after the
    /// question mark).
    #[error("pkcs11: there is no attribute {0}")]
    Unknown(String),
    /// RFC 7512 defines the attribute, but this program does not choose keys by it.
    #[error("pkcs11: {0} is not supported here")]
    Unsupported(&'static str),
    /// An attribute stands twice.
    #[error("pkcs11: {0} stands twice")]
    Twice(&'static str),
    /// A value has a character that must be written as `%XX`, or a wrong `%XX`, or is not UTF-8.
    #[error("pkcs11: the value of {0} is not percent-encoded text")]
    Malformed(&'static str),
    /// The attribute `type` names another object than a private key.
    #[error("pkcs11: type is private here")]
    NotPrivate,
    /// The path of the module is relative, so the current folder would decide which code is loaded.
    #[error("pkcs11: module-path is not absolute")]
    RelativeModule,
    /// The URI contains a PIN, which other users could see in the list of processes.
    #[error("pkcs11: a PIN does not belong in a URI (pin-value)")]
    PinValue,
}

/// The attributes in the path of a URI by which a key is chosen.
const PATH: [&str; 8] =
    ["token", "manufacturer", "model", "serial", "slot-id", "object", "id", "type"];
/// The attributes of RFC 7512 that are refused as not supported.
const UNSUPPORTED: [&str; 7] = [
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
    "module-name",
    "pin-source",
];

impl Pkcs11Uri {
    /// Parses a URI without its scheme `pkcs11:`.
    ///
    /// # Errors
    /// [`Pkcs11UriError`].
    pub fn parse(text: &str) -> Result<Self, Pkcs11UriError> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        if path.is_empty() {
            return Err(Pkcs11UriError::Empty);
        }
        let mut uri = Pkcs11Uri::default();
        let mut seen = Vec::new();
        for part in path.split(';') {
            let (name, value) = attribute(part, &PATH, &mut seen)?;
            let value = decode(name, value, b"&")?;
            match name {
                "id" => uri.id = Some(value),
                "type" if value == b"private" => {}
                "type" => return Err(Pkcs11UriError::NotPrivate),
                "slot-id" => uri.slot_id = Some(number(name, &value)?),
                "token" => uri.token = Some(utf8(name, value)?),
                "manufacturer" => uri.manufacturer = Some(utf8(name, value)?),
                "model" => uri.model = Some(utf8(name, value)?),
                "serial" => uri.serial = Some(utf8(name, value)?),
                _ => uri.object = Some(utf8(name, value)?),
            }
        }
        for part in query.iter().flat_map(|query| query.split('&')) {
            let (name, value) = attribute(part, &["module-path"], &mut seen)?;
            let module = PathBuf::from(utf8(name, decode(name, value, b"/?|")?)?);
            if !module.is_absolute() {
                return Err(Pkcs11UriError::RelativeModule);
            }
            uri.module_path = Some(module);
        }
        Ok(uri)
    }

    /// Returns the label of the token.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Returns the label of the key.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Returns the id of the key (CKA_ID).
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// Returns the absolute path of the module.
    pub fn module_path(&self) -> Option<&std::path::Path> {
        self.module_path.as_deref()
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pkcs11Uri({:?} in {:?})", self.object, self.token)
    }
}

/// Splits `NAME=VALUE`, and checks that the name is one of `known` and occurs for the first time.
fn attribute<'t>(
    part: &'t str,
    known: &[&'static str],
    seen: &mut Vec<&'static str>,
) -> Result<(&'static str, &'t str), Pkcs11UriError> {
    let (name, value) = part.split_once('=').ok_or(Pkcs11UriError::NoValue)?;
    if name == "pin-value" {
        return Err(Pkcs11UriError::PinValue);
    }
    let Some(name) = known.iter().find(|known| **known == name) else {
        if let Some(name) = UNSUPPORTED.iter().find(|unsupported| **unsupported == name) {
            return Err(Pkcs11UriError::Unsupported(name));
        }
        let letters = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_');
        return Err(Pkcs11UriError::Unknown(letters.take(32).collect()));
    };
    if seen.contains(name) {
        return Err(Pkcs11UriError::Twice(name));
    }
    seen.push(name);
    if value.is_empty() {
        return Err(Pkcs11UriError::EmptyValue(name));
    }
    Ok((name, value))
}

/// Decodes a value. RFC 7512 section 2.3 lists characters that need no `%XX`: some everywhere, and
/// the characters `also` only in this half of the URI.
fn decode(name: &'static str, value: &str, also: &[u8]) -> Result<Vec<u8>, Pkcs11UriError> {
    let malformed = || Pkcs11UriError::Malformed(name);
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|b| char::from(b).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok()).ok_or_else(malformed)
                };
                digit()? << 4 | digit()?
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => byte,
            b':' | b'[' | b']' | b'@' | b'!' | b'$' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b'=' => byte,
            _ if also.contains(&byte) => byte,
            _ => return Err(malformed()),
        });
    }
    Ok(decoded)
}

fn utf8(name: &'static str, value: Vec<u8>) -> Result<String, Pkcs11UriError> {
    match String::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(Pkcs11UriError::Malformed(name)),
    }
}

/// Reads a decimal number without leading zeros.
fn number(name: &'static str, value: &[u8]) -> Result<u64, Pkcs11UriError> {
    let is_number = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value[0] != b'0');
    let text = std::str::from_utf8(value).ok().filter(|_| is_number);
    text.and_then(|text| text.parse().ok()).ok_or(Pkcs11UriError::Malformed(name))
}
