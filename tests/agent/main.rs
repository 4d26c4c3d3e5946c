//! Tests of keys in an ssh-agent: with OpenSSH's agent, and with agents that fail or lie.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[cfg(feature = "cli")]
mod cli;
mod faults;
mod openssh;
#[cfg(feature = "p256")]
mod p256;
mod servers;
