//! Sends requests to one witness: a POST to its submission URL, with limits on time and size.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use rustls::ClientConfig;

use crate::message::error_chain::chain;
use crate::message::target::{Origins, is_loopback};
use crate::message::{Head, RequestTarget};
use crate::net::{DialRoute, Dialer};

/// Maximum time for connecting (`CONNECT_TIMEOUT`), and for connecting, sending and receiving
/// together (`ANSWER_TIMEOUT`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// The URL to which `add-checkpoint` requests are sent (C2SP `tlog-witness`).
#[derive(Clone, Debug)]
pub(super) struct SubmissionUrl {
    uri: Uri,
    host: HeaderValue,
}

impl SubmissionUrl {
    /// Parses a submission prefix: `https://HOST[:PORT][/PATH]`, or `http://` if the host is this
    /// machine.
    ///
    /// # Errors
    /// The error as text. It does not repeat the URL, which may contain a password.
    pub(super) fn parse(prefix: &str) -> Result<Self, String> {
        let failed = |e: &dyn std::error::Error| format!("the URL of the witness: {}", chain(e));
        RequestTarget::from_url(prefix.to_owned()).map_err(|e| failed(&e))?;
        let url = format!("{}/add-checkpoint", prefix.strip_suffix('/').unwrap_or(prefix));
        let target = RequestTarget::from_url(url.clone()).map_err(|e| failed(&e))?;
        let head = Head::new("POST", target).map_err(|e| failed(&e))?;
        // The origin of a witness is not known in advance, so a URL of any origin is accepted.
        let origins = Origins::unknown();
        let target = origins.resolve(&head);
        let target = target.map_err(|_| "the URL of the witness cannot be used".to_owned())?;
        if target.query().is_some() {
            return Err("the URL of the witness has a query".to_owned());
        }
        let uri: Uri = url.parse().map_err(|_| {
            "the URL of the witness has a character that has to be percent-encoded".to_owned()
        })?;
        if target.scheme() != "https" && !uri.host().is_some_and(is_loopback) {
            return Err("the URL of the witness is plain http to another machine".to_owned());
        }
        let host = HeaderValue::from_str(target.authority());
        let host = host.map_err(|_| "the URL of the witness has no usable host".to_owned())?;
        Ok(SubmissionUrl { uri, host })
    }

    /// Returns the URL of the request.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// The answer of a witness, before it is parsed.
pub(super) struct WitnessAnswer {
    pub(super) status: u16,
    /// The media type, without parameters, in lower case.
    pub(super) media: String,
    pub(super) body: Vec<u8>,
}

/// Sends requests to one witness.
pub(super) struct WitnessHttp {
    url: SubmissionUrl,
    dialer: Dialer<Full<Bytes>>,
}

impl WitnessHttp {
    pub(super) fn new(url: SubmissionUrl, tls: ClientConfig, via: DialRoute) -> Self {
        WitnessHttp { url, dialer: Dialer::new(tls, via, CONNECT_TIMEOUT) }
    }

    /// Sends a request. Redirects are not followed: they are returned like other answers.
    ///
    /// # Errors
    /// In words: there was no connection, no answer in time, or the answer was too long.
    pub(super) async fn post(&self, body: String) -> Result<WitnessAnswer, String> {
        match tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(body)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, body: String) -> Result<WitnessAnswer, String> {
        let request = Request::post(self.url.uri.clone())
            .header(HOST, self.url.host.clone())
            .header(CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(USER_AGENT, concat!("mcpid/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| format!("the request cannot be made: {e}"))?;
        let response = self.dialer.send(request).await.map_err(|e| no_connection(&e))?;
        let status = response.status().as_u16();
        let media = response.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
        let media = media.trim().to_ascii_lowercase();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
            true => format!("an answer of over {} KiB", MAX_ANSWER / 1024),
            false => "the answer broke off".to_owned(),
        })?;
        Ok(WitnessAnswer { status, media, body: body.to_bytes().to_vec() })
    }
}

/// Returns the innermost cause of a failed connection as text.
fn no_connection(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    let last = last.to_string();
    format!("no answer: {}", last.split(" (os error").next().unwrap_or_default())
}
