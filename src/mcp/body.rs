//! The one reading of a body that policy may rely on.
//!
//! MCP servers disagree about odd JSON: some run UTF-16, a byte order mark, `NaN` or arrays, some
//! inflate gzip, some match keys without case. What a policy decides about a request must hold for
//! whichever of them gets it, so a body that two of them could read differently is [`Ambiguous`],
//! and every policy treats that as "could be anything".

use std::borrow::Cow;
use std::fmt;

use super::json::{self, Found, Kind};
use super::media::{self, Media};
pub use super::methods::name_member;
use super::pattern::Operation;
use crate::message::Head;

/// Where a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Before an MCP endpoint: every POST body is a JSON-RPC message, and nothing else may have
    /// content.
    Endpoint,
    /// Anywhere else, such as a capture on the command line: a body is read if its content type is
    /// JSON or its head has `Mcp-Method`, `Mcp-Name` or `Mcp-Param-*`, and it is a JSON-RPC
    /// message if it says `jsonrpc`. Every other payload is opaque bytes.
    Anywhere,
}

/// What a body says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reading<'b> {
    /// A GET or HEAD without content: `@get`.
    Get,
    /// A DELETE without content: `@delete`.
    Delete,
    /// Bytes that say nothing to MCP; only outside an endpoint.
    Opaque,
    /// A JSON object that is no JSON-RPC message; only outside an endpoint.
    Json,
    /// A JSON-RPC message.
    Message(Message<'b>),
}

impl Reading<'_> {
    /// What patterns see; nothing for a payload that is no MCP message, which then no pattern may
    /// be said to allow.
    pub fn operation(&self) -> Option<Operation<'_>> {
        match self {
            Reading::Get => Some(Operation { method: "@get", name: None }),
            Reading::Delete => Some(Operation { method: "@delete", name: None }),
            Reading::Opaque | Reading::Json => None,
            Reading::Message(message) => Some(message.operation()),
        }
    }

    /// The JSON-RPC message, if it is one.
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
    /// A method and an `id`, whatever its type: what wants an answer is judged by the rules that
    /// ask for more.
    Request,
    /// A method without `id`.
    Notification,
    /// A result or an error.
    Response,
}

/// A JSON-RPC message, as far as policy reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    kind: MessageKind,
    method: Cow<'b, str>,
    name: Option<Cow<'b, str>>,
    id: Option<&'b str>,
    version: Option<Cow<'b, str>>,
}

impl Message<'_> {
    /// Request, notification or response.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The method; a response has none.
    pub fn method(&self) -> Option<&str> {
        (self.kind != MessageKind::Response).then_some(&*self.method)
    }

    /// `params.name`, `params.uri` or `params.taskId`, whichever the method goes by (see
    /// [`name_member`]).
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The `id` as JSON, exactly as it was written, if it is a number or a string. Other values
    /// are no JSON-RPC ids, and nothing is answered to them.
    pub fn id(&self) -> Option<&str> {
        self.id.filter(|raw| raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()))
    }

    /// The protocol version that `params._meta` names. What `initialize` proposes is not meant.
    pub fn protocol_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What patterns see.
    pub fn operation(&self) -> Operation<'_> {
        Operation { method: self.method().unwrap_or("@response"), name: self.name() }
    }
}

/// A body that servers may read differently.
#[derive(Debug)]
pub struct Ambiguous {
    why: Ambiguity,
    at: Option<usize>,
}

impl Ambiguous {
    /// The reason.
    pub fn why(&self) -> &Ambiguity {
        &self.why
    }

    /// The byte of the body near which the fault shows, counted from 0, if it lies in the body.
    pub fn at(&self) -> Option<usize> {
        self.at
    }
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{}, near byte {at}", self.why),
            None => self.why.fmt(f),
        }
    }
}

impl std::error::Error for Ambiguous {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The reason is in our own words already.
        self.why.source()
    }
}

impl From<Ambiguity> for Ambiguous {
    fn from(why: Ambiguity) -> Self {
        Ambiguous { why, at: None }
    }
}

/// Why a body can be read in more than one way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ambiguity {
    /// At an endpoint, content with a method other than POST, or a method that it does not know.
    #[error("a {0} request with content, or one that MCP does not know")]
    Method(String),
    /// No `Content-Type`, or none that is `application/json` in UTF-8.
    #[error("the content type is {0}, not application/json in utf-8")]
    ContentType(String),
    /// More than one `Content-Type` line.
    #[error("there is more than one content type")]
    ContentTypes,
    /// A `Content-Encoding`, even `identity`.
    #[error("there is a content encoding")]
    ContentEncoding,
    /// The bytes are not UTF-8.
    #[error("not valid utf-8")]
    Utf8,
    /// A byte order mark (RFC 8259 section 8.1).
    #[error("it starts with a byte order mark")]
    ByteOrderMark,
    /// Not RFC 8259, or a number that overflows a double, which some parsers read as infinity.
    #[error("not JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Objects and arrays nest more than 64 deep.
    #[error("objects and arrays nest more than {} deep", json::MAX_DEPTH)]
    TooDeep,
    /// A key stands twice in one object.
    #[error("the key {0:?} stands twice in one object")]
    Duplicate(String),
    /// A key differs in letter case only from one that decides what the message does.
    #[error("the key {found:?} differs from {real:?} in letter case only")]
    CaseVariant {
        /// The key in the body.
        found: String,
        /// The key that some servers take it for.
        real: &'static str,
    },
    /// Not a JSON-RPC message: what is wrong with it.
    #[error("not a JSON-RPC message: {0}")]
    JsonRpc(&'static str),
}

impl Ambiguity {
    pub(super) fn duplicate(key: &str) -> Self {
        Ambiguity::Duplicate(shorten(key))
    }

    pub(super) fn case_variant(key: &str, real: &'static str) -> Self {
        Ambiguity::CaseVariant { found: shorten(key), real }
    }
}

/// At most 64 characters: what strangers send must not fill logs.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads `body`, which came with `head`.
///
/// # Errors
/// [`Ambiguous`] for whatever servers could read differently.
pub fn read<'b>(head: &Head<'_>, body: &'b [u8], scope: Scope) -> Result<Reading<'b>, Ambiguous> {
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
    let found = json::read(text).map_err(|(why, at)| Ambiguous { why, at: Some(at) })?;
    if scope == Scope::Anywhere && !found.jsonrpc {
        return Ok(Reading::Json);
    }
    if media != Media::Json {
        // No MCP server is sure to read it, and none is sure not to.
        return Err(content_type(head).into());
    }
    message(found).map(Reading::Message).map_err(|why| Ambiguity::JsonRpc(why).into())
}

/// Whether a request with content, met anywhere, claims to be of MCP or JSON.
fn speaks_mcp(head: &Head<'_>) -> bool {
    head.fields().iter().any(|field| match field.name() {
        "mcp-method" | "mcp-name" => true,
        "content-type" => media::mentions_json(field.value()),
        name => name.starts_with("mcp-param-"),
    })
}

fn media_type(head: &Head<'_>, scope: Scope) -> Result<Media, Ambiguity> {
    let value = head.single("content-type").map_err(|_| Ambiguity::ContentTypes)?;
    let media = value.map_or(Media::Other, media::read);
    if media == Media::Other || (media == Media::JsonLike && scope == Scope::Endpoint) {
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

fn text(body: &[u8]) -> Result<&str, Ambiguous> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(Ambiguous { why: Ambiguity::ByteOrderMark, at: Some(0) });
    }
    std::str::from_utf8(body)
        .map_err(|e| Ambiguous { why: Ambiguity::Utf8, at: Some(e.valid_up_to()) })
}

/// Holds an object against the rules of JSON-RPC 2.0 that every server relies on.
fn message(found: Found<'_>) -> Result<Message<'_>, &'static str> {
    if found.params.is_some_and(|kind| kind != Kind::Object) {
        return Err("params is not an object");
    }
    let version = match found.version {
        None => None,
        Some(Kind::Text(version)) => Some(version),
        Some(_) => return Err("the protocol version in params._meta is not a string"),
    };
    let (kind, method) = match (found.method, found.result, found.error) {
        (Some(Kind::Text(_)), true, _) | (Some(Kind::Text(_)), _, true) => {
            return Err("a method beside a result or an error");
        }
        (Some(Kind::Text(method)), false, false) => match found.id {
            Some(_) => (MessageKind::Request, method),
            None => (MessageKind::Notification, method),
        },
        (Some(_), _, _) => return Err("the method is not a string"),
        (None, true, true) => return Err("a result beside an error"),
        (None, false, false) => return Err("neither a method nor a result nor an error"),
        (None, _, _) => (MessageKind::Response, Cow::Borrowed("")),
    };
    // Ours are the names with an at sign: a method that borrows one would pass for what it is not.
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
        Some(Kind::Text(name)) => Some(name),
        Some(_) => return Err("the name that the method acts on is not a string"),
    };
    Ok(Message { kind, method, name, id: found.id, version })
}
