//! Tests of commands that sign with a touch of a security key as well, with OpenSSH's software
//! security key.

use std::fs;

use serde_json::Value;

use crate::cli::{ends, out, with_keyfile_beside};
use crate::servers::OpenSsh;

const URL: [&str; 4] = ["--url", "https://mcp.example.com/mcp", "--format", "http"];

/// Starts an agent with a security key of this kind. Its folder has the keyfile of alice, and a
/// trust file that lists alice's key and the security key.
pub(crate) fn alice(kind: &str) -> OpenSsh {
    let (agent, _) = with_keyfile_beside(OpenSsh::start_with_security_keys());
    let file = agent.add_security_key(kind, "touch-of-alice", &["application=ssh:mcpid"]);
    let trusted = ["trust", "add", "-r", "trust.json"];
    ends(&agent.mcpid(&[&trusted[..], &["key.json"]].concat()), 0, "");
    let line = format!("{file}.pub");
    ends(&agent.mcpid(&[&trusted[..], &["--for", "alice", &line]].concat()), 0, "");
    agent
}

impl OpenSsh {
    /// Signs a request with these further flags, and writes it to `signed.http`.
    fn signs(&self, more: &[&str]) {
        let args = [&["sign", "-k", "key.json"][..], more, &URL, &["body.json"]].concat();
        let signed = self.mcpid(&args);
        ends(&signed, 0, "");
        fs::write(self.folder.path().join("signed.http"), &signed.stdout).unwrap();
    }

    fn verifies(&self, more: &[&str]) -> std::process::Output {
        self.mcpid(&[&["verify", "-r", "trust.json"][..], more, &["signed.http"]].concat())
    }
}

#[test]
fn a_touched_request_is_accepted_and_shows_its_touch() {
    for kind in
        if cfg!(feature = "p256") { &["ed25519-sk", "ecdsa-sk"][..] } else { &["ed25519-sk"] }
    {
        let agent = alice(kind);
        agent.signs(&["--touch", "ssh-agent:touch-of-alice"]);
        let verified = agent.verifies(&["--touch", "ping"]);
        ends(&verified, 0, "");
        let text = out(&verified);
        assert!(text.contains("touch    present, by "), "{text}");
        assert!(text.contains("(touch-of-alice), application ssh:mcpid, counter "), "{text}");
        let json: Value = serde_json::from_str(&out(&agent.verifies(&["--json"]))).unwrap();
        assert_eq!(json["key"]["name"], "alice");
        assert_eq!(json["label"], "mcp");
        assert_eq!(json["touch"]["label"], "touch");
        assert_eq!(json["touch"]["key"]["name"], "touch-of-alice");
        assert_eq!(json["touch"]["verified"], false);
        assert!(json["touch"]["counter"].is_u64());
        let inspected = out(&agent.mcpid(&["inspect", "signed.http"]));
        assert!(inspected.contains("claims present (flags 0x01), counter "), "{inspected}");
    }
}

#[test]
fn an_untouched_request_is_refused_where_a_touch_is_demanded() {
    let agent = alice("ed25519-sk");
    agent.signs(&[]);
    ends(&agent.verifies(&[]), 0, "");
    let refused = agent.verifies(&["--touch", "ping"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        out(&refused)
            .starts_with("rejected at step 11 (allowed): ping needs a touch: no security key has"),
        "{}",
        out(&refused)
    );
    assert!(String::from_utf8_lossy(&refused.stderr).contains("mcpid sign --touch ssh-agent:ID"));
    let json: Value =
        serde_json::from_str(&out(&agent.verifies(&["--touch", "p*", "--json"]))).unwrap();
    assert_eq!((&json["code"], &json["step"]), (&Value::from("touch_required"), &Value::from(11)));
    ends(&agent.verifies(&["--touch", "tools/call:delete_*"]), 0, "");
    // If the security key is revoked, its touch is not accepted: the request is still accepted,
    // except by a verifier that demands a touch.
    agent.signs(&["--touch", "ssh-agent:"]);
    ends(&agent.verifies(&["--touch", "ping"]), 0, "");
    ends(
        &agent.mcpid(&["trust", "revoke", "-r", "trust.json", "--at", "@0", "touch-of-alice"]),
        0,
        "",
    );
    ends(&agent.verifies(&[]), 0, "");
    assert_eq!(agent.verifies(&["--touch", "ping"]).status.code(), Some(1));
}

#[test]
fn flags_of_touches_are_refused_where_they_have_no_effect() {
    let agent = alice("ed25519-sk");
    agent.signs(&["--touch", "ssh-agent:"]);
    for (args, code, words) in [
        (
            &["sign", "--touch", "key.json", "-k", "key.json", "signed.http"][..],
            2,
            "in the ssh-agent: ssh-agent:ID",
        ),
        (
            &["sign", "--touch", "ssh-agent:carol", "-k", "key.json", "signed.http"],
            4,
            "no security key called carol",
        ),
        (
            &[
                "sign",
                "--touch",
                "ssh-agent:",
                "--profile",
                "sep2752",
                "-k",
                "key.json",
                "signed.http",
            ],
            2,
            "knows no touches",
        ),
        (
            &["sign", "--touch", "ssh-agent:", "--ttl", "10s", "-k", "key.json", "signed.http"],
            2,
            "--ttl of over 10s",
        ),
        (
            &["sign", "--touch", "ssh-agent:", "--label", "touch", "-k", "key.json", "signed.http"],
            2,
            "of the touch itself",
        ),
        (
            &["sign", "-k", "ssh-agent:touch-of-alice", "--touch", "ssh-agent:", "signed.http"],
            2,
            "--touch joins the signature of a key that is no security key",
        ),
        (
            &["sign", "-k", "ssh-agent:touch-of-alice", "--ttl", "10s", "signed.http"],
            2,
            "a security key needs a --ttl of over 10s",
        ),
        (
            &["sign", "-k", "ssh-agent:touch-of-alice", "--profile", "rfc9421", "signed.http"],
            4,
            "a security key cannot sign by the profile rfc9421",
        ),
        (
            &["sign", "-k", "ssh-agent:touch-of-alice", "--public-key", "key.json", "signed.http"],
            4,
            "and the public key that was given is",
        ),
        (
            &[
                "verify",
                "-r",
                "trust.json",
                "--touch",
                "ping",
                "--profile",
                "rfc9421",
                "signed.http",
            ],
            2,
            "knows no touches",
        ),
        (
            &["verify", "-r", "trust.json", "--touch", "destructive", "signed.http"],
            2,
            "list of tools",
        ),
        (&["verify", "-r", "trust.json", "--touch", "pong", "signed.http"], 2, "pong"),
        (
            &["trust", "add", "-r", "other.json", "--alone", "key.json"],
            2,
            "--alone is for a security key",
        ),
        (
            &["trust", "add", "-r", "other.json", "--for", "alice", "key.json"],
            2,
            "--for is for a security key",
        ),
        (
            &["trust", "add", "-r", "other.json", "--require-verified", "key.json"],
            2,
            "--require-verified is for",
        ),
        (&["export", "-k", "ssh-agent:touch-of-alice", "--format", "pem"], 2, "cannot say"),
    ] {
        ends(&agent.mcpid(args), code, words);
    }
}

#[test]
fn a_security_key_is_trusted_and_exported_from_the_agent() {
    let agent = alice("ed25519-sk");
    let add = ["trust", "add", "-r", "other.json", "--name", "t", "--alone", "--require-verified"];
    ends(&agent.mcpid(&[&add[..], &["ssh-agent:touch-of-alice"]].concat()), 0, "");
    let file: Value =
        serde_json::from_slice(&fs::read(agent.folder.path().join("other.json")).unwrap()).unwrap();
    let rules = &file["keys"][0]["mcpid"]["security_key"];
    let wanted = serde_json::json!({"application": "ssh:mcpid", "for": ["t"], "alone": true, "require": "verified"});
    assert_eq!(*rules, wanted);
    let listed = out(&agent.mcpid(&["trust", "list", "-r", "other.json"]));
    assert!(listed.contains("valid (security key for t, alone)"), "{listed}");
    let key = ["export", "-k", "ssh-agent:touch-of-alice", "--format"];
    let line = out(&agent.mcpid(&[&key[..], &["openssh"]].concat()));
    let written = fs::read_to_string(agent.folder.path().join("ed25519-sk-touch-of-alice.pub"));
    assert_eq!(line, written.unwrap());
    // The JWK set that `jwks` prints is also a trust file, and its entry says that the key is a
    // security key.
    let jwks = out(&agent.mcpid(&[&key[..], &["jwks"]].concat()));
    assert!(jwks.contains(r#""mcpid":{"security_key":{"application":"ssh:mcpid"}}"#), "{jwks}");
    fs::write(agent.folder.path().join("set.json"), jwks).unwrap();
    agent.signs(&["--touch", "ssh-agent:"]);
    let refused = agent.mcpid(&["verify", "-r", "set.json", "signed.http"]);
    assert_eq!(refused.status.code(), Some(1));
}
