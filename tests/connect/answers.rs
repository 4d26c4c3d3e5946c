//! Tests of answers that break off, are too long or are not MCP, and of valid answers in unusual
//! spelling.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::{Client, bridge, call, old_call, request};
use crate::faults::becomes;
use crate::loopback::{SECRET, proxy};
use crate::server::{Piece, Reply, Seen, Server};
use crate::sessions::{open, usual};

#[tokio::test]
async fn an_incomplete_answer_is_an_error() {
    for (reply, reason) in [
        (Reply::sse().bytes("data: {\"jsonrpc\":\"2.0\",\"id\":\"id-1\",\"resu"), "ended"),
        (Reply::sse().bytes("data: {\"jsonrpc\":\"2.0\"").piece(Piece::Break), "ended"),
        (Reply::sse(), "ended"),
        (Reply::sse().bytes("id: e1\ndata:\n\n"), "ended"),
        (
            Reply::status(200)
                .with("content-type", "application/json")
                .bytes("{\"jsonrpc\":")
                .piece(Piece::Break),
            "ended",
        ),
        (
            Reply::status(200).with("content-type", "application/json").bytes("{\"jsonrpc\":"),
            "garbage",
        ),
        (Reply::status(200).with("content-type", "application/json"), "garbage"),
        (Reply::status(202), "garbage"),
        (Reply::status(204), "garbage"),
        (Reply::status(200), "garbage"),
    ] {
        let shown = format!("{reply:?}");
        let error = becomes(move |_| reply.clone()).await;
        assert_eq!(error["data"]["reason"], reason, "{shown}: {error}");
    }
}

#[tokio::test]
async fn garbage_never_reaches_the_client() {
    let json = |bytes: &'static str| {
        Reply::status(200).with("content-type", "application/json").bytes(bytes)
    };
    for reply in [
        Reply::status(200).with("content-type", "text/html").bytes("<html>"),
        Reply::status(200).bytes("{}"),
        json("<html>"),
        json("{}"),
        json("[]"),
        json("null"),
        json("[1,2]"),
        json(r#"{"jsonrpc":"2.0","id":"other","result":{}}"#),
        json(r#"{"jsonrpc":"2.0","id":"id-1","result":{},"error":{}}"#),
        json(r#"{"jsonrpc":"2.0","id":"id-1","id":"id-2","result":{}}"#),
        json(r#"{"jsonrpc":"1.0","id":"id-1","result":{}}"#),
        json("{\"jsonrpc\":\"2.0\",\"id\":\"id-1\",\"result\":{\"a\":\"line\nbreak\"}}"),
        Reply::status(200)
            .with("content-type", "application/json")
            .bytes(&b"{\"jsonrpc\":\"2.0\",\"id\":\"id-1\",\"result\":\"\xff\"}"[..]),
        Reply::sse().bytes(&b"data: \xff\xfe\n\n"[..]),
    ] {
        let shown = format!("{reply:?}");
        let error = becomes(move |_| reply.clone()).await;
        assert_eq!(error["data"]["reason"], "garbage", "{shown}: {error}");
    }
}

#[tokio::test]
async fn garbage_among_events_is_left_out() {
    let server = Server::start(|seen| {
        Reply::sse()
            .bytes("data: garbage\n\ndata: {}\n\ndata: [1]\n\n")
            .event(&json!({ "jsonrpc": "2.0", "id": "nobody's", "result": {} }))
            .event(&seen.text("ok"))
    })
    .await;
    let mut client = Client::of(&server);
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
    client.silence().await;
}

#[tokio::test]
async fn a_line_of_the_log_is_bounded() {
    let long = "x".repeat(300_000);
    let server = Server::start(move |seen| match seen.rpc() {
        "tools/list" => {
            let schema = json!({ "properties": { "a": { "x-mcp-header": long } } });
            Reply::json(seen.result(json!({ "tools": [{ "name": long, "inputSchema": schema }] })))
        }
        "prompts/list" => {
            Reply::status(307).with("location", format!("https://h.example/{}", &long[..50_000]))
        }
        "prompts/get" => {
            let error = json!({ "code": -1, "message": long, "data": { "reason": long } });
            let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error });
            Reply::status(400).with("content-type", "application/json").bytes(body.to_string())
        }
        "ping" => Reply::status(200).with("content-type", long[..50_000].to_owned()).bytes("x"),
        _ => Reply::status(500).with("content-type", "text/plain").bytes(long.clone()),
    })
    .await;
    let mut client = Client::of(&server);
    for method in ["tools/list", "prompts/list", "prompts/get", "ping", "x"] {
        client.ask(&request(1, method)).await;
    }
    let said = client.said();
    assert!(said.len() >= 5, "{} lines", said.len());
    assert!(said.iter().all(|line| line.len() < 2_000), "a line of the log is too long");
}

#[tokio::test]
async fn a_large_event_passes_and_an_event_over_the_limit_is_refused() {
    let server = Server::start(|seen| Reply::sse().event(&seen.text(&"x".repeat(10 << 20)))).await;
    let mut client = Client::of(&server);
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert_eq!(answer["result"]["content"][0]["text"].as_str().unwrap().len(), 10 << 20);
    for json in [false, true] {
        // The helper `becomes` sets a limit of a megabyte for an answer.
        let error = becomes(move |seen| {
            let text = seen.text(&"x".repeat(10 << 20));
            if json { Reply::json(text) } else { Reply::sse().event(&text) }
        })
        .await;
        assert_eq!(error["data"]["reason"], "answer_too_long", "{error}");
        assert!(error["message"].as_str().unwrap().contains("1048576"), "{error}");
    }
}

#[tokio::test]
async fn requests_ask_for_no_content_coding_and_name_the_program() {
    let server = Server::start(usual).await;
    let mut client = Client::of(&server);
    client.ask(&call(1, "t", json!({}))).await;
    open(&mut client).await;
    client.ask(&old_call(1, "t", json!({}))).await;
    client.end().await;
    let ours = format!("mcpid/{}", env!("CARGO_PKG_VERSION"));
    let seen = server.seen();
    assert!(seen.iter().any(|seen| seen.method == "DELETE"));
    for seen in &seen {
        assert_eq!(seen.header("accept-encoding"), Some("identity"), "{seen:?}");
        assert_eq!(seen.header("user-agent"), Some(&*ours), "{seen:?}");
    }
    // A header field that the user sets replaces the bridge's own default.
    let (bridge, said) = bridge(&server.url());
    let agent = (http::header::USER_AGENT, http::HeaderValue::from_static("mine/1"));
    let mut client = Client::by((bridge.with_fields(vec![agent]), said));
    client.ask(&call(1, "t", json!({}))).await;
    let all: Vec<_> =
        server.seen().last().unwrap().headers.get_all("user-agent").iter().cloned().collect();
    assert_eq!(all, ["mine/1"]);
    // A client on loopback sends this field, and the bridge does not pass it on.
    let proxy = proxy(&server).await;
    let body = old_call(1, "t", json!({})).to_string();
    let path = format!("POST /{SECRET}/mcp");
    proxy.send(&path, &[], &body).await;
    let fields = [("User-Agent", "its/2"), ("Accept-Encoding", "gzip")];
    proxy.send(&path, &fields, &body).await;
    let sent: Vec<_> = server
        .seen()
        .iter()
        .rev()
        .take(2)
        .map(|seen| {
            (
                seen.header("user-agent").unwrap().to_owned(),
                seen.header("accept-encoding").unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(sent, [("its/2".into(), "gzip".into()), (ours, "identity".into())]);
}

#[tokio::test]
async fn an_answer_with_a_content_coding_is_reported_as_lost() {
    for sse in [false, true] {
        for coding in ["gzip", "GZIP", "br", "identity, zstd", "deflate,identity", "x"] {
            let error = becomes(move |seen| {
                let reply = if sse { Reply::sse() } else { Reply::json(seen.text("ok")) };
                reply.with("content-encoding", coding)
            })
            .await;
            assert_eq!(error["data"]["reason"], "encoded", "{coding}: {error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(&format!("is compressed ({coding})")), "{message}");
            assert!(message.contains("may have carried out the request"), "{message}");
        }
        for coding in ["identity", "Identity", ""] {
            let server = Server::start(move |seen| {
                let text = seen.text("ok");
                let reply = if sse { Reply::sse().event(&text) } else { Reply::json(text) };
                reply.with("content-encoding", coding)
            })
            .await;
            let answer = Client::of(&server).ask(&call(1, "t", json!({}))).await;
            assert_eq!(answer["result"]["content"][0]["text"], "ok", "{coding}: {answer}");
        }
    }
    // An error response whose body cannot be decoded still becomes an error, which does not show
    // the body.
    let error = becomes(|_| {
        let reply = Reply::status(500).with("content-type", "text/plain");
        reply.with("content-encoding", "gzip").bytes(&b"\x1f\x8b\x08"[..])
    })
    .await;
    assert_eq!(error["message"], "the server answers 500 Internal Server Error");
}

/// Returns the answer with another id.
fn with_id(mut answer: Value, id: Value) -> Value {
    answer["id"] = id;
    answer
}

#[tokio::test]
async fn only_the_json_type_of_the_id_may_differ_in_an_answer() {
    for (asked, answered) in [
        (json!(1), json!("1")),
        (json!("1"), json!(1)),
        (json!(-7), json!("-7")),
        (json!("12345678901234567890"), json!(12_345_678_901_234_567_890_u64)),
    ] {
        for (sse, old) in [(false, false), (true, false), (false, true), (true, true)] {
            let answered = answered.clone();
            let server = Server::start(move |seen| {
                let text = with_id(seen.text("an \"id\": 1"), answered.clone());
                if sse { Reply::sse().event(&text) } else { Reply::json(text) }
            })
            .await;
            let mut client = Client::of(&server);
            let make = if old { old_call } else { call };
            let answer = client.ask(&make(asked.clone(), "t", json!({}))).await;
            assert_eq!(answer["id"], asked, "{answer}");
            assert_eq!(answer["result"]["content"][0]["text"], "an \"id\": 1");
        }
        // The id in an error response is replaced by the client's id too.
        let answered = answered.clone();
        let server = Server::start(move |seen: &Seen| {
            let error = json!({ "code": -32602, "message": "no" });
            let body = json!({ "jsonrpc": "2.0", "id": seen.body["id"], "error": error });
            Reply::json(with_id(body, answered.clone()))
        })
        .await;
        let answer = Client::of(&server).ask(&call(asked.clone(), "t", json!({}))).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&asked, &json!(-32602)), "{answer}");
    }
    for (asked, answered) in [
        (json!(1), json!("01")),
        (json!(1), json!(" 1")),
        (json!(1), json!("one")),
        (json!(1), json!(2)),
        (json!(1), json!("2")),
        (json!("a"), json!("A")),
        (json!("true"), json!(1)),
    ] {
        let other = answered.clone();
        let server =
            Server::start(move |seen| Reply::json(with_id(seen.text("x"), other.clone()))).await;
        let answer = Client::of(&server).ask(&call(asked, "t", json!({}))).await;
        assert_eq!(answer["error"]["data"]["reason"], "garbage", "{answered}: {answer}");
    }
}

#[tokio::test]
async fn of_two_requests_with_ids_spelt_alike_each_gets_its_own_answer() {
    let both = Arc::new(Semaphore::new(0));
    let are_sent = Arc::clone(&both);
    let server = Server::start(move |seen| match &seen.body["id"] {
        // By mistake, the server sends both answers in the response to the first request.
        Value::Number(_) => Reply::sse()
            .piece(Piece::Until(Arc::clone(&are_sent)))
            .event(&with_id(seen.text("for the text"), json!("1")))
            .event(&seen.text("for the number")),
        _ => Reply::sse().bytes(": open\n\n").piece(Piece::Hang),
    })
    .await;
    let mut client = Client::of(&server);
    client.send(&call(1, "t", json!({}))).await;
    client.send(&call("1", "t", json!({}))).await;
    server.until(|seen| seen.len() == 2).await;
    both.close();
    for _ in 0..2 {
        let answer = client.receive().await;
        let expected = if answer["id"].is_string() { "for the text" } else { "for the number" };
        assert_eq!(answer["result"]["content"][0]["text"], expected, "{answer}");
    }
}
