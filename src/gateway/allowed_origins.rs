//! Decides which web pages may send requests, and answers their browsers (Fetch standard, CORS).
//!
//! A browser lets any page send requests to a server on loopback or in an office network. So a
//! request with an unknown `Origin` is refused, even if it is signed.

use http::request::Parts;
use http::response::Builder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::message::Head;
use crate::message::target::Origin;
use crate::tower::{VerifierHandle, wire_target};

use super::framing::GatewayError;

const REFUSED: GatewayError = GatewayError {
    status: StatusCode::FORBIDDEN,
    reason: "origin",
    message: "pages of this origin may not ask here",
};

/// The response fields that a page may read, in addition to the CORS-safelisted ones.
const EXPOSED: &str = "mcp-session-id, mcp-protocol-version, www-authenticate, accept-signature, \
                       retry-after, date";
/// Seconds for which a browser may keep the answer to a preflight.
const MAX_AGE: &str = "600";
/// The longest list of field names, in bytes, that is repeated in the answer.
const LONGEST_LIST: usize = 4096;

/// The origins whose pages may send requests.
#[derive(Debug)]
pub(super) struct AllowedOrigins {
    /// The current verifier, whose origins are the public ones of the gateway.
    handle: VerifierHandle,
    allowed: Vec<String>,
    /// Whether the gateway answers preflights and adds CORS fields itself.
    answers_cors: bool,
}

/// The value of the `Origin` field; `None` if no page sent the request.
pub(super) type OriginHeader = Option<HeaderValue>;

impl AllowedOrigins {
    /// Creates the list of the origins of the current verifier and `allowed`. The gateway itself
    /// answers CORS preflights if it is a proxy and `allowed` is not empty.
    pub(super) fn new(handle: VerifierHandle, allowed: Vec<String>, is_proxy: bool) -> Self {
        let answers_cors = is_proxy && !allowed.is_empty();
        AllowedOrigins { handle, allowed, answers_cors }
    }

    /// Returns the public origin of the gateway that a request names, or `None` if the request
    /// names another host.
    pub(super) fn public_origin(&self, parts: &Parts) -> Option<Origin> {
        let host = match (parts.headers.get(header::HOST), parts.uri.authority()) {
            (Some(host), _) => host.as_bytes(),
            (None, Some(authority)) => authority.as_str().as_bytes(),
            (None, None) => return None,
        };
        let mut head = Head::new(parts.method.as_str(), wire_target(parts, &parts.uri)).ok()?;
        head.push("host", host).ok()?;
        self.handle.verifier().origins().resolve(&head).ok().map(|target| target.origin())
    }

    /// Returns the scheme of the public origin that a request names: `http` or `https`.
    pub(super) fn scheme(&self, parts: &Parts) -> &'static str {
        let verifier = self.handle.verifier();
        let mut schemes = verifier.origins().iter().map(|origin| origin.scheme().as_str());
        let only = schemes.next().filter(|first| schemes.all(|scheme| scheme == *first));
        let named = || self.public_origin(parts).map(|origin| origin.scheme().as_str());
        only.or_else(named).unwrap_or("https")
    }

    /// Checks whether the web page that sent the request is allowed to. Returns `None` if no web
    /// page sent the request.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<OriginHeader, GatewayError> {
        let mut lines = headers.get_all(header::ORIGIN).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let text = line.to_str().map_err(|_| REFUSED)?;
        if lines.next().is_some() || text.eq_ignore_ascii_case("null") {
            return Err(REFUSED);
        }
        let ours = |page: Origin| self.handle.verifier().origins().iter().any(|ours| *ours == page);
        // Browser extensions have origins with other schemes than `http` and `https`. They are
        // compared as text.
        if Origin::parse(text).is_ok_and(ours) || self.allowed.iter().any(|allowed| allowed == text)
        {
            Ok(Some(line.clone()))
        } else {
            Err(REFUSED)
        }
    }

    /// Returns the answer to a preflight. Browsers do not sign preflights, and the upstream never
    /// gets one.
    pub(super) fn preflight<B: Default>(
        &self,
        parts: &Parts,
        page: &OriginHeader,
    ) -> Option<Response<B>> {
        let is_preflight = parts.method == Method::OPTIONS
            && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !self.answers_cors || !is_preflight || page.is_none() {
            return None;
        }
        let mut builder: Builder = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE")
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // Which header fields a call needs depends on its tool (`Mcp-Param-*`), so every requested
        // field is allowed.
        if let Some(list) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
            && list.len() <= LONGEST_LIST
            && list.as_bytes().iter().all(|b| crate::message::is_tchar(*b) || b", ".contains(b))
        {
            builder = builder.header(header::ACCESS_CONTROL_ALLOW_HEADERS, list);
        }
        let mut response = builder.body(B::default()).ok()?;
        let vary = "origin, access-control-request-method, access-control-request-headers";
        response.headers_mut().insert(header::VARY, HeaderValue::from_static(vary));
        self.add_cors(page, response.headers_mut());
        Some(response)
    }

    /// Adds the CORS fields to an answer.
    pub(super) fn add_cors(&self, page: &OriginHeader, headers: &mut HeaderMap) {
        if !self.answers_cors {
            return;
        }
        if let Some(origin) = page {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        let varies = headers.get_all(header::VARY).iter().any(|v| {
            v.to_str().is_ok_and(|v| v.split(',').any(|n| n.trim().eq_ignore_ascii_case("origin")))
        });
        if !varies {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
    }

    /// Removes the CORS fields that the upstream set, if the gateway itself answers CORS.
    pub(super) fn drop_upstream_cors(&self, headers: &mut HeaderMap) {
        if !self.answers_cors {
            return;
        }
        let names: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .cloned()
            .collect();
        for name in names {
            headers.remove(name);
        }
    }
}
