//! Handles one request of the client, up to its answer.

use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use crate::connect::answer::{self, ServerAnswer};
use crate::connect::bridge::ConsentVia;
use crate::connect::error::BridgeError;
use crate::connect::events::EventStream;
use crate::connect::session::McpSession;
use crate::tower::HEADER_MISMATCH;

use super::call::PendingCall;
use super::rounds::RoundOutcome;
use super::stream::MIN_RESUME_PAUSE;
use super::{StdioSession, read};

/// Maximum time to wait for the end of an event stream after the answer has arrived. If the stream
/// ends properly, its connection can be used again.
const STREAM_END_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of attempts in a row to resume an event stream without getting a new event.
const RESUMPTIONS: u32 = 5;

impl StdioSession {
    /// Answers the request `pending`: with the answer of the server, or with an error.
    pub(super) async fn request(&self, pending: PendingCall) {
        let id = pending.id.clone();
        let failed = self.converse(pending).await.err();
        if let (Some(error), Some(entry)) = (failed, self.in_flight.finish(&id))
            && !entry.cancelled
        {
            self.refuse(Some(&entry.id), &error).await;
        }
    }

    async fn converse(&self, mut pending: PendingCall) -> Result<(), BridgeError> {
        let redirects = match self.bridge.consent_via {
            ConsentVia::Client(time_limit) if pending.stateless => {
                match self.round(&mut pending, time_limit).await? {
                    RoundOutcome::Go(redirects) => redirects,
                    RoundOutcome::QuestionSent => return Ok(()),
                }
            }
            _ => self.bridge.agreed(&Method::POST, &pending.body, Some(self)).await?,
        };
        let (mut renewed, mut refreshed) = (false, false);
        let mut again = None;
        loop {
            let mut fields = pending.fields.clone();
            if let ("tools/call", true, Some(tool)) =
                (&*pending.method, pending.stateless, &pending.name)
            {
                fields.extend(self.params.headers(tool, &pending.body));
            }
            let body = pending.body.clone();
            let note_sent = || self.in_flight.note_sent(&pending.id);
            let mut outbound = self.bridge.outbound(Method::POST, fields, body)?;
            outbound.again = again;
            let response = self.bridge.sender.send(&outbound, redirects, &note_sent).await?;
            if response.status().is_success() {
                return self.answered(&pending, response).await;
            }
            let error = answer::refusal(response, &self.bridge).await;
            let mismatch = error.is_fault(StatusCode::BAD_REQUEST, HEADER_MISMATCH.into());
            if mismatch && pending.stateless && pending.method == "tools/call" && !refreshed {
                // The server's tool schemas have changed since the client listed them, so the call
                // lacked header fields.
                refreshed = true;
                again = Some("the server wants other header fields");
                self.refresh(&pending).await?;
            } else if self.session_is_lost(&pending, &error) && !renewed {
                renewed = true;
                again = Some("the server had lost the session, and it was opened again");
                self.renew(pending.number).await?;
                if let Ok(message) = read(&pending.body) {
                    (pending.fields, pending.number) = self.mcp_session.fields(&message);
                }
            } else {
                return Err(error);
            }
        }
    }

    /// Returns true if the request was sent in a session that the server has lost.
    fn session_is_lost(&self, pending: &PendingCall, error: &BridgeError) -> bool {
        error.is_lost_session()
            && !pending.stateless
            && pending.method != "initialize"
            && self.mcp_session.has_id()
    }

    async fn answered(
        &self,
        pending: &PendingCall,
        response: Response<Incoming>,
    ) -> Result<(), BridgeError> {
        let session = match &*pending.method {
            "initialize" => McpSession::id_of(&response)?,
            _ => None,
        };
        let status = response.status();
        let silence = self.bridge.silence.filter(|_| pending.method != "subscriptions/listen");
        match answer::read(response, &self.bridge, silence).await? {
            ServerAnswer::Nothing => {
                Err(BridgeError::Garbage(format!("{status} without an answer to a request")))
            }
            ServerAnswer::Json(text) => {
                let mut why = "it does not answer this request";
                for message in answer::messages(answer::as_text(&text)) {
                    match message {
                        Ok(message) => {
                            self.deliver(&text, message, Some((pending, session.as_ref()))).await?;
                        }
                        Err(words) => why = words,
                    }
                }
                match self.in_flight.waits(&pending.id) {
                    true => Err(BridgeError::Garbage(why.to_owned())),
                    false => Ok(()),
                }
            }
            ServerAnswer::Events(events) => self.follow(pending, session.as_ref(), *events).await,
        }
    }

    /// Reads events until the answer has arrived. If the stream breaks off, it is resumed.
    async fn follow(
        &self,
        pending: &PendingCall,
        session: Option<&HeaderValue>,
        mut events: EventStream,
    ) -> Result<(), BridgeError> {
        let mut without_news = 0;
        loop {
            let error = loop {
                match events.next().await {
                    Ok(Some(data)) => {
                        without_news = 0;
                        self.deliver_all(&data, Some((pending, session))).await?;
                        if !self.in_flight.waits(&pending.id) {
                            let rest = async { while let Ok(Some(_)) = events.next().await {} };
                            let _ = tokio::time::timeout(STREAM_END_TIMEOUT, rest).await;
                            return Ok(());
                        }
                    }
                    Ok(None) => break BridgeError::Ended,
                    Err(error @ BridgeError::Ended) => break error,
                    Err(error) => return Err(error),
                }
            };
            if self.in_flight.is_cancelled(&pending.id) {
                return Err(error);
            }
            let Some(last) = events.last_id.clone().filter(|_| !pending.stateless) else {
                return Err(error);
            };
            loop {
                without_news += 1;
                if without_news > RESUMPTIONS {
                    return Err(error);
                }
                let pause = events.retry.unwrap_or(Duration::from_secs(1));
                tokio::time::sleep(pause.clamp(MIN_RESUME_PAUSE, Duration::from_secs(60))).await;
                self.bridge.log.note("an answer broke off; taking it up again");
                match self.listen_from(Some(&last)).await {
                    Ok(next) => {
                        let (last_id, retry) = (events.last_id.take(), events.retry);
                        events = next;
                        (events.last_id, events.retry) = (last_id, retry);
                        break;
                    }
                    Err(BridgeError::Refused(refusal)) if refusal.status.is_client_error() => {
                        return Err(error);
                    }
                    Err(_) => {}
                }
            }
        }
    }
}
