//! Asks the upstream for its list of tools, so that a gateway knows which tools are harmless before
//! a client has asked for the list.
//!
//! ```text
//! start, list_changed, every 5 minutes ─► tools/list, all pages, without a session (2026-07-28)
//!                                            │ refused
//!                                            ▼
//!                                         initialize ─► tools/list, all pages ─► DELETE (2025-11-25)
//! ```
//!
//! A list counts only if all of its pages were read. The question has no token of a client, so an
//! upstream that demands one refuses it; then the list is only learned from answers to clients.

mod exchange;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::mcp::tools::{Tools, ToolsError};
use crate::sign::Signer;
use crate::tower::{BoxError, LearningModes};

use super::config::GatewayConfig;
use super::metrics::Metrics;
use super::proxy::UpstreamProxy;
use exchange::ToolsExchange;

/// The revisions that are tried, in this order.
const STATELESS: &str = "2026-07-28";
const WITH_SESSIONS: &str = "2025-11-25";

/// The most pages of one list.
const MOST_PAGES: usize = 256;
/// The longest cursor of a page, in bytes.
const LONGEST_CURSOR: usize = 4096;
/// The time limit for one list.
const LIST_TIME: Duration = Duration::from_secs(60);

/// How often the list is read again: a server without event streams cannot notify of a change.
const INTERVAL: Duration = Duration::from_secs(300);
/// The pause after the first failure. It doubles with each further one, up to [`INTERVAL`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What a gateway shares with its question for tools.
#[derive(Clone)]
pub(super) struct ToolsLearning {
    modes: LearningModes,
    /// Whether a rule depends on the list of tools.
    is_learning: bool,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Notified when a stream says that the list has changed.
    changed: Arc<Notify>,
}

impl ToolsLearning {
    /// Makes the modes of `config` count what they learn, and watch for changes of the list.
    pub(super) fn new(
        config: &GatewayConfig,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let (metrics, clock) = (Arc::clone(metrics), Arc::clone(clock));
        let modes = &config.modes;
        let is_learning = modes.is_learning() || config.touch.is_learning();
        modes.read_tools(|tools| metrics.learn_tools(tools));
        let (counting, noting) = (Arc::clone(&metrics), Arc::clone(&changed));
        let modes = modes
            .clone()
            .with_learned(move |tools| counting.learn_tools(tools))
            .with_list_changed(move || noting.notify_one());
        ToolsLearning { modes, is_learning, metrics, clock, changed }
    }

    /// Returns the modes, which share what they learn with this value.
    pub(super) fn modes(&self) -> LearningModes {
        self.modes.clone()
    }

    /// Returns the question to the upstream of `proxy`, if a rule depends on the answer. `public` is
    /// the host by which clients know the gateway.
    pub(super) fn query(&self, proxy: &UpstreamProxy, public: HeaderValue) -> Option<ToolsQuery> {
        if !self.is_learning {
            return None;
        }
        let clock = Arc::clone(&self.clock);
        let exchange = ToolsExchange::new(proxy.with_own_pool(), public, clock);
        Some(ToolsQuery { exchange, learning: self.clone() })
    }
}

/// Asks the upstream of a gateway for its tools. Made by
/// [`Gateway::tools_query`](super::Gateway::tools_query).
pub struct ToolsQuery {
    exchange: ToolsExchange,
    learning: ToolsLearning,
}

/// Why the upstream's list of tools is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsQueryError {
    /// The upstream cannot be reached, or the connection broke.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] BoxError),
    /// The answers took too long.
    #[error("the upstream did not send its list of tools within {} s", .0.as_secs())]
    TooSlow(Duration),
    /// The upstream answered with this HTTP status.
    #[error("the upstream answered with status {0}")]
    Status(u16),
    /// The upstream answered with a JSON-RPC error of this code.
    #[error("the upstream answered with error {0}")]
    Error(i64),
    /// The answer is not a list of tools.
    #[error("the answer of the upstream cannot be used: {0}")]
    Answer(&'static str),
    /// The list cannot be read in one way only.
    #[error(transparent)]
    List(#[from] ToolsError),
    /// The question could not be signed.
    #[error("the question could not be signed")]
    NotSigned(#[source] BoxError),
}

/// The fields of the requests that belong to one session, or to none.
#[derive(Default)]
struct ToolsSession {
    version: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

impl ToolsQuery {
    /// Signs the questions, for an upstream that verifies signatures itself. What is signed is the
    /// request as the upstream gets it.
    #[must_use]
    pub fn with_signer(mut self, signer: Arc<Signer>) -> Self {
        self.exchange.signer = Some(signer);
        self
    }

    /// Asks once, and learns from the list. Returns the listed tools. The connections belong to the
    /// async runtime of the first call, so all calls must be made on that runtime.
    ///
    /// # Errors
    /// [`ToolsQueryError`]. Nothing was learned then.
    pub async fn ask(&self) -> Result<Tools, ToolsQueryError> {
        let listed = match timeout(LIST_TIME, self.list()).await {
            Ok(Ok(listed)) => listed,
            Ok(Err(error)) => {
                self.learning.metrics.tools_query_failed();
                return Err(error);
            }
            Err(_) => {
                self.learning.metrics.tools_query_failed();
                return Err(ToolsQueryError::TooSlow(LIST_TIME));
            }
        };
        self.learning.modes.add_tools(&listed);
        Ok(listed)
    }

    /// Asks now, after each `notifications/tools/list_changed` in a stream that the gateway passes
    /// on, and every 5 minutes; after a failure, sooner. Never returns. `report` gets each outcome.
    pub async fn run(self, report: impl Fn(&Result<Tools, ToolsQueryError>) + Send) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let outcome = self.ask().await;
            report(&outcome);
            let next = match outcome {
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    INTERVAL
                }
                Err(_) => {
                    let next = pause;
                    pause = (pause * 2).min(INTERVAL);
                    next
                }
            };
            tokio::select! {
                () = sleep_until(begun + next) => {}
                () = self.learning.changed.notified() => sleep_until(begun + FIRST_PAUSE).await,
            }
        }
    }

    async fn list(&self) -> Result<Tools, ToolsQueryError> {
        let stateless =
            ToolsSession { version: Some(HeaderValue::from_static(STATELESS)), id: None };
        match self.pages(&stateless, true).await {
            // The upstream has answered, but did not give a list: it may only speak the older
            // revision of MCP, which needs a session.
            Err(
                ToolsQueryError::Status(_)
                | ToolsQueryError::Error(_)
                | ToolsQueryError::Answer(_)
                | ToolsQueryError::List(_),
            ) => self.list_in_session().await,
            other => other,
        }
    }

    async fn list_in_session(&self) -> Result<Tools, ToolsQueryError> {
        let initialize = json!({
            "protocolVersion": WITH_SESSIONS, "capabilities": {}, "clientInfo": client(),
        });
        let none = HeaderMap::new();
        let answer = self.exchange.ask("initialize", &initialize, &none).await?;
        let version = answer.member("protocolVersion");
        let version = version.as_ref().and_then(Value::as_str).unwrap_or(WITH_SESSIONS);
        let session =
            ToolsSession { version: HeaderValue::from_str(version).ok(), id: answer.session };
        self.exchange.notify("notifications/initialized", &session.fields(None)).await?;
        let listed = self.pages(&session, false).await;
        if session.id.is_some() {
            self.exchange.close(&session.fields(None)).await;
        }
        listed
    }

    /// Reads all pages.
    async fn pages(
        &self,
        session: &ToolsSession,
        is_stateless: bool,
    ) -> Result<Tools, ToolsQueryError> {
        let (mut tools, mut cursor) = (Tools::new(), None);
        for _ in 0..MOST_PAGES {
            let mut params = json!({});
            if is_stateless {
                params["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": STATELESS,
                    "io.modelcontextprotocol/clientInfo": client(),
                    "io.modelcontextprotocol/clientCapabilities": {},
                });
            }
            if let Some(cursor) = cursor {
                params["cursor"] = Value::String(cursor);
            }
            let fields = session.fields(is_stateless.then_some("tools/list"));
            let answer = self.exchange.ask("tools/list", &params, &fields).await?;
            tools.learn(answer.text.as_bytes())?;
            cursor = match answer.member("nextCursor") {
                None | Some(Value::Null) => return Ok(tools),
                Some(Value::String(next)) if next.len() <= LONGEST_CURSOR => Some(next),
                Some(_) => return Err(ToolsQueryError::Answer("its cursor is no short text")),
            };
        }
        Err(ToolsQueryError::Answer("the list has over 256 pages"))
    }
}

fn client() -> Value {
    json!({ "name": "mcpid", "version": env!("CARGO_PKG_VERSION") })
}

impl ToolsSession {
    /// Returns the `Mcp-*` fields of a request. `method` is the value of `Mcp-Method`; `None` for a
    /// revision without that field.
    fn fields(&self, method: Option<&'static str>) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let method = method.map(HeaderValue::from_static);
        let named = [
            ("mcp-protocol-version", self.version.clone()),
            ("mcp-session-id", self.id.clone()),
            ("mcp-method", method),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                fields.insert(HeaderName::from_static(name), value);
            }
        }
        fields
    }
}

impl fmt::Debug for ToolsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolsQuery").finish_non_exhaustive()
    }
}
