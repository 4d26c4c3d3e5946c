//! Tests of witnesses, which sign checkpoints of a log: policies, requests to witnesses, every kind
//! of answer, and the command.
#![allow(clippy::unwrap_used)]

mod asking;
mod background;
mod command;
mod fake;
#[allow(dead_code)]
#[path = "../audit/fixtures.rs"]
mod fixtures;
mod policies;
#[path = "../machine/ports.rs"]
mod ports;
mod sizes;
