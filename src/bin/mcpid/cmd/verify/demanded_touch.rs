//! `mcpid verify --touch`: the operations that need the touch of a security key.

use mcpid::mcp::body::{self, Reading, Scope};
use mcpid::mcp::pattern::Pattern;
use mcpid::mcp::setting::Restricting;
use mcpid::message::Head;
use mcpid::profile::{NamedProfile, Profile};
use mcpid::verify::{JudgedBody, Rejection};

use crate::args::pattern_flag;
use crate::output::failure::Failure;
use crate::output::ui::Ui;

/// The patterns of the operations that need the touch of a security key.
#[derive(Debug, Default)]
pub(super) struct DemandedTouch(Vec<Pattern>);

impl DemandedTouch {
    /// Reads the patterns of the flag.
    ///
    /// # Errors
    /// No operation could match a pattern, or the profile accepts no security keys.
    pub(super) fn of(patterns: &[String], profile: &Profile, ui: &mut Ui) -> Result<Self, Failure> {
        if !patterns.is_empty() && profile.security_keys.is_empty() {
            let knows = |named: &&NamedProfile| !named.profile().security_keys.is_empty();
            let names: Vec<&str> =
                Profile::NAMED.iter().filter(knows).map(|named| named.name).collect();
            let message = format!("--touch: the profile {} knows no touches", profile.name);
            return Err(Failure::usage(message).hint(format!("--profile {}", names.join(" or "))));
        }
        let read = |text: &String| match pattern_flag::restricting("touch", text, ui)? {
            Restricting::Pattern(pattern) => Ok(pattern),
            Restricting::Destructive => Err(Failure::usage(
                "--touch destructive needs a server's list of tools, and a capture has none",
            )
            .hint("--touch 'tools/call:*'")),
        };
        patterns.iter().map(read).collect::<Result<_, _>>().map(DemandedTouch)
    }

    /// Returns the refusal of a request that needs a touch, and has no acceptable one. A body that
    /// cannot be read could ask for any operation, so it needs a touch too.
    pub(super) fn refusal(
        &self,
        head: &Head<'_>,
        body: &[u8],
        judged: &JudgedBody,
    ) -> Option<Rejection> {
        if self.0.is_empty() || judged.touch().is_some() {
            return None;
        }
        let reading = body::read(head, body, Scope::Anywhere).ok();
        let operation = reading.as_ref().and_then(Reading::operation);
        let matches = |pattern: &Pattern| operation.is_none_or(|asked| pattern.restricts(asked));
        let pattern = self.0.iter().find(|pattern| matches(pattern))?;
        Some(judged.touch_required(head, Some(pattern)))
    }
}
