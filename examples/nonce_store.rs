//! An example of your own nonce store. A map in memory stands in place of the database. `main` runs
//! the contract tests that every store of mcpid passes.
//!
//! ```sh
//! cargo run --example nonce_store --features store-contract
//! ```
//!
//! In a database, the map is a table with the id as its primary key, `State` is a table with one
//! row, and the work of `claim_live` is one transaction: `INSERT … ON CONFLICT DO NOTHING`.

#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::contract::{self, StorePlace, at, retention};
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError, id};

/// The largest time in seconds that is accepted, so that sums of a few times cannot overflow.
const REACH: i64 = 1 << 52;

struct TableStore(Mutex<State>);

struct State {
    /// For each id: the time of the claim, and the time until which the nonce is kept.
    used: HashMap<[u8; 32], (Timestamp, Timestamp)>,
    /// The longest retention that any user asked for.
    retention: Retention,
    /// The floor that the start and longer retentions have set.
    floor: Timestamp,
    /// The latest time of any claim. Nonces that ended before this time may have been removed.
    horizon: Timestamp,
}

impl TableStore {
    fn new(start: Timestamp, retention: Retention) -> Self {
        let (floor, horizon) = (start.plus(retention.ahead()), Timestamp::from_unix(-REACH));
        TableStore(Mutex::new(State { used: HashMap::new(), retention, floor, horizon }))
    }

    /// Runs `work` in one transaction.
    fn with<'a, T: Send + 'a>(
        &'a self,
        now: Timestamp,
        work: impl FnOnce(&mut State) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            if now.unix().abs_diff(0) > REACH.unsigned_abs() {
                return Err(StoreError::new("the time is out of the store's reach"));
            }
            Ok(work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        })
    }
}

impl State {
    /// Returns the floor. A nonce that ended at the horizon belongs to a request that was created a
    /// whole retention earlier, or before that.
    fn floor(&self) -> Timestamp {
        self.floor.max(self.horizon.plus(-self.retention.length()))
    }

    fn register(&mut self, now: Timestamp, retention: Retention) {
        let united = self.retention.united(retention);
        if united != self.retention {
            // The clock may have stepped back after some of the claims.
            let raised = united.floor_when_raised(now.max(self.horizon));
            self.floor = self.floor().max(raised);
            self.retention = united;
        }
    }

    fn claim(&mut self, now: Timestamp, id: [u8; 32], until: Timestamp) -> Claim {
        self.horizon = self.horizon.max(now);
        if let Some((first, kept)) = self.used.get(&id)
            && *kept > now
        {
            return Claim::Replayed { first: Some(*first) };
        }
        let kept = until.max(now.plus(self.retention.keep()));
        self.used.insert(id, (now, kept));
        Claim::Fresh { floor: self.floor() }
    }
}

impl NonceStore for TableStore {
    fn register<'a>(
        &'a self,
        now: Timestamp,
        retention: Retention,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.with(now, move |state| state.register(now, retention))
    }

    fn claim_live<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        if until.unix() > REACH {
            return Box::pin(async {
                Err(StoreError::new("the time is out of the store's reach"))
            });
        }
        self.with(now, move |state| state.claim(now, id(key, nonce), until))
    }

    fn peek<'a>(
        &'a self,
        now: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        self.with(now, move |state| {
            let (first, kept) = state.used.get(&id(key, nonce))?;
            (*kept > now).then(|| KnownNonce::new(Some(*first), *kept))
        })
    }

    fn floor<'a>(&'a self, now: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        self.with(now, |state| state.floor())
    }
}

/// Opens the new stores that the contract tests.
struct NewStore(Arc<TableStore>);

impl StorePlace for NewStore {
    fn open(&self) -> Arc<dyn NonceStore> {
        self.0.clone()
    }
}

fn main() {
    contract::check(|| NewStore(Arc::new(TableStore::new(at(0), retention()))));
    println!("the store keeps the contract");
}
