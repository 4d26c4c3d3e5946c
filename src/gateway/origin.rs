//! Web pages: whose may ask, and what browsers are told (Fetch standard, CORS protocol).
//!
//! A server on loopback or in an office network must not answer any page that a browser happens to
//! show, so an `Origin` that is not known is refused whatever else the request says.

use http::request::Parts;
use http::response::Builder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::message::target::{Origin, Origins};
use crate::message::{Head, RequestTarget};

use super::sight::Fault;

pub(super) const REFUSED: Fault = Fault {
    status: StatusCode::FORBIDDEN,
    reason: "origin",
    words: "pages of this origin may not ask here",
};

/// Response fields that a page may read beside those that every page may.
const EXPOSED: &str = "mcp-session-id, mcp-protocol-version, www-authenticate, accept-signature, \
                       retry-after, date";
/// Seconds for which a browser may keep the answer to a preflight.
const MAX_AGE: &str = "600";
/// Bytes of a list of field names that is echoed.
const LONGEST_LIST: usize = 4096;

/// The origins whose pages may ask.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    public: Origins,
    allowed: Vec<String>,
}

/// The `Origin` of a request that may ask.
pub(super) type Asked = Option<HeaderValue>;

impl Pages {
    pub(super) fn new(public: Origins, allowed: Vec<String>) -> Self {
        Pages { public, allowed }
    }

    /// The public origin that a request came under, if its host is one of ours.
    pub(super) fn public_origin(&self, parts: &Parts) -> Option<Origin> {
        let host = match (parts.headers.get(header::HOST), parts.uri.authority()) {
            (Some(host), _) => host.as_bytes(),
            (None, Some(authority)) => authority.as_str().as_bytes(),
            (None, None) => return None,
        };
        let target = RequestTarget::Origin(parts.uri.path().into());
        let mut head = Head::new(parts.method.as_str(), target).ok()?;
        head.push("host", host).ok()?;
        self.public.resolve(&head).ok().map(|target| target.origin())
    }

    /// Whether browsers are told anything at all.
    fn answers(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether the page that sent this request, if one did, may.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Asked, Fault> {
        let mut lines = headers.get_all(header::ORIGIN).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        let text = line.to_str().map_err(|_| REFUSED)?;
        if lines.next().is_some() || text.eq_ignore_ascii_case("null") {
            return Err(REFUSED);
        }
        let ours = Origin::parse(text).is_ok_and(|o| self.public.iter().any(|ours| *ours == o));
        // Extensions and the like have origins of their own making, which are compared as they are.
        if ours || self.allowed.iter().any(|allowed| allowed == text) {
            Ok(Some(line.clone()))
        } else {
            Err(REFUSED)
        }
    }

    /// The answer to a preflight, which is never signed and never reaches the upstream.
    pub(super) fn preflight<B: Default>(
        &self,
        parts: &Parts,
        asked: &Asked,
    ) -> Option<Response<B>> {
        let is_preflight = parts.method == Method::OPTIONS
            && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !self.answers() || !is_preflight || asked.is_none() {
            return None;
        }
        let mut builder: Builder = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE")
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        // Which fields a request needs depends on the tool (`Mcp-Param-*`): whatever is asked for.
        if let Some(list) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)
            && list.len() <= LONGEST_LIST
            && list.as_bytes().iter().all(|b| crate::message::is_tchar(*b) || b", ".contains(b))
        {
            builder = builder.header(header::ACCESS_CONTROL_ALLOW_HEADERS, list);
        }
        let mut response = builder.body(B::default()).ok()?;
        let vary = "origin, access-control-request-method, access-control-request-headers";
        response.headers_mut().insert(header::VARY, HeaderValue::from_static(vary));
        self.tell(asked, response.headers_mut());
        Some(response)
    }

    /// What every answer tells browsers.
    pub(super) fn tell(&self, asked: &Asked, headers: &mut HeaderMap) {
        if !self.answers() {
            return;
        }
        if let Some(origin) = asked {
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

    /// Drops what the upstream said to browsers, where the gateway speaks in its place.
    pub(super) fn silence(&self, headers: &mut HeaderMap) {
        if !self.answers() {
            return;
        }
        let said: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .cloned()
            .collect();
        for name in said {
            headers.remove(name);
        }
    }
}
