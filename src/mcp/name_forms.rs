//! The forms in which different servers may read the same name.
//!
//! A server may rewrite `params.uri` before it looks up a resource, decode it, or use it as a path.
//! A policy that compares bytes would then decide about another resource than the one that is read:
//! `file:///pub/../priv/a` begins with `file:///pub/`. So a name is rewritten in every form that a
//! server is known to use, and each form is compared with the same form of the pattern:
//!
//! ```text
//! 0  as sent                                                 FILE:////pub/%2e%2e/priv/a%41
//! 1  as the WHATWG URL parser writes it (params.uri)         file:////priv/a%41
//! 2  the same by the crate `url` and pydantic (params.uri)   file:///priv/a%41
//! 3  by RFC 3986 section 6.2.2                               file:////priv/aA
//! 4  percent-decoded to the end, without dot segments        file:////priv/aA
//! 5  as a path of files: no empty or dot segments            file:///priv/aA
//! 6  NFC of that
//! ```
//!
//! A name for which these forms cannot be computed is a [`NameAmbiguity`].

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::invisible;
use super::percent;
use super::uri::{Dialect, SplitUri, UrlSpelling, is_special, write_url};

/// The maximum length of a name, in bytes, whose forms are computed, so that a request cannot cause
/// much work or memory use. A longer name is ambiguous, unless it has only plain characters.
pub const MAX_NAME: usize = 16 * 1024;

/// The number of forms in which servers may read a name.
pub(super) const FORMS: usize = 7;

/// Which member of the request a name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `params.uri`. Servers use a URL parser on it.
    Uri,
    /// `params.name` or `params.taskId`. Servers compare it as text, or use it as a path.
    Text,
}

/// Why the forms in which servers may read a name cannot be computed. In messages, the text of the
/// reason follows the words "name ambiguous".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameAmbiguity {
    /// The name begins or ends with a blank.
    #[error("a blank around it")]
    Blank,
    /// The name has a control, bidi or other invisible character, possibly percent-encoded.
    #[error("the invisible character U+{:04X} in it", u32::from(*.0))]
    Invisible(char),
    /// The name has a backslash, possibly percent-encoded. On some systems a backslash separates
    /// the parts of a path.
    #[error("a backslash in it")]
    Backslash,
    /// The name has percent-encoded bytes that some decoders read as another character.
    #[error("overlong UTF-8 in it")]
    Overlong,
    /// The name is a URL whose host is malformed, international, or an address in an unusual form.
    #[error("a URL that parsers could read differently")]
    Url,
    /// The name is too long.
    #[error("longer than {MAX_NAME} bytes")]
    TooLong,
}

/// A name in all its forms.
///
/// ```
/// use mcpid::mcp::name_forms::{NameForms, NameKind};
///
/// assert!(matches!(NameForms::of("get_invoice", NameKind::Text), NameForms::Plain(_)));
/// let climbing = NameForms::of("file:///pub/../private", NameKind::Uri);
/// assert!(matches!(climbing, NameForms::Several(_)));
/// assert!(NameForms::of("a\\b", NameKind::Text).ambiguous().is_some());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameForms<'a> {
    /// The name has only one form: every server reads it in the same way.
    Plain(&'a str),
    /// The forms, in the order of the table in the module's documentation.
    Several(Box<[Cow<'a, [u8]>; FORMS]>),
    /// The forms cannot be computed.
    Ambiguous(NameAmbiguity),
}

impl<'a> NameForms<'a> {
    /// Computes the forms in which servers may read a name. For a plain name, where all forms are
    /// equal, this is one pass over its bytes.
    pub fn of(name: &'a str, kind: NameKind) -> Self {
        if is_plain(name, kind) {
            return NameForms::Plain(name);
        }
        if name.len() > MAX_NAME {
            return NameForms::Ambiguous(NameAmbiguity::TooLong);
        }
        // A NUL in a request's name must not be mistaken for the wildcard of a pattern.
        if name.contains('\0') {
            return NameForms::Ambiguous(NameAmbiguity::Invisible('\0'));
        }
        match forms(name, kind) {
            Ok(forms) => NameForms::Several(Box::new(forms)),
            Err(why) => NameForms::Ambiguous(why),
        }
    }

    /// Returns why the forms could not be computed, or `None` if they were.
    pub fn ambiguous(&self) -> Option<NameAmbiguity> {
        match self {
            NameForms::Ambiguous(why) => Some(*why),
            _ => None,
        }
    }
}

/// Returns true if every server certainly reads the name in the same way (all its forms are equal),
/// as for most names.
fn is_plain(name: &str, kind: NameKind) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_~$&()*+,;=/.!?".contains(&b);
    match kind {
        NameKind::Text => {
            !name.starts_with('.')
                && !name.contains("/.")
                && name.bytes().all(|b| plain(b) || matches!(b, b':' | b'@' | b'#'))
        }
        NameKind::Uri => {
            let Some((scheme, rest)) = name.split_once("://") else { return false };
            let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme
                    .bytes()
                    .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
            let as_it_is = match scheme {
                "file" => rest.starts_with('/') && !rest.contains("//"),
                scheme => !is_special(scheme) && !rest.starts_with('.'),
            };
            is_scheme && as_it_is && !rest.contains("/.") && rest.bytes().all(plain)
        }
    }
}

/// Returns all forms in which servers may read `name`. A NUL in it stands for the wildcard of a
/// pattern.
///
/// # Errors
/// [`NameAmbiguity`] if the forms cannot be computed.
pub(super) fn forms(name: &str, kind: NameKind) -> Result<[Cow<'_, [u8]>; FORMS], NameAmbiguity> {
    if name.trim() != name {
        return Err(NameAmbiguity::Blank);
    }
    if name.contains('\\') {
        return Err(NameAmbiguity::Backslash);
    }
    if let Some(c) = invisible::first(name) {
        return Err(NameAmbiguity::Invisible(c));
    }
    let (current, by_crate) = match kind {
        NameKind::Uri => (url(name, Dialect::Current)?, url(name, Dialect::CrateUrl)?),
        NameKind::Text => (Cow::Borrowed(name), Cow::Borrowed(name)),
    };
    let rfc = percent::rfc3986(&parts(name, kind));
    let decoded = Decoded::of(&parts(&current, kind))?;
    // For use as a file path, the name is taken as it was sent, because a URL parser would change
    // empty segments.
    let files = match kind {
        NameKind::Uri => Decoded::of(&parts(name, kind))?.as_files(),
        NameKind::Text => decoded.as_url(),
    };
    let path = decoded.as_url();
    let composed = match std::str::from_utf8(&files) {
        Ok(text) if is_nfc_quick(text.chars()) != IsNormalized::Yes => {
            Cow::Owned(text.nfc().collect::<String>().into_bytes())
        }
        _ => Cow::Owned(files.clone()),
    };
    let bytes = |text: Cow<'_, str>| text.into_owned().into_bytes().into();
    let sent = Cow::Borrowed(name.as_bytes());
    Ok([sent, bytes(current), bytes(by_crate), rfc.into(), path.into(), files.into(), composed])
}

fn parts(name: &str, kind: NameKind) -> SplitUri<'_> {
    match kind {
        NameKind::Uri => SplitUri::of(name),
        NameKind::Text => SplitUri { path: name, ..SplitUri::default() },
    }
}

/// Returns the output of a URL parser for `name`, or `name` itself if it is not a URL.
fn url(name: &str, dialect: Dialect) -> Result<Cow<'_, str>, NameAmbiguity> {
    match write_url(name, dialect) {
        UrlSpelling::As(text) => Ok(Cow::Owned(text)),
        UrlSpelling::NoUrl => Ok(Cow::Borrowed(name)),
        UrlSpelling::Unknown => Err(NameAmbiguity::Url),
    }
}

/// The parts of a name. Each is decoded separately, so that an encoded delimiter does not separate
/// parts.
struct Decoded {
    /// The scheme in lower case.
    scheme: Option<String>,
    authority: Option<Vec<u8>>,
    path: Vec<u8>,
    query: Option<Vec<u8>>,
    fragment: Option<Vec<u8>>,
}

impl Decoded {
    fn of(parts: &SplitUri<'_>) -> Result<Self, NameAmbiguity> {
        let decode = |part: Option<&str>| part.map(decoded).transpose();
        Ok(Decoded {
            scheme: parts.scheme.map(str::to_ascii_lowercase),
            authority: decode(parts.authority)?,
            path: decoded(parts.path)?,
            query: decode(parts.query)?,
            fragment: decode(parts.fragment)?,
        })
    }

    /// Returns the name as a URL whose path has no dot segments.
    fn as_url(&self) -> Vec<u8> {
        self.joined(self.authority.as_deref(), &percent::without_dots(&self.path, false), true)
    }

    /// Returns the name as a path in a file system. In a `file:` URL, `?` is a part of the path,
    /// and empty segments are ignored. For any other scheme, a server may use the authority as the
    /// first folder.
    fn as_files(&self) -> Vec<u8> {
        match (self.scheme.as_deref(), &self.authority) {
            (Some("file"), authority) => {
                let here = authority.as_ref().filter(|a| !a.eq_ignore_ascii_case(b"localhost"));
                let mut path = [b"/", &self.path[..]].concat();
                if let Some(query) = &self.query {
                    path.push(b'?');
                    path.extend_from_slice(query);
                }
                let host = here.map_or(&[][..], Vec::as_slice);
                self.joined(Some(host), &percent::without_dots(&path, true), false)
            }
            (Some(scheme), Some(authority)) if !is_special(scheme) => {
                let whole = [&authority[..], &self.path].concat();
                self.joined(Some(&[]), &percent::without_dots(&whole, false), true)
            }
            _ => self.as_url(),
        }
    }

    fn joined(&self, authority: Option<&[u8]>, path: &[u8], query: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(path.len() + 64);
        let mut part = |before: &[u8], part: Option<&[u8]>, after: &[u8]| {
            if let Some(part) = part {
                out.extend_from_slice(before);
                out.extend_from_slice(part);
                out.extend_from_slice(after);
            }
        };
        part(b"", self.scheme.as_deref().map(str::as_bytes), b":");
        part(b"//", authority, b"");
        part(b"", Some(path), b"");
        part(b"?", self.query.as_deref().filter(|_| query), b"");
        part(b"#", self.fragment.as_deref(), b"");
        out
    }
}

/// Decodes `part` until no percent-encoding is left. Fails if the result cannot be compared.
fn decoded(part: &str) -> Result<Vec<u8>, NameAmbiguity> {
    if !part.contains('%') {
        return Ok(part.as_bytes().to_owned());
    }
    let bytes = percent::decode_fully(part.as_bytes()).ok_or(NameAmbiguity::Invisible('\0'))?;
    if bytes.contains(&b'\\') {
        return Err(NameAmbiguity::Backslash);
    }
    if percent::is_overlong(&bytes) {
        return Err(NameAmbiguity::Overlong);
    }
    match invisible::first(&String::from_utf8_lossy(&bytes)) {
        Some(c) => Err(NameAmbiguity::Invisible(c)),
        None => Ok(bytes),
    }
}
