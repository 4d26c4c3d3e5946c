//! Patterns over MCP operations: `METHOD[:NAME]`, used for trust, modes, consent and redaction.
//!
//! Which way to err depends on what a pattern is for: where a policy *grants* (an `allow` of a
//! trust entry, a permissive exception) a pattern with a NAME never matches an operation that has
//! none; where a policy *restricts* (strict) it does.

use std::fmt;
use std::str::FromStr;

use crate::message::shown::printed;

/// What one request does, as patterns see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The JSON-RPC method, or `@response`, `@get`, `@delete` for messages without one.
    pub method: &'a str,
    /// `params.name` for `tools/*` and `prompts/*`, `params.uri` for `resources/*`,
    /// `params.taskId` for `tasks/*`; other methods have none.
    pub name: Option<&'a str>,
}

impl Operation<'_> {
    /// As it stands in a line for people: `METHOD:NAME`, each part as [`printed`] has it, so that
    /// operations that differ never print alike.
    pub fn printed(&self) -> String {
        let method = match printed(self.method) {
            bare if bare.contains(':') && !bare.starts_with('"') => format!("\"{bare}\"").into(),
            method => method,
        };
        match self.name {
            Some(name) => format!("{method}:{}", printed(name)),
            None => method.into_owned(),
        }
    }

    /// Whether a verified key may always do this, whatever its `allow` says: without these a
    /// session cannot even be opened or closed, and none of them acts on anything.
    pub fn is_always_allowed(&self) -> bool {
        matches!(
            self.method,
            "initialize"
                | "ping"
                | "server/discover"
                | "logging/setLevel"
                | "@get"
                | "@delete"
                | "@response"
        ) || self.method.starts_with("notifications/")
    }
}

/// A parsed pattern; `Display` gives back the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    method: String,
    name: Option<String>,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing before the colon, or nothing at all.
    #[error("a pattern needs a method before the colon, such as tools/call:get_*")]
    NoMethod,
    /// A colon with nothing behind it: `tools/call` or `tools/call:*` was meant.
    #[error("a pattern with a colon needs a name behind it; leave the colon out for any name")]
    NoName,
    /// A control character.
    #[error("a pattern cannot hold control characters")]
    Control,
    /// White space before or after the method or the name. It would be a restriction that never
    /// holds; for a name that really starts or ends so, write `*` there.
    #[error("a pattern cannot hold white space around its method or name")]
    Space,
}

impl Pattern {
    /// Reads `METHOD[:NAME]`, split at the first colon. `*` stands for any run of characters, the
    /// empty one included; everything else, letter case too, stands for itself.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        let (method, name) = match text.split_once(':') {
            Some((_, "")) => return Err(PatternError::NoName),
            Some((method, name)) => (method, Some(name.to_owned())),
            None => (text, None),
        };
        if method.is_empty() {
            return Err(PatternError::NoMethod);
        }
        if method.trim() != method || name.as_deref().is_some_and(|name| name.trim() != name) {
            return Err(PatternError::Space);
        }
        Ok(Pattern { method: method.to_owned(), name })
    }

    /// Whether a pattern that grants something covers `operation`.
    pub fn grants(&self, operation: Operation<'_>) -> bool {
        glob(&self.method, operation.method)
            && match (&self.name, operation.name) {
                (None, _) => true,
                (Some(pattern), Some(name)) => glob(pattern, name),
                (Some(_), None) => false,
            }
    }

    /// Whether a pattern that restricts something covers `operation`.
    pub fn restricts(&self, operation: Operation<'_>) -> bool {
        glob(&self.method, operation.method)
            && match (&self.name, operation.name) {
                (Some(pattern), Some(name)) => glob(pattern, name),
                (None, _) | (Some(_), None) => true,
            }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Pattern::parse(text)
    }
}

impl fmt::Display for Operation<'_> {
    /// As a pattern that matches just this is written, but for stars in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{}:{name}", self.method),
            None => f.write_str(self.method),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}:{name}", self.method),
            None => f.write_str(&self.method),
        }
    }
}

/// Matches `text` against `pattern`, where `*` is any run of bytes.
///
/// Greedy with one point of return: on a mismatch only the last star is stretched, so the cost is
/// bounded by the product of the lengths and no pattern can make it explode. Both are UTF-8, and
/// a star that is followed by a whole character can only end on a character's edge.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = last_star {
            last_star = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern.iter().skip(p).all(|&b| b == b'*')
}
