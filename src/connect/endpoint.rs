//! The URL of the server's endpoint.

use http::{HeaderValue, Uri};

use crate::message::target::{Origin, Origins, UriError, is_loopback};
use crate::message::{Head, RequestTarget};

/// The URL of an MCP endpoint, checked so that the HTTP library sends exactly the bytes that are
/// signed.
///
/// ```
/// use mcpid::connect::EndpointUrl;
///
/// let url = EndpointUrl::parse("https://mcp.example.com/mcp")?;
/// assert_eq!(url.host(), "mcp.example.com");
/// assert!(url.is_https());
/// assert!(EndpointUrl::parse("ftp://mcp.example.com/mcp").is_err());
/// # Ok::<(), mcpid::connect::UrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EndpointUrl {
    /// The URL as it is signed.
    pub(super) url: String,
    /// The URL as it is sent: the same bytes.
    pub(super) uri: Uri,
    /// Host and port, for the field `Host` and for messages.
    pub(super) host: String,
    pub(super) host_value: HeaderValue,
    origin: Origin,
}

/// Why a text cannot be used as the URL of an endpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is not an HTTP URL.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The HTTP library would send this URL in other bytes than those that are signed.
    #[error("it has a character that has to be percent-encoded")]
    Wire,
}

impl EndpointUrl {
    /// Parses an absolute HTTP URL.
    ///
    /// # Errors
    /// [`UrlError`] if the text is not a URL, or cannot be sent exactly as it is signed.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let target = RequestTarget::from_url(url.to_owned())?;
        let RequestTarget::Uri(url) = &target else { return Err(UrlError::Wire) };
        let url = url.clone().into_owned();
        let head = Head::new("POST", target).map_err(|_| UrlError::Wire)?;
        let origins = Origins::unknown();
        // The URL itself names the authority, so no `Host` field is needed here.
        let target = origins.resolve(&head).map_err(|_| UrlError::Wire)?;
        let uri: Uri = url.parse().map_err(|_| UrlError::Wire)?;
        if uri.path_and_query().map(|sent| sent.as_str()) != Some(target.request_target()) {
            return Err(UrlError::Wire);
        }
        let host = target.authority().to_owned();
        let host_value = HeaderValue::from_str(&host).map_err(|_| UrlError::Wire)?;
        let origin = target.origin();
        Ok(EndpointUrl { url, uri, host, host_value, origin })
    }

    /// Returns the host, with the port if the URL names one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the URL.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns whether requests are sent with TLS.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Returns true if requests to this URL leave this machine without TLS.
    pub fn is_open_to_all(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        !self.is_https() && !is_loopback(host)
    }

    /// Returns the URL to which the server redirects by `location`, or None if its origin is
    /// another one.
    pub(super) fn moved(&self, location: &str) -> Option<EndpointUrl> {
        let url = match location.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => format!("{}{location}", self.origin),
            _ => location.to_owned(),
        };
        EndpointUrl::parse(&url).ok().filter(|there| there.origin == self.origin)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn redirects_are_followed_within_the_origin() {
        let here = EndpointUrl::parse("https://h.example/mcp?x=1").unwrap();
        let moved = |to: &str| here.moved(to).map(|there| there.url);
        assert_eq!(moved("/mcp/").as_deref(), Some("https://h.example/mcp/"));
        assert_eq!(moved("https://H.example:443/b").as_deref(), Some("https://H.example:443/b"));
        for to in [
            "http://h.example/mcp",
            "https://h.example:8443/mcp",
            "https://other.example/mcp",
            "//other.example/mcp",
            "https://h.example@other.example/",
            "mcp/",
            "",
        ] {
            assert_eq!(moved(to), None, "{to}");
        }
    }
}
