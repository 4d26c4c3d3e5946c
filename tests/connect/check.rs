//! Tests of `connect --check`, and of the hint that the bridge gives if a server does not know its
//! key.

use std::process::Output;

use mcpid::connect::Bridge;
use serde_json::{Value, json};

use crate::client::{Client, bridge, call};
use crate::loopback::proxy_with;
use crate::program::{connect, err, folder, piped};
use crate::server::{Reply, Seen, Server, free_address};
use crate::sessions::usual;

async fn check(url: &str, flags: &[&str]) -> Output {
    let folder = folder();
    let command = connect(folder.path(), &[flags, &["--check", url]].concat());
    piped(command, Vec::new()).await
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn new(seen: &Seen) -> Reply {
    let about = json!({ "name": "shop", "version": "7" });
    Reply::json(seen.result(json!({ "supportedVersions": ["2026-07-28"], "serverInfo": about })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_names_server_and_revision_and_whether_the_key_is_accepted() {
    let server = Server::start(new).await;
    let output = check(&server.url(), &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = out(&output);
    for line in [
        "accepted: the server answers what this key signs\n",
        &format!("    url       {}\n", server.url()),
        "    server    shop 7\n",
        "    revision  2026-07-28\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
    assert_eq!(server.of("server/discover").len(), 1);
    let output = check(&server.url(), &["--json"]).await;
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["verdict"], &found["server"]), (&json!("accepted"), &json!("shop 7")));
    assert!(found["key"]["id"].as_str().is_some_and(|id| id.len() == 43), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_an_older_revision_is_found_and_its_session_closed() {
    for status in [200, 400, 404, 405, 500] {
        let server = Server::start(move |seen| match seen.rpc() {
            "server/discover" => Reply::error(status, seen, -32601, "x"),
            _ => usual(seen),
        })
        .await;
        let output = check(&server.url(), &[]).await;
        assert_eq!(output.status.code(), Some(0), "{status}: {output:?}");
        assert!(out(&output).contains("    revision  2025-11-25\n"), "{}", out(&output));
        assert!(out(&output).contains("    server    s 1\n"), "{}", out(&output));
        let last = server.seen().pop().unwrap();
        assert_eq!(
            (&*last.method, last.header("mcp-session-id")),
            ("DELETE", Some("session-1")),
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_has_its_exit_code_and_message() {
    let free = free_address();
    let output = check(&format!("http://{free}/mcp"), &[]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(out(&output).starts_with("unavailable: nothing listens at "), "{}", out(&output));
    for (status, code, exit, verdict) in [
        (403, "key_unknown", 1, "rejected"),
        (403, "key_revoked", 1, "rejected"),
        (401, "signature_missing", 1, "rejected"),
        (429, "nonce_quota", 5, "unavailable"),
        (503, "unavailable", 5, "unavailable"),
    ] {
        let server = Server::start(move |seen| Reply::error(status, seen, -31401, code)).await;
        let output = check(&server.url(), &["--json"]).await;
        assert_eq!(output.status.code(), Some(exit), "{code}: {output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&found["verdict"], &found["code"]), (&json!(verdict), &json!(code)));
        assert_eq!(server.seen().len(), 1, "nothing else is tried");
        let known = if code == "key_unknown" { json!(false) } else { Value::Null };
        assert_eq!(found["key"]["known"], known, "{found}");
    }
    let server = Server::start(|_| Reply::json(json!({ "no": "MCP" }))).await;
    assert_eq!(check(&server.url(), &[]).await.status.code(), Some(5));
    let server = Server::start(|_| Reply::status(401).with("www-authenticate", "Bearer")).await;
    let output = check(&server.url(), &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("it wants a token"), "{}", err(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_key_leads_to_a_trust_command_for_the_operator() {
    let server = Server::start(|seen| Reply::error(403, seen, -31401, "key_unknown")).await;
    let folder = folder();
    let url = server.url();
    let output = piped(connect(folder.path(), &["--check", &url]), Vec::new()).await;
    let said = err(&output);
    let line = said.split("mcpid trust add ").nth(1).unwrap().split(" (").next().unwrap();
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(&words[..2], ["--name", "k"], "{said}");
    let key = folder.path().join("key.json");
    assert!(said.contains(&format!("mcpid export -k {} ", key.display())), "{said}");
    // The hint contains the command that makes the server trust the key. Its operator can paste it.
    let mut add = crate::program::command(folder.path());
    add.args(["trust", "add", "-r", "trust.json"]).args(&words);
    let added = tokio::task::spawn_blocking(move || add.output().unwrap()).await.unwrap();
    assert!(added.status.success(), "{added:?}");
    // The bridge gives the same hint, on stdio and on loopback.
    let hint = |bridge: Bridge| bridge.with_unknown_key_hint("send THIS".to_owned());
    let (plain, said) = bridge(&url);
    let mut client = Client::by((hint(plain), said));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.ends_with("(send THIS)"), "{answer}");
    assert!(client.said().iter().any(|line| line.contains("send THIS")), "{:?}", client.said());
    // The bridge reads the answer only if it is short and its length is known. Otherwise it gives
    // no hint.
    let server = Server::start(|seen| {
        let reply = Reply::error(403, seen, -31401, "key_unknown");
        let length = reply.length().to_string();
        reply.with("content-length", length)
    })
    .await;
    let (plain, said) = bridge(&server.url());
    let proxy = crate::loopback::proxy_of(hint(plain), mcpid::net::ServerLimits::default()).await;
    let got = proxy.post(&call(1, "t", json!({}))).await;
    assert_eq!((got.status, &got.json()["error"]["message"]), (403, &json!("no")));
    assert!(said.lock().unwrap().iter().any(|line| line.contains("send THIS")), "{said:?}");
    // The bridge gives no hint for other refusals.
    let server = Server::start(|seen| Reply::error(403, seen, -31401, "expired")).await;
    let proxy = proxy_with(&server, hint).await;
    assert_eq!(proxy.post(&call(1, "t", json!({}))).await.status, 403);
}
