//! Asks the upstream for its list of tools, so that a gateway knows which tools are harmless before
//! a client has asked for the list.
//!
//! ```text
//! start, list_changed, every 5 minutes ─► tools/list, all pages, without a session (2026-07-28)
//!                                            │ refused
//!                                            ▼
//!                                         initialize ─► tools/list, all pages (2025-11-25)
//! then, also after a failure: DELETE of each session that an answer named
//! ```
//!
//! A list counts only if all of its pages were read. The question has no token of a client, so an
//! upstream that demands one refuses it; then the list is only learned from answers to clients.
//!
//! Tools that were stored before a restart restrict at once. Those that were harmless count only
//! after the upstream has refused the question, because then no newer list can be had.

mod exchange;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::clock::Clock;
use crate::mcp::tools::{Tools, ToolsError};
use crate::sign::Signer;
use crate::tower::{BoxError, LearnedTools, LearningModes};

use super::config::GatewayConfig;
use super::metrics::Metrics;
use super::proxy::UpstreamProxy;
use exchange::{OpenedSessions, ToolsExchange};

/// The protocol revisions that are tried, in this order.
const STATELESS: &str = "2026-07-28";
const WITH_SESSIONS: &str = "2025-11-25";

/// The maximum number of pages of one list.
const MOST_PAGES: usize = 256;
/// The maximum length of the cursor for the next page, in bytes.
const LONGEST_CURSOR: usize = 4096;
/// The time limit for reading one list of tools.
const LIST_TIME: Duration = Duration::from_secs(60);
/// The time limit for closing the sessions that a query has opened.
const CLOSE_TIME: Duration = Duration::from_secs(10);

/// How often the list is read again. A server without event streams cannot notify clients of a
/// change.
const INTERVAL: Duration = Duration::from_secs(300);
/// The pause after the first failed query. It doubles after each further failure, up to
/// [`INTERVAL`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause while the upstream cannot be reached, so that its list is known soon after it
/// starts.
const LONGEST_UNREACHABLE_PAUSE: Duration = Duration::from_secs(10);

/// What a gateway shares with its query for tools.
#[derive(Clone)]
pub(super) struct ToolsLearning {
    modes: LearningModes,
    /// Whether a mode or touch rule depends on the list of tools.
    is_learning: bool,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// Notified when an event stream of the upstream says that the list has changed.
    changed: Arc<Notify>,
}

impl ToolsLearning {
    /// Makes the modes of `config` report what they learn about tools, and watch for changes of the
    /// list.
    pub(super) fn new(
        config: &GatewayConfig,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        let (metrics, clock) = (Arc::clone(metrics), Arc::clone(clock));
        let modes = &config.modes;
        let is_learning = modes.is_learning() || config.touch.is_learning();
        modes.read_tools(|known| metrics.learn_tools(known.tools()));
        let (counting, noting) = (Arc::clone(&metrics), Arc::clone(&changed));
        let modes = modes
            .clone()
            .with_clock(Arc::clone(&clock))
            .with_learned(move |tools| counting.learn_tools(tools))
            .with_list_changed(move || noting.notify_one());
        ToolsLearning { modes, is_learning, metrics, clock, changed }
    }

    /// Returns the modes. They share what they learn about tools with this value.
    pub(super) fn modes(&self) -> LearningModes {
        self.modes.clone()
    }

    /// Returns the query to the upstream of `proxy`, if a rule depends on the list of tools.
    /// `public` is the host by which clients know the gateway.
    pub(super) fn query(&self, proxy: &UpstreamProxy, public: HeaderValue) -> Option<ToolsQuery> {
        if !self.is_learning {
            return None;
        }
        let clock = Arc::clone(&self.clock);
        let exchange = ToolsExchange::new(proxy.with_own_pool(), public, clock);
        Some(ToolsQuery { exchange, learning: self.clone(), stored: Mutex::default() })
    }
}

/// Asks the upstream of a gateway for its tools. Made by
/// [`Gateway::tools_query`](super::Gateway::tools_query).
pub struct ToolsQuery {
    exchange: ToolsExchange,
    learning: ToolsLearning,
    /// Tools that were stored before a restart. They are used until the upstream has answered the
    /// query.
    stored: Mutex<LearnedTools>,
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
    /// The list of tools is ambiguous: it can be read in more than one way.
    #[error(transparent)]
    List(#[from] ToolsError),
    /// The query could not be signed.
    #[error("the question could not be signed")]
    NotSigned(#[source] BoxError),
}

impl ToolsQueryError {
    /// Returns true if the upstream refuses to list its tools to the gateway, with status 401 or
    /// 403.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ToolsQueryError::Status(401 | 403))
    }
}

/// The header fields of the requests that belong to one session, or to none.
#[derive(Default)]
struct ToolsSession {
    version: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

impl ToolsQuery {
    /// Signs the queries, for an upstream that verifies signatures itself. The signature covers the
    /// request as the upstream receives it.
    #[must_use]
    pub fn with_signer(mut self, signer: Arc<Signer>) -> Self {
        self.exchange.signer = Some(signer);
        self
    }

    /// Gives the query the tools that were stored before a restart
    /// ([`ToolsFile`](crate::tower::ToolsFile)). Those that are stored as destructive are treated
    /// so at once. The others are used only if the upstream refuses the query
    /// ([`ToolsQueryError::is_refusal`]) and the query is not signed. The upstream should answer a
    /// signed query, so that its refusal is a fault in the configuration.
    #[must_use]
    pub fn with_stored(mut self, stored: LearnedTools) -> Self {
        self.learning.modes.add_tools(&stored.restrictions());
        self.stored = Mutex::new(stored);
        self
    }

    /// Sends the query once, and learns from the list. Returns the listed tools. The connections
    /// belong to the async runtime of the first call, so all calls must be made on that runtime.
    ///
    /// # Errors
    /// [`ToolsQueryError`]. Nothing was learned then, except that stored tools may be used from now
    /// on ([`ToolsQuery::with_stored`]).
    pub async fn ask(&self) -> Result<Tools, ToolsQueryError> {
        let mut opened = OpenedSessions::default();
        let listed = timeout(LIST_TIME, self.list(&mut opened)).await;
        let listed = listed.unwrap_or(Err(ToolsQueryError::TooSlow(LIST_TIME)));
        // A session that is not closed takes memory in the upstream until it expires.
        let _ = timeout(CLOSE_TIME, self.close(opened)).await;
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        match &listed {
            Ok(tools) => {
                self.learning.modes.add_listed(tools);
                *stored = LearnedTools::new();
            }
            Err(error) => {
                self.learning.metrics.tools_query_failed();
                if error.is_refusal() && self.exchange.signer.is_none() {
                    self.learning.modes.add_tools(&std::mem::take(&mut stored));
                }
            }
        }
        drop(stored);
        listed
    }

    /// Sends the query now, after each `notifications/tools/list_changed` in a stream that the
    /// gateway passes on, and every 5 minutes; after a failure, sooner. Never returns. `report` is
    /// called with each outcome.
    pub async fn run(self, report: impl Fn(&Result<Tools, ToolsQueryError>) + Send) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let outcome = self.ask().await;
            report(&outcome);
            let next = match &outcome {
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    INTERVAL
                }
                Err(error) => {
                    let longest = match error {
                        ToolsQueryError::Unreachable(_) => LONGEST_UNREACHABLE_PAUSE,
                        _ => INTERVAL,
                    };
                    let next = pause.min(longest);
                    pause = (next * 2).min(longest);
                    next
                }
            };
            tokio::select! {
                () = sleep_until(begun + next) => {}
                () = self.learning.changed.notified() => sleep_until(begun + FIRST_PAUSE).await,
            }
        }
    }

    async fn list(&self, opened: &mut OpenedSessions) -> Result<Tools, ToolsQueryError> {
        let stateless =
            ToolsSession { version: Some(HeaderValue::from_static(STATELESS)), id: None };
        match self.pages(&stateless, true, opened).await {
            // The upstream has answered without a list. It may support only the older revision of
            // MCP, which needs a session.
            Err(
                ToolsQueryError::Status(_)
                | ToolsQueryError::Error(_)
                | ToolsQueryError::Answer(_)
                | ToolsQueryError::List(_),
            ) => self.list_in_session(opened).await,
            other => other,
        }
    }

    async fn list_in_session(&self, opened: &mut OpenedSessions) -> Result<Tools, ToolsQueryError> {
        let initialize = json!({
            "protocolVersion": WITH_SESSIONS, "capabilities": {}, "clientInfo": client(),
        });
        let none = HeaderMap::new();
        let answer = self.exchange.ask("initialize", &initialize, &none, opened).await?;
        let version = answer.member("protocolVersion");
        let version = version.as_ref().and_then(Value::as_str).unwrap_or(WITH_SESSIONS);
        let session =
            ToolsSession { version: HeaderValue::from_str(version).ok(), id: answer.session };
        opened.version.clone_from(&session.version);
        let fields = session.fields(None);
        self.exchange.notify("notifications/initialized", &fields, opened).await?;
        self.pages(&session, false, opened).await
    }

    /// Closes sessions. If that fails, they expire at the upstream.
    async fn close(&self, opened: OpenedSessions) {
        let version = opened.version.or_else(|| Some(HeaderValue::from_static(WITH_SESSIONS)));
        for id in opened.ids {
            let session = ToolsSession { version: version.clone(), id: Some(id) };
            self.exchange.close(&session.fields(None)).await;
        }
    }

    /// Reads all pages of the list of tools.
    async fn pages(
        &self,
        session: &ToolsSession,
        is_stateless: bool,
        opened: &mut OpenedSessions,
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
            let answer = self.exchange.ask("tools/list", &params, &fields, opened).await?;
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
