//! Tests of header fields that contradict the body, which clients send to a bridge on loopback.

use mcpid::connect::consent::ConfirmPolicy;
use mcpid::connect::{Bridge, ConsentVia};
use serde_json::{Value, json};

use crate::client::{call, old_call};
use crate::loopback::{SECRET, proxy_with};
use crate::server::{Reply, Server};

fn reason(got: &Value) -> &str {
    got["error"]["data"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_field_that_contradicts_the_body_is_refused() {
    for guarded in [false, true] {
        check(guarded).await;
    }
}

async fn check(is_guarded: bool) {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let guarded = |bridge: Bridge| {
        let mut confirm = ConfirmPolicy::default();
        confirm.add("tools/call:delete_*").unwrap();
        if is_guarded { bridge.with_consent(confirm, ConsentVia::None) } else { bridge }
    };
    let proxy = proxy_with(&server, guarded).await;
    let path = format!("POST /{SECRET}/mcp");
    let body = old_call(1, "get", json!({})).to_string();
    for fields in [
        vec![("Mcp-Name", "delete_all")],
        vec![("Mcp-Name", "=?base64?ZGVsZXRlX2FsbA==?=")],
        vec![("Mcp-Name", "=?base64?ZGVsZXRl")],
        vec![("Mcp-Method", "prompts/get")],
        vec![("Mcp-Method", "tools/call"), ("Mcp-Name", "Get")],
    ] {
        let got = proxy.send(&path, &fields, &body).await;
        assert_eq!((got.status, reason(&got.json())), (400, "header_body_mismatch"), "{fields:?}");
    }
    // If one field is missing, a wrong one is reported all the same.
    let new =
        call(1, "get", json!({ "n": 42, "deep": [{ "a": "größe" }], "yes": true })).to_string();
    for fields in [
        vec![("Mcp-Name", "delete_all")],
        vec![("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Name", "delete_all")],
        vec![("MCP-Protocol-Version", "2025-11-25")],
        vec![("Mcp-Param-N", "43")],
        vec![("Mcp-Param-A", "=?base64?Z3LDtno=?=")],
        vec![("Mcp-Param-A", "=?base64?Z3LDtn")],
        vec![("Mcp-Param-A", "42"), ("Mcp-Param-B", "false")],
    ] {
        // Only the server knows which argument an `Mcp-Param-*` field repeats, so the bridge checks
        // these fields only if it asks a person for consent.
        if !is_guarded && fields.iter().all(|(name, _)| name.starts_with("Mcp-Param-")) {
            continue;
        }
        let got = proxy.send(&path, &fields, &new).await;
        assert_eq!((got.status, reason(&got.json())), (400, "header_body_mismatch"), "{fields:?}");
    }
    // The bridge answers with the server's own error, after which a client lists the tools again.
    let got = proxy.send(&path, &[("Mcp-Name", "delete_all")], &new).await;
    assert_eq!((&got.json()["error"]["code"], &got.json()["id"]), (&json!(-32020), &json!(1)));
    for method in ["GET", "DELETE"] {
        for field in ["Mcp-Method", "Mcp-Name", "Mcp-Param-X"] {
            let fields = [(field, "tools/call"), ("Content-Length", "")];
            let got = proxy.send(&format!("{method} /{SECRET}/mcp"), &fields, "").await;
            assert_eq!((got.status, reason(&got.json())), (400, "header_body_mismatch"));
        }
    }
    assert!(server.seen().is_empty());
    let mirrored = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "get"),
        ("Mcp-Param-N", "42"),
        ("Mcp-Param-A", "=?base64?Z3LDtsOfZQ==?="),
        ("Mcp-Param-Yes", "true"),
    ];
    assert_eq!(proxy.send(&path, &mirrored, &new).await.status, 200);
    assert_eq!(proxy.send(&path, &[("Mcp-Name", "get")], &body).await.status, 200);
    assert_eq!(proxy.send(&path, &[], &body).await.status, 200);
    let body = old_call(1, "delete_all", json!({})).to_string();
    let got = proxy.send(&path, &[("Mcp-Name", "delete_all")], &body).await;
    assert_eq!(got.status, if is_guarded { 403 } else { 200 });
}
