//! The normal form of a target by RFC 3986 sections 6.2.2 and 6.2.3, for profiles that sign it in
//! place of the target on the wire: AdCP, "URL canonicalization".
//!
//! | part | normal form |
//! |---|---|
//! | scheme, host | lower case; one dot of the DNS root at the end of a name is removed |
//! | port | removed if it is the default of the scheme, or empty |
//! | path | dot segments removed, repeated slashes kept, `/` if it is empty |
//! | `%xx` in the path | upper-case digits; decoded if it stands for an unreserved character |
//! | query | byte for byte as received, a lone `?` too |
//!
//! The normal form of a normal form must be the same text. A path for which it is not is an error:
//! `%2e%2e` becomes a dot segment only after dot segments were removed, and implementations read
//! such a path differently.

use std::borrow::Cow;

use crate::message::uri::{Authority, Scheme, UriError, UriParts, split_query};

/// Whether a target is signed as on the wire, or in its normal form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetForm {
    /// Path and query exactly as on the wire.
    #[default]
    Exact,
    /// The normal form of RFC 3986 sections 6.2.2 and 6.2.3.
    Rfc3986,
}

/// Returns a URL in its normal form, as a client has to send and sign it. User information and
/// fragment, which a signed URL never has, are removed.
///
/// ```
/// use mcpid::message::target::normal_url;
///
/// let url = normal_url("HTTPS://Seller.example.com.:443/a/./b/../%7Ec%2fd?x=%7E")?;
/// assert_eq!(url, "https://seller.example.com/a/~c%2Fd?x=%7E");
/// assert!(normal_url("https://seller.example.com/a/%2e%2e/b").is_err());
/// # Ok::<(), mcpid::message::target::UriError>(())
/// ```
///
/// # Errors
/// [`UriError`]: the URL cannot be read, or its path has no normal form. A host outside ASCII has
/// to be written in A-labels (RFC 5890) before.
pub fn normal_url(url: &str) -> Result<String, UriError> {
    let sent = url.split('#').next().unwrap_or_default();
    let without_user = match sent.split_once("://") {
        Some((scheme, after)) => {
            let end = after.find(['/', '?']).unwrap_or(after.len());
            let (authority, rest) = after.split_at(end);
            let host = authority.rsplit('@').next().unwrap_or_default();
            Cow::Owned([scheme, "://", host, rest].concat())
        }
        None => Cow::Borrowed(sent),
    };
    let parts = UriParts::split(&without_user)?;
    let authority = normal_authority(parts.authority);
    let path = normal_path(parts.path)?;
    Ok([parts.scheme.as_str(), "://", &authority, &path, parts.rest].concat())
}

/// Returns an origin form target, such as `/a/../mcp?x=1`, in its normal form.
///
/// # Errors
/// [`UriError`]: the path has no normal form.
///
/// ```
/// use mcpid::message::target::normal_path_and_query;
///
/// assert_eq!(normal_path_and_query("/a/../mcp?b=2&a=%7e")?, "/mcp?b=2&a=%7e");
/// # Ok::<(), mcpid::message::target::UriError>(())
/// ```
pub fn normal_path_and_query(target: &str) -> Result<Cow<'_, str>, UriError> {
    let (path, rest) = split_query(target);
    Ok(match normal_path(path)? {
        Cow::Borrowed(same) if same.len() == path.len() => Cow::Borrowed(target),
        path => Cow::Owned([&path, rest].concat()),
    })
}

/// Returns the value of a `Host` field in its normal form.
///
/// # Errors
/// [`UriError`]: the text is not a host with an optional port.
pub fn normal_host(host: &str, scheme: Scheme) -> Result<Cow<'_, str>, UriError> {
    Ok(normal_authority(Authority::read(host)?.normal(scheme)))
}

/// Removes the dot of the DNS root from an authority that is in lower case and without its default
/// port. [`Authority::read`] has refused a name with two dots at its end.
pub(super) fn normal_authority(authority: Cow<'_, str>) -> Cow<'_, str> {
    if authority.ends_with(']') || !authority.contains('.') {
        return authority;
    }
    let end = authority.rfind(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(end);
    match host.strip_suffix('.') {
        Some(host) => Cow::Owned([host, port].concat()),
        None => authority,
    }
}

/// Returns a path in its normal form.
///
/// # Errors
/// [`UriError::Percent`], [`UriError::EncodedDots`].
pub(super) fn normal_path(path: &str) -> Result<Cow<'_, str>, UriError> {
    if path.is_empty() {
        return Ok(Cow::Borrowed("/"));
    }
    if !path.contains('%') && !path.contains("/.") {
        return Ok(Cow::Borrowed(path));
    }
    if path.contains('%') && path.split('/').any(is_encoded_dots) {
        return Err(UriError::EncodedDots);
    }
    // Decoding unreserved characters creates no slashes and, after the check above, no dot
    // segments. So the order of the two steps does not matter.
    Ok(Cow::Owned(without_dot_segments(&normal_percent(path)?)))
}

/// Returns true if a path segment becomes `.` or `..` only when it is decoded.
fn is_encoded_dots(segment: &str) -> bool {
    segment.contains('%')
        && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// Removes dot segments (RFC 3986 section 5.2.4) and keeps empty segments. `path` begins with a
/// slash.
fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A dot segment at the end of the path is removed, but the slash before it stays.
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

/// Normalises percent-encodings: digits in upper case, unreserved characters decoded (RFC 3986
/// sections 6.2.2.1 and 6.2.2.2).
fn normal_percent(path: &str) -> Result<String, UriError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let digits = from.get(1..3).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (Some(digits), Some(byte)) = (digits, byte) else { return Err(UriError::Percent) };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&digits.to_ascii_uppercase());
        }
        rest = from.get(3..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Result<String, UriError> {
        normal_path(text).map(Cow::into_owned)
    }

    #[test]
    fn dot_segments_are_removed_and_empty_segments_stay() {
        for (sent, normal) in [
            ("/a/./b", "/a/b"),
            ("/a/b/../c", "/a/c"),
            ("/a//b", "/a//b"),
            ("/a/.//b", "/a//b"),
            ("/a//../b", "/a/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/.", "/"),
            ("/./", "/"),
            ("//", "//"),
            ("/.a/..b/c..", "/.a/..b/c.."),
            ("", "/"),
        ] {
            assert_eq!(path(sent).as_deref(), Ok(normal), "{sent}");
        }
    }

    #[test]
    fn unreserved_characters_are_decoded_and_all_others_stay() {
        for (sent, normal) in [
            ("/%7Efoo", "/~foo"),
            ("/%41%42C", "/ABC"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%3ab%3fc", "/a%3Ab%3Fc"),
            ("/%e2%98%83", "/%E2%98%83"),
            ("/a%2Eb%2dc%5fd", "/a.b-c_d"),
            ("/%2Ea", "/.a"),
            ("/%252e", "/%252e"),
        ] {
            assert_eq!(path(sent).as_deref(), Ok(normal), "{sent}");
        }
    }

    #[test]
    fn a_path_that_readers_normalise_differently_is_an_error() {
        for sent in ["/%2e%2e/a", "/a/%2E", "/a/.%2e/b", "/%2e./", "/a/%2e%2e/../b"] {
            assert_eq!(normal_path(sent), Err(UriError::EncodedDots), "{sent}");
        }
        for sent in ["/%", "/%4", "/%4g", "/%+1", "/a/%%41", "/%zz/.."] {
            assert_eq!(normal_path(sent), Err(UriError::Percent), "{sent}");
        }
    }

    #[test]
    fn the_normal_form_of_a_normal_form_is_itself() {
        let pieces =
            ["/", "//", "/.", "/..", "%2f", "%41", "%7e", "%2E", "a", ".", "?", "%25", "~"];
        for one in 0..pieces.len().pow(4) {
            let at = |n: usize| pieces[one / pieces.len().pow(n as u32) % pieces.len()];
            let target = ["/", at(0), at(1), at(2), at(3)].concat();
            let Ok(normal) = normal_path_and_query(&target) else { continue };
            assert_eq!(normal_path_and_query(&normal).as_deref(), Ok(&*normal), "{target}");
        }
    }

    #[test]
    fn one_trailing_dot_of_a_host_name_is_removed() {
        let host = |text| normal_host(text, Scheme::Https).map(Cow::into_owned);
        for (sent, normal) in [
            ("Example.COM.", "example.com"),
            ("example.com.:8443", "example.com:8443"),
            ("example.com.:443", "example.com"),
            ("localhost.", "localhost"),
            ("[2001:DB8::1]:443", "[2001:db8::1]"),
            ("[::ffff:1.2.3.4]:8443", "[::ffff:1.2.3.4]:8443"),
        ] {
            assert_eq!(host(sent).as_deref(), Ok(normal), "{sent}");
        }
        for sent in ["example.com..", ".", "..", "a..b", "::1", "[::1", "[fe80::1%25eth0]", ":443"]
        {
            assert!(host(sent).is_err(), "{sent}");
        }
    }
}
