//! Tests of the URLs of nonce stores: each text is either parsed exactly or refused, and no output
//! shows a user name or password.

use std::path::Path;

use mcpid::nonce::url::{RedisUrl, StoreUrl, StoreUrlError, Topology};
use proptest::prelude::*;

fn redis(text: &str) -> RedisUrl {
    match StoreUrl::parse(text) {
        Ok(StoreUrl::Redis(url)) => url,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn urls_of_memory_and_sqlite_are_read() {
    assert_eq!(StoreUrl::parse("memory:"), Ok(StoreUrl::Memory { max: None }));
    assert_eq!(StoreUrl::parse("memory:?max=8"), Ok(StoreUrl::Memory { max: Some(8) }));
    for path in ["nonces.db", "/var/lib/mcpid/nonces.db", "a b:c%20.db", "-", "/", ":memory:"] {
        let path_of = StoreUrl::parse(&format!("sqlite:{path}")).unwrap();
        assert_eq!(path_of, StoreUrl::Sqlite { path: path.into() });
        assert_eq!(path_of.to_string(), format!("sqlite:{path}"));
    }
    for text in ["sqlite:", "sqlite:///a/b", "sqlite://host/a", "sqlite:a?mode=ro", "sqlite:a\0b"] {
        assert_eq!(StoreUrl::parse(text), Err(StoreUrlError::Sqlite), "{text}");
    }
    for text in [
        "memory:?max=7",
        "memory:?max=+9",
        "memory:?max=",
        "memory:?max=9&max=9",
        "memory:?min=9",
        "memory:x",
        "memory:?max=99999999999999999999999",
    ] {
        assert_eq!(StoreUrl::parse(text), Err(StoreUrlError::Memory), "{text}");
    }
    for text in ["", "memory", "sqlite", "nonces.db", "Memory:", "SQLITE:a", " memory:", "file:a"] {
        assert_eq!(StoreUrl::parse(text), Err(StoreUrlError::Scheme), "{text}");
    }
}

#[test]
fn every_form_of_a_redis_url_is_read() {
    let url = redis("redis://localhost");
    assert!(!url.tls);
    assert_eq!(url.topology, Topology::Single);
    assert_eq!((url.addresses[0].host.as_str(), url.addresses[0].port), ("localhost", 6379));
    assert_eq!((url.database, url.user, url.password.is_none()), (0, None, true));

    let url = redis("rediss://alice@redis.example.com:7000/3?prefix=prod&ca=/etc/ca%20file.pem");
    assert!(url.tls);
    assert_eq!((url.addresses[0].port, url.database), (7000, 3));
    assert_eq!(url.user.as_deref(), Some("alice"));
    assert_eq!(url.prefix.as_deref(), Some("prod"));
    assert_eq!(url.ca.as_deref(), Some(Path::new("/etc/ca file.pem")));

    let url = redis("redis://al%40ice:p%3a%2F%C3%A9@[::1]:7000/");
    assert_eq!(url.addresses[0].host, "::1");
    assert_eq!(url.user.as_deref(), Some("al@ice"));
    assert_eq!(url.password.unwrap().as_str(), "p:/é");
    let url = redis("redis://:secret@[::1]");
    assert_eq!((url.user, url.password.unwrap().as_str()), (None, "secret"));

    let url = redis("redis+cluster://h1:7000,h2:7001,[2001:db8::1]:7002?prefix=x");
    assert_eq!(url.topology, Topology::Cluster);
    let ports: Vec<_> = url.addresses.iter().map(|a| a.port).collect();
    assert_eq!(ports, [7000, 7001, 7002]);

    let url = redis("rediss+sentinel://u@s1,s2:26380/my%20master/2");
    assert!(url.tls);
    assert_eq!(url.topology, Topology::Sentinel { master: "my master".to_owned() });
    assert_eq!((url.addresses[0].port, url.addresses[1].port, url.database), (26379, 26380, 2));
}

#[test]
fn a_shown_url_can_be_read_again() {
    for text in [
        "memory:?max=100",
        "redis://localhost:6379",
        "rediss://h:1/3?prefix=prod:&ca=/etc/ca%20file.pem",
        "redis+cluster://h1:7000,[2001:db8::1]:7001",
        "rediss+sentinel://s1:26379,s2:26380/my%20master/2?ca=c%26a",
    ] {
        let url = StoreUrl::parse(text).unwrap();
        assert_eq!(url.to_string(), text);
        assert_eq!(StoreUrl::parse(&url.to_string()), Ok(url));
    }
}

#[test]
fn other_urls_are_refused() {
    for text in [
        "redis:localhost",
        "redis:/localhost",
        "redis+unix:///run/redis.sock",
        "redis+clusters://h:1",
        "redis+://h:1",
        "REDIS://h",
        "valkey://h",
        "redis://",
        "redis:///0",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:+1",
        "redis://h:",
        "redis://h:1:2",
        "redis://h1,h2",
        "redis://h/x",
        "redis://h/+1",
        "redis://h/1/2",
        "redis://h/99999999999",
        "redis://h//",
        "redis://h h",
        "redis://hé",
        "redis://h%41",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[h]",
        "redis://@h",
        "redis://u:@h",
        "redis://:@h",
        "redis://a@b@h",
        "redis://u%@h",
        "redis://u%4@h",
        "redis://u%zz@h",
        "redis://u%ff@h",
        "redis://u%00@h",
        "redis://h#fragment",
        "redis://h?",
        "redis://h?prefix",
        "redis://h?prefix=",
        "redis://h?prefix=a&prefix=b",
        "redis://h?prefix=a%20b",
        "redis://h?prefix={a}",
        "redis://h?ca=file",
        "rediss://h?ca=",
        "redis://h?db=3",
        "redis://h?prefix=a&",
        "redis+cluster://h:1,",
        "redis+cluster://,h:1",
        "redis+cluster://h:1/0",
        "redis+sentinel://h:1",
        "redis+sentinel://h:1/",
        "redis+sentinel://h:1//2",
        "redis+sentinel://h:1/m/x",
        "redis+sentinel://h:1/m/1/2",
    ] {
        assert!(StoreUrl::parse(text).is_err(), "{text}");
    }
    let long = |n: usize| format!("redis+cluster://{}", vec!["h"; n].join(","));
    assert!(StoreUrl::parse(&long(32)).is_ok());
    assert!(StoreUrl::parse(&long(33)).is_err());
    assert!(StoreUrl::parse(&long(1_000_000)).is_err());
}

#[test]
fn errors_about_a_url_never_show_its_user_info() {
    for (text, secret) in [
        ("redis://hidden@h/1", false),
        ("redis://hidden:hidden@h", true),
        ("redis://:hidden@h?prefix=p", true),
        ("rediss+sentinel://hidden:hidden@h/m", true),
    ] {
        let url = StoreUrl::parse(text).unwrap();
        assert_eq!(url.holds_password(), secret);
        for shown in [url.to_string(), format!("{url:?}"), format!("{url:#?}")] {
            assert!(!shown.contains("hidden"), "{shown}");
        }
    }
    for text in [
        "redis://hidden:hidden@h:x",
        "redis://hidden:hidden@h?hidden=1",
        "hidden://hidden:hidden@h",
        "redis+hidden://hidden@h",
        "redis://hidden%@h",
        "redis://hidden@hidden@h",
    ] {
        let error = StoreUrl::parse(text).unwrap_err();
        assert!(!error.to_string().contains("hidden") && !format!("{error:?}").contains("hidden"));
    }
}

proptest! {
    /// No text makes the parser panic. A parsed URL is printed in a form that parses to the same
    /// value.
    #[test]
    fn any_text_is_read_or_refused(
        scheme in "(redis|rediss)?(\\+cluster|\\+sentinel)?(://|:)?|memory:|sqlite:",
        rest in "[a-z0-9:@/?&=%,.\\[\\]\\PC]{0,40}",
        tail in "(/m)?(/[0-9])?(\\?prefix=[a-z%0-9]{1,6})?",
    ) {
        if let Ok(mut url) = StoreUrl::parse(&format!("{scheme}{rest}{tail}")) {
            let again = StoreUrl::parse(&url.to_string());
            if let StoreUrl::Redis(redis) = &mut url {
                (redis.user, redis.password) = (None, None);
            }
            prop_assert_eq!(again, Ok(url));
        }
    }
}
