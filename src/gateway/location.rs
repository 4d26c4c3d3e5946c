//! Rewrites the fields `Location` and `Content-Location` of answers if they contain a URL of the
//! upstream.
//!
//! A client that follows such a URL would bypass the gateway. URLs are split as lenient clients
//! split them (WHATWG URL standard): spaces around the URL are ignored, a backslash counts as a
//! slash, and slashes may repeat.

use http::{HeaderMap, HeaderValue, header};

use crate::message::target::{Origin, Scheme};

/// The URLs of the upstream, and the public URLs that replace them.
pub(super) struct Locations<'a> {
    /// The origins that the upstream uses in URLs that point to itself.
    pub(super) upstream: &'a [Origin],
    /// The path of the upstream's endpoint.
    pub(super) upstream_path: &'a str,
    /// The public origin that the request names.
    pub(super) public: &'a Origin,
    /// The path of the public endpoint.
    pub(super) endpoint: &'a str,
}

/// Whether there is a field to rewrite.
pub(super) fn has_location(fields: &HeaderMap) -> bool {
    fields.contains_key(header::LOCATION) || fields.contains_key(header::CONTENT_LOCATION)
}

impl Locations<'_> {
    /// Rewrites all `Location` and `Content-Location` fields.
    pub(super) fn rewrite(&self, fields: &mut HeaderMap) {
        for (name, value) in fields.iter_mut() {
            if (*name == header::LOCATION || *name == header::CONTENT_LOCATION)
                && let Some(rewritten) = self.rewritten(value.as_bytes())
                && let Ok(rewritten) = HeaderValue::try_from(rewritten)
            {
                *value = rewritten;
            }
        }
    }

    /// Returns the public URL for a URL of the upstream, or `None` if the URL is not one of the
    /// upstream.
    fn rewritten(&self, value: &[u8]) -> Option<Vec<u8>> {
        // Clients drop tabs inside a URL, and spaces around it.
        let value: Vec<u8> = value.iter().copied().filter(|b| *b != b'\t').collect();
        let value = value.trim_ascii();
        let is_slash = |b: &u8| matches!(b, b'/' | b'\\');
        let after = |scheme: &str| {
            let (start, rest) = value.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme.as_bytes()).then_some(rest)
        };
        let scheme_and_rest = after("http:")
            .map(|rest| (Some(Scheme::Http), rest))
            .or_else(|| after("https:").map(|rest| (Some(Scheme::Https), rest)));
        let (scheme, rest) = match scheme_and_rest {
            Some(found) => found,
            None if value.iter().take(2).filter(|b| is_slash(b)).count() == 2 => (None, value),
            None if value.first().is_some_and(is_slash) => {
                // The client resolves a URL without a host against the public URL, so only the path
                // is replaced.
                let (path, rest) = split_path(value);
                let mapped = self.mapped(path);
                return (mapped != path).then(|| [&mapped[..], rest].concat());
            }
            None => return None,
        };
        let start = rest.iter().position(|b| !is_slash(b)).unwrap_or(rest.len());
        let rest = rest.get(start..).unwrap_or_default();
        let end = rest.iter().position(|b| is_slash(b) || matches!(b, b'?' | b'#'));
        let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let authority = std::str::from_utf8(authority).ok()?;
        let named = |ours: &Origin| {
            let scheme = scheme.unwrap_or(ours.scheme());
            let text = format!("{}://{authority}", scheme.as_str());
            // `Origin::parse` refuses user names and unusual spellings of hosts.
            Origin::parse(&text).is_ok_and(|origin| origin == *ours)
        };
        if !self.upstream.iter().any(named) {
            return None;
        }
        let (path, rest) = split_path(rest);
        let public = self.public.to_string();
        Some([public.as_bytes(), &self.mapped(path), rest].concat())
    }

    /// Returns `path` with the upstream's endpoint at its beginning replaced by the public one.
    fn mapped(&self, path: &[u8]) -> Vec<u8> {
        let (from, to) = (self.upstream_path.as_bytes(), self.endpoint.as_bytes());
        if path == from || (from == b"/" && path.is_empty()) {
            return to.to_vec();
        }
        let without_slash = |path: &'_ [u8]| path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let (from, to) = (without_slash(from), without_slash(to));
        match path.strip_prefix(from.as_slice()) {
            Some(below) if !from.is_empty() && below.starts_with(b"/") => [&to[..], below].concat(),
            _ => path.to_vec(),
        }
    }
}

/// Splits a URL into its path, and its query with fragment.
fn split_path(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(text.len());
    text.split_at(end)
}
