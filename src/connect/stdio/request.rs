//! One request of the client, from its line to its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;

use crate::connect::bridge::Asking;
use crate::connect::answer::{self, Answer};
use crate::connect::events::Events;
use crate::connect::session::Session;
use crate::connect::trouble::Trouble;
use crate::tower::HEADER_MISMATCH;

use super::call::Asked;
use super::rounds::Round;
use super::stream::LEAST;
use super::{Front, read};

/// How long a stream may stay open after its answer: as long as it takes to close it in an orderly
/// way, so that the connection can be used again.
const LINGER: Duration = Duration::from_secs(2);
/// How often in a row an answer is taken up again without anything new.
const RESUMPTIONS: u32 = 5;

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
            let trouble = answer::refusal(response, &self.bridge).await;
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

    /// Whether the request was sent in a session that the server does not have any more.
    fn session_is_lost(&self, asked: &Asked, trouble: &Trouble) -> bool {
        trouble.is_lost_session()
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
        let silence = self.bridge.silence.filter(|_| asked.method != "subscriptions/listen");
        match answer::read(response, &self.bridge, silence).await? {
            Answer::Nothing => {
                Err(Trouble::Garbage(format!("{status} without an answer to a request")))
            }
            Answer::Json(text) => {
                let mut why = "it does not answer this request";
                for message in answer::messages(answer::as_text(&text)) {
                    match message {
                        Ok(message) => {
                            self.deliver(&text, message, Some((asked, session.as_ref()))).await?;
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
}
