//! Which requests must be verified to get through, and which are only labelled.
//!
//! What a request does is read from its body, by the one strict reading, and never from a header
//! that nobody signed.

use crate::mcp::pattern::{Operation, OperationForms, Pattern};

/// What happens to a request that is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is refused.
    Strict,
    /// It gets through, labelled. Limits on sizes and the check of the authority hold all the same.
    Permissive,
}

impl Mode {
    /// `strict` or `permissive`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Permissive => "permissive",
        }
    }
}

/// Decides the mode of each request. [`Modes`] does for most servers; implement this where the
/// decision depends on something that changes, such as the tools that an upstream lists.
pub trait ModePolicy: Send + Sync {
    /// The mode for a request that does `operation`; `None` is a body that cannot be read in one
    /// way only, and could do anything.
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode;

    /// The mode of every request, if what it does makes no difference. Then no body of a request
    /// without a valid signature is read.
    fn uniform(&self) -> Option<Mode> {
        None
    }
}

/// A default mode, and patterns for which another one holds.
///
/// Where both kinds of pattern match, strict wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    default: Mode,
    strict: Vec<Pattern>,
    permissive: Vec<Pattern>,
}

impl Modes {
    /// Only verified requests get through.
    pub const fn strict() -> Self {
        Modes { default: Mode::Strict, strict: Vec::new(), permissive: Vec::new() }
    }

    /// Every request gets through and carries what strict would have said.
    pub const fn permissive() -> Self {
        Modes { default: Mode::Permissive, strict: Vec::new(), permissive: Vec::new() }
    }

    /// Strict also for what `pattern` matches, and for every body that cannot be read. A pattern
    /// that may match a `tools/call` makes `@response` and `tasks/update` strict too: an unsigned
    /// answer could approve what the call asks back.
    #[must_use]
    pub fn with_strict(mut self, pattern: Pattern) -> Self {
        self.strict.push(pattern);
        self
    }

    /// Permissive for what `pattern` matches, unless a strict pattern matches too.
    #[must_use]
    pub fn with_permissive(mut self, pattern: Pattern) -> Self {
        self.permissive.push(pattern);
        self
    }

    fn restricts(&self, operation: &OperationForms<'_>, answers: bool) -> bool {
        // Without a name, a pattern restricts whatever its method matches.
        let any_call = Operation { method: "tools/call", name: None }.forms();
        self.strict.iter().any(|pattern| {
            pattern.restricts_forms(operation) || (answers && pattern.restricts_forms(&any_call))
        })
    }
}

impl ModePolicy for Modes {
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        let Some(operation) = operation else {
            // It matches every strict pattern and no permissive one.
            return if self.strict.is_empty() { self.default } else { Mode::Strict };
        };
        if self.strict.is_empty() && self.permissive.is_empty() {
            return self.default;
        }
        let forms = operation.forms();
        if self.restricts(&forms, operation.may_approve_call()) {
            Mode::Strict
        } else if self.permissive.iter().any(|pattern| pattern.grants_forms(&forms)) {
            Mode::Permissive
        } else {
            self.default
        }
    }

    fn uniform(&self) -> Option<Mode> {
        let other = match self.default {
            Mode::Strict => &self.permissive,
            Mode::Permissive => &self.strict,
        };
        other.is_empty().then_some(self.default)
    }
}
