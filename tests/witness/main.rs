//! Witnesses of a log: policies, what is sent, every kind of answer, and the command.
#![allow(clippy::unwrap_used)]

mod asking;
mod background;
mod command;
mod fake;
#[allow(dead_code)]
#[path = "../audit/fixtures.rs"]
mod fixtures;
mod policies;
mod sizes;
