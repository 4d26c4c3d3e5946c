//! The verifying reverse proxy.
//!
//! - [`log`]: one line a request, for programs and for the report.
//! - [`report`]: what the lines say, for who wants to turn strict on.

pub mod log;
pub mod report;
