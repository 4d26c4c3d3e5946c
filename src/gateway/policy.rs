//! Which requests must be verified: [`Modes`], and what the upstream itself calls destructive.

use std::sync::{Arc, Mutex, PoisonError};

use crate::mcp::pattern::Operation;
use crate::mcp::tools::Tools;
use crate::tower::{Mode, ModePolicy, Modes};

/// The modes of a gateway. Cloning is cheap; all clones learn together.
#[derive(Clone, Debug)]
pub struct Policies {
    modes: Modes,
    /// Strict for what the upstream lists as destructive, and for what it has not listed.
    destructive: bool,
    tools: Arc<Mutex<Tools>>,
}

impl Policies {
    /// Only verified requests get through.
    pub fn strict() -> Self {
        Policies::new(Modes::strict())
    }

    /// By `modes` alone.
    pub fn new(modes: Modes) -> Self {
        Policies { modes, destructive: false, tools: Arc::default() }
    }

    /// Strict also for calls of tools that the upstream's own `tools/list` does not call harmless.
    #[must_use]
    pub fn with_destructive(mut self) -> Self {
        self.destructive = true;
        self
    }

    /// Whether tools are told apart by what the upstream says of them.
    pub(super) fn asks_for_tools(&self) -> bool {
        self.destructive
    }

    /// What the upstream has listed so far.
    pub(super) fn with_tools<T>(&self, look: impl FnOnce(&mut Tools) -> T) -> T {
        look(&mut self.tools.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_destructive(&self, operation: Operation<'_>) -> bool {
        // An unsigned answer could approve a call.
        operation.may_approve_call() || self.with_tools(|tools| tools.calls_destructive(operation))
    }
}

impl ModePolicy for Policies {
    fn mode(&self, operation: Option<Operation<'_>>) -> Mode {
        let destructive = self.destructive
            // What cannot be read could be the worst that a strict pattern is there for.
            && operation.is_none_or(|operation| self.is_destructive(operation));
        if destructive { Mode::Strict } else { self.modes.mode(operation) }
    }

    fn uniform(&self) -> Option<Mode> {
        // Permissive reads what nobody signed too: what a roll-out has to know is which tools are
        // called so.
        self.modes.uniform().filter(|mode| *mode == Mode::Strict)
    }
}
