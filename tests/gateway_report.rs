//! The gateway's log and the report that is made of it.
#![cfg(feature = "gateway")]
#![allow(clippy::unwrap_used)]

#[path = "gateway_report/log.rs"]
mod log;
