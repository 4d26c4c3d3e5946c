//! Settings that are written on a command line or, for the Python package, as keyword arguments.
//! Both have the same settings and the same errors; only the syntax in which an error names a
//! setting differs.

use super::pattern::{Pattern, PatternError};
use crate::secret::description;

/// The syntax in which settings are written: `--strict destructive` on a command line,
/// `strict=["destructive"]` in Python.
pub trait SettingSyntax {
    /// Returns the name of a setting. `setting` is a word in snake case, such as `refuse_with`.
    fn name(&self, setting: &str) -> String;

    /// Returns several settings with their values as one text, in this syntax.
    fn written(&self, settings: &[(&str, &str)]) -> String;
}

/// Why the value of a setting cannot be used.
///
/// ```
/// use mcpid::mcp::setting::{self, SettingSyntax};
///
/// struct Flags;
///
/// impl SettingSyntax for Flags {
///     fn name(&self, setting: &str) -> String {
///         format!("--{}", setting.replace('_', "-"))
///     }
///
///     fn written(&self, settings: &[(&str, &str)]) -> String {
///         let flag = |(name, value): &(&str, &str)| format!("{} {value}", self.name(name));
///         settings.iter().map(flag).collect::<Vec<_>>().join(" ")
///     }
/// }
///
/// let error = setting::granting(&Flags, "permissive", "tools/cal").unwrap_err();
/// assert!(error.message.starts_with("--permissive: \"tools/cal\" names no MCP method"));
/// assert_eq!(error.hint.as_deref(), Some("--permissive tools/call"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingError {
    /// One lower-case line without a final period. Never repeats a text that may be a secret.
    pub message: String,
    /// What to write instead, or an explanation.
    pub hint: Option<String>,
}

impl SettingError {
    /// Returns an error without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        SettingError { message: message.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the error for a setting that would have no effect, because its author expects one.
    pub fn without_effect(
        syntax: &dyn SettingSyntax,
        (setting, value): (&str, &str),
        why: &str,
    ) -> Self {
        let written = syntax.written(&[(setting, &shown(value))]);
        SettingError::new(format!("{written} would change nothing: {why}"))
    }

    /// Returns the error for a switch that would have no effect.
    pub fn switch_without_effect(syntax: &dyn SettingSyntax, setting: &str, why: &str) -> Self {
        let name = syntax.name(setting);
        SettingError::new(format!("{name} would change nothing: {why}"))
            .with_hint(format!("leave {name} out"))
    }
}

/// Returns `text`, or a description of it if the text may be a secret.
pub(crate) fn shown(text: &str) -> String {
    description(text).unwrap_or_else(|| text.to_owned())
}

/// The value of a setting that demands something of requests, such as `strict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restricting {
    /// The word `destructive`: all tools that the server's own list does not describe as harmless.
    Destructive,
    /// The operations that match the pattern.
    Pattern(Pattern),
}

/// Reads a pattern or the word `destructive`, for a setting that demands something of requests.
///
/// # Errors
/// [`SettingError`] if the pattern can match nothing.
pub fn restricting(
    syntax: &dyn SettingSyntax,
    setting: &str,
    text: &str,
) -> Result<Restricting, SettingError> {
    if text == "destructive" {
        return Ok(Restricting::Destructive);
    }
    let pattern = Pattern::parse(text);
    let pattern = pattern.map_err(|error| refused(syntax, (setting, text), &error, true))?;
    Ok(Restricting::Pattern(pattern))
}

/// Reads a pattern for a setting that lets requests through, such as `permissive`.
///
/// # Errors
/// [`SettingError`] if the pattern can match nothing, or can allow nothing.
pub fn granting(
    syntax: &dyn SettingSyntax,
    setting: &str,
    text: &str,
) -> Result<Pattern, SettingError> {
    let pattern = Pattern::parse(text).and_then(|pattern| {
        pattern.check_grant()?;
        Ok(pattern)
    });
    pattern.map_err(|error| refused(syntax, (setting, text), &error, false))
}

/// Returns the error for an invalid pattern. `takes_word` says whether the setting also takes the
/// word `destructive`.
fn refused(
    syntax: &dyn SettingSyntax,
    (setting, text): (&str, &str),
    error: &PatternError,
    takes_word: bool,
) -> SettingError {
    let name = syntax.name(setting);
    if let Some(described) = description(text) {
        let form = "a pattern is METHOD or METHOD:NAME";
        return SettingError::new(format!("{name} cannot be {described}: {form}"));
    }
    let refused = SettingError::new(match error {
        PatternError::NoMethod
        | PatternError::NoName
        | PatternError::Control
        | PatternError::Space => format!("{name} cannot be '{text}': {error}"),
        // The texts of the other errors contain the pattern.
        error => format!("{name}: {error}"),
    });
    let meant = error.suggestion().filter(|meant| takes_word || *meant != "destructive");
    match (meant, error) {
        (Some(meant), _) => refused.with_hint(syntax.written(&[(setting, meant)])),
        (None, PatternError::Unknown { .. }) => {
            refused.with_hint("a pattern is METHOD or METHOD:NAME, such as 'tools/call:delete_*'")
        }
        _ => refused,
    }
}
