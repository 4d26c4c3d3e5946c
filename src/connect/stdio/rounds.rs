//! Asks a person for consent through a client of revision 2026-07-28, by multi round-trip requests.
//!
//! In this revision only the client sends requests. So the bridge answers a call with
//! `input_required` and a question, and the client sends the call again with the person's answer.
//! The bridge keeps the first call and sends it byte for byte after a yes; from the second call it
//! takes only the person's answer. So the server sees one call. A client that changes the call
//! between the two rounds gets an error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::connect::bridge::QUESTIONS;
use crate::connect::consent::{self, ConsentAnswer, NoConsent, PageLimits};
use crate::connect::error::BridgeError;
use crate::connect::json_rpc::RequestId;
use crate::connect::send::RedirectPolicy;
use crate::connect::session::can_elicit;
use crate::message::shown::printed;

use super::call::{CallAlias, PendingCall};
use super::{StdioSession, elicitation, read};

/// The prefix of `requestState` in a question of the bridge.
const STATE_PREFIX: &str = "mcpid-consent-";
/// The methods that a server may answer with `input_required`.
const METHODS_WITH_ROUNDS: &[&str] = &["tools/call", "prompts/get", "resources/read"];

/// The calls that the bridge answered with a question, and whose second round (the same call with a
/// person's answer) is awaited.
#[derive(Debug, Default)]
pub(super) struct ConsentRounds {
    waiting: Mutex<HashMap<String, HeldCall>>,
}

#[derive(Debug)]
struct HeldCall {
    body: Bytes,
    until: Instant,
}

impl ConsentRounds {
    /// Keeps `body` until the second round. Returns false if too many calls wait.
    fn open(&self, state: String, body: Bytes, time_limit: Duration) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waiting.retain(|_, waiting| waiting.until > now);
        if waiting.len() >= QUESTIONS {
            return false;
        }
        waiting.insert(state, HeldCall { body, until: now + time_limit });
        true
    }

    /// Removes and returns the call that the question `state` was about. Returns None if there is
    /// none, or if its time limit has passed.
    fn take(&self, state: &str) -> Option<Bytes> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = waiting.remove(state)?;
        (taken.until > Instant::now()).then_some(taken.body)
    }
}

/// What the bridge does with a request after [`StdioSession::round`].
pub(super) enum RoundOutcome {
    /// Send the request.
    Go(RedirectPolicy),
    /// The request is not sent, because the bridge has answered it with a question.
    QuestionSent,
}

#[derive(Deserialize)]
struct RoundCall<'c> {
    #[serde(borrow)]
    id: &'c RawValue,
    #[serde(borrow)]
    params: RoundParams<'c>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoundParams<'c> {
    #[serde(borrow, rename = "_meta")]
    meta: RoundMeta<'c>,
    #[serde(default)]
    request_state: Option<Value>,
    #[serde(borrow, default)]
    input_responses: Option<HashMap<String, &'c RawValue>>,
}

#[derive(Deserialize)]
struct RoundMeta<'c> {
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default)]
    capabilities: RoundCapabilities,
    #[serde(borrow, rename = "progressToken", default)]
    token: Option<&'c RawValue>,
}

#[derive(Default, Deserialize)]
struct RoundCapabilities {
    #[serde(default)]
    elicitation: Option<Map<String, Value>>,
}

impl StdioSession {
    /// Gets a person's consent for a request of revision 2026-07-28, if it needs consent. In the
    /// second round, `pending` becomes the call that the person agreed to.
    pub(super) async fn round(
        &self,
        pending: &mut PendingCall,
        time_limit: Duration,
    ) -> Result<RoundOutcome, BridgeError> {
        let body = pending.body.clone();
        let call: Option<RoundCall<'_>> = serde_json::from_slice(&body).ok();
        let state = call.as_ref().and_then(|call| call.params.request_state.as_ref()?.as_str());
        if let (Some(call), Some(state)) =
            (&call, state.filter(|state| state.starts_with(STATE_PREFIX)))
        {
            return self.second(pending, call, state);
        }
        let question = match self.bridge.need(&http::Method::POST, &body) {
            consent::ConsentNeed::Nothing => {
                return Ok(RoundOutcome::Go(RedirectPolicy::FollowOnce));
            }
            consent::ConsentNeed::Ask(question) => question,
            _ => return Err(BridgeError::cannot_be_shown()),
        };
        let can = call.is_some_and(|call| {
            call.params.meta.capabilities.elicitation.as_ref().is_some_and(can_elicit)
        });
        let no = |why: &str| {
            let what = question.operation().printed();
            let why = NoConsent::NoWay(why.to_owned());
            Err(BridgeError::Declined(format!("{what} was not agreed to: {why}")))
        };
        if !METHODS_WITH_ROUNDS.contains(&&*pending.method) {
            return no(
                "a client of this revision can only be asked about tools/call, prompts/get \
                       and resources/read; a terminal or an askpass program can",
            );
        }
        if !can {
            return no(elicitation::CANNOT);
        }
        let Ok(nonce) = self.bridge.sender.nonce() else {
            return no("there are no random numbers");
        };
        let state = format!("{STATE_PREFIX}{}", nonce.as_str());
        if !self.rounds.open(state.clone(), body.clone(), time_limit) {
            return no(&format!("{QUESTIONS} questions wait already"));
        }
        // Only the task that removes the request from the list may send its answer.
        if let Some(entry) = self.in_flight.finish(&pending.id)
            && !entry.cancelled
        {
            let shown = question.shown(&PageLimits::default()).text;
            let wanted = json!({ &state: { "method": "elicitation/create", "params": elicitation::form(&shown) } });
            let result = json!({
                "resultType": "input_required",
                "inputRequests": wanted,
                "requestState": state,
            });
            let id = &entry.id;
            self.out.line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
        }
        Ok(RoundOutcome::QuestionSent)
    }

    /// Handles the second round, in which the client sends the call again with the person's answer.
    fn second(
        &self,
        pending: &mut PendingCall,
        call: &RoundCall<'_>,
        state: &str,
    ) -> Result<RoundOutcome, BridgeError> {
        let what = printed(&pending.method).into_owned();
        let declined =
            |why: &str| BridgeError::Declined(format!("{what} was not agreed to: {why}"));
        let Some(first) = self.rounds.take(state) else {
            return Err(declined("the question is not open any more"));
        };
        if !is_same_call(&first, &pending.body) {
            return Err(declined("it is not the request that was asked about"));
        }
        let answer = call.params.input_responses.as_ref().and_then(|all| all.get(state));
        match answer.map(|answer| elicitation::elicited(answer.get())) {
            Some(ConsentAnswer::Yes) => {}
            Some(ConsentAnswer::No(why)) => return Err(declined(&why.to_string())),
            None => return Err(declined("there is no answer to the question")),
        }
        let unreadable = |_| BridgeError::Unreadable("it cannot be read again".to_owned());
        let agreed: RoundCall<'_> = serde_json::from_slice(&first).map_err(unreadable)?;
        let sent = RequestId::read(agreed.id.get())
            .ok_or_else(|| BridgeError::Unreadable("it has no id".to_owned()))?;
        let tokens = agreed.params.meta.token.zip(call.params.meta.token);
        let tokens =
            tokens.and_then(|(sent, own)| Some((RequestId::read(sent.get())?, own.get().into())));
        pending.alias = Some(CallAlias { sent, tokens });
        let message = read(&first).map_err(BridgeError::Unreadable)?;
        (pending.fields, pending.number) = self.mcp_session.fields(&message);
        pending.body = first.clone();
        Ok(RoundOutcome::Go(RedirectPolicy::Never))
    }
}

/// Returns true if two rounds belong to the same call: all members are equal, except those that a
/// round adds.
fn is_same_call(first: &[u8], second: &[u8]) -> bool {
    let bare = |body: &[u8]| {
        let mut call: Value = serde_json::from_slice(body).ok()?;
        call.as_object_mut()?.remove("id");
        let params = call.get_mut("params")?.as_object_mut()?;
        for of_a_round in ["_meta", "inputResponses", "requestState"] {
            params.remove(of_a_round);
        }
        Some(call)
    };
    bare(first).is_some_and(|first| bare(second) == Some(first))
}
