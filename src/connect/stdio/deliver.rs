//! Passes the server's messages to the client: finds the request that a message answers, and learns
//! from the server's list of tools.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;

use crate::connect::error::{BridgeError, ServerRefusal, beginning};
use crate::connect::json_rpc::{self, InboundKind, InboundMessage, JsonRpcError, RequestId};
use crate::connect::params::ToolListReading;
use crate::connect::{answer, answer_budget};

use super::StdioSession;
use super::call::PendingCall;

/// Minimum time between passing on a notification and the answer after it. Some clients that
/// receive both at once handle the answer first, and then drop the notification.
const APART: Duration = Duration::from_millis(5);

impl StdioSession {
    /// Passes on each message in `data`. Data that is not a message is logged, and the stream
    /// continues.
    pub(super) async fn deliver_all(
        &self,
        data: &Bytes,
        of: Option<(&PendingCall, Option<&HeaderValue>)>,
    ) -> Result<(), BridgeError> {
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

    /// Passes on one message of the server, which is a part of the text `whole`. If the message
    /// came in the answer to a request, `of` is that request, with the number of its session; for a
    /// message that the server sent on its own, `of` is None.
    pub(super) async fn deliver(
        &self,
        whole: &Bytes,
        message: InboundMessage<'_>,
        of: Option<(&PendingCall, Option<&HeaderValue>)>,
    ) -> Result<(), BridgeError> {
        let own = of.map(|(pending, _)| pending);
        let line = |changed: Option<String>| match changed {
            Some(changed) => answer_budget::derived(changed, whole),
            None => whole.slice_ref(message.text.as_bytes()),
        };
        let id = match (&message.kind, own) {
            (InboundKind::Other, _) => {
                let alias = own.and_then(|pending| pending.alias.as_ref());
                let renamed = alias.and_then(|alias| alias.progress(message.text));
                self.out.line(line(renamed)).await;
                if let Some(pending) = own {
                    *pending.last_notified() = Some(Instant::now());
                }
                return Ok(());
            }
            (InboundKind::Response(id), _) => id.clone(),
            // An error without an id in the answer to this request is passed on as the error of
            // this request.
            (InboundKind::UnaddressedError, Some(_)) => {
                let fault = message.error.and_then(JsonRpcError::read);
                let (status, text, hint) = (StatusCode::OK, None, None);
                return Err(BridgeError::Refused(Box::new(ServerRefusal {
                    status,
                    fault,
                    text,
                    hint,
                })));
            }
            (InboundKind::UnaddressedError, None) => {
                self.bridge.log.warn("the server sent an error that names no request");
                return Ok(());
            }
        };
        let sent =
            own.map(|pending| (pending, pending.alias.as_ref().map_or(&pending.id, |a| &a.sent)));
        let id = match sent {
            // The id has another JSON type than that of the request. But the message came in the
            // answer to this request, and no other request has this id.
            Some((pending, sent)) if sent.is_spelt_like(&id) && !self.in_flight.waits(&id) => {
                self.bridge.log.note("the server answers by the request's id in another JSON type");
                pending.id.clone()
            }
            Some((pending, sent)) if *sent == id => pending.id.clone(),
            _ => id,
        };
        let mut changed = None;
        if let (Some(pending), Some(result)) =
            (own.filter(|pending| pending.id == id), message.result)
        {
            match &*pending.method {
                "initialize" => {
                    self.mcp_session.opened(of.and_then(|(_, session)| session.cloned()), result);
                }
                "tools/list" => {
                    self.bridge.learn(message.text);
                    changed = self.tools_listed(pending, &message, result);
                }
                _ => {}
            }
        }
        let notified = own.and_then(|pending| pending.last_notified().take());
        if let Some(rest) = notified.and_then(|notified| APART.checked_sub(notified.elapsed())) {
            tokio::time::sleep(rest).await;
        }
        match self.in_flight.answer(&id) {
            Some(entry) if !entry.cancelled => {
                // The client expects its own spelling of the id, so the id in the answer is
                // replaced by it.
                if message.id.and_then(|id| RequestId::read(id.get())) != RequestId::read(&entry.id)
                {
                    let text = changed.as_deref().unwrap_or(message.text);
                    changed = json_rpc::renamed(text, &entry.id).or(changed);
                }
                self.out.line(line(changed)).await;
            }
            Some(_) => {}
            None => self.bridge.log.warn("the server answers a request that does not wait"),
        }
        Ok(())
    }

    /// Learns from a list of tools. Returns the message without the tools that break the rules for
    /// `x-mcp-header`, or None if no tool is removed.
    fn tools_listed(
        &self,
        pending: &PendingCall,
        message: &InboundMessage<'_>,
        result: &RawValue,
    ) -> Option<String> {
        if !pending.stateless {
            // The marks `x-mcp-header` exist only from revision 2026-07-28 on.
            return None;
        }
        let ToolListReading { invalid, result: changed, .. } = self.params.learn(result);
        for (tool, why) in invalid {
            let (tool, why) = (beginning(&tool), beginning(&why));
            self.bridge.log.warn(&format!("the tool {tool} is left out: x-mcp-header has {why}"));
        }
        json_rpc::splice(message.text, result.get(), &changed?)
    }
}
