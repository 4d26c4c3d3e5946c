//! What a session of the older revisions needs: the stream for what the server sends unasked, and
//! another session when the server has lost one.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::connect::answer::{self, Answer};
use crate::connect::events::Events;
use crate::connect::rpc::Kind;
use crate::connect::session::{Number, Session};
use crate::connect::trouble::Trouble;

use super::{Front, read};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The notification that ends the opening of a session.
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
/// The pause before a stream is taken up again, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The shortest, whatever the server asks for: each time is a signature, and an entry of a log.
pub(super) const LEAST: Duration = Duration::from_millis(100);

impl Front {
    /// Opens the stream for what the server sends unasked, in place of an earlier one.
    pub(super) fn listen(self: &Arc<Self>, number: Number) {
        let front = Arc::clone(self);
        let work = tokio::spawn(async move { front.listening(number).await });
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = listening.replace(work.abort_handle()) {
            earlier.abort();
        }
    }

    async fn listening(&self, number: Number) {
        let (mut last, mut pause) = (None::<String>, PAUSE.0);
        while self.session.is_now(number) {
            let mut asked_pause = None;
            match self.listen_from(last.as_deref()).await {
                Ok(mut events) => {
                    events.last_id.clone_from(&last);
                    while let Ok(Some(data)) = events.next().await {
                        pause = PAUSE.0;
                        // Nothing in it is about a request of ours.
                        let _ = self.deliver_all(&data, None).await;
                    }
                    asked_pause = events.retry;
                    last = events.last_id;
                }
                // The server has no such stream, which is its right, or not for us.
                Err(Trouble::Refused(refusal)) if refusal.status.is_client_error() => {
                    if refusal.status != StatusCode::METHOD_NOT_ALLOWED {
                        let words = Trouble::Refused(refusal).words();
                        self.bridge.log.warn(&format!("no stream of notifications: {words}"));
                    }
                    return;
                }
                Err(trouble) => {
                    let words = trouble.words();
                    self.bridge.log.note(&format!("no stream of notifications: {words}"));
                }
            }
            tokio::time::sleep(asked_pause.unwrap_or(pause).clamp(LEAST, PAUSE.1)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Asks for the events after the one whose id is `last`, or for those of no request.
    pub(super) async fn listen_from(&self, last: Option<&str>) -> Result<Events, Trouble> {
        let (mut fields, _) = self.session.bare_fields();
        if let Some(last) = last {
            let last = HeaderValue::from_str(last)
                .map_err(|_| Trouble::Garbage("an event id that no header can hold".to_owned()))?;
            fields.push((LAST_EVENT_ID, last));
        }
        let response = self.send(Method::GET, fields, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(answer::refusal(response, &self.bridge).await);
        }
        match answer::read(response, &self.bridge, None).await? {
            Answer::Events(events) => Ok(*events),
            _ => Err(Trouble::Garbage("no events in answer to GET".to_owned())),
        }
    }

    /// Opens another session in place of the one that the server has lost, as the client opened
    /// that one. Of several requests that find it lost at once, one does so.
    pub(super) async fn renew(self: &Front, lost: Number) -> Result<(), Trouble> {
        let _one = self.renewing.lock().await;
        if !self.session.is_now(lost) {
            return Ok(());
        }
        let Some(body) = self.session.initialize() else { return Ok(()) };
        self.bridge.log.warn("the server has lost the session; opening another");
        let response = self.send(Method::POST, Vec::new(), body).await?;
        if !response.status().is_success() {
            return Err(answer::refusal(response, &self.bridge).await);
        }
        let id = Session::id_of(&response)?;
        let mut opened = false;
        for text in self.bridge.texts(response).await? {
            for message in answer::messages(answer::as_text(&text)).flatten() {
                if let (Kind::Response(_), Some(result)) = (&message.kind, message.result) {
                    self.session.opened(id.clone(), result);
                    opened = true;
                }
            }
        }
        if !opened {
            return Err(Trouble::Garbage("no session in answer to initialize".to_owned()));
        }
        let body = Bytes::from_static(INITIALIZED);
        let fields = match read(&body) {
            Ok(message) => self.session.fields(&message).0,
            Err(_) => self.session.bare_fields().0,
        };
        self.post(fields, body).await?;
        let (_, number) = self.session.bare_fields();
        if let Some(front) = self.myself.upgrade() {
            front.listen(number);
        }
        Ok(())
    }
}
