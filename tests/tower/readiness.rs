//! Tests of back-pressure (`poll_ready`), and that responses are passed on unchanged.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full};
use mcpid::tower::{BoxError, RequestBody, Status};
use tokio::sync::mpsc;
use tower::{Layer as _, Service, ServiceExt as _};

use crate::servers::*;

/// A service that becomes ready only after `poll_ready`, loses its readiness when cloned, and fails
/// if it is called without being ready.
#[derive(Default)]
struct Touchy {
    ready: bool,
    busy: Arc<AtomicBool>,
    dropped_ready: Arc<AtomicUsize>,
}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        let (busy, dropped_ready) = (Arc::clone(&self.busy), Arc::clone(&self.dropped_ready));
        Touchy { ready: false, busy, dropped_ready }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if self.ready {
            self.dropped_ready.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Service<Request<RequestBody<Full<Bytes>>>> for Touchy {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.busy.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<Full<Bytes>>>) -> Self::Future {
        std::future::ready(match std::mem::take(&mut self.ready) {
            true => Ok(Response::new(Full::from("ready"))),
            false => Err("called without being ready".into()),
        })
    }
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let clock = clock();
    let inner = Touchy::default();
    let dropped_ready = Arc::clone(&inner.dropped_ready);
    let mut service = strict(&clock).layer(inner);
    for _ in 0..3 {
        let request = signed(&clock, CALL).await;
        let response = service.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ready");
    }
    // The service works on two calls at once, and answers the second first.
    let (one, two) = (signed(&clock, CALL).await, signed(&clock, CALL).await);
    let first = service.ready().await.unwrap().call(one);
    let second = service.ready().await.unwrap().call(two);
    assert!(second.await.is_ok());
    assert!(first.await.is_ok());
    assert_eq!(dropped_ready.load(Ordering::SeqCst), 0);
    // Calling a service that is not ready is an error of the caller, and is not hidden.
    let request = signed(&clock, CALL).await;
    assert!(service.call(request).await.is_err());
    // The layer made the inner service ready (`poll_ready`), and then refused the request. The next
    // request can use that readiness.
    let response = service.ready().await.unwrap().call(plain(CALL)).await.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(dropped_ready.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn back_pressure_reaches_the_caller() {
    let clock = clock();
    let inner = Touchy::default();
    let busy = Arc::clone(&inner.busy);
    let mut service = strict(&clock).layer(inner);
    busy.store(true, Ordering::SeqCst);
    let mut context = Context::from_waker(Waker::noop());
    let poll = |s: &mut _, cx: &mut Context<'_>| Service::<Request<Full<Bytes>>>::poll_ready(s, cx);
    assert!(poll(&mut service, &mut context).is_pending());
    busy.store(false, Ordering::SeqCst);
    assert!(poll(&mut service, &mut context).is_ready());
}

#[tokio::test]
async fn a_slow_request_does_not_hold_others_up() {
    let clock = clock();
    let layer = strict(&clock);
    let mut service = layer.layer(tower::service_fn(|_: Request<RequestBody<_>>| async {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    }));
    // One body never arrives. Only its own call hangs.
    let request = signed(&clock, CALL).await;
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let mut hanging = std::pin::pin!(service.call(with_body(request, Channel(receiver))));
    let mut context = Context::from_waker(Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    let (quick, body) = mpsc::channel(1);
    let request = signed(&clock, CALL).await;
    quick.send(Bytes::from_static(CALL.as_bytes())).await.unwrap();
    drop(quick);
    let response = service.call(with_body(request, Channel(body))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    sender.send(Bytes::from_static(CALL.as_bytes())).await.unwrap();
    drop(sender);
    assert_eq!(hanging.await.unwrap().status(), 200);
}

/// A body whose frames the test sends one by one.
struct Channel(mpsc::Receiver<Bytes>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn an_event_stream_arrives_event_by_event() {
    let clock = clock();
    let (sender, receiver) = mpsc::channel(1);
    let body = Arc::new(std::sync::Mutex::new(Some(Channel(receiver))));
    let service = strict(&clock).layer(tower::service_fn(
        move |request: Request<RequestBody<Full<Bytes>>>| {
            let body = body.lock().unwrap().take().unwrap();
            assert!(request.extensions().get::<Status>().unwrap().verified().is_some());
            async move {
                let response = Response::builder()
                    .header("content-type", "text/event-stream")
                    .header("signature", "upstream=:AAAA:")
                    .body(body)
                    .unwrap();
                Ok::<_, BoxError>(response)
            }
        },
    ));
    let response = service.oneshot(signed(&clock, CALL).await).await.unwrap();
    // The layer adds no header field to the service's answer.
    assert_eq!(response.headers().len(), 2);
    let mut body = response.into_body();
    let mut context = Context::from_waker(Waker::noop());
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_pending(), "nothing was sent yet");
        assert!(!body.is_end_stream());
        sender.send(Bytes::from(event)).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn dropping_the_answer_drops_the_answer_of_the_service() {
    let clock = clock();
    let alive = Arc::new(());
    let guard = Arc::clone(&alive);
    let service = strict(&clock).layer(tower::service_fn(move |_: Request<RequestBody<_>>| {
        let guard = Arc::clone(&guard);
        async move {
            std::future::pending::<()>().await;
            drop(guard);
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let request = signed(&clock, CALL).await;
    let mut future = Box::pin(service.oneshot(request));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(future);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test]
async fn errors_of_the_service_pass_unchanged() {
    let clock = clock();
    let service = strict(&clock).layer(tower::service_fn(|_: Request<RequestBody<_>>| async {
        Err::<Response<Full<Bytes>>, BoxError>("the database is on fire".into())
    }));
    let error = service.oneshot(signed(&clock, CALL).await).await.unwrap_err();
    assert_eq!(error.to_string(), "the database is on fire");
}
