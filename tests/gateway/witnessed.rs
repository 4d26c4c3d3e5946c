//! Tests of a gateway whose audit log has witnesses: the status that operators see, and that the
//! gateway stops writing after the log was replaced by an older copy.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mcpid::audit::note::NoteKey;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::fake::{FakeWitness, Fault, policy};
use crate::program::{free_port, get, program, trust};
use crate::servers::{CALL, Reply, TestUpstream, Wire};

struct Gateway {
    child: Child,
    address: String,
    admin: String,
    folder: PathBuf,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    async fn start(folder: &tempfile::TempDir, behind: &TestUpstream, more: &[&str]) -> Gateway {
        let (address, admin) =
            (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
        let path = folder.path().to_owned();
        let mut command = program();
        command.args(["gateway", "--nonces", "memory:", "--listen", &address, "--admin", &admin]);
        command.args(["--upstream", &behind.url(), "--origin", &format!("http://{address}")]);
        command.arg("-r").arg(trust(folder)).arg("--audit").arg(path.join("log")).args(more);
        command.arg("--witness-policy").arg(path.join("policy"));
        command.stdout(File::create(path.join("out")).unwrap());
        command.stderr(File::create(path.join("err")).unwrap());
        let child = command.spawn().unwrap();
        let gateway = Gateway { child, address, admin, folder: path };
        gateway.until("/healthz", 200, "ok").await;
        gateway
    }

    /// Waits until an operators' page has this status and contains these words. Returns the page.
    async fn until(&self, page: &str, status: u16, words: &str) -> String {
        let begun = Instant::now();
        loop {
            let mut last = String::new();
            if TcpStream::connect(&self.admin).await.is_ok() {
                let reply = get(&self.admin, page, &self.admin).await;
                last = String::from_utf8(reply.body).unwrap();
                if reply.status == status && last.contains(words) {
                    return last;
                }
            }
            let err = fs::read_to_string(self.folder.join("err")).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(60), "{page}: {last}\n{err}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn send(&self) -> Reply {
        let url = format!("http://{}/mcp", self.address);
        let wire = Wire::post(&self.address, "/mcp", CALL).sign(1, &url);
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(&wire.bytes()).await.unwrap();
        Reply::read(&mut stream).await
    }

    /// Stops the gateway as an operator does. Returns its output.
    fn end(mut self) -> String {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        fs::read_to_string(self.folder.join("err")).unwrap()
    }
}

fn init(folder: &Path) -> NoteKey {
    let made = program().args(["audit", "init", "-q", "--audit"]).arg(folder.join("log")).output();
    String::from_utf8(made.unwrap().stdout).unwrap().trim_end().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_the_quorum_and_a_rollback_stops_requests() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = init(folder.path());
    let (w1, w2, w3) = (FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3));
    w3.set(Fault::Hang);
    let text = policy(&key, &[&w1, &w2, &w3], 2);
    fs::write(folder.path().join("policy"), &text).unwrap();

    let gateway = Gateway::start(&folder, &behind, &[]).await;
    let words = gateway.until("/readyz?strict", 200, "over 0 entries").await;
    assert!(words.starts_with("ready: the last quorum is "), "{words}");
    assert_eq!(gateway.until("/readyz", 200, "ready").await, "ready\n");
    let numbers = gateway.until("/metrics", 200, "mcpid_audit_quorum_entries 0\n").await;
    for line in [
        "# TYPE mcpid_audit_quorum_age_seconds gauge",
        "mcpid_audit_quorum_waiting_seconds 0",
        "mcpid_audit_witness_contradicted 0",
        "mcpid_audit_witness_cosignatures_total 2",
        "mcpid_audit_witness_rollbacks_total 0",
    ] {
        assert!(numbers.lines().any(|other| other == line), "{line} is not in {numbers}");
    }
    assert_eq!(gateway.send().await.status, 200);
    gateway.end();
    // During the shutdown, the witnesses sign the last checkpoint.
    assert_eq!((w1.signed().unwrap().0, w2.signed().unwrap().0), (1, 1));
    let cosigned = fs::read_to_string(folder.path().join("log/checkpoint.cosigned")).unwrap();
    assert_eq!(cosigned.lines().nth(1), Some("1"));

    for witness in [&w2, &w3] {
        witness.set(Fault::Holds(7));
    }
    let gateway = Gateway::start(&folder, &behind, &[]).await;
    let words = gateway.until("/readyz", 503, "not ready: the audit log").await;
    assert!(words.contains(" answers that it holds 7 entries (409, not signed)"), "{words}");
    gateway.until("/metrics", 200, "mcpid_audit_witness_contradicted 1\n").await;
    assert_eq!(gateway.send().await.status, 503);
    let said = gateway.end();
    assert!(said.contains("the log may have been rolled back; the other witnesses"), "{said}");
    assert_eq!(behind.got().len(), 1);

    let gateway = Gateway::start(&folder, &behind, &["--audit-policy", "best-effort"]).await;
    gateway.until("/readyz?strict", 503, "the log may have been rolled back").await;
    assert_eq!(gateway.send().await.status, 200);
    gateway.end();
}

#[test]
fn a_configuration_shows_the_policy_as_it_was_understood() {
    let folder = tempfile::tempdir().unwrap();
    let key = init(folder.path());
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    let file = folder.path().join("policy");
    let good = policy(&key, &[&w1, &w2], 2);
    let trusted = trust(&folder);
    let check = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        program()
            .args(["gateway", "--check-config", "--upstream", "http://127.0.0.1:8000/mcp"])
            .args(["--origin", "https://mcp.example.com", "-r"])
            .arg(&trusted)
            .arg("--audit")
            .arg(folder.path().join("log"))
            .arg("--witness-policy")
            .arg(&file)
            .args(more)
            .output()
            .unwrap()
    };
    let done = check(&good, &[]);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("\n    quorum       2 of (w1, w2)\n"), "{text}");
    assert!(
        text.contains(&format!("\n    witness      w1 http://{}/prefix/ w1.", w1.address)),
        "{text}"
    );
    let done = check(&good, &["--json"]);
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["witnesses"]["quorum"], "2 of (w1, w2)");
    assert_eq!(said["witnesses"]["asked"][1]["key"], w2.key().to_string());
    for (text, line) in [
        (good.replacen("group g 2 ", "group g 3 ", 1), 4),
        (good.replace("http:", "gopher:"), 2),
        (good.replacen("example.com+", "example.org+", 1), 2),
    ] {
        let done = check(&text, &[]);
        assert_eq!(done.status.code(), Some(2));
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(said.contains(&format!("policy: line {line}: ")), "{said}");
    }
    assert!(w1.requests().is_empty() && w2.requests().is_empty());
    assert!(!folder.path().join("log/witnesses.lock").exists(), "it changes nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_read_again_on_sighup_and_when_it_changes() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key = init(folder.path());
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    w1.set(Fault::Hang);
    let file = folder.path().join("policy");
    fs::write(&file, policy(&key, &[&w1], 1)).unwrap();
    let gateway = Gateway::start(&folder, &behind, &[]).await;
    gateway.until("/readyz?strict", 200, "there was no quorum of witnesses yet").await;
    // If the witness policy cannot be parsed, the old one stays in use, and `/readyz` shows the
    // fault.
    fs::write(&file, "quorum two\n").unwrap();
    let words = gateway.until("/readyz", 503, "not ready: ").await;
    assert!(words.contains("policy: line 1: "), "{words}");
    fs::write(&file, policy(&key, &[&w2], 1)).unwrap();
    let id = gateway.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    gateway.until("/readyz?strict", 200, "over 0 entries").await;
    gateway.until("/metrics", 200, "mcpid_audit_witness_cosignatures_total 1\n").await;
    assert_eq!(gateway.send().await.status, 200);
    let said = gateway.end();
    assert!(said.contains("the witness policy has changed: 1 of (w2)"), "{said}");
    assert_eq!(w2.signed().unwrap().0, 1);
}
