//! Tests of the two tower layers, which verify and sign requests, through their public interfaces.
//! Each topic has a module.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod answers;
mod anything;
mod attacked_touches;
#[cfg(feature = "audit")]
mod audit;
mod bodies;
mod examples;
mod learned_tools;
mod modes;
mod normal_targets;
mod policy;
mod readiness;
mod refusals;
mod replays;
mod servers;
mod signing;
#[allow(dead_code, reason = "the entries of these tests have other names")]
#[path = "../engine/touch/software_key.rs"]
mod software_key;
mod targets;
mod tools_file;
#[path = "../machine/touch_attacks.rs"]
mod touch_attacks;
mod touched;
mod touches;
mod unavailable;
