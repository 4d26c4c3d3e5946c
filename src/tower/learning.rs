//! Modes that depend on which tools the server describes as destructive.
//!
//! The layer reads the list of tools from the server's own answers to `tools/list`, while it passes
//! them on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::clock::{Clock, Timestamp};
use crate::mcp::media;
use crate::mcp::pattern::Operation;
use crate::mcp::tools::Tools;

use super::event_stream;
use super::learned_tools::LearnedTools;
use super::modes::{Mode, ModePolicy, Modes};

/// The maximum size of an answer that is kept for reading, in bytes. From a longer answer, no tools
/// are learned.
const LONGEST_LIST: usize = 4 * 1024 * 1024;

type LearnedHook = Arc<dyn Fn(&Tools) + Send + Sync>;
type ListChangedHook = Arc<dyn Fn() + Send + Sync>;

/// Decides whether a request must be verified, as [`Modes`] do. With
/// [`with_destructive`](LearningModes::with_destructive), calls of tools that the server does not
/// describe as harmless are strict too. Cloning is cheap; all clones share what was learned.
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
    tools: Arc<Mutex<LearnedTools>>,
    clock: Option<Arc<dyn Clock>>,
    learned: Option<LearnedHook>,
    list_changed: Option<ListChangedHook>,
}

impl LearningModes {
    /// Creates modes that pass only verified requests.
    pub fn strict() -> Self {
        LearningModes::new(Modes::strict())
    }

    /// Creates modes that decide by `modes` alone.
    pub fn new(modes: Modes) -> Self {
        let modes = Arc::new(modes);
        let (tools, clock, learned, list_changed) = (Arc::default(), None, None, None);
        LearningModes { modes, destructive: false, tools, clock, learned, list_changed }
    }

    /// Makes calls strict if the server's own `tools/list` does not describe the tool as harmless,
    /// or has not listed it yet.
    #[must_use]
    pub fn with_destructive(mut self) -> Self {
        self.destructive = true;
        self
    }

    /// Makes each rating as harmless expire [`LearnedTools::MAX_AGE`] seconds after the last list
    /// with that rating. Without a clock, ratings do not expire while the process runs.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Calls `learned` with all known tools, whenever an answer was read. `learned` runs on the
    /// task of the request and under a lock, so it must not block.
    #[must_use]
    pub fn with_learned(mut self, learned: impl Fn(&Tools) + Send + Sync + 'static) -> Self {
        self.learned = Some(Arc::new(learned));
        self
    }

    /// Calls `changed` whenever an event stream that is passed on may contain the server's
    /// notification `notifications/tools/list_changed`. The application can then ask for the list
    /// again. It runs on the task of the request, so it must not block. If no rule depends on the
    /// list of tools, it is never called.
    #[must_use]
    pub fn with_list_changed(mut self, changed: impl Fn() + Send + Sync + 'static) -> Self {
        self.list_changed = Some(Arc::new(changed));
        self
    }

    /// Returns true if the application wants to know when the list of tools has changed.
    pub(super) fn is_watching(&self) -> bool {
        self.list_changed.is_some()
    }

    /// Calls `read` with all known tools. A lock is held meanwhile, so `read` must not block.
    pub fn read_tools<T>(&self, read: impl FnOnce(&LearnedTools) -> T) -> T {
        read(&self.tools.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the listings of `tools`, each at its own time, for example those that were stored before
    /// a restart ([`ToolsFile`](super::ToolsFile)). A tool that is known as destructive stays
    /// destructive.
    pub fn add_tools(&self, tools: &LearnedTools) {
        self.change(|known| known.merge(tools));
    }

    /// Adds the listings of `tools`, which the server has sent just now.
    pub fn add_listed(&self, tools: &Tools) {
        let now = self.now();
        self.change(|known| known.add(tools, now));
    }

    fn change(&self, change: impl FnOnce(&mut LearnedTools)) {
        let mut known = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        if let Some(learned) = &self.learned {
            learned(known.tools());
        }
    }

    fn now(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    /// Returns true if the mode of a tool depends on the server's list. The list must then not be
    /// compressed, so that the layer can read it.
    pub fn is_learning(&self) -> bool {
        self.destructive
    }

    /// Learns from a list that the application itself supplies: a JSON-RPC response to
    /// `tools/list`, or its `result`. Its ratings do not expire. An answer that cannot be parsed
    /// changes nothing.
    pub fn learn(&self, answer: &[u8]) {
        self.learn_each(std::iter::once(answer), None);
    }

    fn learn_each<T: AsRef<[u8]>>(&self, answers: impl Iterator<Item = T>, at: Option<Timestamp>) {
        self.change(|known| {
            for answer in answers {
                // An error is ignored, because the tools in that answer then stay unknown, and
                // count as destructive.
                let _ = known.learn(answer.as_ref(), at);
            }
        });
    }

    fn is_destructive(&self, operation: Operation<'_>) -> bool {
        // A server can ask the client back about a call; the client's JSON-RPC response then
        // approves the call. So a response is judged like a destructive call.
        operation.may_approve_call() || self.calls_destructive(operation)
    }

    /// Returns true if `operation` calls a tool that the server has not listed as harmless.
    pub(super) fn calls_destructive(&self, operation: Operation<'_>) -> bool {
        let now = self.now();
        self.read_tools(|known| known.calls_destructive(operation, now))
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
        // An unreadable body could be the call of any tool, so it counts as destructive.
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

/// Reads one answer while it is passed on: learns from a list of tools, or finds out in an event
/// stream that the list has changed.
pub struct ToolsListener {
    modes: LearningModes,
    kind: ListenerKind,
}

enum ListenerKind {
    /// The answer to `tools/list` is copied; `copy` is `None` after the answer exceeded the limit.
    List { is_event_stream: bool, copy: Option<Vec<u8>> },
    /// An event stream is searched for the notification, which may be split over several pieces.
    Changes { tail: Vec<u8> },
}

/// The end of the name of `notifications/tools/list_changed`. Some libraries write a slash in JSON
/// as `\/`, so the search begins after the last slash. The notifications about resources and
/// prompts end in the same way; they only cause an unnecessary query.
const LIST_CHANGED: &[u8] = b"list_changed";

impl ToolsListener {
    /// Returns a listener for an answer with the fields `headers`. Returns `None` if the answer is
    /// compressed, or if its media type is neither JSON nor an event stream. `lists` is true for an
    /// answer to `tools/list`.
    pub(super) fn new(headers: &HeaderMap, modes: &LearningModes, lists: bool) -> Option<Self> {
        if headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let media = headers.get(CONTENT_TYPE)?.as_bytes();
        let is_event_stream = media::is(media, "text/event-stream");
        let kind = if lists && (is_event_stream || media::is(media, "application/json")) {
            ListenerKind::List { is_event_stream, copy: Some(Vec::new()) }
        } else if is_event_stream && modes.is_watching() {
            ListenerKind::Changes { tail: Vec::new() }
        } else {
            return None;
        };
        Some(ToolsListener { modes: modes.clone(), kind })
    }

    /// Takes the next bytes of the answer.
    pub fn push_bytes(&mut self, data: &[u8]) {
        match &mut self.kind {
            ListenerKind::List { copy, .. } => {
                let Some(bytes) = copy else { return };
                if bytes.len().saturating_add(data.len()) > LONGEST_LIST {
                    *copy = None;
                } else {
                    bytes.extend_from_slice(data);
                }
            }
            ListenerKind::Changes { tail } => {
                if let (true, Some(changed)) =
                    (finds_list_changed(tail, data), &self.modes.list_changed)
                {
                    changed();
                }
            }
        }
    }

    /// Learns the ratings of the tools from the complete answer. If the answer broke off, drop this value
    /// without a call of `finish`.
    pub fn finish(self) {
        let ListenerKind::List { is_event_stream, copy: Some(copy) } = self.kind else { return };
        let now = self.modes.now();
        if is_event_stream {
            self.modes.learn_each(event_stream::data(Bytes::from(copy)), now);
        } else {
            self.modes.learn_each(std::iter::once(copy), now);
        }
    }
}

/// Returns true if an occurrence of [`LIST_CHANGED`] ends in `data`. `tail` are the bytes before
/// `data`; it is replaced by the last bytes, with which the next occurrence may begin.
fn finds_list_changed(tail: &mut Vec<u8>, data: &[u8]) -> bool {
    let most = LIST_CHANGED.len() - 1;
    let is_in = |bytes: &[u8]| bytes.windows(LIST_CHANGED.len()).any(|word| word == LIST_CHANGED);
    tail.extend_from_slice(data.get(..most).unwrap_or(data));
    let found = is_in(tail) || is_in(data);
    if data.len() >= most {
        tail.clear();
        tail.extend_from_slice(&data[data.len() - most..]);
    } else {
        tail.drain(..tail.len().saturating_sub(most));
    }
    found
}

impl fmt::Debug for ToolsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolsListener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notification_is_found_once_however_its_stream_is_cut() {
        let notification = br#"data: {"method":"notifications\/tools\/list_changed"}"#;
        for size in 1..=notification.len() {
            let mut tail = Vec::new();
            let found = notification.chunks(size).filter(|c| finds_list_changed(&mut tail, c));
            assert_eq!(found.count(), 1, "pieces of {size} bytes");
            assert!(tail.len() < LIST_CHANGED.len());
        }
        for other in ["list_change", "list-changed", "ist_changed", ""] {
            let mut tail = Vec::new();
            let pieces = other.as_bytes().chunks(3);
            let mut found = pieces.map(|c| finds_list_changed(&mut tail, c));
            assert!(!found.any(|found| found), "{other}");
        }
    }
}
