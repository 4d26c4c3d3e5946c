//! Tests of changes to archives, to the signed notes that replace archived files, and to a log
//! before it is archived. The audit must find every change.

use std::fs;
use std::path::Path;
use std::process::Command;

use mcpid::audit::auditor::{self, FindingKind};
use mcpid::audit::note::{Note, NoteKey, NoteKeyKind};
use mcpid::audit::{Folder, LogError, archive};
use mcpid::key::Sign as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::archives::{archived, audit, is_whole, later, packed, several, small, with};
use crate::fixtures::{LogFixture, NAME, key};

/// A change to an archive is found, just as if the archived file were still in the log.
#[test]
fn each_change_of_an_archive_is_found() {
    let (fixture, to) = several();
    archived(&fixture, &to);
    let gz = packed(&to);
    let good = fs::read(&gz[1]).unwrap();
    let find = |folder: &Folder| {
        let report = audit(&fixture, folder);
        report.finding().map(|finding| finding.what)
    };
    let check = |case: &str, wanted: &[FindingKind]| {
        let what = find(&with(&fixture, &to)).unwrap_or_else(|| panic!("{case}: called good"));
        assert!(wanted.contains(&what), "{case}: {what:?}");
        fs::remove_file(&gz[1]).unwrap();
        fs::write(&gz[1], &good).unwrap();
        assert_eq!(find(&with(&fixture, &to)), None);
    };
    let pack = |text: &[u8]| {
        let plain = to.join("plain");
        fs::write(&plain, text).unwrap();
        let out = Command::new("gzip").arg("-c").arg(&plain).output().unwrap();
        fs::remove_file(plain).unwrap();
        out.stdout
    };
    let unpack = |path: &Path| Command::new("gzip").arg("-dc").arg(path).output().unwrap().stdout;
    let text = unpack(&gz[1]);
    let lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    for (length, _) in good.iter().enumerate().step_by(7) {
        fs::write(&gz[1], &good[..length]).unwrap();
        check("cut", &[FindingKind::Archive]);
    }
    fs::write(&gz[1], [&good[..], &good[..]].concat()).unwrap();
    check("twice in one file", &[FindingKind::Archive]);
    fs::write(&gz[1], [&good[..], b"\0"].concat()).unwrap();
    check("something behind it", &[FindingKind::Archive]);
    fs::write(&gz[1], "").unwrap();
    check("emptied", &[FindingKind::Archive]);
    fs::write(&gz[1], pack(b"")).unwrap();
    check("nothing packed", &[FindingKind::Removed]);
    fs::write(&gz[1], pack(&lines[..lines.len() - 1].concat())).unwrap();
    check("packed again without its last entry", &[FindingKind::Removed]);
    fs::write(&gz[1], pack(&lines[1..].concat())).unwrap();
    check("packed again without its first entry", &[FindingKind::Removed]);
    let changed = String::from_utf8(text.clone()).unwrap().replacen("verified", "refused", 1);
    fs::write(&gz[1], pack(changed.as_bytes())).unwrap();
    check("packed again and changed", &[FindingKind::Changed]);
    fs::copy(&gz[0], &gz[1]).unwrap();
    check("exchanged for another one of this log", &[FindingKind::Repeated, FindingKind::Changed]);
    fs::write(&gz[1], unpack(&gz[1])).unwrap();
    check("not packed", &[FindingKind::Archive]);
    // The archive gets a file from the archive of another log.
    let other = LogFixture::new();
    other.fill(12, small());
    let elsewhere = other.path().with_file_name("archive");
    archived(&other, &elsewhere);
    fs::copy(&packed(&elsewhere)[1], &gz[1]).unwrap();
    check("of another log", &[FindingKind::Changed]);
    // The archive gets a file that unpacks to far more data. The audit holds at most one line of it
    // in memory.
    let bomb = Command::new("sh")
        .args(["-c", "head -c 100000000 /dev/zero | gzip -1"])
        .output()
        .unwrap()
        .stdout;
    fs::write(&gz[1], bomb).unwrap();
    check(
        "a bomb of one line",
        &[FindingKind::Removed, FindingKind::Changed, FindingKind::Truncated],
    );
}

/// A change to any byte of an archive is found, unless the archive unpacks to the same entries.
#[test]
fn no_changed_archive_is_called_good() {
    let seed = 20_261_201;
    let mut random = StdRng::seed_from_u64(seed);
    let (fixture, to) = several();
    archived(&fixture, &to);
    let gz = packed(&to);
    let good: Vec<Vec<u8>> = gz.iter().map(|path| fs::read(path).unwrap()).collect();
    let unpack = |path: &Path| {
        let out = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
        (out.status.success(), out.stdout)
    };
    let plain: Vec<_> = gz.iter().map(|path| unpack(path)).collect();
    let mut found = 0;
    for case in 0..200 {
        let at = random.random_range(0..gz.len());
        let mut bytes = good[at].clone();
        let place = random.random_range(0..bytes.len());
        match random.random_range(0..5) {
            0 => bytes.truncate(place),
            1 => bytes[place] ^= 1 << random.random_range(0..8),
            2 => bytes.insert(place, random.random_range(0..=255)),
            3 => drop(bytes.remove(place)),
            _ => bytes = good[(at + 1) % gz.len()].clone(),
        }
        fs::write(&gz[at], bytes).unwrap();
        match audit(&fixture, &with(&fixture, &to)).finding() {
            Some(_) => found += 1,
            None => assert_eq!(unpack(&gz[at]), plain[at], "seed {seed}, case {case}"),
        }
        fs::write(&gz[at], &good[at]).unwrap();
    }
    assert!(found > 150, "{found}");
    is_whole(&fixture, &to);
}

#[test]
fn an_archive_that_is_no_regular_file_is_not_opened_and_two_copies_are_refused() {
    let (fixture, to) = several();
    archived(&fixture, &to);
    let gz = packed(&to);
    let good = fs::read(&gz[0]).unwrap();
    let read = |folder: Folder| {
        let lines = auditor::lines(&folder)?;
        lines.map(|line| line.map(drop)).collect::<Result<Vec<_>, _>>()
    };
    assert!(read(with(&fixture, &to)).is_ok());
    fs::remove_file(&gz[0]).unwrap();
    assert!(Command::new("mkfifo").arg(&gz[0]).status().unwrap().success());
    let error = read(with(&fixture, &to)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    fs::remove_file(&gz[0]).unwrap();
    let aside = to.join("aside");
    fs::write(&aside, &good).unwrap();
    std::os::unix::fs::symlink(&aside, &gz[0]).unwrap();
    let error = read(with(&fixture, &to)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    fs::remove_file(&gz[0]).unwrap();
    fs::rename(&aside, &gz[0]).unwrap();
    // The same archive is given twice, and then a file is in two archives.
    let twice = fixture.files().with_archives(vec![to.clone(), to.clone()]);
    let error = read(twice).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    let second = to.with_file_name("second");
    fs::create_dir(&second).unwrap();
    fs::copy(&gz[0], second.join(gz[0].file_name().unwrap())).unwrap();
    let error = read(fixture.files().with_archives(vec![to, second])).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
}

/// A missing file counts as archived only if the log's key has signed a note about it.
#[test]
fn a_missing_file_is_archived_only_by_the_word_of_the_logs_key() {
    let (fixture, to) = several();
    archived(&fixture, &to);
    let stub = fixture.path().join("entries-000000000000.archived");
    let good = fs::read_to_string(&stub).unwrap();
    let what = |fixture: &LogFixture| {
        let report = audit(fixture, &fixture.files());
        report.finding().map(|finding| finding.what)
    };
    assert_eq!(what(&fixture), None);
    let name = |first: u64| fixture.path().join(format!("entries-{first:012}.archived"));
    let other = fs::read_to_string(
        fixture
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "archived") && *path != stub)
            .min()
            .unwrap(),
    )
    .unwrap();
    let sign = |text: &str, number: u8| {
        let public = key(number).public().clone();
        let as_key = NoteKey::new(NAME, NoteKeyKind::Log, public);
        Note::sign(text.to_owned(), &as_key.unwrap(), &key(number)).unwrap()
    };
    let cases = [
        ("gone", None, FindingKind::Removed),
        ("emptied", Some(String::new()), FindingKind::Archive),
        ("cut", Some(good[..good.len() - 4].to_owned()), FindingKind::Archive),
        ("another size", Some(good.replacen("0 ", "0 1", 1)), FindingKind::Archive),
        ("that of another file", Some(other), FindingKind::Archive),
        (
            "of another key",
            Some(sign(&format!("{NAME}\narchived\n0 3\n"), 201)),
            FindingKind::Archive,
        ),
        ("too far", Some(sign(&format!("{NAME}\narchived\n0 1000\n"), 200)), FindingKind::Archive),
        (
            "not far enough",
            Some(sign(&format!("{NAME}\narchived\n0 1\n"), 200)),
            FindingKind::Removed,
        ),
        ("nothing", Some(sign(&format!("{NAME}\narchived\n0 0\n"), 200)), FindingKind::Archive),
        (
            "more lines",
            Some(sign(&format!("{NAME}\narchived\n0 3\nx\n"), 200)),
            FindingKind::Archive,
        ),
        (
            "a checkpoint",
            Some(String::from_utf8(fixture.checkpoint()).unwrap()),
            FindingKind::Archive,
        ),
    ];
    for (case, text, wanted) in cases {
        match text {
            Some(text) => fs::write(&stub, text).unwrap(),
            None => fs::remove_file(&stub).unwrap(),
        }
        assert_eq!(what(&fixture), Some(wanted), "{case}");
        fs::write(&stub, &good).unwrap();
        assert_eq!(what(&fixture), None);
    }
    fs::remove_file(&stub).unwrap();
    assert!(Command::new("mkfifo").arg(&stub).status().unwrap().success());
    assert_eq!(what(&fixture), Some(FindingKind::Archive));
    fs::remove_file(&stub).unwrap();
    fs::write(&stub, &good).unwrap();
    fs::write(name(999), &good).unwrap();
    assert_eq!(what(&fixture), Some(FindingKind::Archive));
    fs::remove_file(name(999)).unwrap();
    // The log stores the hashes of archived entries. If they are missing, the audit reports it.
    let tree = fixture.path().join("tree");
    let hashes = fs::read(&tree).unwrap();
    for at in [0, 32, 64, 200] {
        let mut bent = hashes.clone();
        bent[at] ^= 1;
        fs::write(&tree, bent).unwrap();
        assert!(what(&fixture).is_some(), "{at}");
    }
    fs::remove_file(&tree).unwrap();
    assert_eq!(what(&fixture), Some(FindingKind::Tree));
    let error = fixture.try_open(small()).unwrap_err();
    assert!(error.to_string().contains("are archived"), "{error}");
}

/// A log whose hashes or entries were changed is not archived, because that would hide the change.
#[test]
fn a_damaged_log_is_left_as_it_was() {
    let (fixture, to) = several();
    let first = fixture.segments().remove(0);
    let text = fs::read_to_string(&first).unwrap();
    let all = |fixture: &LogFixture| {
        let mut files: Vec<_> = fs::read_dir(fixture.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let lines: Vec<&str> = text.lines().collect();
    for bent in [
        text.replacen("verified", "refused", 1),
        format!("{}\n", lines[1..].join("\n")),
        format!("{text}{}\n", lines[0]),
        text[..text.len() - 1].to_owned(),
        String::new(),
    ] {
        fs::write(&first, bent).unwrap();
        let before = all(&fixture);
        let error = archive::archive(&fixture.files(), later(), &to).unwrap_err().source;
        assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
        assert!(before == all(&fixture) && packed(&to).is_empty());
    }
    fs::remove_file(&first).unwrap();
    let error = archive::archive(&fixture.files(), later(), &to).unwrap_err().source;
    assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
    fs::write(&first, &text).unwrap();
    let tree = fixture.path().join("tree");
    let hashes = fs::read(&tree).unwrap();
    let mut bent = hashes.clone();
    bent[0] ^= 1;
    fs::write(&tree, bent).unwrap();
    assert!(archive::archive(&fixture.files(), later(), &to).is_err());
    fs::write(&tree, &hashes).unwrap();
    // If a file of that name exists at the destination, it is not overwritten.
    fs::write(to.join("entries-000000000000.jsonl.gz"), "something else").unwrap();
    let error = archive::archive(&fixture.files(), later(), &to).unwrap_err().source;
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    fs::remove_file(to.join("entries-000000000000.jsonl.gz")).unwrap();
    assert!(archived(&fixture, &to).files > 0);
    is_whole(&fixture, &to);
}
