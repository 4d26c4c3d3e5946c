//! What a body says: the one strict reading that policy may rely on.

pub mod body;
pub mod headers;
pub mod pattern;
