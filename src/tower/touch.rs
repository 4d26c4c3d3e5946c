//! Rules that name the requests for which a person has to touch a security key.

use crate::mcp::pattern::{Operation, Pattern};

use super::learning::LearningModes;
use super::modes::{Mode, ModePolicy as _, Modes};

/// The requests that need a touch: a second signature, by a security key, that confirms the
/// signature of the request (see [`Verified::touch`](crate::verify::Verified::touch)).
///
/// A rule is a strict rule too, in every mode of the layer: a request that needs a touch must be
/// verified, and so must the messages of a client that can approve such a call.
///
/// ```
/// use mcpid::tower::TouchRules;
///
/// let rules = TouchRules::new().with_pattern("tools/call:delete_*".parse()?);
/// assert!(!rules.is_empty());
/// # Ok::<(), mcpid::mcp::pattern::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TouchRules {
    /// The patterns, stored as the strict patterns of permissive modes.
    patterns: Modes,
    destructive: bool,
    /// The rules as texts, for the audit log.
    described: Vec<String>,
}

impl Default for TouchRules {
    fn default() -> Self {
        TouchRules::new()
    }
}

impl TouchRules {
    /// Creates rules by which no request needs a touch of a security key.
    pub const fn new() -> Self {
        TouchRules { patterns: Modes::permissive(), destructive: false, described: Vec::new() }
    }

    /// Adds a rule: operations that match `pattern` need a touch of a security key.
    #[must_use]
    pub fn with_pattern(mut self, pattern: Pattern) -> Self {
        self.described.push(pattern.to_string());
        self.patterns = self.patterns.with_strict(pattern);
        self
    }

    /// Adds a rule: calls of tools need a touch if the server's own `tools/list` does not describe
    /// the tool as harmless, or has not listed it yet. A layer without [`LearningModes`] knows no
    /// list of tools, so that every call of a tool then needs a touch.
    #[must_use]
    pub fn with_destructive(mut self) -> Self {
        if !self.destructive {
            self.described.push("destructive".to_owned());
        }
        self.destructive = true;
        self
    }

    /// Returns true if no request needs a touch of a security key.
    pub fn is_empty(&self) -> bool {
        !self.destructive && self.patterns.uniform().is_some()
    }

    /// Returns the rules as texts: patterns, and the word `destructive`.
    pub fn described(&self) -> &[String] {
        &self.described
    }

    /// Returns true if a rule depends on the server's list of tools.
    pub fn is_learning(&self) -> bool {
        self.destructive
    }

    /// Returns true if a request with this `operation` needs a touch of a security key. `None`
    /// stands for an ambiguous body, which could do anything. `learned` has the server's list of
    /// tools.
    pub(super) fn needs_touch(
        &self,
        operation: Option<Operation<'_>>,
        learned: Option<&LearningModes>,
    ) -> bool {
        match operation {
            None => !self.is_empty(),
            Some(operation) => {
                self.patterns.restricts(&operation.forms(), false)
                    || (self.destructive && is_destructive(operation, learned))
            }
        }
    }

    /// Returns true if a request with this `operation` must be verified because of these rules:
    /// because it needs a touch of a security key, or because it may approve a call that needs one.
    pub(super) fn is_strict(
        &self,
        operation: Option<Operation<'_>>,
        learned: Option<&LearningModes>,
    ) -> bool {
        self.needs_touch(operation, learned)
            || self.patterns.mode(operation) == Mode::Strict
            || (self.destructive && operation.is_some_and(|o| o.may_approve_call()))
    }
}

/// Returns true if `operation` calls a tool that the server has not listed as harmless.
fn is_destructive(operation: Operation<'_>, learned: Option<&LearningModes>) -> bool {
    match learned {
        Some(learned) => learned.calls_destructive(operation),
        None => operation.method == "tools/call",
    }
}
