//! Tests of the client's audit log: the bridge writes the entry for each signed request before it
//! sends the request, and an auditor finds later changes.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use mcpid::audit::{Folder, Log, LogSettings, Policy, Recorder};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::{SecretKey, Sign as _};
use serde_json::{Value, json};

use crate::client::{Client, bridge, call, old_call};
use crate::program::{command, connect, err, folder, messages, piped};
use crate::server::{Reply, Server, key};
use crate::sessions::{initialize, initialized, usual};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn entries(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log.join("entries-000000000000.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const VERIFY: &[&str] = &[
    "audit",
    "verify",
    "--log-key",
    "log-key.pub",
    "--checkpoint",
    "kept",
    "-r",
    "trust.json",
    "--audit",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_requests_are_in_the_log_and_a_changed_word_is_found() {
    let server = Server::start(usual).await;
    let folder = folder();
    let at = folder.path();
    let made = run(at, &["audit", "init", "--audit", "log", "--name", "me/audit"]);
    fs::write(at.join("log-key.pub"), &made.stdout).unwrap();
    assert!(run(at, &["trust", "add", "-q", "-r", "trust.json", "key.json"]).status.success());

    let url = server.url();
    let flags = ["--audit", "log", "--audit-bodies", "-H", "Authorization: Bearer s3cret", &url];
    let lines = vec![initialize(), initialized(), old_call(1, "größe", json!({ "n": 7 }))];
    let output = piped(connect(at, &flags), lines).await;
    assert!(output.status.success() && messages(&output).len() == 2, "{output:?}");

    // The log holds each signature that the server received, byte for byte, and no other.
    let (seen, kept) = (server.seen(), entries(&at.join("log")));
    assert!(seen.len() >= 4, "{seen:#?}");
    assert_eq!(kept.len(), seen.len());
    for entry in &kept {
        assert_eq!((&entry["event"], &entry["verdict"]), (&json!("request"), &json!("signed")));
        let headers = entry["request"]["headers"].as_array().unwrap();
        let of = |name| headers.iter().find(|h| h[0] == name).map(|h| h[1].as_str().unwrap());
        let arrived = seen.iter().find(|seen| seen.header("signature") == of("signature"));
        let arrived = arrived.unwrap_or_else(|| panic!("never arrived: {entry}"));
        assert_eq!(arrived.header("signature-input"), of("signature-input"));
        assert_eq!(of("authorization"), None, "a token is no evidence");
    }
    assert!(!format!("{kept:?}").contains("s3cret"));
    let called = kept.iter().position(|entry| entry["mcp"]["name"] == "größe").unwrap();

    // The line of the entry is enough to verify the request again.
    fs::write(at.join("entry"), kept[called].to_string()).unwrap();
    let judged = run(at, &["verify", "-r", "trust.json", "--at", "capture", "entry"]);
    assert!(judged.status.success(), "{judged:?}");
    assert!(out(&judged).contains("tools/call"), "{judged:?}");

    fs::copy(at.join("log/checkpoint"), at.join("kept")).unwrap();
    let verified = run(at, &[VERIFY, &["log"]].concat());
    assert!(verified.status.success(), "{verified:?}");
    let words = out(&verified);
    assert!(words.starts_with(&format!("good: {} entries", kept.len())), "{words}");
    assert!(words.contains(&format!("{} verified", kept.len())), "{words}");

    let entries = "entries-000000000000.jsonl";
    let whole = fs::read_to_string(at.join("log").join(entries)).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    for (what, tampered) in [
        ("changed", whole.replacen("größe", "kleine", 1)),
        ("truncated", lines[..lines.len() - 1].join("\n") + "\n"),
        ("swapped", swapped.join("\n") + "\n"),
    ] {
        assert_ne!(tampered, whole);
        let copy = at.join(what);
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(at.join("log")).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), copy.join(file.file_name())).unwrap();
            }
        }
        fs::write(copy.join(entries), tampered).unwrap();
        let found = run(at, &[VERIFY, &[what]].concat());
        assert_eq!(found.status.code(), Some(1), "{what}: {found:?}");
        assert!(out(&found).contains("bad: "), "{what}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bridge_does_not_start_without_its_log() {
    let server = Server::start(usual).await;
    let folder = folder();
    let at = folder.path();
    let url = server.url();
    for (log, code) in [("absent", 3), ("key.json", 3)] {
        let output = piped(connect(at, &["--audit", log, &url]), vec![call(1, "t", json!({}))]);
        let output = output.await;
        assert_eq!(output.status.code(), Some(code), "{log}: {output:?}");
        assert!(err(&output).contains(log) && output.stdout.is_empty(), "{output:?}");
    }
    // Another process is writing to this log.
    assert!(run(at, &["audit", "init", "--audit", "log", "--name", "me/audit"]).status.success());
    let held = Log::open(Folder::at(at.join("log")).unwrap(), LogSettings::default(), clock());
    let held = held.unwrap();
    let output = piped(connect(at, &["--audit", "log", &url]), vec![call(1, "t", json!({}))]).await;
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    held.close();
    assert!(server.seen().is_empty(), "nothing was sent");
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock)
}

#[tokio::test]
async fn unlogged_request_is_not_sent_by_default() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, policy) in [("required", Policy::Required), ("best-effort", Policy::BestEffort)] {
        let path = folder.path().join(name);
        let log_key = SecretKey::from_seed(&[9; 32]);
        assert_ne!(log_key.public().id(), key().public().id());
        Folder::init(&path, "me/audit", &log_key, SystemClock.now()).unwrap();
        let log = Log::open(Folder::at(&path).unwrap(), LogSettings::default(), clock()).unwrap();
        let recorder = Arc::new(Recorder::new(log.clone()).with_policy(policy));
        let (bridge, said) = bridge(&server.url());
        let mut client = Client::by((bridge.with_audit(recorder), said));
        let before = server.seen().len();
        assert!(client.ask(&call(1, "t", json!({}))).await.get("result").is_some());
        if policy == Policy::Required {
            assert_eq!(entries(&path).len(), 1, "the entry is written before the answer arrives");
        }
        log.close();
        assert_eq!(entries(&path).len(), 1);
        let answer = client.ask(&call(2, "t", json!({}))).await;
        let arrived = server.seen().len() - before;
        if policy == Policy::Required {
            assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT, "{answer}");
            assert_eq!(answer["error"]["data"]["reason"], "not_signed");
            let words = answer["error"]["message"].as_str().unwrap();
            assert!(words.contains("could not be written down"), "{words}");
            assert_eq!(arrived, 1);
        } else {
            assert!(answer.get("result").is_some(), "{answer}");
            assert_eq!((arrived, log.gaps()), (2, 1));
        }
        // The session is usable although an entry could not be written.
        client.send(&call(3, "t", json!({}))).await;
        assert_eq!(client.receive().await["id"], 3);
    }
}
