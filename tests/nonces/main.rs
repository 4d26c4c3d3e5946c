//! One contract for all nonce stores: `contract.rs` says what holds for each of them, and the
//! other files what each does with the faults that only it can have.
#![allow(clippy::unwrap_used)]

#[cfg(all(feature = "cli", unix))]
mod cli;
mod contract;
#[cfg(all(feature = "cli", unix))]
mod gateways;
#[cfg(all(feature = "cli", unix))]
mod layers;
mod memory;
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
use mcpid::key::{KeyId, SecretKey, Sign};

/// The id of one of 255 keys.
pub(crate) fn key(seed: u8) -> KeyId {
    *SecretKey::from_seed(&[seed; 32]).public().id()
}

/// Runs every part of the contract against the stores that `$place` makes.
#[macro_export]
macro_rules! holds_the_contract {
    ($place:expr, $($part:ident)*) => { $(
        #[test]
        fn $part() {
            $crate::contract::$part(&$place);
        }
    )* };
    ($place:expr) => {
        $crate::holds_the_contract! { $place,
            a_nonce_is_fresh_once
            one_nonce_of_two_keys_is_two
            a_look_changes_nothing
            what_ends_now_is_expired
            a_start_forgets_what_was_before
            of_many_threads_one_wins
            of_many_tasks_one_wins
            of_many_handles_one_wins
            a_claim_lasts_while_any_clock_could_accept_it
            a_claim_is_gone_after
            a_longer_window_raises_the_floor
            a_clock_that_steps_makes_nothing_fresh_again
            times_out_of_reach_are_errors
            a_claim_that_is_given_up_harms_nothing
            forgeries_never_reach_the_store
        }
    };
}
