//! Who authorised exactly this MCP request?
#![doc = ""]
// The rooms, in walking order. The imports run one way; `tests/house.rs` holds that.
pub mod base;
pub mod clock;
pub mod key;
pub mod mcp;
pub mod message;
pub mod nonce;
pub mod profile;
pub mod sign;
pub mod verify;
