//! The bridge between scripted clients and a scripted server, which verifies every request in
//! full and claims its nonce: in each of these tests nothing arrives unsigned, badly signed
//! or twice under one nonce.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod answer_budget;
mod answers;
mod audit;
mod browser;
mod check;
mod client;
mod configuration;
mod consent;
mod faults;
mod lines;
mod loopback;
mod loopback_faults;
mod loopback_fields;
mod lost_sessions;
mod passphrase;
mod program;
mod proxy;
mod rounds;
mod server;
mod sessions;
mod stateless;
