//! What a gateway is told: values that were checked, wherever they came from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::Recorder;
use crate::message::target::{Origin, Scheme, UriError, is_loopback};
use crate::message::{HeadError, RequestTarget};
use crate::tower::RefuseWith;

use super::client_address::TrustedProxy;
use super::policy::Policies;
use super::route::Paths;

/// The server behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub(super) origin: Origin,
    pub(super) path: String,
    pub(super) unix: Option<PathBuf>,
}

/// Why a text names no upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// Not a URL that requests could be sent to.
    #[error("not a URL such as http://127.0.0.1:8000/mcp, and not unix:PATH")]
    Url(#[from] UriError),
    /// A query, which would be lost or doubled.
    #[error("the URL of an upstream has no query")]
    Query,
    /// `unix:` with nothing behind it.
    #[error("unix: needs a path behind it")]
    NoPath,
    /// Something that no request line can hold.
    #[error("requests cannot be sent there")]
    Target(#[from] HeadError),
}

impl Upstream {
    /// Reads `http://HOST[:PORT]/PATH`, `https://…`, or `unix:SOCKET`, whose endpoint is `/mcp`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        if let Some(socket) = text.strip_prefix("unix:") {
            if socket.is_empty() {
                return Err(UpstreamError::NoPath);
            }
            let origin = Origin::parse("http://localhost")?;
            return Ok(Upstream { origin, path: "/mcp".to_owned(), unix: Some(socket.into()) });
        }
        let head = crate::message::Head::new("GET", RequestTarget::from_url(text)?)?;
        // With no origin known to be ours, a URL is taken at its word.
        let ours = crate::message::target::Origins::unknown();
        let target = ours.resolve(&head).map_err(|_| UriError::NotAnOrigin)?;
        if target.query().is_some() {
            return Err(UpstreamError::Query);
        }
        let path = target.path().unwrap_or("/").to_owned();
        Ok(Upstream { origin: target.origin(), path, unix: None })
    }

    /// The path of the URL.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is reached by TLS.
    pub fn is_tls(&self) -> bool {
        self.unix.is_none() && self.origin.scheme() == Scheme::Https
    }

    /// Whether others on the way could forge what the gateway tells the upstream: plain HTTP to
    /// another machine.
    pub fn is_open_to_forgery(&self) -> bool {
        let host = self.origin.authority();
        // The port is behind the last colon that no bracket follows.
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

/// How a gateway stands before its upstream. Build one with [`Config::new`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where verified requests go.
    pub upstream: Upstream,
    /// Which paths there are.
    pub paths: Paths,
    /// Which requests must be verified.
    pub policies: Policies,
    /// How a request is refused.
    pub refuse_with: RefuseWith,
    /// Web origins, beside the public ones, whose pages may ask; with any, CORS is answered.
    pub allow_origins: Vec<String>,
    /// Whether the upstream sees `Host` and `Origin` as the client sent them.
    pub preserve_host: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// How long connecting to the upstream may take.
    pub connect_time: Duration,
    /// How long the upstream may take to the head of its answer.
    pub answer_time: Duration,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// Bytes of bodies that nobody has vouched for, of all requests together.
    pub budget: usize,
    /// Requests that are with the upstream at once, each of which may need a connection of its
    /// own; of those to open paths, which strangers send, at most a quarter as many.
    pub exchanges: usize,
    /// Sessions of 2025-11-25 that are bound to a key at once.
    pub sessions: usize,
    /// How long a session may lie unused before its place is given away.
    pub session_idle: Duration,
    /// Where requests are written down, if they are.
    pub audit: Option<Arc<Recorder>>,
}

impl Config {
    /// With the defaults: strict, the endpoint at the upstream's own path.
    pub fn new(upstream: Upstream) -> Self {
        let paths = Paths::new(upstream.path.clone());
        Config {
            upstream,
            paths,
            policies: Policies::strict(),
            refuse_with: RefuseWith::Forbidden,
            allow_origins: Vec::new(),
            preserve_host: false,
            trusted_proxies: Vec::new(),
            connect_time: Duration::from_secs(5),
            answer_time: Duration::from_secs(300),
            body_time: Duration::from_secs(30),
            budget: crate::tower::Budget::DEFAULT,
            exchanges: 10_000,
            sessions: 100_000,
            session_idle: Duration::from_secs(24 * 60 * 60),
            audit: None,
        }
    }
}
