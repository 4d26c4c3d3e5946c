//! Tests of the SQLite store: the contract (the tests that every store must pass), and the state
//! that a file keeps between two openings.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use mcpid::nonce::sqlite::{Sqlite, SqliteOptions};
use mcpid::nonce::{Claim, NonceStore, Retention, StoreAdmin as _, StoreError};
use tempfile::TempDir;

use crate::contract::{StorePlace, accepts, at, claim, is_fresh, retention, try_claim};
use crate::{key, wait};

/// A folder with a SQLite store in it.
pub(crate) struct Folder(TempDir);

pub(crate) fn folder() -> Folder {
    let folder = Folder(TempDir::new().unwrap());
    drop(folder.store());
    folder
}

impl Folder {
    pub(crate) fn empty() -> Self {
        Folder(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.path("nonces.db"), Some("this boot".to_owned()))
    }

    /// Opens the store again at [`crate::contract::START`], as if the machine was not restarted
    /// (under the same boot id).
    pub(crate) fn store(&self) -> Sqlite {
        self.options().open_for_claims(at(0), retention()).unwrap()
    }

    pub(crate) fn open_at(&self, seconds: i64, boot: Option<&str>) -> Result<Sqlite, StoreError> {
        let options = SqliteOptions::new(self.path("nonces.db"), boot.map(str::to_owned));
        options.open_for_claims(at(seconds), retention())
    }
}

impl StorePlace for Folder {
    fn open(&self) -> Arc<dyn NonceStore> {
        Arc::new(self.store())
    }

    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        Arc::new(self.options().allow_raising(true).open_for_claims(at(0), retention()).unwrap())
    }
}

crate::holds_the_contract!(folder());

#[test]
fn a_longer_window_is_refused_unless_allowed() {
    crate::contract::a_longer_window_is_refused_unless_allowed(&folder());
    // The failed opening changes nothing in the file.
    let folder = folder();
    let longer = folder.options().open_for_claims(at(20), Retention::new(86_400, 5)).unwrap_err();
    assert_eq!(longer.retention_too_short().unwrap().seconds(), 86_405);
    let boot = folder.open_at(20, Some("this boot")).unwrap();
    assert_eq!(wait(boot.floor(at(20))).unwrap(), at(5));
    // Under another boot id, the store refuses requests signed up to a retention ago, by the file's
    // retention. The one that was refused has no effect.
    let options = SqliteOptions::new(folder.path("nonces.db"), Some("another".to_owned()));
    assert!(options.open_for_claims(at(100), Retention::new(30, 86_400)).is_err());
    assert_eq!(wait(folder.store().floor(at(100))).unwrap(), at(105));
    // A file without nonces takes any retention, because no other user could be blocked.
    let new = Folder::empty();
    let store = new.options().open_for_claims(at(0), Retention::new(86_400, 5)).unwrap();
    assert_eq!(wait(store.floor(at(0))).unwrap(), at(5));
}

#[test]
fn a_new_file_keeps_the_granted_retention() {
    let folder = Folder::empty();
    let long = folder.options().open_for_claims(at(0), Retention::new(300, 60)).unwrap();
    assert!(accepts(&try_claim(&long, 100, &key(1), "n"), 100));
    for name in ["nonces.db", "nonces.db-wal", "nonces.db-shm"] {
        fs::remove_file(folder.path(name)).unwrap();
    }
    // Another handle stores the first nonce, with a shorter retention.
    let short = folder.open_at(200, Some("this boot")).unwrap();
    let _late = try_claim(&long, 200, &key(1), "m");
    assert!(!accepts(&try_claim(&long, 200, &key(1), "n"), 200));
    let until = loop {
        if let Ok(Claim::Fresh { .. }) = try_claim(&long, 201, &key(1), "o") {
            break wait(long.peek(at(201), &key(1), "o")).unwrap().unwrap().until;
        }
    };
    assert!(until >= at(201 + 660), "{until:?}");
    assert_eq!(wait(short.state(at(10))).unwrap().retention, Some(Retention::new(300, 60)));
}

#[test]
fn a_claimed_nonce_survives_a_restart() {
    let folder = folder();
    let store = folder.store();
    for i in 0..100 {
        assert!(is_fresh(claim(&store, 10, &key(1), &i.to_string())));
    }
    drop(store);
    let store = folder.open_at(20, Some("this boot")).unwrap();
    assert_eq!(wait(store.floor(at(20))).unwrap(), at(5), "a restart alone forgets nothing");
    for i in 0..100 {
        match claim(&store, 20, &key(1), &i.to_string()) {
            Claim::Replayed { first } => assert_eq!(first, Some(at(10))),
            other => panic!("{other:?}"),
        }
    }
    assert!(accepts(&try_claim(&store, 20, &key(1), "new"), 20));
}

#[test]
fn an_unknown_or_different_boot_id_sets_the_floor() {
    for boots in [[Some("a"), Some("b")], [Some("a"), None], [None, Some("a")], [None, None]] {
        let folder = Folder::empty();
        drop(folder.open_at(0, boots[0]).unwrap());
        let store = folder.open_at(1_000, boots[1]).unwrap();
        assert_eq!(wait(store.floor(at(1_000))).unwrap(), at(1_005), "{boots:?}");
        assert!(!accepts(&try_claim(&store, 1_005, &key(1), "low"), 1_005));
        assert!(accepts(&try_claim(&store, 1_006, &key(1), "high"), 1_006));
    }
    // The boot id is recorded, so opening again under the same id changes nothing.
    let folder = Folder::empty();
    drop(folder.open_at(0, Some("a")).unwrap());
    drop(folder.open_at(1_000, Some("b")).unwrap());
    let store = folder.open_at(2_000, Some("b")).unwrap();
    assert_eq!(wait(store.floor(at(2_000))).unwrap(), at(1_005));
    // The time from which the store accepts requests never goes back, even if the clock is behind
    // after the next boot.
    drop(store);
    let store = folder.open_at(-5_000, Some("c")).unwrap();
    assert!(wait(store.floor(at(-5_000))).unwrap() >= at(1_005));
}

#[test]
fn a_boot_with_a_slow_clock_goes_by_the_latest_claim() {
    let folder = folder();
    let store = folder.store();
    assert!(is_fresh(claim(&store, 5_000, &key(1), "n")));
    drop(store);
    let store = folder.open_at(1_000, Some("another boot")).unwrap();
    assert!(wait(store.floor(at(1_000))).unwrap() >= at(5_005));
}

#[test]
fn an_open_handle_follows_changes_by_another_handle() {
    let folder = folder();
    let (one, other) = (folder.store(), folder.open_to_raise());
    assert!(is_fresh(claim(&one, 10, &key(1), "n")));
    assert!(!is_fresh(claim(&*other, 10, &key(1), "n")));
    wait(other.register(at(10), Retention::new(300, 60))).unwrap();
    match claim(&one, 10, &key(1), "m") {
        Claim::Fresh { floor } => assert_eq!(floor, at(10 + 60 + 300)),
        answer => panic!("{answer:?}"),
    }
    // While a store is open, another process opens the file under another boot id.
    let third = folder.open_at(500, Some("another boot")).unwrap();
    let floor = wait(third.floor(at(500))).unwrap();
    assert_eq!(floor, at(560));
    assert_eq!(wait(one.floor(at(500))).unwrap(), floor);
}

#[test]
fn old_nonces_are_removed_in_small_steps_and_raise_the_floor() {
    let folder = folder();
    let store = folder.store();
    for i in 0..600 {
        assert!(is_fresh(claim(&store, 10, &key(1), &format!("old-{i}"))));
    }
    assert_eq!(wait(store.list(at(0), None, 10_000)).unwrap().kept.len(), 600);
    // Storing a nonce an hour later removes some of the expired nonces, but not all.
    assert!(is_fresh(claim(&store, 3_600, &key(1), "new")));
    let left = wait(store.list(at(0), None, 10_000)).unwrap().kept.len();
    assert!((100..600).contains(&left), "{left}");
    for i in 0..10 {
        assert!(is_fresh(claim(&store, 3_600, &key(1), &format!("new-{i}"))));
    }
    assert_eq!(wait(store.list(at(0), None, 10_000)).unwrap().kept.len(), 11);
    assert_eq!(wait(store.floor(at(3_600))).unwrap(), at(3_600 - 65));
    // The file records up to which time expired nonces may have been removed.
    drop(store);
    assert_eq!(wait(folder.store().floor(at(0))).unwrap(), at(3_600 - 65));
}

#[test]
fn pruning_removes_exactly_the_ended_nonces() {
    let folder = folder();
    let store = folder.store();
    for i in 0..2_500 {
        claim(&store, 10, &key(1), &i.to_string());
    }
    let until = wait(store.peek(at(10), &key(1), "0")).unwrap().unwrap().until;
    claim(&store, 20, &key(1), "later");
    assert_eq!(wait(store.prune(until.plus(-1))).unwrap(), Some(0));
    assert_eq!(wait(store.prune(until)).unwrap(), Some(2_500));
    assert_eq!(wait(store.prune(until)).unwrap(), Some(0));
    assert!(!is_fresh(claim(&store, 21, &key(1), "later")));
    let again = try_claim(&store, 11, &key(1), "0");
    assert!(again.is_ok() && !accepts(&again, 10), "{again:?}");
}

#[test]
fn the_list_shows_every_nonce_in_pages() {
    let folder = folder();
    let store = folder.store();
    for i in 0..25 {
        claim(&store, 10 + i / 10, &key(1), &i.to_string());
    }
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = wait(store.list(at(12), from, 10)).unwrap();
        assert!(page.kept.len() <= 10);
        all.extend(page.kept);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 25);
    assert!(all.is_sorted_by_key(|kept| kept.until));
    for i in 0..25 {
        let id = mcpid::nonce::id(&key(1), &i.to_string());
        let kept = all.iter().find(|kept| kept.id == id).unwrap();
        assert_eq!((kept.first, kept.until), (Some(at(10 + i / 10)), at(10 + i / 10 + 70)));
    }
}

#[test]
fn reading_a_store_changes_no_record() {
    let folder = folder();
    let store = folder.store();
    claim(&store, 10, &key(1), "n");
    let reader = SqliteOptions::new(folder.path("nonces.db"), None).open_read_only().unwrap();
    assert!(wait(reader.peek(at(10), &key(1), "n")).unwrap().is_some());
    assert!(wait(reader.peek(at(10), &key(1), "m")).unwrap().is_none());
    assert_eq!(wait(reader.floor(at(10))).unwrap(), at(5));
    assert_eq!(wait(reader.state(at(10))).unwrap().retention, Some(retention()));
    assert!(try_claim(&reader, 10, &key(1), "m").is_err());
    assert!(wait(reader.register(at(10), Retention::new(300, 60))).is_err());
    assert!(wait(reader.prune(at(10_000))).is_err());
    // The reader sees new nonces. Opening it recorded no boot id.
    claim(&store, 10, &key(1), "m");
    assert!(wait(reader.peek(at(10), &key(1), "m")).unwrap().is_some());
    drop((reader, store));
    assert_eq!(wait(folder.store().floor(at(10))).unwrap(), at(5));
    // Opening for reading creates no file.
    let nowhere = Folder::empty();
    assert!(SqliteOptions::new(nowhere.path("nonces.db"), None).open_read_only().is_err());
    assert_eq!(fs::read_dir(nowhere.0.path()).unwrap().count(), 0);
}

#[test]
fn only_the_owner_can_read_the_file() {
    let folder = folder();
    let store = folder.store();
    claim(&store, 10, &key(1), "n");
    for name in ["nonces.db", "nonces.db-wal", "nonces.db-shm"] {
        let mode = fs::metadata(folder.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn shared_ids_are_sha256_of_key_and_nonce() {
    // The stored id of a nonce is SHA-256(thumbprint ‖ 0x00 ‖ nonce), where the thumbprint is the
    // key's 43 characters.
    use sha2::{Digest as _, Sha256};
    let bytes = [key(1).as_str().as_bytes(), b"\0", b"nonce"].concat();
    let expected: [u8; 32] = Sha256::digest(bytes).into();
    assert_eq!(mcpid::nonce::id(&key(1), "nonce"), expected);
    assert_ne!(mcpid::nonce::id(&key(2), "nonce"), expected);
}
