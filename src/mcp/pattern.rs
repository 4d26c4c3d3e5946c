//! Patterns over MCP operations: `METHOD[:NAME]`, used for trust, modes, consent and redaction.
//!
//! Which way to err depends on what a pattern is for: where a policy *grants* (an `allow` of a
//! trust entry, a permissive exception) a pattern with a NAME never matches an operation that has
//! none, and it has to match the name in every form in which a server may read it
//! ([`name_forms`](super::name_forms)); where a policy *restricts* (strict, consent, redaction) one
//! form is enough.
//!
//! A pattern that can match nothing is an error where it is written ([`Pattern::parse`]): a slip
//! such as `delete_*` for `tools/call:delete_*` would restrict nothing, and nothing would say so.

use std::fmt;
use std::str::FromStr;

use super::ambiguity::shorten;
use super::methods::{self, KNOWN, name_member};
use super::name_forms::{NameAmbiguity, NameForms, NameKind};
use super::name_pattern::{FormsNeeded, NamePattern, glob};
use crate::message::shown::printed;

/// What one request does: a method and, for some methods, the name that the method acts on.
///
/// ```
/// use mcpid::mcp::pattern::{Operation, Pattern};
///
/// let pattern = Pattern::parse("tools/call:get_*")?;
/// let call = |name| Operation { method: "tools/call", name: Some(name) };
/// assert!(pattern.grants(call("get_invoice")));
/// assert!(!pattern.grants(call("delete_invoice")));
/// assert!(Pattern::parse("tool/call").is_err(), "a slip that would restrict nothing");
/// # Ok::<(), mcpid::mcp::pattern::PatternError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The JSON-RPC method, or `@response`, `@get`, `@delete` for messages without one.
    pub method: &'a str,
    /// `params.name` for `tools/*` and `prompts/*`, `params.uri` for `resources/*`,
    /// `params.taskId` for `tasks/*`; other methods have none.
    pub name: Option<&'a str>,
}

impl<'a> Operation<'a> {
    /// Returns the text for a line that people read: `METHOD:NAME`, each part as [`printed`] writes
    /// it, so that two different operations never print alike.
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

    /// Whether every verified key may do this, even if its `allow` does not list it. Without these
    /// operations no session can be opened or closed, and none of them acts on a resource or tool.
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

    /// Whether it may answer what a tool call asks back, and so approve the call: a response, or an
    /// update of a task.
    pub fn may_approve_call(&self) -> bool {
        matches!(self.method, "@response" | "tasks/update")
    }

    /// Returns the operation with its name in every form, to be compared with many patterns.
    pub fn forms(&self) -> OperationForms<'a> {
        let kind = name_kind(self.method);
        OperationForms {
            method: self.method,
            name: self.name.map(|name| NameForms::of(name, kind)),
            kind,
        }
    }
}

fn name_kind(method: &str) -> NameKind {
    if name_member(method) == Some("uri") { NameKind::Uri } else { NameKind::Text }
}

/// An operation, its name in every form in which a server may read it.
#[derive(Clone, Debug)]
pub struct OperationForms<'a> {
    method: &'a str,
    name: Option<NameForms<'a>>,
    kind: NameKind,
}

impl OperationForms<'_> {
    /// Returns why the name has no form that can be compared, or `None` if it has one. Every
    /// restricting pattern of the method matches an ambiguous name; no granting pattern with a NAME
    /// does.
    pub fn ambiguous(&self) -> Option<NameAmbiguity> {
        self.name.as_ref()?.ambiguous()
    }

    /// Returns the name in its forms, or `None` if the method acts on no name.
    pub fn name(&self) -> Option<&NameForms<'_>> {
        self.name.as_ref()
    }
}

/// A parsed pattern; `Display` gives back the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    /// Without the leading `=`; each star is a NUL.
    method: Vec<u8>,
    name: Option<NamePattern>,
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
    /// A METHOD that matches no method of MCP, and is close to one, or has no slash.
    #[error("{method:?} names no MCP method{}", nearest_words(.nearest))]
    Unknown {
        /// The METHOD, at most 64 characters of it.
        method: String,
        /// The method that was most likely meant.
        nearest: Option<&'static str>,
        /// A pattern that was most likely meant.
        suggestion: Option<String>,
    },
    /// The word for tools that the server calls destructive, where only a pattern can stand.
    #[error("\"destructive\" is a word of the strict side, and names no MCP method")]
    Destructive,
    /// A NAME that no honest name can match.
    #[error("the name in {pattern:?} can match nothing: {why}")]
    Name {
        /// The pattern, at most 64 characters of it.
        pattern: String,
        /// What is wrong with the NAME.
        why: NameAmbiguity,
    },
    /// The pattern should allow requests, but has a NAME after a METHOD that acts on no name.
    #[error("{pattern:?} can allow nothing: {method} acts on no name that a pattern knows")]
    Nameless {
        /// The pattern, at most 64 characters of it.
        pattern: String,
        /// The METHOD, at most 64 characters of it.
        method: String,
    },
}

fn nearest_words(nearest: &Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; the nearest is {nearest}")).unwrap_or_default()
}

impl PatternError {
    /// Returns the pattern that was most likely meant, or the word `destructive`.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            PatternError::Unknown { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}

impl Pattern {
    /// Reads `METHOD[:NAME]`, split at the first colon. `*` stands for any run of characters, the
    /// empty one included; everything else, letter case too, stands for itself. `=METHOD` says that
    /// a METHOD is meant although MCP does not define it.
    ///
    /// # Errors
    /// [`PatternError`], also for a pattern that can match nothing: METHOD matches no known method
    /// ([`KNOWN`]) and has no slash, or is close to one; NAME has no form that could be compared.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        pattern.check()?;
        Ok(pattern)
    }

    /// Reads a pattern that was written before, such as one of a trust file: it may match nothing.
    ///
    /// # Errors
    /// [`PatternError`], if it has not the form of a pattern.
    pub fn read(text: &str) -> Result<Self, PatternError> {
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control);
        }
        let (method, name) = match text.split_once(':') {
            Some((_, "")) => return Err(PatternError::NoName),
            Some((method, name)) => (method, Some(name)),
            None => (text, None),
        };
        let method = method.strip_prefix('=').unwrap_or(method);
        if method.is_empty() {
            return Err(PatternError::NoMethod);
        }
        if method.trim() != method || name.is_some_and(|name| name.trim() != name) {
            return Err(PatternError::Space);
        }
        Ok(Pattern {
            text: text.to_owned(),
            method: method.replace('*', "\0").into_bytes(),
            name: name.map(NamePattern::new),
        })
    }

    /// Returns METHOD and NAME as they were written, without the `=`.
    fn written(&self) -> (&str, Option<&str>) {
        let text = self.text.strip_prefix('=').unwrap_or(&self.text);
        text.split_once(':').map_or((text, None), |(method, name)| (method, Some(name)))
    }

    fn is_meant(&self) -> bool {
        self.text.starts_with('=')
    }

    fn matches_known(&self) -> bool {
        KNOWN.iter().any(|known| glob(&self.method, known.as_bytes()))
    }

    /// Checks that the pattern can match an operation, whether it grants or restricts.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn check(&self) -> Result<(), PatternError> {
        let (method, name) = self.written();
        if !self.is_meant() && !self.matches_known() {
            let nearest = methods::nearest(method);
            if method == "destructive" && name.is_none() {
                return Err(PatternError::Destructive);
            }
            if nearest.is_some() || !method.contains('/') || method.contains(NOT_IN_METHODS) {
                let suggestion = self.suggestion(nearest);
                let method = shorten(method);
                return Err(PatternError::Unknown { method, nearest, suggestion });
            }
        }
        // A NAME that is ambiguous only as a URL still restricts: every ambiguous name is matched.
        if let Some(why) = name.and_then(|name| NamePattern::ambiguous(name, NameKind::Text)) {
            return Err(PatternError::Name { pattern: shorten(&self.text), why });
        }
        Ok(())
    }

    /// Checks that the pattern can match an operation when it is used to grant.
    ///
    /// # Errors
    /// [`PatternError`], as [`check`](Self::check), and for a NAME where METHOD has none.
    pub fn check_grant(&self) -> Result<(), PatternError> {
        self.check()?;
        let (method, Some(name)) = self.written() else { return Ok(()) };
        let named = KNOWN.iter().filter(|known| glob(&self.method, known.as_bytes()));
        let mut named: Vec<&str> = named.copied().filter(|m| name_member(m).is_some()).collect();
        // A vendor's method of a known family has a name too.
        named.extend(name_member(method).map(|_| method));
        let pattern = shorten(&self.text);
        if named.is_empty() {
            return Err(PatternError::Nameless { pattern, method: shorten(method) });
        }
        let whys = named.iter().map(|m| NamePattern::ambiguous(name, name_kind(m)));
        match whys.collect::<Option<Vec<_>>>().and_then(|whys| whys.first().copied()) {
            Some(why) => Err(PatternError::Name { pattern, why }),
            None => Ok(()),
        }
    }

    /// Returns a warning for the author of the pattern, as a lower-case fragment: MCP does not define
    /// its METHOD, or no URI begins like its NAME. Returns `None` if there is nothing to warn of.
    pub fn remark(&self) -> Option<String> {
        if let Err(error) = self.check() {
            return Some(error.to_string());
        }
        let (method, name) = self.written();
        if !self.is_meant() && !self.matches_known() {
            let (method, first) = (shorten(method), method.split('/').next().unwrap_or_default());
            let family = KNOWN.iter().any(|known| known.split('/').next() == Some(first));
            let whose = if family { "is no MCP method" } else { "is taken for a vendor's method" };
            return Some(format!("{method:?} {whose}; ={method} says that it is meant"));
        }
        let path = name.filter(|name| name_kind(method) == NameKind::Uri && name.starts_with('/'));
        path.map(|path| format!("no URI begins as {:?} does; was file://{0} meant?", shorten(path)))
    }

    /// Returns the pattern that was most likely meant by a METHOD that is not known.
    fn suggestion(&self, nearest: Option<&'static str>) -> Option<String> {
        let (method, name) = self.written();
        let with_name = |method: &str| match name {
            Some(name) => format!("{method}:{name}"),
            None => method.to_owned(),
        };
        let text = self.text.strip_prefix('=').unwrap_or(&self.text);
        let suggestion = if methods::edits(method, "destructive", 2).is_some() {
            "destructive".to_owned()
        } else if let Some(nearest) = nearest {
            let family = nearest.split_once('/').filter(|_| method.ends_with("/*"));
            with_name(&family.map_or_else(|| nearest.to_owned(), |(first, _)| format!("{first}/*")))
        } else if method.contains(NOT_IN_METHODS) {
            return None;
        } else if name.is_some_and(|name| name.starts_with('/')) {
            format!("resources/read:{text}")
        } else if method.contains('@') || method.contains('/') {
            return None;
        } else {
            format!("tools/call:{text}")
        };
        (text.len() <= 200).then_some(suggestion)
    }

    /// Whether a pattern that grants something covers `operation`: a NAME has to match every form
    /// of the name.
    pub fn grants(&self, operation: Operation<'_>) -> bool {
        self.grants_forms(&operation.forms())
    }

    /// The same for an operation whose name is in its forms already.
    pub fn grants_forms(&self, operation: &OperationForms<'_>) -> bool {
        glob(&self.method, operation.method.as_bytes())
            && match (&self.name, &operation.name) {
                (None, _) => true,
                (Some(pattern), Some(name)) => {
                    pattern.matches(name, operation.kind, FormsNeeded::Every)
                }
                (Some(_), None) => false,
            }
    }

    /// Whether a pattern that restricts something covers `operation`: one form of the name is
    /// enough.
    pub fn restricts(&self, operation: Operation<'_>) -> bool {
        self.restricts_forms(&operation.forms())
    }

    /// The same for an operation whose name is in its forms already.
    pub fn restricts_forms(&self, operation: &OperationForms<'_>) -> bool {
        glob(&self.method, operation.method.as_bytes())
            && match (&self.name, &operation.name) {
                (Some(pattern), Some(name)) => {
                    pattern.matches(name, operation.kind, FormsNeeded::Any)
                }
                (None, _) | (Some(_), None) => true,
            }
    }
}

/// Marks of lists, of other kinds of patterns and of shells, which no method has.
const NOT_IN_METHODS: &[char] = &[
    ' ', ',', ';', '|', '?', '[', ']', '{', '}', '(', ')', '^', '+', '\\', '"', '\'', '`', '<',
    '>', '!', '=', '&', '#', '%',
];

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
        f.write_str(&self.text)
    }
}
