//! Tests of requests that the layer cannot judge, because the nonce store is unreachable or was
//! just started.

use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::mcp::pattern::Pattern;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};
use mcpid::tower::{Counters, Modes, RefusalReason, VerifyLayer};
use mcpid::verify::Unavailable;
use rand::rngs::SysRng;
use serde_json::json;

use crate::servers::*;

struct Down;

impl NonceStore for Down {
    fn register<'a>(&'a self, _: Timestamp, _: Retention) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn claim_live<'a>(
        &'a self,
        _: Timestamp,
        _: &'a KeyId,
        _: &'a str,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(async { Err(StoreError::new("secret-host:6379 is down")) })
    }

    fn peek<'a>(
        &'a self,
        _: Timestamp,
        _: &'a KeyId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        Box::pin(async { Err(StoreError::new("down")) })
    }

    fn floor<'a>(&'a self, _: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        Box::pin(async { Err(StoreError::new("down")) })
    }
}

#[tokio::test]
async fn unjudged_request_gets_503() {
    let clock = clock();
    let trust = || registry(vec![entry(&key(1), json!({}))]);
    let layer = VerifyLayer::new(verifier(&clock, trust(), Arc::new(Down))).unwrap();
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.reason()), (503, "unavailable"));
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert!(!answer.text.contains("6379"), "{}", answer.text);
    assert!(answer.refused.as_ref().unwrap().to_string().contains("secret-host:6379 is down"));
    assert_eq!(answer.json["id"], json!(1));
    // The store was just started, and the answer says when to try again.
    let start = Timestamp::from_unix(START);
    let young = Memory::new(start, Retention::new(30, 5), &mut SysRng).unwrap();
    let layer = VerifyLayer::new(verifier(&clock, trust(), Arc::new(young))).unwrap();
    let answer = refused(&layer, signed(&clock, CALL).await).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("6")));
    assert!(matches!(
        answer.refused.unwrap().reason(),
        RefusalReason::Unavailable(why) if matches!(**why, Unavailable::BelowFloor { .. })
    ));
    clock.forward(6);
    let seen = Seen::default();
    assert_eq!(through(&layer, &seen, signed(&clock, CALL).await).await.status(), 202);
    // A forged request does not reach the store, so it is refused as usual.
    let layer = VerifyLayer::new(verifier(&clock, trust(), Arc::new(Down))).unwrap();
    let forged = sign_by(key(2), &clock, plain(CALL)).await;
    assert_eq!(refused(&layer, forged).await.status, 403);
}

#[tokio::test]
async fn permissive_mode_forwards_unjudged_requests_with_a_label() {
    let clock = clock();
    let counters = Arc::new(Counters::new());
    let trust = registry(vec![entry(&key(1), json!({}))]);
    let modes = Modes::permissive().with_strict(Pattern::parse("tools/call").unwrap());
    let layer = VerifyLayer::new(verifier(&clock, trust, Arc::new(Down)))
        .unwrap()
        .with_modes(modes)
        .with_observer(Arc::clone(&counters));
    let seen = Seen::default();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(through(&layer, &seen, signed(&clock, list).await).await.status(), 202);
    assert_eq!((seen.status().as_str(), seen.status().code()), ("unavailable", None));
    assert!(seen.status().verified().is_none());
    assert_eq!(refused(&layer, signed(&clock, CALL).await).await.status, 503);
    assert_eq!((counters.passed_unjudged(), counters.refused_otherwise()), (1, 1));
    assert_eq!(counters.verified(), 0);
}
