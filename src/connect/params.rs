//! `Mcp-Param-*` fields: header fields that repeat arguments of a tool call.
//!
//! A server marks such arguments with `x-mcp-header` in the input schema of a tool (MCP 2026-07-28,
//! Streamable HTTP, custom headers). The bridge reads the marks from the answers to `tools/list`
//! that it passes on. A client has to ignore a tool whose marks break the rules, so the bridge
//! removes such tools from the list. The bridge changes nothing else in an answer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::mcp::headers::encode;
use crate::message::is_tchar;

use super::json_rpc;

const ANNOTATION: &str = "x-mcp-header";
/// Limit, in bytes, on names, headers and paths of all annotated tools together: enough for
/// thousands of tools. Calls of a tool beyond the limit are sent without the `Mcp-Param-*` fields,
/// and the server reports that they are missing.
const MAX_TOTAL_BYTES: usize = 4 << 20;
/// Limit, in bytes, on a schema that is searched for `x-mcp-header`. A tool with a longer schema
/// that contains this text is removed from the list.
const MAX_SCHEMA_BYTES: usize = 1 << 20;
/// The largest whole number that JavaScript represents exactly. The rules of MCP use this limit.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// One argument of a tool that the schema marks with `x-mcp-header`.
#[derive(Clone, Debug, PartialEq)]
struct AnnotatedParam {
    header: HeaderName,
    path: Vec<String>,
}

/// The tools of one server that have arguments marked with `x-mcp-header`.
#[derive(Debug, Default)]
pub(super) struct AnnotatedTools {
    tools: Mutex<KnownParams>,
}

#[derive(Debug, Default)]
struct KnownParams {
    by_name: HashMap<String, Arc<[AnnotatedParam]>>,
    /// Size of all parameters in bytes; limited by [`MAX_TOTAL_BYTES`].
    size: usize,
}

impl KnownParams {
    fn forget(&mut self, tool: &str) {
        if let Some(params) = self.by_name.remove(tool) {
            self.size = self.size.saturating_sub(size(tool, &params));
        }
    }
}

fn size(tool: &str, params: &[AnnotatedParam]) -> usize {
    let one = |param: &AnnotatedParam| {
        let path = param.path.iter().map(|step| step.len() + size_of::<String>());
        param.header.as_str().len() + path.sum::<usize>() + size_of::<AnnotatedParam>()
    };
    tool.len() + params.iter().map(one).sum::<usize>()
}

/// What was learned from one page of the list of tools.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ToolListReading {
    /// The tools that have to be removed from the list, each with the reason.
    pub(super) invalid: Vec<(String, String)>,
    /// The JSON of the `tools/list` result without the removed tools. `None` if no tool has to be
    /// removed, or if the result cannot be parsed.
    pub(super) result: Option<String>,
    /// The cursor for the next page of the list.
    pub(super) cursor: Option<String>,
}

impl AnnotatedTools {
    fn tools(&self) -> MutexGuard<'_, KnownParams> {
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns the annotations from the result of `tools/list`.
    pub(super) fn learn(&self, result: &RawValue) -> ToolListReading {
        #[derive(Deserialize)]
        struct ToolPage<'r> {
            #[serde(borrow)]
            tools: &'r RawValue,
            #[serde(rename = "nextCursor", default)]
            cursor: Option<String>,
        }
        #[derive(Deserialize)]
        struct ListedTool<'r> {
            name: String,
            #[serde(borrow, rename = "inputSchema", default)]
            schema: Option<&'r RawValue>,
        }
        let mut lesson = ToolListReading::default();
        let Ok(ToolPage { tools, cursor }) = serde_json::from_str::<ToolPage<'_>>(result.get())
        else {
            return lesson;
        };
        lesson.cursor = cursor;
        let Ok(listed) = serde_json::from_str::<Vec<&RawValue>>(tools.get()) else { return lesson };
        let mut kept = Vec::with_capacity(listed.len());
        for raw in listed {
            // An item that is not a tool stays in the list, so that the client can report it.
            let Ok(tool) = serde_json::from_str::<ListedTool<'_>>(raw.get()) else {
                kept.push(raw.get());
                continue;
            };
            match annotated_params(tool.schema.map_or("null", RawValue::get)) {
                Ok(params) => {
                    kept.push(raw.get());
                    self.remember(tool.name, params);
                }
                Err(why) => {
                    self.tools().forget(&tool.name);
                    lesson.invalid.push((tool.name, why));
                }
            }
        }
        if !lesson.invalid.is_empty() {
            let kept = format!("[{}]", kept.join(","));
            lesson.result = json_rpc::splice(result.get(), tools.get(), &kept);
        }
        lesson
    }

    fn remember(&self, tool: String, params: Vec<AnnotatedParam>) {
        let mut tools = self.tools();
        tools.forget(&tool);
        let size = size(&tool, &params);
        if !params.is_empty() && tools.size.saturating_add(size) <= MAX_TOTAL_BYTES {
            tools.size += size;
            tools.by_name.insert(tool, params.into());
        }
    }

    /// Returns the `Mcp-Param-*` fields for a call of `tool`, whose message is `body`.
    pub(super) fn headers(&self, tool: &str, body: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
        let Some(params) = self.tools().by_name.get(tool).cloned() else {
            return Vec::new();
        };
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
        let arguments = body.pointer("/params/arguments");
        let header = |param: &AnnotatedParam| {
            let path = param.path.iter();
            let value = path.fold(arguments, |at, step| at?.get(step))?;
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(is) => is.to_string(),
                Value::Number(number) => whole_number(number)?.to_string(),
                _ => return None,
            };
            let value = HeaderValue::from_str(&encode(&text)).ok()?;
            Some((param.header.clone(), value))
        };
        params.iter().filter_map(header).collect()
    }
}

/// Returns the value of `number` if it is a whole number of at most [`MAX_SAFE_INTEGER`], written
/// as `42` or `42.0`. Returns None for any other number.
fn whole_number(number: &serde_json::Number) -> Option<i64> {
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        // Above this limit, several whole numbers are rounded to the same float, so it would be
        // unknown which number was sent.
        (float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER as f64).then_some(float as i64)
    })?;
    (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&whole).then_some(whole)
}

/// Returns the arguments that a schema, given as JSON text, marks with `x-mcp-header`.
///
/// # Errors
/// A text that says which rule a mark breaks.
fn annotated_params(schema: &str) -> Result<Vec<AnnotatedParam>, String> {
    // A schema that does not contain the text `x-mcp-header` need not be parsed, unless it has `\u`
    // escapes, which can spell the same text.
    if !schema.contains(ANNOTATION) && !schema.contains("\\u") {
        return Ok(Vec::new());
    }
    if schema.len() > MAX_SCHEMA_BYTES {
        return match schema.contains(ANNOTATION) {
            true => Err(format!("a schema of over {MAX_SCHEMA_BYTES} bytes around it")),
            false => Ok(Vec::new()),
        };
    }
    collect_annotated(&serde_json::from_str(schema).unwrap_or_default())
}

/// Returns the arguments that a parsed schema marks with `x-mcp-header`.
///
/// # Errors
/// A text that says which rule a mark breaks.
fn collect_annotated(schema: &Value) -> Result<Vec<AnnotatedParam>, String> {
    let mut found = Vec::new();
    walk(schema, Some(&mut Vec::new()), &mut found)?;
    let mut names = HashSet::new();
    match found.iter().find(|param| !names.insert(param.header.as_str().to_owned())) {
        Some(twice) => Err(format!("{} stands twice", twice.header)),
        None => Ok(found),
    }
}

/// Collects the arguments that one JSON schema marks with `x-mcp-header`. `path` is the list of
/// `properties` that leads to this schema; `None` if it cannot be reached by these alone, so that
/// marks are not allowed.
fn walk(
    schema: &Value,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<AnnotatedParam>,
) -> Result<(), String> {
    let Value::Object(members) = schema else {
        // The value is a list of schemas, as in `anyOf`, and no mark is allowed in them.
        let items = schema.as_array().into_iter().flatten();
        return items.into_iter().try_for_each(|item| walk(item, None, found));
    };
    for (key, value) in members {
        match (key.as_str(), path.as_deref_mut()) {
            (ANNOTATION, Some(path)) if !path.is_empty() => {
                found.push(annotation(value, members.get("type"), path)?);
            }
            (ANNOTATION, _) => return Err("an annotation off the way of properties".to_owned()),
            ("properties", mut path) => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    if let Some(path) = path.as_deref_mut() {
                        path.push(name.clone());
                        walk(inner, Some(path), found)?;
                        path.pop();
                    } else {
                        walk(inner, None, found)?;
                    }
                }
            }
            // The keys of these objects are chosen names, so a key `x-mcp-header` in them is not a
            // mark.
            (
                "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties",
                _,
            ) => {
                let inner = value.as_object().into_iter().flatten();
                inner.into_iter().try_for_each(|(_, inner)| walk(inner, None, found))?;
            }
            // The values of these keys are data, not schemas.
            ("default" | "const" | "enum" | "examples" | "dependentRequired", _) => {}
            _ => walk(value, None, found)?,
        }
    }
    Ok(())
}

fn annotation(
    value: &Value,
    of: Option<&Value>,
    path: &[String],
) -> Result<AnnotatedParam, String> {
    let name = value.as_str().ok_or("an annotation that is no string")?;
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return Err("an annotation that is no header name".to_owned());
    }
    match of.and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => {}
        _ => return Err("an annotation of what is no string, integer or boolean".to_owned()),
    }
    let header = HeaderName::from_bytes(format!("mcp-param-{name}").as_bytes())
        .map_err(|_| "an annotation that is too long".to_owned())?;
    Ok(AnnotatedParam { header, path: path.to_vec() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn annotated_values_become_headers() {
        let params = AnnotatedTools::default();
        let list = r#"{"tools":[{"name":"sql","inputSchema":{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "dry":{"type":"boolean","x-mcp-header":"Dry"},
            "x-mcp-header":{"type":"string"},
            "q":{"type":"string","default":{"x-mcp-header":1}}}}}],"nextCursor":"2"}"#;
        let lesson = params.learn(&raw(list));
        assert_eq!((lesson.invalid.len(), lesson.result), (0, None));
        assert_eq!(lesson.cursor.as_deref(), Some("2"));
        let headers = |arguments: &str| {
            let body = format!(r#"{{"params":{{"arguments":{arguments}}}}}"#);
            let mut shown: Vec<String> = params
                .headers("sql", body.as_bytes())
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            shown.sort();
            shown.join(", ")
        };
        assert_eq!(
            headers(r#"{"region":"us-west1","deep":{"n":42.0},"dry":true}"#),
            "mcp-param-dry: true, mcp-param-n: 42, mcp-param-region: us-west1"
        );
        assert_eq!(headers(r#"{"region":"Köln"}"#), "mcp-param-region: =?base64?S8O2bG4=?=");
        let split = headers(r#"{"region":"a\r\nX-Admin: 1"}"#);
        assert_eq!(split, "mcp-param-region: =?base64?YQ0KWC1BZG1pbjogMQ==?=");
        assert_eq!(headers(r#"{"region":null,"deep":{"n":1.5},"dry":[]}"#), "");
        assert_eq!(headers(r#"{"deep":{"n":9007199254740993}}"#), "");
        assert_eq!(headers("{}"), "");
        assert!(params.headers("other", b"{}").is_empty());
        // A newer list of tools replaces the older one, so the mark is gone.
        params.learn(&raw(r#"{"tools":[{"name":"sql","inputSchema":{}}]}"#));
        assert_eq!(headers(r#"{"region":"x"}"#), "");
    }

    #[test]
    fn remembered_tools_are_bounded() {
        let list = |name: &str, header: &str| {
            let schema = format!(
                r#"{{"properties":{{"a":{{"type":"string","x-mcp-header":"{header}"}}}}}}"#
            );
            raw(&format!(r#"{{"tools":[{{"name":"{name}","inputSchema":{schema}}}]}}"#))
        };
        let params = AnnotatedTools::default();
        let call = br#"{"params":{"arguments":{"a":"x"}}}"#;
        for n in 0..6 {
            params.learn(&list(&format!("{n}{}", "n".repeat(1 << 20)), "A"));
        }
        let held = params.tools();
        assert!(held.by_name.len() == 3 && held.size <= MAX_TOTAL_BYTES, "{} bytes", held.size);
        drop(held);
        // A tool that is listed many times counts once towards the size limit.
        for n in 0..20_000 {
            params.learn(&list("t", if n % 2 == 0 { "A" } else { "Abc" }));
        }
        assert_eq!(params.headers("t", call).len(), 1);
        let names: Vec<_> = params.tools().by_name.keys().cloned().collect();
        names.iter().for_each(|name| params.tools().forget(name));
        assert_eq!(params.tools().size, 0);
        // A schema may write the key `x-mcp-header` with an escape.
        let escaped = r#"{"properties":{"a":{"type":"string","x\u002dmcp-header":"A"}}}"#;
        params.learn(&raw(&format!(r#"{{"tools":[{{"name":"e","inputSchema":{escaped}}}]}}"#)));
        assert_eq!(params.headers("e", call).len(), 1);
        let long =
            format!(r#"{{"x-mcp-header":"A","description":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
        let lesson =
            params.learn(&raw(&format!(r#"{{"tools":[{{"name":"l","inputSchema":{long}}}]}}"#)));
        assert_eq!(lesson.invalid.len(), 1);
    }

    #[test]
    fn only_tools_that_break_the_rules_are_left_out() {
        let bad = [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a\r\nx: y"}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            r#"{"x-mcp-header":"A"}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}"#,
            r#"{"if":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#,
        ];
        for schema in bad {
            let params = AnnotatedTools::default();
            let good = r#"{"name":"good","n":1.00}"#;
            let list = format!(
                r#"{{"a":1.0, "tools": [{good}, {{"name":"bad","inputSchema":{schema}}}] ,"z":2}}"#
            );
            let lesson = params.learn(&raw(&list));
            assert_eq!(lesson.invalid.len(), 1, "{schema}");
            let expected = format!(r#"{{"a":1.0, "tools": [{good}] ,"z":2}}"#);
            assert_eq!(lesson.result.as_deref(), Some(&*expected), "{schema}");
        }
        assert_eq!(AnnotatedTools::default().learn(&raw("[]")), ToolListReading::default());
        assert_eq!(
            AnnotatedTools::default().learn(&raw(r#"{"tools":{}}"#)),
            ToolListReading::default()
        );
    }
}
