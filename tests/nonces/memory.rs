//! Runs the contract (the tests that every store must pass) for the store in memory. Its other
//! tests are in `tests/engine/memory.rs`.

use std::sync::Arc;

use mcpid::clock::Timestamp;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{NonceStore, Retention};
use rand::rngs::SysRng;

use crate::contract::{START, StorePlace};

struct Here(Arc<Memory>);

/// Returns a place with one store, which every handle shares.
fn here() -> Here {
    let store = Memory::new(Timestamp::from_unix(START), Retention::new(30, 5), &mut SysRng);
    Here(Arc::new(store.unwrap()))
}

impl StorePlace for Here {
    fn open(&self) -> Arc<dyn NonceStore> {
        let store: Arc<dyn NonceStore> = self.0.clone();
        store
    }
}

crate::holds_the_contract!(here());
