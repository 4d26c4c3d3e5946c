//! The MCP session of a client: the protocol version and session id that each request carries.
//!
//! From revision 2026-07-28 on there are no sessions: each request names its protocol version
//! itself.

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
/// Maximum length of a session id in bytes.
const LONGEST_ID: usize = 4096;
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The session of one client at one server.
#[derive(Debug, Default)]
pub(super) struct McpSession {
    state: Mutex<SessionState>,
}

#[derive(Debug, Default)]
struct SessionState {
    /// The open session, if the client uses an MCP revision with sessions.
    agreed: Option<AgreedSession>,
    /// The client's `initialize`, which is sent again to open a new session if the server loses
    /// this one.
    initialize: Option<Bytes>,
    /// The protocol version of the client's last request, if its revision has no sessions.
    stateless: Option<HeaderValue>,
    /// The number of the current session, which tells messages of earlier sessions apart.
    number: u64,
}

#[derive(Clone, Debug)]
struct AgreedSession {
    version: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

/// The number of the session in which a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionNumber(u64);

impl McpSession {
    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the `Mcp-*` fields for `message`, and the session to which they belong.
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
            // The message names no protocol version and the client has no session, so it is a
            // notification. Revision 2026-07-28 defines no fields for notifications, so this one
            // gets the version of the last request.
            let mut fields = vec![(VERSION, version.clone())];
            if let Ok(value) = HeaderValue::from_str(&headers::encode(method)) {
                fields.push((METHOD, value));
            }
            return (fields, number);
        }
        (agreed(&state), number)
    }

    /// Returns the `Mcp-*` fields of a request without a message (GET and DELETE).
    pub(super) fn bare_fields(&self) -> (Vec<(HeaderName, HeaderValue)>, SessionNumber) {
        let state = self.state();
        (agreed(&state), SessionNumber(state.number))
    }

    /// Stores the `initialize` message that opens the client's session.
    pub(super) fn note_initialize(&self, message: Bytes) {
        self.state().initialize = Some(message);
    }

    /// Returns the session id in the head of an answer to `initialize`, if there is one.
    ///
    /// # Errors
    /// [`BridgeError::Garbage`] if there are two ids, or if the id is longer than 4,096 bytes or
    /// has other characters than visible ASCII. All later requests are signed with this id.
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

    /// Records that a session is open: its id, and the `result` of the answer to `initialize`.
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

    /// Returns true if a session is open.
    pub(super) fn is_open(&self) -> bool {
        self.state().agreed.is_some()
    }

    /// Returns true if the session has an id. A server that gave none keeps no state for the
    /// session that it could lose.
    pub(super) fn has_id(&self) -> bool {
        self.state().agreed.as_ref().is_some_and(|agreed| agreed.id.is_some())
    }

    /// Returns true if `number` is the number of the current session.
    pub(super) fn is_current(&self, number: SessionNumber) -> bool {
        self.state().number == number.0
    }

    /// Returns true if the client declared that it can show a form to a person.
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

    /// Returns the client's `initialize` message.
    pub(super) fn initialize(&self) -> Option<Bytes> {
        self.state().initialize.clone()
    }
}

/// Returns true if a client that declares this under the capability `elicitation` can show forms.
/// An empty object means that it can; `{"url":{}}` means that it only opens URLs.
pub(super) fn can_elicit(declared: &serde_json::Map<String, serde_json::Value>) -> bool {
    declared.is_empty() || declared.contains_key("form")
}

fn agreed(state: &SessionState) -> Vec<(HeaderName, HeaderValue)> {
    let Some(AgreedSession { version, id }) = &state.agreed else { return Vec::new() };
    let version = version.iter().map(|version| (VERSION, version.clone()));
    version.chain(id.iter().map(|id| (SESSION, id.clone()))).collect()
}
