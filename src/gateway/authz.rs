//! External authorization: an existing proxy describes each request to the authorizer, and passes
//! the request on itself.
//!
//! ```text
//! client ─► proxy ── the request again, as the dialect describes it ─► describe ─► judged as in a
//!             │ ◄──────── 200 and all Mcpid-* fields, or a refusal ──── allow  ◄── reverse proxy
//!             └─► MCP server
//! ```
//!
//! The authorizer cannot drop fields of the request. So it refuses a request with a field that
//! [`super::forward`] would drop, because such a field can change what the server reads.

mod fields;

use http::header;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::message::RequestTarget;
use crate::tower::{Status, UnseenParts};

use super::body::AnswerBody;
use super::forward;
use super::framing::GatewayError;
use super::log::LoggedOutcome;
use super::record;

/// Envoy sets this field if `with_request_body` is configured. It states whether only a part of the
/// body is shown.
const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";
/// Lists fields of the request that Envoy must drop before it passes the request on.
const HEADERS_TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
const FORWARDED_METHOD: &str = "x-forwarded-method";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_URI: &str = "x-forwarded-uri";

const PATH_PREFIX: GatewayError = GatewayError::new(
    StatusCode::NOT_FOUND,
    "path_prefix",
    "the path does not begin with the configured prefix",
);
const FORWARDED: GatewayError = GatewayError::new(
    StatusCode::BAD_REQUEST,
    "forwarded",
    "the proxy must name method, host and target of the request once each",
);
const TARGET: GatewayError = GatewayError::new(
    StatusCode::BAD_REQUEST,
    "target",
    "the target of the request cannot be read, or has a fragment",
);

/// How a proxy describes a request to the authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthzDialect {
    /// Envoy's filter `ext_authz` with `http_service`, and products that are built on Envoy.
    /// Method, path, host and fields are those of the request. The body is that of the request if
    /// `with_request_body` is configured.
    Envoy,
    /// Traefik's `ForwardAuth` with `forwardBody`. `X-Forwarded-Method`, `X-Forwarded-Host` and
    /// `X-Forwarded-Uri` describe the request. The other fields and the body are those of the
    /// request.
    Traefik,
}

impl AuthzDialect {
    /// Returns true if the proxy itself may have set the field `name`, so that it is not a field of
    /// the client.
    fn sets(self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix("x-forwarded-") else { return name == "x-real-ip" };
        match self {
            AuthzDialect::Envoy => matches!(rest, "for" | "proto" | "port" | "client-cert"),
            AuthzDialect::Traefik => {
                matches!(rest, "for" | "proto" | "port" | "server" | "method" | "host" | "uri")
                    || matches!(rest, "tls-client-cert" | "tls-client-cert-info")
            }
        }
    }
}

/// The protocol in which a proxy describes requests to an authorizer.
///
/// ```
/// use mcpid::gateway::{AuthzDialect, AuthzProtocol, GatewayConfig};
///
/// let config = GatewayConfig::authorizer(AuthzProtocol::new(AuthzDialect::Envoy));
/// assert_eq!(config.paths.endpoint(), "/mcp");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthzProtocol {
    /// The way in which the proxy describes a request.
    pub dialect: AuthzDialect,
    /// The text that the proxy puts before the path of each request, for [`AuthzDialect::Envoy`].
    pub path_prefix: String,
}

impl AuthzProtocol {
    /// Makes a protocol without a path prefix.
    pub fn new(dialect: AuthzDialect) -> Self {
        AuthzProtocol { dialect, path_prefix: String::new() }
    }

    /// Changes `parts`, the head that the proxy sent, to the head of the described request, and
    /// records the parts that the proxy did not show. `is_empty` is true if the proxy sent no body.
    ///
    /// # Errors
    /// The description breaks the rules of the dialect, or the request has a field that the
    /// authorizer would have to drop.
    pub(super) fn describe(&self, parts: &mut Parts, is_empty: bool) -> Result<(), GatewayError> {
        match self.dialect {
            AuthzDialect::Envoy => self.strip_prefix(parts)?,
            AuthzDialect::Traefik => read_forwarded(parts)?,
        }
        // A request with one of these methods usually has no body. A proxy that is not configured
        // to show bodies describes a request with a body in the same way.
        let is_bodiless = matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE);
        let is_shown = match self.dialect {
            AuthzDialect::Envoy => {
                let mut lines = parts.headers.get_all(PARTIAL_BODY).iter();
                match (lines.next(), lines.next()) {
                    (None, _) => is_bodiless,
                    (Some(line), None) => line.as_bytes() == b"false",
                    _ => false,
                }
            }
            AuthzDialect::Traefik => !is_empty || is_bodiless,
        };
        let joined_lines = self.dialect == AuthzDialect::Envoy;
        parts.extensions.insert(UnseenParts { body: !is_shown, joined_lines });
        fields::check(&parts.headers, self.dialect)
    }

    /// Removes the path prefix from the target.
    fn strip_prefix(&self, parts: &mut Parts) -> Result<(), GatewayError> {
        if self.path_prefix.is_empty() {
            return Ok(());
        }
        let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
        let rest = target.strip_prefix(&self.path_prefix).filter(|rest| rest.starts_with('/'));
        let rest = rest.ok_or(PATH_PREFIX)?.parse::<PathAndQuery>().map_err(|_| TARGET)?;
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        uri.path_and_query = Some(rest);
        parts.uri = Uri::from_parts(uri).map_err(|_| TARGET)?;
        Ok(())
    }

    /// Returns the name of the hint for a request without a signature: Envoy shows an authorizer
    /// only few fields, unless it is configured to show more.
    pub(super) fn unsigned_cause(&self, headers: &HeaderMap) -> Option<&'static str> {
        let usual = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT];
        match self.dialect {
            AuthzDialect::Traefik => None,
            AuthzDialect::Envoy if usual.iter().any(|name| headers.contains_key(name)) => {
                Some("signature_hidden")
            }
            AuthzDialect::Envoy => Some("fields_hidden"),
        }
    }

    /// Returns the answer that lets a request with these fields pass. It contains all `Mcpid-*`
    /// fields, so that the proxy replaces any such field that a client sent.
    pub(super) fn allow(
        &self,
        fields: &HeaderMap,
        extensions: &Extensions,
        outcome: LoggedOutcome,
    ) -> Response<AnswerBody> {
        record::note(extensions, |line| line.outcome = outcome);
        let mut response = Response::new(AnswerBody::default());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut dropped = Vec::new();
        for (name, value) in forward::status_fields(extensions.get::<Status>()) {
            if value.is_none() {
                dropped.push(name);
            }
            let value = value.unwrap_or_else(|| HeaderValue::from_static(""));
            headers.insert(HeaderName::from_static(name), value);
        }
        let names = fields.keys().map(HeaderName::as_str);
        dropped.extend(names.filter(|name| self::fields::is_for_envoy_to_drop(name)));
        if self.dialect == AuthzDialect::Envoy
            && let Ok(names) = HeaderValue::try_from(dropped.join(","))
        {
            headers.insert(HEADERS_TO_REMOVE, names);
        }
        response
    }
}

/// Changes `parts` to the request that the `X-Forwarded-*` fields describe.
fn read_forwarded(parts: &mut Parts) -> Result<(), GatewayError> {
    let once = |name| {
        let mut lines = parts.headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) if !line.is_empty() => Ok(line.clone()),
            _ => Err(FORWARDED),
        }
    };
    let (method, host, target) =
        (once(FORWARDED_METHOD)?, once(FORWARDED_HOST)?, once(FORWARDED_URI)?);
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| FORWARDED)?;
    // The parser of `http::Uri` would silently drop a fragment (`#…`), so the target is parsed from
    // its bytes.
    match RequestTarget::from_bytes(target.as_bytes()) {
        Ok(RequestTarget::Origin(_)) => {}
        _ => return Err(TARGET),
    }
    let target = PathAndQuery::try_from(target.as_bytes()).map_err(|_| TARGET)?;
    parts.method = method;
    parts.uri = Uri::from(target);
    parts.headers.insert(header::HOST, host);
    Ok(())
}
