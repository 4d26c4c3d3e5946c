//! Signs and sends requests. Each attempt has a new nonce and time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::audit::Recorder;
use crate::clock::Clock;
use crate::message::target::{Origin, Origins, UriError, is_loopback};
use crate::message::{Head, RequestTarget};
use crate::net::Dialer;
use crate::sign::{Nonce, Signer};
use crate::tower::BoxError;

use super::audit_copy;
use super::error::{BridgeError, of_sending};
use super::log::LogSink;
use super::timing::{RetryDecision, RetryWaits, within};

/// The `User-Agent`, unless the client or a flag sets one. Some firewalls refuse requests without
/// this field.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("mcpid/", env!("CARGO_PKG_VERSION")));
/// The `Accept-Encoding`, unless the client or a flag sets it. Without this field a server may
/// compress its answer (RFC 9110, section 12.5.3), and the bridge cannot decompress.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

type MakeNonce = dyn Fn() -> Result<Nonce, BoxError> + Send + Sync;

/// The URL of an MCP endpoint, checked so that the sent bytes are the signed bytes.
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
    /// The URL as the HTTP library sends it. [`EndpointUrl::parse`] has checked that its bytes are
    /// those of `url`.
    uri: Uri,
    /// Host and port, for the field `Host` and for messages.
    pub(super) host: String,
    host_value: HeaderValue,
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
        // The URL names its authority, so no `Host` field is needed here.
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

    /// Returns true if requests leave this machine without TLS.
    pub fn is_open_to_all(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        !self.is_https() && !is_loopback(host)
    }

    /// Returns the URL of a redirect to `location`, or None if its origin differs.
    fn moved(&self, location: &str) -> Option<EndpointUrl> {
        let url = match location.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => format!("{}{location}", self.origin),
            _ => location.to_owned(),
        };
        EndpointUrl::parse(&url).ok().filter(|there| there.origin == self.origin)
    }
}

/// Whether to follow a server's redirect to another URL of the same origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectPolicy {
    /// The first redirect is followed.
    FollowOnce,
    /// No redirect is followed, because a person agreed to this URL only.
    Never,
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub(super) struct OutboundRequest {
    pub(super) method: Method,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// Signs requests and sends them to one server.
pub(super) struct SigningSender {
    pub(super) endpoint: EndpointUrl,
    pub(super) dialer: Dialer<Full<Bytes>>,
    pub(super) signer: Arc<Signer>,
    /// Whether signing may take long, for example because an agent asks a person.
    pub(super) is_slow_key: bool,
    pub(super) clock: Arc<dyn Clock>,
    make_nonce: Arc<MakeNonce>,
    /// Maximum time until the head of an answer arrives.
    pub(super) silence: Option<Duration>,
    /// Fields of every request. They replace fields of the same name.
    pub(super) fixed: Vec<(HeaderName, HeaderValue)>,
    /// Receives a line when a request has to wait or is redirected.
    pub(super) log: LogSink,
    /// The audit log for signed requests, if there is one.
    pub(super) audit: Option<Arc<Recorder>>,
}

impl fmt::Debug for SigningSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fixed fields may hold an access token, so the output does not show them.
        f.debug_struct("SigningSender").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl SigningSender {
    pub(super) fn new<R>(
        endpoint: EndpointUrl,
        dialer: Dialer<Full<Bytes>>,
        signer: Arc<Signer>,
        clock: Arc<dyn Clock>,
        random: R,
    ) -> Self
    where
        R: rand::TryCryptoRng + Send + 'static,
        R::Error: Send + Sync + 'static,
    {
        let random = Mutex::new(random);
        let make_nonce = Arc::new(move || {
            let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
            Nonce::generate(&mut *random).map_err(BoxError::from)
        });
        let (is_slow_key, silence) = (false, None);
        let (fixed, log, audit) = (Vec::new(), LogSink::silent(), None);
        SigningSender {
            endpoint,
            dialer,
            signer,
            is_slow_key,
            clock,
            make_nonce,
            silence,
            fixed,
            log,
            audit,
        }
    }

    /// Sends `outbound`. Returns the answer, of any status, with its body not yet read.
    ///
    /// A redirect within the same origin is followed once. Pauses that the server asks for are
    /// kept, up to 60 s in all. Each attempt is signed again. `before_send` is called when the
    /// request is signed and about to be sent.
    pub(super) async fn send(
        &self,
        outbound: &OutboundRequest,
        redirects: RedirectPolicy,
        before_send: &(dyn Fn() + Sync),
    ) -> Result<Response<Incoming>, BridgeError> {
        let (mut followed, mut waits) = (None, RetryWaits::default());
        loop {
            let endpoint = followed.as_ref().unwrap_or(&self.endpoint);
            let request = self.signed(endpoint, outbound).await?;
            before_send();
            let response = self.dispatch(request, endpoint).await?;
            let status = response.status();
            let now = self.clock.now();
            let host = &endpoint.host;
            match waits.next(&response, now) {
                RetryDecision::No => {}
                RetryDecision::After(wait) => {
                    let seconds = wait.as_secs();
                    self.log.warn(&format!(
                        "{host} answers {status}: trying again in {seconds} s, signed anew"
                    ));
                    drop(response);
                    tokio::time::sleep(wait).await;
                    continue;
                }
                RetryDecision::TooLong { asked, waited } => {
                    let (asked, waited) = (asked.as_secs(), waited.as_secs());
                    self.log.warn(&format!(
                        "{host} answers {status} and asks for {asked} s: given up, {waited} s of \
                         60 s were waited for"
                    ));
                    return Ok(response);
                }
            }
            if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
                let location = response.headers().get(header::LOCATION);
                let to = location.and_then(|to| to.to_str().ok()).map(str::to_owned);
                let keeps_method = matches!(
                    status,
                    StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
                );
                let there = to.as_deref().and_then(|to| endpoint.moved(to));
                match there {
                    Some(there)
                        if keeps_method
                            && followed.is_none()
                            && redirects == RedirectPolicy::FollowOnce =>
                    {
                        followed = Some(there);
                    }
                    _ => return Err(BridgeError::Redirected { status, to }),
                }
            } else {
                return Ok(response);
            }
        }
    }

    /// Returns a random nonce.
    pub(super) fn nonce(&self) -> Result<Nonce, BridgeError> {
        (self.make_nonce)().map_err(|error| BridgeError::NotSigned(error.to_string()))
    }

    async fn dispatch(
        &self,
        request: Request<Full<Bytes>>,
        endpoint: &EndpointUrl,
    ) -> Result<Response<Incoming>, BridgeError> {
        within(self.silence, self.dialer.send(request))
            .await?
            .map_err(|error| of_sending(&error, error.is_connect(), &endpoint.host))
    }

    /// Sends `outbound` without a signature.
    pub(super) async fn send_unsigned(
        &self,
        outbound: &OutboundRequest,
    ) -> Result<Response<Incoming>, BridgeError> {
        let request = self
            .fields(outbound)
            .fold(request(&self.endpoint, outbound), |request, (name, value)| {
                request.header(name, value)
            })
            .body(Full::new(outbound.body.clone()))
            .map_err(|error| BridgeError::Garbage(error.to_string()))?;
        self.dispatch(request, &self.endpoint).await
    }

    /// Returns the fields of `outbound`, except `Host` and the signature fields.
    fn fields<'a>(
        &'a self,
        outbound: &'a OutboundRequest,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> + 'a {
        let fixed = |name: &HeaderName| self.fixed.iter().any(|(fixed, _)| fixed == name);
        let is_set = move |name: &HeaderName| {
            fixed(name) || outbound.fields.iter().any(|(given, _)| given == name)
        };
        let given = outbound.fields.iter().filter(move |(name, _)| !fixed(name));
        let ours = [(header::USER_AGENT, USER_AGENT), (header::ACCEPT_ENCODING, IDENTITY)];
        let ours = ours.into_iter().filter(move |(name, _)| !is_set(name));
        given.chain(&self.fixed).cloned().chain(ours)
    }

    async fn signed(
        &self,
        endpoint: &EndpointUrl,
        outbound: &OutboundRequest,
    ) -> Result<Request<Full<Bytes>>, BridgeError> {
        let failed = |error: &dyn std::error::Error| BridgeError::NotSigned(error.to_string());
        let target = RequestTarget::Uri(endpoint.url.clone().into());
        let mut head =
            Head::new(outbound.method.as_str().to_owned(), target).map_err(|e| failed(&e))?;
        let mut request = request(endpoint, outbound);
        for (name, value) in self.fields(outbound) {
            head.push(name.as_str().to_owned(), value.as_bytes().to_vec())
                .map_err(|e| failed(&e))?;
            request = request.header(name, value);
        }
        let nonce = self.nonce()?;
        // The time is read last, so that `created` is close to the moment of sending.
        let (created, origins) = (self.clock.now(), Origins::unknown());
        let sent = self.audit.as_ref().map(|recorder| (recorder, head.clone()));
        let signed = if self.is_slow_key {
            let (signer, body) = (Arc::clone(&self.signer), outbound.body.clone());
            let sign = move || signer.sign(&head, &origins, &body, created, &nonce);
            tokio::task::spawn_blocking(sign).await.map_err(|e| failed(&e))?
        } else {
            self.signer.sign(&head, &origins, &outbound.body, created, &nonce)
        }?;
        if let Some((recorder, head)) = sent {
            audit_copy::keep(recorder, &self.signer, head, &signed, &outbound.body).await?;
        }
        for (name, value) in signed.headers() {
            request = request.header(name, value);
        }
        request.body(Full::new(outbound.body.clone())).map_err(|e| failed(&e))
    }
}

/// Returns a request builder with method, URL and `Host`.
fn request(endpoint: &EndpointUrl, outbound: &OutboundRequest) -> http::request::Builder {
    let request = Request::builder().method(outbound.method.clone()).uri(endpoint.uri.clone());
    request.header(header::HOST, endpoint.host_value.clone())
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
