//! Verdicts, failures, exit codes, and the writer through which all output goes.

pub(crate) mod exit;
pub(crate) mod failure;
pub(crate) mod page;
pub(crate) mod secret_filter;
pub(crate) mod ui;
pub(crate) mod verdict;
