//! Parses the bodies of MCP requests, strictly enough for a policy to rely on the result.
//!
//! Servers disagree about unusual JSON, unusual media types and headers that contradict the body. A
//! policy may only rely on what all servers read in the same way. So [`body::read`] refuses
//! everything else, and [`headers::check`] refuses headers that disagree with the body.

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
pub mod setting;
pub mod tools;
mod uri;
