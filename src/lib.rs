//! Who authorised exactly this MCP request?
//!
//! An MCP server behind OAuth knows that a session is valid. It does not know that this caller
//! authorised exactly these bytes, now. This crate adds that beside OAuth, never instead of it: an
//! Ed25519 signature (RFC 9421, RFC 8032) over the method, the target, the digest of the body
//! (RFC 9530) and the headers that steer an MCP server, with a window of time and a nonce that can
//! be used once.
//!
//! This is the library. The program `mcpid` uses its public interface only.
//!
//! # The path of a request
//!
//! A request passes the modules from left to right; imports only run from right to left:
//!
//! ```text
//!   bytes ─► message ─► mcp ─► base ─► key ─► nonce ─► profile ─┬─► sign    ─► Signed
//!            what was   what    the     who   seen      by      └─► verify  ─► Verified
//!            sent       the     exact         before?   which                  or a Refusal
//!                       body    bytes                   rules
//!                       says    signed            (clock: what time is it)
//! ```
//!
//! # Modules, in the order in which a request passes them
//!
//! - [`block_on`]: waits for a future on a thread without an async runtime.
//! - `work_queue` (private): a bounded queue in front of one worker thread, for log and SQLite.
//! - [`clock`]: wall time, the one place that reads it, and RFC 3339.
//! - [`secret`]: which text may hold a secret, and how a message names it instead of repeating it.
//! - [`message`]: captured requests, HTTP archives (HAR), request lines; targets; `Content-Digest`.
//! - [`mcp`]: the strict JSON-RPC parser, the `Mcp-*` headers, and patterns of methods and tools.
//! - [`base`]: components and parameters, the signature base, and the three signature fields.
//! - [`key`]: keys, key formats, encrypted keyfiles, the registry of trusted keys.
//! - [`nonce`]: the store of used nonces: in memory, in SQLite, on Redis.
//! - [`profile`]: the rules of signing and verifying as data; `mcp` is the default.
//! - [`sign`]: makes a signature from a key, a profile and a request.
//! - [`verify`]: judges a request in twelve steps; a refusal is data.
//! - `net`, with the feature of that name: listeners, limits, TLS and a pooled HTTP client.
//! - `audit`, with the feature of that name: the tamper-evident log.
//! - `tower`, with the feature of that name: layers that verify before a service and sign in a
//!   client.
//! - `gateway`, with the feature of that name: a verifying reverse proxy, its log and its report.
//! - `connect`, with the feature of that name: a bridge that signs for MCP clients that cannot
//!   sign, and can ask a person before it does.
//!
//! # Signing and verifying
//!
//! Time, randomness and storage are arguments, so this example always runs at the same moment.
//!
//! ```
//! use std::sync::Arc;
//!
//! use mcpid::block_on;
//! use mcpid::clock::{FixedClock, Timestamp};
//! use mcpid::key::trust::{Registry, TrustFile};
//! use mcpid::key::{SecretKey, Sign, format};
//! use mcpid::message::target::{Origin, Origins};
//! use mcpid::message::{Head, RequestTarget};
//! use mcpid::nonce::memory::Memory;
//! use mcpid::profile::Profile;
//! use mcpid::sign::{Nonce, Signer};
//! use mcpid::verify::{Code, Refusal, Replay, Verifier};
//! use rand::rngs::SysRng;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The client: a key, and a request that is about to be sent.
//! let now = Timestamp::parse_rfc3339("2026-11-23T10:00:00Z")?;
//! let key = Arc::new(SecretKey::generate(&mut SysRng)?);
//! let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
//! let mut head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
//! head.push("Content-Type", b"application/json")?;
//!
//! let origins = Origins::new([Origin::parse("https://mcp.example.com")?]);
//! let signer = Signer::new(key.clone(), &Profile::mcp())?;
//! let signed = signer.sign(&head, &origins, body, now, &Nonce::generate(&mut SysRng)?)?;
//! for (name, value) in signed.headers() {
//!     head.push(name, value.as_bytes())?;
//! }
//!
//! // The server: the keys that it trusts, its nonce store and its clock. The key was made a moment
//! // ago, so no nonce of it can have been used before the store was made: no floor is needed.
//! let trusted = TrustFile::parse(format::jwk(key.public(), None).as_bytes())?;
//! let registry = Arc::new(Registry::merge([trusted]));
//! let clock = Arc::new(FixedClock(now.plus(2)));
//! let rules = |replay| {
//!     let (registry, clock) = (registry.clone(), clock.clone());
//!     Verifier::new(Profile::mcp(), registry, origins.clone(), clock, replay)
//! };
//! let retention = rules(Replay::Unchecked).retention();
//! let store = Memory::new(now, retention, &mut SysRng)?.without_floor();
//! let verifier = rules(Replay::Claim(Arc::new(store)));
//!
//! let verified = block_on(verifier.verify(&head, body))?;
//! assert_eq!(verified.key(), key.public().id());
//!
//! // The same bytes again, and other bytes under the same signature, are refused.
//! let code = |outcome| match outcome {
//!     Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
//!     _ => None,
//! };
//! assert_eq!(code(block_on(verifier.verify(&head, body))), Some(Code::NonceReplayed));
//! assert_eq!(code(block_on(verifier.verify(&head, b"{}"))), Some(Code::DigestMismatch));
//! # Ok(())
//! # }
//! ```
//!
//! # Rules that all modules keep
//!
//! 1. Time, randomness and storage are arguments. Only [`clock::SystemClock`] reads the wall clock.
//! 2. A request that cannot be judged is refused, and the refusal says that it was not judged.
//! 3. A refusal carries its step, its code and its numbers.
//! 4. Received bytes are not normalised before the signature over them is verified.
//! 5. Unauthenticated input never allocates state that outlives the request.
//! 6. The library does not print, prompt or exit.
//! 7. Every hint of the program is a command that can be pasted.
//! 8. There is one way to do a thing; a second way is deleted.
//!
//! # Features
//!
//! `cli` (on by default) enables what the program needs. With `default-features = false` the crate
//! is the library alone. Features only add items.

// Imports between these modules run one way; `tests/house` checks that.
#[cfg(feature = "audit")]
pub mod audit;
pub mod base;
mod block_on;
pub mod clock;
#[cfg(feature = "connect")]
pub mod connect;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod key;
pub mod mcp;
pub mod message;
#[cfg(feature = "net")]
pub mod net;
pub mod nonce;
pub mod profile;
pub mod secret;
pub mod sign;
#[cfg(feature = "tower")]
pub mod tower;
pub mod verify;
// The log uses all of it, the store in SQLite a part.
#[cfg(any(feature = "audit", feature = "sqlite"))]
#[cfg_attr(not(feature = "audit"), allow(dead_code))]
mod work_queue;

pub use block_on::block_on;

/// The Rust blocks of the page for library users are compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct LibraryPage;
