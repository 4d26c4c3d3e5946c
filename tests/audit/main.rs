//! Tests of the audit log: its tree, its files, what survives a crash, and what an auditor finds.
#![allow(clippy::unwrap_used)]

mod archive_changes;
mod archives;
mod attacks;
mod crash;
mod erasure_lies;
mod erasures;
mod evidence;
mod fixtures;
mod folders;
mod forged;
mod forger;
mod honest;
mod keys_elsewhere;
mod killed_calls;
mod killed_maintenance;
mod logs;
mod notes;
mod opaque;
#[cfg(feature = "p256")]
mod p256;
mod profiles;
mod recoveries;
#[path = "../engine/touch/software_key.rs"]
mod software_key;
mod tamper;
mod touch_attacks;
mod touch_records;
mod touches;
mod trees;
mod unsigned_tail;
