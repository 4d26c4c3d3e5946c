//! The stream of messages that a server sends on its own (in MCP revisions with sessions), and the
//! renewal of a session that the server has lost.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::connect::answer::{self, ServerAnswer};
use crate::connect::error::BridgeError;
use crate::connect::events::EventStream;
use crate::connect::json_rpc::InboundKind;
use crate::connect::session::{McpSession, SessionNumber};

use super::{StdioSession, read};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The notification that completes the opening of a session.
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// The first pause before a broken stream is resumed, and the longest one.
const RESUME_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The minimum pause, even if the server asks for less. Each attempt costs a signature and an audit
/// entry.
pub(super) const MIN_RESUME_PAUSE: Duration = Duration::from_millis(100);

impl StdioSession {
    /// Opens the stream of messages that the server sends on its own, and closes an earlier such
    /// stream.
    pub(super) fn listen(self: &Arc<Self>, number: SessionNumber) {
        let session = Arc::clone(self);
        let work = tokio::spawn(async move { session.listening(number).await });
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = listening.replace(work.abort_handle()) {
            earlier.abort();
        }
    }

    async fn listening(&self, number: SessionNumber) {
        let (mut last, mut pause) = (None::<String>, RESUME_PAUSE.0);
        while self.mcp_session.is_current(number) {
            let mut asked_pause = None;
            match self.listen_from(last.as_deref()).await {
                Ok(mut events) => {
                    events.last_id.clone_from(&last);
                    while let Ok(Some(data)) = events.next().await {
                        pause = RESUME_PAUSE.0;
                        // The messages in this stream are no answers, so no request is given.
                        let _ = self.deliver_all(&data, None).await;
                    }
                    asked_pause = events.retry;
                    last = events.last_id;
                }
                // The server has no such stream (405), or refuses to open it.
                Err(BridgeError::Refused(refusal)) if refusal.status.is_client_error() => {
                    if refusal.status != StatusCode::METHOD_NOT_ALLOWED {
                        let words = BridgeError::Refused(refusal).words();
                        self.bridge.log.warn(&format!("no stream of notifications: {words}"));
                    }
                    return;
                }
                Err(error) => {
                    let words = error.words();
                    self.bridge.log.note(&format!("no stream of notifications: {words}"));
                }
            }
            tokio::time::sleep(
                asked_pause.unwrap_or(pause).clamp(MIN_RESUME_PAUSE, RESUME_PAUSE.1),
            )
            .await;
            pause = (pause * 2).min(RESUME_PAUSE.1);
        }
    }

    /// Opens an event stream: with the events after the one with the id `last`, or, if `last` is
    /// None, with the messages that the server sends on its own.
    pub(super) async fn listen_from(&self, last: Option<&str>) -> Result<EventStream, BridgeError> {
        let (mut fields, _) = self.mcp_session.bare_fields();
        if let Some(last) = last {
            let last = HeaderValue::from_str(last).map_err(|_| {
                BridgeError::Garbage("an event id that no header can hold".to_owned())
            })?;
            fields.push((LAST_EVENT_ID, last));
        }
        let response = self.send(Method::GET, fields, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(answer::refusal(response, &self.bridge).await);
        }
        match answer::read(response, &self.bridge, None).await? {
            ServerAnswer::Events(events) => Ok(*events),
            _ => Err(BridgeError::Garbage("no events in answer to GET".to_owned())),
        }
    }

    /// Opens a new session with the client's own `initialize`, after the server has lost the
    /// session `lost`. If several requests notice the loss at once, only one of them opens a
    /// session.
    pub(super) async fn renew(self: &StdioSession, lost: SessionNumber) -> Result<(), BridgeError> {
        let _one = self.renewing.lock().await;
        if !self.mcp_session.is_current(lost) {
            return Ok(());
        }
        let Some(body) = self.mcp_session.initialize() else { return Ok(()) };
        self.bridge.log.warn("the server has lost the session; opening another");
        let response = self.send(Method::POST, Vec::new(), body).await?;
        if !response.status().is_success() {
            return Err(answer::refusal(response, &self.bridge).await);
        }
        let id = McpSession::id_of(&response)?;
        let mut opened = false;
        for text in self.bridge.texts(response).await? {
            for message in answer::messages(answer::as_text(&text)).flatten() {
                if let (InboundKind::Response(_), Some(result)) = (&message.kind, message.result) {
                    self.mcp_session.opened(id.clone(), result);
                    opened = true;
                }
            }
        }
        if !opened {
            return Err(BridgeError::Garbage("no session in answer to initialize".to_owned()));
        }
        let body = Bytes::from_static(INITIALIZED);
        let fields = match read(&body) {
            Ok(message) => self.mcp_session.fields(&message).0,
            Err(_) => self.mcp_session.bare_fields().0,
        };
        self.post(fields, body).await?;
        let (_, number) = self.mcp_session.bare_fields();
        if let Some(session) = self.myself.upgrade() {
            session.listen(number);
        }
        Ok(())
    }
}
