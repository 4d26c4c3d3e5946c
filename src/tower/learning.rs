//! Modes that depend on which tools the server describes as destructive.
//!
//! The layer reads the list of tools from the server's own answers to `tools/list`, while it passes
//! them on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::mcp::media;
use crate::mcp::pattern::Operation;
use crate::mcp::tools::Tools;

use super::event_stream;
use super::modes::{Mode, ModePolicy, Modes};

/// The most bytes of an answer that are stored. From a longer answer, no tools are learned.
const LONGEST_LIST: usize = 4 * 1024 * 1024;

type LearnedHook = Arc<dyn Fn(&Tools) + Send + Sync>;

/// Decides as [`Modes`] do. With [`with_destructive`](LearningModes::with_destructive), calls of
/// tools that the server does not describe as harmless are strict too. Cloning is cheap; all clones
/// share what was learned.
///
/// ```
/// use mcpid::mcp::pattern::Operation;
/// use mcpid::tower::{LearningModes, Mode, ModePolicy as _, Modes};
///
/// let modes = LearningModes::new(Modes::permissive()).with_destructive();
/// let call = Some(Operation { method: "tools/call", name: Some("list_users") });
/// // A tool that the server has not listed counts as destructive.
/// assert_eq!(modes.mode(call), Mode::Strict);
/// modes.learn(br#"{"tools":[{"name":"list_users","annotations":{"readOnlyHint":true}}]}"#);
/// assert_eq!(modes.mode(call), Mode::Permissive);
/// ```
#[derive(Clone)]
pub struct LearningModes {
    modes: Arc<Modes>,
    destructive: bool,
    tools: Arc<Mutex<Tools>>,
    learned: Option<LearnedHook>,
}

impl LearningModes {
    /// Creates modes that let only verified requests pass.
    pub fn strict() -> Self {
        LearningModes::new(Modes::strict())
    }

    /// Creates modes that decide by `modes` alone.
    pub fn new(modes: Modes) -> Self {
        let modes = Arc::new(modes);
        LearningModes { modes, destructive: false, tools: Arc::default(), learned: None }
    }

    /// Makes calls strict if the server's own `tools/list` does not describe the tool as harmless,
    /// or has not listed it yet.
    #[must_use]
    pub fn with_destructive(mut self) -> Self {
        self.destructive = true;
        self
    }

    /// Calls `learned` with all known tools, whenever an answer was read. It runs on the task of
    /// the request and under a lock, so it must not block.
    #[must_use]
    pub fn with_learned(mut self, learned: impl Fn(&Tools) + Send + Sync + 'static) -> Self {
        self.learned = Some(Arc::new(learned));
        self
    }

    /// Returns true if the mode of a tool depends on the server's list. The list must then not be
    /// compressed, so that the layer can read it.
    pub fn is_learning(&self) -> bool {
        self.destructive
    }

    /// Learns from one answer to `tools/list`: a JSON-RPC response or its `result`. An answer that
    /// cannot be parsed changes nothing.
    pub fn learn(&self, answer: &[u8]) {
        self.learn_each(std::iter::once(answer));
    }

    fn learn_each<T: AsRef<[u8]>>(&self, answers: impl Iterator<Item = T>) {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        for answer in answers {
            // An error is ignored: the tools in that answer stay unknown, and count as destructive.
            let _ = tools.learn(answer.as_ref());
        }
        if let Some(learned) = &self.learned {
            learned(&tools);
        }
    }

    fn is_destructive(&self, operation: Operation<'_>) -> bool {
        // A response of the client can approve a call that the server asked back about. So it is
        // judged like a destructive call.
        operation.may_approve_call() || self.calls_destructive(operation)
    }

    /// Returns true if `operation` calls a tool that the server has not listed as harmless.
    pub(super) fn calls_destructive(&self, operation: Operation<'_>) -> bool {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner).calls_destructive(operation)
    }
}

impl fmt::Debug for LearningModes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningModes")
            .field("modes", &self.modes)
            .field("destructive", &self.destructive)
            .finish_non_exhaustive()
    }
}

impl ModePolicy for LearningModes {
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        // An unreadable body could call any tool, so it counts as destructive.
        let destructive =
            self.destructive && operation.is_none_or(|operation| self.is_destructive(operation));
        if destructive { Mode::Strict } else { self.modes.mode(operation) }
    }

    fn uniform(&self) -> Option<Mode> {
        // In permissive mode, bodies of unsigned requests are parsed too, because the roll-out
        // report counts requests by tool.
        self.modes.uniform().filter(|mode| *mode == Mode::Strict)
    }
}

/// Copies one answer to `tools/list` while it passes, and learns from it when it is complete.
pub struct ToolsListener {
    modes: LearningModes,
    is_event_stream: bool,
    /// The bytes so far; `None` after the answer exceeded the limit.
    copy: Option<Vec<u8>>,
}

impl ToolsListener {
    /// Returns a listener for an answer with the fields `headers`, or `None` if the answer is
    /// compressed, or neither JSON nor an event stream.
    pub(super) fn new(headers: &HeaderMap, modes: &LearningModes) -> Option<Self> {
        if headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let media = headers.get(CONTENT_TYPE)?.as_bytes();
        let is_event_stream = media::is(media, "text/event-stream");
        if !is_event_stream && !media::is(media, "application/json") {
            return None;
        }
        Some(ToolsListener { modes: modes.clone(), is_event_stream, copy: Some(Vec::new()) })
    }

    /// Appends the next bytes of the answer.
    pub fn push_bytes(&mut self, data: &[u8]) {
        let Some(copy) = &mut self.copy else { return };
        if copy.len().saturating_add(data.len()) > LONGEST_LIST {
            self.copy = None;
        } else {
            copy.extend_from_slice(data);
        }
    }

    /// Learns from the answer, which must be complete. If the answer broke off, drop the listener
    /// instead.
    pub fn finish(self) {
        let Some(copy) = self.copy else { return };
        if self.is_event_stream {
            self.modes.learn_each(event_stream::data(Bytes::from(copy)));
        } else {
            self.modes.learn(&copy);
        }
    }
}

impl fmt::Debug for ToolsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolsListener").finish_non_exhaustive()
    }
}
