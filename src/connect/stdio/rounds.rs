//! Asking a person through a client of revision 2026-07-28, in which nobody but the client begins a
//! request: the call is answered with what is wanted of it (`input_required`), and the client makes
//! it again with the answer (multi round-trip requests).
//!
//! What was asked about is kept and sent as it was, byte for byte; what comes back only says yes.
//! So the server never learns of the round, its own rounds are not disturbed, and a client that
//! changes the call between the rounds gets an error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::connect::bridge::QUESTIONS;
use crate::connect::consent::{self, Answer, Limits, Refused};
use crate::connect::rpc::Id;
use crate::connect::send::Away;
use crate::connect::session::can_elicit;
use crate::connect::trouble::Trouble;
use crate::message::shown::printed;

use super::call::{Alias, Asked};
use super::{Front, ask, read};

/// What the state of a question of the bridge begins with.
const STATE: &str = "mcpid-consent-";
/// The requests that the revision lets a server answer so.
const METHODS: &[&str] = &["tools/call", "prompts/get", "resources/read"];

/// Calls that wait for the round that says yes.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    waiting: Mutex<HashMap<String, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    body: Bytes,
    until: Instant,
}

impl Rounds {
    /// Keeps `body` until the answer comes; no, if too many wait.
    fn open(&self, state: String, body: Bytes, patience: Duration) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        waiting.retain(|_, waiting| waiting.until > now);
        if waiting.len() >= QUESTIONS {
            return false;
        }
        waiting.insert(state, Waiting { body, until: now + patience });
        true
    }

    /// What the question was about, which is over with that.
    fn take(&self, state: &str) -> Option<Bytes> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = waiting.remove(state)?;
        (taken.until > Instant::now()).then_some(taken.body)
    }
}

/// What becomes of a request.
pub(super) enum Round {
    /// It goes on.
    Go(Away),
    /// It has its answer: a question.
    Asked,
}

#[derive(Deserialize)]
struct Call<'c> {
    #[serde(borrow)]
    id: &'c RawValue,
    #[serde(borrow)]
    params: Params<'c>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'c> {
    #[serde(borrow, rename = "_meta")]
    meta: Meta<'c>,
    #[serde(default)]
    request_state: Option<Value>,
    #[serde(borrow, default)]
    input_responses: Option<HashMap<String, &'c RawValue>>,
}

#[derive(Deserialize)]
struct Meta<'c> {
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", default)]
    capabilities: Capabilities,
    #[serde(borrow, rename = "progressToken", default)]
    token: Option<&'c RawValue>,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    elicitation: Option<Map<String, Value>>,
}

impl Front {
    /// Makes sure of the yes to a request of this revision; `asked` is then what was agreed to.
    pub(super) async fn round(
        &self,
        asked: &mut Asked,
        patience: Duration,
    ) -> Result<Round, Trouble> {
        let body = asked.body.clone();
        let call: Option<Call<'_>> = serde_json::from_slice(&body).ok();
        let state = call.as_ref().and_then(|call| call.params.request_state.as_ref()?.as_str());
        if let (Some(call), Some(state)) = (&call, state.filter(|state| state.starts_with(STATE))) {
            return self.second(asked, call, state);
        }
        let question = match self.bridge.need(&http::Method::POST, &body) {
            consent::Need::Nothing => return Ok(Round::Go(Away::Once)),
            consent::Need::Ask(question) => question,
            _ => return Err(Trouble::Declined("nobody could be shown what it does".to_owned())),
        };
        let can = call.is_some_and(|call| {
            call.params.meta.capabilities.elicitation.as_ref().is_some_and(can_elicit)
        });
        let no = |why: &str| {
            let what = question.operation().printed();
            let why = Refused::NoWay(why.to_owned());
            Err(Trouble::Declined(format!("{what} was not agreed to: {why}")))
        };
        if !METHODS.contains(&&*asked.method) {
            return no(
                "a client of this revision can only be asked about tools/call, prompts/get \
                       and resources/read; a terminal or an askpass program can",
            );
        }
        if !can {
            return no(ask::CANNOT);
        }
        let Ok(nonce) = self.bridge.sender.nonce() else {
            return no("there are no random numbers");
        };
        let state = format!("{STATE}{}", nonce.as_str());
        if !self.rounds.open(state.clone(), body.clone(), patience) {
            return no(&format!("{QUESTIONS} questions wait already"));
        }
        // Whoever takes the entry out may answer.
        if let Some(entry) = self.flight.finish(&asked.id)
            && !entry.cancelled
        {
            let shown = question.shown(&Limits::default()).text;
            let wanted =
                json!({ &state: { "method": "elicitation/create", "params": ask::form(&shown) } });
            let result = json!({
                "resultType": "input_required",
                "inputRequests": wanted,
                "requestState": state,
            });
            let id = &entry.id;
            self.out.line(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await;
        }
        Ok(Round::Asked)
    }

    /// The round that brings the answer.
    fn second(&self, asked: &mut Asked, call: &Call<'_>, state: &str) -> Result<Round, Trouble> {
        let what = printed(&asked.method).into_owned();
        let declined = |why: &str| Trouble::Declined(format!("{what} was not agreed to: {why}"));
        let Some(first) = self.rounds.take(state) else {
            return Err(declined("the question is not open any more"));
        };
        if !same(&first, &asked.body) {
            return Err(declined("it is not the request that was asked about"));
        }
        let answer = call.params.input_responses.as_ref().and_then(|all| all.get(state));
        match answer.map(|answer| ask::elicited(answer.get())) {
            Some(Answer::Yes) => {}
            Some(Answer::No(why)) => return Err(declined(&why.to_string())),
            None => return Err(declined("there is no answer to the question")),
        }
        let unreadable = |_| Trouble::Unreadable("it cannot be read again".to_owned());
        let agreed: Call<'_> = serde_json::from_slice(&first).map_err(unreadable)?;
        let sent = Id::read(agreed.id.get())
            .ok_or_else(|| Trouble::Unreadable("it has no id".to_owned()))?;
        let tokens = agreed.params.meta.token.zip(call.params.meta.token);
        let tokens = tokens.and_then(|(sent, own)| Some((Id::read(sent.get())?, own.get().into())));
        asked.alias = Some(Alias { sent, tokens });
        let message = read(&first).map_err(Trouble::Unreadable)?;
        (asked.fields, asked.number) = self.session.fields(&message);
        asked.body = first.clone();
        Ok(Round::Go(Away::Never))
    }
}

/// Whether two rounds are of one call: all is equal but what a round brings with it.
fn same(first: &[u8], second: &[u8]) -> bool {
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
