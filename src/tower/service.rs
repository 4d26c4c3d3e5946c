//! The service of a [`VerifyLayer`](super::VerifyLayer), and its future.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::BoxError;
use super::content::{RequestBody, ResponseBody};
use super::judge::{RequestOutcome, judge};
use super::settings::VerifySettings;

/// Verifies requests before the service that it wraps. Made by [`VerifyLayer`](super::VerifyLayer).
#[derive(Clone)]
pub struct VerifyService<S> {
    inner: S,
    settings: Arc<VerifySettings>,
}

impl<S> VerifyService<S> {
    pub(super) fn new(inner: S, settings: Arc<VerifySettings>) -> Self {
        VerifyService { inner, settings }
    }

    /// Returns the wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: fmt::Debug> fmt::Debug for VerifyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for VerifyService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // `poll_ready` may have reserved a permit in `self.inner` for this call; a clone has none.
        // So this call uses the instance that is ready, and leaves the clone for the next call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let settings = Arc::clone(&self.settings);
        ResponseFuture {
            future: Box::pin(async move {
                match judge(&settings, request).await {
                    RequestOutcome::Pass(request, answer) => {
                        // The reference to the settings is dropped before the service runs.
                        let response = inner.call(request);
                        drop(settings);
                        Ok(answer.apply(response.await?))
                    }
                    RequestOutcome::Refuse(response) => {
                        Ok(response.map(|text: Bytes| ResponseBody::refusal(text)))
                    }
                }
            }),
        }
    }
}

/// The future of a [`VerifyService`]. Dropping it also drops the future of the wrapped service.
pub struct ResponseFuture<R, E> {
    #[allow(clippy::type_complexity)]
    future: Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send>>,
}

impl<R, E> Future for ResponseFuture<R, E> {
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<R, E> fmt::Debug for ResponseFuture<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
