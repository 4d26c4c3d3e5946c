//! Tests of opening a nonce store by its URL: which stores are created, and which must exist.

use mcpid::block_on;
use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::open::StoreOptions;
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{Claim, Retention};
use rand::rngs::SysRng;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_unix(1_795_773_600);
const RETENTION: Retention = Retention::new(30, 5);

fn options(url: &str) -> StoreOptions {
    StoreOptions::new(StoreUrl::parse(url).unwrap())
}

fn key() -> KeyId {
    KeyId::from_text("poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U").unwrap()
}

#[test]
fn a_bound_in_the_url_limits_the_store() {
    let store = options("memory:?max=8").open_for_claims(NOW, RETENTION, &mut SysRng).unwrap();
    block_on(store.register(NOW, RETENTION)).unwrap();
    let claim = |nonce: &str| block_on(store.claim(NOW, &key(), nonce, NOW.plus(60)));
    assert!(matches!(claim("a"), Ok(Claim::Fresh { .. })));
    assert!(matches!(claim("a"), Ok(Claim::Replayed { .. })));
    assert!(!matches!(claim("b"), Ok(Claim::Fresh { .. })), "an eighth of 8 is one for a key");
}

#[test]
fn only_opening_to_claim_makes_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nonces.db");
    let url = format!("sqlite:{}", path.display());
    assert!(options(&url).open_read_only(NOW, &mut SysRng).is_err());
    assert!(options(&url).open_for_operator(NOW, false).is_err());
    assert!(!path.exists());

    let store = options(&url).open_for_claims(NOW, RETENTION, &mut SysRng).unwrap();
    block_on(store.register(NOW, RETENTION)).unwrap();
    assert!(matches!(block_on(store.claim(NOW, &key(), "a", NOW)), Ok(Claim::Expired)));
    assert!(matches!(
        block_on(store.claim(NOW, &key(), "a", NOW.plus(60))),
        Ok(Claim::Fresh { .. })
    ));
    let reader = options(&url).open_read_only(NOW, &mut SysRng).unwrap();
    assert!(block_on(reader.peek(NOW, &key(), "a")).unwrap().is_some());
    assert!(block_on(reader.claim(NOW, &key(), "b", NOW.plus(60))).is_err());
    let admin = options(&url).open_for_operator(NOW, false).unwrap();
    assert_eq!(block_on(admin.list(NOW, None, 10)).unwrap().kept.len(), 1);
    assert!(block_on(admin.prune(NOW.plus(10_000))).is_err());
    let admin = options(&url).open_for_operator(NOW, true).unwrap();
    assert_eq!(block_on(admin.prune(NOW.plus(10_000))).unwrap(), Some(1));
}

#[test]
fn a_store_in_memory_cannot_be_opened_for_an_operator() {
    let error = options("memory:").open_for_operator(NOW, false).err().unwrap();
    assert_eq!(error.to_string(), "it ends with its process");
    let looked = options("memory:").open_read_only(NOW, &mut SysRng).unwrap();
    assert!(block_on(looked.peek(NOW, &key(), "a")).unwrap().is_none());
}
