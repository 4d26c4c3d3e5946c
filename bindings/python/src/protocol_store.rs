//! A nonce store that an application writes in Python.
//!
//! A claim is a coroutine of the application, which only its event loop can run. So the future of a
//! claim leaves a question for the code that polls it, and is polled again when there is an answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use mcpid::clock::Timestamp;
use mcpid::key::KeyId;
use mcpid::nonce::{BoxFuture, Claim, KnownNonce, NonceStore, Retention, StoreError};

use crate::future::lock;

/// The question whether a nonce is fresh.
#[derive(Clone, Debug)]
pub(crate) struct ClaimQuestion {
    pub(crate) key: String,
    pub(crate) nonce: String,
    /// Unix seconds.
    pub(crate) until: i64,
}

/// The store's answer: whether the nonce is fresh, and the floor in Unix seconds; or the reason why
/// nothing is known about the nonce.
pub(crate) type ClaimAnswer = Result<(bool, i64), String>;

/// The place where the future of a claim and its event loop exchange question and answer. A request
/// claims its nonces one after another, so one place is enough for each request.
#[derive(Debug, Default)]
pub(crate) struct ClaimExchange {
    state: Mutex<ExchangeState>,
}

#[derive(Debug, Default)]
enum ExchangeState {
    #[default]
    Idle,
    Asked(ClaimQuestion),
    /// The question was taken, and the application is working on it.
    Pending,
    Answered(ClaimAnswer),
}

thread_local! {
    /// The exchange of the request that this thread is polling.
    static CURRENT: RefCell<Option<Arc<ClaimExchange>>> = const { RefCell::new(None) };
}

impl ClaimExchange {
    /// Runs `poll`, so that claims in it use this exchange.
    pub(crate) fn scope<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                CURRENT.with(|current| current.borrow_mut().take());
            }
        }
        CURRENT.with(|current| *current.borrow_mut() = Some(Arc::clone(self)));
        let _reset = Reset;
        poll()
    }

    /// Whether there is a question.
    pub(crate) fn is_asked(&self) -> bool {
        matches!(*lock(&self.state), ExchangeState::Asked(_))
    }

    /// Takes the question.
    pub(crate) fn take(&self) -> Option<ClaimQuestion> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, ExchangeState::Pending) {
            ExchangeState::Asked(question) => Some(question),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Gives the answer to the question that was taken.
    pub(crate) fn answer(&self, answer: ClaimAnswer) {
        let mut state = lock(&self.state);
        if matches!(*state, ExchangeState::Pending) {
            *state = ExchangeState::Answered(answer);
        }
    }
}

/// The engine's side of a store in Python. The store itself stays with the event loop.
#[derive(Debug)]
pub(crate) struct ProtocolStore;

/// The future of one claim.
struct ProtocolClaim {
    question: Option<ClaimQuestion>,
}

impl Future for ProtocolClaim {
    type Output = Result<Claim, StoreError>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(exchange) = CURRENT.with(|current| current.borrow().clone()) else {
            let why = "a store in Python can be asked by the middleware only";
            return Poll::Ready(Err(StoreError::new(why)));
        };
        let mut state = lock(&exchange.state);
        if let Some(question) = self.question.take() {
            *state = ExchangeState::Asked(question);
            return Poll::Pending;
        }
        match std::mem::take(&mut *state) {
            ExchangeState::Answered(Ok((true, floor))) => {
                Poll::Ready(Ok(Claim::Fresh { floor: Timestamp::from_unix(floor) }))
            }
            ExchangeState::Answered(Ok((false, _))) => {
                Poll::Ready(Ok(Claim::Replayed { first: None }))
            }
            ExchangeState::Answered(Err(why)) => Poll::Ready(Err(StoreError::new(why))),
            other => {
                *state = other;
                Poll::Pending
            }
        }
    }
}

impl NonceStore for ProtocolStore {
    fn register<'a>(&'a self, _: Timestamp, _: Retention) -> BoxFuture<'a, Result<(), StoreError>> {
        // Each claim says until when its nonce has to be kept.
        Box::pin(std::future::ready(Ok(())))
    }

    fn claim_live<'a>(
        &'a self,
        _: Timestamp,
        key: &'a KeyId,
        nonce: &'a str,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Claim, StoreError>> {
        let question = ClaimQuestion {
            key: key.as_str().to_owned(),
            nonce: nonce.to_owned(),
            until: until.unix(),
        };
        Box::pin(ProtocolClaim { question: Some(question) })
    }

    fn peek<'a>(
        &'a self,
        _: Timestamp,
        _: &'a KeyId,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<KnownNonce>, StoreError>> {
        let why = "a store in Python can only claim nonces";
        Box::pin(std::future::ready(Err(StoreError::new(why))))
    }

    fn floor<'a>(&'a self, _: Timestamp) -> BoxFuture<'a, Result<Timestamp, StoreError>> {
        let why = "a store in Python tells its floor only with a claim";
        Box::pin(std::future::ready(Err(StoreError::new(why))))
    }
}
