//! Verdicts, failures, exit codes, the writer that all output goes through, and queues of log lines.

pub(crate) mod exit;
pub(crate) mod failure;
pub(crate) mod line_queue;
pub(crate) mod page;
pub(crate) mod secret_filter;
pub(crate) mod ui;
pub(crate) mod verdict;
