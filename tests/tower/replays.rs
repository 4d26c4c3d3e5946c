//! Tests that the layer accepts a request once, however many copies arrive at once.

use std::sync::Arc;

use http::StatusCode;
use mcpid::tower::Modes;
use tokio::task::JoinSet;

use crate::servers::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_parallel_copies_is_accepted() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    for round in 1..=8 {
        let request = signed(&clock, CALL).await;
        let start = Arc::new(tokio::sync::Barrier::new(32));
        let mut tasks = JoinSet::new();
        for _ in 0..32 {
            let (layer, seen, request) = (layer.clone(), seen.clone(), request.clone());
            let start = Arc::clone(&start);
            tasks.spawn(async move {
                start.wait().await;
                through(&layer, &seen, request).await.status()
            });
        }
        let statuses = tasks.join_all().await;
        let passed = statuses.iter().filter(|s| **s == StatusCode::ACCEPTED).count();
        let refused = statuses.iter().filter(|s| **s == StatusCode::FORBIDDEN).count();
        assert_eq!((passed, refused), (1, 31));
        assert_eq!(seen.calls(), round);
    }
}

#[tokio::test]
async fn a_replay_is_refused_until_its_window_ends() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    let request = signed(&clock, CALL).await;
    assert_eq!(through(&layer, &seen, request.clone()).await.status(), 202);
    for _ in 0..29 {
        assert_eq!(refused(&layer, request.clone()).await.reason(), "nonce_replayed");
        clock.forward(1);
    }
    clock.forward(2);
    assert_eq!(refused(&layer, request).await.reason(), "expired");
}

#[tokio::test]
async fn a_request_that_is_refused_later_uses_no_nonce_up() {
    let clock = clock();
    let layer = strict(&clock);
    let seen = Seen::default();
    let request = signed(&clock, CALL).await;
    let changed = with_body(request.clone(), http_body_util::Full::new(bytes::Bytes::from("{}")));
    assert_eq!(refused(&layer, changed).await.reason(), "digest_mismatch");
    assert_eq!(through(&layer, &seen, request).await.status(), 202);
}

#[tokio::test]
async fn permissive_mode_claims_nonces_and_labels_a_replay() {
    let clock = clock();
    let layer = strict(&clock).with_modes(Modes::permissive());
    let seen = Seen::default();
    let request = signed(&clock, CALL).await;
    through(&layer, &seen, request.clone()).await;
    assert_eq!(seen.status().as_str(), "verified");
    through(&layer, &seen, request).await;
    assert_eq!(seen.status().as_str(), "invalid");
    assert_eq!(seen.status().code().unwrap().as_str(), "nonce_replayed");
}
