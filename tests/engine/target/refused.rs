//! Tests of targets and hosts that are refused.

use mcpid::message::target::{Origin, Origins, TargetError, UriError};
use mcpid::message::{Head, RequestTarget};
use proptest::prelude::*;

use super::{absolute, head, origin_form, ours, refused, resolved, uri};

#[test]
fn the_host_field_must_agree_with_the_target() {
    let any = Origins::unknown();
    for host in ["a.example", "A.EXAMPLE", "a.example:443"] {
        let head = head(RequestTarget::Absolute("https://a.example/x".into()), &[host]);
        assert_eq!(resolved(&any, &head), "https://a.example/x");
    }
    for host in ["b.example", "a.example:80", "a.example."] {
        for form in [RequestTarget::Absolute, RequestTarget::Uri] {
            let error = refused(&any, &head(form("https://a.example/x".into()), &[host]));
            assert!(matches!(error, TargetError::HostDisagrees { .. }), "{host}: {error}");
        }
    }
    let error = refused(&any, &absolute("https://a.example/x", &["b.example"]));
    assert_eq!(
        error.to_string(),
        "the target is for \"a.example\", the host field says \"b.example\""
    );
}

#[test]
fn a_request_has_exactly_one_host_field() {
    let any = Origins::unknown();
    let path = || RequestTarget::Origin("/".into());
    assert_eq!(refused(&any, &head(path(), &[])), TargetError::HostMissing);
    assert_eq!(refused(&any, &head(RequestTarget::Asterisk, &[])), TargetError::HostMissing);
    for target in [path(), RequestTarget::Uri("https://a.example/".into())] {
        let twice = head(target, &["a.example", "a.example"]);
        assert_eq!(refused(&any, &twice), TargetError::HostRepeated);
    }
}

#[test]
fn odd_hosts_are_refused_wherever_they_stand() {
    let any = Origins::unknown();
    for host in [
        "",
        ":80",
        "a b",
        "a..b",
        ".a",
        "..",
        "a/b",
        "a?b",
        "a%41.example",
        "%61",
        "a,b",
        "a\\b",
        "ä.example",
        "user@a.example",
        "user:pw@a.example",
        "[::1",
        "::1",
        "[::1]x",
        "[]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "127.0.0.01",
        "127.0.0.256",
        "1.2.3.4.5",
        "127.0.0.1.",
        "a.0x",
        "a!b",
        "a*b",
        "a:b:80",
        "a.example:0",
        "a.example:080",
        "a.example:65536",
        "a.example:+80",
        "a.example:-1",
        "a.example:8a",
        "a.example: 80",
        "a.example:99999999999999999999",
        "a.example:٣",
    ] {
        let mut head = Head::new("GET", RequestTarget::Origin("/".into())).unwrap();
        head.push("host", host.as_bytes()).unwrap();
        assert!(matches!(refused(&any, &head), TargetError::Host(_)), "{host:?}");
        let url = format!("https://{host}");
        if !host.contains(['/', '?']) {
            assert!(Origin::parse(&url).is_err(), "{url:?}");
            assert!(RequestTarget::from_url(format!("{url}/x")).is_err(), "{url:?}");
        }
    }
    // A `Host` field that is not UTF-8 is refused.
    let mut head = Head::new("GET", RequestTarget::Origin("/".into())).unwrap();
    head.push("host", &b"a\xff.example"[..]).unwrap();
    assert!(matches!(refused(&any, &head), TargetError::Host(_)));
}

#[test]
fn odd_targets_are_refused() {
    let any = Origins::unknown();
    for path in ["", "x", "a.example:80", "?x", "\\", "http", "*x"] {
        let error = refused(&any, &origin_form(path, "a.example"));
        assert!(matches!(error, TargetError::Form(_)), "{path:?}: {error}");
    }
    for path in ["/ä", "/a b", "/a\tb", "/a\nb", "/\0", "/\u{7f}", "/a#b", "/#"] {
        let error = refused(&any, &origin_form(path, "a.example"));
        assert!(matches!(error, TargetError::Uri(_)), "{path:?}: {error}");
    }
    for url in [
        "",
        "/",
        "a.example/x",
        "ftp://a.example/",
        "https:a.example",
        "https:/a.example/",
        "https//a.example",
        "ws://a.example/",
        "://a.example",
        " https://a.example/",
        "https://a.example\\@b.example/",
        "https://a.example/ x",
        "https://ä.example/",
        "javascript://a.example/",
        "https:///x",
        "https://?x",
        "httpsx://a.example/",
    ] {
        assert!(matches!(refused(&any, &uri(url)), TargetError::Uri(_)), "{url:?}");
        assert!(RequestTarget::from_url(url).is_err(), "{url:?}");
    }
    let mut star = Head::new("POST", RequestTarget::Asterisk).unwrap();
    star.push("host", &b"a.example"[..]).unwrap();
    assert_eq!(refused(&any, &star), TargetError::Form("*".into()));
}

#[test]
fn a_bad_url_to_sign_is_refused_with_the_reason() {
    let wrong = |url: &'static str| RequestTarget::from_url(url).unwrap_err();
    assert_eq!(wrong("https://a.example/x#y"), UriError::Fragment);
    assert_eq!(wrong("https://a.example#"), UriError::Fragment);
    assert_eq!(wrong("https://u:p@a.example/"), UriError::UserInfo);
    assert_eq!(wrong("https://a.example:99999/"), UriError::Port("99999".into()));
    assert_eq!(wrong("https://a%2eb/"), UriError::Host("a%2eb".into()));
    assert_eq!(wrong("mcp.example.com/x"), UriError::Scheme("mcp.example.com/x".into()));
    assert_eq!(wrong("https://a.example/ä"), UriError::Character { at: 19, byte: 0xc3 });
    assert_eq!(
        RequestTarget::from_url("https://a.example?x").unwrap(),
        RequestTarget::Uri("https://a.example/?x".into())
    );
    assert_eq!(
        RequestTarget::from_url("https://A.example:443/../x?").unwrap(),
        RequestTarget::Uri("https://A.example:443/../x?".into())
    );
}

#[test]
fn an_origin_is_no_more_than_an_origin() {
    assert_eq!(
        Origin::parse("HTTPS://MCP.Example.com:443").unwrap().to_string(),
        "https://mcp.example.com"
    );
    assert_eq!(Origin::parse("http://[::1]:8080").unwrap().authority(), "[::1]:8080");
    assert_eq!(Origin::parse("https://a.example:8443").unwrap().authority(), "a.example:8443");
    for text in ["https://a.example/", "https://a.example/x", "https://a.example?"] {
        assert_eq!(Origin::parse(text).unwrap_err(), UriError::NotAnOrigin, "{text}");
    }
    for text in ["a.example", "", "null", "https://", "https://a.example#", "wss://a.example"] {
        assert!(Origin::parse(text).is_err(), "{text}");
    }
}

#[test]
fn errors_stay_short_for_any_target() {
    let long = "a".repeat(60_000);
    let head = Head::new("GET", RequestTarget::Uri(long.clone().into())).unwrap();
    assert!(refused(&Origins::unknown(), &head).to_string().len() < 200);
    let mut head = Head::new("GET", RequestTarget::Origin("/".into())).unwrap();
    head.push("host", long.as_bytes()).unwrap();
    assert!(refused(&ours(&["https://a.example"]), &head).to_string().len() < 300);
}

proptest! {
    #[test]
    fn no_target_makes_the_resolver_panic(target in any::<String>(), host in any::<Vec<u8>>()) {
        for target in [
            RequestTarget::Origin(target.as_str().into()),
            RequestTarget::Absolute(target.as_str().into()),
            RequestTarget::Uri(format!("https://{target}").into()),
        ] {
            let mut head = Head::new("GET", target).unwrap();
            let _ = head.push("host", host.as_slice());
            let _ = Origins::unknown().resolve(&head);
            let _ = ours(&["https://a.example"]).resolve(&head);
        }
        let _ = Origin::parse(&target);
    }

    /// Resolving a resolved target changes nothing, so that there is only one spelling of it.
    #[test]
    fn a_resolved_target_resolves_to_itself(
        scheme in "https?|HTTPS?",
        host in "[a-zA-Z][a-zA-Z0-9.-]{0,12}|\\[::[0-9a-fA-F]{1,4}\\]|[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.1",
        port in "|:|:[1-9][0-9]{0,4}|:80|:443",
        rest in "[!-~]{0,20}",
    ) {
        let url = format!("{scheme}://{host}{port}/{rest}");
        if let Ok(target) = RequestTarget::from_url(url) {
            let head = Head::new("GET", target).unwrap();
            let origins = Origins::unknown();
            let once = resolved(&origins, &head);
            let again = Head::new("GET", RequestTarget::from_url(once.as_str()).unwrap()).unwrap();
            prop_assert_eq!(resolved(&origins, &again), once.clone());
            let tail = format!("/{rest}");
            prop_assert!(once.ends_with(&tail));
        }
    }
}
