//! Tests of rules by which the gateway or `mcpid authz` demands a touch of a security key: what
//! reaches the server, what a refused client gets, what the log says, and which flags are refused.

use std::fs;
use std::sync::Arc;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::tower::{LearningModes, Modes, TouchRules};
use mcpid::verify::Verifier;
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::authz::{envoy, told, whole};
use crate::program::program;
use crate::servers::{CALL, LIST, TestGateway, TestUpstream, Wire, key};
use crate::software_key::SoftwareKey;

fn touch_key() -> SoftwareKey {
    SoftwareKey::new(SecretKey::from_seed(b"a seed of the gateway's touches."))
}

pub(crate) fn rules() -> TouchRules {
    TouchRules::new().with_pattern("tools/call:delete_*".parse().unwrap())
}

/// Returns a trust file with alice (key 1), bob (key 2), and alice's security key.
fn trusted() -> Vec<u8> {
    let named = |number: u8, name: &str| {
        let mut jwk: Value =
            serde_json::from_str(&format::jwk(key(number).public(), None)).unwrap();
        jwk["mcpid"] = json!({"name": name});
        jwk
    };
    let touching = touch_key().entry("security key", &json!({"for": ["alice"]}));
    json!({"keys": [named(1, "alice"), named(2, "bob"), touching]}).to_string().into_bytes()
}

/// Replaces the gateway's trusted keys by those of this trust file.
pub(crate) fn trusting(gateway: &TestGateway, trust: &[u8]) {
    let old = gateway.handle.verifier();
    let origins = Origins::new([Origin::parse(&format!("http://{}", gateway.address)).unwrap()]);
    let registry = Arc::new(Registry::merge([TrustFile::parse(trust).unwrap()]));
    let replay = old.replay().clone();
    let verifier = Verifier::new(Profile::mcp(), registry, origins, Arc::new(SystemClock), replay);
    gateway.handle.replace(verifier).unwrap();
}

/// Signs `wire` for `url` with key `number`, and adds a signature of `toucher` that confirms it.
fn touched(wire: Wire, url: &str, number: u8, toucher: &SoftwareKey) -> Wire {
    let mut head = Head::new("POST", RequestTarget::from_url(url.to_owned()).unwrap()).unwrap();
    for (name, value) in &wire.fields {
        head.push(name.clone(), value.as_bytes().to_vec()).unwrap();
    }
    let signer = Signer::new(key(number), &Profile::mcp()).unwrap();
    let (nonce, any) = (Nonce::generate(&mut SysRng).unwrap(), Origins::unknown());
    let first = signer.sign(&head, &any, &wire.body, SystemClock.now(), &nonce).unwrap();
    let both = signer.sign_touch(toucher, &head, &any, &first).unwrap();
    let fields: Vec<_> = both.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    Wire { fields: [wire.fields, fields].concat(), ..wire }
}

pub(crate) async fn start_gateway(behind: &TestUpstream, modes: Modes) -> TestGateway {
    let gateway = TestGateway::with(behind, Default::default(), |mut config| {
        config.modes = LearningModes::new(modes);
        config.touch = rules();
        config
    })
    .await;
    trusting(&gateway, &trusted());
    gateway
}

#[tokio::test]
async fn the_server_is_told_of_a_touch_and_a_client_cannot_tell_it() {
    let behind = TestUpstream::new().await;
    for modes in [Modes::strict(), Modes::permissive()] {
        let gateway = start_gateway(&behind, modes).await;
        let url = gateway.url("/mcp");
        let wire = gateway.plain(CALL).with("Mcpid-Touch", "verified");
        let reply = gateway.send(&touched(wire, &url, 1, &touch_key())).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let got = behind.got().pop().unwrap();
        assert_eq!(got.header("mcpid-touch"), Some("present"));
        assert_eq!(got.header("mcpid-name"), Some("alice"));
        let mut by_pin = touch_key();
        by_pin.flags = 0x05;
        let reply = gateway.send(&touched(gateway.plain(CALL), &url, 1, &by_pin)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(behind.got().pop().unwrap().header("mcpid-touch"), Some("verified"));
        // If no security key confirms a request, the upstream gets no `Mcpid-Touch`, even if the
        // client sends one.
        let list = gateway.plain(LIST).with("Mcpid-Touch", "present").sign(1, &url);
        assert_eq!(gateway.send(&list).await.status, 200);
        assert_eq!(behind.got().pop().unwrap().header("mcpid-touch"), None);

        let reached = behind.got().len();
        for (what, wire) in [
            ("untouched", gateway.signed(1, CALL)),
            ("of bob", touched(gateway.plain(CALL), &url, 2, &touch_key())),
        ] {
            let reply = gateway.send(&wire).await;
            assert_eq!((reply.status, reply.reason().as_str()), (403, "touch_required"), "{what}");
            assert!(!reply.head.to_lowercase().contains("accept-signature"), "{reply:?}");
        }
        assert_eq!(gateway.send(&gateway.plain(CALL)).await.reason(), "signature_missing");
        assert_eq!(behind.got().len(), reached);

        let lines = gateway.lines(6).await;
        let touch = lines[0].touch.as_ref().unwrap();
        assert_eq!(touch.id.as_str(), touch_key().secret.public().id().as_str());
        assert_eq!(touch.name.as_ref().unwrap().as_str(), "security key");
        assert_eq!((touch.verified, touch.counter), (false, 7));
        assert!(lines[1].touch.as_ref().unwrap().verified && lines[2].touch.is_none());
        assert_eq!(lines[3].code.map(|code| code.as_str()), Some("touch_required"));
        assert!(lines[3].hint.as_ref().unwrap().as_str().contains("connect --touch"));
        assert!(lines[3].touch.is_none() && lines[3].key.is_none());
        // The line of a refusal names the key only if its signature is valid.
        let signer = |n: usize| Some(lines[n].signer.as_ref()?.name.as_ref()?.as_str().to_owned());
        assert_eq!([3, 4, 5].map(signer), [Some("alice".into()), Some("bob".into()), None]);
        let fault = |n: usize| lines[n].touch_fault.as_ref().map(|word| word.as_str());
        assert_eq!([0, 2, 3, 4, 5].map(fault), [None, None, Some("absent"), Some("not_for"), None]);
        let text = gateway.metrics.text(mcpid::clock::Timestamp::default());
        for sample in [
            r#"mcpid_touches_total{touch="present"} 1"#,
            r#"mcpid_touches_total{touch="verified"} 1"#,
            r#"code="touch_required",answer="4xx"} 2"#,
        ] {
            assert!(text.contains(sample), "{text}");
        }
        // A log line that is parsed again has the same touch.
        let again = mcpid::gateway::log::LogLine::parse(lines[0].to_line().as_bytes()).unwrap();
        assert_eq!(again.touch.as_ref(), Some(touch));
    }
}

#[tokio::test]
async fn an_authorizer_tells_the_proxy_of_a_touch() {
    let authz = envoy(|config| config.touch = rules()).await;
    trusting(&authz, &trusted());
    let url = authz.url("/mcp");
    let reply = authz.send(&whole(touched(authz.plain(CALL), &url, 1, &touch_key()))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let [status, _, _, name, _, touch] = told(&reply);
    assert_eq!((status, name, touch), ("verified", "alice", "present"));
    assert_eq!(reply.header("x-envoy-auth-headers-to-remove"), Some("mcpid-reason"));
    let reply = authz.send(&whole(authz.signed(1, CALL))).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "touch_required"));
    // If the proxy does not show the body, the request could be any call, and so one that needs a
    // touch of a security key.
    let reply = authz.send(&authz.signed(1, LIST)).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "body_unseen"));
    let reply = authz.send(&whole(authz.signed(1, LIST))).await;
    assert_eq!((reply.status, told(&reply)[5]), (200, ""));
    let posing = whole(authz.plain(LIST).with("Mcpid-Touch", "present").sign(1, &url));
    assert_eq!(authz.send(&posing).await.status, 400);
}

/// Runs `gateway` or `authz` with these flags and `--check-config`. Returns the exit code and both
/// outputs.
fn checked(folder: &tempfile::TempDir, flags: &[&str]) -> (Option<i32>, String) {
    fs::write(folder.path().join("trust.json"), trusted()).unwrap();
    let mut command = program();
    command.current_dir(folder.path()).args(flags).args([
        "--check-config",
        "-r",
        "trust.json",
        "--nonces",
        "memory:",
    ]);
    let output = command.args(["--origin", "https://mcp.example.com"]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn flags_about_touches_that_cannot_hold_are_refused_and_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = ["gateway", "--upstream", "http://127.0.0.1:1/mcp"];
    let authz = ["authz", "--listen", "127.0.0.1:9001"];
    for (command, flags, words) in [
        (&gateway[..], &["--touch", "delete_db"][..], "names no MCP method"),
        (&gateway, &["--touch", "tools/cal:x"], "--touch"),
        (&gateway, &["--touch", "destructiv"], "--touch destructive"),
        (&gateway, &["--touch", ""], "--touch"),
        (&gateway, &["--touch", "destructive", "--profile", "sep2752"], "knows no security keys"),
        (&gateway, &["--touch", "tools/call", "--permissive", "tools/call"], "it is --touch too"),
        (
            &gateway,
            &["--mode", "permissive", "--touch", "tools/call", "--strict", "tools/call"],
            "it is --touch too",
        ),
        (&authz, &["--touch", "destructive"], "--touch destructive needs --tools"),
        (&authz, &["--touch", "tools/call", "--profile", "sep2752"], "knows no security keys"),
    ] {
        let (code, text) = checked(&folder, &[command, flags].concat());
        assert_eq!(code, Some(2), "{flags:?}: {text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let flags = ["--mode", "permissive", "--touch", "tools/call:delete_*"];
    let (code, text) = checked(&folder, &[&gateway[..], &flags].concat());
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "touch        tools/call:delete_*: tools/call, of such a name",
        "@response and tasks/update, since they can approve a tools/call",
        "(security key), a security key for alice",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    // The configuration file has the same rule, wrongly written. The error names its line.
    let file = folder.path().join("gateway.toml");
    fs::write(&file, "mode = \"permissive\"\ntouch = [\"tools/cal:x\"]\n").unwrap();
    let flags = ["--config", "gateway.toml"];
    let (code, text) = checked(&folder, &[&gateway[..], &flags].concat());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("gateway.toml: line 2: --touch"), "{text}");
}
