//! Tests of a log whose private key is elsewhere than in the log's folder, for example in a token:
//! who can write the log, and what happens while the key does not sign.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcpid::audit::erase::{self, EraseError};
use mcpid::audit::{
    Folder, Log, LogError, LogSettings, Policy, Recorder, archive, redact, succession,
};
use mcpid::clock::Clock;
use mcpid::key::{PublicKey, SecretKey, Sign, SignError};

use crate::archives::{later, small};
use crate::fixtures::{LogFixture, NAME, body, call, key};

const WHY: &str = "a request";

/// A key that signs only while the test lets it, and counts its calls.
struct SwitchedKey {
    secret: SecretKey,
    works: AtomicBool,
    asked: AtomicUsize,
}

impl SwitchedKey {
    fn new(number: u8) -> Arc<Self> {
        let (works, asked) = (AtomicBool::new(true), AtomicUsize::new(0));
        Arc::new(SwitchedKey { secret: key(number), works, asked })
    }

    fn set(&self, works: bool) {
        self.works.store(works, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Sign for SwitchedKey {
    fn public(&self) -> &PublicKey {
        self.secret.public()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.works.load(Ordering::SeqCst) {
            true => self.secret.sign(message),
            false => Err(SignError::new("the token is gone")),
        }
    }
}

/// Returns a log whose folder lacks the private key, and that key.
fn log_and_key() -> (LogFixture, Arc<SwitchedKey>) {
    let fixture = LogFixture::new();
    fs::remove_file(fixture.path().join("log-key.json")).unwrap();
    (fixture, SwitchedKey::new(200))
}

fn with(fixture: &LogFixture, key: &Arc<SwitchedKey>) -> Folder {
    fixture.files().with_key(key.clone())
}

fn open(
    fixture: &LogFixture,
    key: &Arc<SwitchedKey>,
    settings: LogSettings,
) -> Result<Log, LogError> {
    Log::open(with(fixture, key), settings, fixture.clock.clone())
}

/// Settings by which the log signs a checkpoint after two entries.
fn often() -> LogSettings {
    let mut settings = LogSettings::default();
    (settings.every, settings.pause) = (2, Duration::ZERO);
    settings
}

fn record(fixture: &LogFixture, recorder: &Recorder, n: u64) -> Result<(), LogError> {
    fixture.clock.forward(1);
    fixture.record(recorder, &call(1, fixture.clock.now().unix(), &body(n), &[]))
}

#[track_caller]
fn is_good(fixture: &LogFixture, entries: u64) {
    let report = fixture.audit(&[fixture.checkpoint()]);
    assert_eq!(report.finding().cloned(), None);
    assert_eq!((report.entries, report.anchored), (entries, Some(entries)));
}

#[test]
fn a_key_elsewhere_makes_and_writes_a_log_without_a_private_key_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let key = SwitchedKey::new(200);
    let public = Folder::init_with_key(&path, NAME, &*key).unwrap();
    assert_eq!((public.name(), public.public()), (NAME, key.public()));
    let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["checkpoint", "checkpoints", "log-key.pub", "tree"]);
    let again = Folder::init_with_key(&path, NAME, &*key);
    assert!(matches!(again, Err(LogError::Exists(_))), "{again:?}");
    assert!(!Folder::at(&path).unwrap().has_private_key());
    let (fixture, key) = log_and_key();
    let recorder = Recorder::new(open(&fixture, &key, often()).unwrap());
    for n in 0..5 {
        record(&fixture, &recorder, n).unwrap();
    }
    drop(recorder);
    is_good(&fixture, 5);
    assert!(!fixture.path().join("log-key.json").exists());
}

#[test]
fn a_key_that_does_not_sign_makes_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let key = SwitchedKey::new(200);
    key.set(false);
    let error = Folder::init_with_key(&path, NAME, &*key).unwrap_err();
    assert!(matches!(error, LogError::Sign(_)), "{error:?}");
    assert!(!path.exists());
    key.set(true);
    for name in ["", "two words", "a+b"] {
        let error = Folder::init_with_key(&path, name, &*key).unwrap_err();
        assert!(matches!(error, LogError::KeyUnfit(_)), "{name}: {error:?}");
    }
    assert!(!path.exists());
    // A folder that contains the private key of a log is refused as the folder of a new one.
    let fixture = LogFixture::new();
    for name in ["log-key.pub", "tree", "checkpoint", "checkpoints"] {
        fs::remove_file(fixture.path().join(name)).unwrap();
    }
    let error = Folder::init_with_key(fixture.path(), NAME, &*key).unwrap_err();
    assert!(matches!(error, LogError::Exists(_)), "{error:?}");
}

#[test]
fn a_log_is_opened_only_with_its_own_key() {
    let (fixture, key) = log_and_key();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let none = fixture.try_open(LogSettings::default()).unwrap_err();
    assert!(matches!(none, LogError::NoKey(_)), "{none:?}");
    let other = open(&fixture, &SwitchedKey::new(201), LogSettings::default()).unwrap_err();
    assert!(matches!(other, LogError::AnotherKey { .. }), "{other:?}");
    let erased = erase::erase(&fixture.files(), 0, WHY, clock.clone()).unwrap_err();
    assert!(matches!(erased, EraseError::Log(LogError::NoKey(_))), "{erased:?}");
    let to = fixture.path().with_file_name("archive");
    let archived = archive::archive(&fixture.files(), later(), &to).unwrap_err().source;
    assert!(matches!(archived, LogError::NoKey(_)), "{archived:?}");
    assert!(!to.exists());
    let kept = fixture.files().check_writable().unwrap_err();
    assert!(matches!(kept, LogError::NoKey(_)), "{kept:?}");
    assert!(!with(&fixture, &key).check_writable().unwrap());
    // If the public key of another log is put into the folder, the holder of that log's key still
    // cannot write this log.
    let public = fs::read_to_string(fixture.path().join("log-key.pub")).unwrap();
    fs::write(fixture.path().join("log-key.pub"), "no key\n").unwrap();
    let unfit = open(&fixture, &key, LogSettings::default()).unwrap_err();
    assert!(matches!(unfit, LogError::KeyUnfit(_)), "{unfit:?}");
    fs::remove_file(fixture.path().join("log-key.pub")).unwrap();
    let no_log = open(&fixture, &key, LogSettings::default()).unwrap_err();
    assert!(matches!(no_log, LogError::NotALog(_)), "{no_log:?}");
    fs::write(fixture.path().join("log-key.pub"), public).unwrap();
    open(&fixture, &key, LogSettings::default()).unwrap();
}

#[test]
fn a_key_that_does_not_sign_is_found_when_the_log_is_opened() {
    let (fixture, key) = log_and_key();
    key.set(false);
    let error = open(&fixture, &key, LogSettings::default()).unwrap_err();
    assert!(matches!(error, LogError::Sign(_)), "{error:?}");
    assert_eq!(key.asked(), 1);
    assert_eq!(fixture.lines().len(), 0);
    // After the failure, the folder is not locked any more.
    key.set(true);
    open(&fixture, &key, LogSettings::default()).unwrap();
}

#[test]
fn while_the_key_does_not_sign_required_refuses_and_no_written_entry_is_lost() {
    let (fixture, key) = log_and_key();
    let log = open(&fixture, &key, often()).unwrap();
    let required = Recorder::new(log.clone());
    let lax = Recorder::new(log.clone()).with_policy(Policy::BestEffort);
    key.set(false);
    // A checkpoint is due after the second entry.
    for n in 0..2 {
        record(&fixture, &required, n).unwrap();
    }
    within_a_minute(|| log.trouble().is_some());
    assert!(matches!(log.trouble(), Some(LogError::Sign(_))));
    let (asked, begun) = (key.asked(), Instant::now());
    for n in 2..50 {
        let error = record(&fixture, &required, n).unwrap_err();
        assert!(matches!(error, LogError::Sign(_)), "{error:?}");
    }
    record(&fixture, &lax, 50).unwrap();
    within_a_minute(|| log.gaps() == 1);
    // While the key fails, the log asks it every two seconds, and not for each request.
    let (asked, seconds) = (key.asked() - asked, begun.elapsed().as_secs() as usize);
    assert!(asked <= 3 + seconds, "{asked} in {seconds} s");
    assert_eq!(log.size(), 2);
    key.set(true);
    within_a_minute(|| log.trouble().is_none());
    record(&fixture, &required, 51).unwrap();
    drop((required, lax, log));
    // The log has two entries after the failure: that of the request, and the count of requests
    // without an entry.
    is_good(&fixture, 4);
}

#[test]
fn entries_without_a_checkpoint_survive_a_key_that_is_gone_at_the_end() {
    let (fixture, key) = log_and_key();
    let log = open(&fixture, &key, LogSettings::default()).unwrap();
    let recorder = Recorder::new(log);
    for n in 0..3 {
        record(&fixture, &recorder, n).unwrap();
    }
    key.set(false);
    drop(recorder);
    key.set(true);
    let log = open(&fixture, &key, LogSettings::default()).unwrap();
    // The fourth entry records that the three before it were under no checkpoint.
    assert_eq!((log.size(), log.last_checkpoint().0), (4, 0));
    record(&fixture, &Recorder::new(log), 3).unwrap();
    is_good(&fixture, 5);
}

#[test]
fn the_key_signs_once_for_all_redacted_values() {
    let (fixture, key) = log_and_key();
    let rules = ["tools/call:*:arguments.password", "tools/call:*:arguments.to"];
    let rules = rules.map(|rule| rule.parse().unwrap()).to_vec();
    let log = open(&fixture, &key, LogSettings::default()).unwrap();
    let recorder = Recorder::new(log).with_bodies(rules);
    for n in 0..10 {
        record(&fixture, &recorder, n).unwrap();
    }
    assert_eq!(key.asked(), 1);
    drop(recorder);
    for line in fixture.lines() {
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        let binding = json["signatures"][0]["signature"].as_str().unwrap();
        let cut = &json["redacted"]["cuts"][0];
        let salt = redact::salt(&*key, binding, cut["at"].as_str().unwrap()).unwrap();
        let values = ["\"bob\"", "\"hunter2\""].map(|value| redact::commitment(&salt, value));
        assert!(values.contains(&cut["sha256"].as_str().unwrap().to_owned()), "{cut}");
    }
}

#[test]
fn an_erasure_that_the_key_does_not_sign_is_completed_by_a_second_call() {
    let (fixture, key) = log_and_key();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    let recorder = Recorder::new(open(&fixture, &key, LogSettings::default()).unwrap());
    for n in 0..3 {
        record(&fixture, &recorder, n).unwrap();
    }
    drop(recorder);
    key.set(false);
    let error = erase::erase(&with(&fixture, &key), 1, WHY, clock.clone()).unwrap_err();
    assert!(matches!(error, EraseError::Log(LogError::Sign(_))), "{error:?}");
    assert!(fixture.lines()[1].contains("request"), "the entry stays without its record");
    key.set(true);
    let erased = erase::erase(&with(&fixture, &key), 1, WHY, clock).unwrap();
    // The record of the first call was cut off, as entry 3 tells.
    assert_eq!((erased.n, erased.recorded_in), (1, 4));
    assert!(fixture.lines()[3].contains("recovered"));
    assert!(fixture.lines()[1].contains("tombstone"));
}

#[test]
fn an_archive_that_the_key_does_not_sign_is_completed_by_a_second_call() {
    let (fixture, key) = log_and_key();
    let recorder = Recorder::new(open(&fixture, &key, small()).unwrap());
    for n in 0..12 {
        record(&fixture, &recorder, n).unwrap();
    }
    drop(recorder);
    let to = fixture.path().with_file_name("archive");
    let before = fixture.segments();
    key.set(false);
    let error = archive::archive(&with(&fixture, &key), later(), &to).unwrap_err();
    assert!(matches!(error.source, LogError::Sign(_)), "{error:?}");
    assert_eq!((error.moved.files, fixture.segments()), (0, before));
    key.set(true);
    assert!(archive::archive(&with(&fixture, &key), later(), &to).unwrap().files > 1);
}

#[test]
fn a_log_moves_its_key_from_the_folder_to_a_token_by_a_successor() {
    let fixture = LogFixture::new();
    let clock: Arc<dyn Clock> = fixture.clock.clone();
    fixture.fill(2, LogSettings::default());
    let path = fixture.path().with_file_name("next");
    let key = SwitchedKey::new(201);
    Folder::init_with_key(&path, "example.com/next", &*key).unwrap();
    let next = || Folder::at(&path).unwrap().with_key(key.clone());
    let unnamed = succession::follow(&Folder::at(&path).unwrap(), &fixture.files(), &clock);
    assert!(matches!(unnamed, Err(LogError::NoKey(_))), "{unnamed:?}");
    // The key of the new log fails in the middle of the call. A second call completes the
    // succession.
    key.set(false);
    let error = succession::follow(&next(), &fixture.files(), &clock).unwrap_err();
    assert!(matches!(error, LogError::Sign(_)), "{error:?}");
    key.set(true);
    succession::follow(&next(), &fixture.files(), &clock).unwrap();
    let open = Log::open(next(), LogSettings::default(), clock.clone()).unwrap();
    // Entry 1 tells that entry 0 was under no checkpoint after the first call.
    assert_eq!((open.size(), open.last_checkpoint().0), (2, 2));
    drop(open);
    let third = succession::follow(&next(), &fixture.files(), &clock).unwrap_err();
    assert!(matches!(third, LogError::Exists(_)), "{third:?}");
    let closed = fixture.try_open(LogSettings::default()).unwrap_err();
    assert!(matches!(closed, LogError::Followed { .. }), "{closed:?}");
}

#[track_caller]
fn within_a_minute(mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
}
