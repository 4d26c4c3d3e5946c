//! Tests of how a gateway learns the upstream's tools: by its own `tools/list`, and from a file
//! that it wrote before a restart.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use mcpid::clock::Timestamp;
use mcpid::gateway::{GatewayConfig, Upstream};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::tower::{LearningModes, Modes};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::operation::{Started, wait_until};
use crate::program::program;
use crate::servers::{
    Answered, LIST, ReceivedRequest, Reply, TestGateway, TestUpstream, Wire, body, key,
};

pub(crate) fn call(tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

pub(crate) fn learning() -> LearningModes {
    LearningModes::new(Modes::permissive()).with_destructive()
}

pub(crate) async fn before(behind: &TestUpstream) -> TestGateway {
    TestGateway::with(behind, Default::default(), |mut config| {
        config.modes = learning();
        config
    })
    .await
}

pub(crate) fn answer(media: &str, text: String) -> Answered {
    Response::builder().header("content-type", media).body(body(text)).unwrap()
}

pub(crate) fn sent(got: &ReceivedRequest) -> Value {
    serde_json::from_slice(&got.body).unwrap_or_default()
}

pub(crate) fn tool(name: &str, harmless: bool) -> Value {
    json!({ "name": name, "inputSchema": {}, "annotations": { "readOnlyHint": harmless } })
}

/// Answers `tools/list` without a session, with `read` on the first page, and `drop` and `add` on
/// the second.
pub(crate) fn pages(got: &ReceivedRequest) -> Answered {
    let asked = sent(got);
    let result = match asked["params"]["cursor"].as_str() {
        None => json!({ "tools": [tool("read", true)], "nextCursor": "two" }),
        Some(_) => json!({ "tools": [tool("drop", false), tool("add", true)] }),
    };
    let text = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result });
    answer("application/json", text.to_string())
}

/// Checks the status of an unsigned call of each of the three tools.
pub(crate) async fn calls(gateway: &TestGateway, expected: [u16; 3]) {
    for (tool, status) in ["read", "add", "drop"].into_iter().zip(expected) {
        assert_eq!(gateway.send(&gateway.plain(&call(tool))).await.status, status, "{tool}");
    }
}

#[tokio::test]
async fn a_gateway_asks_for_all_pages_itself() {
    let behind = TestUpstream::with(pages).await;
    let gateway = before(&behind).await;
    calls(&gateway, [403, 403, 403]).await;
    let listed = gateway.gateway.tools_query().unwrap().ask().await.unwrap();
    assert_eq!((listed.len(), listed.destructive()), (3, 1));
    let got = behind.got();
    assert_eq!(got.len(), 2);
    for request in &got {
        assert_eq!(request.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(request.header("mcp-method"), Some("tools/list"));
        assert_eq!(request.header("mcpid-status"), Some("unsigned"));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        let host = behind.address.to_string();
        assert_eq!((request.header("host"), request.target.as_str()), (Some(&*host), "/mcp"));
        assert!(request.header("signature").is_none());
    }
    calls(&gateway, [200, 200, 403]).await;
    assert_eq!(gateway.send(&gateway.plain(&call("unlisted"))).await.status, 403);
    let text = gateway.metrics.text(Timestamp::from_unix(0));
    assert!(text.contains("mcpid_known_tools 3\n"), "{text}");
    // If no pattern is the word `destructive`, the gateway needs no tool list and does not ask for
    // it.
    let other = TestGateway::before(&behind).await;
    assert!(other.gateway.tools_query().is_none());
}

/// If one page of the tool list cannot be used, no page is used.
#[tokio::test]
async fn an_incomplete_or_ambiguous_list_teaches_nothing() {
    type Change = fn(&ReceivedRequest) -> Answered;
    let second = |got: &ReceivedRequest| sent(got)["params"]["cursor"].is_string();
    let cases: [(&str, Change); 13] = [
        ("answered with status 500", |_| Response::builder().status(500).body(body("{}")).unwrap()),
        ("answered with status 206", |got| {
            let mut answer = pages(got);
            *answer.status_mut() = http::StatusCode::PARTIAL_CONTENT;
            answer
        }),
        ("answered with error -32603", |got| {
            let error = json!({ "code": -32603, "message": "\u{1b}[31m" });
            let text = json!({ "jsonrpc": "2.0", "id": sent(got)["id"], "error": error });
            answer("application/json", text.to_string())
        }),
        ("it answers another question", |_| {
            let result = json!({ "tools": [] });
            answer("application/json", json!({ "id": 0, "result": result }).to_string())
        }),
        ("neither JSON nor an event stream", |_| answer("text/html", "<p>".to_owned())),
        ("no JSON-RPC response", |_| answer("application/json", "{\"jsonrpc\":".to_owned())),
        ("cannot be read", |got| {
            let id = &sent(got)["id"];
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"result":{{"tools":[],"tools":[{{"name":"read","annotations":{{"readOnlyHint":true}}}}]}}}}"#
            );
            answer("application/json", text)
        }),
        ("not the result of tools/list", |got| {
            let result = json!({ "tools": [{ "title": "read" }] });
            answer(
                "application/json",
                json!({ "id": sent(got)["id"], "result": result }).to_string(),
            )
        }),
        ("its cursor is no short text", |got| {
            let result = json!({ "tools": [tool("read", true)], "nextCursor": 7 });
            answer(
                "application/json",
                json!({ "id": sent(got)["id"], "result": result }).to_string(),
            )
        }),
        ("over 256 pages", |got| {
            let result = json!({ "tools": [tool("read", true)], "nextCursor": "again" });
            answer(
                "application/json",
                json!({ "id": sent(got)["id"], "result": result }).to_string(),
            )
        }),
        ("it is compressed", |got| {
            let mut answer = pages(got);
            answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            answer
        }),
        ("its session id cannot be used", |got| {
            let mut answer = pages(got);
            answer.headers_mut().append("mcp-session-id", "one".parse().unwrap());
            answer.headers_mut().append("mcp-session-id", "two".parse().unwrap());
            answer
        }),
        ("over 4 MiB long", |_| answer("application/json", " ".repeat(4 * 1024 * 1024 + 1))),
    ];
    for (words, change) in cases {
        for only_second in [false, true] {
            let behind = TestUpstream::with(move |got| {
                if only_second && !second(got) { pages(got) } else { change(got) }
            })
            .await;
            let gateway = before(&behind).await;
            let error = gateway.gateway.tools_query().unwrap().ask().await.unwrap_err();
            // The gateway tries the older MCP revision last, and reports that attempt's error.
            let said = mcpid::message::error_chain::chain(&error);
            if !only_second {
                assert!(said.contains(words) || said.contains("status"), "{words}: {said}");
            }
            assert!(!said.contains('\u{1b}'));
            assert_eq!(gateway.send(&gateway.plain(&call("read"))).await.status, 403, "{words}");
            let text = gateway.metrics.text(Timestamp::from_unix(0));
            assert!(text.contains("mcpid_tools_query_failures_total 1\n"), "{text}");
        }
    }
}

/// The upstream is itself a gateway in strict mode.
#[tokio::test]
async fn the_question_is_signed_if_the_upstream_wants_that() {
    let behind = TestUpstream::with(pages).await;
    let upstream = TestGateway::before(&behind).await;
    let url = upstream.url("/mcp");
    let gateway = TestGateway::with(&behind, Default::default(), |_| {
        let mut config = GatewayConfig::new(Upstream::parse(&url).unwrap());
        config.modes = learning();
        config
    })
    .await;
    let ask = |number: Option<u8>| {
        let query = gateway.gateway.tools_query().unwrap();
        match number {
            Some(n) => query.with_signer(Arc::new(Signer::new(key(n), &Profile::mcp()).unwrap())),
            None => query,
        }
    };
    assert!(ask(None).ask().await.unwrap_err().to_string().contains("status 403"));
    assert!(ask(Some(9)).ask().await.unwrap_err().to_string().contains("status 403"));
    assert!(behind.got().is_empty());
    assert_eq!(ask(Some(1)).ask().await.unwrap().len(), 3);
    let got = behind.got();
    assert_eq!(got.last().unwrap().header("mcpid-name"), Some("alice"));
}

#[tokio::test]
async fn the_list_is_read_again_when_a_stream_says_that_it_has_changed() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let behind = TestUpstream::with(move |got| {
        if got.method == "GET" {
            let text = r#"data: {"jsonrpc":"2.0","method":"notifications\/tools\/list_changed"}"#;
            return answer("text/event-stream", format!("{text}\n\n"));
        }
        let count = counted.fetch_add(1, Ordering::SeqCst);
        let tools = [tool("read", true), tool("add", count == 0)];
        let text = json!({ "id": sent(got)["id"], "result": { "tools": tools } });
        answer("application/json", text.to_string())
    })
    .await;
    let gateway = before(&behind).await;
    let (told, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let query = gateway.gateway.tools_query().unwrap();
    let asking =
        tokio::spawn(query.run(move |outcome| told.send(outcome.is_ok()).unwrap_or_default()));
    assert_eq!(outcomes.recv().await, Some(true));
    calls(&gateway, [200, 200, 403]).await;
    let stream = Wire::get(&gateway.address.to_string(), "/mcp").with("Accept-Encoding", "gzip");
    assert_eq!(gateway.send(&stream).await.status, 200);
    let asked = behind.got().into_iter().find(|got| got.method == "GET").unwrap();
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(outcomes.recv().await, Some(true));
    calls(&gateway, [200, 403, 403]).await;
    asking.abort();
}

/// Lists the tools only to a client with a token, as a server with OAuth does.
fn with_token(got: &ReceivedRequest) -> Answered {
    if got.header("authorization").is_none() {
        return Response::builder().status(401).body(body("{}")).unwrap();
    }
    let result = json!({ "tools": [tool("read", true), tool("drop", false)] });
    answer("application/json", json!({ "id": 1, "result": result }).to_string())
}

async fn status(started: &Started, text: &str) -> u16 {
    let wire = Wire::post(&started.address, "/mcp", text).with("Authorization", "Bearer x");
    let mut stream = started.connect().await;
    stream.write_all(&wire.bytes()).await.unwrap();
    Reply::read(&mut stream).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_are_known_after_a_crash_even_if_the_upstream_does_not_list_them() {
    let behind = TestUpstream::with(with_token).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tools.json");
    let path = file.to_str().unwrap();
    let args = ["--mode", "permissive", "--strict", "destructive", "--learned-tools", path];
    let start = || Started::new(&folder, &behind, Stdio::null(), &args);
    let first = start();
    assert_eq!(status(&first, &call("read")).await, 403);
    wait_until("the refused question was not reported", || first.said().contains("--tools-key"));
    assert_eq!(status(&first, LIST).await, 200);
    assert_eq!(status(&first, &call("read")).await, 200);
    wait_until("the tools were not stored", || file.exists());
    // The first gateway is killed, so the second reads only what was stored.
    drop(first);
    let second = start();
    wait_until("the stored tools were not used", || {
        second.said().contains("1 harmless tools count as they were stored")
    });
    for (tool, expected) in [("read", 200), ("drop", 403), ("other", 403)] {
        assert_eq!(status(&second, &call(tool)).await, expected, "{tool}");
    }
    assert!(second.said().contains("2 tools are known from"), "{}", second.said());
    drop(second);
    // If the stored file was changed, no tool in it is used.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"drop\"", "\"none\"")).unwrap();
    let third = start();
    assert_eq!(status(&third, &call("read")).await, 403);
    assert!(third.said().contains("its hash does not match its content"), "{}", third.said());
    assert_eq!(status(&third, LIST).await, 200);
    wait_until("the damaged file was not replaced", || {
        fs::read_to_string(&file).unwrap().contains("\"drop\"")
    });
}

#[test]
fn flags_about_tools_are_checked_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let trust = crate::program::trust(&folder);
    let run = |args: &[&str]| {
        let output = program()
            .args([
                "gateway",
                "--upstream",
                "http://127.0.0.1:9/mcp",
                "--origin",
                "http://a.example",
            ])
            .args(["--nonces", "memory:", "--listen", "127.0.0.1:0", "-r"])
            .arg(&trust)
            .args(args)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&said).into_owned())
    };
    let permissive = ["--mode", "permissive", "--strict"];
    let inside = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(folder.path().join("there")).unwrap();
    let fifo = inside("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    fs::write(folder.path().join("open"), "").unwrap();
    let open = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    fs::set_permissions(folder.path().join("open"), open).unwrap();
    for (file, code, words) in [
        (fifo, 3, "fifo is a device, pipe or socket"),
        (inside("there"), 3, "there is a folder"),
        (inside("link"), 3, "link is a symbolic link"),
        (inside("open"), 3, "its mode 0666 lets others than its owner write to it"),
        (inside("none/tools.json"), 3, "no such folder"),
        (String::new(), 2, "--learned-tools is empty"),
    ] {
        let args = [&permissive[..], &["destructive", "--learned-tools", &file]].concat();
        let (exit, said) = run(&args);
        assert_eq!(exit, code, "{file}: {said}");
        assert!(said.contains(words), "{file}: {said}");
    }
    for flag in ["--learned-tools", "--tools-key"] {
        let (exit, said) = run(&[&permissive[..], &["tools/call:x", flag, "x"]].concat());
        assert_eq!(exit, 2, "{said}");
        assert!(said.contains(&format!("{flag} would change nothing")), "{said}");
    }
    let (exit, said) =
        run(&[&permissive[..], &["destructive", "--tools-key", "none.json"]].concat());
    assert_eq!(exit, 3, "{said}");
    let (exit, said) = run(&[&permissive[..], &["destructive", "--check-config"]].concat());
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("    tools        asked of the upstream; stored in "), "{said}");
}
