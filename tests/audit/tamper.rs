//! Tests of changes to a log that are older than a kept checkpoint: an audit finds each change, and
//! names its kind. Without a kept checkpoint, the audit names the attacks that it cannot exclude.

use std::fs;

use mcpid::audit::auditor::{AuditorInputs, FindingKind, Report};
use mcpid::audit::entry_judge::AuditorTrust;
use mcpid::audit::note::{Note, NoteKey, NoteKeyKind};
use mcpid::audit::{LogSettings, Recorder};
use mcpid::clock::{Clock as _, Timestamp};
use mcpid::key::Sign as _;
use serde_json::{Value, json};

use crate::fixtures::{self, LogFixture, START, body, call, key, registry};
use crate::forger::{forge, write_lines};

/// Returns a log of six entries with checkpoints after 2, 4 and 6 entries, and a copy of the last
/// checkpoint, which the auditor kept.
fn small() -> (LogFixture, Vec<u8>) {
    let fixture = LogFixture::new();
    for _ in 0..3 {
        fixture.fill(2, LogSettings::default());
    }
    let kept = fixture.checkpoint();
    (fixture, kept)
}

fn found(report: &Report) -> (FindingKind, Option<u64>) {
    let finding = report.finding().expect("something is found");
    (finding.what, finding.n)
}

/// Numbers the lines again, as a forger would.
fn renumber(lines: &[String]) -> Vec<String> {
    let number = |(n, line): (usize, &String)| {
        let (head, rest) = line.split_once("\"n\":").unwrap();
        let (_, rest) = rest.split_once(',').unwrap();
        format!("{head}\"n\":{n},{rest}")
    };
    lines.iter().enumerate().map(number).collect()
}

#[test]
fn an_untouched_log_passes_and_says_how_far_it_is_anchored() {
    let (fixture, kept) = small();
    let report = fixture.audit(&[kept]);
    assert_eq!(report.finding().cloned(), None);
    assert_eq!((report.entries, report.signatures), (6, 6));
    assert_eq!((report.checkpoints, report.anchored), (4, Some(6)));
    // A checkpoint is put back that covers fewer entries.
    fixture.fill(2, LogSettings::default());
    let notes = fs::read_to_string(fixture.path().join("checkpoints")).unwrap();
    let second: String = notes.split_inclusive('\n').skip(10).take(5).collect();
    assert_eq!(fixture.audit(&[second.into_bytes()]).anchored, Some(4));
    assert_eq!(fixture.audit(&[]).anchored, None);
}

#[test]
fn every_flipped_byte_of_the_entries_is_found() {
    let fixture = LogFixture::new();
    for _ in 0..3 {
        fixture.fill(1, LogSettings::default());
    }
    let kept = fixture.checkpoint();
    let path = fixture.only_segment();
    let good = fs::read(&path).unwrap();
    let start_of = |n: u64| {
        let n = usize::try_from(n).unwrap();
        good.split_inclusive(|b| *b == b'\n').take(n).map(<[u8]>::len).sum::<usize>()
    };
    for at in 0..good.len() {
        let mut bent = good.clone();
        bent[at] ^= if at % 2 == 0 { 0x01 } else { 0x20 };
        fs::write(&path, &bent).unwrap();
        for kept in [vec![kept.clone()], vec![]] {
            if kept.is_empty() && at % 7 != 0 {
                continue;
            }
            let report = fixture.audit(&kept);
            let (what, n) = found(&report);
            let n = n.unwrap();
            // Adding or removing a line feed splits a line or joins two lines.
            let near = start_of(n) <= at && at < start_of(n + 1)
                || bent[at] == b'\n'
                || good[at] == b'\n'
                || what == FindingKind::Repeated
                || what == FindingKind::Removed;
            assert!(near, "byte {at}: {}", report.finding().cloned().unwrap());
        }
    }
}

#[test]
fn every_flipped_byte_of_hashes_and_checkpoints_is_found() {
    let (fixture, kept) = small();
    for name in ["tree", "checkpoint", "checkpoints"] {
        let path = fixture.path().join(name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bent = good.clone();
            bent[at] ^= 0x04;
            fs::write(&path, &bent).unwrap();
            let report = fixture.audit(std::slice::from_ref(&kept));
            let (what, _) = found(&report);
            let wanted = if name == "tree" { FindingKind::Tree } else { FindingKind::Checkpoint };
            let ends = what == FindingKind::Truncated || what == FindingKind::Rewritten;
            assert!(what == wanted || ends, "{name} {at}: {}", report.finding().cloned().unwrap());
        }
        fs::write(&path, &good).unwrap();
    }
    assert_eq!(fixture.audit(&[kept]).finding().cloned(), None);
}

#[test]
fn every_truncation_is_found_up_to_the_kept_checkpoint() {
    let (fixture, kept) = small();
    let path = fixture.only_segment();
    let good = fs::read(&path).unwrap();
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        let (what, n) = found(&fixture.audit(std::slice::from_ref(&kept)));
        let whole = good[..length].iter().filter(|b| **b == b'\n').count();
        assert_eq!((what, n), (FindingKind::Truncated, Some(whole as u64)), "{length}");
    }
}

/// Makes changes of every kind. The report must name the kind of each.
#[test]
fn each_change_of_entries_is_named() {
    let (fixture, kept) = small();
    let path = fixture.only_segment();
    let lines = fixture.lines();
    let check = |lines: &[String], what: FindingKind, n: u64, words: &str| {
        write_lines(&path, lines);
        for kept in [vec![kept.clone()], vec![]] {
            let report = fixture.audit(&kept);
            assert_eq!(found(&report), (what, Some(n)));
            let text = report.finding().cloned().unwrap().to_string();
            assert!(text.contains(words), "{text}");
            let behind = what == FindingKind::Repeated && n == 5 && report.anchored == Some(6);
            assert!(report.anchored.is_none() || behind, "{text}");
        }
    };
    for n in 0..6 {
        let mut without = lines.clone();
        without.remove(n);
        let what = if n == 5 { FindingKind::Truncated } else { FindingKind::Removed };
        let words = if n == 5 { "was cut off" } else { "was removed" };
        check(&without, what, n as u64, words);
        let mut twice = lines.clone();
        twice.insert(n, lines[n].clone());
        check(&twice, FindingKind::Repeated, n as u64, "stands again");
    }
    for n in 0..5 {
        let mut swapped = lines.clone();
        swapped.swap(n, n + 1);
        check(&swapped, FindingKind::Swapped, n as u64, "swapped with the next");
    }
    let mut two_gone = lines.clone();
    two_gone.drain(2..4);
    check(&two_gone, FindingKind::Removed, 2, "entry 4 follows");
    // An entry of another log replaces an entry, or is inserted before one.
    let other = small().0.lines();
    for n in 0..6 {
        let mut spliced = lines.clone();
        spliced[n] = other[n].clone();
        write_lines(&path, &spliced);
        let report = fixture.audit(std::slice::from_ref(&kept));
        assert_eq!(found(&report), (FindingKind::Changed, Some(n as u64)));
        let mut inserted = lines.clone();
        inserted.insert(n, other[n].clone());
        check(&inserted, FindingKind::Inserted, n as u64, "inserted before");
        let mut junk = lines.clone();
        junk.insert(n, "{}".to_owned());
        check(&junk, FindingKind::Inserted, n as u64, "inserted before");
    }
    // The beginning of one log is joined with the end of another.
    let spliced: Vec<String> = lines[..3].iter().chain(&other[3..]).cloned().collect();
    write_lines(&path, &spliced);
    assert_eq!(found(&fixture.audit(&[kept])), (FindingKind::Changed, Some(3)));
}

/// With the log's key, a new consistent log can be made. Only a kept checkpoint reveals it.
#[test]
fn a_log_rewritten_with_its_own_key_is_found_only_by_a_kept_checkpoint() {
    let (fixture, kept) = small();
    let lines = fixture.lines();
    let mut changed = lines.clone();
    changed[1] = changed[1].replace(
        r#""verdict":"verified","step":null,"code":null"#,
        r#""verdict":"refused","step":12,"code":"nonce_replayed""#,
    );
    let mut removed = lines.clone();
    removed.remove(2);
    let mut swapped = lines.clone();
    swapped[5] = lines[4].clone();
    swapped[4] = lines[4].clone();
    let cut = lines[..4].to_vec();
    for (case, lines) in [changed, renumber(&removed), cut].into_iter().enumerate() {
        forge(&fixture, &lines, 200);
        let report = fixture.audit(std::slice::from_ref(&kept));
        let (what, _) = found(&report);
        let wanted = if case == 0 { FindingKind::Rewritten } else { FindingKind::Truncated };
        assert_eq!(what, wanted, "case {case}");
        let alone = fixture.audit(&[]);
        assert_eq!((alone.finding().cloned(), alone.anchored), (None, None), "case {case}");
    }
    // A nonce that two entries use is found without a kept checkpoint.
    forge(&fixture, &renumber(&swapped), 200);
    assert_eq!(found(&fixture.audit(&[])), (FindingKind::Replayed, Some(5)));
}

#[test]
fn another_log_key_is_found_by_the_pinned_key() {
    let (fixture, kept) = small();
    forge(&fixture, &fixture.lines(), 201);
    let report = fixture.audit(&[]);
    assert_eq!(found(&report).0, FindingKind::Checkpoint);
    assert!(report.finding().cloned().unwrap().why.contains("not signed by the key"));
    // If the log's key is not pinned, a kept checkpoint proves nothing.
    let inputs = AuditorInputs { kept: vec![kept], ..AuditorInputs::default() };
    let report = fixtures::audit(&fixture.path(), &inputs, fixture.trust());
    assert_eq!((report.finding().cloned(), report.anchored), (None, None));
}

#[test]
fn a_roll_back_to_an_older_checkpoint_is_found() {
    let (fixture, _) = small();
    let old: Vec<(std::path::PathBuf, Vec<u8>)> = fs::read_dir(fixture.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    fixture.fill(3, LogSettings::default());
    let kept = fixture.checkpoint();
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    let report = fixture.audit(&[kept]);
    assert_eq!(found(&report), (FindingKind::Truncated, Some(6)));
    assert!(
        report.finding().cloned().unwrap().why.contains("the checkpoint that was kept is over 9")
    );
    assert_eq!(fixture.audit(&[]).finding().cloned(), None);
}

#[test]
fn a_kept_cosignature_anchors_the_entries_under_it() {
    let (fixture, _) = small();
    let witness = NoteKey::new("witness", NoteKeyKind::Witness, key(50).public().clone()).unwrap();
    let note = Note::parse(&fixture.checkpoint()).unwrap();
    let time = fixture.clock.now();
    let cosigned = note.cosign(&witness, &key(50), time).unwrap();
    fixture.fill(1, LogSettings::default());
    let inputs = |witness: &NoteKey| AuditorInputs {
        log_key: Some(fixture.log_key.clone()),
        kept: vec![cosigned.clone().into_bytes()],
        witnesses: vec![witness.clone()],
        ..AuditorInputs::default()
    };
    let report = fixtures::audit(&fixture.path(), &inputs(&witness), fixture.trust());
    assert_eq!((report.finding().cloned(), report.anchored), (None, Some(6)));
}

/// The log's operator forges entries under a client's key, with consistent hashes.
#[test]
fn an_entry_under_a_key_that_was_not_valid_then_is_found() {
    let (fixture, _) = small();
    let at = |seconds: i64| Timestamp::from_unix(START + seconds).to_string();
    let trust = |ours: Value| {
        let keys = vec![fixtures::entry(1, ours), fixtures::entry(2, json!({}))];
        AuditorTrust::pinned(registry(keys))
    };
    let log_key = Some(fixture.log_key.clone());
    let inputs = AuditorInputs { log_key, ..AuditorInputs::default() };
    let audit = |trust| fixtures::audit(&fixture.path(), &inputs, trust);
    assert!(audit(trust(json!({}))).is_good());
    assert!(audit(trust(json!({"revoked_at": at(7)}))).is_good());
    for (ours, count) in [
        (json!({"revoked_at": at(3)}), 4),
        (json!({"not_before": at(2)}), 1),
        (json!({"not_after": at(5)}), 2),
    ] {
        let Report { findings, unjudged, .. } = audit(trust(ours.clone()));
        assert!(findings.is_empty(), "{ours}: {findings:?}");
        assert_eq!(unjudged, [("not_trusted_then", count)].into(), "{ours}");
    }
    assert!(audit(trust(json!({"allow": ["tools/list"]}))).is_good(), "it was allowed then");
    let stranger = AuditorTrust::pinned(registry(vec![fixtures::entry(2, json!({}))]));
    assert_eq!(audit(stranger).unjudged, [("signer", 6)].into());
}

/// Changes one member of an entry at a time, and makes all hashes and signatures match.
#[test]
fn an_entry_that_does_not_fit_in_itself_is_found_without_any_anchor() {
    let (fixture, _) = small();
    let lines = fixture.lines();
    let pay = "\"method\":\"POST\"";
    let cases: Vec<(&str, String, String)> = vec![
        ("another method", pay.to_owned(), "\"method\":\"PUT\"".to_owned()),
        (
            "another target",
            "com/mcp?tenant=a%2fb\",\"headers".into(),
            "com/mcp?tenant=b\",\"headers".into(),
        ),
        ("another base", "@method\\\": POST".into(), "@method\\\": PUT".into()),
        ("another label", "{\"label\":\"mcp\"".into(), "{\"label\":\"pcm\"".into()),
        ("another profile", "\"profile\":\"mcp\"".into(), "\"profile\":\"pcm\"".into()),
        (
            "another time",
            request_time(&lines[1]),
            request_time(&lines[1]).replace("10:00:0", "11:00:0"),
        ),
        ("a key id of another", kid(&lines[1]), key(2).public().id().to_string()),
        ("no signature", "\"signatures\":[{".into(), "\"signatures\":[],\"x\":[{".into()),
        ("another version", "audit/2".into(), "audit/3".into()),
        ("an older version", "audit/2".into(), "audit/1".into()),
        (
            "a member twice",
            "\"event\":\"request\"".into(),
            "\"event\":\"request\",\"event\":\"request\"".into(),
        ),
        (
            "an unknown member",
            "\"event\":\"request\"".into(),
            "\"event\":\"request\",\"more\":1".into(),
        ),
        ("another verdict", "\"verdict\":\"verified\"".into(), "\"verdict\":\"executed\"".into()),
    ];
    for (case, from, to) in cases {
        assert!(lines[1].contains(&from), "{case}: {from} is not in the entry");
        let mut changed = lines.clone();
        changed[1] = lines[1].replacen(&from, &to, 1);
        forge(&fixture, &changed, 200);
        let report = fixture.audit(&[]);
        assert_eq!(found(&report), (FindingKind::Changed, Some(1)), "{case}");
    }
    // The entry itself gets an earlier time.
    let mut changed = lines.clone();
    changed[3] = lines[3].replacen("\"time\":\"2026", "\"time\":\"2025", 1);
    forge(&fixture, &changed, 200);
    assert_eq!(found(&fixture.audit(&[])), (FindingKind::Clock, Some(3)));
    forge(&fixture, &lines, 200);
    assert_eq!(fixture.audit(&[]).finding().cloned(), None);
}

fn request_time(line: &str) -> String {
    let json: Value = serde_json::from_str(line).unwrap();
    format!("\"request\":{{\"time\":{}", json["request"]["time"])
}

fn kid(line: &str) -> String {
    let json: Value = serde_json::from_str(line).unwrap();
    json["signatures"][0]["key"]["kid"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_of_entries_that_is_missing_or_added_is_found() {
    let fixture = LogFixture::new();
    let mut settings = LogSettings::default();
    settings.file_size = 3_000;
    fixture.fill(8, settings);
    let kept = fixture.checkpoint();
    let segments = fixture.segments();
    assert!(segments.len() >= 3);
    for (at, path) in segments.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        let what =
            if at + 1 == segments.len() { FindingKind::Truncated } else { FindingKind::Removed };
        assert_eq!(found(&fixture.audit(std::slice::from_ref(&kept))).0, what);
        fs::write(path, &bytes).unwrap();
    }
    let more = fixture.path().join("entries-000000000099.jsonl");
    fs::copy(&segments[0], &more).unwrap();
    assert_eq!(
        found(&fixture.audit(std::slice::from_ref(&kept))),
        (FindingKind::Repeated, Some(0))
    );
    fs::remove_file(more).unwrap();
    assert_eq!(fixture.audit(&[kept]).finding().cloned(), None);
}

#[test]
fn a_log_that_is_being_written_passes() {
    let fixture = LogFixture::new();
    let recorder = Recorder::new(fixture.open());
    let one = || call(1, fixture.clock.now().unix(), &body(1), &[]);
    for n in 0..20 {
        fixture.record(&recorder, &one()).unwrap();
        let report = fixture.audit(&[]);
        assert_eq!((report.finding().cloned(), report.entries), (None, n + 1));
    }
    // A part of a line is inserted between two entries, and in the middle of a line.
    let path = fixture.only_segment();
    let good = fs::read(&path).unwrap();
    fs::write(&path, [&good[..], b"{\"mcpid\""].concat()).unwrap();
    let report = fixture.audit(&[]);
    assert_eq!((report.finding().cloned(), report.unfinished), (None, true));
}
