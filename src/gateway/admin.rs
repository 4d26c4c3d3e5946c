//! The HTTP service for operators: health, readiness, metrics and the roll-out report.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service;
use rand::rngs::SysRng;

use crate::audit::witness::WitnessStatus;
use crate::audit::{Policy, Recorder};
use crate::clock::{Clock, Timestamp};
use crate::key::KeyId;
use crate::message::error_chain::chain;
use crate::net::Peer;
use crate::nonce::{Claim, NonceStore, StoreError};
use crate::sign::Nonce;

use super::admin_host::{AdminHost, AdminHosts};
use super::body::{AnswerBody, GatewayBody};
use super::exposition::Exposition;
use super::metrics::Metrics;
use super::report;

/// The time limit for a test claim at the nonce store (see [`Readiness`]). It is longer than the
/// stores' own limits, so that a slow store reports its own reason.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the outcome of a test claim is reused, so that frequent checks do not fill the store.
const CLAIM_REUSE: Duration = Duration::from_secs(1);

/// The key id of the test claims that check readiness: 32 zero bytes in base64url. No real key has
/// this id.
const NO_KEY: [u8; 43] = [b'A'; 43];

/// Whether a load balancer should send requests to this gateway. The check includes a test claim:
/// it claims a nonce at the store, as each verified request does.
pub struct Readiness {
    clock: Arc<dyn Clock>,
    store: Arc<dyn NonceStore>,
    /// The audit log, if its entries are required.
    audit: Option<Arc<Recorder>>,
    witnesses: Option<Arc<WitnessStatus>>,
    /// Why the trust files or certificates cannot be used; `None` if they can.
    broken: Mutex<Option<String>>,
    draining: AtomicBool,
    /// The time of the last test claim, and its result: the floor of the store (the time before
    /// which it may have lost nonces), or why the claim failed.
    claimed: tokio::sync::Mutex<Option<(Instant, Result<Timestamp, String>)>>,
}

impl Readiness {
    /// Makes a readiness check. The gateway is ready if `store` accepts a test claim, and if it
    /// cannot have lost the nonces of requests that are still accepted at the time of `clock`. A
    /// test claim is made at most once a second.
    pub fn new(clock: Arc<dyn Clock>, store: Arc<dyn NonceStore>) -> Self {
        let (broken, draining) = (Mutex::default(), AtomicBool::new(false));
        let claimed = tokio::sync::Mutex::default();
        Readiness { clock, store, audit: None, witnesses: None, broken, draining, claimed }
    }

    /// Makes the gateway not ready while required audit entries cannot be written.
    #[must_use]
    pub fn with_audit(self, recorder: Option<Arc<Recorder>>) -> Self {
        let audit = recorder.filter(|recorder| recorder.policy() == Policy::Required);
        Readiness { audit, ..self }
    }

    /// Makes the strict readiness check (`/readyz?strict`) fail while a checkpoint of the audit log
    /// waits too long for the signatures of enough witnesses.
    #[must_use]
    pub fn with_witnesses(self, status: Arc<WitnessStatus>) -> Self {
        Readiness { witnesses: Some(status), ..self }
    }

    /// Returns how long ago enough witnesses last signed a checkpoint, if the audit log has
    /// witnesses.
    fn witnessed(&self) -> Result<String, String> {
        match &self.witnesses {
            Some(status) => status.judge(self.clock.now()).map(|words| format!(": {words}")),
            None => Ok(String::new()),
        }
    }

    /// Records that a file that the gateway needs cannot be used, or can be used again (`None`).
    pub fn broken(&self, why: Option<String>) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Records that the gateway drains (finishes its requests before it ends), so that it is not
    /// ready any more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Checks whether the gateway is ready. This is what `/readyz` answers.
    ///
    /// # Errors
    /// The reason why the gateway is not ready, as a text for the operator.
    pub async fn check(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("shutting down".to_owned());
        }
        if let Some(why) = &*self.broken.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(why.clone());
        }
        if let Some(why) = self.audit.as_ref().and_then(|recorder| recorder.log().trouble()) {
            return Err(format!("the audit log: {}", chain(&why)));
        }
        let floor = self.floor().await?;
        let now = self.clock.now();
        if now <= floor {
            let wait = floor.since(now).saturating_add(1);
            return Err(format!(
                "the nonce store may have forgotten what was used; {wait} s to go"
            ));
        }
        Ok(())
    }

    /// Makes a test claim, and returns the floor of the store: the time before which the store may
    /// have lost nonces. Only reading the floor would not show that the store refuses writes.
    async fn floor(&self) -> Result<Timestamp, String> {
        // The lock makes concurrent checks wait for one claim and share its result.
        let mut claimed = self.claimed.lock().await;
        if let Some((then, outcome)) = &*claimed
            && then.elapsed() < CLAIM_REUSE
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(CLAIM_TIMEOUT, self.claim()).await {
            Ok(outcome) => outcome.map_err(|error| format!("the nonce store: {}", chain(&error))),
            Err(_) => Err("the nonce store does not answer".to_owned()),
        };
        *claimed = Some((Instant::now(), outcome.clone()));
        outcome
    }

    async fn claim(&self) -> Result<Timestamp, StoreError> {
        let now = self.clock.now();
        let failed = |e| StoreError::because("the system gave no random numbers", e);
        let nonce = Nonce::generate(&mut SysRng).map_err(failed)?;
        let key = KeyId::from_text(std::str::from_utf8(&NO_KEY).unwrap_or_default());
        let key = key.ok_or_else(|| StoreError::new("no key to claim under"))?;
        match self.store.claim(now, &key, nonce.as_str(), now.plus(1)).await? {
            Claim::Fresh { floor } => Ok(floor),
            // The store works, but refuses the claim, for example because `NO_KEY` has too many
            // live nonces. So the floor is read without a claim. The floor is the time before which
            // the store may have lost nonces.
            _ => self.store.floor(now).await,
        }
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").finish_non_exhaustive()
    }
}

/// A function that makes the HTML page for each request to `/`.
type ReportPage = Arc<dyn Fn() -> String + Send + Sync>;

/// Answers `/healthz`, `/readyz`, `/metrics`, and with [`Admin::with_page`] also `/`.
#[derive(Clone)]
pub struct Admin {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    page: Option<ReportPage>,
    hosts: AdminHosts,
}

impl Admin {
    /// Makes the service for operators. A request over TCP must name an address or `localhost` as
    /// its host, or an accepted name. Otherwise a web page could reach the service through a host
    /// name of its own (DNS rebinding).
    pub fn new(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Self {
        Admin { readiness, metrics, page: None, hosts: AdminHosts::default() }
    }

    /// Also accepts host names that exist only in private networks: names without a dot, such as
    /// those of containers, and those below `svc`, `local`, `internal`, `localhost`, `home.arpa`,
    /// `lan` and `consul`. No web page can have such a name.
    #[must_use]
    pub fn with_private_names(mut self) -> Self {
        self.hosts.private = true;
        self
    }

    /// Also accepts these host names in requests, with any port.
    #[must_use]
    pub fn with_hosts(mut self, hosts: impl IntoIterator<Item = AdminHost>) -> Self {
        self.hosts.named.extend(hosts);
        self
    }

    pub(super) fn readiness(&self) -> Arc<Readiness> {
        Arc::clone(&self.readiness)
    }

    /// Adds a page at `/`: the page of a [`RolloutReport`](report::RolloutReport), which `page`
    /// makes for each request.
    #[must_use]
    pub fn with_page(mut self, page: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.page = Some(Arc::new(page));
        self
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<AnswerBody> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".to_owned());
        }
        let is_local = request.extensions().get::<Peer>() == Some(&Peer::Unix);
        if !is_local && !self.hosts.accept(request.uri(), request.headers()) {
            let words = "ask by address, as localhost, or by a name that --admin-host gives\n";
            return text(StatusCode::MISDIRECTED_REQUEST, words.to_owned());
        }
        match (request.uri().path(), &self.page) {
            ("/healthz", _) => text(StatusCode::OK, "ok\n".to_owned()),
            ("/readyz", _) => {
                let ready = self.readiness.check().await;
                let ready = match request.uri().query() {
                    Some("strict") => ready.and_then(|()| self.readiness.witnessed()),
                    _ => ready.map(|()| String::new()),
                };
                match ready {
                    Ok(words) => text(StatusCode::OK, format!("ready{words}\n")),
                    Err(why) => {
                        text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"))
                    }
                }
            }
            ("/metrics", _) => {
                let format = Exposition::accepted(request.headers());
                let numbers = self.metrics.text(self.readiness.clock.now());
                let mut response = text(StatusCode::OK, format.write(numbers));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, format.media_type());
                headers.insert(header::VARY, HeaderValue::from_static("accept"));
                response
            }
            ("/", Some(page)) => {
                let mut response = text(StatusCode::OK, page());
                let media = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, media);
                let policy = report::content_security_policy();
                let policy = format!("{policy}; frame-ancestors 'none'");
                if let Ok(policy) = HeaderValue::try_from(policy) {
                    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
                }
                response
            }
            _ => text(StatusCode::NOT_FOUND, "there is nothing at this path\n".to_owned()),
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Service<Request<Incoming>> for Admin {
    type Response = Response<GatewayBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let admin = self.clone();
        Box::pin(async move {
            Ok(admin.answer(&request).await.map(|body| GatewayBody::own(body, None)))
        })
    }
}

fn text(status: StatusCode, words: String) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::from(Bytes::from(words)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let media = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, media);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let sniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}
