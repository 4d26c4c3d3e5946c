//! Verification and signing as [`tower`](tower_service) middleware: [`VerifyLayer`] wraps any
//! service of the `http` crate (axum, the Streamable HTTP service of rmcp), [`SignLayer`] wraps any
//! client.
//!
//! ```text
//! request ─► head, steps 1–8 ─► body, up to a limit ─► steps 9–12 ─► Status in the extensions ─► service
//!                │                                        │
//!                └───────── refusal: status, headers, JSON-RPC error ◄──────┘
//! ```
//!
//! - **Strict** passes only verified requests on. An unsigned or forged request is refused after
//!   its head; at most 64 KiB of its body are read, to find the JSON-RPC id for the answer.
//! - **Permissive** passes all requests on, with a [`Status`] that contains the verdict of strict
//!   mode. Limits on sizes and the check of the authority still apply. [`Modes`] sets the mode for
//!   single MCP methods and tools.
//!
//! ```
//! # use std::sync::Arc;
//! # use mcpid::clock::{Clock as _, SystemClock};
//! # use mcpid::key::trust::Registry;
//! # use mcpid::message::target::{Origin, Origins};
//! # use mcpid::nonce::{NonceStore as _, Retention, memory::Memory};
//! # use mcpid::profile::Profile;
//! # use mcpid::verify::{ReplayCheck, Verifier};
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
//!     ReplayCheck::Claim(store.clone()),
//! );
//! store.register(now, verifier.retention()).await?;
//! // All requests get through for now, except calls of tools that delete. The counters show how many
//! // requests strict mode would refuse.
//! let counters = Arc::new(Counters::new());
//! let layer = VerifyLayer::new(verifier)?
//!     .with_modes(Modes::permissive().with_strict("tools/call:delete_*".parse()?))
//!     .with_observer(Arc::clone(&counters));
//! # Ok(layer)
//! # }
//! ```
//!
//! The layer also binds MCP sessions to keys ([`SessionBindings`]), learns from the service which
//! tools are destructive ([`LearningModes`]), and can demand a person's touch of a security key
//! ([`TouchRules`]). [`ToolsFile`] keeps the known tools over a restart. [`Paths`] separates the
//! endpoint from paths that are open to unsigned requests. A server that is not a tower service uses
//! the same layer through [`VerifyLayer::judge`]. If such a server cannot see a part of a request,
//! it passes [`UnseenParts`] to the layer.
//!
//! The body is passed on byte for byte; trailers are dropped, because no signature covers them.
//! Responses are not changed. Under a profile that signs targets in normal form, a path in another
//! form is refused: a router around the layer has read that path already. The layer has no timeouts:
//! the server has to limit how long a body may take. A body that arrives after its signature has
//! expired is refused as `expired`.
//!
//! The layer judges the request as the server parsed it. So the server has to refuse bad framing
//! (lengths, chunks, repeated or folded header lines, HTTP/1.0, upgrades). Other layers around this
//! one must not change method, target or headers. A layer that answers CORS preflights has to be
//! around this one, because preflights are never signed. Behind a router that removes a part of the
//! path, see [`VerifyLayer::with_wire_target`].

mod answer;
mod budget;
mod client_messages;
mod content;
mod echoed_id;
mod error_response;
pub(crate) mod event_stream;
mod evidence;
mod findings;
mod handle;
mod head;
mod judge;
mod layer;
mod learned_tools;
mod learning;
mod modes;
mod observe;
mod paths;
mod policy;
mod refusal;
mod service;
mod sessions;
mod settings;
mod signing;
mod status;
mod tools_file;
mod touch;
mod unseen;

pub use answer::{AnswerCheck, AnswerDecision, SessionEvent};
pub use budget::Budget;
pub use content::{RequestBody, ResponseBody};
pub use echoed_id::EchoedId;
pub use error_response::error_response;
pub use handle::{LayerError, VerifierHandle};
pub use head::{received_head, wire_target};
pub use judge::{Decision, ID_LIMIT, PassedRequest};
pub use layer::VerifyLayer;
pub use learned_tools::LearnedTools;
pub use learning::{LearningModes, ToolsListener};
pub use modes::{Mode, ModePolicy, Modes};
pub use observe::{Counters, Observer, RequestEvent};
pub use paths::{OpenPath, PathError, Paths, Route};
pub use policy::{FrontPolicy, PolicyTexts, check_touch_profile};
pub use refusal::{HEADER_MISMATCH, INTERNAL_ERROR, REFUSED, Refusal, RefusalReason, RefuseWith};
pub use service::{ResponseFuture, VerifyService};
pub use sessions::SessionBindings;
pub use signing::{NotSigned, SignLayer, SignService, SignedFuture};
pub use status::Status;
pub use tools_file::{ToolsFile, ToolsFileError};
pub use touch::TouchRules;
pub use unseen::UnseenParts;

/// Any error that can be sent to another thread.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
