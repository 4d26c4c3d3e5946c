//! Tests of HTTP/2: the verdicts are the same as over HTTP/1.1, and the gateway itself refuses
//! heads that are too long.

use std::time::Duration;

use crate::servers::{CALL, TestGateway, TestUpstream};
use crate::tls::{answer, connect, multiplexed};

/// The gateway itself refuses a header list that is somewhat too long, with a log line and a count.
/// hyper refuses a list of over 256 KiB, with an empty 431.
#[tokio::test]
async fn a_header_list_that_is_too_long_is_refused_and_logged() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let url = gateway.url("/mcp");
    let mut client = connect(&gateway).await;
    let wide = |fields: usize, bytes: usize| {
        let mut wire = gateway.signed(1, CALL);
        for number in 0..fields {
            wire = wire.with(&format!("X-Wide-{number}"), &"x".repeat(bytes));
        }
        multiplexed(&wire, &url)
    };
    // By the rules of HTTP/1.1 this list has under 64 KiB, so it is accepted.
    assert_eq!(answer(&mut client, wide(20, 3_000)).await.0, 200);
    let refused = [(1, 66_000), (3, 27_000), (20, 5_000), (84, 1_000), (12, 20_000), (1, 255_000)];
    for (fields, bytes) in refused {
        let (status, body) = answer(&mut client, wide(fields, bytes)).await;
        assert_eq!(status, 431, "{fields} of {bytes}: {body}");
        assert!(body.contains(r#""reason":"too_large""#), "{fields} of {bytes}: {body}");
    }
    let lines = gateway.lines(1 + refused.len()).await;
    for line in &lines[1..] {
        assert_eq!(
            (line.answer, line.code.map(|code| code.as_str())),
            (Some(431), Some("too_large"))
        );
        assert_eq!(line.path.as_str(), "/mcp");
    }
    // This answer is hyper's own, of which the gateway learns nothing.
    let (status, body) = answer(&mut client, wide(14, 20_000)).await;
    assert_eq!((status, body.as_str()), (431, ""));
    // The connection still serves other requests.
    assert_eq!(answer(&mut client, wide(0, 0)).await.0, 200);
    // A list of sixteen times the limit ends the connection.
    let mut client = connect(&gateway).await;
    let ended = client.send_request(wide(60, 20_000));
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap();
    assert!(ended.is_err());
    assert_eq!(gateway.lines(2 + refused.len()).await.len(), 2 + refused.len());
    assert_eq!(behind.got().len(), 2);
    let numbers = gateway.metrics.text(mcpid::clock::Timestamp::default());
    let count = format!(
        r#"mcpid_requests_total{{outcome="refused",status="invalid",code="too_large",answer="4xx"}} {}"#,
        refused.len()
    );
    assert!(numbers.contains(&count), "{numbers}");
}
