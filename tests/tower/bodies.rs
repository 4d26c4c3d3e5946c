//! Tests of how the layer treats bodies: when it reads them, how much it reads, and that it does
//! not change them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt as _, Full, Limited};
use mcpid::mcp::pattern::Pattern;
use mcpid::tower::{BoxError, Budget, Modes, RefusalReason, RequestBody};
use tower::{Layer as _, ServiceExt as _};

use crate::servers::*;

/// The length of an unsigned body that is far too long, in bytes.
const HUGE: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn a_verified_body_passes_unchanged() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","arguments":{{"a":"{}"}}}}}}"#,
        "ä ".repeat(300_000)
    );
    for text in [CALL, &format!(" \r\n{CALL}\n"), &long] {
        for size in [1_usize, 7, 1_000, 1 << 20] {
            let size = if text.len() > 1_000 { size.max(64) } else { size };
            let request = signed(&clock, text).await;
            let frames = Frames::of(text.as_bytes(), size);
            let response = through(&layer, &seen, with_body(request, frames)).await;
            assert_eq!(response.status(), 202, "{size}");
            assert!(seen.body() == text.as_bytes(), "{size}");
            assert_eq!(seen.status().as_str(), "verified");
        }
    }
    // Empty frames at both ends and in between change nothing.
    let request = signed(&clock, CALL).await;
    let (left, right) = CALL.as_bytes().split_at(9);
    let frames = Frames::new(
        [b"", left, b"", b"", right, b""].map(|part: &[u8]| Bytes::copy_from_slice(part)),
    );
    assert_eq!(through(&layer, &seen, with_body(request, frames)).await.status(), 202);
    assert_eq!(seen.body(), CALL.as_bytes());
    // The GET has no content.
    let get = sign_by(key(1), &clock, bare("GET")).await;
    assert_eq!(through(&layer, &seen, get).await.status(), 202);
    assert_eq!(seen.body(), b"".as_slice());
    assert_eq!(seen.status().as_str(), "verified");
}

#[tokio::test]
async fn the_body_handed_on_knows_its_length_and_its_end() {
    let clock = clock();
    let layer = strict(&clock);
    let service =
        layer.layer(tower::service_fn(|request: http::Request<RequestBody<Frames>>| async {
            let mut body = request.into_body();
            assert_eq!(body.size_hint().exact(), Some(CALL.len() as u64));
            assert!(!body.is_end_stream());
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), CALL.as_bytes());
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(body.frame().await.is_none());
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }));
    let request = with_body(signed(&clock, CALL).await, Frames::of(CALL.as_bytes(), 5));
    service.oneshot(request).await.unwrap();
}

#[tokio::test]
async fn trailers_are_dropped_from_read_and_streamed_bodies() {
    let clock = clock();
    let mut trailers = HeaderMap::new();
    trailers.insert("mcp-name", "delete_all".parse().unwrap());
    // Trailers end a body. Frames that come after them are not part of it.
    let body = || {
        Frames::of(CALL.as_bytes(), 30)
            .and(Ok(Frame::trailers(trailers.clone())))
            .and(Ok(Frame::data(Bytes::from_static(b"more"))))
    };
    let seen = Seen::default();
    let strict_layer = strict(&clock);
    let request = with_body(signed(&clock, CALL).await, body());
    // The helper `through` checks that no trailers reach the service.
    assert_eq!(through(&strict_layer, &seen, request).await.status(), 202);
    assert_eq!(seen.body(), CALL.as_bytes());
    let permissive = strict(&clock).with_modes(Modes::permissive());
    assert_eq!(through(&permissive, &seen, with_body(plain(CALL), body())).await.status(), 202);
    assert_eq!(seen.body(), CALL.as_bytes());
    let service =
        permissive.layer(tower::service_fn(|request: http::Request<RequestBody<Frames>>| async {
            let mut body = request.into_body();
            while body.frame().await.is_some() {}
            assert!(body.is_end_stream());
            assert!(body.frame().await.is_none());
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }));
    service.oneshot(with_body(plain(CALL), body())).await.unwrap();
}

#[tokio::test]
async fn strict_refuses_an_unsigned_flood_without_reading_it() {
    let layer = strict(&clock());
    // The body announces its length, so the layer reads no frame.
    let body = Frames::of(&vec![b'x'; HUGE], 16_384).announcing(HUGE as u64);
    let polled = Arc::clone(&body.polled);
    let answer = refused(&layer, with_body(plain(""), body)).await;
    assert_eq!((answer.status, answer.reason()), (403, "signature_missing"));
    assert_eq!(polled.load(Ordering::SeqCst), 0);
    // The body does not announce its length. Four frames are 64 KiB, and the fifth shows that there
    // are more.
    let body = Frames::of(&vec![b'x'; HUGE], 16_384);
    let polled = Arc::clone(&body.polled);
    assert_eq!(refused(&layer, with_body(plain(""), body)).await.status, 403);
    assert_eq!(polled.load(Ordering::SeqCst), 5);
    // A forged signature does not make the layer read more.
    let clock = clock();
    let forged = sign_by(key(2), &clock, plain(CALL)).await;
    let body = Frames::of(&vec![b'x'; HUGE], 16_384);
    let polled = Arc::clone(&body.polled);
    assert_eq!(refused(&layer, with_body(forged, body)).await.reason(), "key_unknown");
    assert_eq!(polled.load(Ordering::SeqCst), 5);
    // A GET has no JSON-RPC id, so the layer does not read its content.
    let body = Frames::of(CALL.as_bytes(), 10);
    let polled = Arc::clone(&body.polled);
    assert_eq!(refused(&layer, with_body(bare("GET"), body)).await.status, 403);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
    // A client that waits for 100 Continue gets its refusal at once. If the layer polled the body,
    // the server would tell the client to send it.
    let mut request = plain(CALL);
    request.headers_mut().insert("expect", "100-Continue".parse().unwrap());
    let body = Frames::of(CALL.as_bytes(), 10);
    let polled = Arc::clone(&body.polled);
    assert_eq!(refused(&layer, with_body(request, body)).await.status, 403);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_signed_body_over_the_limit_is_413() {
    let clock = clock();
    let layer = mcpid::tower::VerifyLayer::new(trusting(&clock).with_max_body(CALL.len())).unwrap();
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, signed(&clock, CALL).await).await.status(), 202);
    let longer = format!("{CALL} ");
    let answer = refused(&layer, signed(&clock, &longer).await).await;
    assert_eq!((answer.status, answer.reason()), (413, "too_large"));
    // If the announced length is over the limit, no frame is read. Otherwise reading ends at the
    // first frame over the limit.
    let body = Frames::of(longer.as_bytes(), 10).announcing(longer.len() as u64);
    let polled = Arc::clone(&body.polled);
    let request = with_body(signed(&clock, &longer).await, body);
    assert_eq!(refused(&layer, request).await.status, 413);
    assert_eq!(polled.load(Ordering::SeqCst), 0);
    let body = Frames::of(&vec![b' '; HUGE], 10);
    let polled = Arc::clone(&body.polled);
    let request = with_body(signed(&clock, &longer).await, body);
    assert_eq!(refused(&layer, request).await.status, 413);
    assert_eq!(polled.load(Ordering::SeqCst), CALL.len() / 10 + 1);
    // If a layer around this one has a smaller limit, the answer is the same.
    let request =
        with_body(signed(&clock, CALL).await, Limited::new(Frames::of(CALL.as_bytes(), 5), 20));
    assert_eq!(refused(&layer, request).await.status, 413);
}

#[tokio::test]
async fn permissive_mode_streams_bodies_that_need_no_check() {
    let clock = clock();
    let layer = mcpid::tower::VerifyLayer::new(trusting(&clock).with_max_body(100))
        .unwrap()
        .with_modes(Modes::permissive());
    let service =
        layer.layer(tower::service_fn(|request: http::Request<RequestBody<Frames>>| async move {
            let polled = request.extensions().get::<Arc<AtomicUsize>>().unwrap();
            let before = polled.load(Ordering::SeqCst);
            assert_eq!(before, 0, "the body was read before the service saw it");
            let length = request.into_body().collect().await?.to_bytes().len();
            Ok::<_, BoxError>(Response::new(Full::from(length.to_string())))
        }));
    let send = |body: Frames| {
        let mut request = plain("").map(|_| ());
        request.extensions_mut().insert(Arc::clone(&body.polled));
        service.clone().oneshot(request.map(|()| body))
    };
    let response = send(Frames::of(&[b'x'; 100], 10)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "100");
    // The limit also applies to a body that the service reads itself: the service gets an error
    // that says why.
    let error = send(Frames::of(&[b'x'; 101], 10)).await.unwrap_err();
    assert!(error.is::<http_body_util::LengthLimitError>(), "{error:?}");
}

#[tokio::test]
async fn a_body_that_arrives_slowly_past_the_window_is_expired() {
    let clock = clock();
    let layer = strict(&clock);
    let request = signed(&clock, CALL).await;
    let slow = Arc::clone(&clock);
    // The body arrives at one byte a second. The signature was valid when the head came, and has
    // expired at the last byte.
    let body = Frames::of(CALL.as_bytes(), 1).calling(move |_| slow.forward(1));
    let answer = refused(&layer, with_body(request, body)).await;
    assert_eq!((answer.status, answer.reason()), (403, "expired"));
    assert_eq!(answer.json["id"], serde_json::json!(1));
    // A slow body is accepted if it ends before the signature expires.
    let request = signed(&clock, CALL).await;
    let slow = Arc::clone(&clock);
    let body = Frames::of(CALL.as_bytes(), 1).calling(move |n| slow.forward(i64::from(n < 29)));
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, with_body(request, body)).await.status(), 202);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused_and_uses_no_nonce_up() {
    let clock = clock();
    let layer = strict(&clock);
    let request = signed(&clock, CALL).await;
    let body = Frames::of(&CALL.as_bytes()[..20], 5).and(Err("reset by peer 10.0.0.7".into()));
    let answer = refused(&layer, with_body(request.clone(), body)).await;
    assert_eq!((answer.status, answer.reason()), (400, "body_broken"));
    assert!(!answer.text.contains("10.0.0.7"));
    assert!(matches!(answer.refused.unwrap().reason(), RefusalReason::BodyBroken(_)));
    // The body is cut without an error, so it is not the body that was signed.
    let body = Frames::of(&CALL.as_bytes()[..20], 5);
    assert_eq!(refused(&layer, with_body(request.clone(), body)).await.reason(), "digest_mismatch");
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, request).await.status(), 202);
}

#[tokio::test]
async fn unverified_bodies_share_a_budget() {
    let clock = clock();
    let budget = Arc::new(Budget::new(1_000));
    let modes = Modes::permissive().with_strict(Pattern::parse("tools/call").unwrap());
    let layer = strict(&clock).with_modes(modes).with_budget(Arc::clone(&budget));
    let list = |padding: usize| {
        format!("{}{}", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, " ".repeat(padding))
    };
    // The body of a request that passed unverified counts towards the memory budget until the
    // service drops it.
    let held = Arc::new(tokio::sync::Mutex::new(Vec::new()));
    let keep = Arc::clone(&held);
    let service = layer.layer(tower::service_fn(move |request: http::Request<RequestBody<_>>| {
        let keep = Arc::clone(&keep);
        async move {
            keep.lock().await.push(request.into_body());
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let first = service.clone().oneshot(plain(&list(600))).await.unwrap();
    assert_eq!(first.status(), 200);
    assert!((600..1_000).contains(&budget.used()), "{}", budget.used());
    let second = service.clone().oneshot(plain(&list(600))).await.unwrap();
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(second.headers()["cache-control"], "no-store");
    held.lock().await.clear();
    assert_eq!(budget.used(), 0);
    assert_eq!(service.clone().oneshot(plain(&list(600))).await.unwrap().status(), 200);
    held.lock().await.clear();
    // The body of a verified request does not count towards the budget.
    let request = signed(&clock, CALL).await;
    assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 200);
    assert_eq!(held.lock().await.len(), 1);
    assert_eq!(budget.used(), 0);
    // An announced length takes nothing from the budget.
    let strict_layer = strict(&clock).with_budget(Arc::clone(&budget));
    let seen = Seen::default();
    let body = Frames::of(CALL.as_bytes(), 10).announcing(4_000_000);
    through(&strict_layer, &seen, with_body(signed(&clock, CALL).await, body)).await;
    assert_eq!((seen.calls(), budget.used()), (1, 0));
    // Many small frames count with the memory that they take.
    let long = list(2_000);
    let body = Frames::of(long.as_bytes(), 1);
    assert_eq!(refused(&layer, with_body(plain(""), body)).await.status, 503);
    assert_eq!(budget.used(), 0);
    // If the budget is full, a refusal is not delayed, but it has no id.
    let full = strict(&clock).with_budget(Arc::new(Budget::new(0)));
    let answer = refused(&full, plain(CALL)).await;
    assert_eq!((answer.status, answer.json.get("id")), (403, None));
}
