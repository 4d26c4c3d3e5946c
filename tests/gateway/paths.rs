//! Tests of paths: the endpoint's path is compared byte for byte, and an open path (which needs no
//! signature) leads only to itself.

use mcpid::tower::{OpenPath, PathError, Paths};

use crate::servers::{CALL, TestGateway, TestUpstream, Wire};

#[tokio::test]
async fn only_the_endpoint_and_open_paths_are_served() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        let open = ["/status", "POST /hooks", "/docs/*", "GET /login/*"];
        for path in open {
            config.paths = config.paths.with_open(path.parse().unwrap()).unwrap();
        }
        config
    })
    .await;
    let host = gateway.address.to_string();
    let ask = |method: &str, path: &str| {
        // This test client knows the end of an answer to HEAD only by the end of the connection.
        let wire = Wire::get(&host, path).line(&format!("{method} {path} HTTP/1.1"));
        wire.with("Connection", "close")
    };
    let before = behind.got().len();
    for (method, path) in [
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("HEAD", "/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/openid-configuration?x=1"),
        ("GET", "/status"),
        ("DELETE", "/status"),
        ("POST", "/hooks"),
        ("GET", "/docs/a/b"),
        ("GET", "/login/start"),
    ] {
        let reply = gateway.send(&ask(method, path)).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        let got = behind.got().pop().unwrap();
        assert_eq!((got.method.as_str(), got.target.as_str()), (method, path));
        assert_eq!(got.header("mcpid-status"), None, "{path} was not judged");
    }
    let reached = behind.got().len() - before;
    assert_eq!(reached, 9);
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/mcp/"),
        ("POST", "/MCP"),
        ("POST", "/mcp/x"),
        ("POST", "/%6dcp"),
        ("POST", "/mcp%2f"),
        ("POST", "//mcp"),
        ("POST", "/./mcp"),
        ("POST", "/docs/../mcp"),
        ("POST", "/docs/%2e%2e/mcp"),
        ("POST", "/docs/..%2fmcp"),
        ("POST", "/docs/..%5cmcp"),
        ("POST", "/docs/x;y"),
        ("POST", "/docs/a%00"),
        ("POST", "/docs/a%2"),
        ("POST", "/docs/%252e%252e/mcp"),
        ("POST", "/docs//a"),
        ("GET", "/docs/."),
        ("GET", "/docs"),
        ("GET", "/docs/"),
        ("GET", "/Status"),
        ("GET", "/status/x"),
        ("GET", "/hooks"),
        ("POST", "/login/start"),
        ("POST", "/.well-known/oauth-protected-resource"),
        ("GET", "/.well-known/oauth-protected-resources"),
        ("GET", "/.well-known/oauth-protected-resource/../../mcp"),
        ("GET", "/.well-known/oauth-protected-resource/%2e%2e/%2e%2e/mcp"),
        ("GET", "/.well-known/security.txt"),
    ] {
        let reply = gateway.send(&ask(method, path)).await;
        assert_eq!(reply.status, 404, "{method} {path}: {reply:?}");
        assert_eq!(reply.reason(), "not_found");
    }
    assert_eq!(behind.got().len(), before + reached);
    // A path that needs no signature, too, is served only under the hosts of this server.
    let foreign = Wire::get("other.example", "/status");
    assert_eq!(gateway.send(&foreign).await.status, 421);
    assert_eq!(behind.got().len(), before + reached);
}

#[tokio::test]
async fn an_open_prefix_of_all_paths_leaves_out_the_endpoint() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.paths = config.paths.with_open("/*".parse().unwrap()).unwrap();
        config
    })
    .await;
    let host = gateway.address.to_string();
    for path in ["/mcp", "/mcp/", "/Mcp", "/MCP/x", "/mcp%20", "/m%63p", "/mcp/%20/"] {
        let reply = gateway.send(&Wire::post(&host, path, CALL)).await;
        assert!(matches!(reply.status, 403 | 404), "{path}: {reply:?}");
    }
    assert!(behind.got().is_empty());
    assert_eq!(gateway.send(&Wire::get(&host, "/anything")).await.status, 200);
    assert_eq!(gateway.send(&Wire::get(&host, "/mcpx")).await.status, 200);
}

#[tokio::test]
async fn an_endpoint_at_the_root_has_nothing_below_it() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::with(&behind, Default::default(), |mut config| {
        config.paths = Paths::at("/").unwrap().with_open("/status".parse().unwrap()).unwrap();
        config
    })
    .await;
    let host = gateway.address.to_string();
    assert_eq!(gateway.send(&Wire::get(&host, "/status")).await.status, 200);
    let well_known = "/.well-known/oauth-protected-resource";
    assert_eq!(gateway.send(&Wire::get(&host, well_known)).await.status, 200);
    assert_eq!(gateway.send(&Wire::post(&host, "/", CALL)).await.status, 403);
    let signed = Wire::post(&host, "/", CALL).sign(1, &gateway.url("/"));
    assert_eq!(gateway.send(&signed).await.status, 200);
    // The public path differs from the upstream's, and the request reaches the upstream's.
    assert_eq!(behind.got().pop().unwrap().target, "/mcp");
}

/// The signature covers the query, which is passed on unchanged.
#[tokio::test]
async fn the_query_is_the_signed_one() {
    let behind = TestUpstream::new().await;
    let gateway = TestGateway::before(&behind).await;
    let host = gateway.address.to_string();
    let target = "/mcp?a=%2F+b&a=%2f&c=%C3%A9;d";
    let wire = Wire::post(&host, target, CALL).sign(1, &gateway.url(target));
    assert_eq!(gateway.send(&wire).await.status, 200);
    assert_eq!(behind.got()[0].target, target);
    for other in ["/mcp", "/mcp?", "/mcp?a=%2F+b&a=%2F&c=%C3%A9;d", "/mcp?a=%2F+b&a=%2f&c=%C3%A9"] {
        let signed = Wire::post(&host, target, CALL).sign(1, &gateway.url(target));
        let reply = gateway.send(&signed.line(&format!("POST {other} HTTP/1.1"))).await;
        assert_eq!((reply.status, reply.reason().as_str()), (403, "key_unknown"), "{other}");
    }
    assert_eq!(behind.got().len(), 1);
}

#[test]
fn open_paths_are_read_strictly() {
    let open = |text: &str| text.parse::<OpenPath>();
    for text in ["/a", "GET /a", "/a/*", "/*", "DELETE /a/b/*", "/a.b/~c"] {
        assert_eq!(open(text).unwrap().to_string(), text);
    }
    for text in
        ["", "a", "GET a", "get /a", " /a", "/a?x", "/a#x", "/a b", "/a*", "/*/b", "/é", "GET"]
    {
        assert!(open(text).is_err(), "{text:?}");
    }
    for text in
        ["/a/../b", "/a//b", "/./a", "/a;b", "/a\\b", "/%2e", "/a%2Fb", "/%00", "/%", "/%5C"]
    {
        assert!(matches!(open(text), Err(PathError::Ambiguous(_))), "{text:?}");
    }
    for text in ["/mcp", "/MCP", "/mcp/", "/mcp/a", "/%6Dcp"] {
        let refused = Paths::new("/mcp").with_open(open(text).unwrap());
        assert!(matches!(refused, Err(PathError::Endpoint(_))), "{text:?}");
    }
    assert!(Paths::at("mcp").is_err() && Paths::at("/a b").is_err() && Paths::at("/a?b").is_err());
}
