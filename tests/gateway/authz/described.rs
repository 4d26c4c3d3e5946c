//! Tests of how proxies describe a request to the authorization service: parts that are left out,
//! path prefixes, and the fields of Traefik.

use mcpid::gateway::{AuthzDialect, AuthzProtocol};
use mcpid::tower::{LearningModes, Modes};

use super::{PARTIAL, envoy, permissive, refused, speaking, told, whole};
use crate::servers::{CALL, LIST, TestGateway, Wire};
use crate::tls::{answer, connect, multiplexed};

#[tokio::test]
async fn a_body_that_envoy_did_not_show_is_never_verified() {
    let (strict, lax) = (envoy(|_| {}).await, envoy(|config| config.modes = permissive()).await);
    type Change = fn(Wire) -> Wire;
    let cases: [(&str, Change); 7] = [
        ("no mark", |wire| wire),
        ("partial", |wire| wire.with(PARTIAL, "true")),
        ("another word", |wire| wire.with(PARTIAL, "False")),
        ("nothing", |wire| wire.with(PARTIAL, "")),
        ("marked twice", |wire| whole(whole(wire))),
        ("marked in two ways", |wire| whole(wire).with(PARTIAL, "true")),
        ("both in one", |wire| wire.with(PARTIAL, "false,true")),
    ];
    for (what, change) in cases {
        let reply = strict.send(&change(strict.signed(1, CALL))).await;
        refused(what, &reply, 403, "body_unseen");
        assert_eq!(reply.header("accept-signature"), None, "{what}");
        assert_eq!(reply.header("retry-after"), None, "{what}");
        let reply = lax.send(&change(lax.signed(1, CALL))).await;
        assert_eq!(told(&reply), ["unavailable", "body_unseen", "", "", "", ""], "{what}");
    }
    for authz in [&strict, &lax] {
        for line in authz.lines(cases.len()).await {
            let hint = line.hint.unwrap();
            assert!(hint.as_str().contains("with_request_body"), "{hint}");
            assert_eq!(
                line.note.unwrap().as_str(),
                "the proxy in front did not show the whole body"
            );
        }
    }
    // A refusal that does not depend on the body is the same as with the body.
    refused("unsigned", &strict.send(&strict.plain(CALL)).await, 403, "signature_missing");
    refused("a stranger", &strict.send(&strict.signed(9, CALL)).await, 403, "key_unknown");
    // The service could not judge the request, so its nonce is not used up.
    let wire = strict.signed(1, CALL);
    refused("hidden", &strict.send(&wire).await, 403, "body_unseen");
    assert_eq!(strict.send(&whole(wire)).await.status, 200);
}

#[tokio::test]
async fn a_hidden_body_counts_as_the_most_dangerous_call() {
    let modes = Modes::permissive().with_strict("tools/call:delete_*".parse().unwrap());
    let authz = envoy(|config| config.modes = LearningModes::new(modes)).await;
    refused("hidden", &authz.send(&authz.signed(1, LIST)).await, 403, "body_unseen");
    assert_eq!(authz.send(&whole(authz.plain(LIST))).await.status, 200);
}

#[tokio::test]
async fn a_get_or_delete_without_a_mark_has_no_body() {
    let authz = envoy(|_| {}).await;
    let (host, url) = (authz.address.to_string(), authz.url("/mcp"));
    for method in ["GET", "DELETE", "HEAD"] {
        let bare = || {
            let line = format!("{method} /mcp HTTP/1.1");
            Wire::get(&host, "/mcp").line(&line).with("Connection", "close")
        };
        let reply = authz.send(&bare().sign(1, &url)).await;
        assert_eq!((reply.status, told(&reply)[0]), (200, "verified"), "{method}");
        let partial = bare().sign(1, &url).with(PARTIAL, "true");
        let reply = authz.send(&partial).await;
        assert_eq!(reply.status, 403, "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "OPTIONS", "BREW"] {
        let wire = Wire::get(&host, "/mcp").line(&format!("{method} /mcp HTTP/1.1"));
        refused(method, &authz.send(&wire.sign(1, &url)).await, 403, "body_unseen");
    }
}

#[tokio::test]
async fn a_field_that_envoy_may_have_joined_is_never_verified() {
    let (strict, lax) = (envoy(|_| {}).await, envoy(|config| config.modes = permissive()).await);
    let with = |to: &TestGateway, name: &str, value: &str| {
        whole(to.plain(CALL).with(name, value).sign(1, &to.url("/mcp")))
    };
    for value in ["Seattle, WA", "a,b", "na!ve", ","] {
        let reply = strict.send(&with(&strict, "Mcp-Param-City", value)).await;
        refused(value, &reply, 403, "head_unseen");
        let reply = lax.send(&with(&lax, "Mcp-Param-City", value)).await;
        assert_eq!(told(&reply), ["unavailable", "head_unseen", "", "", "", ""], "{value}");
    }
    let line = strict.lines(1).await.remove(0);
    assert!(line.note.unwrap().as_str().contains("mcp-param-city"));
    assert!(line.hint.unwrap().as_str().contains("comma"));
    // Envoy joins two lines of a field into one. The signature base then differs from the signed
    // one, and that is not the client's fault.
    let signed = strict.plain(CALL).with("Mcp-Param-A", "1").sign(1, &strict.url("/mcp"));
    let joined = |value: &str| {
        let mut wire = signed.clone();
        wire.fields.iter_mut().find(|(name, _)| name == "Mcp-Param-A").unwrap().1 = value.into();
        whole(wire)
    };
    refused("joined", &strict.send(&joined("1,2")).await, 403, "head_unseen");
    refused("changed", &strict.send(&joined("2")).await, 403, "key_unknown");
    // Refusals that come before the check of the signature do not depend on the joined field.
    let stranger = strict.plain(CALL).with("Mcp-Param-A", "1,2").sign(9, &strict.url("/mcp"));
    refused("a stranger", &strict.send(&whole(stranger)).await, 403, "key_unknown");
    // A field that no signature covers may contain a comma.
    let wire = whole(strict.signed(1, CALL)).with("Accept", "application/json, text/event-stream");
    assert_eq!(strict.send(&wire).await.status, 200);
}

#[tokio::test]
async fn the_log_names_the_line_that_envoy_lacks() {
    let authz = envoy(|_| {}).await;
    let mut bare = authz.plain(CALL);
    // Without the setting allowed_headers, Envoy shows only these fields to the service.
    bare.fields.retain(|(name, _)| name == "Host");
    let bare = bare.with("Authorization", "Bearer x").with("X-Request-Id", "1");
    refused("hidden", &authz.send(&bare).await, 403, "signature_missing");
    refused("unsigned", &authz.send(&whole(authz.plain(CALL))).await, 403, "signature_missing");
    let lines = authz.lines(2).await;
    let hints: Vec<_> = lines.iter().map(|line| line.hint.as_ref().unwrap().as_str()).collect();
    let line = r#"allowed_headers: { patterns: [{ safe_regex: { regex: ".*" } }] }"#;
    assert!(hints[0].ends_with(line), "{hints:?}");
    assert!(
        hints[1].contains("mcpid connect") && hints[1].contains("allowed_headers"),
        "{hints:?}"
    );
}

#[tokio::test]
async fn a_path_prefix_is_demanded_and_removed() {
    let mut protocol = AuthzProtocol::new(AuthzDialect::Envoy);
    protocol.path_prefix = "/authz".to_owned();
    let authz = speaking(protocol, |_| {}).await;
    let asked =
        |target: &str| whole(authz.signed(1, CALL)).line(&format!("POST {target} HTTP/1.1"));
    assert_eq!(authz.send(&asked("/authz/mcp")).await.status, 200);
    let line = authz.lines(1).await.remove(0);
    assert_eq!(line.path.as_str(), "/mcp");
    for target in ["/mcp", "/authzmcp", "/authz", "/AUTHZ/mcp", "/authz?/mcp", "/x/authz/mcp"] {
        refused(target, &authz.send(&asked(target)).await, 404, "path_prefix");
    }
    for target in ["/authz/authz/mcp", "/authz//mcp", "/authz/mcp/", "/authz/"] {
        refused(target, &authz.send(&asked(target)).await, 404, "not_found");
    }
    refused("a query", &authz.send(&asked("/authz/mcp?x")).await, 403, "key_unknown");
}

/// Returns the request by which Traefik asks the service about `wire`, a request to `/mcp`.
fn traefik(authz: &TestGateway, wire: Wire) -> Wire {
    let (method, rest) = wire.line.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let told = [
        ("X-Forwarded-Method", method.to_owned()),
        ("X-Forwarded-Proto", "http".to_owned()),
        ("X-Forwarded-Host", authz.address.to_string()),
        ("X-Forwarded-Uri", target),
        ("X-Forwarded-For", "203.0.113.7".to_owned()),
    ];
    let mut asked = wire.clone();
    asked.line = "GET /ask?x=1 HTTP/1.1".to_owned();
    asked.fields[0].1 = "authz.internal:9001".to_owned();
    let mut asked = told.iter().fold(asked, |wire, (name, value)| wire.with(name, value));
    if !asked.body.is_empty() {
        asked = asked.clone().with("Content-Length", &asked.body.len().to_string());
    }
    asked
}

#[tokio::test]
async fn traefik_describes_a_request_by_forwarded_fields() {
    let authz = speaking(AuthzProtocol::new(AuthzDialect::Traefik), |config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let url = authz.url("/mcp");
    let call = || traefik(&authz, authz.signed(1, CALL));
    let reply = authz.send(&call()).await;
    let [status, reason, _, name, _, touch] = told(&reply);
    assert_eq!((reply.status, status, reason, name, touch), (200, "verified", "", "alice", ""));
    assert_eq!(reply.header("x-envoy-auth-headers-to-remove"), None);
    let line = authz.lines(1).await.remove(0);
    assert_eq!((line.method.as_str(), line.path.as_str()), ("POST", "/mcp"));
    assert_eq!(line.peer.unwrap().as_str(), "203.0.113.7");

    let set = |name: &str, value: &str| {
        let mut wire = call();
        wire.fields.iter_mut().find(|(known, _)| known == name).unwrap().1 = value.to_owned();
        wire
    };
    let without = |name: &str| {
        let mut wire = call();
        wire.fields.retain(|(known, _)| known != name);
        wire
    };
    for name in ["X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri"] {
        refused(name, &authz.send(&without(name)).await, 400, "forwarded");
        refused(name, &authz.send(&set(name, "")).await, 400, "forwarded");
        let value = call().fields.iter().find(|(known, _)| known == name).unwrap().1.clone();
        refused(name, &authz.send(&call().with(name, &value)).await, 400, "forwarded");
        refused(name, &authz.send(&call().with(name, "x")).await, 400, "forwarded");
    }
    refused(
        "two methods",
        &authz.send(&set("X-Forwarded-Method", "POST,GET")).await,
        400,
        "forwarded",
    );
    refused(
        "another method",
        &authz.send(&set("X-Forwarded-Method", "PUT")).await,
        403,
        "key_unknown",
    );
    let host = format!("{0},{0}", authz.address);
    refused(
        "two hosts",
        &authz.send(&set("X-Forwarded-Host", &host)).await,
        421,
        "target_mismatch",
    );
    refused("a user", &authz.send(&set("X-Forwarded-Host", "a@b")).await, 400, "user_information");
    for target in ["/mcp#x", "mcp", "*", "http://evil.example/mcp", "/mcp x"] {
        refused(target, &authz.send(&set("X-Forwarded-Uri", target)).await, 400, "target");
    }
    for target in ["/x", "/mcp/", "//mcp", "/MCP"] {
        refused(target, &authz.send(&set("X-Forwarded-Uri", target)).await, 404, "not_found");
    }
    refused("a query", &authz.send(&set("X-Forwarded-Uri", "/mcp?a")).await, 403, "key_unknown");
    let wire = call().with("X-Forwarded-Prefix", "/x");
    refused("a prefix", &authz.send(&wire).await, 400, "override_field");
    refused(
        "a forged field",
        &authz.send(&call().with("Mcpid-Name", "bob")).await,
        400,
        "mcpid_field",
    );

    // The question contains no body, a part of the body, or another body.
    let hidden = Wire { body: Vec::new(), ..authz.signed(1, CALL) };
    refused("no body", &authz.send(&traefik(&authz, hidden)).await, 403, "body_unseen");
    let part = Wire { body: CALL.as_bytes()[..20].to_vec(), ..authz.signed(1, CALL) };
    refused("a part", &authz.send(&traefik(&authz, part)).await, 403, "digest_mismatch");
    for method in ["GET", "DELETE"] {
        let bare = Wire::get(&authz.address.to_string(), "/mcp");
        let bare = bare.line(&format!("{method} /mcp HTTP/1.1")).sign(1, &url);
        let reply = authz.send(&traefik(&authz, bare)).await;
        assert_eq!((reply.status, told(&reply)[0]), (200, "verified"), "{method}: {reply:?}");
    }
    // Traefik does not join the lines of a field, so a comma does not mean that there were two
    // lines.
    let comma = authz.plain(CALL).with("Mcp-Param-City", "Seattle, WA").sign(1, &url);
    assert_eq!(authz.send(&traefik(&authz, comma)).await.status, 200);
    let twice = authz.plain(CALL).with("Mcp-Method", "tools/call").sign(1, &url);
    let twice = traefik(&authz, twice).with("Mcp-Method", "tools/list");
    refused("two lines", &authz.send(&twice).await, 403, "signature_malformed");
}

#[tokio::test]
async fn a_dialect_does_not_read_the_fields_of_the_other() {
    let authz = envoy(|_| {}).await;
    let asked = traefik(&authz, authz.signed(1, CALL));
    let reply = authz.send(&asked).await;
    assert!(reply.status >= 400, "{reply:?}");
    let traefik = speaking(AuthzProtocol::new(AuthzDialect::Traefik), |_| {}).await;
    let reply = traefik.send(&whole(traefik.signed(1, CALL))).await;
    refused("Envoy's question", &reply, 400, "forwarded");
}

#[tokio::test]
async fn a_question_over_http2_is_read_like_one_over_http1() {
    let mut protocol = AuthzProtocol::new(AuthzDialect::Envoy);
    protocol.path_prefix = "/authz".to_owned();
    let authz = speaking(protocol, |_| {}).await;
    let mut client = connect(&authz).await;
    let url = authz.url("/authz/mcp");
    let signed = |number| whole(authz.signed(number, CALL));
    assert_eq!(answer(&mut client, multiplexed(&signed(1), &url)).await, (200, String::new()));
    let refusals = [
        (signed(9), authz.url("/authz/mcp"), 403, "key_unknown"),
        (authz.signed(1, CALL), authz.url("/authz/mcp"), 403, "body_unseen"),
        (signed(1).with("Mcpid-Name", "bob"), authz.url("/authz/mcp"), 400, "mcpid_field"),
        (signed(1), authz.url("/mcp"), 404, "path_prefix"),
        (signed(1), authz.url("/authz/mcp?x"), 403, "key_unknown"),
        (signed(1), "http://evil.example/authz/mcp".to_owned(), 421, "target_mismatch"),
    ];
    for (wire, url, status, reason) in refusals {
        let (found, body) = answer(&mut client, multiplexed(&wire, &url)).await;
        assert_eq!(found, status, "{reason}: {body}");
        assert!(body.contains(reason), "{reason}: {body}");
    }

    let authz = speaking(AuthzProtocol::new(AuthzDialect::Traefik), |_| {}).await;
    let mut client = connect(&authz).await;
    let asked = |number| traefik(&authz, authz.signed(number, CALL));
    // The question is addressed to the authorization service itself, and may have any path.
    let url = authz.url("/ask");
    assert_eq!(answer(&mut client, multiplexed(&asked(1), &url)).await, (200, String::new()));
    let (status, body) = answer(&mut client, multiplexed(&asked(9), &url)).await;
    assert_eq!(status, 403, "{body}");
    let mut foreign = asked(1);
    let host = foreign.fields.iter_mut().find(|(name, _)| name == "X-Forwarded-Host").unwrap();
    host.1 = "evil.example".to_owned();
    let (status, body) = answer(&mut client, multiplexed(&foreign, &url)).await;
    assert_eq!(status, 421, "{body}");
}

/// The service's answer names the fields that Envoy must remove: those that only Envoy may set, or
/// that claim the client's address. If Envoy itself wrote the field, it stays.
#[tokio::test]
async fn envoy_is_told_to_drop_what_steers_it_or_names_the_client() {
    let authz = envoy(|_| {}).await;
    let dropped = [
        "x-real-ip",
        "x-forwarded-port",
        "x-envoy-retry-on",
        "x-envoy-retry-grpc-on",
        "x-envoy-retriable-status-codes",
        "x-envoy-retriable-header-names",
        "x-envoy-max-retries",
        "x-envoy-hedge-on-per-try-timeout",
        "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-alt-stat-name",
    ];
    let kept = [
        "x-envoy-external-address",
        "x-envoy-internal",
        "x-envoy-attempt-count",
        "x-envoy-peer-metadata",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-real-ip-x",
    ];
    let all = dropped.iter().chain(&kept);
    let wire = all.fold(authz.signed(1, CALL), |wire, name| wire.with(name, "5"));
    let reply = authz.send(&whole(wire)).await;
    assert_eq!((reply.status, told(&reply)[0]), (200, "verified"));
    let removed: Vec<&str> =
        reply.header("x-envoy-auth-headers-to-remove").unwrap().split(',').collect();
    for name in dropped {
        assert!(removed.contains(&name), "{name}: {removed:?}");
    }
    for name in kept {
        assert!(!removed.contains(&name), "{name}: {removed:?}");
    }
    assert_eq!(removed.len(), dropped.len() + 2, "{removed:?}");
}
