//! Handing on what the server sends: which message is whose answer, and what the bridge learns
//! from it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;

use crate::connect::params::Lesson;
use crate::connect::rpc::{self, Fault, Id, Inbound, Kind};
use crate::connect::trouble::{Refusal, Trouble, beginning};
use crate::connect::{answer, held};

use super::Front;
use super::call::Asked;

/// How long an answer keeps apart from a notification right before it. Clients exist that read both
/// at once, handle the answer first, and drop the last progress of what is then over.
const APART: Duration = Duration::from_millis(5);

impl Front {
    /// Hands on each message in `data`; what is none is only logged, for its stream may go on.
    pub(super) async fn deliver_all(
        &self,
        data: &Bytes,
        of: Option<(&Asked, Option<&HeaderValue>)>,
    ) -> Result<(), Trouble> {
        for message in answer::messages(answer::as_text(data)) {
            match message {
                Ok(message) => self.deliver(data, message, of).await?,
                Err(why) => {
                    self.bridge.log.warn(&format!("an event of the server is left out: {why}"))
                }
            }
        }
        Ok(())
    }

    /// Hands on one message of the server, a part of the text `whole`, which came with the answer
    /// to the request `of` and the session id beside it, or unasked.
    pub(super) async fn deliver(
        &self,
        whole: &Bytes,
        message: Inbound<'_>,
        of: Option<(&Asked, Option<&HeaderValue>)>,
    ) -> Result<(), Trouble> {
        let own = of.map(|(asked, _)| asked);
        let line = |changed: Option<String>| match changed {
            Some(changed) => held::derived(changed, whole),
            None => whole.slice_ref(message.text.as_bytes()),
        };
        let id = match (&message.kind, own) {
            (Kind::Other, _) => {
                let alias = own.and_then(|asked| asked.alias.as_ref());
                let renamed = alias.and_then(|alias| alias.progress(message.text));
                self.out.line(line(renamed)).await;
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
        let sent = own.map(|asked| (asked, asked.alias.as_ref().map_or(&asked.id, |a| &a.sent)));
        let id = match sent {
            // It came for this request, and there is no other that it could be about.
            Some((asked, sent)) if sent.is_spelt_like(&id) && !self.flight.waits(&id) => {
                self.bridge.log.note("the server answers by the request's id in another JSON type");
                asked.id.clone()
            }
            Some((asked, sent)) if *sent == id => asked.id.clone(),
            _ => id,
        };
        let mut changed = None;
        if let (Some(asked), Some(result)) = (own.filter(|asked| asked.id == id), message.result) {
            match &*asked.method {
                "initialize" => {
                    self.session.opened(of.and_then(|(_, session)| session.cloned()), result);
                }
                "tools/list" => {
                    self.bridge.learn(message.text);
                    changed = self.tools_listed(asked, &message, result);
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
                // The client knows its request by what it wrote itself.
                if message.id.and_then(|id| Id::read(id.get())) != Id::read(&entry.id) {
                    let text = changed.as_deref().unwrap_or(message.text);
                    changed = rpc::renamed(text, &entry.id).or(changed);
                }
                self.out.line(line(changed)).await;
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
        rpc::splice(message.text, result.get(), &changed?)
    }
}
