//! Parses the patterns in flags. A pattern that can match nothing is an error, with a hint at the
//! pattern that was probably meant. A pattern for a method that MCP does not define gets a note.

use mcpid::mcp::pattern::{Pattern, PatternError};

use crate::output::failure::Failure;
use crate::output::ui::{Ui, shell_word};

/// The value of a flag that restricts: `--strict`, `--confirm` or `--touch`.
pub(crate) enum Restricted {
    /// The word `destructive`.
    Destructive,
    /// A pattern of methods and names.
    Pattern(Pattern),
}

/// Reads a pattern or the word `destructive`, for a flag that restricts.
///
/// # Errors
/// The pattern can match nothing.
pub(crate) fn restricting(flag: &str, text: &str, ui: &mut Ui) -> Result<Restricted, Failure> {
    if text == "destructive" {
        return Ok(Restricted::Destructive);
    }
    let pattern = Pattern::parse(text).map_err(|error| refused(flag, text, &error, true))?;
    remark(flag, &pattern, ui);
    Ok(Restricted::Pattern(pattern))
}

/// Reads a pattern for a flag that lets requests through, such as `--permissive` or `--allow`.
///
/// # Errors
/// The pattern can match nothing, or can allow nothing.
pub(crate) fn granting(flag: &str, text: &str, ui: &mut Ui) -> Result<Pattern, Failure> {
    let pattern = Pattern::parse(text).and_then(|pattern| {
        pattern.check_grant()?;
        Ok(pattern)
    });
    let pattern = pattern.map_err(|error| refused(flag, text, &error, false))?;
    remark(flag, &pattern, ui);
    Ok(pattern)
}

/// Prints the library's remark about a pattern, if there is one.
pub(crate) fn remark(flag: &str, pattern: &Pattern, ui: &mut Ui) {
    if let Some(remark) = pattern.remark() {
        ui.note(&format!("{flag}: {remark}"));
    }
}

/// Returns the failure for an invalid pattern. `word` says whether the flag also takes the word
/// `destructive`.
fn refused(flag: &str, text: &str, error: &PatternError, word: bool) -> Failure {
    let failure = match error {
        PatternError::NoMethod
        | PatternError::NoName
        | PatternError::Control
        | PatternError::Space => {
            let text: String = text.chars().take(64).collect();
            Failure::usage(format!("{flag} cannot be '{text}': {error}"))
        }
        // The other errors contain the pattern already.
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
