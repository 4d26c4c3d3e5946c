//! Parses the server's JSON-RPC messages, and finds the request that a message answers.
//!
//! The client's messages are parsed strictly, because they are signed (see [`crate::mcp::body`]).
//! For the server's messages, the bridge only checks that each is one JSON-RPC message, because
//! nothing else may be written to stdout. The client checks the rest.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::mcp::error_response;

/// A JSON-RPC id. Two spellings of the same number, such as `1` and `1.0`, are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RequestId {
    Number(String),
    Text(String),
}

impl RequestId {
    /// Parses the JSON of an id. Returns None if the JSON is neither a number nor a string.
    pub(super) fn read(json: &str) -> Option<Self> {
        match json.as_bytes().first()? {
            b'"' => serde_json::from_str(json).ok().map(RequestId::Text),
            b'-' | b'0'..=b'9' => Some(RequestId::Number(number(json))),
            _ => None,
        }
    }

    /// Returns true if one id is a number and the other is the same number as a string: some
    /// servers answer the request `1` with the id `"1"`.
    pub(super) fn is_spelt_like(&self, other: &RequestId) -> bool {
        match (self, other) {
            (RequestId::Number(number), RequestId::Text(text))
            | (RequestId::Text(text), RequestId::Number(number)) => number == text,
            _ => false,
        }
    }
}

/// Returns `json` with `part` replaced. Returns None if `part` is not a slice of `json`.
pub(super) fn splice(json: &str, part: &str, replacement: &str) -> Option<String> {
    let at = (part.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
    let (before, rest) = json.split_at_checked(at)?;
    let after = rest.get(part.len()..)?;
    Some([before, replacement, after].concat())
}

/// Returns the message `json` with its id replaced by `id` (JSON). Returns None if the message has
/// no id.
pub(super) fn renamed(json: &str, id: &str) -> Option<String> {
    let message = read(json).ok()?;
    splice(message.text, message.id?.get(), id)
}

/// Returns a whole number in its shortest spelling. A number with a fraction keeps its spelling, so
/// that two spellings of it count as two ids.
fn number(json: &str) -> String {
    let whole = json.strip_suffix(".0").unwrap_or(json);
    whole.parse::<i64>().map_or_else(|_| json.to_owned(), |number| number.to_string())
}

/// The kind of a message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InboundKind {
    /// The answer to the request with this id.
    Response(RequestId),
    /// An error response whose id is null or missing.
    UnaddressedError,
    /// A request or notification that the server sends.
    Other,
}

/// One message from the server.
#[derive(Debug)]
pub(super) struct InboundMessage<'m> {
    pub(super) kind: InboundKind,
    /// The JSON as it arrived, without white space around it.
    pub(super) text: &'m str,
    /// The JSON of the message's id, if it has one.
    pub(super) id: Option<&'m RawValue>,
    pub(super) result: Option<&'m RawValue>,
    pub(super) error: Option<&'m RawValue>,
}

#[derive(Deserialize)]
struct Envelope<'m> {
    #[serde(borrow)]
    jsonrpc: Cow<'m, str>,
    #[serde(borrow, default)]
    id: Option<&'m RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'m, str>>,
    #[serde(borrow, default)]
    result: Option<&'m RawValue>,
    #[serde(borrow, default)]
    error: Option<&'m RawValue>,
}

/// Parses a text of the server as one message.
///
/// # Errors
/// A text that says why the input is not a message.
pub(super) fn read(text: &str) -> Result<InboundMessage<'_>, &'static str> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    // Without this check, serde would also accept an array, and take its items as the struct's
    // members in order.
    if !text.starts_with('{') {
        return Err("not a JSON object");
    }
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|_| "not a JSON-RPC message")?;
    if envelope.jsonrpc != "2.0" {
        return Err("not a JSON-RPC 2.0 message");
    }
    let named = envelope.id.and_then(|id| RequestId::read(id.get()));
    let kind = match (&envelope.method, envelope.result, envelope.error) {
        (Some(_), None, None) => InboundKind::Other,
        (None, Some(_), None) => {
            InboundKind::Response(named.ok_or("a result that names no request")?)
        }
        (None, None, Some(_)) => named.map_or(InboundKind::UnaddressedError, InboundKind::Response),
        _ => return Err("not a request, a notification, a result or an error"),
    };
    let Envelope { id, result, error, .. } = envelope;
    Ok(InboundMessage { kind, text, id, result, error })
}

/// Splits an array of messages, which MCP revision 2025-03-26 allowed. A text that is not an array
/// is one message.
pub(super) fn each(text: &str) -> Vec<&str> {
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(items) => items.into_iter().map(RawValue::get).collect(),
        Err(_) => vec![text],
    }
}

/// Returns valid JSON on one line, by replacing line breaks. In valid JSON, they occur only between
/// tokens.
pub(super) fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        Cow::Owned(json.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(json)
    }
}

/// The error object of a JSON-RPC response.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct JsonRpcError {
    pub(super) code: i64,
    pub(super) message: String,
    /// The member `data` as JSON.
    pub(super) data: Option<String>,
}

#[derive(Deserialize)]
struct FaultJson<'m> {
    code: i64,
    #[serde(borrow)]
    message: Cow<'m, str>,
    #[serde(borrow, default)]
    data: Option<&'m RawValue>,
}

impl JsonRpcError {
    /// Parses an error object. Returns None if it lacks a code or a message.
    pub(super) fn read(json: &RawValue) -> Option<Self> {
        let json = json.get();
        let fault: FaultJson<'_> =
            json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()?;
        Some(JsonRpcError {
            code: fault.code,
            message: fault.message.into_owned(),
            data: fault.data.map(|data| data.get().to_owned()),
        })
    }

    /// Returns `data.reason`, in which a verifier sends its refusal code.
    pub(super) fn reason(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Data {
            reason: String,
        }
        let data = self.data.as_deref().filter(|data| data.trim_start().starts_with('{'))?;
        serde_json::from_str::<Data>(data).ok().map(|data| data.reason)
    }

    /// Returns the complete error response for the request whose id is `id` (JSON), or with the id
    /// null.
    pub(super) fn response(&self, id: Option<&str>) -> String {
        let (id, data) = (id.unwrap_or("null"), self.data.as_deref());
        let response = error_response::error_response(Some(id), self.code, &self.message, data);
        one_line(&response).into_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_spellings_of_an_id_are_equal() {
        assert_eq!(RequestId::read("1"), RequestId::read("1.0"));
        assert_eq!(RequestId::read(r#""a""#), RequestId::read(r#""\u0061""#));
        assert_ne!(RequestId::read("1"), RequestId::read(r#""1""#));
        assert_ne!(RequestId::read("9007199254740993"), RequestId::read("9007199254740992"));
        for json in ["null", "true", "[1]", "{}", ""] {
            assert_eq!(RequestId::read(json), None, "{json}");
        }
    }

    #[test]
    fn only_a_number_and_its_string_are_spelt_alike() {
        let alike = |a, b| RequestId::read(a).unwrap().is_spelt_like(&RequestId::read(b).unwrap());
        for (a, b) in [("1", r#""1""#), (r#""-7""#, "-7"), ("1.0", r#""1""#)] {
            assert!(alike(a, b), "{a} {b}");
        }
        for (a, b) in [("1", r#""01""#), ("1", r#"" 1""#), ("1", "1"), (r#""1""#, r#""1""#)] {
            assert!(!alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn only_json_rpc_messages_are_accepted() {
        let kind = |text| read(text).map(|message| message.kind);
        assert_eq!(kind(r#" {"jsonrpc":"2.0","method":"ping","id":7}"#), Ok(InboundKind::Other));
        assert_eq!(kind(r#"{"jsonrpc":"2.0","method":"notifications/x"}"#), Ok(InboundKind::Other));
        let one = RequestId::Number("1".to_owned());
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            Ok(InboundKind::Response(one.clone()))
        );
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"error":{}}"#), Ok(InboundKind::Response(one)));
        assert_eq!(
            kind(r#"{"jsonrpc":"2.0","id":null,"error":{}}"#),
            Ok(InboundKind::UnaddressedError)
        );
        for text in [
            "",
            "1",
            "[]",
            "[\"2.0\",1,null,{}]",
            "{}",
            r#"{"jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}} x"#,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\n\"}}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_message_is_one_line_and_reads_back() {
        let fault = JsonRpcError {
            code: -1,
            message: "a \"b\"\nc".to_owned(),
            data: Some("{\n\"reason\":\"expired\"}".to_owned()),
        };
        let text = fault.response(Some("\"x\""));
        assert!(!text.contains('\n'));
        let again = read(&text).unwrap();
        assert_eq!(again.kind, InboundKind::Response(RequestId::Text("x".to_owned())));
        let read_back = JsonRpcError::read(again.error.unwrap()).unwrap();
        assert_eq!((read_back.code, &*read_back.message), (-1, "a \"b\"\nc"));
        assert_eq!(read_back.reason().as_deref(), Some("expired"));
        assert_eq!(one_line("{\r\n \"a\": 1\n}"), "{   \"a\": 1 }");
        assert_eq!(each("[{\"a\":1}, {\"b\":2}]"), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(each("{\"a\":1}"), ["{\"a\":1}"]);
    }
}
