//! The audit log: evidence that can be checked months later, by a reader who trusts neither the
//! operator nor this program.
//!
//! ```text
//! request ─ judged ─▶ Recorder ─ Record ─▶ Log ─▶ queue ─▶ writer: lines · hashes · fdatasync ─▶ dispatched
//!                                                             └─ every so often: a signed checkpoint
//! files ─▶ Auditor: each line judged again · tree · checkpoints · the one that was kept elsewhere
//!   └─ archive: whole old files, packed, beside the log; erase: a tombstone for one entry
//! ```
//!
//! Entries are JSON lines, and their exact bytes are the leaves of an RFC 9162 Merkle tree
//! ([`tree`]). Checkpoints are signed notes (C2SP `tlog-checkpoint`; see [`checkpoint`], [`note`]).
//! A checkpoint that is kept outside the log reveals every removal, change, reordering and
//! rewriting of the entries that it covers. Without such a checkpoint, the holder of the log's key
//! can have rewritten the whole log, and an audit says so.
//!
//! **What is durable.** An entry counts as written when it is on the disk: entries that wait
//! together share one `fdatasync` ([`Durability`]). If the disk is full, slow or missing, the
//! request of the entry gets an error, and under [`Policy::Required`] it is not forwarded.
//!
//! **What clients without a trusted key can do.** The log has an entry for each request with a
//! valid signature. All other requests are counted, and some of them are recorded in a file of
//! limited size, which is not part of the tree. The counts are entries of the log.

pub mod archive;
mod archived;
pub mod auditor;
mod auditor_inputs;
pub mod check;
pub mod checkpoint;
mod context;
pub mod cosign;
pub mod entry;
mod entry_batch;
pub mod entry_judge;
mod entry_queue;
pub mod erase;
mod erasure_match;
pub mod erasure_record;
mod evidence;
pub mod explain;
mod fault;
mod files;
mod finding;
mod folder;
pub mod growth;
mod log;
mod log_key;
pub mod note;
pub mod ocsf;
pub mod proof;
mod record;
mod recorder;
mod recover;
mod recovery;
pub mod redact;
mod reference_checkpoints;
mod refused;
mod report;
mod reuse;
mod segment;
mod state;
pub mod succession;
pub mod tree;
mod unpack;
pub mod witness;
mod writable;
mod writer;

pub use evidence::Evidence;
pub use fault::LogError;
pub use folder::Folder;
pub use log::Log;
pub use log_key::LogKey;
pub use record::{Record, RecordedRefusal, RefusalCounts, Verdict};
pub use recorder::{JudgedRequest, Policy, Recorder};
pub use recovery::Recovery;
pub use writer::{Durability, LogSettings};
