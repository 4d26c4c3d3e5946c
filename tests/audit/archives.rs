//! Entries that were moved out of a log: it goes on without them, is whole with them, and says what
//! was not seen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mcpid::audit::archive::{self, Archived};
use mcpid::audit::auditor::{Anchor, Report, What};
use mcpid::audit::proof::{self, ProofError};
use mcpid::audit::{Folder, LogError, Recorder, Settings, check, growth, succession};
use mcpid::clock::{Clock, Timestamp};
use mcpid::key::Sign as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::fixtures::{NAME, START, Scene, audit_folder, body, call, key};

/// Later than every entry of these tests.
fn later() -> Timestamp {
    Timestamp::from_unix(START + 1_000_000)
}

fn small() -> Settings {
    let mut settings = Settings::default();
    settings.file_size = 5_000;
    settings
}

/// A log of twelve entries in several files, and a folder for its archive.
fn several() -> (Scene, PathBuf) {
    let scene = Scene::new();
    scene.fill(12, small());
    assert!(scene.segments().len() >= 4);
    let to = scene.path().with_file_name("archive");
    (scene, to)
}

fn archived(scene: &Scene, to: &Path) -> Archived {
    archive::archive(&scene.files(), later(), to).unwrap()
}

fn with(scene: &Scene, to: &Path) -> Folder {
    scene.files().with_archives(vec![to.to_owned()])
}

fn anchor(scene: &Scene) -> Anchor {
    let kept = vec![scene.checkpoint()];
    Anchor { log_key: Some(scene.log_key.clone()), kept, ..Anchor::default() }
}

fn audit(scene: &Scene, folder: &Folder) -> Report {
    audit_folder(folder, &anchor(scene), scene.trust())
}

/// Nothing is found, with the archive and without it, and only without it something is unjudged.
#[track_caller]
fn is_whole(scene: &Scene, to: &Path) {
    let whole = audit(scene, &with(scene, to));
    assert_eq!(whole.finding(), None);
    assert!(whole.is_good() && whole.unseen == 0, "{:?}", whole.unjudged);
    assert_eq!(whole.anchored, Some(whole.entries));
    let without = audit(scene, &scene.files());
    assert_eq!((without.finding(), without.entries), (None, whole.entries));
    assert_eq!(without.anchored, Some(whole.entries));
}

fn packed(to: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(to)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "gz"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn an_archived_log_is_whole_with_its_archive_and_goes_on_without() {
    let (scene, to) = several();
    let before = scene.lines();
    let files = scene.segments().len();
    let done = archived(&scene, &to);
    assert_eq!(done.files, files as u64 - 1);
    assert_eq!((done.first, scene.segments().len()), (0, 1));
    assert!(done.packed < done.bytes);
    is_whole(&scene, &to);
    let without = audit(&scene, &scene.files());
    assert_eq!(without.unjudged, [("archived", done.next)].into());
    assert_eq!((without.unseen, without.is_good()), (done.next, false));
    // Again, there is nothing to do.
    assert_eq!(archived(&scene, &to).files, 0);
    // Appending, consistency for a witness that lags, and proofs of what is there go on.
    let kept = scene.checkpoint();
    scene.fill(3, small());
    growth::consistent(&scene.files(), &scene.log_key, &kept, &scene.checkpoint()).unwrap();
    is_whole(&scene, &to);
    let n = done.next + 1;
    let evidence = proof::prove(&scene.files(), n, None).unwrap();
    let checked = check::check(evidence.as_bytes(), &anchor(&scene), scene.trust(), None).unwrap();
    assert!(checked.is_good());
    // What is archived is proved with the archive only.
    let error = proof::prove(&scene.files(), 1, None).unwrap_err();
    assert!(matches!(error, ProofError::Log(LogError::Archived(1))), "{error:?}");
    let evidence = proof::prove(&with(&scene, &to), 1, None).unwrap();
    let checked = check::check(evidence.as_bytes(), &anchor(&scene), scene.trust(), None).unwrap();
    assert!(checked.is_good());
    // A second round adds to the same folder.
    scene.fill(6, small());
    assert!(archived(&scene, &to).files > 0);
    is_whole(&scene, &to);
    // Other tools read it too.
    let first = Command::new("gzip").arg("-dc").arg(&packed(&to)[0]).output().unwrap();
    let text = String::from_utf8(first.stdout).unwrap();
    assert_eq!(text.lines().next(), Some(&*before[0]));
}

#[test]
fn only_what_is_over_and_old_enough_is_archived() {
    let scene = Scene::new();
    let to = scene.path().with_file_name("archive");
    assert_eq!(archived(&scene, &to).files, 0);
    for _ in 0..4 {
        scene.fill(2, Settings::default());
        scene.clock.forward(24 * 60 * 60);
    }
    assert_eq!(scene.segments().len(), 4);
    let at = |days: i64| Timestamp::from_unix(START + days * 24 * 60 * 60);
    let until = |before| archive::archive(&scene.files(), before, &to).unwrap().next;
    assert_eq!(until(at(0)), 0);
    // The last entry of the first file is not before its own second.
    assert_eq!(until(Timestamp::from_unix(START + 2)), 0);
    assert_eq!(until(Timestamp::from_unix(START + 3)), 2);
    assert_eq!(until(at(2)), 4);
    // The newest stays, and a file behind which no checkpoint is.
    assert_eq!(until(later()), 6);
    assert_eq!(scene.segments().len(), 1);
    is_whole(&scene, &to);
    // While another process writes.
    let log = scene.open();
    let recorder = Recorder::new(log);
    let one = |n| call(1, scene.clock.now().unix(), &body(n), &[]);
    scene.record(&recorder, &one(1)).unwrap();
    assert_eq!(until(later()), 0, "its first entry lies under no checkpoint yet");
    scene.clock.forward(24 * 60 * 60);
    scene.record(&recorder, &one(2)).unwrap();
    scene.clock.forward(24 * 60 * 60);
    scene.record(&recorder, &one(3)).unwrap();
    assert!(until(later()) > 0);
    scene.record(&recorder, &one(4)).unwrap();
    drop(recorder);
    is_whole(&scene, &to);
}

#[test]
fn every_file_of_an_archive_is_the_owners_alone() {
    let (scene, to) = several();
    archived(&scene, &to);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&to), 0o700);
    for path in packed(&to) {
        assert_eq!(mode(&path), 0o600);
    }
    let stub = scene.path().join("entries-000000000000.archived");
    assert_eq!(mode(&stub), 0o600);
    // A folder that others can write to is no place for an archive.
    let (scene, _) = several();
    let open = scene.path().with_file_name("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let error = archive::archive(&scene.files(), later(), &open).unwrap_err();
    assert!(matches!(error, LogError::TooOpen { .. }), "{error:?}");
    // Nor is the log itself, nor the archive of another log.
    let error = archive::archive(&scene.files(), later(), &scene.path()).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    let other = Scene::at(scene.path().with_file_name("other"), "example.com/other");
    other.fill(12, small());
    let error = archive::archive(&other.files(), later(), &to).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    assert_eq!(
        archive::owner(&to).unwrap().map(|key| key.name().to_owned()).as_deref(),
        Some(NAME)
    );
}

/// Each state that a process leaves behind that ends in the middle: the log verifies, with what is
/// there and with the archive, and can be archived again.
#[test]
fn a_process_that_ends_while_it_archives_leaves_a_whole_log() {
    for state in 0..6 {
        let (scene, to) = several();
        let first = scene.segments().remove(0);
        let bytes = fs::read(&first).unwrap();
        let done = archived(&scene, &to);
        let (stub, gz) =
            (scene.path().join("entries-000000000000.archived"), packed(&to).remove(0));
        let half = fs::read(&gz).unwrap();
        let half = &half[..half.len() / 2];
        let temporary = to.join(format!(".{}.tmp", gz.file_name().unwrap().to_str().unwrap()));
        let note = fs::read(&stub).unwrap();
        match state {
            // A folder and nothing in it but whose it is; half a copy; a copy; a copy and half a note.
            0 => fs::remove_file(&gz).unwrap(),
            1 => {
                fs::remove_file(&gz).unwrap();
                fs::write(&temporary, half).unwrap();
            }
            2 => {}
            3 => {
                let name = ".entries-000000000000.archived.tmp";
                fs::write(scene.path().join(name), &note[..note.len() / 2]).unwrap();
            }
            // Copy and note, and the file is still there; or all is done.
            4 | 5 => {}
            _ => unreachable!(),
        }
        if state < 4 {
            fs::remove_file(&stub).unwrap();
        }
        if state < 5 {
            fs::write(&first, &bytes).unwrap();
        }
        // The files behind it were archived as well: as before, those are not seen.
        is_whole(&scene, &to);
        scene.fill(1, small());
        is_whole(&scene, &to);
        let again = archived(&scene, &to);
        assert_eq!(again.files > 0 && again.first == 0, state < 5, "state {state}");
        is_whole(&scene, &to);
        assert!(!first.exists() && stub.exists() && gz.exists(), "state {state}");
        assert!(!temporary.exists(), "state {state}");
        assert!(audit(&scene, &scene.files()).unseen >= done.next, "state {state}");
    }
}

/// What is done to an archive is found, as if the file lay in the log.
#[test]
fn what_is_done_to_an_archive_is_found() {
    let (scene, to) = several();
    archived(&scene, &to);
    let gz = packed(&to);
    let good = fs::read(&gz[1]).unwrap();
    let find = |folder: &Folder| {
        let report = audit(&scene, folder);
        report.finding().map(|finding| finding.what)
    };
    let check = |case: &str, wanted: &[What]| {
        let what = find(&with(&scene, &to)).unwrap_or_else(|| panic!("{case}: called good"));
        assert!(wanted.contains(&what), "{case}: {what:?}");
        fs::remove_file(&gz[1]).unwrap();
        fs::write(&gz[1], &good).unwrap();
        assert_eq!(find(&with(&scene, &to)), None);
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
        check("cut", &[What::Archive]);
    }
    fs::write(&gz[1], [&good[..], &good[..]].concat()).unwrap();
    check("twice in one file", &[What::Archive]);
    fs::write(&gz[1], [&good[..], b"\0"].concat()).unwrap();
    check("something behind it", &[What::Archive]);
    fs::write(&gz[1], "").unwrap();
    check("emptied", &[What::Archive]);
    fs::write(&gz[1], pack(b"")).unwrap();
    check("nothing packed", &[What::Removed]);
    fs::write(&gz[1], pack(&lines[..lines.len() - 1].concat())).unwrap();
    check("packed again without its last entry", &[What::Removed]);
    fs::write(&gz[1], pack(&lines[1..].concat())).unwrap();
    check("packed again without its first entry", &[What::Removed]);
    let changed = String::from_utf8(text.clone()).unwrap().replacen("verified", "refused", 1);
    fs::write(&gz[1], pack(changed.as_bytes())).unwrap();
    check("packed again and changed", &[What::Changed]);
    fs::copy(&gz[0], &gz[1]).unwrap();
    check("exchanged for another one of this log", &[What::Repeated, What::Changed]);
    fs::write(&gz[1], unpack(&gz[1])).unwrap();
    check("not packed", &[What::Archive]);
    // A file of another log.
    let other = Scene::new();
    other.fill(12, small());
    let elsewhere = other.path().with_file_name("archive");
    archived(&other, &elsewhere);
    fs::copy(&packed(&elsewhere)[1], &gz[1]).unwrap();
    check("of another log", &[What::Changed]);
    // A bomb: no more of it is held in memory than a line may have.
    let bomb = Command::new("sh")
        .args(["-c", "head -c 100000000 /dev/zero | gzip -1"])
        .output()
        .unwrap()
        .stdout;
    fs::write(&gz[1], bomb).unwrap();
    check("a bomb of one line", &[What::Removed, What::Changed, What::Truncated]);
}

/// An archive of which any byte was changed is found, unless it unpacks to the same entries.
#[test]
fn no_changed_archive_is_called_good() {
    let seed = 20_261_201;
    let mut random = StdRng::seed_from_u64(seed);
    let (scene, to) = several();
    archived(&scene, &to);
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
        match audit(&scene, &with(&scene, &to)).finding() {
            Some(_) => found += 1,
            None => assert_eq!(unpack(&gz[at]), plain[at], "seed {seed}, case {case}"),
        }
        fs::write(&gz[at], &good[at]).unwrap();
    }
    assert!(found > 150, "{found}");
    is_whole(&scene, &to);
}

#[test]
fn a_file_that_is_none_is_not_opened_and_two_copies_are_not_chosen_from() {
    let (scene, to) = several();
    archived(&scene, &to);
    let gz = packed(&to);
    let good = fs::read(&gz[0]).unwrap();
    let read = |folder: Folder| {
        let lines = mcpid::audit::auditor::lines(&folder)?;
        lines.map(|line| line.map(drop)).collect::<Result<Vec<_>, _>>()
    };
    assert!(read(with(&scene, &to)).is_ok());
    fs::remove_file(&gz[0]).unwrap();
    assert!(Command::new("mkfifo").arg(&gz[0]).status().unwrap().success());
    let error = read(with(&scene, &to)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    fs::remove_file(&gz[0]).unwrap();
    let aside = to.join("aside");
    fs::write(&aside, &good).unwrap();
    std::os::unix::fs::symlink(&aside, &gz[0]).unwrap();
    let error = read(with(&scene, &to)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    fs::remove_file(&gz[0]).unwrap();
    fs::rename(&aside, &gz[0]).unwrap();
    // The same archive twice, and the same file in two of them.
    let twice = scene.files().with_archives(vec![to.clone(), to.clone()]);
    let error = read(twice).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    let second = to.with_file_name("second");
    fs::create_dir(&second).unwrap();
    fs::copy(&gz[0], second.join(gz[0].file_name().unwrap())).unwrap();
    let error = read(scene.files().with_archives(vec![to, second])).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
}

/// Only what the log's key has signed makes an archived file of one that is missing.
#[test]
fn a_missing_file_is_archived_only_by_the_word_of_the_logs_key() {
    let (scene, to) = several();
    archived(&scene, &to);
    let stub = scene.path().join("entries-000000000000.archived");
    let good = fs::read_to_string(&stub).unwrap();
    let what = |scene: &Scene| {
        let report = audit(scene, &scene.files());
        report.finding().map(|finding| finding.what)
    };
    assert_eq!(what(&scene), None);
    let name = |first: u64| scene.path().join(format!("entries-{first:012}.archived"));
    let other = fs::read_to_string(
        scene
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
        let as_key = mcpid::audit::note::NoteKey::new(NAME, mcpid::audit::note::Kind::Log, public);
        mcpid::audit::note::Note::sign(text.to_owned(), &as_key.unwrap(), &key(number)).unwrap()
    };
    let cases = [
        ("gone", None, What::Removed),
        ("emptied", Some(String::new()), What::Archive),
        ("cut", Some(good[..good.len() - 4].to_owned()), What::Archive),
        ("another size", Some(good.replacen("0 ", "0 1", 1)), What::Archive),
        ("that of another file", Some(other), What::Archive),
        ("of another key", Some(sign(&format!("{NAME}\narchived\n0 3\n"), 201)), What::Archive),
        ("too far", Some(sign(&format!("{NAME}\narchived\n0 1000\n"), 200)), What::Archive),
        ("not far enough", Some(sign(&format!("{NAME}\narchived\n0 1\n"), 200)), What::Removed),
        ("nothing", Some(sign(&format!("{NAME}\narchived\n0 0\n"), 200)), What::Archive),
        ("more lines", Some(sign(&format!("{NAME}\narchived\n0 3\nx\n"), 200)), What::Archive),
        ("a checkpoint", Some(String::from_utf8(scene.checkpoint()).unwrap()), What::Archive),
    ];
    for (case, text, wanted) in cases {
        match text {
            Some(text) => fs::write(&stub, text).unwrap(),
            None => fs::remove_file(&stub).unwrap(),
        }
        assert_eq!(what(&scene), Some(wanted), "{case}");
        fs::write(&stub, &good).unwrap();
        assert_eq!(what(&scene), None);
    }
    fs::remove_file(&stub).unwrap();
    assert!(Command::new("mkfifo").arg(&stub).status().unwrap().success());
    assert_eq!(what(&scene), Some(What::Archive));
    fs::remove_file(&stub).unwrap();
    fs::write(&stub, &good).unwrap();
    fs::write(name(999), &good).unwrap();
    assert_eq!(what(&scene), Some(What::Archive));
    fs::remove_file(name(999)).unwrap();
    // The hashes stand for what is archived: without them nothing does.
    let tree = scene.path().join("tree");
    let hashes = fs::read(&tree).unwrap();
    for at in [0, 32, 64, 200] {
        let mut bent = hashes.clone();
        bent[at] ^= 1;
        fs::write(&tree, bent).unwrap();
        assert!(what(&scene).is_some(), "{at}");
    }
    fs::remove_file(&tree).unwrap();
    assert_eq!(what(&scene), Some(What::Tree));
    let error = scene.try_open(small()).unwrap_err();
    assert!(error.to_string().contains("are archived"), "{error}");
}

/// A log whose hashes or entries were changed is not archived: that would seal it.
#[test]
fn a_damaged_log_is_left_as_it_was() {
    let (scene, to) = several();
    let first = scene.segments().remove(0);
    let text = fs::read_to_string(&first).unwrap();
    let all = |scene: &Scene| {
        let mut files: Vec<_> = fs::read_dir(scene.path())
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
        let before = all(&scene);
        let error = archive::archive(&scene.files(), later(), &to).unwrap_err();
        assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
        assert!(before == all(&scene) && packed(&to).is_empty());
    }
    fs::remove_file(&first).unwrap();
    let error = archive::archive(&scene.files(), later(), &to).unwrap_err();
    assert!(matches!(error, LogError::Changed { .. }), "{error:?}");
    fs::write(&first, &text).unwrap();
    let tree = scene.path().join("tree");
    let hashes = fs::read(&tree).unwrap();
    let mut bent = hashes.clone();
    bent[0] ^= 1;
    fs::write(&tree, bent).unwrap();
    assert!(archive::archive(&scene.files(), later(), &to).is_err());
    fs::write(&tree, &hashes).unwrap();
    // What is there already under that name is not written over.
    fs::write(to.join("entries-000000000000.jsonl.gz"), "something else").unwrap();
    let error = archive::archive(&scene.files(), later(), &to).unwrap_err();
    assert!(matches!(error, LogError::Archive { .. }), "{error:?}");
    fs::remove_file(to.join("entries-000000000000.jsonl.gz")).unwrap();
    assert!(archived(&scene, &to).files > 0);
    is_whole(&scene, &to);
}

/// How many logs there were before is known of a log whose first entry is archived.
#[test]
fn a_log_with_archived_entries_can_be_followed() {
    let (scene, to) = several();
    let clock: Arc<dyn Clock> = scene.clock.clone();
    let make = |name: &str, number: u8| {
        let path = scene.path().with_file_name(name.replace('/', "-"));
        let public = Folder::init(&path, name, &key(number), Timestamp::from_unix(START)).unwrap();
        (Folder::at(path).unwrap(), public)
    };
    let (second, second_key) = make("example.com/second", 201);
    succession::follow(&second, &scene.files(), &clock).unwrap();
    // The second log gets entries, and its first file is archived.
    let log = mcpid::audit::Log::open(second.clone(), small(), scene.clock.clone()).unwrap();
    let recorder = Recorder::new(log);
    for n in 0..8 {
        scene.record(&recorder, &call(1, scene.clock.now().unix(), &body(n), &[])).unwrap();
    }
    drop(recorder);
    assert!(archive::archive(&second, later(), &to).unwrap().files > 0);
    let (third, third_key) = make("example.com/third", 202);
    succession::follow(&third, &second, &clock).unwrap();
    let audit = |folder: &Folder, key: &mcpid::audit::note::NoteKey| {
        let anchor = Anchor { log_key: Some(key.clone()), ..Anchor::default() };
        let report = audit_folder(folder, &anchor, scene.trust());
        assert_eq!(report.finding(), None);
        report
    };
    let (first, newest) = (audit(&scene.files(), &scene.log_key), audit(&third, &third_key));
    assert_eq!(newest.link.predecessors, 2);
    let without = audit(&second, &second_key);
    assert_eq!((without.link.predecessors, without.link.first_unknown), (1, true));
    let with = audit(&second.clone().with_archives(vec![to]), &second_key);
    assert_eq!((with.link.predecessors, with.link.first_unknown), (1, false));
    let follows = succession::follows;
    assert_eq!(follows((&newest, &third_key), (&with, &second_key)), Ok(None));
    assert_eq!(follows((&with, &second_key), (&first, &scene.log_key)), Ok(None));
    let not_seen = follows((&without, &second_key), (&first, &scene.log_key));
    assert!(not_seen.unwrap().unwrap().contains("was not seen"));
}
