//! The verifying reverse proxy.
//!
//! - [`log`]: one line a request, for programs and for the report.

pub mod log;
