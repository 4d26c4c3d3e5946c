//! Signs and sends requests. Each attempt has a new nonce and time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::audit::Recorder;
use crate::clock::Clock;
use crate::message::target::Origins;
use crate::message::{Head, RequestTarget};
use crate::net::Dialer;
use crate::sign::{Nonce, Signer};
use crate::tower::BoxError;

use super::audit_copy;
use super::consent::ConsentQuestion;
use super::endpoint::EndpointUrl;
use super::error::{BridgeError, of_sending};
use super::log::LogSink;
use super::timing::{RetryDecision, RetryWaits, within};
use super::touch::TouchSettings;

/// The `User-Agent`, unless the client or a command-line flag sets one. Some firewalls refuse
/// requests without this field.
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("mcpid/", env!("CARGO_PKG_VERSION")));
/// The `Accept-Encoding`, unless the client or a command-line flag sets it. Without this field a
/// server may compress its answer (RFC 9110, section 12.5.3), and the bridge cannot decompress.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

type MakeNonce = dyn Fn() -> Result<Nonce, BoxError> + Send + Sync;

/// Whether to follow a server's redirect to another URL of the same origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedirectPolicy {
    /// The first redirect is followed.
    FollowOnce,
    /// No redirect is followed, because a person agreed to this URL only.
    Never,
}

/// A request before it is signed.
#[derive(Debug)]
pub(super) struct OutboundRequest {
    pub(super) method: Method,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// The question to show to a person, if the request needs the touch of a security key.
    pub(super) touch: Option<Box<ConsentQuestion>>,
    /// The reason why another touch of a security key is needed, if the request was sent before.
    pub(super) again: Option<&'static str>,
}

/// Signs requests and sends them to one server.
pub(super) struct SigningSender {
    pub(super) endpoint: EndpointUrl,
    pub(super) dialer: Dialer<Full<Bytes>>,
    pub(super) signer: Arc<Signer>,
    /// Whether signing may take long, for example because an agent asks a person.
    pub(super) is_slow_key: bool,
    /// The security key and its rules, if a person has to touch for some requests.
    pub(super) touch: Option<TouchSettings>,
    pub(super) clock: Arc<dyn Clock>,
    make_nonce: Arc<MakeNonce>,
    /// Maximum time until the head of an answer (status and fields) arrives.
    pub(super) silence: Option<Duration>,
    /// Header fields that are added to every request. They replace fields of the same name.
    pub(super) fixed: Vec<(HeaderName, HeaderValue)>,
    /// The log, which gets a line when a request has to wait or is redirected.
    pub(super) log: LogSink,
    /// The audit log for signed requests, if there is one.
    pub(super) audit: Option<Arc<Recorder>>,
}

impl fmt::Debug for SigningSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The fixed fields may contain an access token, so the debug output does not show them.
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
        let (is_slow_key, touch, silence) = (false, None, None);
        let (fixed, log, audit) = (Vec::new(), LogSink::silent(), None);
        SigningSender {
            endpoint,
            dialer,
            signer,
            is_slow_key,
            touch,
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
    /// A redirect within the same origin is followed once. If the server asks for pauses
    /// (`Retry-After`), the bridge waits, up to 60 s in all. Each attempt is signed again.
    /// `before_send` is called when the request is signed and about to be sent.
    pub(super) async fn send(
        &self,
        outbound: &OutboundRequest,
        redirects: RedirectPolicy,
        before_send: &(dyn Fn() + Sync),
    ) -> Result<Response<Incoming>, BridgeError> {
        let (mut followed, mut waits) = (None, RetryWaits::default());
        let mut again = outbound.again.map(str::to_owned);
        loop {
            let endpoint = followed.as_ref().unwrap_or(&self.endpoint);
            let request = self.signed(endpoint, outbound, again.as_deref()).await?;
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
                    again = Some(format!("{host} answered {status}, and asked for {seconds} s"));
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
                        again = Some(format!("{host} answered {status}, to {}", there.url));
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

    /// Returns the header fields of `outbound`, except `Host` and the signature fields.
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
        again: Option<&str>,
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
        let touch = match (&outbound.touch, &self.touch) {
            (Some(request), Some(touch)) => {
                Some(touch.show(&request.at(&endpoint.url), again, &self.signer).await?)
            }
            // Cannot happen: a request needs a touch of a security key only because of the rules in
            // `touch`.
            (Some(_), None) => {
                return Err(BridgeError::NotSigned("there is no security key".to_owned()));
            }
            (None, _) => None,
        };
        // The time is read last, so that `created` is close to the moment of sending.
        let (created, origins) = (self.clock.now(), Origins::unknown());
        let unsigned = (self.audit.is_some() || touch.is_some()).then(|| head.clone());
        let mut signed = if self.is_slow_key {
            let (signer, body) = (Arc::clone(&self.signer), outbound.body.clone());
            let sign = move || signer.sign(&head, &origins, &body, created, &nonce);
            tokio::task::spawn_blocking(sign).await.map_err(|e| failed(&e))?
        } else {
            self.signer.sign(&head, &origins, &outbound.body, created, &nonce)
        }?;
        let mut first = None;
        if let (Some(touch), Some(head)) = (touch, &unsigned) {
            let now = || self.clock.now();
            let touched = touch.touch(&self.signer, head.clone(), &signed, now).await?;
            first = Some(std::mem::replace(&mut signed, touched));
        }
        if let (Some(recorder), Some(head)) = (&self.audit, unsigned) {
            let touch = first.as_ref().map(|_| &signed);
            let made = (first.as_ref().unwrap_or(&signed), touch);
            let keys = (&*self.signer, self.touch.as_ref().map(|touch| &*touch.key));
            audit_copy::keep(recorder, keys, head, made, &outbound.body).await?;
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
