//! Tests of keys that another program holds: OpenSSH's ssh-agent, programs behind `exec:`, and
//! agents and programs that fail or lie.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

#[cfg(feature = "cli")]
mod attacked_touches;
#[cfg(feature = "cli")]
mod bridge;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "cli")]
mod descriptors;
mod exec;
#[cfg(feature = "cli")]
mod exec_cli;
#[path = "../machine/executable.rs"]
mod executable;
mod faults;
#[cfg(feature = "cli")]
mod home;
#[cfg(feature = "cli")]
mod interrupted;
#[cfg(feature = "cli")]
mod log_keys;
mod openssh;
#[cfg(feature = "p256")]
mod p256;
#[cfg(all(feature = "cli", feature = "pkcs11"))]
mod pkcs11;
#[cfg(feature = "pkcs11")]
mod pkcs11_uri;
#[cfg(feature = "cli")]
mod secret_service;
mod security_keys;
mod servers;
// This test program uses only some items of the shared file.
#[allow(dead_code)]
#[path = "../engine/touch/software_key.rs"]
mod software_key;
#[cfg(feature = "cli")]
#[path = "../machine/touch_attacks.rs"]
mod touch_attacks;
#[cfg(feature = "cli")]
mod touched;
#[cfg(feature = "cli")]
mod touched_alone;
