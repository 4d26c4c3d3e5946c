//! Decides whether a person has to act before a request is sent: consent to it, or touch a security
//! key for it.

use std::sync::PoisonError;

use http::Method;

use crate::mcp::body::{self, Scope};
use crate::message::error_chain::chain;
use crate::message::{Head, RequestTarget};

use super::bridge::{Bridge, ConsentVia, QUESTIONS};
use super::consent::{ConfirmPolicy, Consent, ConsentAnswer, ConsentNeed, NoConsent};
use super::error::BridgeError;
use super::send::RedirectPolicy;

impl Bridge {
    /// Returns whether a person has to touch a security key for the request.
    pub(super) fn needs_touch(&self, method: &Method, body: &[u8]) -> ConsentNeed {
        match &self.sender.touch {
            Some(touch) => self.needed_by(&touch.rules, method, body),
            None => ConsentNeed::Nothing,
        }
    }

    /// Returns whether a person has to be asked before the request is signed.
    pub(super) fn need(&self, method: &Method, body: &[u8]) -> ConsentNeed {
        self.needed_by(&self.confirm, method, body)
    }

    fn needed_by(&self, rules: &ConfirmPolicy, method: &Method, body: &[u8]) -> ConsentNeed {
        if rules.is_empty() {
            return ConsentNeed::Nothing;
        }
        let Ok(mut head) = Head::new(method.as_str(), RequestTarget::Origin("/".into())) else {
            return ConsentNeed::Refuse;
        };
        // The bridge always sends the body as JSON.
        if head.push("content-type", b"application/json".as_slice()).is_err() {
            return ConsentNeed::Refuse;
        }
        let reading = body::read(&head, body, Scope::Endpoint);
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        match rules.judge(&self.sender.endpoint.url, reading.as_ref(), body, &tools) {
            ConsentNeed::Ask(question) => {
                let id = self.sender.signer.public().id().to_string();
                ConsentNeed::Ask(Box::new(question.signed_by(&self.key_name, &id)))
            }
            need => need,
        }
    }

    /// Asks a person for consent if the request needs it. If the MCP client is configured to ask
    /// its user, the question is passed to `by_client`.
    ///
    /// # Errors
    /// [`BridgeError::Declined`] if there is no consent: the request must not be signed.
    pub(super) async fn agreed(
        &self,
        method: &Method,
        body: &[u8],
        by_client: Option<&dyn Consent>,
    ) -> Result<RedirectPolicy, BridgeError> {
        let question = match self.need(method, body) {
            ConsentNeed::Nothing => return Ok(RedirectPolicy::FollowOnce),
            ConsentNeed::Ask(question) => question,
            _ => return Err(BridgeError::cannot_be_shown()),
        };
        let asker = match (&self.consent_via, by_client) {
            (ConsentVia::Person(person), _) => Some(&**person),
            (ConsentVia::Client(_), by_client) => by_client,
            (ConsentVia::None, _) => None,
        };
        let answer = match (asker, self.question_slots.try_acquire()) {
            (Some(asker), Ok(_slot)) => asker.ask(&question).await,
            (Some(_), Err(_)) => {
                ConsentAnswer::No(NoConsent::NoWay(format!("{QUESTIONS} questions wait already")))
            }
            (None, _) => {
                ConsentAnswer::No(NoConsent::NoWay("no person can be asked here".to_owned()))
            }
        };
        match answer {
            // The question was about exactly this body, so the person has agreed to it.
            ConsentAnswer::Yes if question.is_about(body) => Ok(RedirectPolicy::Never),
            ConsentAnswer::Yes => {
                Err(BridgeError::Declined("the yes was for another request".to_owned()))
            }
            ConsentAnswer::No(why) => {
                let what = question.operation().printed();
                Err(BridgeError::Declined(format!("{what} was not agreed to: {why}")))
            }
        }
    }

    /// Returns true if a rule about consent or touches may depend on the server's list of tools.
    pub(super) fn has_rules(&self) -> bool {
        !self.confirm.is_empty() || self.sender.touch.is_some()
    }

    /// Records which tools in the server's list are destructive.
    pub(super) fn learn(&self, answer: &str) {
        if self.has_rules() {
            let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = tools.learn(answer.as_bytes()) {
                let words = "nothing is learned from it, and tools that no other list has named \
                             count as destructive";
                self.log.warn(&format!("{}: {words}", chain(&error)));
            }
        }
    }
}
