//! What a server and its client have agreed on: nothing since revision 2026-07-28, before it a
//! protocol version and mostly a session id.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::mcp::body::{Message, MessageKind};
use crate::mcp::headers;

use super::error::BridgeError;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The longest session id that is sent back.
const LONGEST_ID: usize = 4096;
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The state of one client at one server.
#[derive(Debug, Default)]
pub(super) struct McpSession {
    state: Mutex<SessionState>,
}

#[derive(Debug, Default)]
struct SessionState {
    /// Of an older revision: what `initialize` agreed on.
    agreed: Option<AgreedSession>,
    /// The client's `initialize`, to open another session when the server has lost this one.
    initialize: Option<Bytes>,
    /// The version that the client's stateless requests name.
    stateless: Option<HeaderValue>,
    /// Counts the sessions, so that what belongs to an earlier one is not taken for this one's.
    number: u64,
}

#[derive(Clone, Debug)]
struct AgreedSession {
    version: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

/// Which session something was sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionNumber(u64);

impl McpSession {
    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fields that go with `message`, and the session that they name.
    pub(super) fn fields(
        &self,
        message: &Message<'_>,
    ) -> (Vec<(HeaderName, HeaderValue)>, SessionNumber) {
        let mut state = self.state();
        let number = SessionNumber(state.number);
        let mirror: Vec<_> = headers::for_message(message)
            .into_iter()
            .filter_map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(&value).ok()?))
            })
            .collect();
        if !mirror.is_empty() {
            if message.kind() == MessageKind::Request {
                let version = mirror.iter().find(|(name, _)| *name == VERSION);
                state.stateless = version.map(|(_, value)| value.clone());
            }
            return (mirror, number);
        }
        if message.method() == Some("initialize") {
            return (Vec::new(), number);
        }
        if state.agreed.is_none()
            && let (Some(version), Some(method)) = (&state.stateless, message.method())
        {
            // A notification of a stateless client, whose fields the revision leaves open.
            let mut fields = vec![(VERSION, version.clone())];
            if let Ok(value) = HeaderValue::from_str(&headers::encode(method)) {
                fields.push((METHOD, value));
            }
            return (fields, number);
        }
        (agreed(&state), number)
    }

    /// The fields of a request without a message, such as GET and DELETE.
    pub(super) fn bare_fields(&self) -> (Vec<(HeaderName, HeaderValue)>, SessionNumber) {
        let state = self.state();
        (agreed(&state), SessionNumber(state.number))
    }

    /// The client asked to open a session by `message`.
    pub(super) fn note_initialize(&self, message: Bytes) {
        self.state().initialize = Some(message);
    }

    /// The session id that an answer to `initialize` came with.
    ///
    /// # Errors
    /// One that is not visible ASCII, as it has to be, or too long, or two of them: it would be in
    /// everything that is signed from then on.
    pub(super) fn id_of<B>(response: &Response<B>) -> Result<Option<HeaderValue>, BridgeError> {
        let mut ids = response.headers().get_all(SESSION).iter();
        let id = match (ids.next(), ids.next()) {
            (None, _) => return Ok(None),
            (Some(id), None) => id.as_bytes(),
            _ => return Err(BridgeError::Garbage("it names two sessions".to_owned())),
        };
        let fits = (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
        match HeaderValue::from_bytes(id) {
            Ok(value) if fits => Ok(Some(value)),
            _ => Err(BridgeError::Garbage(format!(
                "its session id is not 1 to {LONGEST_ID} visible ASCII characters"
            ))),
        }
    }

    /// The server opened a session, by an answer that came with `id` and has this `result`.
    pub(super) fn opened(&self, id: Option<HeaderValue>, result: &RawValue) {
        #[derive(Deserialize)]
        struct InitializeResult {
            #[serde(rename = "protocolVersion")]
            version: String,
        }
        let opened = serde_json::from_str::<InitializeResult>(result.get()).ok();
        let version = opened.and_then(|opened| HeaderValue::from_str(&opened.version).ok());
        let mut state = self.state();
        state.agreed = Some(AgreedSession { version, id });
        state.number += 1;
    }

    /// Whether there is a session of an older revision.
    pub(super) fn is_open(&self) -> bool {
        self.state().agreed.is_some()
    }

    /// Whether the session has an id, so that the server keeps something that can be lost.
    pub(super) fn has_id(&self) -> bool {
        self.state().agreed.as_ref().is_some_and(|agreed| agreed.id.is_some())
    }

    /// Whether `number` is the session of now.
    pub(super) fn is_now(&self, number: SessionNumber) -> bool {
        self.state().number == number.0
    }

    /// Whether the client said that it can put a question to a person.
    pub(super) fn elicits(&self) -> bool {
        #[derive(Deserialize)]
        struct InitializeRequest {
            params: InitializeParams,
        }
        #[derive(Deserialize)]
        struct InitializeParams {
            capabilities: DeclaredCapabilities,
        }
        #[derive(Deserialize)]
        struct DeclaredCapabilities {
            elicitation: serde_json::Map<String, serde_json::Value>,
        }
        let state = self.state();
        let initialize = state.agreed.as_ref().and(state.initialize.as_ref());
        initialize
            .and_then(|message| serde_json::from_slice::<InitializeRequest>(message).ok())
            .is_some_and(|initialize| can_elicit(&initialize.params.capabilities.elicitation))
    }

    /// The message that opened the session.
    pub(super) fn initialize(&self) -> Option<Bytes> {
        self.state().initialize.clone()
    }
}

/// Whether a client that declares this under `elicitation` shows forms: nothing said means so, and
/// it may also say that it only opens URLs.
pub(super) fn can_elicit(declared: &serde_json::Map<String, serde_json::Value>) -> bool {
    declared.is_empty() || declared.contains_key("form")
}

fn agreed(state: &SessionState) -> Vec<(HeaderName, HeaderValue)> {
    let Some(AgreedSession { version, id }) = &state.agreed else { return Vec::new() };
    let version = version.iter().map(|version| (VERSION, version.clone()));
    version.chain(id.iter().map(|id| (SESSION, id.clone()))).collect()
}
