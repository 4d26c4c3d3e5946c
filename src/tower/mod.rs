//! The checklist as a [`tower`](tower_service) middleware: [`VerifyLayer`] stands before any
//! service of the `http` crate (axum, rmcp's Streamable HTTP service), [`SignLayer`] before any
//! client.
//!
//! ```text
//! request ─► head, steps 1–8 ─► body, up to a limit ─► steps 9–12 ─► Status in the extensions ─► service
//!                │                                        │
//!                └───────── refusal: status, headers, JSON-RPC error ◄──────┘
//! ```
//!
//! - **Strict** lets through only what is verified. An unsigned or forged request is refused after
//!   its head; at most 64 KiB of its body are read, to find the JSON-RPC id for the answer.
//! - **Permissive** lets everything through, with a [`Status`] that says what strict would have
//!   said. Limits on sizes, and that the authority is one of ours, hold all the same. [`Modes`]
//!   sets either for single MCP methods and tools.
//!
//! ```
//! # use std::sync::Arc;
//! # use mcpid::clock::{Clock as _, SystemClock};
//! # use mcpid::key::trust::Registry;
//! # use mcpid::message::target::{Origin, Origins};
//! # use mcpid::nonce::{NonceStore as _, Retention, memory::Memory};
//! # use mcpid::profile::Profile;
//! # use mcpid::verify::{Replay, Verifier};
//! use mcpid::tower::{Counters, Modes, VerifyLayer};
//!
//! # async fn layer(registry: Arc<Registry>) -> Result<VerifyLayer, Box<dyn std::error::Error>> {
//! let now = SystemClock.now();
//! let store = Arc::new(Memory::new(now, Retention::new(30, 5), &mut rand::rngs::SysRng)?);
//! let verifier = Verifier::new(
//!     Profile::mcp(),
//!     registry,
//!     Origins::new([Origin::parse("https://mcp.example.com")?]),
//!     Arc::new(SystemClock),
//!     Replay::Claim(store.clone()),
//! );
//! store.register(now, verifier.retention()).await?;
//! // Everything gets through for now, but for what deletes; the counters say when that can change.
//! let counters = Arc::new(Counters::new());
//! let layer = VerifyLayer::new(verifier)?
//!     .with_modes(Modes::permissive().with_strict("tools/call:delete_*".parse()?))
//!     .with_observer(Arc::clone(&counters));
//! # Ok(layer)
//! # }
//! ```
//!
//! The body is handed on byte for byte; trailers are dropped, because no signature covers them.
//! Responses pass untouched, frame by frame. Waiting has no end of its own: how long a body may
//! take is for the server around the layer to limit, and a body that comes too late for its
//! signature is refused as `expired`.
//!
//! The layer judges what its server parsed. How requests are framed (lengths, chunks, repeated or
//! folded header lines, HTTP/1.0, upgrades) is that server's to refuse, and what stands around the
//! layer must not change method, target or headers. A layer that answers CORS preflights belongs
//! around it: preflights are never signed. Behind a router that cuts the path, see
//! [`VerifyLayer::with_wire_target`].

mod budget;
mod client_messages;
mod content;
mod evidence;
mod findings;
mod handle;
mod head;
mod judge;
mod layer;
mod modes;
mod observe;
mod refusal;
mod service;
mod settings;
mod signing;
mod status;

pub use budget::Budget;
pub use content::{RequestBody, ResponseBody};
pub use handle::{Handle, LayerError};
pub use judge::ID_LIMIT;
pub use layer::VerifyLayer;
pub use modes::{Mode, ModePolicy, Modes};
pub use observe::{Counters, Observer, RequestEvent};
pub use refusal::{HEADER_MISMATCH, REFUSED, RefusalReason, RefuseWith, RefusedRequest};
pub use service::{ResponseFuture, VerifyService};
pub use signing::{NotSigned, SignLayer, SignService, SignedFuture};
pub use status::Status;

/// Any error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
