//! Tests of the gateway's own `tools/list` to a server with sessions: the gateway closes each
//! session that it opened.

use http::Response;
use serde_json::{Value, json};

use crate::known_tools::{answer, before, calls, sent, tool};
use crate::servers::{Answered, ReceivedRequest, TestUpstream, body};

/// Answers like a server of revision 2025-11-25 with sessions, in event streams.
fn in_session(got: &ReceivedRequest) -> Answered {
    let asked = sent(got);
    let event = |result: Value| {
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": {} });
        let text = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
        answer("text/event-stream", format!("data: {note}\n\nevent: message\ndata: {text}\n\n"))
    };
    let session = (got.header("mcp-session-id"), got.header("mcp-protocol-version"));
    let status = |code| Response::builder().status(code).body(body("")).unwrap();
    match (asked["method"].as_str(), session) {
        (Some("initialize"), (None, None)) => {
            let mut answer = event(json!({ "protocolVersion": "2025-06-18", "capabilities": {} }));
            answer.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
            answer
        }
        (Some("notifications/initialized"), (Some("s-1"), Some("2025-06-18"))) => status(202),
        (Some("tools/list"), (Some("s-1"), Some("2025-06-18"))) => {
            event(json!({ "tools": [tool("read", true), tool("drop", false)] }))
        }
        (None, (Some("s-1"), _)) => status(204),
        (Some("tools/call"), (None, None)) => status(200),
        _ => status(400),
    }
}

/// The gateway closes each session that an answer names, also if a later step fails.
#[tokio::test]
async fn a_session_is_closed_if_the_question_fails_half_way() {
    type Change = fn(&ReceivedRequest) -> Option<Answered>;
    fn method(got: &ReceivedRequest) -> Value {
        sent(got)["method"].clone()
    }
    let cases: [(&str, &[&str], Change); 8] = [
        ("the answer to initialize is no JSON", &["s-1"], |got| {
            let is_ours = method(got) == "initialize";
            is_ours.then(|| {
                let mut answer = answer("application/json", "{".to_owned());
                answer.headers_mut().insert("mcp-session-id", "s-1".parse().unwrap());
                answer
            })
        }),
        ("initialize is refused", &["s-1"], |got| {
            let is_ours = method(got) == "initialize";
            is_ours.then(|| {
                let builder = Response::builder().status(500).header("mcp-session-id", "s-1");
                builder.body(body("{}")).unwrap()
            })
        }),
        ("the notification is refused", &["s-1"], |got| {
            let is_ours = method(got) == "notifications/initialized";
            is_ours.then(|| Response::builder().status(500).body(body("")).unwrap())
        }),
        ("tools/list is refused", &["s-1"], |got| {
            let is_ours = got.header("mcp-session-id").is_some() && method(got) == "tools/list";
            is_ours.then(|| Response::builder().status(401).body(body("")).unwrap())
        }),
        ("the list is no list", &["s-1"], |got| {
            let is_ours = got.header("mcp-session-id").is_some() && method(got) == "tools/list";
            is_ours.then(|| answer("application/json", "[]".to_owned()))
        }),
        ("the second page breaks off", &["s-1"], |got| {
            let is_ours = got.header("mcp-session-id").is_some() && method(got) == "tools/list";
            is_ours.then(|| {
                let result = match sent(got)["params"]["cursor"].is_string() {
                    false => json!({ "tools": [], "nextCursor": "two" }),
                    true => json!({ "tools": 7 }),
                };
                let text = json!({ "id": sent(got)["id"], "result": result });
                answer("application/json", text.to_string())
            })
        }),
        // Such a server opens a session for every request that names none.
        ("the first question is refused, with a session", &["s-0", "s-1"], |got| {
            let is_first = got.header("mcp-method") == Some("tools/list");
            is_first.then(|| {
                let builder = Response::builder().status(400).header("mcp-session-id", "s-0");
                builder.body(body("{}")).unwrap()
            })
        }),
        ("two sessions are named", &["s-2", "s-3", "s-1"], |got| {
            let is_first = got.header("mcp-method") == Some("tools/list");
            is_first.then(|| {
                let builder = Response::builder().status(400);
                let builder = builder.header("mcp-session-id", "s-2");
                builder.header("mcp-session-id", "s-3").body(body("{}")).unwrap()
            })
        }),
    ];
    for (what, opened, change) in cases {
        let behind =
            TestUpstream::with(move |got| change(got).unwrap_or_else(|| in_session(got))).await;
        let gateway = before(&behind).await;
        let outcome = gateway.gateway.tools_query().unwrap().ask().await;
        assert_eq!(outcome.is_ok(), what.contains("first") || what.contains("two"), "{what}");
        let got = behind.got();
        let closed: Vec<_> = got
            .iter()
            .filter(|got| got.method == "DELETE")
            .map(|got| got.header("mcp-session-id").unwrap())
            .collect();
        assert_eq!(closed, opened, "{what}");
    }
}

#[tokio::test]
async fn a_server_with_sessions_is_asked_in_one_that_is_closed_again() {
    let behind = TestUpstream::with(in_session).await;
    let gateway = before(&behind).await;
    gateway.gateway.tools_query().unwrap().ask().await.unwrap();
    calls(&gateway, [200, 403, 403]).await;
    let methods: Vec<String> = behind.got().iter().map(|got| got.method.clone()).collect();
    assert_eq!(methods[..5], ["POST", "POST", "POST", "POST", "DELETE"]);
}
