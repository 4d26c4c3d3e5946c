//! Tests of what commands and pages say about erased and archived entries.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixtures::{LogFixture, NAME, START, body, call};
use super::forger::forge;
use super::texts::{read, same_verdict, sound};
use super::{AuditFolder, mcpid, stdout};
use mcpid::audit::{LogSettings, Recorder, proof};
use mcpid::clock::{Clock as _, Timestamp};

const WHY: &str = "order of the district court, 12 O 34/26";

/// Returns a log of three requests, of which entry 1 was erased for this reason.
fn erased(reason: &str) -> AuditFolder {
    let audit = AuditFolder::new(&["pay", "refund", "pay"].map(str::to_owned), "alice");
    let erase = ["audit", "erase", "--audit", "log", "--reason", reason, "1"];
    assert_eq!(stdout(&audit.run(&erase), 0), "erased entry 1, as entry 3 says\n");
    fs::copy(audit.path("log/checkpoint"), audit.path("kept")).unwrap();
    audit
}

fn verify(audit: &AuditFolder, more: &[&str]) -> Output {
    let verify = ["audit", "verify", "--audit", "log", "--log-key", &audit.log_key];
    let trust = ["-r", "trust.json", "--checkpoint", "kept", "--allow-clock"];
    audit.run(&[&verify[..], &trust, more].concat())
}

#[test]
fn an_erasure_is_named_with_its_record_time_and_reason() {
    let audit = erased(WHY);
    // The erasure was recorded on another day than the entries, so its entry is in another file.
    let record = fs::read_to_string(audit.path("log/entries-000000000003.jsonl")).unwrap();
    let record: Value = serde_json::from_str(record.trim_end()).unwrap();
    let (time, of) = (record["time"].as_str().unwrap(), &record["erased"]["time"]);
    for (more, code) in [(&["--allow-erased"][..], 0), (&[], 5)] {
        let text = stdout(&verify(&audit, more), code);
        assert!(text.contains("\n    erased       1 entry, as the log says\n"), "{text}");
        let named = format!("\n    erased       entry 1, as entry 3 says at {time}: \"{WHY}\"\n");
        assert!(text.contains(&named), "{text}");
        let json: Value =
            serde_json::from_str(&stdout(&verify(&audit, &[more, &["--json"][..]].concat()), code))
                .unwrap();
        assert_eq!(
            json["erasures"],
            json!([{"entry": 1, "entry_time": of, "by": 3, "time": time, "reason": WHY, "seen": true}])
        );
    }
    // If the log has no erasures, the text does not mention any.
    let text = stdout(&verify(&AuditFolder::honest(), &[]), 0);
    assert!(!text.contains("erased"), "{text}");
}

#[test]
fn a_page_of_a_log_with_erasures_says_so() {
    let audit = erased("<script>alert(1)</script> \u{202e} \"why\"");
    let report = ["-r", "trust.json", "--checkpoint", "kept", "--allow-clock", "--html", "-"];
    let page = stdout(&audit.report(&[&report[..], &["--allow-erased"]].concat()), 0);
    sound(&page);
    let text = read(&page);
    for said in [
        "The entries of the log that were not erased are good.",
        "1 entry, as the log says",
        "entry 1, as entry 3 says at ",
        "<script>alert(1)</script> \\u{202e}",
        "What the erased entries said is not known, nor whether their nonces were used again.",
        "which entry was erased, and why",
        "in the place of an erased entry",
    ] {
        assert!(text.contains(said), "{said:?} in {text}");
    }
    assert!(!text.contains("All 4 entries of the log are good"));
    let page = stdout(&audit.report(&report), 5);
    sound(&page);
    assert!(page.contains("<h1>1 of 4 entries cannot be called good.</h1>"), "{page}");
    assert!(read(&page).contains("erased, as a later entry says"));
}

#[test]
fn an_erasure_in_a_log_before_is_named_too() {
    let audit = erased(WHY);
    let init = ["audit", "init", "-q", "--audit", "next", "--name", "example.com/next"];
    let key = stdout(&audit.run(&[&init[..], &["--after", "log"]].concat()), 0);
    let verify = ["audit", "verify", "--audit", "next", "--log-key", key.trim_end()];
    let trust = ["-r", "trust.json", "--allow-clock", "--predecessor", "log", "--allow-erased"];
    let all = [&verify[..], &trust].concat();
    let output = audit.run(&all);
    let text = stdout(&output, 0);
    assert!(text.contains("\n    erased       entry 1 of log, as entry 3 says at 20"), "{text}");
    assert!(text.contains(&format!(": \"{WHY}\"\n")), "{text}");
    let sentence = "1 entry of log erased: what they said is not known, nor whether their nonces \
                    were used again";
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(sentence), "{said}");
    let json = stdout(&audit.run(&[&all[..], &["--json"]].concat()), 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["erasures"], &json["erased"]), (&json!([]), &json!(0)));
    let before = &json["predecessor_logs"][0];
    assert_eq!((&before["erased"], &before["erasures"][0]["reason"]), (&json!(1), &json!(WHY)));
    assert!(json["not_excluded"].as_array().unwrap().iter().any(|one| one == sentence));
    // If the previous logs have no erasures, the output does not mention any.
    let audit = AuditFolder::honest();
    let key = stdout(&audit.run(&[&init[..], &["--after", "log"]].concat()), 0);
    let verify = ["audit", "verify", "--audit", "next", "--log-key", key.trim_end()];
    let output = audit.run(&[&verify[..], &trust].concat());
    assert!(!stdout(&output, 0).contains("erased"));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("erased"));
}

#[test]
fn a_resumed_erasure_says_which_reason_stands() {
    let audit = AuditFolder::honest();
    let file = audit.path("log/entries-000000000000.jsonl");
    let before = fs::read_to_string(&file).unwrap();
    let erase = |reason: &str, more: &[&str]| {
        let erase = ["audit", "erase", "--audit", "log", "--reason", reason, "0"];
        audit.run(&[&erase[..], more].concat())
    };
    // Simulates a process that ended after it recorded the erasure, and before it erased the entry.
    // The record is in the file of a later day, so only the entry's file is put back.
    let cut = || fs::write(&file, &before).unwrap();
    stdout(&erase(WHY, &[]), 0);
    cut();
    let again = erase(WHY, &[]);
    assert!(!String::from_utf8(again.stderr.clone()).unwrap().contains("the reason that stands"));
    stdout(&again, 0);
    cut();
    let again = erase("another reason", &[]);
    let said = String::from_utf8(again.stderr.clone()).unwrap();
    let wanted = format!(
        "warning: the reason that stands is that of an earlier try, in entry 1: \"{WHY}\"; the given \
         one is not in the log"
    );
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(stdout(&again, 0), "erased entry 0, as entry 1 says\n");
    cut();
    let json: Value =
        serde_json::from_str(&stdout(&erase("another reason", &["--json"]), 0)).unwrap();
    assert_eq!((&json["reason"], &json["entry"]), (&json!(WHY), &json!(1)));
}

/// Returns a log of twelve entries in several files.
fn several() -> (TempDir, LogFixture) {
    let folder = TempDir::new().unwrap();
    let fixture = LogFixture::at(folder.path().join("log"), NAME);
    let mut small = LogSettings::default();
    small.file_size = 5_000;
    fixture.fill(12, small);
    (folder, fixture)
}

const ARCHIVE: &[&str] = &["audit", "archive", "--audit", "log", "--before", "9999-01-01"];

#[test]
fn archiving_that_breaks_off_says_what_was_moved() {
    let (folder, fixture) = several();
    let archive = || mcpid(folder.path(), &[ARCHIVE, &["--to", "old"]].concat());
    let third = fixture.segments()[2].clone();
    let good = fs::read_to_string(&third).unwrap();
    fs::write(&third, good.replacen("verified", "refused", 1)).unwrap();
    let output = archive();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let next = third.file_stem().unwrap().to_str().unwrap().trim_start_matches("entries-");
    let last = next.parse::<u64>().unwrap() - 1;
    let wanted = format!("; before that, 2 files were moved to old: entries 0 to {last}\n");
    assert!(said.contains(&wanted), "{said}");
    // The repeated call moved no files before it failed, so the message does not mention any.
    let said = String::from_utf8(archive().stderr).unwrap();
    assert!(!said.contains("before that"), "{said}");
    fs::write(&third, good).unwrap();
    assert!(stdout(&archive(), 0).starts_with(&format!("archived entries {} to ", last + 1)));
}

/// A library that records each file and folder that is forced to the disk, in the file that the
/// variable `SYNCED` names.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fsync(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    FILE *out = fopen(getenv("SYNCED"), "a");
    if (length > 0 && out) fprintf(out, "%.*s\n", (int)length, path);
    if (out) fclose(out);
    return syscall(SYS_fsync, fd);
}
"#;

#[test]
fn the_name_of_each_new_folder_is_forced_to_the_disk() {
    let (folder, _fixture) = several();
    let at = folder.path().canonicalize().unwrap();
    fs::write(at.join("shim.c"), SHIM).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o", "shim.so", "shim.c"]);
    assert!(cc.current_dir(&at).status().unwrap().success());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    command.args(ARCHIVE).args(["--to", "a/b/c"]).current_dir(&at).env("HOME", &at);
    command.env("LD_PRELOAD", at.join("shim.so")).env("SYNCED", at.join("synced"));
    stdout(&command.output().unwrap(), 0);
    let synced = fs::read_to_string(at.join("synced")).unwrap();
    for folder in ["", "a", "a/b", "a/b/c"] {
        let wanted = at.join(folder);
        let wanted = wanted.to_str().unwrap().trim_end_matches('/');
        assert!(synced.lines().any(|line| line == wanted), "{wanted} in {synced}");
    }
}

/// Checks the evidence of entry `n`, whose times are uncertain, with and without `--allow-clock`.
/// In neither case may the output say that the times match.
fn times_are_not_said_to_fit(audit: &AuditFolder, fixture: &LogFixture, n: u64) {
    let evidence = proof::prove(&fixture.files(), n, None).unwrap();
    fs::write(audit.path("uncertain.json"), evidence).unwrap();
    let key = fixture.log_key.to_string();
    let check = ["audit", "check", "--log-key", &key, "-r", "trust.json", "uncertain.json"];
    let run = |more: &[&str]| audit.run(&[&check[..], more].concat());
    let fit = "Those of signing, judging and appending fit each other";
    let page = stdout(&run(&["--html", "-"]), 5);
    sound(&page);
    assert!(!page.contains(fit) && read(&page).contains("log's clock stepped"), "{page}");
    let text = stdout(&run(&["--allow-clock"]), 0);
    let page = stdout(&run(&["--allow-clock", "--html", "-"]), 0);
    sound(&page);
    same_verdict(&page, &text);
    assert!(!page.contains(fit), "{page}");
    assert!(read(&page).contains("allowed by --allow-clock"), "{page}");
    let json: Value = serde_json::from_str(&stdout(&run(&["--allow-clock", "--json"]), 0)).unwrap();
    assert_eq!(json["times_fit"], json!(false));
}

#[test]
fn times_that_only_allow_clock_accepts_are_not_said_to_fit() {
    // The times of a genuine entry match, also with the flag.
    let audit = AuditFolder::honest();
    let allowed = ["-r", "trust.json", "--allow-clock"];
    let json = stdout(&audit.check(0, &[&allowed[..], &["--json"]].concat()), 0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["times_fit"], json!(true));
    let page = stdout(&audit.check(0, &[&allowed[..], &["--html", "-"]].concat()), 0);
    assert!(page.contains("Those of signing, judging and appending fit each other"));
    assert!(!page.contains("allowed by --allow-clock"));
    // The log's clock was set back.
    let fixture = LogFixture::at(audit.path("stepped"), NAME);
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    let record = |n: u64| {
        let at = fixture.clock.now().unix();
        fixture.record(&recorder, &call(1, at, &body(n), &[])).unwrap();
    };
    fixture.clock.forward(1_000);
    record(1);
    fixture.clock.forward(-900);
    record(2);
    drop(recorder);
    let last = fixture.lines().len() as u64 - 1;
    times_are_not_said_to_fit(&audit, &fixture, last);
    // The entry is in the format `audit/1`, in which the log has no entries about the clock.
    let fixture = LogFixture::at(audit.path("first"), NAME);
    let recorder = Recorder::new(fixture.open()).with_bodies(Vec::new());
    fixture.record(&recorder, &call(1, START, &body(1), &[])).unwrap();
    drop(recorder);
    let lines = fixture.lines();
    let mut line: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    line["mcpid"] = json!("audit/1");
    line["n"] = json!(0);
    line["rules"].as_object_mut().unwrap().remove("origins");
    line["time"] = json!(Timestamp::from_unix(START + 86_400).to_string());
    forge(&fixture, &[line.to_string()], 200);
    times_are_not_said_to_fit(&audit, &fixture, 0);
}
