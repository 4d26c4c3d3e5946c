//! Tests of keys in an ssh-agent: with OpenSSH's agent, and with agents that fail or lie.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[cfg(feature = "cli")]
mod cli;
mod faults;
mod openssh;
#[cfg(feature = "p256")]
mod p256;
mod security_keys;
mod servers;
// Only some of its items are used here.
#[allow(dead_code)]
#[path = "../engine/touch/software_key.rs"]
mod software_key;
#[cfg(feature = "cli")]
mod touched;
