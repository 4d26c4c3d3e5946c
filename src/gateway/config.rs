//! The settings of a gateway, checked when they are made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Recorder;
use crate::message::target::{Origin, Scheme, UriError, is_loopback};
use crate::message::{HeadError, RequestTarget};
use crate::tower::{LearningModes, Paths, RefuseWith, SessionBindings, TouchRules};

use super::authz::AuthzProtocol;
use super::client_address::TrustedProxy;

/// The MCP server to which a gateway passes requests.
///
/// ```
/// use mcpid::gateway::Upstream;
///
/// let upstream = Upstream::parse("http://127.0.0.1:8000/mcp")?;
/// assert_eq!((upstream.path(), upstream.is_tls()), ("/mcp", false));
/// assert!(Upstream::parse("http://127.0.0.1:8000/mcp?tenant=1").is_err());
/// # Ok::<(), mcpid::gateway::UpstreamError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub(super) origin: Origin,
    pub(super) path: String,
    pub(super) unix: Option<PathBuf>,
}

/// Why a text is not the URL of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The text is not a URL to which requests can be sent.
    #[error("not a URL such as http://127.0.0.1:8000/mcp, and not unix:PATH")]
    Url(#[from] UriError),
    /// The URL has a query, which would collide with the query of a request.
    #[error("the URL of an upstream has no query")]
    Query,
    /// There is no path after `unix:`.
    #[error("unix: needs a path behind it")]
    NoPath,
    /// The URL contains characters that cannot be sent in a request line.
    #[error("requests cannot be sent there")]
    Target(#[from] HeadError),
}

impl Upstream {
    /// Parses `http://HOST[:PORT]/PATH`, `https://…`, or `unix:SOCKET`, whose endpoint is `/mcp`.
    ///
    /// # Errors
    /// [`UpstreamError`] if the text is none of these.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        if let Some(socket) = text.strip_prefix("unix:") {
            if socket.is_empty() {
                return Err(UpstreamError::NoPath);
            }
            let origin = Origin::parse("http://localhost")?;
            return Ok(Upstream { origin, path: "/mcp".to_owned(), unix: Some(socket.into()) });
        }
        let head = crate::message::Head::new("GET", RequestTarget::from_url(text)?)?;
        // The empty list of origins accepts every origin.
        let any = crate::message::target::Origins::unknown();
        let target = any.resolve(&head).map_err(|_| UriError::NotAnOrigin)?;
        if target.query().is_some() {
            return Err(UpstreamError::Query);
        }
        let path = target.path().unwrap_or("/").to_owned();
        Ok(Upstream { origin: target.origin(), path, unix: None })
    }

    /// Returns the path of the URL.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether connections to the upstream use TLS.
    pub fn is_tls(&self) -> bool {
        self.unix.is_none() && self.origin.scheme() == Scheme::Https
    }

    /// Returns true if an attacker between gateway and upstream could forge the `Mcpid-*` fields,
    /// because the connection is plain HTTP to another machine.
    pub fn is_open_to_forgery(&self) -> bool {
        let host = self.origin.authority();
        // The port comes after the last colon, except if a closing bracket follows that colon
        // (IPv6).
        let host = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => host,
        };
        self.unix.is_none() && self.origin.scheme() == Scheme::Http && !is_loopback(host)
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.unix {
            Some(socket) => write!(f, "unix:{}", socket.display()),
            None => write!(f, "{}{}", self.origin, self.path),
        }
    }
}

/// What a gateway does with a request that passes verification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayRole {
    /// The gateway passes the request to an MCP server: a reverse proxy.
    Proxy(Upstream),
    /// The gateway tells another proxy, which described the request, to pass it on: external
    /// authorization.
    Authorizer(AuthzProtocol),
}

/// The settings of a gateway. [`GatewayConfig::new`] and [`GatewayConfig::authorizer`] return the
/// defaults, of which single fields can be changed.
///
/// ```
/// use mcpid::gateway::{GatewayConfig, Upstream};
/// use mcpid::tower::{LearningModes, Modes};
///
/// let mut config = GatewayConfig::new(Upstream::parse("http://127.0.0.1:8000/mcp")?);
/// config.modes = LearningModes::new(Modes::permissive()).with_destructive();
/// assert_eq!(config.paths.endpoint(), "/mcp");
/// # Ok::<(), mcpid::gateway::UpstreamError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// What the gateway does with requests that pass verification.
    pub role: GatewayRole,
    /// The path of the MCP endpoint, and the open paths, which need no signature.
    pub paths: Paths,
    /// Which requests must be verified.
    pub modes: LearningModes,
    /// Which requests need a person's touch of a security key.
    pub touch: TouchRules,
    /// The HTTP status of refusals.
    pub refuse_with: RefuseWith,
    /// Web origins whose pages may send requests, in addition to the public origins of the gateway.
    /// If the list is not empty, a [`GatewayRole::Proxy`] answers CORS preflights.
    pub allow_origins: Vec<String>,
    /// Whether the upstream receives the `Host` and `Origin` that the client sent, instead of those
    /// of its own URL.
    pub preserve_host: bool,
    /// Proxies whose `X-Forwarded-For` field is trusted.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The time limit for connecting to the upstream.
    pub connect_time: Duration,
    /// The time limit for the upstream to send the head of its answer.
    pub answer_time: Duration,
    /// The time limit for the body of a request.
    pub body_time: Duration,
    /// The limit on the bytes of unverified bodies in memory, for all requests together.
    pub budget: usize,
    /// The maximum number of requests that wait for the upstream at once. Each may need a
    /// connection. Requests to open paths, which need no signature, may use a quarter of this
    /// number.
    pub exchanges: usize,
    /// The maximum number of sessions (MCP 2025-11-25) that are bound to the key that opened them.
    pub sessions: usize,
    /// How long a session may be unused before it can be bound to another key.
    pub session_idle: Duration,
    /// The audit log, if requests are recorded.
    pub audit: Option<Arc<Recorder>>,
}

impl GatewayConfig {
    /// Returns the default settings: strict mode, and the endpoint at the path of the upstream.
    pub fn new(upstream: Upstream) -> Self {
        let paths = Paths::new(upstream.path.clone());
        GatewayConfig::with(GatewayRole::Proxy(upstream), paths)
    }

    /// Returns the default settings of an authorization service for another proxy: strict mode, and
    /// the endpoint `/mcp`. Settings about the upstream and about sessions have no effect.
    pub fn authorizer(protocol: AuthzProtocol) -> Self {
        GatewayConfig::with(GatewayRole::Authorizer(protocol), Paths::new("/mcp"))
    }

    fn with(role: GatewayRole, paths: Paths) -> Self {
        GatewayConfig {
            role,
            paths,
            modes: LearningModes::strict(),
            touch: TouchRules::new(),
            refuse_with: RefuseWith::Forbidden,
            allow_origins: Vec::new(),
            preserve_host: false,
            trusted_proxies: Vec::new(),
            connect_time: Duration::from_secs(5),
            answer_time: Duration::from_secs(300),
            body_time: Duration::from_secs(30),
            budget: crate::tower::Budget::DEFAULT,
            exchanges: 10_000,
            sessions: SessionBindings::DEFAULT_MOST,
            session_idle: SessionBindings::DEFAULT_IDLE,
            audit: None,
        }
    }
}
