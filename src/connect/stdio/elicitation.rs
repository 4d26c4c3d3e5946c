//! Asks a person for consent through the client itself, by an elicitation (MCP 2025-11-25, client
//! features).
//!
//! A client that is an agent could approve its own calls, so this way of asking is used only if the
//! user has chosen it (`--confirm-via client`). For clients of revision 2026-07-28 see
//! [`super::rounds`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::connect::bridge::ConsentVia;
use crate::connect::consent::{
    BoxFuture, Consent, ConsentAnswer, ConsentQuestion, NoConsent, PageLimits,
};
use crate::connect::json_rpc::RequestId;
use crate::mcp::body::Message;

use super::StdioSession;

/// The questions for which the client has not answered yet.
#[derive(Debug, Default)]
pub(super) struct ClientQuestions {
    waiting: Mutex<HashMap<RequestId, oneshot::Sender<ConsentAnswer>>>,
    /// Locked while the client shows a question, so that questions are shown one after another.
    turn: tokio::sync::Mutex<()>,
}

impl ClientQuestions {
    fn waiting(&self) -> MutexGuard<'_, HashMap<RequestId, oneshot::Sender<ConsentAnswer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If `message` answers a question, passes the answer on and returns true. `line` is the text
    /// of the message.
    pub(super) fn answered(&self, line: &[u8], message: &Message<'_>) -> bool {
        let Some(id) = message.id().and_then(RequestId::read) else { return false };
        let Some(answer) = self.waiting().remove(&id) else { return false };
        // An error means that the task that asked has ended already.
        let _ = answer.send(self::answer(line));
        true
    }
}

/// The error for a client that did not declare forms, and therefore cannot be asked.
pub(super) const CANNOT: &str = "the client did not say that it can put a form before a person; a \
                                 terminal or an askpass program can";

/// Returns the parameters of an elicitation that shows the text `shown`.
pub(super) fn form(shown: &str) -> Value {
    json!({
        "message": format!("Sign and send this request?\n{shown}"),
        "requestedSchema": {
            "type": "object",
            "properties": {
                "approve": { "type": "boolean", "title": "Sign and send it", "default": false },
            },
            "required": ["approve"],
        },
    })
}

/// Parses the person's answer from a response to a question.
fn answer(line: &[u8]) -> ConsentAnswer {
    #[derive(Deserialize)]
    struct Response<'r> {
        #[serde(borrow)]
        result: &'r RawValue,
    }
    match serde_json::from_slice::<Response<'_>>(line) {
        Ok(Response { result }) => elicited(result.get()),
        Err(_) => ConsentAnswer::No(NoConsent::Failed("the client's answer is none".to_owned())),
    }
}

/// Parses the result of an elicitation, given as JSON. Only an explicit yes is consent.
pub(super) fn elicited(result: &str) -> ConsentAnswer {
    #[derive(Deserialize)]
    struct ElicitationResult {
        action: String,
        #[serde(default)]
        content: Option<Content>,
    }
    #[derive(Deserialize)]
    struct Content {
        approve: bool,
    }
    match serde_json::from_str::<ElicitationResult>(result) {
        Ok(ElicitationResult { action, content: Some(Content { approve: true }) })
            if action == "accept" =>
        {
            ConsentAnswer::Yes
        }
        Ok(_) => ConsentAnswer::No(NoConsent::Declined),
        Err(_) => ConsentAnswer::No(NoConsent::Failed("the client's answer is none".to_owned())),
    }
}

impl Consent for StdioSession {
    fn ask<'a>(&'a self, question: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
        Box::pin(async move {
            let ConsentVia::Client(time_limit) = self.bridge.consent_via else {
                return ConsentAnswer::No(NoConsent::NoWay(
                    "the client is not to be asked".to_owned(),
                ));
            };
            if !self.mcp_session.elicits() {
                return ConsentAnswer::No(NoConsent::NoWay(CANNOT.to_owned()));
            }
            let _turn = self.questions.turn.lock().await;
            self.elicit(question, time_limit).await
        })
    }
}

impl StdioSession {
    async fn elicit(&self, question: &ConsentQuestion, time_limit: Duration) -> ConsentAnswer {
        let Ok(nonce) = self.bridge.sender.nonce() else {
            return ConsentAnswer::No(NoConsent::Failed("there are no random numbers".to_owned()));
        };
        let id = format!("mcpid-consent-{}", nonce.as_str());
        let shown = question.shown(&PageLimits::default()).text;
        let request = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": "elicitation/create",
            "params": form(&shown),
        });
        let (answer, answered) = oneshot::channel();
        let key = RequestId::Text(id.clone());
        self.questions.waiting().insert(key.clone(), answer);
        // When this future is dropped, this value removes the question, so that a late answer does
        // not count.
        let _withdrawn = WithdrawOnDrop { questions: &self.questions, key };
        self.out.line(request.to_string()).await;
        match tokio::time::timeout(time_limit, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => ConsentAnswer::No(NoConsent::Withdrawn),
            Err(_) => {
                let cancel = json!({
                    "jsonrpc": "2.0",
                    "method": "notifications/cancelled",
                    "params": { "requestId": id, "reason": "no answer in time" },
                });
                self.out.line(cancel.to_string()).await;
                ConsentAnswer::No(NoConsent::TimedOut(time_limit))
            }
        }
    }
}

struct WithdrawOnDrop<'q> {
    questions: &'q ClientQuestions,
    key: RequestId,
}

impl Drop for WithdrawOnDrop<'_> {
    fn drop(&mut self) {
        self.questions.waiting().remove(&self.key);
    }
}
