//! Which requests must be verified, and which are passed on with only a [`Status`](super::Status).
//!
//! The mode depends on the operation in the body, and never on a header, which may be unsigned.

use crate::mcp::pattern::{Operation, OperationForms, Pattern};

/// What happens to a request that fails verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The request is refused.
    Strict,
    /// The request is passed on, with its [`Status`](super::Status). Limits on sizes and the check
    /// of the authority still apply.
    Permissive,
}

impl Mode {
    /// Returns `strict` or `permissive`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Permissive => "permissive",
        }
    }
}

/// Decides the mode of each request. [`Modes`] is enough for most servers. Implement this trait if
/// the decision depends on changing data, such as the list of tools of an upstream.
pub trait ModePolicy: Send + Sync {
    /// Returns the mode for a request with this `operation`. `None` stands for an ambiguous body,
    /// which could do anything.
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode;

    /// Returns the mode, if it is the same for all operations. The body of a request without a
    /// valid signature then need not be read.
    fn uniform(&self) -> Option<Mode> {
        None
    }
}

/// A default mode, and patterns of operations for which the other mode applies.
///
/// If a strict and a permissive pattern match, the mode is strict.
///
/// ```
/// use mcpid::mcp::pattern::Operation;
/// use mcpid::tower::{Mode, ModePolicy as _, Modes};
///
/// let modes = Modes::permissive().with_strict("tools/call:delete_*".parse()?);
/// let call = |name| Some(Operation { method: "tools/call", name: Some(name) });
/// assert_eq!(modes.mode(call("delete_user")), Mode::Strict);
/// assert_eq!(modes.mode(call("list_users")), Mode::Permissive);
/// // An ambiguous body could call any tool.
/// assert_eq!(modes.mode(None), Mode::Strict);
/// # Ok::<(), mcpid::mcp::pattern::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    default: Mode,
    strict: Vec<Pattern>,
    permissive: Vec<Pattern>,
}

impl Modes {
    /// Creates modes that pass only verified requests.
    pub const fn strict() -> Self {
        Modes { default: Mode::Strict, strict: Vec::new(), permissive: Vec::new() }
    }

    /// Creates modes that pass every request, with the verdict of strict mode in its
    /// [`Status`](super::Status).
    pub const fn permissive() -> Self {
        Modes { default: Mode::Permissive, strict: Vec::new(), permissive: Vec::new() }
    }

    /// Makes operations strict that match `pattern`, and every body that cannot be parsed. If
    /// `pattern` may match a `tools/call`, `@response` and `tasks/update` become strict too,
    /// because a client can approve a call with these messages, if the server asked back about it.
    #[must_use]
    pub fn with_strict(mut self, pattern: Pattern) -> Self {
        self.strict.push(pattern);
        self
    }

    /// Makes operations permissive that match `pattern`, unless a strict pattern matches too.
    #[must_use]
    pub fn with_permissive(mut self, pattern: Pattern) -> Self {
        self.permissive.push(pattern);
        self
    }

    /// Returns true if a strict pattern matches. `answers` is true for a message that may approve a
    /// call. A pattern for calls matches such a message too.
    pub(super) fn restricts(&self, operation: &OperationForms<'_>, answers: bool) -> bool {
        // An operation without a name could be meant for any name, so each pattern for its method
        // applies.
        let any_call = Operation { method: "tools/call", name: None }.forms();
        self.strict.iter().any(|pattern| {
            pattern.restricts_forms(operation) || (answers && pattern.restricts_forms(&any_call))
        })
    }
}

impl ModePolicy for Modes {
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        let Some(operation) = operation else {
            // An ambiguous body counts as matching every strict pattern and no permissive one.
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
