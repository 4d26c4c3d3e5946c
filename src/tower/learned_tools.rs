//! The tools that a server has listed, and when it last listed each of them as harmless.
//!
//! A server can change a tool without a word to this program. So a rating as harmless counts for a
//! limited time after the last list that had it. A rating as destructive has no end.

use std::collections::HashMap;
use std::fmt;

use crate::clock::Timestamp;
use crate::mcp::pattern::Operation;
use crate::mcp::tools::{Tools, ToolsError, listed_tools};

/// The tools of one server, with the time of each rating as harmless.
///
/// A rating without a time does not expire: the application itself gave the list.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LearnedTools {
    tools: Tools,
    /// For each harmless tool whose rating can expire, the time of the last list that rated it so.
    listed: HashMap<Box<str>, Timestamp>,
}

impl LearnedTools {
    /// How long a rating of a tool as harmless is valid after the last list with that rating, in
    /// seconds: 7 days.
    pub const MAX_AGE: i64 = 7 * 24 * 3600;
    /// How far the time of a tool's rating may be ahead of the clock, in seconds: one hour. A
    /// rating with a later time was made with a wrong clock, and is ignored.
    pub const MAX_AHEAD: i64 = 3600;

    /// Creates a table without tools: every tool counts as destructive.
    pub fn new() -> Self {
        LearnedTools::default()
    }

    /// Returns the tools without the times of their ratings.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Adds one listing of the tool `name`, at the time `at`. Returns false if the tool is not
    /// stored, for the reasons of [`Tools::note`].
    pub fn note(&mut self, name: &str, destructive: bool, at: Option<Timestamp>) -> bool {
        let is_new = !self.tools.knows(name);
        if !self.tools.note(name, destructive) {
            return false;
        }
        match at.filter(|_| !destructive) {
            // A rating of a tool as destructive never expires, and neither does a rating that the
            // application itself gave.
            None => _ = self.listed.remove(name),
            Some(at) if is_new => _ = self.listed.insert(name.into(), at),
            Some(at) => {
                if let Some(known) = self.listed.get_mut(name) {
                    *known = at;
                }
            }
        }
        true
    }

    /// Learns from one page of `tools/list`, which was listed at the time `at`.
    ///
    /// # Errors
    /// [`ToolsError`]. Then nothing in the answer is used.
    pub fn learn(&mut self, answer: &[u8], at: Option<Timestamp>) -> Result<(), ToolsError> {
        for (name, harmless) in listed_tools(answer)? {
            self.note(&name, !harmless, at);
        }
        Ok(())
    }

    /// Adds all listings of `tools`, at the time `at`.
    pub fn add(&mut self, tools: &Tools, at: Option<Timestamp>) {
        for (name, destructive) in tools.iter() {
            self.note(name, destructive, at);
        }
    }

    /// Adds all listings of `other`, each at its own time. If a tool has two times, the later one
    /// is kept.
    pub fn merge(&mut self, other: &LearnedTools) {
        for (name, destructive, at) in other.iter() {
            let known = self.listed.get(name).copied();
            self.note(name, destructive, at.map(|at| known.map_or(at, |known| at.max(known))));
        }
    }

    /// Returns only the tools that are known as destructive.
    #[must_use]
    pub fn restrictions(&self) -> LearnedTools {
        let mut kept = LearnedTools::new();
        for (name, _) in self.tools.iter().filter(|(_, destructive)| *destructive) {
            kept.note(name, true, None);
        }
        kept
    }

    /// Returns each tool, whether it is known as destructive, and the time of its rating as
    /// harmless, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool, Option<Timestamp>)> {
        let at = |name| self.listed.get(name).copied();
        self.tools.iter().map(move |(name, destructive)| (name, destructive, at(name)))
    }

    /// Returns the time of the newest rating of a tool as harmless.
    pub fn newest(&self) -> Option<Timestamp> {
        self.listed.values().copied().max()
    }

    /// Returns true if a rating of a tool as harmless that was made at the time `at` is still valid
    /// at the time `now`.
    pub fn is_current(at: Timestamp, now: Timestamp) -> bool {
        (-LearnedTools::MAX_AHEAD..=LearnedTools::MAX_AGE).contains(&now.since(at))
    }

    /// Returns true if `operation` calls a tool that counts as destructive at the time `now`; a
    /// tool whose rating as harmless has expired counts as destructive. If `now` is `None`, no
    /// rating expires.
    pub fn calls_destructive(&self, operation: Operation<'_>, now: Option<Timestamp>) -> bool {
        self.tools.calls_destructive(operation)
            || (operation.method == "tools/call"
                && operation
                    .name
                    .and_then(|name| self.listed.get(name))
                    .is_some_and(|at| now.is_some_and(|now| !LearnedTools::is_current(*at, now))))
    }
}

impl fmt::Debug for LearnedTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.tools)
    }
}
