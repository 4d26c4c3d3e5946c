//! Tests of `--trusted-proxy`: which proxies may report a client's address to the gateway.

use mcpid::gateway::{TrustedProxy, TrustedProxyError};

use crate::program::Running;
use crate::servers::{CALL, TestGateway, TestUpstream};

async fn trusting(behind: &TestUpstream, proxies: &[&str]) -> TestGateway {
    TestGateway::with(behind, Default::default(), |mut config| {
        config.trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        config
    })
    .await
}

/// Returns the client's address, as the log and the upstream get it.
async fn address(
    gateway: &TestGateway,
    behind: &TestUpstream,
    lines: &[&str],
    count: usize,
) -> (String, Option<String>) {
    let mut wire = gateway.signed(1, CALL);
    for line in lines {
        wire = wire.with("X-Forwarded-For", line);
    }
    let reply = gateway.send(&wire).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let got = behind.got().pop().unwrap();
    let told: Vec<_> = got.headers.get_all("x-forwarded-for").iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].to_str().unwrap().to_owned();
    let line = gateway.lines(count).await.pop().unwrap();
    let peer = line.peer.unwrap().as_str().to_owned();
    match line.via {
        Some(via) => {
            assert_eq!(peer, told);
            (told, Some(via.as_str().to_owned()))
        }
        None => {
            assert!(peer.starts_with("127.0.0.1:"), "{peer}");
            assert_eq!(told, "127.0.0.1");
            (told, None)
        }
    }
}

#[tokio::test]
async fn the_address_is_read_from_the_right_past_trusted_proxies() {
    let behind = TestUpstream::new().await;
    let gateway = trusting(&behind, &["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]).await;
    for (at, (lines, wanted)) in [
        (&["203.0.113.7"][..], "203.0.113.7"),
        (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (&["198.51.100.1, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (&["203.0.113.7, 10.1.2.3", "2001:db8::1,\t127.0.0.1"], "203.0.113.7"),
        (&["203.0.113.7:4711"], "203.0.113.7"),
        (&["[2001:db9::7]:4711"], "2001:db9::7"),
        (&["[2001:db9::7]"], "2001:db9::7"),
        (&["2001:DB9:0::7"], "2001:db9::7"),
        (&["::ffff:203.0.113.7"], "203.0.113.7"),
        (&["203.0.113.7, ::ffff:10.1.2.3"], "203.0.113.7"),
        (&["rubbish, 203.0.113.7"], "203.0.113.7"),
        // The field has no address, or an unreadable part before the first trusted address. The
        // connection's own address is used.
        (&[], ""),
        (&[""], ""),
        (&["10.1.2.3"], ""),
        (&["203.0.113.7, rubbish"], ""),
        (&["203.0.113.7, "], ""),
        (&["203.0.113.7,, 10.1.2.3"], ""),
        (&["unknown"], ""),
        (&["_hidden"], ""),
        (&["203.0.113"], ""),
        (&["203.0.113.007"], ""),
        (&["fe80::1%eth0"], ""),
        (&["for=203.0.113.7"], ""),
        (&["203.0.113.7 10.1.2.3"], ""),
        (&["203.0.113.7", "rubbish"], ""),
    ]
    .into_iter()
    .enumerate()
    {
        let (told, via) = address(&gateway, &behind, lines, at + 1).await;
        match wanted {
            "" => assert_eq!((told.as_str(), via), ("127.0.0.1", None), "{lines:?}"),
            wanted => {
                assert_eq!(told, wanted, "{lines:?}");
                assert!(via.unwrap().starts_with("127.0.0.1:"), "{lines:?}");
            }
        }
    }
    let forged = gateway
        .signed(1, CALL)
        .with("Forwarded", "for=203.0.113.9")
        .with("X-Real-IP", "203.0.113.9");
    assert_eq!(gateway.send(&forged).await.status, 200);
    assert_eq!(behind.got().pop().unwrap().header("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn forwarded_addresses_of_an_untrusted_peer_are_ignored() {
    let behind = TestUpstream::new().await;
    for proxies in [&[][..], &["127.0.0.2"], &["10.0.0.0/8"], &["::1"], &["unix"], &["128.0.0.0/1"]]
    {
        let gateway = trusting(&behind, proxies).await;
        let (told, via) = address(&gateway, &behind, &["203.0.113.7"], 1).await;
        assert_eq!((told.as_str(), via), ("127.0.0.1", None), "{proxies:?}");
    }
    for proxy in
        ["127.0.0.0/8", "0.0.0.0/1", "127.0.0.1/32", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"]
    {
        let gateway = trusting(&behind, &[proxy]).await;
        let (told, via) = address(&gateway, &behind, &["203.0.113.7"], 1).await;
        assert_eq!((told.as_str(), via.is_some()), ("203.0.113.7", true), "{proxy}");
    }
}

#[test]
fn a_trusted_proxy_value_that_is_no_address_is_an_error() {
    use TrustedProxyError::{Everyone, Form};
    let parse = |text: &str| text.parse::<TrustedProxy>();
    for text in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0:0/96", "::ffff:10.0.0.0/96"] {
        assert_eq!(parse(text), Err(Everyone), "{text}");
    }
    for text in [
        "",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0 /8",
        " 10.0.0.0/8",
        "10.0.0.0/255.0.0.0",
        "2001:db8::/129",
        "Unix",
        "unix:",
        "unix:/run/x",
        "localhost",
        "*",
        "any",
        "010.0.0.0/8",
        "::ffff:10.0.0.0/80",
        "10.0.0.1:80",
        "fe80::1%lo",
        "[::1]",
        "10.0.0.0-10.0.0.9",
    ] {
        assert_eq!(parse(text), Err(Form), "{text}");
    }
    let slip = parse("10.1.2.3/8").unwrap_err();
    assert_eq!(
        slip.to_string(),
        "10.1.2.3 is not the first address of its /8: 10.0.0.0/8, or 10.1.2.3 alone?"
    );
    assert!(parse("2001:db8::1/32").is_err());
    for text in ["10.0.0.0/8", "10.1.2.3", "10.1.2.3/32", "::1", "::1/128", "fc00::/7", "unix"] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

/// The gateway refuses to start if `--trusted-proxy` trusts every address, or names only proxies
/// that cannot connect to `--listen`.
#[test]
fn the_proxy_flag_must_fit_the_address_that_the_gateway_listens_on() {
    let folder = tempfile::tempdir().unwrap();
    let socket = format!("unix:{}", folder.path().join("s").display());
    let common = ["--upstream", "http://127.0.0.1:9/mcp", "--origin", "https://mcp.example.com"];
    let check = |listen: &str, proxy: &str| {
        let args = [&common[..], &["--check-config", "--trusted-proxy", proxy]].concat();
        Running::fails(&folder, listen, &args)
    };
    for (listen, proxy, words) in [
        (
            "127.0.0.1:0",
            "0.0.0.0/0",
            "a network of all addresses would let any client name another",
        ),
        ("127.0.0.1:0", "unix", "--trusted-proxy names no proxy that can connect to --listen"),
        (&socket, "127.0.0.1", "hint: --trusted-proxy unix"),
    ] {
        let (code, said) = check(listen, proxy);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    for (listen, proxy) in [("127.0.0.1:0", "10.0.0.0/8"), (&socket, "unix")] {
        let (code, said) = check(listen, proxy);
        assert_eq!(code, 0, "{said}");
    }
}
