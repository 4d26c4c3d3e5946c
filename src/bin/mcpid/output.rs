//! Verdicts, failures, exit codes, and the writer that all output goes through.

pub(crate) mod exit;
pub(crate) mod failure;
pub(crate) mod page;
pub(crate) mod secret_filter;
pub(crate) mod ui;
pub(crate) mod verdict;
