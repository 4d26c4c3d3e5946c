//! Tests with a store file that was replaced by an older copy, or whose write-ahead log was
//! removed: between two runs of which the first was killed, and while the store is open. No replay
//! is accepted.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mcpid::nonce::{NonceStore as _, StoreAdmin as _};
use rusqlite::Connection;

use crate::contract::{accepts, at, claim, is_fresh, try_claim};
use crate::sqlite::{Folder, folder};
use crate::{key, wait};

const CLAIMED: usize = 100;
const ROLE: &str = "MCPID_TEST_COPIES";
const FILES: [&str; 4] = ["nonces.db", "nonces.db-wal", "nonces.db-shm", "nonces.db-last"];

/// The process that the test kills runs this function, which is not a test itself. The parent
/// process signals when to store the second half of the nonces.
#[test]
fn child_run_that_is_killed() {
    let Ok(folder) = std::env::var(ROLE) else { return };
    let path = Path::new(&folder).join("nonces.db");
    let options = mcpid::nonce::sqlite::SqliteOptions::new(path, Some("this boot".to_owned()));
    let store = options.open_for_claims(at(0), crate::contract::retention()).unwrap();
    let mut out = std::io::stdout();
    for half in [0, CLAIMED / 2] {
        for i in half..half + CLAIMED / 2 {
            assert!(accepts(&try_claim(&store, 10, &key(1), &format!("n-{i}")), 10));
        }
        out.write_all(b"\nhalf\n").unwrap();
        out.flush().unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

struct Run(Child, BufReader<std::process::ChildStdout>);

impl Run {
    fn start(folder: &Folder) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite_copies::child_run_that_is_killed", "--nocapture"])
            .env(ROLE, folder.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut run = Run(child, out);
        run.wait();
        run
    }

    fn wait(&mut self) {
        let mut line = String::new();
        while line != "half\n" {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "it ended early");
        }
    }

    fn go_on_and_be_killed(mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.wait();
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Copies files as `cp -a` does, over existing files.
fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in FILES {
        if from.join(name).exists() {
            let done =
                Command::new("cp").arg("-a").arg(from.join(name)).arg(to.join(name)).status();
            assert!(done.unwrap().success());
        }
    }
}

fn without_log(folder: &Folder) {
    for name in ["nonces.db-wal", "nonces.db-shm"] {
        let _gone = fs::remove_file(folder.path(name));
    }
}

#[test]
fn a_single_killed_run_loses_no_nonce() {
    let folder = folder();
    Run::start(&folder).go_on_and_be_killed();
    let store = folder.open_at(12, Some("this boot")).unwrap();
    assert_eq!(wait(store.floor(at(12))).unwrap(), at(5));
    for i in 0..CLAIMED {
        assert!(!is_fresh(claim(&store, 12, &key(1), &format!("n-{i}"))));
    }
    // The file is replaced once more, after the store was closed in order.
    drop(store);
    let store = folder.open_at(13, Some("this boot")).unwrap();
    assert_eq!(wait(store.floor(at(13))).unwrap(), at(5));
}

#[test]
fn a_copy_put_back_between_two_runs_raises_the_floor() {
    type PutBack = fn(&Folder);
    let ways: [(&str, PutBack); 12] = [
        ("closed, renamed", |f| {
            fs::rename(f.path("closed/nonces.db"), f.path("nonces.db")).unwrap();
            without_log(f);
        }),
        ("closed, written over", |f| {
            fs::copy(f.path("closed/nonces.db"), f.path("nonces.db")).unwrap();
            without_log(f);
        }),
        ("closed, written over, log kept", |f| {
            fs::copy(f.path("closed/nonces.db"), f.path("nonces.db")).unwrap();
        }),
        ("closed with its note, cp -a", |f| {
            without_log(f);
            copy_all(&f.path("closed"), &f.path(""));
        }),
        ("half, written over", |f| {
            for name in &FILES[..2] {
                fs::copy(f.path(&format!("half/{name}")), f.path(name)).unwrap();
            }
            fs::remove_file(f.path("nonces.db-shm")).unwrap();
        }),
        ("half, everything, cp -a", |f| copy_all(&f.path("half"), &f.path(""))),
        ("half, everything renamed", |f| {
            for name in FILES {
                fs::rename(f.path(&format!("half/{name}")), f.path(name)).unwrap();
            }
        }),
        ("its log removed", without_log),
        ("its log put back", |f| {
            fs::copy(f.path("half/nonces.db-wal"), f.path("nonces.db-wal")).unwrap();
            fs::remove_file(f.path("nonces.db-shm")).unwrap();
        }),
        ("its log cut", |f| {
            let log = fs::OpenOptions::new().write(true).open(f.path("nonces.db-wal")).unwrap();
            log.set_len(log.metadata().unwrap().len() / 2).unwrap();
            fs::remove_file(f.path("nonces.db-shm")).unwrap();
        }),
        ("without a note", |f| fs::remove_file(f.path("nonces.db-last")).unwrap()),
        ("another note", |f| fs::write(f.path("nonces.db-last"), [b'x'; 192]).unwrap()),
    ];
    for (way, put_back) in ways {
        let folder = folder();
        copy_all(&folder.path(""), &folder.path("closed"));
        let run = Run::start(&folder);
        copy_all(&folder.path(""), &folder.path("half"));
        run.go_on_and_be_killed();
        put_back(&folder);
        let store = folder.open_at(12, Some("this boot")).unwrap();
        for i in 0..CLAIMED {
            let answer = try_claim(&store, 12, &key(1), &format!("n-{i}"));
            assert!(!accepts(&answer, 10), "{way}: n-{i} {answer:?}");
        }
        assert_eq!(wait(store.floor(at(12))).unwrap(), at(17), "{way}");
        assert!(accepts(&try_claim(&store, 18, &key(1), "new"), 18), "{way}");
        // The time from which requests are accepted rises only once.
        drop(store);
        let store = folder.open_at(30, Some("this boot")).unwrap();
        assert_eq!(wait(store.floor(at(30))).unwrap(), at(17), "{way}");
        assert!(!is_fresh(claim(&store, 30, &key(1), "new")), "{way}");
    }
}

#[test]
fn a_copy_written_over_the_open_file_is_noticed() {
    let folder = folder();
    copy_all(&folder.path(""), &folder.path("closed"));
    // New nonces are written to the copied file itself, and not only to its log.
    let store = folder.store();
    for i in 0..CLAIMED {
        assert!(accepts(&try_claim(&store, 10, &key(1), &format!("n-{i}")), 10));
    }
    drop(store);
    let (store, other) = (folder.store(), folder.store());
    assert!(accepts(&try_claim(&store, 11, &key(1), "last"), 11));
    fs::copy(folder.path("closed/nonces.db"), folder.path("nonces.db")).unwrap();
    for store in [&store, &other] {
        for i in 0..CLAIMED {
            let answer = try_claim(store, 12, &key(1), &format!("n-{i}"));
            assert!(!accepts(&answer, 10), "n-{i} {answer:?}");
        }
    }
    let changed =
        |store| (0..10).any(|i| accepts(&try_claim(store, 20, &key(2), &format!("{i}")), 20));
    assert!(changed(&store), "it recovers");
}

#[test]
fn processes_that_share_a_file_recognise_each_others_changes() {
    let folder = folder();
    let stores: Vec<_> = (0..4).map(|_| folder.store()).collect();
    std::thread::scope(|scope| {
        for (n, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                for i in 0..200 {
                    let answer = try_claim(store, 10, &key(1), &format!("{n}-{i}"));
                    assert!(accepts(&answer, 10), "{n}-{i} {answer:?}");
                }
            });
        }
    });
    // One of the stores copies its log into the file, and so changes the file for the others.
    for (i, store) in stores.into_iter().enumerate() {
        wait(store.prune(at(500))).unwrap();
        drop(store);
        let again = folder.open_at(20, Some("this boot")).unwrap();
        assert!(accepts(&try_claim(&again, 501, &key(2), &i.to_string()), 501));
    }
}

#[test]
fn a_change_of_the_file_by_another_program_raises_the_floor() {
    let folder = folder();
    let store = folder.store();
    assert!(accepts(&try_claim(&store, 10, &key(1), "n"), 10));
    drop(store);
    let other = Connection::open(folder.path("nonces.db")).unwrap();
    other.execute_batch("VACUUM").unwrap();
    drop(other);
    let store = folder.open_at(12, Some("this boot")).unwrap();
    assert_eq!(wait(store.floor(at(12))).unwrap(), at(17));
    assert!(!is_fresh(claim(&store, 12, &key(1), "n")));
}

#[test]
fn a_file_with_two_names_is_refused() {
    let folder = folder();
    fs::hard_link(folder.path("nonces.db"), folder.path("other.db")).unwrap();
    for name in ["nonces.db", "other.db"] {
        let options = mcpid::nonce::sqlite::SqliteOptions::new(folder.path(name), None);
        let refused =
            options.open_for_claims(at(0), crate::contract::retention()).unwrap_err().to_string();
        assert!(refused.contains("hard link"), "{name}: {refused}");
    }
}
