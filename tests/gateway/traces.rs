//! Tests of a request's trace (W3C Trace Context) in the gateway's log and in the request to the
//! upstream.

use crate::servers::{CALL, TestGateway, TestUpstream};

const HEAD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const META: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn call(trace: &str) -> String {
    let meta = format!(r#""_meta":{{"traceparent":{trace}}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"pay",{meta}}}}}"#)
}

const LATER: &str = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";

#[tokio::test]
async fn a_trace_is_logged_and_passed_on_from_the_head_or_else_from_the_body() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let quoted = format!("{META:?}");
    let cases: Vec<(&str, Vec<&str>, String, Option<&str>)> = vec![
        ("none", vec![], CALL.to_owned(), None),
        ("the head", vec![HEAD], CALL.to_owned(), Some(HEAD)),
        ("a later version", vec![LATER], CALL.to_owned(), Some(HEAD)),
        ("the body", vec![], call(&quoted), Some(META)),
        ("both", vec![HEAD], call(&quoted), Some(HEAD)),
        ("two lines", vec![HEAD, HEAD], CALL.to_owned(), None),
        ("two lines, and the body", vec![HEAD, HEAD], call(&quoted), Some(META)),
        ("another form", vec!["00-secret"], CALL.to_owned(), None),
        ("another form, and the body", vec!["secret"], call(&quoted), Some(META)),
        ("bytes that are no text", vec!["\u{e9}"], CALL.to_owned(), None),
        ("a number in the body", vec![], call("7"), None),
        ("an object in the body", vec![], call("{}"), None),
        ("a text in the body", vec![], call("\"secret\""), None),
        ("a line break in the body", vec![], call("\"a\\nb\""), None),
    ];
    for (count, (what, head, body, logged)) in cases.iter().enumerate() {
        let wire = gateway.signed(1, body).with("tracestate", "a=1");
        let wire = head.iter().fold(wire, |wire, line| wire.with("traceparent", line));
        assert_eq!(gateway.send(&wire).await.status, 200, "{what}");
        let line = gateway.lines(count + 1).await.pop().unwrap();
        assert_eq!(line.traceparent.as_ref().map(|trace| trace.as_str()), *logged, "{what}");
        assert_eq!(line.to_line().contains("traceparent"), logged.is_some(), "{what}");
        assert!(!line.to_line().contains("secret"), "{what}");
        let got = behind.got().pop().unwrap();
        let passed: Vec<&str> =
            got.headers.get_all("traceparent").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(passed, logged.iter().copied().collect::<Vec<_>>(), "{what}");
        // `tracestate` belongs to the trace in the head, and is passed on only with that.
        let is_from_head = *logged == Some(HEAD);
        assert_eq!(got.header("tracestate"), is_from_head.then_some("a=1"), "{what}");
        assert_eq!(got.body, body.as_bytes(), "{what}");
    }
    // The log line of a refusal has the trace too.
    let unsigned = gateway.plain(&call(&quoted));
    assert_eq!(gateway.send(&unsigned).await.status, 403);
    let line = gateway.lines(cases.len() + 1).await.pop().unwrap();
    assert_eq!(line.traceparent.unwrap().as_str(), META);
}
