//! Attacks by the holder of the log's key on erased entries, and the auditor's verdict. A tombstone
//! is the line that replaces an erased entry, and a later entry records the erasure.

use mcpid::audit::auditor::FindingKind;
use mcpid::audit::entry;
use serde_json::{Value, json};

use crate::erasures::{WHY, allowing, base64_of, filled, found};
use crate::forger::{forge, write_lines};

pub(crate) fn tombstone(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap();
    format!(
        r#"{{"mcpid":"audit/2","n":{},"time":{},"event":"tombstone","tombstone":{{"leaf":"{}"}}}}"#,
        value["n"],
        value["time"],
        base64_of(&entry::leaf(line.as_bytes()))
    )
}

fn telling(lines: &[String], of: u64, change: impl Fn(&mut Value)) -> String {
    let about: Value = serde_json::from_str(&lines[of as usize]).unwrap();
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let mut value = json!({
        "n": of, "time": about["time"],
        "leaf": base64_of(&entry::leaf(lines[of as usize].as_bytes())), "reason": WHY,
    });
    change(&mut value);
    format!(
        r#"{{"mcpid":"audit/2","n":{},"time":{},"event":"erased","erased":{value}}}"#,
        lines.len(),
        last["time"]
    )
}

/// Makes each change with the log's key, so that the hashes and signatures match.
#[test]
fn an_erasure_that_does_not_fit_is_found() {
    let fixture = filled(5);
    let lines = fixture.lines();
    let audit = |lines: &[String]| {
        forge(&fixture, lines, 200);
        let report = allowing(&fixture, &fixture.files());
        assert!(!fixture.audit(&[]).is_good(), "never good by itself");
        report
    };
    let with = |line: String| {
        let mut all = lines.clone();
        all[2] = tombstone(&lines[2]);
        all.push(line);
        all
    };
    let honest = audit(&with(telling(&lines, 2, |_| {})));
    assert!(honest.is_good() && honest.erased == 1, "{:?}", honest.findings);
    // An entry is replaced by a tombstone, but no entry records the erasure. The attack is made
    // without the log's key, and then with it.
    let mut untold = lines.clone();
    untold[2] = tombstone(&lines[2]);
    assert_eq!(found(&audit(&untold)), (FindingKind::Removed, Some(2)));
    forge(&fixture, &lines, 200);
    write_lines(&fixture.only_segment(), &untold);
    assert_eq!(found(&fixture.audit(&[fixture.checkpoint()])), (FindingKind::Removed, Some(2)));
    // Without the log's key, an attacker can append an entry that records an erasure, but cannot
    // sign a checkpoint over it.
    write_lines(&fixture.only_segment(), &with(telling(&lines, 2, |_| {})));
    assert_eq!(found(&allowing(&fixture, &fixture.files())), (FindingKind::Removed, Some(2)));
    // The tombstone has the leaf hash of another entry, or of no entry.
    let other = base64_of(&entry::leaf(lines[3].as_bytes()));
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let changes: Vec<(&str, Change<'_>, FindingKind)> = vec![
        ("the leaf of another", Box::new(|v| v["leaf"] = json!(other)), FindingKind::Changed),
        ("no leaf", Box::new(|v| v["leaf"] = json!(base64_of(&[7; 32]))), FindingKind::Changed),
        ("a short leaf", Box::new(|v| v["leaf"] = json!("AAAA")), FindingKind::Changed),
        (
            "another time",
            Box::new(|v| v["time"] = json!("2026-11-23T10:00:00Z")),
            FindingKind::Removed,
        ),
        ("another entry", Box::new(|v| v["n"] = json!(3)), FindingKind::Changed),
        ("an entry to come", Box::new(|v| v["n"] = json!(9)), FindingKind::Changed),
        ("itself", Box::new(|v| v["n"] = json!(5)), FindingKind::Changed),
        ("no reason", Box::new(|v| v["reason"] = json!("")), FindingKind::Changed),
        ("a reason of two lines", Box::new(|v| v["reason"] = json!("a\nb")), FindingKind::Changed),
        ("one member more", Box::new(|v| v["more"] = json!(1)), FindingKind::Changed),
    ];
    for (case, change, wanted) in changes {
        let report = audit(&with(telling(&lines, 2, change)));
        assert_eq!(found(&report).0, wanted, "{case}");
    }
    // The erasure is recorded twice, or before the erased entry.
    let mut twice = with(telling(&lines, 2, |_| {}));
    let again = telling(&lines, 2, |_| {}).replacen("\"n\":5", "\"n\":6", 1);
    twice.push(again);
    assert_eq!(found(&audit(&twice)), (FindingKind::Changed, Some(6)));
    let mut early = lines.clone();
    early[1] = telling(&lines, 2, |_| {})
        .replacen("\"n\":5", "\"n\":1", 1)
        .replace("10:00:05", "10:00:02");
    early[2] = tombstone(&lines[2]);
    assert_eq!(found(&audit(&early)), (FindingKind::Changed, Some(1)));
    // The tombstone is for another entry, spelled differently, or has further members.
    let good = tombstone(&lines[2]);
    for (case, other) in [
        ("the leaf of another", tombstone(&lines[3]).replacen("\"n\":3", "\"n\":2", 1)),
        ("another number", good.replacen("\"n\":2", "\"n\":3", 1)),
        ("another time", good.replacen("10:00:03", "10:00:02", 1)),
        ("another spelling", good.replacen("\"time\"", " \"time\"", 1)),
        ("more in it", good.replacen("{\"leaf\"", "{\"more\":1,\"leaf\"", 1)),
        ("a request too", good.replacen(",\"event\"", ",\"verdict\":\"verified\",\"event\"", 1)),
    ] {
        forge(&fixture, &with(telling(&lines, 2, |_| {})), 200);
        let mut all = with(telling(&lines, 2, |_| {}));
        all[2] = other;
        write_lines(&fixture.only_segment(), &all);
        let report = allowing(&fixture, &fixture.files());
        assert!(report.finding().is_some(), "{case}");
    }
}

/// The erased entry contradicted itself, used a nonce twice, or named the previous log. The audit
/// counts the erased entry, and its verdict is not good.
#[test]
fn an_erasure_of_a_bad_entry_is_counted_and_not_good() {
    let fixture = filled(4);
    let lines = fixture.lines();
    let mut bad = lines.clone();
    bad[1] = bad[1].replacen("\"verdict\":\"verified\"", "\"verdict\":\"refused\"", 1);
    forge(&fixture, &bad, 200);
    assert_eq!(found(&fixture.audit(&[])), (FindingKind::Changed, Some(1)));
    let mut hidden = bad.clone();
    hidden[1] = tombstone(&bad[1]);
    hidden.push(telling(&bad, 1, |_| {}));
    forge(&fixture, &hidden, 200);
    let report = fixture.audit(&[]);
    assert_eq!((report.finding(), report.is_good(), report.erased), (None, false, 1));
    // The kept checkpoint is that of the genuine log, and the log is forged.
    forge(&fixture, &lines, 200);
    let kept = fixture.checkpoint();
    forge(&fixture, &hidden, 200);
    assert_eq!(found(&fixture.audit(&[kept])).0, FindingKind::Rewritten);
    // The nonce's first use is in an entry that still exists.
    let mut again = lines.clone();
    again[3] = lines[1].replacen("\"n\":1", "\"n\":3", 1).replace("10:00:02", "10:00:04");
    forge(&fixture, &again, 200);
    assert!(fixture.audit(&[]).finding().is_some());
    // The erased entry named the previous log, so the audit does not know that log.
    let mut first = lines.clone();
    first[0] = tombstone(&lines[0]);
    first.push(telling(&lines, 0, |_| {}));
    forge(&fixture, &first, 200);
    let report = allowing(&fixture, &fixture.files());
    assert!(report.is_good() && report.link.first_unknown);
}
