//! One request of the client, from its line to its answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::value::RawValue;

use crate::connect::Asking;
use crate::connect::answer::{self, Answer, Events};
use crate::connect::params::Lesson;
use crate::connect::rpc::{self, Fault, Id, Inbound, Kind};
use crate::connect::session::{Number, Session};
use crate::connect::trouble::{Refusal, Trouble, beginning};
use crate::tower::HEADER_MISMATCH;

use super::rounds::{Alias, Round};
use super::stream::LEAST;
use super::{Front, read};

/// How long a stream may stay open after its answer: as long as it takes to close it in an orderly
/// way, so that the connection can be used again.
const LINGER: Duration = Duration::from_secs(2);
/// How long an answer keeps apart from a notification right before it. Clients exist that read both
/// at once, handle the answer first, and drop the last progress of what is then over.
const APART: Duration = Duration::from_millis(5);
/// How often in a row an answer is taken up again without anything new.
const RESUMPTIONS: u32 = 5;
/// Pages of a tool list that are read to find the schema of one tool.
const PAGES: usize = 100;
/// JSON-RPC: there is no such method.
const METHOD_NOT_FOUND: i64 = -32601;

/// A request of the client.
pub(super) struct Asked {
    pub(super) id: Id,
    pub(super) method: String,
    pub(super) name: Option<String>,
    /// It names a protocol version itself.
    pub(super) stateless: bool,
    pub(super) body: Bytes,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) number: Number,
    /// When the last notification about it was handed on.
    pub(super) told: Mutex<Option<Instant>>,
    /// It came a second time, with a yes, and is sent as it came the first time.
    pub(super) alias: Option<Alias>,
}

impl Asked {
    fn told(&self) -> MutexGuard<'_, Option<Instant>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Front {
    /// Gets `asked` answered, by the server or by an error that says why not.
    pub(super) async fn request(&self, asked: Asked) {
        let id = asked.id.clone();
        let failed = self.converse(asked).await.err();
        if let (Some(trouble), Some(entry)) = (failed, self.flight.finish(&id))
            && !entry.cancelled
        {
            self.refuse(Some(&entry.id), &trouble).await;
        }
    }

    async fn converse(&self, mut asked: Asked) -> Result<(), Trouble> {
        let away = match self.bridge.asking {
            Asking::Client(patience) if asked.stateless => {
                match self.round(&mut asked, patience).await? {
                    Round::Go(away) => away,
                    Round::Asked => return Ok(()),
                }
            }
            _ => self.bridge.agreed(&Method::POST, &asked.body, Some(self)).await?,
        };
        self.flight.sent(&asked.id);
        let (mut renewed, mut refreshed) = (false, false);
        loop {
            let mut fields = asked.fields.clone();
            if let ("tools/call", true, Some(tool)) = (&*asked.method, asked.stateless, &asked.name)
            {
                fields.extend(self.params.headers(tool, &asked.body));
            }
            let body = asked.body.clone();
            let response = self.bridge.send(Method::POST, fields, body, away).await?;
            if response.status().is_success() {
                return self.answered(&asked, response).await;
            }
            let trouble = answer::refusal(response, &*self.bridge.sender.clock).await;
            let mismatch = trouble.is_fault(StatusCode::BAD_REQUEST, HEADER_MISMATCH.into());
            if mismatch && asked.stateless && asked.method == "tools/call" && !refreshed {
                // The server mirrors other parameters than it did when its tools were listed.
                refreshed = true;
                self.refresh(&asked).await?;
            } else if self.session_is_lost(&asked, &trouble) && !renewed {
                renewed = true;
                self.renew(asked.number).await?;
                if let Ok(message) = read(&asked.body) {
                    (asked.fields, asked.number) = self.session.fields(&message);
                }
            } else {
                return Err(trouble);
            }
        }
    }

    /// 404 is how a server says that a session is over; other things that are not there are said
    /// in JSON-RPC.
    fn session_is_lost(&self, asked: &Asked, trouble: &Trouble) -> bool {
        trouble.status() == Some(StatusCode::NOT_FOUND)
            && !trouble.is_fault(StatusCode::NOT_FOUND, METHOD_NOT_FOUND)
            && !asked.stateless
            && asked.method != "initialize"
            && self.session.has_id()
    }

    async fn answered(&self, asked: &Asked, response: Response<Incoming>) -> Result<(), Trouble> {
        let session = match &*asked.method {
            "initialize" => Session::id_of(&response)?,
            _ => None,
        };
        let status = response.status();
        let (limit, silence) = (self.bridge.max_answer, self.bridge.silence);
        let silence = silence.filter(|_| asked.method != "subscriptions/listen");
        match answer::read(response, limit, silence).await? {
            Answer::Nothing => {
                Err(Trouble::Garbage(format!("{status} without an answer to a request")))
            }
            Answer::Json(text) => {
                let mut why = "it does not answer this request";
                for message in answer::messages(&text) {
                    match message {
                        Ok(message) => {
                            self.deliver(message, Some((asked, session.as_ref()))).await?;
                        }
                        Err(words) => why = words,
                    }
                }
                match self.flight.waits(&asked.id) {
                    true => Err(Trouble::Garbage(why.to_owned())),
                    false => Ok(()),
                }
            }
            Answer::Events(events) => self.follow(asked, session.as_ref(), *events).await,
        }
    }

    /// Reads events until the answer is there, over as many connections as it takes.
    async fn follow(
        &self,
        asked: &Asked,
        session: Option<&HeaderValue>,
        mut events: Events,
    ) -> Result<(), Trouble> {
        let mut without_news = 0;
        loop {
            let trouble = loop {
                match events.next().await {
                    Ok(Some(data)) => {
                        without_news = 0;
                        self.deliver_all(&data, Some((asked, session))).await?;
                        if !self.flight.waits(&asked.id) {
                            let rest = async { while let Ok(Some(_)) = events.next().await {} };
                            let _ = tokio::time::timeout(LINGER, rest).await;
                            return Ok(());
                        }
                    }
                    Ok(None) => break Trouble::Ended,
                    Err(trouble @ Trouble::Ended) => break trouble,
                    Err(trouble) => return Err(trouble),
                }
            };
            if self.flight.is_cancelled(&asked.id) {
                return Err(trouble);
            }
            let Some(last) = events.last_id.clone().filter(|_| !asked.stateless) else {
                return Err(trouble);
            };
            loop {
                without_news += 1;
                if without_news > RESUMPTIONS {
                    return Err(trouble);
                }
                let pause = events.retry.unwrap_or(Duration::from_secs(1));
                tokio::time::sleep(pause.clamp(LEAST, Duration::from_secs(60))).await;
                self.bridge.log.note("an answer broke off; taking it up again");
                match self.listen_from(Some(&last)).await {
                    Ok(next) => {
                        let (last_id, retry) = (events.last_id.take(), events.retry);
                        events = next;
                        (events.last_id, events.retry) = (last_id, retry);
                        break;
                    }
                    Err(Trouble::Refused(refusal)) if refusal.status.is_client_error() => {
                        return Err(trouble);
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Hands on each message in `data`; what is none is only logged, for its stream may go on.
    pub(super) async fn deliver_all(
        &self,
        data: &str,
        of: Option<(&Asked, Option<&HeaderValue>)>,
    ) -> Result<(), Trouble> {
        for message in answer::messages(data) {
            match message {
                Ok(message) => self.deliver(message, of).await?,
                Err(why) => {
                    self.bridge.log.warn(&format!("an event of the server is left out: {why}"))
                }
            }
        }
        Ok(())
    }

    /// Hands on one message of the server, which came with the answer to the request `of` and the
    /// session id beside it, or unasked.
    async fn deliver(
        &self,
        message: Inbound<'_>,
        of: Option<(&Asked, Option<&HeaderValue>)>,
    ) -> Result<(), Trouble> {
        let own = of.map(|(asked, _)| asked);
        let id = match (&message.kind, own) {
            (Kind::Other, _) => {
                let alias = own.and_then(|asked| asked.alias.as_ref());
                let renamed = alias.and_then(|alias| alias.progress(message.text));
                let text = renamed.as_deref().unwrap_or(message.text);
                self.out.line(rpc::one_line(text).into_owned()).await;
                if let Some(asked) = own {
                    *asked.told() = Some(Instant::now());
                }
                return Ok(());
            }
            (Kind::Response(id), _) => id.clone(),
            // It came for this request, so that it is about this request.
            (Kind::NobodysError, Some(_)) => {
                let fault = message.error.and_then(Fault::read);
                let (status, text, hint) = (StatusCode::OK, None, None);
                return Err(Trouble::Refused(Box::new(Refusal { status, fault, text, hint })));
            }
            (Kind::NobodysError, None) => {
                self.bridge.log.warn("the server sent an error that names no request");
                return Ok(());
            }
        };
        let mut line = None;
        let id = match own.map(|asked| (asked, asked.alias.as_ref())) {
            Some((asked, Some(alias))) if alias.sent == id => {
                line = Some(rpc::one_line(&alias.response(&message)).into_owned());
                asked.id.clone()
            }
            _ => id,
        };
        if let (Some(asked), Some(result)) = (own.filter(|asked| asked.id == id), message.result) {
            match &*asked.method {
                "initialize" => {
                    self.session.opened(of.and_then(|(_, session)| session.cloned()), result);
                }
                "tools/list" => {
                    self.bridge.learn(message.text);
                    line = self.tools_listed(asked, &message, result);
                }
                _ => {}
            }
        }
        let told = own.and_then(|asked| asked.told().take());
        if let Some(rest) = told.and_then(|told| APART.checked_sub(told.elapsed())) {
            tokio::time::sleep(rest).await;
        }
        match self.flight.answer(&id) {
            Some(entry) if !entry.cancelled => {
                let line = line.unwrap_or_else(|| rpc::one_line(message.text).into_owned());
                self.out.line(line).await;
            }
            Some(_) => {}
            None => self.bridge.log.warn("the server answers a request that does not wait"),
        }
        Ok(())
    }

    /// Learns from a list of tools; the message without the tools that must be left out, if there
    /// are any.
    fn tools_listed(
        &self,
        asked: &Asked,
        message: &Inbound<'_>,
        result: &RawValue,
    ) -> Option<String> {
        if !asked.stateless {
            // The annotations came with the revision that has no sessions.
            return None;
        }
        let Lesson { invalid, result: changed, .. } = self.params.learn(result);
        for (tool, why) in invalid {
            let (tool, why) = (beginning(&tool), beginning(&why));
            self.bridge.log.warn(&format!("the tool {tool} is left out: x-mcp-header has {why}"));
        }
        let (whole, part) = (message.text, result.get());
        let at = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let (before, rest) = whole.split_at_checked(at)?;
        let after = rest.get(part.len()..)?;
        changed.map(|changed| rpc::one_line(&format!("{before}{changed}{after}")).into_owned())
    }

    /// Asks for the list of tools once more, so that the parameters of a call can be mirrored.
    async fn refresh(&self, asked: &Asked) -> Result<(), Trouble> {
        self.bridge.log.note("the server wants other headers; asking for its tools again");
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let Some(body) = list_request(&asked.body, cursor.as_deref()) else { return Ok(()) };
            let body = Bytes::from(body);
            let Ok(message) = read(&body) else { return Ok(()) };
            let (fields, _) = self.session.fields(&message);
            let response = self.send(Method::POST, fields, body.clone()).await?;
            if !response.status().is_success() {
                return Err(answer::refusal(response, &*self.bridge.sender.clock).await);
            }
            cursor = None;
            for text in self.texts(response).await? {
                for message in answer::messages(&text).flatten() {
                    if let Some(result) = message.result {
                        cursor = self.params.learn(result).cursor;
                    }
                }
            }
            if cursor.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// The messages of an answer up to the response, for a request of the bridge's own.
    pub(super) async fn texts(&self, response: Response<Incoming>) -> Result<Vec<String>, Trouble> {
        let (limit, silence) = (self.bridge.max_answer, self.bridge.silence);
        match answer::read(response, limit, silence).await? {
            Answer::Nothing => Ok(Vec::new()),
            Answer::Json(text) => Ok(vec![text]),
            Answer::Events(mut events) => {
                while let Some(data) = events.next().await? {
                    let answers = answer::messages(&data)
                        .flatten()
                        .any(|message| !matches!(message.kind, Kind::Other));
                    if answers {
                        return Ok(vec![data]);
                    }
                }
                Err(Trouble::Ended)
            }
        }
    }
}

/// A `tools/list` that speaks as the call `body` does.
fn list_request(body: &[u8], cursor: Option<&str>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Call<'c> {
        #[serde(borrow)]
        params: Meta<'c>,
    }
    #[derive(serde::Deserialize)]
    struct Meta<'c> {
        #[serde(borrow, rename = "_meta")]
        meta: &'c RawValue,
    }
    let meta = serde_json::from_slice::<Call<'_>>(body).ok()?.params.meta.get();
    let cursor = match cursor {
        Some(cursor) => format!(r#","cursor":{}"#, serde_json::to_string(cursor).ok()?),
        None => String::new(),
    };
    Some(format!(
        r#"{{"jsonrpc":"2.0","id":"mcpid-tools","method":"tools/list","params":{{"_meta":{meta}{cursor}}}}}"#
    ))
}
