//! The tasks of a stdio session: each message of the client starts one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};

use crate::connect::error::BridgeError;
use crate::connect::json_rpc::RequestId;
use crate::connect::line::ClientLine;
use crate::mcp::body::{Message, MessageKind};
use crate::message::shown::visible;

use super::StdioSession;
use super::call::PendingCall;
use super::in_flight::{CancelEffect, InFlightRequest, MAX_OPEN_REQUESTS, NotBegun};
use super::reading::{cancels, lenient_id, read};

/// How long a server may take to end a cancelled request.
const CANCELLING: Duration = Duration::from_secs(10);

/// The running tasks of a session.
pub(super) struct SessionTasks {
    session: Arc<StdioSession>,
    requests: JoinSet<()>,
    /// The id of the request that each task handles.
    ids: HashMap<task::Id, RequestId>,
    posts: JoinSet<()>,
}

impl SessionTasks {
    pub(super) fn new(session: Arc<StdioSession>) -> Self {
        SessionTasks {
            session,
            requests: JoinSet::new(),
            ids: HashMap::new(),
            posts: JoinSet::new(),
        }
    }

    /// Aborts all tasks, and waits until they have ended.
    pub(super) async fn give_up(mut self) {
        self.requests.shutdown().await;
        self.posts.shutdown().await;
    }

    /// Waits until a task ends. Waits forever if there is none.
    pub(super) async fn one_done(&mut self) {
        tokio::select! {
            Some(done) = self.requests.join_next_with_id() => self.done(done).await,
            Some(_) = self.posts.join_next() => {}
            else => std::future::pending().await,
        }
    }

    pub(super) async fn all_done(&mut self) {
        while let Some(done) = self.requests.join_next_with_id().await {
            self.done(done).await;
        }
        while self.posts.join_next().await.is_some() {}
    }

    /// Handles the end of a request's task. If the task panicked, the client gets an error.
    async fn done(&mut self, done: Result<(task::Id, ()), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
        let Some(id) = self.ids.remove(&task) else { return };
        if done.is_err_and(|error| error.is_panic())
            && let Some(entry) = self.session.in_flight.finish(&id)
        {
            let error = entry.given_up("this is a bug of mcpid, please report it");
            self.session.refuse(Some(&entry.id), &error).await;
        }
    }

    /// Handles one line of the client. If a receiver is returned, the next line must wait until it
    /// completes.
    pub(super) async fn handle(&mut self, line: ClientLine) -> Option<oneshot::Receiver<()>> {
        let session = &self.session;
        let limit = session.bridge.max_body;
        let line = match line {
            ClientLine::TooLong(bytes) => {
                session.refuse(None, &BridgeError::TooLong { bytes, limit }).await;
                return None;
            }
            ClientLine::Whole(line) if line.trim_ascii().is_empty() => return None,
            ClientLine::Whole(line) => Bytes::from(line),
        };
        // The line may end with CR LF; the CR is removed.
        let line = line.slice_ref(line.trim_ascii());
        if line.len() > limit {
            let error = BridgeError::TooLong { bytes: line.len(), limit };
            session.refuse(lenient_id(&line).as_deref(), &error).await;
            return None;
        }
        let message = match read(&line) {
            Ok(message) => message,
            Err(why) => {
                session.refuse(lenient_id(&line).as_deref(), &BridgeError::Unreadable(why)).await;
                return None;
            }
        };
        match message.kind() {
            MessageKind::Request => {
                self.request(&line, &message).await;
                None
            }
            MessageKind::Notification => self.notification(&line, &message),
            MessageKind::Response if session.questions.answered(&line, &message) => None,
            MessageKind::Response => Some(self.post(line.clone(), &message)),
        }
    }

    async fn request(&mut self, line: &Bytes, message: &Message<'_>) {
        let session = &self.session;
        let method = message.method().unwrap_or_default();
        let Some(raw) = message.id() else {
            let why = "the id is neither a number nor a string".to_owned();
            return session.refuse(None, &BridgeError::Unreadable(why)).await;
        };
        let Some(id) = RequestId::read(raw) else { return };
        let stateless = message.protocol_version().is_some();
        let entry = InFlightRequest {
            id: raw.to_owned(),
            stateless,
            is_subscription: method == "subscriptions/listen",
            sent: false,
            cancelled: false,
            work: None,
        };
        match session.in_flight.begin(id.clone(), entry) {
            Ok(()) => {}
            Err(NotBegun::Duplicate) => {
                // The error is sent without this id, because it would answer the other request that
                // waits under the same id.
                let why = format!("a request with the id {} waits already", visible(raw));
                return session.refuse(None, &BridgeError::Unreadable(why)).await;
            }
            Err(NotBegun::TooMany) => {
                return session
                    .refuse(Some(raw), &BridgeError::TooManyOpen(MAX_OPEN_REQUESTS))
                    .await;
            }
        }
        if method == "initialize" {
            session.mcp_session.note_initialize(line.clone());
        }
        let (fields, number) = session.mcp_session.fields(message);
        let pending = PendingCall {
            id: id.clone(),
            method: method.to_owned(),
            name: message.name().map(str::to_owned),
            stateless,
            body: line.clone(),
            fields,
            number,
            last_notified: Mutex::new(None),
            alias: None,
        };
        let session = Arc::clone(session);
        let work = self.requests.spawn(async move { session.request(pending).await });
        self.ids.insert(work.id(), id.clone());
        self.session.in_flight.set_work(&id, work);
    }

    fn notification(
        &mut self,
        line: &Bytes,
        message: &Message<'_>,
    ) -> Option<oneshot::Receiver<()>> {
        if message.method() == Some("notifications/cancelled") {
            let id = cancels(line);
            let cancelled = id.as_ref().map(|id| self.session.in_flight.cancel(id));
            match (cancelled.unwrap_or(CancelEffect::Unknown), id) {
                // The server needs no notification: it saw the connection close, or never received
                // the request.
                (CancelEffect::Closed, _) => return None,
                (CancelEffect::Unknown, _) if !self.session.mcp_session.is_open() => return None,
                (CancelEffect::Tell, Some(id)) => {
                    let session = Arc::clone(&self.session);
                    self.posts.spawn(async move {
                        tokio::time::sleep(CANCELLING).await;
                        if let Some(entry) = session.in_flight.finish(&id) {
                            entry.work.iter().for_each(AbortHandle::abort);
                        }
                    });
                }
                _ => {}
            }
        }
        Some(self.post(line.clone(), message))
    }

    /// Sends a message to which the server sends no answer, on a separate task.
    fn post(&mut self, body: Bytes, message: &Message<'_>) -> oneshot::Receiver<()> {
        let (fields, number) = self.session.mcp_session.fields(message);
        let begins = message.method() == Some("notifications/initialized");
        let what = message.method().unwrap_or("an answer of the client").to_owned();
        let session = Arc::clone(&self.session);
        let (done, posted) = oneshot::channel();
        self.posts.spawn(async move {
            match session.post(fields, body).await {
                Ok(()) if begins && session.mcp_session.is_open() => session.listen(number),
                Ok(()) => {}
                Err(error) => session.bridge.log.warn(&format!(
                    "{} did not arrive: {}",
                    visible(&what),
                    error.words()
                )),
            }
            let _ = done.send(());
        });
        posted
    }
}
