//! The client's side: an unmodified client's requests, signed.
//!
//! What a key is lent for can be put before a person first: [`consent`].

pub mod consent;
