//! Tests of the bridge between scripted clients and a scripted server. The server verifies every
//! request and stores its nonce. In all of these tests, therefore, every request arrives correctly
//! signed, with a new nonce.
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
#[path = "../machine/executable.rs"]
mod executable;
mod faults;
mod lines;
mod loopback;
mod loopback_faults;
mod loopback_fields;
mod lost_sessions;
mod passphrase;
#[path = "../machine/ports.rs"]
mod ports;
mod program;
mod proxy;
mod rounds;
mod server;
mod sessions;
#[path = "../engine/touch/software_key.rs"]
mod software_key;
mod stateless;
mod touch;
