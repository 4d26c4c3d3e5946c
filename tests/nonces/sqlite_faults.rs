//! Tests of faults of the store's file: each gives an error within the time limit, and never the
//! answer that a nonce is new. The store recovers without a restart.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpid::nonce::sqlite::SqliteOptions;
use mcpid::nonce::{NonceStore, StoreError};
use rusqlite::Connection;

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::sqlite::{Folder, folder};
use crate::{key, wait};

/// How long a claim waits where its file gives an answer.
const BUDGET: Duration = Duration::from_secs(20);

/// How long a claim waits for a lock that is not released.
const SHORT: Duration = Duration::from_secs(3);

/// The longest acceptable wait. It is far longer than the store's time limit, because the machine
/// may be busy. Without that limit, the store would wait for ever.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn refuses<T>(result: Result<T, StoreError>, word: &str) {
    let error = result.err().expect("an error").to_string();
    assert!(error.contains(word), "{error}");
}

fn open(path: &Path) -> Result<mcpid::nonce::sqlite::Sqlite, StoreError> {
    SqliteOptions::new(path, Some("this boot".to_owned()))
        .budget(BUDGET)
        .open_for_claims(at(0), retention())
}

#[test]
fn a_file_that_is_no_store_is_left_unchanged() {
    let folder = Folder::empty();
    let path = folder.path("file");
    for (bytes, word) in [
        (&b"{\"keys\":[]} and more than the hundred bytes that a header of SQLite's has: ...............\n"[..], "not a nonce store"),
        (&[0xff; 8192], "not a nonce store"),
        (b"SQLite format 3\0", "not a nonce store"),
        (b"x", "not a nonce store"),
    ] {
        fs::write(&path, bytes).unwrap();
        refuses(open(&path), word);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    // The file is a database of another program, with and without an application id.
    for mark in [0, 77] {
        fs::remove_file(&path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE used (id, first, kept)").unwrap();
        other.pragma_update(None, "application_id", mark).unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        refuses(open(&path), "another program");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    fs::create_dir(folder.path("folder")).unwrap();
    refuses(open(&folder.path("folder")), "regular file");
    refuses(open(&folder.path("nowhere/nonces.db")), "does not exist");
    refuses(open(Path::new("")), "names no file");
    refuses(open(Path::new("/")), "names no file");
}

#[test]
fn a_newer_or_damaged_layout_is_refused() {
    let change = |sql: &str| {
        let folder = folder();
        let other = Connection::open(folder.path("nonces.db")).unwrap();
        other.execute_batch(sql).unwrap();
        drop(other);
        open(&folder.path("nonces.db")).and_then(|store| try_claim(&store, 10, &key(1), "n"))
    };
    refuses(change("PRAGMA user_version = 2"), "newer");
    refuses(change("PRAGMA user_version = 0"), "damaged");
    refuses(change("DELETE FROM state"), "damaged");
    for sql in [
        "DROP TABLE used",
        "DROP TABLE state",
        "UPDATE state SET window = -1",
        "UPDATE state SET ahead = 5000000000",
        "ALTER TABLE used RENAME COLUMN kept TO until",
    ] {
        assert!(change(sql).is_err(), "{sql}");
    }
    assert!(accepts(&change("SELECT 1"), 10));
}

#[test]
fn links_are_not_followed() {
    let folder = folder();
    let path = folder.path("link.db");
    // A link is refused, whether it leads to a store or to a missing file, which may belong to
    // another program.
    symlink(folder.path("nonces.db"), &path).unwrap();
    refuses(open(&path), "link");
    fs::remove_file(&path).unwrap();
    symlink(folder.path("made.db"), &path).unwrap();
    refuses(open(&path), "link");
    assert!(!folder.path("made.db").exists());
    // A link to the store's folder is accepted.
    fs::create_dir(folder.path("real")).unwrap();
    symlink(folder.path("real"), folder.path("linked")).unwrap();
    open(&folder.path("linked/nonces.db")).unwrap();
    assert!(folder.path("real/nonces.db").exists());
}

#[test]
fn a_world_writable_file_is_refused() {
    let folder = folder();
    let path = folder.path("nonces.db");
    fs::set_permissions(&path, Permissions::from_mode(0o606)).unwrap();
    refuses(open(&path), "everybody");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    open(&path).unwrap();
}

/// The file is locked for longer than the store waits, so requests to the store fail.
#[test]
fn a_locked_store_is_unavailable_in_time_and_recovers() {
    let folder = folder();
    let store =
        Arc::new(folder.options().budget(SHORT).open_for_claims(at(0), retention()).unwrap());
    assert!(is_fresh(claim(&*store, 10, &key(1), "before")));
    let other = Connection::open(folder.path("nonces.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..2 {
        // Requests to the store that come while its thread waits for the lock also fail in time.
        std::thread::scope(|scope| {
            for i in 0..32 {
                let store = &store;
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(i * 10));
                    let begun = Instant::now();
                    refuses(try_claim(&**store, 10, &key(1), &format!("{i}")), "");
                    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
                });
            }
        });
    }
    refuses(folder.options().budget(SHORT).open_for_claims(at(0), retention()), "");
    drop(other);
    // A request that was given up may have been executed, which is safe. The other nonces are new.
    let until = Instant::now() + PATIENCE;
    while try_claim(&*store, 10, &key(1), "after").is_err() {
        assert!(Instant::now() < until, "it did not recover");
    }
    assert!(is_fresh(claim(&*store, 10, &key(1), "after-2")));
    assert!(!is_fresh(claim(&*store, 10, &key(1), "before")));
    assert_eq!(wait(store.floor(at(10))).unwrap(), at(5));
}

#[test]
fn a_store_that_is_deleted_or_replaced_while_open_is_unavailable_and_then_raises_its_floor() {
    type Mess = (&'static str, fn(&Folder));
    let mess: [Mess; 5] = [
        ("deleted", |folder| fs::remove_file(folder.path("nonces.db")).unwrap()),
        ("moved", |folder| {
            fs::rename(folder.path("nonces.db"), folder.path("elsewhere.db")).unwrap();
        }),
        ("put back from a copy", |folder| {
            fs::copy(folder.path("nonces.db"), folder.path("copy.db")).unwrap();
            fs::rename(folder.path("copy.db"), folder.path("nonces.db")).unwrap();
        }),
        ("without its log", |folder| fs::remove_file(folder.path("nonces.db-wal")).unwrap()),
        ("without all", |folder| {
            for name in ["nonces.db", "nonces.db-wal", "nonces.db-shm"] {
                fs::remove_file(folder.path(name)).unwrap();
            }
        }),
    ];
    for (what, make) in mess {
        let folder = folder();
        let store = folder.options().budget(BUDGET).open_for_claims(at(0), retention()).unwrap();
        assert!(accepts(&try_claim(&store, 100, &key(1), "n"), 100));
        make(&folder);
        assert!(try_claim(&store, 101, &key(1), "m").is_err(), "{what}");
        // The store recovers without a restart. It may first have to remove the log of the file
        // that was removed.
        let mut answers = Vec::new();
        for i in 0..5 {
            for nonce in ["n", "m"] {
                let answer = try_claim(&store, 102, &key(1), nonce);
                assert!(!accepts(&answer, 100), "{what}: {answer:?}");
                assert!(!accepts(&answer, 101), "{what}: {answer:?}");
            }
            answers.push(try_claim(&store, 110, &key(1), &format!("later-{i}")));
        }
        assert!(answers.iter().any(|answer| accepts(answer, 110)), "{what}: {answers:?}");
    }
}

#[test]
fn a_file_cut_or_overwritten_while_open_never_makes_a_nonce_fresh() {
    for round in 0..6 {
        let folder = folder();
        let store = folder.options().budget(BUDGET).open_for_claims(at(0), retention()).unwrap();
        for i in 0..200 {
            assert!(accepts(&try_claim(&store, 100, &key(1), &i.to_string()), 100));
        }
        drop(store);
        let store = folder.options().budget(BUDGET).open_for_claims(at(0), retention()).unwrap();
        let path = folder.path("nonces.db");
        let size = fs::metadata(&path).unwrap().len();
        match round {
            0 => fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap(),
            1 => fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap(),
            2 => fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(size / 2).unwrap(),
            3 => fs::write(&path, vec![0; usize::try_from(size).unwrap()]).unwrap(),
            4 => fs::write(&path, vec![0xa5; usize::try_from(size).unwrap()]).unwrap(),
            _ => fs::write(&path, b"garbage").unwrap(),
        }
        for i in 0..200 {
            let answer = try_claim(&store, 101, &key(1), &i.to_string());
            assert!(!accepts(&answer, 100), "{round} {i}: {answer:?}");
        }
    }
}

#[test]
fn a_full_store_refuses_loses_no_nonce_and_has_room_later() {
    let folder = Folder::empty();
    let store = folder.options().max_bytes(100 * 4096).open_for_claims(at(0), retention()).unwrap();
    let mut held = Vec::new();
    let error = loop {
        let nonce = held.len().to_string();
        match try_claim(&store, 10, &key(1), &nonce) {
            Ok(answer) => assert!(is_fresh(answer)),
            Err(error) => break error,
        }
        held.push(nonce);
        assert!(held.len() < 100_000, "it has no end");
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert!(held.len() > 500, "{}", held.len());
    for nonce in &held {
        assert!(!is_fresh(claim(&store, 20, &key(1), nonce)), "{nonce}");
    }
    assert!(fs::metadata(folder.path("nonces.db")).unwrap().len() <= 101 * 4096);
    // The store removes expired nonces, which makes room.
    let mut fresh = 0;
    for i in 0..500 {
        let answer = try_claim(&store, 1_000, &key(1), &format!("new-{i}"));
        fresh += usize::from(accepts(&answer, 1_000));
    }
    assert!(fresh > 490, "{fresh}");
}

/// The process that may write nothing, or only a little, runs this function. It is not a test
/// itself.
#[test]
fn child_process_that_may_not_write() {
    let Some(file) = std::env::var_os("MCPID_TEST_NONCES_UNWRITABLE") else { return };
    let said = match open(Path::new(&file)) {
        Err(error) => format!("error {error}"),
        Ok(store) => {
            let mut claims =
                (0..10_000).map(|i| try_claim(&store, 10, &key(1), &format!("child-{i}")));
            match claims.find(|claim| !matches!(claim, Ok(claim) if is_fresh(*claim))) {
                Some(Err(error)) => format!("error {error}"),
                other => format!("{other:?}"),
            }
        }
    };
    writeln!(std::io::stdout(), "\n={said}").unwrap();
}

fn as_child(mut command: Command, file: &Path) -> String {
    command.env("MCPID_TEST_NONCES_UNWRITABLE", file);
    // The copy was just written, and a child process of another test may still have the file open
    // for writing.
    let busy = |e: &std::io::Error| e.kind() == std::io::ErrorKind::ExecutableFileBusy;
    let mut output = command.output();
    for _ in 0..100 {
        if !output.as_ref().is_err_and(busy) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        output = command.output();
    }
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix('=')).map(str::to_owned);
    line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

const CHILD: &str = "sqlite_faults::child_process_that_may_not_write";

#[test]
fn a_file_that_cannot_be_written_is_unavailable() {
    let folder = folder();
    let path = folder.path("nonces.db");
    fs::set_permissions(&path, Permissions::from_mode(0o444)).unwrap();
    let parent = path.parent().unwrap();
    fs::set_permissions(parent, Permissions::from_mode(0o755)).unwrap();
    let program = std::env::current_exe().unwrap();
    // The root user may write everything, so the child must not be root. It needs a copy of this
    // program that another user can read.
    let copy = folder.path("tests");
    let is_root = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0;
    let mut command = if is_root {
        fs::copy(&program, &copy).unwrap();
        let mut command = Command::new(&copy);
        command.uid(65_534).gid(65_534).current_dir("/");
        command
    } else {
        Command::new(&program)
    };
    command.args(["--exact", CHILD, "--nocapture"]);
    let said = as_child(command, &path);
    assert!(said.starts_with("error "), "{said}");
}

#[test]
fn a_full_disk_is_unavailable() {
    let folder = folder();
    // To the program, a limit of 256 KiB on file sizes looks like a full disk.
    let mut command = Command::new("bash");
    let script = "trap '' XFSZ; ulimit -f 256; exec \"$0\" \"$@\"";
    let program = std::env::current_exe().unwrap();
    command.args(["-c", script]).arg(program).args(["--exact", CHILD, "--nocapture"]);
    let said = as_child(command, &folder.path("nonces.db"));
    assert!(said.starts_with("error "), "{said}");
    // Every nonce that the store called new is in the file. Without the limit, the store works
    // again.
    let store = folder.store();
    assert!(!is_fresh(claim(&store, 10, &key(1), "child-0")));
    assert!(accepts(&try_claim(&store, 10, &key(1), "more"), 10));
}
