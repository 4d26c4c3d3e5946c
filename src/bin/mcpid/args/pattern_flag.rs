//! Patterns as they are written in flags: what can match nothing is an error, with what was likely
//! meant as a hint; what MCP does not define gets a note.

use mcpid::mcp::pattern::{Pattern, PatternError};

use crate::output::failure::Failure;
use crate::output::ui::{Ui, shell_word};

/// What a restricting flag names.
pub(crate) enum Restricted {
    /// The word `destructive`.
    Destructive,
    /// A pattern.
    Pattern(Pattern),
}

/// Reads a pattern or the word `destructive`, such as a `--strict` or a `--confirm`.
///
/// # Errors
/// It can match nothing.
pub(crate) fn restricting(flag: &str, text: &str, ui: &mut Ui) -> Result<Restricted, Failure> {
    if text == "destructive" {
        return Ok(Restricted::Destructive);
    }
    let pattern = Pattern::parse(text).map_err(|error| refused(flag, text, &error, true))?;
    remark(flag, &pattern, ui);
    Ok(Restricted::Pattern(pattern))
}

/// Reads a pattern that lets something through, such as a `--permissive` or an `--allow`.
///
/// # Errors
/// It can match nothing, or can allow nothing.
pub(crate) fn granting(flag: &str, text: &str, ui: &mut Ui) -> Result<Pattern, Failure> {
    let pattern = Pattern::parse(text).and_then(|pattern| {
        pattern.check_grant()?;
        Ok(pattern)
    });
    let pattern = pattern.map_err(|error| refused(flag, text, &error, false))?;
    remark(flag, &pattern, ui);
    Ok(pattern)
}

/// Says what the writer of a pattern should know.
pub(crate) fn remark(flag: &str, pattern: &Pattern, ui: &mut Ui) {
    if let Some(remark) = pattern.remark() {
        ui.note(&format!("{flag}: {remark}"));
    }
}

/// `word` says whether the flag takes the word `destructive` too.
fn refused(flag: &str, text: &str, error: &PatternError, word: bool) -> Failure {
    let failure = match error {
        PatternError::NoMethod
        | PatternError::NoName
        | PatternError::Control
        | PatternError::Space => {
            let text: String = text.chars().take(64).collect();
            Failure::usage(format!("{flag} cannot be '{text}': {error}"))
        }
        // The others name the pattern.
        error => Failure::usage(format!("{flag}: {error}")),
    };
    let meant = error.suggestion().filter(|meant| word || *meant != "destructive");
    match (meant, error) {
        (Some(meant), _) => failure.hint(format!("{flag} {}", shell_word(meant))),
        (None, PatternError::Unknown { .. }) => {
            failure.hint("a pattern is METHOD or METHOD:NAME, such as 'tools/call:delete_*'")
        }
        _ => failure,
    }
}
