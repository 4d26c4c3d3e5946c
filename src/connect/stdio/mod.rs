//! The front for clients that start a server as a process and speak to it by its streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, AbortHandle, JoinError, JoinHandle, JoinSet};

use crate::mcp::body::{Message, MessageKind};
use crate::message::shown::visible;

use super::answer;
use super::consent::Need;
use super::line::{self, Line, Out};
use super::params::Params;
use super::rpc::Id;
use super::send::Away;
use super::session::Session;
use super::trouble::Trouble;
use super::{Bridge, Ended};
use ask::Questions;
use flight::{Cancelled, Entry, Flight};
use reading::{cancels, lenient_id, read};
use request::Asked;
use rounds::Rounds;

mod ask;
mod deliver;
mod flight;
pub(super) mod reading;
mod request;
mod rounds;
mod stream;
mod tools;

/// How long the next message may have to wait for a notification before it to arrive.
const IN_ORDER: Duration = Duration::from_secs(5);
/// How long a server has to end what was cancelled.
const CANCELLING: Duration = Duration::from_secs(10);
/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// A message so many times over the limit is not even held to be refused.
const HELD: usize = 8;

/// One client.
struct Front {
    /// For work that outlives the request that began it.
    myself: Weak<Front>,
    bridge: Arc<Bridge>,
    out: Out,
    session: Session,
    /// Held while a lost session is opened anew.
    renewing: tokio::sync::Mutex<()>,
    params: Params,
    flight: Flight,
    /// Questions that the client was asked to pass on.
    asking: Questions,
    /// Calls that wait for the client to come back with a yes.
    rounds: Rounds,
    /// The stream for what the server sends unasked.
    listening: Mutex<Option<AbortHandle>>,
}

/// Serves the client at `input` and `output`.
pub(super) async fn run<R, W>(
    bridge: Arc<Bridge>,
    input: R,
    output: W,
    stop: impl Future<Output = ()>,
) -> Ended
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let most = bridge.max_body.saturating_mul(HELD);
    let (out, writing) = Out::new(output);
    let mut writing = tokio::spawn(writing);
    let (sender, mut lines) = mpsc::channel(1);
    let reading = tokio::spawn(async move {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        // A stream that breaks has ended.
        while let Ok(Some(line)) = line::read(&mut input, most).await {
            if sender.send(line).await.is_err() {
                return;
            }
        }
    });
    let front = Arc::new_cyclic(|myself| Front {
        myself: Weak::clone(myself),
        bridge,
        out,
        session: Session::default(),
        renewing: tokio::sync::Mutex::new(()),
        params: Params::default(),
        flight: Flight::default(),
        asking: Questions::default(),
        rounds: Rounds::default(),
        listening: Mutex::new(None),
    });
    let mut work = Work {
        front: Arc::clone(&front),
        requests: JoinSet::new(),
        ids: HashMap::new(),
        posts: JoinSet::new(),
    };
    let mut stop = std::pin::pin!(stop);
    let mut before: Option<oneshot::Receiver<()>> = None;
    let mut ended = loop {
        let next = async {
            if let Some(posted) = &mut before {
                let _ = tokio::time::timeout(IN_ORDER, posted).await;
            }
            before = None;
            lines.recv().await
        };
        tokio::select! {
            () = &mut stop => break Ended::Stopped,
            _ = &mut writing => break Ended::OutputClosed,
            () = work.one_done() => {}
            line = next => match line {
                None => break Ended::InputClosed,
                // It may have to wait for a client that does not read.
                Some(line) => tokio::select! {
                    () = &mut stop => break Ended::Stopped,
                    _ = &mut writing => break Ended::OutputClosed,
                    posted = work.handle(line) => before = posted,
                },
            },
        }
    };
    if ended == Ended::InputClosed {
        // Whoever pipes a message in wants its answer; a client that has gone waits for nothing.
        front.flight.close_listening();
        front.stop_listening();
        tokio::select! {
            () = &mut stop => ended = Ended::Stopped,
            _ = &mut writing => ended = Ended::OutputClosed,
            _ = tokio::time::timeout(front.bridge.drain, work.all_done()) => {}
        }
    }
    reading.abort();
    work.requests.shutdown().await;
    work.posts.shutdown().await;
    // With the last of them the output ends.
    drop(work);
    front.end(writing, ended).await;
    ended
}

/// What is under way.
struct Work {
    front: Arc<Front>,
    requests: JoinSet<()>,
    /// Which request each of them is about.
    ids: HashMap<task::Id, Id>,
    posts: JoinSet<()>,
}

impl Work {
    /// Waits until a task has ended; forever, if there is none.
    async fn one_done(&mut self) {
        tokio::select! {
            Some(done) = self.requests.join_next_with_id() => self.done(done).await,
            Some(_) = self.posts.join_next() => {}
            else => std::future::pending().await,
        }
    }

    async fn all_done(&mut self) {
        while let Some(done) = self.requests.join_next_with_id().await {
            self.done(done).await;
        }
        while self.posts.join_next().await.is_some() {}
    }

    /// A request's work is over. If it died of a fault of ours, its client hears of it.
    async fn done(&mut self, done: Result<(task::Id, ()), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
        let Some(id) = self.ids.remove(&task) else { return };
        if done.is_err_and(|error| error.is_panic())
            && let Some(entry) = self.front.flight.finish(&id)
        {
            let trouble = Trouble::Broken("this is a bug of mcpid, please report it".to_owned());
            self.front.refuse(Some(&entry.id), &trouble).await;
        }
    }

    /// Takes one line of the client; what is returned is done when the next may follow.
    async fn handle(&mut self, line: Line) -> Option<oneshot::Receiver<()>> {
        let front = &self.front;
        let limit = front.bridge.max_body;
        let line = match line {
            Line::TooLong(bytes) => {
                front.refuse(None, &Trouble::TooLong { bytes, limit }).await;
                return None;
            }
            Line::Whole(line) if line.trim_ascii().is_empty() => return None,
            Line::Whole(line) => Bytes::from(line),
        };
        // The end of a line may be two characters, of which the message has neither.
        let line = line.slice_ref(line.trim_ascii());
        if line.len() > limit {
            let trouble = Trouble::TooLong { bytes: line.len(), limit };
            front.refuse(lenient_id(&line).as_deref(), &trouble).await;
            return None;
        }
        let message = match read(&line) {
            Ok(message) => message,
            Err(why) => {
                front.refuse(lenient_id(&line).as_deref(), &Trouble::Unreadable(why)).await;
                return None;
            }
        };
        match message.kind() {
            MessageKind::Request => {
                self.request(&line, &message).await;
                None
            }
            MessageKind::Notification => self.notification(&line, &message),
            MessageKind::Response if front.asking.answered(&line, &message) => None,
            MessageKind::Response => Some(self.post(line.clone(), &message)),
        }
    }

    async fn request(&mut self, line: &Bytes, message: &Message<'_>) {
        let front = &self.front;
        let method = message.method().unwrap_or_default();
        let Some(raw) = message.id() else {
            let why = "the id is neither a number nor a string".to_owned();
            return front.refuse(None, &Trouble::Unreadable(why)).await;
        };
        let Some(id) = Id::read(raw) else { return };
        let stateless = message.protocol_version().is_some();
        let entry = Entry {
            id: raw.to_owned(),
            stateless,
            listens: method == "subscriptions/listen",
            sent: false,
            cancelled: false,
            work: None,
        };
        if !front.flight.begin(id.clone(), entry) {
            // An answer with this id would be taken for the other request's.
            let why = format!("a request with the id {} waits already", visible(raw));
            return front.refuse(None, &Trouble::Unreadable(why)).await;
        }
        if method == "initialize" {
            front.session.asked(line.clone());
        }
        let (fields, number) = front.session.fields(message);
        let asked = Asked {
            id: id.clone(),
            method: method.to_owned(),
            name: message.name().map(str::to_owned),
            stateless,
            body: line.clone(),
            fields,
            number,
            told: Mutex::new(None),
            alias: None,
        };
        let front = Arc::clone(front);
        let work = self.requests.spawn(async move { front.request(asked).await });
        self.ids.insert(work.id(), id.clone());
        self.front.flight.work(&id, work);
    }

    fn notification(
        &mut self,
        line: &Bytes,
        message: &Message<'_>,
    ) -> Option<oneshot::Receiver<()>> {
        if message.method() == Some("notifications/cancelled") {
            let id = cancels(line);
            let cancelled = id.as_ref().map(|id| self.front.flight.cancel(id));
            match (cancelled.unwrap_or(Cancelled::Unknown), id) {
                // Closing the request has told the server, or there is nothing to tell.
                (Cancelled::Closed, _) => return None,
                (Cancelled::Unknown, _) if !self.front.session.is_open() => return None,
                (Cancelled::Tell, Some(id)) => {
                    let front = Arc::clone(&self.front);
                    self.posts.spawn(async move {
                        tokio::time::sleep(CANCELLING).await;
                        if let Some(entry) = front.flight.finish(&id) {
                            entry.work.iter().for_each(AbortHandle::abort);
                        }
                    });
                }
                _ => {}
            }
        }
        Some(self.post(line.clone(), message))
    }

    /// Sends what wants no answer.
    fn post(&mut self, body: Bytes, message: &Message<'_>) -> oneshot::Receiver<()> {
        let (fields, number) = self.front.session.fields(message);
        let begins = message.method() == Some("notifications/initialized");
        let what = message.method().unwrap_or("an answer of the client").to_owned();
        let front = Arc::clone(&self.front);
        let (done, posted) = oneshot::channel();
        self.posts.spawn(async move {
            match front.post(fields, body).await {
                Ok(()) if begins && front.session.is_open() => front.listen(number),
                Ok(()) => {}
                Err(trouble) => front.bridge.log.warn(&format!(
                    "{} did not arrive: {}",
                    visible(&what),
                    trouble.words()
                )),
            }
            let _ = done.send(());
        });
        posted
    }
}

impl Front {
    /// Answers the request whose id is `id` (JSON), or nobody's, with an error.
    async fn refuse(&self, id: Option<&str>, trouble: &Trouble) {
        self.bridge.log.warn(&trouble.words());
        self.out.line(trouble.fault().response(id)).await;
    }

    /// Sends what a person need not be asked about, or said yes to.
    async fn send(
        &self,
        method: Method,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<Response<Incoming>, Trouble> {
        let away = self.bridge.agreed(&method, &body, Some(self)).await?;
        self.bridge.send(method, fields, body, away).await
    }

    /// Sends a message that wants no answer.
    async fn post(
        &self,
        fields: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Result<(), Trouble> {
        let response = self.send(Method::POST, fields, body).await?;
        if response.status().is_success() {
            // Nothing is wanted, but a connection whose answer was read can be used again.
            let silence = Some(FAREWELL);
            let _ = answer::read(response, &self.bridge, silence).await;
            return Ok(());
        }
        Err(answer::refusal(response, &self.bridge).await)
    }

    fn stop_listening(&self) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        listening.iter().for_each(AbortHandle::abort);
    }

    /// The orderly end: what waits is answered, the session closed, the last line written.
    async fn end(self: Arc<Self>, mut writing: JoinHandle<std::io::Result<()>>, ended: Ended) {
        self.stop_listening();
        if ended != Ended::OutputClosed {
            let why = match ended {
                Ended::Stopped => "mcpid was told to stop".to_owned(),
                _ => "the client closed its end".to_owned(),
            };
            let trouble = Trouble::Broken(why);
            for entry in self.flight.give_up() {
                let told = self.out.line(trouble.fault().response(Some(&entry.id)));
                let _ = tokio::time::timeout(FAREWELL, told).await;
            }
        }
        // At the end nobody is asked any more.
        let unasked = matches!(self.bridge.need(&Method::DELETE, &[]), Need::Nothing);
        if self.session.has_id() && unasked {
            let (fields, _) = self.session.bare_fields();
            let farewell = self.bridge.send(Method::DELETE, fields, Bytes::new(), Away::Once);
            if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
                self.bridge.log.note("the server was not told that the session is over");
            }
        }
        drop(self);
        if ended != Ended::OutputClosed {
            let _ = tokio::time::timeout(FAREWELL, &mut writing).await;
        }
        writing.abort();
    }
}
