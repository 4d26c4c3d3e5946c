//! Tests of nonce stores on the command line: `verify` stores the nonces of accepted requests,
//! `inspect` looks them up, `nonce` lists and removes them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::nonce::sqlite::{SqliteOptions, boot_id};
use mcpid::nonce::{NonceStore as _, Retention};
use serde_json::Value;
use tempfile::TempDir;

use crate::{key, wait};

pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.current_dir(folder).env("HOME", folder).stdin(Stdio::null());
    for name in ["MCPID_KEY", "MCPID_TRUST", "MCPID_NONCES", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    command
}

/// Runs `mcpid` with `arguments`, split at spaces, and checks its exit code.
#[track_caller]
pub(crate) fn mcpid(folder: &Path, arguments: &str, code: i32) -> Output {
    let output = command(folder).args(arguments.split(' ')).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    output
}

pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns a folder with a key, a trust file and a shell function that signs another request.
pub(crate) fn signer() -> TempDir {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    mcpid(path, "keygen -o key.json --no-passphrase", 0);
    mcpid(path, "trust add -r trust.json key.json", 0);
    fs::write(path.join("body.json"), r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).unwrap();
    folder
}

pub(crate) fn sign(folder: &Path, name: &str) {
    let signed = mcpid(
        folder,
        "sign -k key.json --url https://mcp.example.com/mcp --format http body.json",
        0,
    );
    fs::write(folder.join(name), signed.stdout).unwrap();
}

#[test]
fn a_nonce_claimed_by_one_process_is_refused_by_another() {
    let folder = signer();
    let path = folder.path();
    sign(path, "one.http");
    sign(path, "two.http");
    let verify = "verify --json -r trust.json --window 600s --nonces sqlite:nonces.db";
    let first = json(&mcpid(path, &format!("{verify} one.http"), 0));
    // The nonce store is new, so the verdict says that earlier nonces may have been forgotten.
    assert_eq!(first["replay"], "below_floor");
    let again = json(&mcpid(path, &format!("{verify} one.http"), 1));
    assert_eq!((&again["code"], &again["step"]), (&"nonce_replayed".into(), &12.into()));
    mcpid(path, &format!("{verify} two.http"), 0);
    assert_eq!(fs::metadata(path.join("nonces.db")).unwrap().permissions().mode() & 0o777, 0o600);
    // If the store was made long before the request, it can say that the nonce was not used before.
    let start = SystemClock.now().plus(-100);
    let older = SqliteOptions::new(path.join("older.db"), boot_id());
    drop(older.open_for_claims(start, Retention::new(600, 5)).unwrap());
    let verify = verify.replace("nonces.db", "older.db");
    let fresh = json(&mcpid(path, &format!("{verify} one.http"), 0));
    assert_eq!(fresh["replay"], "fresh");
    mcpid(path, &format!("{verify} one.http"), 1);
}

#[test]
fn reading_a_store_claims_no_nonce_and_makes_no_file() {
    let folder = signer();
    let path = folder.path();
    sign(path, "one.http");
    let now = SystemClock.now();
    let store = SqliteOptions::new(path.join("nonces.db"), boot_id());
    drop(store.open_for_claims(now.plus(-100), Retention::new(30, 5)).unwrap());
    let inspect = "inspect --json --nonces sqlite:nonces.db one.http";
    let at = format!("verify --json -r trust.json --nonces sqlite:nonces.db --at {now} one.http");
    for _ in 0..2 {
        let seen = json(&mcpid(path, inspect, 0));
        assert_eq!(seen["seen"], serde_json::json!({"seen":false,"first":null,"until":null}));
        assert_eq!(json(&mcpid(path, &at, 0))["replay"], "fresh");
    }
    mcpid(path, "verify -r trust.json --nonces sqlite:nonces.db one.http", 0);
    let seen = json(&mcpid(path, inspect, 0));
    assert_eq!(seen["seen"]["seen"], true);
    let (first, until) = (&seen["seen"]["first"], &seen["seen"]["until"]);
    assert_eq!(until.as_i64().unwrap() - first.as_i64().unwrap(), 70);
    assert_eq!(json(&mcpid(path, &at, 0))["replay"], "replayed");
    for look in ["inspect", "verify -r trust.json --at capture"] {
        let none = mcpid(path, &format!("{look} --nonces sqlite:none.db one.http"), 5);
        assert!(err(&none).contains("sqlite:none.db: there is no such file"), "{none:?}");
        assert!(!path.join("none.db").exists());
    }
}

#[test]
fn kept_nonces_are_listed_and_ended_ones_pruned() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let store = SqliteOptions::new(path.join("n.db"), boot_id());
    let now = SystemClock.now();
    let store = store.open_for_claims(now.plus(-1_000), Retention::new(30, 5)).unwrap();
    for (i, age) in [900, 500, 400, 10, 5].into_iter().enumerate() {
        let made = now.plus(-age);
        // The nonces are stored as of an earlier time, so that the store does not remove any of
        // them.
        let until = made.plus(65);
        let early = now.plus(-1_000).plus(i64::try_from(i).unwrap());
        let claim = wait(store.claim(early, &key(1), &i.to_string(), until)).unwrap();
        assert!(matches!(claim, mcpid::nonce::Claim::Fresh { .. }));
    }
    drop(store);
    let list = |arguments: &str| mcpid(path, &format!("nonce list {arguments}"), 0);
    let listed = json(&list("--json --nonces sqlite:n.db"));
    assert_eq!(
        (&listed["version"], &listed["kept"], &listed["ended"]),
        (&1.into(), &2.into(), &3.into())
    );
    assert_eq!(
        (&listed["window"], &listed["ahead"], &listed["margin"]),
        (&30.into(), &5.into(), &30.into())
    );
    assert_eq!(listed["floor"], now.plus(-1_000 + 5).unix());
    let rows = listed["nonces"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["until"], now.plus(55).unix());
    assert_eq!(rows[0]["id"].as_str().unwrap().len(), 43);
    let text = list("--nonces sqlite:n.db");
    assert_eq!(String::from_utf8(text.stdout.clone()).unwrap().lines().count(), 3);
    assert!(err(&text).contains("2 kept, 3 more have ended"), "{text:?}");

    let pruned = json(&mcpid(path, "nonce prune --json --nonces sqlite:n.db", 0));
    assert_eq!(pruned["removed"], 3);
    let again = mcpid(path, "nonce prune --nonces sqlite:n.db", 0);
    assert_eq!(again.stdout, b"removed 0\n");
    let left = json(&list("--json --nonces sqlite:n.db"));
    assert_eq!((&left["kept"], &left["ended"]), (&2.into(), &0.into()));
    assert_eq!(left["nonces"], listed["nonces"]);
}

#[test]
fn the_store_comes_from_the_flag_or_the_variable_or_the_default() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let make = |file: &str, count: i64| {
        let now = SystemClock.now();
        fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
        let store = SqliteOptions::new(path.join(file), boot_id());
        let store = store.open_for_claims(now, Retention::new(30, 5)).unwrap();
        for i in 0..count {
            wait(store.claim(now, &key(1), &i.to_string(), now.plus(65))).unwrap();
        }
    };
    let none = mcpid(path, "nonce list", 3);
    assert!(err(&none).contains(".local/state/mcpid/nonces.db"), "{none:?}");
    make(".local/state/mcpid/nonces.db", 1);
    make("variable.db", 2);
    make("flag.db", 3);
    assert_eq!(json(&mcpid(path, "nonce list --json", 0))["kept"], 1);
    let with = |value: &str, arguments: &str| {
        let mut command = command(path);
        command.env("MCPID_NONCES", value).args(arguments.split(' ')).output().unwrap()
    };
    assert_eq!(json(&with("sqlite:variable.db", "nonce list --json"))["kept"], 2);
    let flag = with("sqlite:variable.db", "nonce list --json --nonces sqlite:flag.db");
    assert_eq!(json(&flag)["kept"], 3);
    let empty = with("", "nonce list");
    assert_eq!(empty.status.code(), Some(2));
    assert!(err(&empty).starts_with("mcpid: MCPID_NONCES is set but empty"), "{empty:?}");
    let wrong = with("sqlite:", "nonce list");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).starts_with("mcpid: MCPID_NONCES: sqlite:"), "{wrong:?}");
}

#[test]
fn the_variable_never_serves_verify() {
    let folder = signer();
    sign(folder.path(), "one.http");
    for _ in 0..2 {
        let mut command = command(folder.path());
        command.env("MCPID_NONCES", "sqlite:nonces.db");
        let output = command.args(["verify", "-r", "trust.json", "--json", "one.http"]).output();
        assert_eq!(json(&output.unwrap())["replay"], "unchecked");
    }
    assert!(!folder.path().join("nonces.db").exists());
}

#[test]
fn bad_store_url_is_reported() {
    let folder = signer();
    let path = folder.path();
    sign(path, "one.http");
    fs::write(path.join("bad.db"), "hello").unwrap();
    for (arguments, code, words) in [
        ("nonce list --nonces sqlite:bad.db", 5, "not a nonce store"),
        ("nonce prune --nonces sqlite:bad.db", 5, "not a nonce store"),
        ("verify -r trust.json --nonces sqlite:bad.db one.http", 5, "not a nonce store"),
        ("inspect --nonces sqlite:bad.db one.http", 5, "not a nonce store"),
        ("verify -r trust.json --nonces sqlite:no/n.db one.http", 5, "folder"),
        ("nonce list --nonces sqlite:no/n.db", 3, "no such file"),
        ("nonce prune --nonces sqlite:none.db", 3, "no such file"),
        ("nonce list --nonces memory:", 2, "nothing to list"),
        ("nonce prune --nonces memory:?max=x", 2, "memory:"),
        ("nonce list --nonces elsewhere", 2, "--nonces: not a nonce store"),
    ] {
        let output = mcpid(path, arguments, code);
        assert!(err(&output).contains(words) && output.stdout.is_empty(), "{output:?}");
    }
    assert!(!path.join("none.db").exists());
    assert_eq!(fs::read(path.join("bad.db")).unwrap(), b"hello");
}

#[test]
fn a_password_in_a_flag_is_warned_about_and_never_shown() {
    let folder = TempDir::new().unwrap();
    let url = "redis://hidden:hidden@127.0.0.1:1";
    let flag = mcpid(folder.path(), &format!("nonce list --nonces {url}"), 5);
    assert!(err(&flag).contains("warning: other users of this machine"), "{flag:?}");
    let mut variable = command(folder.path());
    let variable = variable.env("MCPID_NONCES", url).args(["nonce", "list"]).output().unwrap();
    assert_eq!(variable.status.code(), Some(5));
    assert!(!err(&variable).contains("warning"), "{variable:?}");
    for output in [flag, variable] {
        assert!(!err(&output).contains("hidden"), "{output:?}");
    }
}
