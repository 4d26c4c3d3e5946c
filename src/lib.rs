//! Who authorised exactly this MCP request?
//!
//! An MCP server behind OAuth knows that a session is valid. It does not know that the caller
//! authorised exactly these bytes at this time. This crate adds that proof to OAuth, and does not
//! replace OAuth: an Ed25519 signature (RFC 9421, RFC 8032) over the method, the target, the digest
//! of the body (RFC 9530) and the headers that influence an MCP server, with a time window and a
//! nonce that can be used once.
//!
//! This is the library. The program `mcpid` uses only its public interface.
//!
//! # The path of a request
//!
//! A request passes the modules from left to right; imports only run from right to left:
//!
//! ```text
//!   bytes ─► message ─► mcp ─► base ─► key ─► nonce ─► profile ─┬─► sign    ─► Signed
//!            what was   what    the     who   seen      by      └─► verify  ─► Verified
//!            sent       the     exact         before?   which                  or VerifyError
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
//! - [`page`]: HTML pages that load nothing, and untrusted text on them.
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
//! - `gateway`, with the feature of that name: a verifying reverse proxy, an authorizer for other
//!   proxies, their log and their report.
//! - `connect`, with the feature of that name: a bridge that signs for MCP clients that cannot
//!   sign, and can ask a person before it does.
//!
//! # Signing and verifying
//!
//! ```
//! use std::sync::Arc;
//!
//! use mcpid::{FixedClock, Head, Nonce, Origin, Origins, Profile, Registry, ReplayCheck};
//! use mcpid::{RequestTarget, SecretKey, Sign, Signer, Timestamp, TrustFile, Verifier, key::format};
//! use rand::rngs::SysRng;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The client: a key, and a request that is about to be sent.
//! let key = Arc::new(SecretKey::generate(&mut SysRng)?);
//! let signer = Signer::new(key.clone(), &Profile::mcp())?;
//! let now = Timestamp::parse_rfc3339("2026-11-23T10:00:00Z")?;
//! let origins = Origins::new([Origin::parse("https://mcp.example.com")?]);
//! let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
//! let mut head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
//! head.push("Content-Type", b"application/json")?;
//! let signed = signer.sign(&head, &origins, body, now, &Nonce::generate(&mut SysRng)?)?;
//! for (name, value) in signed.headers() {
//!     head.push(name, value.as_bytes())?;
//! }
//!
//! // The server: the keys that it trusts, and its clock. A real server uses `ReplayCheck::Claim` with
//! // a nonce store, and `SystemClock`; both are arguments, so this example always runs alike.
//! let trusted = TrustFile::parse(format::jwk(key.public(), None).as_bytes())?;
//! let registry = Arc::new(Registry::merge([trusted]));
//! let clock = Arc::new(FixedClock(now.plus(2)));
//! let verifier = Verifier::new(Profile::mcp(), registry, origins, clock, ReplayCheck::Unchecked);
//! assert_eq!(verifier.verify_blocking(&head, body)?.key(), key.public().id());
//! assert!(verifier.verify_blocking(&head, b"{}").is_err(), "other bytes under the signature");
//! # Ok(())
//! # }
//! ```
//!
//! [`nonce::NonceStore`] shows how a store refuses the same request a second time.
//!
//! # Rules for all modules
//!
//! 1. Time, randomness and storage are arguments. Only [`clock::SystemClock`] reads the wall clock.
//! 2. A request that cannot be judged is refused, and the refusal says that it was not judged.
//! 3. A refusal carries its step, its code and its numbers.
//! 4. Received bytes are not normalised before the signature over them is verified.
//! 5. Unauthenticated input never allocates state that outlives the request.
//! 6. The library does not print, prompt or exit.
//! 7. Every hint of the program is a command that can be pasted.
//! 8. There is one way to do a thing.
//!
//! # Features
//!
//! `cli` (on by default) enables what the program needs. `default-features = false` leaves only the
//! library. Features only add items.

// Imports between these modules run in one direction only. `tests/house` checks that.
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
pub mod page;
pub mod profile;
pub mod secret;
pub mod sign;
#[cfg(feature = "tower")]
pub mod tower;
pub mod verify;
// The SQLite store does not use all of this module, which the compiler would report as dead code
// without the audit log.
#[cfg(any(feature = "audit", feature = "sqlite"))]
#[cfg_attr(not(feature = "audit"), allow(dead_code))]
mod work_queue;

pub use block_on::block_on;
pub use clock::{Clock, FixedClock, SystemClock, Timestamp};
pub use key::trust::{Registry, TrustFile};
pub use key::{KeyId, KeyKind, PublicKey, SecretKey, Sign};
pub use message::target::{Origin, Origins};
pub use message::{Head, RequestTarget};
pub use nonce::NonceStore;
pub use profile::Profile;
pub use sign::{Nonce, Signed, Signer};
pub use verify::{Rejection, ReplayCheck, Verified, Verifier, VerifyError};

/// Compiles the Rust examples of the documentation page for library users.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct LibraryPage;
