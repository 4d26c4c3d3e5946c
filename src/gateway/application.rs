//! The application behind the verification layer. It answers requests that the layer passes on: as
//! a proxy for the upstream, or as an authorizer for another proxy.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use rustls::ClientConfig;
use tower_service::Service;

use crate::tower::BoxError;

use super::authz::AuthzProtocol;
use super::body::AnswerBody;
use super::log::LoggedOutcome;
use super::proxy::UpstreamProxy;

/// The service inside the verification layer. Cloning is cheap.
#[derive(Clone)]
pub(super) enum Application {
    /// Sends requests to the upstream.
    Proxy(Arc<UpstreamProxy>),
    /// Answers the proxy that asked whether a request may pass.
    Authorizer(AuthzProtocol),
}

impl Application {
    /// Returns the same application for another runtime.
    pub(super) fn for_another_runtime(&self) -> Self {
        match self {
            Application::Proxy(proxy) => Application::Proxy(Arc::new(proxy.with_own_pool())),
            Application::Authorizer(protocol) => Application::Authorizer(protocol.clone()),
        }
    }

    /// Uses the TLS settings `tls` for new connections to the upstream.
    pub(super) fn replace_tls(&self, tls: ClientConfig) {
        if let Application::Proxy(proxy) = self {
            proxy.dialer.replace_tls(tls);
        }
    }

    /// Returns the protocol in which another proxy describes requests; `None` for a reverse proxy.
    pub(super) fn protocol(&self) -> Option<&AuthzProtocol> {
        match self {
            Application::Authorizer(protocol) => Some(protocol),
            Application::Proxy(_) => None,
        }
    }

    /// Answers `request`, which the verification layer passed on with `outcome`:
    /// [`LoggedOutcome::Passed`] or [`LoggedOutcome::Open`].
    pub(super) async fn answer<B>(
        &self,
        request: Request<B>,
        outcome: LoggedOutcome,
    ) -> Response<AnswerBody>
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        match self {
            Application::Proxy(proxy) => proxy.exchange(request, outcome).await,
            Application::Authorizer(protocol) => {
                protocol.allow(request.headers(), request.extensions(), outcome)
            }
        }
    }
}

impl<B> Service<Request<B>> for Application
where
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let application = self.clone();
        Box::pin(async move { Ok(application.answer(request, LoggedOutcome::Passed).await) })
    }
}
