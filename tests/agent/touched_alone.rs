//! Tests of requests that only a security key signs, and of touches in a bridge.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::bridge::RunningBridge;
use crate::cli::{ends, out};
use crate::home::command_in;
use crate::servers::{OpenSsh, script};
use crate::touched::alice;

const SIGN: [&str; 7] = [
    "sign",
    "-k",
    "ssh-agent:touch-of-alice",
    "--url",
    "https://mcp.example.com/mcp",
    "--format",
    "http",
];
const AUDITED: [&str; 3] = ["--audit", "log", "http://127.0.0.1:9/mcp"];
const VERIFY: [&str; 10] = [
    "audit",
    "verify",
    "--audit",
    "log",
    "--log-key",
    "log/log-key.pub",
    "--checkpoint",
    "log/checkpoint",
    "-r",
    "trust.json",
];

/// Adds the security key, with these flags, to a trust file that has no other key.
fn trusted(agent: &OpenSsh, file: &str, flags: &[&str]) {
    let add = ["trust", "add", "-r", file, "--name", "alice"];
    let key = ["ssh-agent:touch-of-alice"];
    ends(&agent.mcpid(&[&add[..], flags, &key].concat()), 0, "");
}

fn kinds() -> &'static [&'static str] {
    if cfg!(feature = "p256") { &["ed25519-sk", "ecdsa-sk"] } else { &["ed25519-sk"] }
}

#[test]
fn a_security_key_alone_signs_what_verify_accepts_only_with_alone() {
    for kind in kinds() {
        let agent = alice(kind);
        trusted(&agent, "alone.json", &["--alone"]);
        trusted(&agent, "joined.json", &[]);
        trusted(&agent, "verified.json", &["--alone", "--require-verified"]);
        let signed = agent.mcpid(&[&SIGN[..], &["body.json"]].concat());
        ends(&signed, 0, "mcpid: touch the security key within 20 s\n");
        ends(&signed, 0, "only if they trust it so: mcpid trust add --alone");
        fs::write(agent.folder.path().join("signed.http"), &signed.stdout).unwrap();
        let verify = |trust: &str| agent.mcpid(&["verify", "-r", trust, "signed.http"]);
        let accepted = verify("alone.json");
        ends(&accepted, 0, "");
        assert!(out(&accepted).contains("touch    present"), "{}", out(&accepted));
        let inspected = out(&agent.mcpid(&["inspect", "signed.http"]));
        assert!(inspected.contains("claims present (flags 0x01)"), "{inspected}");
        // Neither of these trust files lets the security key sign alone.
        for trust in ["joined.json", "trust.json"] {
            let refused = verify(trust);
            assert_eq!(refused.status.code(), Some(1), "{trust}");
            let text = out(&refused);
            assert!(text.contains("a security key signs alone only if"), "{text}");
        }
        assert_eq!(verify("verified.json").status.code(), Some(1));
    }
}

/// Returns a bridge in the folder of the agent. The program `notice` shows the bridge's requests
/// for a touch of a security key.
fn bridge(agent: &OpenSsh, args: &[&str]) -> Command {
    let folder = agent.folder.path();
    script(&folder.join("notice"), "echo \"$1\" >> notices; exec sleep 60");
    let mut command = command_in(folder, &[&["connect"][..], args, &AUDITED].concat());
    command.env("SSH_AUTH_SOCK", agent.socket()).env("MCPID_ASKPASS", folder.join("notice"));
    command
}

fn entries(agent: &OpenSsh) -> Vec<Value> {
    let path = agent.folder.path().join("log/entries-000000000000.jsonl");
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_bridge_adds_the_touch_of_a_security_key() {
    for kind in kinds() {
        let agent = alice(kind);
        ends(&agent.mcpid(&["audit", "init", "--audit", "log"]), 0, "");
        let touch =
            ["-k", "key.json", "--touch", "ping", "--touch-key", "ssh-agent:touch-of-alice"];
        let mut bridge = RunningBridge::start(&mut bridge(&agent, &touch));
        let message = bridge.error_of(1);
        assert!(message.contains("connection refused"), "{message}");
        bridge.ends_well();
        let entries = entries(&agent);
        let signatures = entries[0]["signatures"].as_array().unwrap();
        assert_eq!((signatures.len(), &signatures[1]["label"]), (2, &Value::from("touch")));
        ends(&agent.mcpid(&[&VERIFY[..], &["--touch", "ping"]].concat()), 0, "");
        let notices = fs::read_to_string(agent.folder.path().join("notices")).unwrap();
        assert!(notices.contains("touch the security key \"touch-of-alice\""), "{notices}");
    }
}

#[test]
fn a_bridge_signs_by_a_security_key_alone() {
    let agent = alice("ed25519-sk");
    ends(&agent.mcpid(&["audit", "init", "--audit", "log"]), 0, "");
    let alone = ["-k", "ssh-agent:touch-of-alice"];
    let mut running = RunningBridge::start(&mut bridge(&agent, &alone));
    for id in 1..3 {
        let message = running.error_of(id);
        assert!(message.contains("connection refused"), "{message}");
    }
    running.ends_well();
    let entries = entries(&agent);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["signatures"].as_array().unwrap().len(), 1);
    // The audit is good only for an auditor whose trust file lets the security key sign alone.
    let verify = |trust| agent.mcpid(&[&VERIFY[..9], &[trust]].concat());
    assert_ne!(verify("trust.json").status.code(), Some(0));
    trusted(&agent, "alone.json", &["--alone"]);
    ends(&verify("alone.json"), 0, "");
    for (more, words) in [
        (&["--touch", "ping", "--touch-key", "ssh-agent:"][..], "--touch joins the signatures of"),
        (&["--ttl", "10s"], "--ttl 10s leaves no time for a touch"),
    ] {
        let output = bridge(&agent, &[&alone[..], more].concat()).output().unwrap();
        ends(&output, 2, words);
    }
}
