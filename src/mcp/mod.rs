//! What a body says: the one strict reading that policy may rely on.
//!
//! Servers disagree about odd JSON, odd media types and headers that contradict the body. Policy
//! may only rest on what all of them read alike, so [`body::read`] refuses the rest, and
//! [`headers::check`] refuses headers that disagree with the body.

mod ambiguity;
pub mod body;
pub mod error_response;
pub mod headers;
mod invisible;
mod json;
pub(crate) mod media;
pub mod methods;
pub mod name_forms;
mod name_pattern;
pub mod pattern;
mod percent;
pub mod tools;
mod uri;
