//! Tests of requests from web pages: which pages may send them, and which answers browsers get.

use std::sync::Arc;

use mcpid::clock::SystemClock;
use mcpid::message::target::{Origin, Origins};
use mcpid::profile::Profile;
use mcpid::verify::Verifier;

use crate::servers::{CALL, TestGateway, TestUpstream, Wire, body, registry};

const APP: &str = "https://app.example.com";

async fn with_app(behind: &TestUpstream) -> TestGateway {
    TestGateway::with(behind, Default::default(), |mut config| {
        config.allow_origins = vec![APP.to_owned(), "vscode-webview://abc".to_owned()];
        config
    })
    .await
}

#[tokio::test]
async fn only_pages_of_allowed_origins_get_an_answer() {
    let behind = TestUpstream::new().await;
    let gateway = with_app(&behind).await;
    let own = gateway.url("");
    for origin in [own.as_str(), APP, "vscode-webview://abc"] {
        let reply = gateway.send(&gateway.signed(1, CALL).with("Origin", origin)).await;
        assert_eq!(reply.status, 200, "{origin}: {reply:?}");
        // Python MCP servers answer 403 to an unknown origin, so the gateway does not pass the
        // `Origin` field on.
        assert_eq!(behind.got().pop().unwrap().header("origin"), None);
    }
    let reached = behind.got().len();
    for origin in [
        "null",
        "NULL",
        "",
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://app.example.com:444",
        "http://app.example.com",
        "https://APP.example.com/",
        "vscode-webview://abd",
        "https://app.example.com, https://evil.example",
    ] {
        let reply = gateway.send(&gateway.signed(1, CALL).with("Origin", origin)).await;
        assert_eq!((reply.status, reply.reason().as_str()), (403, "origin"), "{origin}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    let twice = gateway.signed(1, CALL).with("Origin", APP).with("Origin", APP);
    assert_eq!(gateway.send(&twice).await.status, 403);
    assert_eq!(behind.got().len(), reached);
}

#[tokio::test]
async fn the_origins_are_those_of_the_current_verifier() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.paths = config.paths.with_open("/status".parse().unwrap()).unwrap();
        config
    })
    .await;
    let replay = gateway.handle.verifier().replay().clone();
    let (old, new) = (gateway.url(""), "https://moved.example.com");
    let asked_for = |host: &str| Wire::get(host, "/status");
    for (origins, old_counts, new_counts) in [
        (vec![old.as_str()], true, false),
        (vec![old.as_str(), new], true, true),
        (vec![new], false, true),
    ] {
        let origins = Origins::new(origins.into_iter().map(|o| Origin::parse(o).unwrap()));
        let (registry, clock) = (registry(&[("alice", 1)]), Arc::new(SystemClock));
        let verifier = Verifier::new(Profile::mcp(), registry, origins, clock, replay.clone());
        gateway.handle.replace(verifier).unwrap();
        for (origin, counts) in [(old.as_str(), old_counts), (new, new_counts)] {
            let host = origin.split_once("://").unwrap().1;
            // Open paths are answered only for a public host.
            let reply = gateway.send(&asked_for(host)).await;
            assert_eq!(reply.status, if counts { 200 } else { 421 }, "{origin}: {reply:?}");
            // A page of a public origin may ask under the host of another one.
            let public = if new_counts { "moved.example.com" } else { &old["http://".len()..] };
            let reply = gateway.send(&asked_for(public).with("Origin", origin)).await;
            assert_eq!(reply.status, if counts { 200 } else { 403 }, "{origin}: {reply:?}");
        }
        // The scheme is that of the host which the request names.
        let (host, scheme) = if new_counts { (&new[8..], "https") } else { (&old[7..], "http") };
        assert_eq!(gateway.send(&asked_for(host)).await.status, 200);
        let got = behind.got().pop().unwrap();
        assert_eq!(got.header("x-forwarded-proto"), Some(scheme));
    }
}

#[tokio::test]
async fn preflights_are_answered_by_the_gateway_and_every_answer_has_cors_headers() {
    let behind = TestUpstream::with(|_| {
        http::Response::builder()
            .header("access-control-allow-origin", "*")
            .header("access-control-allow-credentials", "true")
            .header("vary", "accept")
            .body(body("{}"))
            .unwrap()
    })
    .await;
    let gateway = with_app(&behind).await;
    let host = gateway.address.to_string();
    let preflight = |path: &str, origin: &str| {
        Wire::get(&host, path)
            .line(&format!("OPTIONS {path} HTTP/1.1"))
            .with("Origin", origin)
            .with("Access-Control-Request-Method", "POST")
            .with("Access-Control-Request-Headers", "content-type,signature,mcp-param-region")
    };
    let reply = gateway.send(&preflight("/mcp", APP)).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some(APP));
    let asked = Some("content-type,signature,mcp-param-region");
    assert_eq!(reply.header("access-control-allow-headers"), asked);
    assert!(reply.header("access-control-allow-methods").unwrap().contains("DELETE"));
    assert_eq!(gateway.send(&preflight("/mcp", "https://evil.example")).await.status, 403);
    assert_eq!(gateway.send(&preflight("/elsewhere", APP)).await.status, 404);
    assert!(behind.got().is_empty());

    // The page can read all three answers: the refusal, the upstream's answer, and the 404.
    for wire in [
        gateway.plain(CALL).with("Origin", APP),
        gateway.signed(1, CALL).with("Origin", APP),
        Wire::get(&host, "/elsewhere").with("Origin", APP),
    ] {
        let reply = gateway.send(&wire).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert!(reply.header("access-control-expose-headers").unwrap().contains("mcp-session-id"));
        assert!(reply.head.to_lowercase().contains("vary: origin"), "{}", reply.head);
    }
    // A client that is not a web page gets no field about origins.
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn without_allowed_origins_the_cors_fields_of_the_upstream_pass() {
    let behind = TestUpstream::with(|_| {
        let builder = http::Response::builder().header("access-control-allow-origin", "*");
        builder.body(body("{}")).unwrap()
    })
    .await;
    let gateway = TestGateway::before(&behind).await;
    let reply = gateway.send(&gateway.signed(1, CALL)).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let host = gateway.address.to_string();
    let preflight = Wire::get(&host, "/mcp")
        .line("OPTIONS /mcp HTTP/1.1")
        .with("Origin", &gateway.url(""))
        .with("Access-Control-Request-Method", "POST");
    // A browser never signs a preflight, so strict mode refuses each one.
    assert_eq!(gateway.send(&preflight).await.status, 403);
}
