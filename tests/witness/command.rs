//! Tests of `mcpid audit witness` on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcpid::audit::LogSettings;
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::tree::{self, Hash};
use serde_json::{Value, json};

use crate::fake::{FakeWitness, Fault, http, policy};
use crate::fixtures::{LogFixture, entry};

pub(crate) fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPID_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn witness(log: &Path, policy: &Path, more: &[&str]) -> Output {
    let (log, policy) = (log.to_str().unwrap(), policy.to_str().unwrap());
    let mut arguments = vec!["audit", "witness", log, "--witness-policy", policy];
    arguments.extend(more);
    program(&arguments)
}

#[test]
fn the_exit_code_says_whether_there_is_a_quorum() {
    let fixture = LogFixture::new();
    fixture.fill(3, LogSettings::default());
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy");
    fs::write(&file, policy(&fixture.log_key, &[&w1, &w2], 2)).unwrap();
    let log = fixture.path();

    w2.set(Fault::Raw(http(503, "text/plain", b"")));
    let done = witness(&log, &file, &[]);
    assert_eq!(done.status.code(), Some(5), "{}", err(&done));
    let text = out(&done);
    assert!(text.starts_with("no quorum: 3 entries, wanted is 2 of (w1, w2)\n"), "{text}");
    assert!(text.contains("\n    w1           cosigned at 20"), "{text}");
    assert!(text.contains("\n    w2           failed: its answer has the status 503\n"), "{text}");

    w2.set(Fault::None);
    let done = witness(&log, &file, &["--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    let said: Value = serde_json::from_str(&out(&done)).unwrap();
    assert_eq!((&said["quorum"], &said["size"]), (&Value::Bool(true), &3.into()));
    assert_eq!(said["witnesses"][1]["outcome"], "cosigned");
    assert_eq!(said["cosigned_checkpoint"], log.join("checkpoint.cosigned").to_str().unwrap());
    let done = witness(&log, &file, &[]);
    assert!(err(&done).contains("checkpoint.cosigned"), "{}", err(&done));

    w1.remember(Some((9, [7; 32])));
    let done = witness(&log, &file, &[]);
    assert_eq!(done.status.code(), Some(1));
    assert!(
        out(&done).starts_with("contradicted: the checkpoint over 3 entries\n"),
        "{}",
        out(&done)
    );
    let why = "disputed: the witness w1 answers that it holds 9 entries (409, not signed), and the \
               latest checkpoint is over 3: the log may have been rolled back";
    assert!(out(&done).contains(why), "{}", out(&done));
    assert!(!out(&done).contains("has signed 9"), "{}", out(&done));
    let done = witness(&log, &file, &["--json"]);
    let said: Value = serde_json::from_str(&out(&done)).unwrap();
    assert_eq!((&said["contradicted"], &said["quorum"]), (&json!(true), &json!(false)));
    assert_eq!(said["witnesses"][0]["outcome"], "disputed");

    // One of the two witnesses is enough, so the unsigned answer of the other is only a warning.
    fs::write(&file, policy(&fixture.log_key, &[&w1, &w2], 1)).unwrap();
    let done = witness(&log, &file, &[]);
    assert_eq!(done.status.code(), Some(0), "{}", err(&done));
    assert!(out(&done).starts_with("cosigned: 3 entries, by 1 of (w1, w2)\n"), "{}", out(&done));
    let warning = "warning: the quorum was reached without it: the witness w1 answers";
    assert!(err(&done).contains(warning), "{}", err(&done));
}

#[test]
fn a_policy_that_cannot_be_used_names_its_file_and_line() {
    let fixture = LogFixture::new();
    let w1 = FakeWitness::start(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy");
    let good = policy(&fixture.log_key, &[&w1], 1);
    let other = LogFixture::new();
    for (text, line) in [
        (good.replace("quorum g", "quorum h"), 4),
        (good.replace("http://", "ftp://"), 2),
        (good.replace(" http://", " #"), 2),
        (good.replacen("log", "lag", 1), 1),
    ] {
        fs::write(&file, text).unwrap();
        let done = witness(&fixture.path(), &file, &[]);
        assert_eq!(done.status.code(), Some(2));
        let wanted = format!("{}: line {line}: ", file.display());
        assert!(err(&done).contains(&wanted), "{}", err(&done));
    }
    assert!(w1.requests().is_empty());
    let done = witness(&other.path(), &folder.path().join("none"), &[]);
    assert_eq!(done.status.code(), Some(3));
}

/// A log with entries whose times match the program's clock, and its witness policy.
struct Log {
    fixture: LogFixture,
    folder: tempfile::TempDir,
    policy: PathBuf,
    trust: PathBuf,
}

fn witnessed(witnesses: &[&FakeWitness], need: usize) -> Log {
    let fixture = LogFixture::new();
    fixture.fill(4, LogSettings::default());
    let folder = tempfile::tempdir().unwrap();
    let (file, trust) = (folder.path().join("policy"), folder.path().join("trust.json"));
    fs::write(&file, policy(&fixture.log_key, witnesses, need)).unwrap();
    let keys = json!({ "keys": [entry(1, json!({}))] });
    fs::write(&trust, keys.to_string()).unwrap();
    Log { fixture, folder, policy: file, trust }
}

impl Log {
    /// Runs `audit verify` or `audit check` with this witness policy and the trust file, with
    /// `--json`.
    fn judge(&self, what: &str, more: &[&str]) -> (Option<i32>, Value) {
        let log = self.fixture.path();
        let mut arguments = vec!["audit", what, "--json", "-r", self.trust.to_str().unwrap()];
        if what == "verify" {
            arguments.extend(["--audit", log.to_str().unwrap()]);
        }
        arguments.extend(more);
        let done = program(&arguments);
        let said = serde_json::from_str(&out(&done));
        (done.status.code(), said.unwrap_or_else(|_| Value::String(err(&done))))
    }

    fn by_policy(&self, what: &str, more: &[&str]) -> (Option<i32>, Value) {
        let mut arguments = vec!["--witness-policy", self.policy.to_str().unwrap()];
        arguments.extend(more);
        self.judge(what, &arguments)
    }

    fn prove(&self, format: &str) -> PathBuf {
        let file = self.folder.path().join(format);
        let _ = fs::remove_file(&file);
        let done = program(&[
            "audit",
            "prove",
            "--audit",
            self.fixture.path().to_str().unwrap(),
            "--format",
            format,
            "-o",
            file.to_str().unwrap(),
            "2",
        ]);
        assert!(done.status.success(), "{}", err(&done));
        file
    }
}

#[test]
fn an_audit_that_requires_the_quorum_passes_only_with_the_quorum() {
    let (w1, w2, w3) = (FakeWitness::start(1), FakeWitness::start(2), FakeWitness::start(3));
    let log = witnessed(&[&w1, &w2, &w3], 2);
    let cosigned = log.fixture.path().join("checkpoint.cosigned");
    // The log's key is the one in the policy.
    let (code, said) = log.by_policy("verify", &[]);
    assert_eq!((code, &said["verdict"]), (Some(5), &json!("unjudged")), "{said}");
    assert_eq!((&said["lacks_quorum"], &said["anchored"]), (&json!(true), &json!(false)));
    let evidence = log.prove("evidence");
    let (code, said) = log.by_policy("check", &[evidence.to_str().unwrap()]);
    assert_eq!((code, &said["reasons"]), (Some(5), &json!(["quorum"])), "{said}");

    // One of the two required witnesses does not answer.
    w2.set(Fault::Hang);
    w3.set(Fault::Hang);
    assert_eq!(witness(&log.fixture.path(), &log.policy, &[]).status.code(), Some(5));
    assert_eq!(log.by_policy("verify", &[]).0, Some(5));
    w3.set(Fault::None);
    assert_eq!(witness(&log.fixture.path(), &log.policy, &[]).status.code(), Some(0));
    let (code, said) = log.by_policy("verify", &[]);
    assert_eq!((code, &said["verdict"]), (Some(0), &json!("good")), "{said}");
    assert_eq!((&said["anchored_entries"], &said["witnessed_entries"]), (&json!(4), &json!(4)));
    let evidence = log.prove("evidence");
    let (code, said) = log.by_policy("check", &[evidence.to_str().unwrap()]);
    assert_eq!((code, &said["anchored"]), (Some(0), &json!(true)), "{said}");

    // If the witness's signature line is removed, or is by another key, there is no quorum.
    let good = fs::read_to_string(&cosigned).unwrap();
    let without: String = good.split_inclusive('\n').take(good.lines().count() - 1).collect();
    fs::write(&cosigned, without).unwrap();
    assert_eq!(log.by_policy("verify", &[]).0, Some(5));
    // A witness's signature is accepted from any file in which it was kept.
    let kept = log.folder.path().join("kept");
    fs::write(&kept, &good).unwrap();
    assert_eq!(log.by_policy("verify", &["--checkpoint", kept.to_str().unwrap()]).0, Some(0));
    fs::write(&cosigned, "nonsense\n").unwrap();
    assert_eq!(log.by_policy("verify", &[]).0, Some(1));
    fs::write(&cosigned, &good).unwrap();

    // A kept checkpoint does not replace the quorum.
    let plain = log.folder.path().join("plain");
    fs::write(&plain, log.fixture.checkpoint()).unwrap();
    fs::remove_file(&cosigned).unwrap();
    let (code, said) = log.by_policy("verify", &["--checkpoint", plain.to_str().unwrap()]);
    assert_eq!((code, &said["anchored"]), (Some(5), &json!(true)), "{said}");

    // The log differs from the checkpoint that the witnesses signed.
    let segment = log.fixture.only_segment();
    fs::write(&cosigned, &good).unwrap();
    let lines = fs::read_to_string(&segment).unwrap();
    let cut: String = lines.split_inclusive('\n').take(3).collect();
    fs::write(&segment, cut).unwrap();
    let (code, said) = log.by_policy("verify", &[]);
    assert_eq!((code, &said["finding"]["what"]), (Some(1), &json!("truncated")), "{said}");
}

#[test]
fn a_policy_pins_the_log_and_has_to_demand_something() {
    let w1 = FakeWitness::start(1);
    let log = witnessed(&[&w1], 1);
    let good = fs::read_to_string(&log.policy).unwrap();
    let refused = |text: &str, more: &[&str], why: &str| {
        fs::write(&log.policy, text).unwrap();
        let (code, said) = log.by_policy("verify", more);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.to_string().contains(why), "{said}");
    };
    refused(&good.replace("quorum g", "quorum none"), &[], "demands nothing");
    let other = LogFixture::new();
    let key = mcpid::audit::note::NoteKey::new(
        "example.com/other",
        mcpid::audit::note::NoteKeyKind::Log,
        other.log_key.public().clone(),
    );
    let key = key.unwrap().to_string();
    refused(&good, &["--log-key", &key], "no log line has the key");
    let without: String = good.split_inclusive('\n').skip(1).collect();
    refused(&without, &[], "--log-key is missing");
    refused(&good, &["--witness", &w1.key().to_string()], "cannot be used together");
    let own = log.fixture.log_key.to_string();
    fs::write(&log.policy, without).unwrap();
    assert_eq!(log.by_policy("verify", &["--log-key", &own]).0, Some(5));
}

#[test]
fn a_tlog_proof_leads_from_the_entry_to_the_cosigned_checkpoint() {
    let w1 = FakeWitness::start(1);
    let log = witnessed(&[&w1], 1);
    assert_eq!(witness(&log.fixture.path(), &log.policy, &[]).status.code(), Some(0));
    let proof = fs::read_to_string(log.prove("tlog-proof")).unwrap();
    let (head, note) = proof.split_once("\n\n").unwrap();
    assert_eq!(note, fs::read_to_string(log.fixture.path().join("checkpoint.cosigned")).unwrap());
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!((lines[0], lines[2]), ("c2sp.org/tlog-proof@v1", "index 2"));
    let entry = STANDARD.decode(lines[1].strip_prefix("extra ").unwrap()).unwrap();
    assert_eq!(String::from_utf8(entry.clone()).unwrap(), log.fixture.lines()[2]);
    let hashes: Vec<Hash> =
        lines[3..].iter().map(|line| STANDARD.decode(line).unwrap().try_into().unwrap()).collect();
    let (checkpoint, _) = Checkpoint::signed(note.as_bytes(), &log.fixture.log_key).unwrap();
    let root = tree::root_of_inclusion(&tree::leaf(&entry), 2, checkpoint.size, &hashes);
    assert_eq!(root, Some(checkpoint.root));
    let missing = program(&[
        "audit",
        "prove",
        "--audit",
        log.fixture.path().to_str().unwrap(),
        "--format",
        "tlog-proof",
        "9",
    ]);
    assert_eq!(missing.status.code(), Some(3));
}

/// The bridge's client ends at once. The bridge sends its checkpoints to the witnesses, and does
/// not wait for one that does not answer.
#[test]
fn the_log_of_a_bridge_is_witnessed_too() {
    let fixture = LogFixture::new();
    let (w1, w2) = (FakeWitness::start(1), FakeWitness::start(2));
    w2.set(Fault::Hang);
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("policy"), folder.path().join("key.json"));
    fs::write(&file, policy(&fixture.log_key, &[&w1, &w2], 1)).unwrap();
    let key = key.to_str().unwrap();
    let made = program(&["keygen", "--no-passphrase", "--name", "alice", "-o", key]);
    assert!(made.status.success(), "{}", err(&made));
    let (log, file) = (fixture.path(), file.to_str().unwrap().to_owned());
    let flags = ["connect", "-k", key, "--audit", log.to_str().unwrap(), "--witness-policy", &file];
    let url = "http://127.0.0.1:9/mcp";
    let begun = std::time::Instant::now();
    let done = program(&[&flags[..], &[url]].concat());
    assert!(done.status.success(), "{}", err(&done));
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert_eq!(w1.signed().unwrap().0, 0);
    assert!(log.join("checkpoint.cosigned").exists());

    let done = program(&[&flags[..], &["--print-config", "generic", url]].concat());
    assert!(
        out(&done).contains(&format!("\"--witness-policy\",\n    \"{file}\"")),
        "{}",
        out(&done)
    );

    // The witness has signed the checkpoint of another log than the one in this folder.
    w1.remember(Some((5, [7; 32])));
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    let call = folder.path().join("call");
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    fs::write(&call, format!("{text}\n")).unwrap();
    child.args(flags).arg(url).stdin(fs::File::open(&call).unwrap());
    fs::write(log.join("witnesses.json"), ledger(&w1, 5)).unwrap();
    let done = child.output().unwrap();
    assert!(out(&done).contains("\"error\""), "{}", out(&done));
    assert!(err(&done).contains("the log was rolled back: the witness w1"), "{}", err(&done));
    assert!(fixture.segments().is_empty(), "nothing was appended");
}

/// Returns the log's stored record that a witness has signed `size` entries.
fn ledger(witness: &FakeWitness, size: u64) -> String {
    let (key, root) = (witness.key().to_string(), STANDARD.encode([7; 32]));
    let signed =
        json!({"size": size, "root": root, "time": "2026-11-29T15:00:00Z", "rollbacks": 0});
    json!({"mcpid": "witnesses/1", "witnesses": { key: signed }}).to_string()
}
