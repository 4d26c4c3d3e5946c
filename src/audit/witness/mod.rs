//! Witnesses: independent parties that cosign the checkpoints of a log. If an auditor demands their
//! signatures, the operator of the log cannot rewrite it, and cannot show different histories to
//! different readers.
//!
//! ```text
//! policy file ─▶ WitnessPolicy ─▶ WitnessClient ─ old N · proof · checkpoint ─▶ each witness
//!                                      ▲                                          │
//!      WitnessService: each checkpoint │     checkpoint.cosigned ◀─ quorum ◀─ cosignature, size or status
//! ```
//!
//! - [`WitnessPolicy`]: the logs, witnesses and quorum of a C2SP `tlog-policy`.
//! - [`WitnessClient`]: asks each witness once (C2SP `tlog-witness`), and records what it has
//!   signed.
//! - [`WitnessService`]: does this for every checkpoint of a log that is being written.
//! - [`WitnessStatus`]: how old the last quorum is, for metrics and readiness.
//!
//! The client needs the feature `net`. Policies can be parsed and applied without it.

#[cfg(feature = "net")]
mod answer;
#[cfg(feature = "net")]
mod client;
#[cfg(feature = "net")]
mod contradiction;
mod cosignatures;
#[cfg(feature = "net")]
mod disputes;
#[cfg(feature = "net")]
mod http;
#[cfg(feature = "net")]
mod ledger;
mod policy;
mod quorum;
#[cfg(feature = "net")]
mod reach;
#[cfg(feature = "net")]
mod service;
#[cfg(feature = "net")]
mod status;
#[cfg(feature = "net")]
mod submission;

#[cfg(feature = "net")]
pub use client::{WitnessClient, WitnessError};
pub use cosignatures::Cosignatures;
#[cfg(feature = "net")]
pub use disputes::DisputeOutcome;
pub use policy::{MAX_POLICY, PolicyError, PolicyWitness, WitnessPolicy};
pub use quorum::Quorum;
#[cfg(feature = "net")]
pub use service::{WitnessNews, WitnessService};
#[cfg(feature = "net")]
pub use status::{QUORUM_PATIENCE, WitnessFigures, WitnessStatus};
#[cfg(feature = "net")]
pub use submission::{Submission, WitnessOutcome, WitnessReply};
