//! Tests of the two tower layers through their public interfaces, with a module for each topic.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod answers;
mod anything;
#[cfg(feature = "audit")]
mod audit;
mod bodies;
mod examples;
mod modes;
mod normal_targets;
mod readiness;
mod refusals;
mod replays;
mod servers;
mod signing;
mod targets;
mod unavailable;
