//! Tests of audit logs that succeed each other, and of their archives, by commands only.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{ends, err, mcpid, out, shell};

/// Makes the logs `one` and `two`, of which `two` succeeds `one`, with their keys and a kept
/// checkpoint of each. `early` is a copy of `one` from before it was closed.
fn two_logs(folder: &Path) {
    let made = shell(
        folder,
        "set -e
         $mcpid audit init --audit one --name example.com/one > one.pub 2> log
         cp -r one early
         $mcpid audit init --audit two --name example.com/two --after one > two.pub 2> log
         cp one/checkpoint kept-one
         cp two/checkpoint kept-two",
    );
    ends(&made, 0);
}

const VERIFY: &str = "audit verify --audit two --log-key two.pub";

#[test]
fn a_predecessor_is_audited_against_its_own_checkpoints() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    two_logs(at);
    let verify = |more: &str| mcpid(at, &format!("{VERIFY} {more}"));
    let both = verify("--predecessor one --checkpoint kept-two --checkpoint kept-one");
    ends(&both, 0);
    assert!(out(&both).contains("one: 1 entry, anchored up to 1 entry"), "{}", out(&both));
    assert!(out(&both).contains("anchored     up to 1 entry"), "{}", out(&both));
    let one = verify("--predecessor one --checkpoint kept-two");
    ends(&one, 0);
    assert!(out(&one).contains("anchored only by the log behind it"), "{}", out(&one));
    // The log `one` was replaced by an older copy. The audit finds it with a checkpoint of `one`,
    // and also with its successor alone.
    for kept in ["--checkpoint kept-one", ""] {
        let early = verify(format!("--predecessor early {kept}").trim_end());
        ends(&early, 1);
        let text = out(&early);
        assert!(text.contains("is over 1 entries, and the log has 0 (in early)"), "{text}");
    }
    // A checkpoint of a log that neither succeeds nor precedes is refused.
    let strange = shell(
        at,
        "$mcpid audit init --audit three --name example.com/three > three.pub 2> log
         $mcpid audit verify --audit two --log-key two.pub --predecessor one \
           --checkpoint three/checkpoint",
    );
    ends(&strange, 1);
    assert!(out(&strange).contains("example.com/three"), "{}", out(&strange));
}

#[test]
fn an_archive_is_matched_to_the_log_that_it_belongs_to() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    two_logs(at);
    let none = mcpid(at, "audit archive --audit one --before 1d --to archive");
    ends(&none, 0);
    assert!(err(&none).contains("nothing to archive"), "{}", err(&none));
    assert_eq!(
        fs::read(at.join("archive/log-key.pub")).unwrap(),
        fs::read(at.join("one.pub")).unwrap()
    );
    ends(&mcpid(at, &format!("{VERIFY} --predecessor one --archive archive")), 0);
    for command in [
        format!("{VERIFY} --archive archive"),
        "audit show --audit two --archive archive".to_owned(),
        "audit prove --audit two --archive archive 0".to_owned(),
        "audit erase --audit two --archive archive --reason why 0".to_owned(),
    ] {
        let other = mcpid(at, &command);
        ends(&other, 3);
        assert!(err(&other).contains("has entries of another log: example.com/one+"), "{command}");
    }
    let other = mcpid(at, "audit archive --audit two --before 1d --to archive");
    ends(&other, 3);
    assert!(
        err(&other).contains("it has entries of the log \"example.com/one\""),
        "{}",
        err(&other)
    );
}

#[test]
fn a_closed_log_is_not_called_ok() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    two_logs(at);
    super::alice(at);
    let trusted = shell(at, "$mcpid export -k alice.json --format jwks > trust.json");
    ends(&trusted, 0);
    let check = |log: &str| {
        mcpid(
            at,
            &format!(
                "gateway --check-config -r trust.json --upstream http://127.0.0.1:1/mcp \
                 --origin http://127.0.0.1:8080 --audit {log}"
            ),
        )
    };
    ends(&check("two"), 0);
    let closed = check("one");
    ends(&closed, 5);
    assert!(
        err(&closed).contains("the log in one is closed: example.com/two+"),
        "{}",
        err(&closed)
    );
    let erase = mcpid(at, "audit erase --audit one --reason why 0");
    ends(&erase, 5);
    assert!(err(&erase).contains("is closed"), "{}", err(&erase));
    let erase = mcpid(at, "audit erase --audit two --reason why 0");
    ends(&erase, 3);
    assert!(err(&erase).contains("is not about a request but about \"after\""), "{}", err(&erase));
}

/// Every number argument of `audit` is given wrongly. The error must be one line in this program's
/// own words.
#[test]
fn a_malformed_entry_number_is_reported_in_one_line() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let number = "not the number of an entry, such as 0 or 17";
    let span = "not a duration such as 30s, 5m or 2h";
    let many = "18446744073709551616";
    let mut cases: Vec<(String, String)> = Vec::new();
    for given in ["seven", "-1", "1.5", "0x10", "+3", "1e3", "' '", many, "١"] {
        let shown = given.trim_matches('\'');
        for command in ["erase --reason why", "prove", "show"] {
            let said = format!("N cannot be '{shown}': {number}");
            cases.push((format!("audit {command} {given}"), said));
        }
    }
    for command in ["verify", "report", "check"] {
        for flag in ["--window", "--ahead"] {
            for given in ["seven", "-1s", "1.5s", "s", "+3s"] {
                let said = format!("{flag} cannot be '{given}': {span}");
                cases.push((format!("audit {command} {flag} {given}"), said));
            }
            let said = format!("{flag} cannot be '4000d': longer than ten years");
            cases.push((format!("audit {command} {flag} 4000d"), said));
        }
    }
    for command in ["archive --to x --before", "show --since", "show --until"] {
        let flag = command.split(' ').next_back().unwrap();
        let said = format!("{flag} cannot be 'seven': not a time such as 2026-11-23T10:00:00Z");
        cases.push((format!("audit {command} seven"), said));
    }
    for (command, said) in cases {
        let done = shell(at, &format!("$mcpid {command}"));
        ends(&done, 2);
        let first = err(&done);
        let first = first.lines().next().unwrap();
        assert!(first.starts_with(&format!("mcpid: {said}")), "{command}: {first}");
        for line in err(&done).lines().skip(1) {
            assert!(line.starts_with("mcpid: hint: "), "{command}: {line}");
        }
        assert!(!err(&done).contains("invalid digit") && out(&done).is_empty(), "{command}");
    }
}
