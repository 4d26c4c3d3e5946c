//! Parses a target from a request line, a file or a URL.

use std::borrow::Cow;

use super::TargetError;
use crate::message::RequestTarget;
use crate::message::uri::{UriError, UriParts, check_characters, shown};

impl<'a> RequestTarget<'a> {
    /// Parses the target of a request line, or of the pseudo-header field `:path`: origin form,
    /// absolute form or `*` (RFC 9112 section 3.2). Nothing is decoded, normalised or cut off.
    /// (`http::Uri` silently drops a fragment, so that two different targets would look equal.)
    ///
    /// ```
    /// use mcpid::message::RequestTarget;
    /// use mcpid::message::target::{TargetError, UriError};
    ///
    /// let target = RequestTarget::from_bytes(b"/a/../mcp?x=%2F")?;
    /// assert_eq!(target, RequestTarget::Origin("/a/../mcp?x=%2F".into()));
    /// let refused = RequestTarget::from_bytes(b"/mcp#part");
    /// assert_eq!(refused, Err(TargetError::Uri(UriError::Fragment)));
    /// # Ok::<(), TargetError>(())
    /// ```
    ///
    /// # Errors
    /// [`TargetError::Uri`] for a fragment, a byte that is not visible ASCII, or an absolute URI
    /// that cannot be parsed; [`TargetError::Form`] for every other form, such as
    /// `example.com:443`.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, TargetError> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let (at, byte) = (error.valid_up_to(), bytes.get(error.valid_up_to()));
                let byte = byte.copied().unwrap_or_default();
                return Err(TargetError::Uri(UriError::Character { at: at + 1, byte }));
            }
        };
        check_characters(text).map_err(TargetError::Uri)?;
        if text.starts_with('/') {
            Ok(RequestTarget::Origin(text.into()))
        } else if text == "*" {
            Ok(RequestTarget::Asterisk)
        } else if text.contains("://") {
            UriParts::split(text).map_err(TargetError::Uri)?;
            Ok(RequestTarget::Absolute(text.into()))
        } else {
            // Every other form is refused, including the authority form of CONNECT
            // (`example.com:443`).
            Err(TargetError::Form(shown(text)))
        }
    }

    /// Returns the same target, borrowed from this one.
    pub fn borrowed(&self) -> RequestTarget<'_> {
        match self {
            RequestTarget::Origin(text) => RequestTarget::Origin(Cow::Borrowed(text)),
            RequestTarget::Absolute(text) => RequestTarget::Absolute(Cow::Borrowed(text)),
            RequestTarget::Uri(text) => RequestTarget::Uri(Cow::Borrowed(text)),
            RequestTarget::Asterisk => RequestTarget::Asterisk,
        }
    }

    /// Returns the path as on the wire, without query and fragment: `/` for a URI without a path,
    /// `*` for the asterisk.
    ///
    /// ```
    /// use mcpid::message::RequestTarget;
    ///
    /// assert_eq!(RequestTarget::Origin("/mcp?token=1".into()).path(), "/mcp");
    /// assert_eq!(RequestTarget::Absolute("http://a.example?x".into()).path(), "/");
    /// ```
    pub fn path(&self) -> &str {
        let (text, has_authority) = match self {
            RequestTarget::Origin(text) => (text, false),
            RequestTarget::Absolute(text) | RequestTarget::Uri(text) => (text, true),
            RequestTarget::Asterisk => return "*",
        };
        let after = match text.split_once("://") {
            Some((_, after)) if has_authority => {
                let end = after.find(['/', '?', '#']).unwrap_or(after.len());
                after.get(end..).unwrap_or_default()
            }
            _ => text,
        };
        match after.split(['?', '#']).next() {
            Some("") if has_authority => "/",
            path => path.unwrap_or_default(),
        }
    }

    /// Returns the target for a URL from a person or a file. An empty path becomes `/`, as a client
    /// sends it. The rest stays as it is.
    ///
    /// # Errors
    /// [`UriError`] if the text is not such a URL; a fragment is [`UriError::Fragment`].
    pub fn from_url(url: impl Into<Cow<'a, str>>) -> Result<Self, UriError> {
        let mut url = url.into();
        let parts = UriParts::split(&url)?;
        if parts.path.is_empty() {
            let at = url.len() - parts.rest.len();
            url.to_mut().insert(at, '/');
        }
        Ok(RequestTarget::Uri(url))
    }
}
