//! Tests of the command `demo`: its steps end as announced, and it leaves no files.

use super::{BINARY, Home, run};
use std::os::unix::fs::PermissionsExt as _;

const STORY: [(&str, &str, &str); 5] = [
    ("pay bob 100, signed by alice", "200 OK", "done, as alice asked"),
    ("the very same bytes again", "403 Forbidden", "nonce_replayed"),
    ("the same with 900 for 100, one byte changed", "403 Forbidden", "digest_mismatch"),
    ("a request that alice signed 10 minutes ago", "403 Forbidden", "expired"),
    ("a request without a signature", "403 Forbidden", "signature_missing"),
];

#[test]
fn the_demo_prints_words_or_json() {
    let home = Home::new();
    let temporary = home.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let tell =
        |args: &[&str]| run(home.command(BINARY).args(args).env("TMPDIR", &temporary), b"").ends(0);
    let ran = tell(&["demo"]);
    for (sent, status, answer) in STORY {
        assert!(
            ran.out.contains(&format!("sent  {sent}\n      {status}: {answer}\n")),
            "{}",
            ran.out
        );
    }
    assert_eq!(ran.out.lines().filter(|l| l.starts_with("made  ")).count(), 3);
    assert_eq!(ran.err, "mcpid: all as it should be, and no file is left behind\n");
    assert_eq!(tell(&["demo", "--quiet"]).err, "");
    let json = tell(&["demo", "--json"]).json();
    assert_eq!((&json["version"], &json["ok"]), (&1.into(), &true.into()));
    for (step, (sent, status, answer)) in json["steps"].as_array().unwrap()[3..].iter().zip(STORY) {
        let expected = serde_json::json!({ "sent": sent, "status": status, "answer": answer, "as_expected": true });
        assert_eq!(*step, expected);
    }
    assert_eq!(json["steps"].as_array().unwrap().len(), 8);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "something was left behind");
}

#[test]
fn the_demo_needs_no_home() {
    let home = Home::new();
    run(home.command(BINARY).arg("demo").env_remove("HOME"), b"").ends(0);
    let before = listed(&home);
    std::fs::set_permissions(home.path("."), std::fs::Permissions::from_mode(0o555)).unwrap();
    let ran = run(home.command(BINARY).arg("demo"), b"");
    std::fs::set_permissions(home.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
    ran.ends(0);
    assert_eq!(listed(&home), before);
    // `demo` cannot create its folder, and says so.
    let ran = run(home.command(BINARY).arg("demo").env("TMPDIR", "/nowhere/at/all"), b"").ends(3);
    let line = "mcpid: cannot make a temporary folder in /nowhere/at/all: no such folder\n";
    assert_eq!(ran.err, format!("{line}mcpid: hint: TMPDIR=. mcpid demo\n"));
    home.sh(ran.hints()[0]).ends(0);
    assert_eq!(listed(&home), before);
}

fn listed(home: &Home) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(home.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    names
}
