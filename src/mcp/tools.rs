//! Which tools a server calls destructive, learned from its own answers to `tools/list`.
//!
//! The annotations are the server's word and nothing more (MCP, `ToolAnnotations`), so they are only
//! used to restrict: a tool that was never listed counts as destructive, a tool that was called
//! destructive once stays destructive, and no remembered tool is dropped for a new one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ambiguity::Ambiguity;
use super::json;
use super::name_forms::NameForms;
use super::pattern::Operation;

/// How many tools are remembered; those of a larger server that come later stay unknown.
pub const MAX_TOOLS: usize = 4_096;

/// The longest name that is remembered, in bytes; a tool with a longer one stays unknown.
pub const MAX_NAME: usize = 512;

/// The tools that one server has listed, and which of them it calls destructive.
///
/// At most [`MAX_TOOLS`] names of at most [`MAX_NAME`] bytes are held.
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
#[derive(Clone, Default)]
pub struct Tools {
    /// For each name, whether any answer called the tool anything but harmless.
    destructive: HashMap<Box<str>, bool>,
}

/// What was learned from one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learned {
    /// Tools that it lists, however often each.
    pub listed: usize,
    /// Of these, tools that it calls `readOnlyHint: true` or `destructiveHint: false`.
    pub harmless: usize,
    /// Of these, tools that were not remembered, since there are too many or the name is too
    /// long. They count as destructive.
    pub left_out: usize,
}

/// An answer that says nothing about tools that could be relied on. Nothing was learned from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolsError {
    /// Not UTF-8.
    #[error("the list of tools is not valid utf-8")]
    Utf8,
    /// Parsers could read it differently: a key stands twice, it nests too deep, it is no JSON.
    #[error("the list of tools cannot be read")]
    Ambiguous(#[source] Ambiguity),
    /// JSON, but no `tools/list` result: no array `tools` of objects with a string `name`.
    #[error("not the result of tools/list")]
    NotAList(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Tools {
    /// Creates a table without tools: every tool counts as destructive.
    pub fn new() -> Self {
        Tools::default()
    }

    /// Learns from one page of `tools/list`: the whole JSON-RPC response, or its `result` alone.
    /// A response that is an error lists no tools, which is no fault.
    ///
    /// The work and the memory are proportional to `answer`, whose size the caller bounds.
    ///
    /// # Errors
    /// [`ToolsError`]; then nothing of the answer is used, not even the tools that could be read.
    pub fn learn(&mut self, answer: &[u8]) -> Result<Learned, ToolsError> {
        let text = std::str::from_utf8(answer).map_err(|_| ToolsError::Utf8)?;
        // From here on, no key stands twice and the nesting is bounded.
        let found = json::read(text).map_err(|(why, _)| ToolsError::Ambiguous(why))?;
        let list = if found.jsonrpc || found.result {
            if found.error && !found.result {
                return Ok(Learned::default());
            }
            object::<ListResponse<'_>>(text).and_then(|response| list(response.result.get()))
        } else {
            list(text)
        };
        let list = list.map_err(|error| ToolsError::NotAList(error.into()))?;
        let mut learned = Learned { listed: list.len(), ..Learned::default() };
        for tool in list {
            let harmless = tool.is_harmless();
            learned.harmless += usize::from(harmless);
            if let Some(destructive) = self.destructive.get_mut(&*tool.name) {
                *destructive |= !harmless;
            } else if self.destructive.len() < MAX_TOOLS && tool.name.len() <= MAX_NAME {
                self.destructive.insert(tool.name.into(), !harmless);
            } else {
                learned.left_out += 1;
            }
        }
        Ok(learned)
    }

    /// Whether the tool called `name`, letter for letter, counts as destructive: it does unless
    /// every answer that listed it called it `readOnlyHint: true` or `destructiveHint: false`.
    pub fn is_destructive(&self, name: &str) -> bool {
        self.destructive.get(name).copied().unwrap_or(true)
    }

    /// Whether `operation` calls a tool that counts as destructive. A `tools/call` that names no
    /// tool does, and so does one whose name is ambiguous, or reads in another form like the name
    /// of a tool that the server calls so.
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

    /// Whether the server has listed a tool of this name, and it is remembered.
    pub fn knows(&self, name: &str) -> bool {
        self.destructive.contains_key(name)
    }

    /// Returns the names that are remembered, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.destructive.keys().map(|name| &**name)
    }

    /// Returns the number of tools that are remembered.
    pub fn len(&self) -> usize {
        self.destructive.len()
    }

    /// Whether no tool is remembered.
    pub fn is_empty(&self) -> bool {
        self.destructive.is_empty()
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destructive = self.destructive.values().filter(|&&destructive| destructive).count();
        write!(f, "Tools({} known, {destructive} of them destructive)", self.len())
    }
}

fn list(result: &str) -> serde_json::Result<Vec<ToolDeclaration<'_>>> {
    object::<ToolList<'_>>(result)?.tools.into_iter().map(|raw| object(raw.get())).collect()
}

/// serde would take an array for an object, its items for the members in their order.
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
    /// Whether the hints say that the tool destroys nothing. By the hints' own defaults a tool may
    /// write and destroy. `destructiveHint` has a meaning only for a tool that is not read-only. If
    /// one hint is no boolean, the other hint is ignored too.
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
