//! Patterns that match MCP operations: `METHOD[:NAME]`, used for trust, modes, consent and
//! redaction.
//!
//! If in doubt, a pattern must err on the safe side. Where a policy permits something (an `allow`
//! of a trust entry, a permissive exception), a pattern with a NAME never matches an operation
//! without a name, and all forms in which a server may read a name have to match
//! ([`name_forms`](super::name_forms)). Where it demands something (strict mode, consent,
//! redaction), one matching form is enough.
//!
//! [`Pattern::parse`] refuses a pattern that can match nothing: a mistake such as `delete_*` for
//! `tools/call:delete_*` would silently have no effect.

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
    /// `params.name` for `tools/*` and `prompts/*`, `params.uri` for `resources/*`, `params.taskId`
    /// for `tasks/*`. Other methods have no name.
    pub name: Option<&'a str>,
}

impl<'a> Operation<'a> {
    /// Returns `METHOD:NAME` for messages that people read. Both parts are escaped by [`printed`],
    /// so that two different operations never look the same.
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

    /// Returns true if every key with a valid signature may do this, even if its `allow` list does
    /// not contain it. These operations are needed to open and close a session, and none of them
    /// acts on a resource or tool.
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

    /// Returns true if the message may approve a tool call, because the server can ask the client
    /// back about a call: it is a JSON-RPC response, or an update of a task.
    pub fn may_approve_call(&self) -> bool {
        matches!(self.method, "@response" | "tasks/update")
    }

    /// Returns the operation with all forms in which servers may read its name.
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

/// An operation, with all forms in which a server may read its name.
#[derive(Clone, Debug)]
pub struct OperationForms<'a> {
    method: &'a str,
    name: Option<NameForms<'a>>,
    kind: NameKind,
}

impl OperationForms<'_> {
    /// Returns why the forms in which servers may read the name cannot be computed, or `None` if
    /// they can. An ambiguous name is matched by every pattern for the method that restricts, and
    /// by no pattern with a NAME that grants.
    pub fn ambiguous(&self) -> Option<NameAmbiguity> {
        self.name.as_ref()?.ambiguous()
    }

    /// Returns the forms of the name in which servers may read it; `None` if there is no name.
    pub fn name(&self) -> Option<&NameForms<'_>> {
        self.name.as_ref()
    }
}

/// A parsed pattern. `Display` writes the text from which it was parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
    /// The METHOD without a leading `=`. A NUL byte stands for each star.
    method: Vec<u8>,
    name: Option<NamePattern>,
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// There is no text, or nothing before the colon.
    #[error("a pattern needs a method before the colon, such as tools/call:get_*")]
    NoMethod,
    /// There is nothing after the colon. `tools/call` or `tools/call:*` was probably meant.
    #[error("a pattern with a colon needs a name behind it; leave the colon out for any name")]
    NoName,
    /// The text contains a control character.
    #[error("a pattern cannot hold control characters")]
    Control,
    /// The METHOD or NAME begins or ends with white space. A pattern with that space would never
    /// match. For a name that really begins or ends with white space, write `*` in its place.
    #[error("a pattern cannot hold white space around its method or name")]
    Space,
    /// The METHOD is probably mistyped: it is not in MCP, and is similar to one or has no slash.
    #[error("{method:?} names no MCP method{}", nearest_words(.nearest))]
    Unknown {
        /// The METHOD, cut to 64 characters.
        method: String,
        /// The method that was probably meant.
        nearest: Option<&'static str>,
        /// The pattern that was probably meant.
        suggestion: Option<String>,
    },
    /// The text is the word `destructive`, which only settings that demand something accept.
    #[error("\"destructive\" is a word of the strict side, and names no MCP method")]
    Destructive,
    /// The pattern has a NAME that no valid name can match.
    #[error("the name in {pattern:?} can match nothing: {why}")]
    Name {
        /// The pattern, cut to 64 characters.
        pattern: String,
        /// What is wrong with the NAME.
        why: NameAmbiguity,
    },
    /// The pattern permits something and has a NAME, but its METHOD acts on no name.
    #[error("{pattern:?} can allow nothing: {method} acts on no name that a pattern knows")]
    Nameless {
        /// The pattern, cut to 64 characters.
        pattern: String,
        /// The METHOD, cut to 64 characters.
        method: String,
    },
}

fn nearest_words(nearest: &Option<&'static str>) -> String {
    nearest.map(|nearest| format!("; the nearest is {nearest}")).unwrap_or_default()
}

impl PatternError {
    /// Returns the pattern that was probably meant, or the word `destructive`.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            PatternError::Unknown { suggestion, .. } => suggestion.as_deref(),
            _ => None,
        }
    }
}

impl Pattern {
    /// Parses `METHOD[:NAME]`, split at the first colon. `*` stands for any run of characters,
    /// including none. Every other character stands for itself, and letter case matters. `=METHOD`
    /// means that METHOD is intended although MCP does not define it.
    ///
    /// # Errors
    /// [`PatternError`]. Patterns that can match nothing are errors too: the METHOD matches no
    /// known method ([`KNOWN`]) and has no slash or is similar to one; or the forms of the NAME
    /// cannot be computed.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        pattern.check()?;
        Ok(pattern)
    }

    /// Parses a pattern from an existing file, such as a trust file. Unlike [`Pattern::parse`],
    /// accepts a pattern that can match nothing.
    ///
    /// # Errors
    /// [`PatternError`] if the text does not have the form of a pattern.
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

    /// Returns METHOD and NAME as they were written, without the leading `=`.
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

    /// Checks that the pattern can match any operation.
    ///
    /// # Errors
    /// [`PatternError`] if it cannot.
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
        // A NAME that is ambiguous only as a URL can still be used in a pattern that demands
        // something: such patterns match every ambiguous name in a request.
        if let Some(why) = name.and_then(|name| NamePattern::ambiguous(name, NameKind::Text)) {
            return Err(PatternError::Name { pattern: shorten(&self.text), why });
        }
        Ok(())
    }

    /// Checks that the pattern can match an operation, if it is used to permit something.
    ///
    /// # Errors
    /// [`PatternError`] as for [`check`](Self::check), and for a NAME if METHOD acts on no name.
    pub fn check_grant(&self) -> Result<(), PatternError> {
        self.check()?;
        let (method, Some(name)) = self.written() else { return Ok(()) };
        let named = KNOWN.iter().filter(|known| glob(&self.method, known.as_bytes()));
        let mut named: Vec<&str> = named.copied().filter(|m| name_member(m).is_some()).collect();
        // A method that MCP does not define, but whose family (such as `tools/`) acts on names,
        // acts on a name too.
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

    /// Returns a warning for the author of the pattern, as a lower-case fragment of a sentence: MCP
    /// does not define its METHOD, or no URI begins like its NAME. Returns `None` if there is no
    /// reason for a warning.
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

    /// Returns the pattern that was probably meant, for a METHOD that is not known.
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

    /// Returns true if the pattern matches `operation`, in a setting that permits something, such
    /// as the `allow` list of a key. All forms of the name have to match the NAME.
    pub fn grants(&self, operation: Operation<'_>) -> bool {
        self.grants_forms(&operation.forms())
    }

    /// Does the same as [`Pattern::grants`], with the forms of the name already computed.
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

    /// Returns true if the pattern matches `operation`, in a setting that demands something, such
    /// as strict mode. One form of the name is enough.
    pub fn restricts(&self, operation: Operation<'_>) -> bool {
        self.restricts_forms(&operation.forms())
    }

    /// Does the same as [`Pattern::restricts`], with the forms of the name already computed.
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

/// Characters that no method contains. They occur in lists, in other kinds of patterns and in
/// shells.
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
    /// Writes the pattern that matches just this operation, except that stars are not escaped.
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
