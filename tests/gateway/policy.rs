//! Tests of which requests must be verified: chosen by method, by tool, and by the upstream's list
//! of tools.

use http::Response;
use mcpid::tower::LearningModes;
use mcpid::tower::{Modes, RefuseWith};

use crate::servers::{CALL, LIST, TestGateway, TestUpstream, Wire, body};

fn pattern(text: &str) -> mcpid::mcp::pattern::Pattern {
    text.parse().unwrap()
}

async fn start_gateway(behind: &TestUpstream, modes: LearningModes) -> TestGateway {
    TestGateway::with(behind, Default::default(), |mut config| {
        config.modes = modes;
        config
    })
    .await
}

fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

#[tokio::test]
async fn strict_for_some_tools_on_top_of_permissive() {
    let behind = TestUpstream::new().await;
    let modes = Modes::permissive().with_strict(pattern("tools/call:delete_*"));
    let gateway = start_gateway(&behind, LearningModes::new(modes)).await;
    for passes in [call("get_weather"), LIST.to_owned(), call("Delete_db"), call("undelete_db")] {
        assert_eq!(gateway.send(&gateway.plain(&passes)).await.status, 200, "{passes}");
    }
    let reached = behind.got().len();
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for refused in [
        CALL,
        answer,
        // If a body can be read in several ways, it is treated as the most dangerous operation.
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get","Name":"delete_db"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete\u005fdb"}}"#,
        "",
        "\u{feff}{}",
        r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#,
    ] {
        let reply = gateway.send(&gateway.plain(refused)).await;
        assert_eq!(reply.status, 403, "{refused}: {reply:?}");
    }
    // The header fields do not decide whether a request must be verified: the body does.
    let lie = gateway.plain(CALL).with("Mcp-Method", "ping").with("Mcp-Name", "get_weather");
    assert_eq!(gateway.send(&lie).await.status, 403);
    let mut utf7 = gateway.plain(&call("get_weather"));
    utf7.fields[1].1 = "application/json; charset=utf-7".to_owned();
    assert_eq!(gateway.send(&utf7).await.status, 403);
    let gzip = gateway.plain(&call("get_weather")).with("Content-Encoding", "gzip");
    assert_eq!(gateway.send(&gzip).await.status, 403);
    let gzip = gateway.plain(CALL).with("Content-Encoding", "gzip").sign(1, &gateway.url("/mcp"));
    assert_eq!(gateway.send(&gzip).await.status, 415);
    let mut put = gateway.plain(&call("get_weather"));
    put.line = "PUT /mcp HTTP/1.1".to_owned();
    assert_eq!(gateway.send(&put).await.status, 403);
    assert_eq!(behind.got().len(), reached);
    assert_eq!(gateway.send(&gateway.signed(1, CALL)).await.status, 200);
}

#[tokio::test]
async fn permissive_for_some_methods_on_top_of_strict() {
    let behind = TestUpstream::new().await;
    let modes = Modes::strict().with_permissive(pattern("tools/list"));
    let gateway = start_gateway(&behind, LearningModes::new(modes)).await;
    assert_eq!(gateway.send(&gateway.plain(LIST)).await.status, 200);
    assert_eq!(behind.got()[0].header("mcpid-status"), Some("unsigned"));
    for refused in [CALL, r#"{"jsonrpc":"2.0","id":8,"method":"tools/list ","params":{}}"#, "[]"] {
        assert_eq!(gateway.send(&gateway.plain(refused)).await.status, 403, "{refused}");
    }
    let get = Wire::get(&gateway.address.to_string(), "/mcp");
    assert_eq!(gateway.send(&get).await.status, 403);
    assert_eq!(behind.got().len(), 1);
}

/// Once the upstream has listed its tools, its list decides which are destructive. A tool that is
/// not in it is treated as destructive.
#[tokio::test]
async fn a_tool_is_destructive_unless_the_upstream_calls_it_harmless() {
    let list = r#"{"jsonrpc":"2.0","id":8,"result":{"tools":[
        {"name":"read","annotations":{"readOnlyHint":true}},
        {"name":"add","annotations":{"destructiveHint":false}},
        {"name":"drop","annotations":{"destructiveHint":true}},
        {"name":"plain"}]}}"#;
    let events = format!("event: message\r\ndata: {}\r\n\r\n", list.replace('\n', ""));
    let second = r#"{"jsonrpc":"2.0","id":8,"result":{"tools":[
        {"name":"add","annotations":{"destructiveHint":true}}]}}"#;
    let behind = TestUpstream::with(move |got| {
        let (media, text) = match got.header("x-test") {
            Some("events") => ("text/event-stream", events.clone()),
            Some("second") => ("application/json; charset=utf-8", second.to_owned()),
            _ => ("application/json", list.to_owned()),
        };
        Response::builder().header("content-type", media).body(body(text)).unwrap()
    })
    .await;
    let policies = || LearningModes::new(Modes::permissive()).with_destructive();
    for how in ["json", "events"] {
        let gateway = start_gateway(&behind, policies()).await;
        for tool in ["read", "add", "drop", "plain", "unknown"] {
            assert_eq!(
                gateway.send(&gateway.plain(&call(tool))).await.status,
                403,
                "{tool} before"
            );
        }
        let asked = gateway.plain(LIST).with("X-Test", how).with("Accept-Encoding", "gzip");
        assert_eq!(gateway.send(&asked).await.status, 200);
        // The gateway asks for an uncompressed answer, because it could not read a compressed list.
        assert_eq!(behind.got().pop().unwrap().header("accept-encoding"), Some("identity"));
        for (tool, status) in
            [("read", 200), ("add", 200), ("drop", 403), ("plain", 403), ("unknown", 403)]
        {
            let reply = gateway.send(&gateway.plain(&call(tool))).await;
            assert_eq!(reply.status, status, "{tool} {how}");
        }
        // If two lists disagree about a tool, the stricter one decides.
        for (asked, status) in [("second", 403), (how, 403)] {
            assert_eq!(gateway.send(&gateway.plain(LIST).with("X-Test", asked)).await.status, 200);
            assert_eq!(gateway.send(&gateway.plain(&call("add"))).await.status, status);
        }
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(gateway.send(&gateway.plain(answer)).await.status, 403);
        assert_eq!(gateway.send(&gateway.plain("[]")).await.status, 403);
        assert_eq!(gateway.send(&gateway.signed(1, &call("drop"))).await.status, 200);
    }
}

/// The metrics name only tools that the upstream has listed. Otherwise a client could create time
/// series without end.
#[tokio::test]
async fn no_client_can_make_the_number_of_metrics_grow() {
    let list = r#"{"jsonrpc":"2.0","id":8,"result":{"tools":[{"name":"known"}]}}"#;
    let behind = TestUpstream::with(move |_| crate::servers::ok(list)).await;
    let gateway = start_gateway(&behind, LearningModes::new(Modes::permissive())).await;
    assert_eq!(gateway.send(&gateway.plain(LIST)).await.status, 200);
    for tool in ["known", "made_up_1", "made_up_2"] {
        assert_eq!(gateway.send(&gateway.plain(&call(tool))).await.status, 200);
    }
    let odd = r#"{"jsonrpc":"2.0","id":8,"method":"made/up"}"#;
    assert_eq!(gateway.send(&gateway.plain(odd)).await.status, 200);
    let _ = gateway.lines(5).await;
    let text = gateway.metrics.text(mcpid::clock::Timestamp::from_unix(0));
    assert!(text.contains(r#"tool="known""#), "{text}");
    assert!(text.contains(r#"tool="other",code="signature_missing"} 2"#), "{text}");
    assert!(text.contains(r#"method="other""#), "{text}");
    assert!(!text.contains("made"), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn refusals_take_another_status_where_clients_want_it() {
    let behind = TestUpstream::new().await;
    for (with, post, get) in [
        (RefuseWith::Forbidden, 403, 403),
        (RefuseWith::Unauthorized { realm: "mcp".into() }, 401, 401),
        (RefuseWith::Ok, 200, 403),
    ] {
        let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
            config.refuse_with = with.clone();
            config
        })
        .await;
        let reply = gateway.send(&gateway.plain(CALL)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (post, "signature_missing"));
        assert_eq!(reply.json()["id"], 7);
        let challenge = reply.header("www-authenticate").is_some();
        assert_eq!(challenge, post == 401);
        let reply = gateway.send(&Wire::get(&gateway.address.to_string(), "/mcp")).await;
        assert_eq!(reply.status, get);
    }
    assert!(behind.got().is_empty());
}

/// Only the first thousand tools of a server have a label of their own.
#[tokio::test]
async fn metric_labels_are_bounded() {
    use tokio::io::AsyncWriteExt as _;

    let tools: Vec<_> = (0..1_100).map(|n| format!(r#"{{"name":"t{n}"}}"#)).collect();
    let list = format!(r#"{{"jsonrpc":"2.0","id":8,"result":{{"tools":[{}]}}}}"#, tools.join(","));
    let behind = TestUpstream::with(move |_| {
        let builder = Response::builder().header("content-type", "application/json");
        builder.body(body(list.clone())).unwrap()
    })
    .await;
    let gateway = start_gateway(&behind, LearningModes::new(Modes::permissive())).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&gateway.plain(LIST).bytes()).await.unwrap();
    assert_eq!(crate::servers::Reply::read(&mut stream).await.status, 200);
    for number in 0..1_100 {
        stream.write_all(&gateway.plain(&call(&format!("t{number}"))).bytes()).await.unwrap();
        assert_eq!(crate::servers::Reply::read(&mut stream).await.status, 200);
    }
    let _ = gateway.lines(1_101).await;
    let text = gateway.metrics.text(mcpid::clock::Timestamp::from_unix(0));
    assert_eq!(text.matches("tool=\"t").count(), 1_000);
    assert!(text.contains(r#"tool="other",code="signature_missing"} 100"#), "{text}");
}
