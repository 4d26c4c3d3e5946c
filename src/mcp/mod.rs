//! What a body says: the one strict reading that policy may rely on.
//!
//! Servers disagree about odd JSON, odd media types and headers that contradict the body. Policy
//! may only rest on what all of them read alike, so [`body::read`] refuses the rest, and
//! [`headers::check`] refuses headers that tell another story than the body.

pub mod body;
pub mod headers;
mod json;
mod media;
pub mod pattern;
pub mod tools;
