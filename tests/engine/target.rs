//! Tests of request targets (RFC 9421 section 2.2), and of the origins of the server.

mod refused;

use mcpid::message::target::{Origin, Origins, Target, TargetError, is_loopback};
use mcpid::message::{Head, RequestTarget};

fn head(target: RequestTarget<'static>, hosts: &[&'static str]) -> Head<'static> {
    let method = if target == RequestTarget::Asterisk { "OPTIONS" } else { "POST" };
    let mut head = Head::new(method, target).unwrap();
    for host in hosts {
        head.push("Host", host.as_bytes()).unwrap();
    }
    head
}

fn origin_form(path: &'static str, host: &'static str) -> Head<'static> {
    head(RequestTarget::Origin(path.into()), &[host])
}

fn absolute(url: &'static str, hosts: &[&'static str]) -> Head<'static> {
    head(RequestTarget::Absolute(url.into()), hosts)
}

fn uri(url: &'static str) -> Head<'static> {
    head(RequestTarget::Uri(url.into()), &[])
}

fn ours(list: &[&str]) -> Origins {
    list.iter().map(|text| Origin::parse(text).unwrap()).collect()
}

fn resolved(origins: &Origins, head: &Head<'_>) -> String {
    origins.resolve(head).unwrap().target_uri()
}

fn refused(origins: &Origins, head: &Head<'_>) -> TargetError {
    origins.resolve(head).unwrap_err()
}

/// Returns the values of all derived components of a target.
fn row<'t>(t: &'t Target<'_>) -> (&'t str, &'t str, Option<&'t str>, Option<&'t str>, &'t str) {
    (t.scheme(), t.authority(), t.path(), t.query(), t.request_target())
}

#[test]
fn the_examples_of_rfc_9421_section_2_2() {
    let any = Origins::unknown();
    let head = absolute("https://www.example.com/path?param=value", &["www.example.com"]);
    let target = any.resolve(&head).unwrap();
    assert_eq!(target.target_uri(), "https://www.example.com/path?param=value");
    assert_eq!(
        row(&target),
        (
            "https",
            "www.example.com",
            Some("/path"),
            Some("param=value"),
            "https://www.example.com/path?param=value"
        )
    );
    let head = origin_form("/path?param=value", "www.example.com");
    let target = any.resolve(&head).unwrap();
    assert_eq!(target.target_uri(), "https://www.example.com/path?param=value");
    assert_eq!(target.request_target(), "/path?param=value");
    let head = self::head(RequestTarget::Asterisk, &["www.example.com"]);
    let target = any.resolve(&head).unwrap();
    assert_eq!(row(&target), ("https", "www.example.com", None, None, "*"));
    assert_eq!(target.target_uri(), "https://www.example.com");
    let head = origin_form("/path?param=value&foo=bar&baz=bat%2Dman", "www.example.com");
    let target = any.resolve(&head).unwrap();
    assert_eq!(target.query(), Some("param=value&foo=bar&baz=bat%2Dman"));
    let head = origin_form("/path?queryString", "www.example.com");
    assert_eq!(any.resolve(&head).unwrap().query(), Some("queryString"));
    let head = origin_form("/path", "www.example.com");
    assert_eq!(any.resolve(&head).unwrap().query(), None);
}

#[test]
fn path_and_query_stay_as_they_came() {
    let any = Origins::unknown();
    for path in [
        "/a/../b",
        "/./",
        "//evil/x",
        "/%7Euser",
        "/%7euser",
        "/a;b=c",
        "/a%2Fb",
        "/a\\b",
        "/A",
        "/mcp/",
        "/?",
        "/?a?b",
        "/?a=%41&&=",
        "/%zz",
        "/{x}|^`\"<>",
        "/http://b/c?d://e",
    ] {
        let origin = origin_form(path, "a.example");
        let wanted = format!("https://a.example{path}");
        assert_eq!(resolved(&any, &origin), wanted);
        assert_eq!(any.resolve(&origin).unwrap().request_target(), path);
        for target in [RequestTarget::Uri, RequestTarget::Absolute] {
            let head = Head::new("POST", target(wanted.clone().into())).unwrap();
            assert_eq!(resolved(&any, &head), wanted);
        }
    }
}

#[test]
fn only_scheme_and_authority_get_one_spelling() {
    let any = Origins::unknown();
    for (url, wanted) in [
        ("HTTPS://A.Example/P", "https://a.example/P"),
        ("https://a.example:443/", "https://a.example/"),
        ("http://a.example:80/", "http://a.example/"),
        ("http://a.example:443/", "http://a.example:443/"),
        ("https://a.example:80/", "https://a.example:80/"),
        ("https://a.example:/x", "https://a.example/x"),
        ("https://a.example", "https://a.example/"),
        ("https://a.example?q", "https://a.example/?q"),
        ("https://a.example?", "https://a.example/?"),
        ("https://[2001:DB8::1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
        ("https://192.0.2.7:8080/x", "https://192.0.2.7:8080/x"),
        ("https://a_b.example-1.com./x", "https://a_b.example-1.com./x"),
    ] {
        assert_eq!(resolved(&any, &uri(url)), wanted, "{url}");
    }
    // An empty path becomes a slash. The target on the request line keeps its spelling.
    let (known, sent) = (uri("https://a.example?q"), absolute("https://a.example?q", &[]));
    assert_eq!(any.resolve(&known).unwrap().request_target(), "/?q");
    assert_eq!(any.resolve(&known).unwrap().path(), Some("/"));
    assert_eq!(any.resolve(&sent).unwrap().request_target(), "https://a.example?q");
}

#[test]
fn without_origins_a_host_means_https_and_loopback_http() {
    let any = Origins::unknown();
    for (host, wanted) in [
        ("mcp.example.com", "https://mcp.example.com/"),
        ("MCP.example.com:443", "https://mcp.example.com/"),
        ("mcp.example.com:80", "https://mcp.example.com:80/"),
        ("localhost", "http://localhost/"),
        ("LOCALHOST:80", "http://localhost/"),
        ("localhost:443", "http://localhost:443/"),
        ("api.localhost:8080", "http://api.localhost:8080/"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000/"),
        ("127.9.9.9", "http://127.9.9.9/"),
        ("[::1]:3000", "http://[::1]:3000/"),
        ("[0:0:0:0:0:0:0:1]", "http://[0:0:0:0:0:0:0:1]/"),
        ("localhost.example", "https://localhost.example/"),
        ("notlocalhost", "https://notlocalhost/"),
        ("127.0.0.1.example", "https://127.0.0.1.example/"),
        ("[::2]", "https://[::2]/"),
        ("128.0.0.1", "https://128.0.0.1/"),
    ] {
        assert_eq!(resolved(&any, &origin_form("/", host)), wanted, "{host}");
    }
    assert!(is_loopback("LocalHost") && !is_loopback("") && !is_loopback("127.0.0.1:80"));
}

#[test]
fn with_origins_the_request_must_be_for_one_of_them() {
    let two = ours(&["https://mcp.example.com", "http://127.0.0.1:8080"]);
    for (host, wanted) in [
        ("mcp.example.com", "https://mcp.example.com/"),
        ("MCP.Example.com:443", "https://mcp.example.com/"),
        ("mcp.example.com:", "https://mcp.example.com/"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
    ] {
        assert_eq!(resolved(&two, &origin_form("/", host)), wanted, "{host}");
    }
    for host in [
        "evil.example",
        "mcp.example.com:8443",
        "mcp.example.com:80",
        "127.0.0.1",
        "localhost:8080",
        "mcp.example.com.",
        "xmcp.example.com",
        "mcp.example.co",
        "[::1]:8080",
    ] {
        let error = refused(&two, &origin_form("/", host));
        assert!(matches!(error, TargetError::NotOurs { .. }), "{host}: {error}");
    }
    assert_eq!(
        refused(&two, &origin_form("/", "evil.example")).to_string(),
        "the request is for \"evil.example\", \
         not for https://mcp.example.com, http://127.0.0.1:8080"
    );
    assert!(matches!(refused(&two, &origin_form("/", "a b")), TargetError::Host(_)));
}

#[test]
fn a_named_scheme_must_be_ours_too() {
    let one = ours(&["https://mcp.example.com"]);
    assert_eq!(resolved(&one, &uri("https://MCP.example.com:443/x")), "https://mcp.example.com/x");
    for head in [
        uri("http://mcp.example.com/x"),
        uri("https://mcp.example.com:444/x"),
        uri("https://evil.example/x"),
        absolute("http://mcp.example.com/x", &["mcp.example.com"]),
        absolute("https://evil.example/x", &["evil.example"]),
    ] {
        assert!(matches!(refused(&one, &head), TargetError::NotOurs { .. }), "{head:?}");
    }
}

#[test]
fn two_schemes_of_one_host_take_the_first() {
    let http_first = ours(&["http://a.example", "https://a.example"]);
    let https_first = ours(&["https://a.example", "http://a.example"]);
    assert_eq!(resolved(&http_first, &origin_form("/", "a.example")), "http://a.example/");
    assert_eq!(resolved(&https_first, &origin_form("/", "A.example")), "https://a.example/");
    // Of two configured origins that differ in the scheme, the port of the request selects one.
    assert_eq!(resolved(&http_first, &origin_form("/", "a.example:443")), "https://a.example/");
    assert_eq!(resolved(&https_first, &origin_form("/", "a.example:80")), "http://a.example/");
}

#[test]
fn values_derived_from_the_host_are_known_before_sending() {
    let any = Origins::unknown();
    for (url, follows) in [
        ("https://a.example/x", true),
        ("http://localhost:3000/x", true),
        ("http://[::1]/x", true),
        ("https://a.example:80/x", true),
        ("http://a.example/x", false),
        ("https://localhost/x", false),
        ("https://127.0.0.1:8443/x", false),
    ] {
        let known = uri(url);
        let target = any.resolve(&known).unwrap();
        assert_eq!(target.follows_from_host(), follows, "{url}");
        // The same request sent in origin form resolves to the same target.
        let mut sent =
            Head::new("POST", RequestTarget::Origin(target.request_target().into())).unwrap();
        sent.push("host", target.authority().as_bytes()).unwrap();
        assert_eq!(resolved(&any, &sent) == url, follows, "{url}");
    }
}
