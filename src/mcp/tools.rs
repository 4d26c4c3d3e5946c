//! Which tools are destructive, as the server's own answers to `tools/list` describe them.
//!
//! The annotations are unproven claims of the server (MCP, `ToolAnnotations`), so they are only
//! used to restrict requests. A tool that was never listed counts as destructive. A tool that was
//! listed as destructive once stays destructive. A known tool is never removed to make room for a
//! new one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ambiguity::Ambiguity;
use super::json;
use super::name_forms::NameForms;
use super::pattern::Operation;

/// Maximum number of tools that are stored. Further tools stay unknown.
pub const MAX_TOOLS: usize = 4_096;

/// The longest name that is stored, in bytes. A tool with a longer name stays unknown.
pub const MAX_NAME: usize = 512;

/// The tools that one server has listed, and which of them it describes as destructive.
///
/// At most [`MAX_TOOLS`] names of at most [`MAX_NAME`] bytes are stored.
///
/// ```
/// use mcpid::mcp::tools::Tools;
///
/// let mut tools = Tools::new();
/// let page = br#"{"tools":[{"name":"get","annotations":{"readOnlyHint":true}},{"name":"drop"}]}"#;
/// assert_eq!(tools.learn(page)?.listed, 2);
/// assert!(!tools.is_destructive("get"));
/// assert!(tools.is_destructive("drop") && tools.is_destructive("never-listed"));
/// # Ok::<(), mcpid::mcp::tools::ToolsError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// For each name, whether any answer did not describe the tool as harmless.
    destructive: HashMap<Box<str>, bool>,
}

/// What was learned from one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learned {
    /// The number of tools in the answer; a tool that is listed twice counts twice.
    pub listed: usize,
    /// How many of them the answer describes as harmless, with `readOnlyHint: true` or
    /// `destructiveHint: false`.
    pub harmless: usize,
    /// How many of them were not stored, because there are too many or the name is too long. They
    /// count as destructive.
    pub left_out: usize,
}

/// Why an answer cannot be used. Nothing was learned from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsError {
    /// The answer is not UTF-8.
    #[error("the list of tools is not valid utf-8")]
    Utf8,
    /// Parsers could read the answer differently: a key occurs twice, it is nested too deep, or it
    /// is not JSON.
    #[error("the list of tools cannot be read")]
    Ambiguous(#[source] Ambiguity),
    /// The answer is JSON, but not a `tools/list` result: it has no array `tools` of objects with a
    /// string `name`.
    #[error("not the result of tools/list")]
    NotAList(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Tools {
    /// Creates a table without tools: every tool counts as destructive.
    pub fn new() -> Self {
        Tools::default()
    }

    /// Learns from one page of `tools/list`: the whole JSON-RPC response, or only its `result`. An
    /// error response lists no tools, and is not an error here.
    ///
    /// Time and memory are proportional to the length of `answer`, which the caller has to limit.
    ///
    /// # Errors
    /// [`ToolsError`]. Then nothing in the answer is used, not even the tools that could be parsed.
    pub fn learn(&mut self, answer: &[u8]) -> Result<Learned, ToolsError> {
        let listed = listed_tools(answer)?;
        let mut learned = Learned { listed: listed.len(), ..Learned::default() };
        for (name, harmless) in listed {
            learned.harmless += usize::from(harmless);
            if !self.note(&name, !harmless) {
                learned.left_out += 1;
            }
        }
        Ok(learned)
    }

    /// Adds one listing of the tool `name`. A tool that was listed as destructive before stays
    /// destructive. Returns false if the tool is not stored, because there are too many tools or its
    /// name is too long.
    pub fn note(&mut self, name: &str, destructive: bool) -> bool {
        if let Some(known) = self.destructive.get_mut(name) {
            *known |= destructive;
        } else if self.destructive.len() < MAX_TOOLS && name.len() <= MAX_NAME {
            self.destructive.insert(name.into(), destructive);
        } else {
            return false;
        }
        true
    }

    /// Adds all listings of `other`. Returns how many of its tools are not stored.
    pub fn merge(&mut self, other: &Tools) -> usize {
        other.iter().filter(|(name, destructive)| !self.note(name, *destructive)).count()
    }

    /// Returns true if the tool with exactly this name counts as destructive: it does unless every
    /// answer that listed it had `readOnlyHint: true` or `destructiveHint: false`.
    pub fn is_destructive(&self, name: &str) -> bool {
        self.destructive.get(name).copied().unwrap_or(true)
    }

    /// Returns true if `operation` calls a tool that counts as destructive. A `tools/call` without
    /// a tool name does; so does one whose name is ambiguous, or has a form that equals the name of
    /// a destructive tool.
    pub fn calls_destructive(&self, operation: Operation<'_>) -> bool {
        let Some(name) = operation.name else { return operation.method == "tools/call" };
        operation.method == "tools/call"
            && (self.is_destructive(name)
                || match operation.forms().name() {
                    Some(NameForms::Several(forms)) => forms.iter().any(|form| {
                        let form = std::str::from_utf8(form).ok();
                        form.and_then(|form| self.destructive.get(form)) == Some(&true)
                    }),
                    Some(NameForms::Ambiguous(_)) => true,
                    Some(NameForms::Plain(_)) | None => false,
                })
    }

    /// Returns true if the server has listed a tool with this name and the tool was stored.
    pub fn knows(&self, name: &str) -> bool {
        self.destructive.contains_key(name)
    }

    /// Returns each stored tool, and whether it counts as destructive, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.destructive.iter().map(|(name, destructive)| (&**name, *destructive))
    }

    /// Returns the number of stored tools that count as destructive.
    pub fn destructive(&self) -> usize {
        self.destructive.values().filter(|&&destructive| destructive).count()
    }

    /// Returns the names of the stored tools, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.destructive.keys().map(|name| &**name)
    }

    /// Returns the number of stored tools.
    pub fn len(&self) -> usize {
        self.destructive.len()
    }

    /// Returns true if no tool is stored.
    pub fn is_empty(&self) -> bool {
        self.destructive.is_empty()
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tools({} known, {} of them destructive)", self.len(), self.destructive())
    }
}

/// Returns each tool in one page of `tools/list`, and whether the page describes the tool as
/// harmless. An error response lists no tools.
pub(crate) fn listed_tools(answer: &[u8]) -> Result<Vec<(Cow<'_, str>, bool)>, ToolsError> {
    let text = std::str::from_utf8(answer).map_err(|_| ToolsError::Utf8)?;
    // This parser fails if a key occurs twice or the nesting is too deep.
    let found = json::read(text).map_err(|(why, _)| ToolsError::Ambiguous(why))?;
    let list = if found.jsonrpc || found.result {
        if found.error && !found.result {
            return Ok(Vec::new());
        }
        object::<ListResponse<'_>>(text).and_then(|response| list(response.result.get()))
    } else {
        list(text)
    };
    let list = list.map_err(|error| ToolsError::NotAList(error.into()))?;
    let rated = list.into_iter().map(|tool| {
        let harmless = tool.is_harmless();
        (tool.name, harmless)
    });
    Ok(rated.collect())
}

fn list(result: &str) -> serde_json::Result<Vec<ToolDeclaration<'_>>> {
    object::<ToolList<'_>>(result)?.tools.into_iter().map(|raw| object(raw.get())).collect()
}

/// Parses one JSON object. Without the check, serde would also accept an array, and take its items
/// as the members in order.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    if text.trim_ascii_start().starts_with('{') {
        serde_json::from_str(text)
    } else {
        Err(serde::de::Error::custom("not an object"))
    }
}

#[derive(Deserialize)]
struct ListResponse<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct ToolList<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct ToolDeclaration<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Annotations<'a> {
    #[serde(borrow, default)]
    read_only_hint: Option<&'a RawValue>,
    #[serde(borrow, default)]
    destructive_hint: Option<&'a RawValue>,
}

impl ToolDeclaration<'_> {
    /// Returns true if the hints say that the tool destroys nothing. By default (without hints) a
    /// tool may write and destroy. `destructiveHint` has a meaning only for a tool that is not
    /// read-only. If one hint is not a boolean, both hints are ignored.
    fn is_harmless(&self) -> bool {
        let Some(raw) = self.annotations else { return false };
        let Ok(hints) = object::<Annotations<'_>>(raw.get()) else { return false };
        let hint = |raw: Option<&RawValue>| match raw.map(RawValue::get) {
            None | Some("null") => Some(None),
            Some("true") => Some(Some(true)),
            Some("false") => Some(Some(false)),
            Some(_) => None,
        };
        match (hint(hints.read_only_hint), hint(hints.destructive_hint)) {
            (Some(Some(true)), Some(_)) => true,
            (Some(_), Some(destructive)) => destructive == Some(false),
            _ => false,
        }
    }
}
