//! Tests of all nonce stores. `mcpid::nonce::contract` has the tests that every store must pass.
//! The files here test what can go wrong with each kind of store.
#![cfg(feature = "store-contract")]
#![allow(clippy::unwrap_used)]

mod broken;
#[cfg(all(feature = "cli", unix))]
mod cli;
mod forgeries;
#[cfg(all(feature = "cli", unix))]
mod gateways;
#[cfg(all(feature = "cli", unix))]
mod layers;
mod memory;
#[cfg(all(feature = "sqlite", unix))]
mod open;
#[cfg(all(feature = "redis", unix))]
#[path = "../machine/ports.rs"]
mod ports;
#[cfg(all(feature = "redis", unix))]
mod redis;
#[cfg(all(feature = "redis", unix))]
mod redis_access;
#[cfg(all(feature = "cli", unix))]
mod redis_cli;
#[cfg(all(feature = "redis", unix))]
mod redis_faults;
#[cfg(all(feature = "redis", unix))]
mod redis_forgets;
#[cfg(all(feature = "redis", unix))]
mod redis_listing;
#[cfg(all(feature = "redis", unix))]
mod redis_proxy;
#[cfg(all(feature = "redis", unix))]
mod redis_servers;
#[cfg(all(feature = "redis", unix))]
mod redis_tls;
#[cfg(all(feature = "redis", unix))]
mod redis_windows;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_copies;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_crash;
#[cfg(all(feature = "sqlite", unix))]
mod sqlite_faults;
mod url;

pub(crate) use mcpid::block_on as wait;
pub(crate) use mcpid::nonce::contract::{self, key};

/// Runs every test of the contract, or those that are named, with stores that `$place` makes, and
/// then the tests with forged requests.
#[macro_export]
macro_rules! holds_the_contract {
    ($place:expr $(, $($part:tt)*)?) => {
        mcpid::test_nonce_store! { $place $(, $($part)*)? }

        #[test]
        fn forgeries_never_reach_the_store() {
            $crate::forgeries::forgeries_never_reach_the_store(&$place);
        }
    };
}
