//! What an auditor brings along to hold a log against.

use super::note::NoteKey;

/// What the auditor brings along: a writer of the log cannot change it.
#[derive(Clone, Debug, Default)]
pub struct Anchor {
    /// The log's key.
    pub log_key: Option<NoteKey>,
    /// Checkpoints that were kept elsewhere, as they were read.
    pub kept: Vec<Vec<u8>>,
    /// Keys of witnesses whose cosignature counts as a checkpoint kept elsewhere.
    pub witnesses: Vec<NoteKey>,
    /// Times of which the log's clock makes nothing certain are taken as they are.
    pub allow_clock: bool,
    /// Entries that were erased, as the log says, do not keep it from being good.
    pub allow_erased: bool,
    /// All findings are wanted, and not the first alone.
    pub all: bool,
}
