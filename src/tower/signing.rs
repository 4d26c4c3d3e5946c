//! The layer that signs the requests of a client.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body::Body;
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use crate::clock::Clock;
use crate::message::HeadError;
use crate::message::target::{Origin, Origins};
use crate::sign::{Nonce, Signer, SigningError};
use crate::verify::DEFAULT_MAX_BODY;

use super::BoxError;
use super::budget::Budget;
use super::content::{self, ReadError};
use super::head;

type NonceSource = dyn Fn() -> Result<Nonce, BoxError> + Send + Sync;

/// Why a request could not be signed. The request was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSigned {
    /// The head of the request is not valid HTTP, so it cannot be signed.
    #[error("the head of the request cannot be signed")]
    Head(#[from] HeadError),
    /// The body is longer than the limit.
    #[error("the body of the request is over {limit} bytes long")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body could not be read.
    #[error("the body of the request could not be read")]
    Body(#[source] BoxError),
    /// The random generator failed.
    #[error("no nonce could be made")]
    Nonce(#[source] BoxError),
    /// The signer refused the request.
    #[error("the request could not be signed")]
    Signing(#[from] SigningError),
    /// The signature cannot be written in a header.
    #[error("the signature does not fit into a header")]
    Header(#[from] http::header::InvalidHeaderValue),
}

/// Wraps an HTTP client and signs every request, each with a new time and nonce.
///
/// Layers that retry, follow redirects, or change method, target, body or covered headers must be
/// outside of this one, so that each attempt is signed as it is sent. The body is read completely
/// before signing, because its digest is signed. A request that cannot be signed is not sent; the
/// source of the error is [`NotSigned`].
///
/// ```
/// use std::sync::Arc;
///
/// use mcpid::clock::SystemClock;
/// use mcpid::key::SecretKey;
/// use mcpid::profile::Profile;
/// use mcpid::sign::Signer;
/// use mcpid::tower::SignLayer;
/// use rand::rngs::SysRng;
///
/// let key = Arc::new(SecretKey::generate(&mut SysRng)?);
/// let signer = Arc::new(Signer::new(key, &Profile::mcp())?);
/// let layer = SignLayer::new(signer, Arc::new(SystemClock), SysRng).with_max_body(1 << 20);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SignLayer {
    settings: Arc<SignSettings>,
}

#[derive(Clone)]
struct SignSettings {
    signer: Arc<Signer>,
    clock: Arc<dyn Clock>,
    nonces: Arc<NonceSource>,
    origins: Origins,
    max_body: usize,
    budget: Arc<Budget>,
}

impl SignLayer {
    /// Creates a layer that signs with `signer`, takes the time from `clock`, and makes nonces from
    /// `random`, which must be a cryptographic generator. Bodies may have the length that verifiers
    /// accept by default, 4 MiB.
    pub fn new<R>(signer: Arc<Signer>, clock: Arc<dyn Clock>, random: R) -> Self
    where
        R: rand::TryCryptoRng + Send + 'static,
        R::Error: Send + Sync + 'static,
    {
        let random = Mutex::new(random);
        let nonces = move || {
            let mut random = random.lock().unwrap_or_else(PoisonError::into_inner);
            Nonce::generate(&mut *random).map_err(BoxError::from)
        };
        SignLayer {
            settings: Arc::new(SignSettings {
                signer,
                clock,
                nonces: Arc::new(nonces),
                origins: Origins::unknown(),
                max_body: DEFAULT_MAX_BODY,
                // There is no limit, because the client has the bodies in memory already.
                budget: Arc::new(Budget::new(usize::MAX)),
            }),
        }
    }

    /// Sets the origin for requests whose target is only a path. Without this setting, the origin
    /// is their `Host` with `https`, or with `http` for loopback hosts.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        self.with(|settings| settings.origins = Origins::new([origin]))
    }

    /// Sets the maximum length of a body, in bytes.
    #[must_use]
    pub fn with_max_body(self, bytes: usize) -> Self {
        self.with(|settings| settings.max_body = bytes)
    }

    fn with(mut self, change: impl FnOnce(&mut SignSettings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<S> Layer<S> for SignLayer {
    type Service = SignService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SignService { inner, settings: Arc::clone(&self.settings) }
    }
}

impl fmt::Debug for SignLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignLayer").finish_non_exhaustive()
    }
}

/// A client whose requests are signed. Made by [`SignLayer`].
#[derive(Clone)]
pub struct SignService<S> {
    inner: S,
    settings: Arc<SignSettings>,
}

impl<S> SignService<S> {
    /// Returns the wrapped client.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: fmt::Debug> fmt::Debug for SignService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for SignService<S>
where
    S: Service<Request<Full<Bytes>>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = SignedFuture<S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // `poll_ready` may have reserved a permit in `self.inner` for this call; a clone has none.
        // So this call uses the instance that is ready, and leaves the clone for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let settings = Arc::clone(&self.settings);
        SignedFuture {
            future: Box::pin(async move {
                let request = settings.sign(request).await?;
                inner.call(request).await.map_err(Into::into)
            }),
        }
    }
}

impl SignSettings {
    async fn sign<B>(&self, request: Request<B>) -> Result<Request<Full<Bytes>>, NotSigned>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let (body, _) =
            content::read(body, self.max_body, self.budget.share()).await.map_err(|e| match e {
                ReadError::Broken(error) => NotSigned::Body(error),
                ReadError::TooLarge | ReadError::Busy => {
                    NotSigned::BodyTooLarge { limit: self.max_body }
                }
            })?;
        let nonce = (self.nonces)().map_err(NotSigned::Nonce)?;
        // The time is read last, so that `created` is close to the moment of sending.
        let created = self.clock.now();
        let head = head::to_send(&parts)?;
        let signed = self.signer.sign(&head, &self.origins, &body, created, &nonce)?;
        drop(head);
        for (name, value) in signed.headers() {
            // The new value replaces all existing fields of this name.
            if let Ok(name) = HeaderName::try_from(name) {
                parts.headers.insert(name, HeaderValue::try_from(value)?);
            }
        }
        Ok(Request::from_parts(parts, Full::new(body)))
    }
}

/// The future of a [`SignService`].
pub struct SignedFuture<T> {
    future: Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>,
}

impl<T> Future for SignedFuture<T> {
    type Output = Result<T, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for SignedFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedFuture").finish_non_exhaustive()
    }
}
