//! The target of a request, and the derived components of RFC 9421 section 2.2 that name parts of
//! it.
//!
//! Path and query stay exactly as on the wire. A URL type that decodes, encodes or removes dot
//! segments could treat two requests as equal that a server handles differently. Only scheme and
//! authority are normalised: lower case, without the default port (RFC 9110 section 4.2.3).
//!
//! A profile may sign the normal form of RFC 3986 instead ([`TargetForm`]). Then verification and
//! the server use that form.
//!
//! A request line in origin form does not name the scheme, and the client chooses `Host`. So
//! [`Origins`] lists the origins of the server. `Forwarded` fields are never used.

use std::borrow::Cow;

use super::uri::{Authority, UriParts, check_characters, shown, split_query};
use super::{Head, RequestTarget};
use crate::secret::quoted;

mod normal;
mod wire;

pub use super::uri::{Origin, Scheme, UriError, is_loopback};
pub use normal::{TargetForm, normal_host, normal_path_and_query, normal_url};

/// Why a request has no target, or a target that is not on an origin of this server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither the request line nor a `Host` field names a host.
    #[error("the request names no host")]
    HostMissing,
    /// The head has more than one `Host` line.
    #[error("the request has more than one host field")]
    HostRepeated,
    /// The value of `Host` is not a host with an optional port.
    #[error("the host field cannot be read")]
    Host(#[source] UriError),
    /// The target cannot be parsed.
    #[error("the request target cannot be read")]
    Uri(#[source] UriError),
    /// The text is neither a path, nor a URL, nor the `*` of an `OPTIONS` request.
    #[error("{} is not a request target", quoted(.0))]
    Form(String),
    /// The request line names one host and the `Host` field another.
    #[error("the target is for {target:?}, the host field says {host:?}")]
    HostDisagrees {
        /// The value of the field `Host`.
        host: String,
        /// The authority of the target.
        target: String,
    },
    /// The request is for an origin that this server does not have.
    #[error("the request is for {given:?}, not for {ours}")]
    NotOurs {
        /// The authority that the request names, or its origin if it names a scheme too.
        given: String,
        /// The origins of this server.
        ours: String,
    },
}

/// The origins of a server, such as `https://mcp.example.com`.
///
/// An empty list accepts every origin, which is useful for judging captures. A target in origin
/// form is then resolved with `https`, or with `http` for loopback hosts ([`is_loopback`]). A
/// server must list at least one origin.
///
/// ```
/// use mcpid::message::target::{Origin, Origins, TargetError};
/// use mcpid::message::{Head, RequestTarget};
///
/// let origins = Origins::new([Origin::parse("https://mcp.example.com")?]);
/// let mut head = Head::new("POST", RequestTarget::Origin("/mcp?a=1".into()))?;
/// head.push("host", b"MCP.example.com:443")?;
/// assert_eq!(origins.resolve(&head)?.target_uri(), "https://mcp.example.com/mcp?a=1");
///
/// let mut other = Head::new("POST", RequestTarget::Origin("/mcp".into()))?;
/// other.push("host", b"other.example.com")?;
/// assert!(matches!(origins.resolve(&other), Err(TargetError::NotOurs { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl FromIterator<Origin> for Origins {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Origins(origins.into_iter().collect())
    }
}

impl Origins {
    /// Returns the empty list, which accepts every origin.
    pub const fn unknown() -> Self {
        Origins(Vec::new())
    }

    /// Makes a list of exactly these origins.
    pub fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        origins.into_iter().collect()
    }

    /// Returns true if the list is empty, so that every origin is accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the origins, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.0.iter()
    }

    /// Returns the target of the request `head`, exactly as on the wire.
    ///
    /// If the request does not name a scheme, and two origins in the list differ only in the
    /// scheme, the first one is used.
    ///
    /// # Errors
    /// [`TargetError`] if there is no `Host` or several, if the target or `Host` cannot be parsed,
    /// if they disagree, or if the origin is not in the list.
    pub fn resolve<'a>(&'a self, head: &'a Head<'_>) -> Result<Target<'a>, TargetError> {
        self.resolve_as(head, TargetForm::Exact)
    }

    /// Returns the target of the request `head` in the given form. In normal form, hosts are
    /// compared without a dot of the DNS root at their end.
    ///
    /// ```
    /// use mcpid::message::target::{Origin, Origins, TargetForm};
    /// use mcpid::message::{Head, RequestTarget};
    ///
    /// let origins = Origins::new([Origin::parse("https://mcp.example.com")?]);
    /// let mut head = Head::new("POST", RequestTarget::Origin("/a/../%6dcp?a=1".into()))?;
    /// head.push("host", b"MCP.example.com.:443")?;
    /// let target = origins.resolve_as(&head, TargetForm::Rfc3986)?;
    /// assert_eq!(target.target_uri(), "https://mcp.example.com/mcp?a=1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Origins::resolve`], and a path that has no normal form.
    pub fn resolve_as<'a>(
        &'a self,
        head: &'a Head<'_>,
        form: TargetForm,
    ) -> Result<Target<'a>, TargetError> {
        let host = match head.single("host") {
            Ok(host) => host,
            Err(_) => return Err(TargetError::HostRepeated),
        };
        match head.target() {
            RequestTarget::Origin(text) => {
                if !text.starts_with('/') {
                    return Err(TargetError::Form(shown(text)));
                }
                check_characters(text).map_err(TargetError::Uri)?;
                let (scheme, authority) = self.by_host(host, form)?;
                let (path, rest) = split_query(text);
                let path = in_form(path, form)?;
                let request_target = match &path {
                    Cow::Borrowed(_) => Cow::Borrowed(text.as_ref()),
                    Cow::Owned(path) => Cow::Owned([path, rest].concat()),
                };
                Ok(Target { scheme, authority, path: Some(path), rest, request_target })
            }
            RequestTarget::Asterisk if head.method() == "OPTIONS" => {
                let (scheme, authority) = self.by_host(host, form)?;
                let request_target = Cow::Borrowed("*");
                Ok(Target { scheme, authority, path: None, rest: "", request_target })
            }
            RequestTarget::Asterisk => Err(TargetError::Form("*".to_owned())),
            RequestTarget::Absolute(text) => self.by_uri(host, text, true, form),
            RequestTarget::Uri(text) => self.by_uri(host, text, false, form),
        }
    }

    fn by_uri<'a>(
        &'a self,
        host: Option<&[u8]>,
        text: &'a str,
        on_the_line: bool,
        form: TargetForm,
    ) -> Result<Target<'a>, TargetError> {
        let UriParts { scheme, authority, path, rest, after_authority } =
            UriParts::split(text).map_err(TargetError::Uri)?;
        let authority = form.authority(authority);
        if let Some(host) = host {
            // RFC 9112 section 3.2 requires that a client sends the same host in both places, and
            // section 3.2.2 lets a server ignore `Host` if the target is a complete URI. If they
            // differ, servers would disagree, so the request is refused.
            let host = form.authority(read_host(host)?.normal(scheme));
            if host != authority {
                let (host, target) = (shown(&host), shown(&authority));
                return Err(TargetError::HostDisagrees { host, target });
            }
        }
        if !self.0.is_empty()
            && !self.0.iter().any(|o| o.scheme() == scheme && form.is_authority_of(&authority, o))
        {
            return Err(self.not_ours(&format!("{}://{authority}", scheme.as_str())));
        }
        // RFC 9421 section 2.2.6: an empty path counts as a single slash.
        let normal = in_form(if path.is_empty() { "/" } else { path }, form)?;
        let request_target = match (on_the_line, path, &normal) {
            (true, _, Cow::Borrowed(_)) => Cow::Borrowed(text),
            (true, _, Cow::Owned(path)) => {
                Cow::Owned([scheme.as_str(), "://", &authority, path, rest].concat())
            }
            (false, "", _) => Cow::Owned(format!("/{rest}")),
            (false, _, Cow::Borrowed(_)) => Cow::Borrowed(after_authority),
            (false, _, Cow::Owned(path)) => Cow::Owned([path, rest].concat()),
        };
        Ok(Target { scheme, authority, path: Some(normal), rest, request_target })
    }

    /// Returns scheme and authority for a request whose target names neither.
    fn by_host<'a>(
        &'a self,
        host: Option<&'a [u8]>,
        form: TargetForm,
    ) -> Result<(Scheme, Cow<'a, str>), TargetError> {
        let host = host.ok_or(TargetError::HostMissing)?;
        // The usual case: `Host` equals a configured origin, which is known to be valid, so nothing
        // has to be parsed.
        if let Some(ours) = self.0.first().filter(|o| o.authority().as_bytes() == host) {
            return Ok((ours.scheme(), form.authority(Cow::Borrowed(ours.authority()))));
        }
        let named = read_host(host)?;
        if self.0.is_empty() {
            let scheme = if is_loopback(named.host) { Scheme::Http } else { Scheme::Https };
            return Ok((scheme, form.authority(named.normal(scheme))));
        }
        let is_ours =
            |o: &&Origin| form.is_authority_of(&form.authority(named.normal(o.scheme())), o);
        match self.0.iter().find(is_ours) {
            Some(ours) => Ok((ours.scheme(), form.authority(Cow::Borrowed(ours.authority())))),
            None => Err(self.not_ours(&String::from_utf8_lossy(host))),
        }
    }

    #[cold]
    fn not_ours(&self, given: &str) -> TargetError {
        let mut ours = self.0.iter().map(Origin::to_string).collect::<Vec<_>>();
        if ours.len() > 4 {
            let more = ours.len() - 3;
            ours.truncate(3);
            ours.push(format!("{more} more"));
        }
        TargetError::NotOurs { given: shown(given), ours: ours.join(", ") }
    }
}

/// The resolved target of a request, from which the `@` components of RFC 9421 section 2.2 are
/// derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    scheme: Scheme,
    authority: Cow<'a, str>,
    path: Option<Cow<'a, str>>,
    /// The query with its question mark, or empty.
    rest: &'a str,
    request_target: Cow<'a, str>,
}

impl Target<'_> {
    /// Returns `@scheme`: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme.as_str()
    }

    /// Returns `@authority`: lower case, without the default port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns `@path` in the form of the target, `/` for an empty path. Returns `None` for
    /// `OPTIONS *`, which has no path.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Returns the query as on the wire, without the question mark: `Some("")` if the query is
    /// empty, and `None` if the target has no question mark. (`@query` differs: it begins with the
    /// question mark, and is only that mark if the target has no query.)
    pub fn query(&self) -> Option<&str> {
        self.rest.strip_prefix('?')
    }

    /// Returns `@request-target`: the target on the request line. If the target was not on a
    /// request line, this is its path and query, as a client sends them to an origin server.
    pub fn request_target(&self) -> &str {
        &self.request_target
    }

    /// Returns `@target-uri` in five pieces that the caller writes one after the other, which saves
    /// a copy.
    pub fn target_uri_pieces(&self) -> [&str; 5] {
        [self.scheme.as_str(), "://", &self.authority, self.path().unwrap_or_default(), self.rest]
    }

    /// Returns `@target-uri`. For `OPTIONS *` it ends with the authority (RFC 9110 section 7.1).
    pub fn target_uri(&self) -> String {
        self.target_uri_pieces().concat()
    }

    /// Returns the origin.
    pub fn origin(&self) -> Origin {
        Origin::from_normal(self.scheme, self.authority())
    }

    /// Returns true if a verifier without configured origins would compute this same target from
    /// path, query and `Host`: the scheme is `https`, or it is `http` and the host is loopback.
    pub fn follows_from_host(&self) -> bool {
        // This cannot fail: a normalised authority can always be parsed.
        let loopback = Authority::read(&self.authority).is_ok_and(|a| is_loopback(a.host));
        loopback == (self.scheme == Scheme::Http)
    }
}

impl TargetForm {
    fn authority<'a>(self, authority: Cow<'a, str>) -> Cow<'a, str> {
        match self {
            TargetForm::Exact => authority,
            TargetForm::Rfc3986 => normal::normal_authority(authority),
        }
    }

    /// Returns true if `authority`, written in this form, is the authority of `origin`.
    fn is_authority_of(self, authority: &str, origin: &Origin) -> bool {
        self.authority(Cow::Borrowed(origin.authority())) == authority
    }
}

/// Returns a path in the given form.
fn in_form(path: &str, form: TargetForm) -> Result<Cow<'_, str>, TargetError> {
    match form {
        TargetForm::Exact => Ok(Cow::Borrowed(path)),
        TargetForm::Rfc3986 => normal::normal_path(path).map_err(TargetError::Uri),
    }
}

fn read_host(host: &[u8]) -> Result<Authority<'_>, TargetError> {
    match std::str::from_utf8(host) {
        Ok(text) => Authority::read(text).map_err(TargetError::Host),
        Err(_) => Err(TargetError::Host(UriError::Host(shown(&String::from_utf8_lossy(host))))),
    }
}
