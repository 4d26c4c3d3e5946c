//! Keys in an ssh-agent: OpenSSH's own, and agents that fail or lie in every way.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[cfg(feature = "cli")]
mod cli;
mod faults;
mod openssh;
mod servers;
