//! Parses a body so strictly that all servers would read it in the same way.
//!
//! MCP servers disagree about unusual JSON: some accept UTF-16, a byte order mark, `NaN` or arrays,
//! some decompress gzip, some match keys without regard to case. The decision about a request must
//! be right for every server that may receive it. So a body that two servers could read differently
//! is refused as [`AmbiguousBody`], and is treated as a request that may do anything.

use std::borrow::Cow;

use super::ambiguity::shorten;
pub use super::ambiguity::{Ambiguity, AmbiguousBody};
use super::json::{self, MessageMembers, ValueKind};
use super::media::{self, ContentKind};
pub use super::methods::name_member;
use super::pattern::Operation;
use crate::message::Head;

/// Where a request was sent, which decides how strictly its body is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In front of an MCP endpoint: every POST body is a JSON-RPC message, and no other method has
    /// content.
    Endpoint,
    /// Anywhere else, for example in a capture on the command line. A body is parsed if its content
    /// type is JSON or its head has `Mcp-Method`, `Mcp-Name` or `Mcp-Param-*`. It is a JSON-RPC
    /// message if it has the member `jsonrpc`. Every other body is opaque bytes.
    Anywhere,
}

/// A parsed body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reading<'b> {
    /// A GET or HEAD without content: `@get`.
    Get,
    /// A DELETE without content: `@delete`.
    Delete,
    /// Bytes that have no meaning in MCP. Only with [`Scope::Anywhere`].
    Opaque,
    /// A JSON object that is not a JSON-RPC message. Only with [`Scope::Anywhere`].
    Json,
    /// A JSON-RPC message.
    Message(Message<'b>),
}

impl Reading<'_> {
    /// Returns the operation (method and name), which patterns are compared with. Returns `None`
    /// for a body that is not an MCP message; no pattern allows it.
    pub fn operation(&self) -> Option<Operation<'_>> {
        match self {
            Reading::Get => Some(Operation { method: "@get", name: None }),
            Reading::Delete => Some(Operation { method: "@delete", name: None }),
            Reading::Opaque | Reading::Json => None,
            Reading::Message(message) => Some(message.operation()),
        }
    }

    /// Returns the JSON-RPC message, or `None` if the body is not one.
    pub fn message(&self) -> Option<&Message<'_>> {
        match self {
            Reading::Message(message) => Some(message),
            _ => None,
        }
    }
}

/// The three kinds of JSON-RPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The message has a method and an `id` of any type. A message with an invalid `id` counts as a
    /// request too, because the rules for requests are stricter than those for notifications.
    Request,
    /// The message has a method and no `id`.
    Notification,
    /// The message has a result or an error.
    Response,
}

/// The members of a JSON-RPC message that decide what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    kind: MessageKind,
    method: Cow<'b, str>,
    name: Option<Cow<'b, str>>,
    id: Option<&'b str>,
    version: Option<Cow<'b, str>>,
    traceparent: Option<Cow<'b, str>>,
}

impl Message<'_> {
    /// Returns whether this is a request, a notification or a response.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the method, or `None` for a response.
    pub fn method(&self) -> Option<&str> {
        (self.kind != MessageKind::Response).then_some(&*self.method)
    }

    /// Returns the name on which the method acts: `params.name`, `params.uri` or `params.taskId`,
    /// depending on the method (see [`name_member`]).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the `id` as JSON in its own spelling, if it is a number or a string. Other values
    /// are not JSON-RPC ids, and cannot be answered.
    pub fn id(&self) -> Option<&str> {
        self.id.filter(|raw| raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()))
    }

    /// Returns the protocol version in `params._meta`. This is not the version that `initialize`
    /// proposes in `params`.
    pub fn protocol_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns the text of `params._meta.traceparent` (W3C Trace Context), whose form is not
    /// checked.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// Returns the operation (method and name), which patterns are compared with.
    pub fn operation(&self) -> Operation<'_> {
        Operation { method: self.method().unwrap_or("@response"), name: self.name() }
    }
}

/// Parses `body`, which came with `head`.
///
/// ```
/// use mcpid::mcp::body::{MessageKind, Scope, read};
/// use mcpid::message::{Head, RequestTarget};
///
/// let mut head = Head::new("POST", RequestTarget::from_url("https://mcp.example.com/mcp")?)?;
/// head.push("Content-Type", b"application/json")?;
/// let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
/// let reading = read(&head, body, Scope::Endpoint)?;
/// let message = reading.message().ok_or("no message")?;
/// assert_eq!((message.kind(), message.name()), (MessageKind::Request, Some("pay")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`AmbiguousBody`] for a body that servers could read differently.
pub fn read<'b>(
    head: &Head<'_>,
    body: &'b [u8],
    scope: Scope,
) -> Result<Reading<'b>, AmbiguousBody> {
    match (head.method(), scope) {
        ("GET" | "HEAD", _) if body.is_empty() => return Ok(Reading::Get),
        ("DELETE", _) if body.is_empty() => return Ok(Reading::Delete),
        ("POST", Scope::Endpoint) => {}
        (other, Scope::Endpoint) => return Err(Ambiguity::Method(shorten(other)).into()),
        (_, Scope::Anywhere) if body.is_empty() || !speaks_mcp(head) => return Ok(Reading::Opaque),
        (_, Scope::Anywhere) => {}
    }
    let media = media_type(head, scope)?;
    let text = text(body)?;
    let found = json::read(text).map_err(|(why, at)| AmbiguousBody::near(why, at))?;
    if scope == Scope::Anywhere && !found.jsonrpc {
        return Ok(Reading::Json);
    }
    if media != ContentKind::Json {
        // Some MCP servers treat such a content type as JSON, and others refuse it.
        return Err(content_type(head).into());
    }
    message(found).map(Reading::Message).map_err(|why| Ambiguity::JsonRpc(why).into())
}

/// Checks that `body` is one JSON object that can be read in one way only. The header fields are
/// not used.
///
/// # Errors
/// [`AmbiguousBody`].
pub(crate) fn check_json(body: &[u8]) -> Result<(), AmbiguousBody> {
    let found = json::read(text(body)?);
    found.map(|_| ()).map_err(|(why, at)| AmbiguousBody::near(why, at))
}

/// Returns true if a request with a body claims to be MCP or JSON, by its header fields.
fn speaks_mcp(head: &Head<'_>) -> bool {
    head.fields().iter().any(|field| match field.name() {
        "mcp-method" | "mcp-name" => true,
        "content-type" => media::mentions_json(field.value()),
        name => name.starts_with("mcp-param-"),
    })
}

fn media_type(head: &Head<'_>, scope: Scope) -> Result<ContentKind, Ambiguity> {
    let value = head.single("content-type").map_err(|_| Ambiguity::ContentTypes)?;
    let media = value.map_or(ContentKind::Other, media::read);
    if media == ContentKind::Other || (media == ContentKind::JsonLike && scope == Scope::Endpoint) {
        return Err(content_type(head));
    }
    if head.has("content-encoding") {
        return Err(Ambiguity::ContentEncoding);
    }
    Ok(media)
}

fn content_type(head: &Head<'_>) -> Ambiguity {
    Ambiguity::ContentType(match head.values("content-type").next() {
        Some(value) => format!("{:?}", shorten(&String::from_utf8_lossy(value))),
        None => "absent".to_owned(),
    })
}

fn text(body: &[u8]) -> Result<&str, AmbiguousBody> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(AmbiguousBody::near(Ambiguity::ByteOrderMark, 0));
    }
    std::str::from_utf8(body)
        .map_err(|error| AmbiguousBody::near(Ambiguity::Utf8, error.valid_up_to()))
}

/// Makes a message from the members of a JSON object. Returns an error text if two servers could
/// disagree about whether the object is a JSON-RPC 2.0 message, or of which kind.
fn message(found: MessageMembers<'_>) -> Result<Message<'_>, &'static str> {
    if found.params.is_some_and(|kind| kind != ValueKind::Object) {
        return Err("params is not an object");
    }
    let version = match found.version {
        None => None,
        Some(ValueKind::Text(version)) => Some(version),
        Some(_) => return Err("the protocol version in params._meta is not a string"),
    };
    let (kind, method) = match (found.method, found.result, found.error) {
        (Some(ValueKind::Text(_)), true, _) | (Some(ValueKind::Text(_)), _, true) => {
            return Err("a method beside a result or an error");
        }
        (Some(ValueKind::Text(method)), false, false) => match found.id {
            Some(_) => (MessageKind::Request, method),
            None => (MessageKind::Notification, method),
        },
        (Some(_), _, _) => return Err("the method is not a string"),
        (None, true, true) => return Err("a result beside an error"),
        (None, false, false) => return Err("neither a method nor a result nor an error"),
        (None, _, _) => (MessageKind::Response, Cow::Borrowed("")),
    };
    // Names that begin with an at sign stand for messages without a method, such as `@response`. A
    // method with such a name could be confused with them.
    if method.starts_with('@') {
        return Err("the method starts with an at sign");
    }
    let name = match name_member(&method) {
        Some("name") => found.name,
        Some("uri") => found.uri,
        Some(_) => found.task_id,
        None => None,
    };
    let name = match name {
        None => None,
        Some(ValueKind::Text(name)) => Some(name),
        Some(_) => return Err("the name that the method acts on is not a string"),
    };
    // Servers do not act on the trace, so a value that is not a string is ignored.
    let traceparent = match found.traceparent {
        Some(ValueKind::Text(text)) => Some(text),
        _ => None,
    };
    Ok(Message { kind, method, name, id: found.id, version, traceparent })
}
