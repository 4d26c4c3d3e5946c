//! A person's touch of a security key, beside the signature of a request.
//!
//! The touch comes after consent. `created` is read when the request is on the screen, and the
//! touch has to come within the life of the signature, less the ten seconds that are left for
//! sending. Each attempt to send needs another touch, because each has a new nonce and time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::key::SignByTouch;
use crate::message::Head;
use crate::message::target::Origins;
use crate::sign::{Signed, Signer};

use super::consent::{BoxFuture, ConfirmPolicy, ConsentQuestion, NoConsent, PageLimits, ShownPage};
use super::error::BridgeError;

/// The number of seconds at the end of a signature's validity that are reserved for sending, after
/// the touch.
const FOR_SENDING: i64 = 10;

/// A request that a person is asked to touch a security key for.
#[derive(Clone, Debug)]
pub struct TouchQuestion {
    request: ConsentQuestion,
    key_name: String,
    again: Option<String>,
    time_limit: Duration,
}

impl TouchQuestion {
    /// Returns the request, with all its arguments.
    pub fn request(&self) -> &ConsentQuestion {
        &self.request
    }

    /// Returns the name of the security key. It may be any text.
    pub fn key_name(&self) -> &str {
        &self.key_name
    }

    /// Returns why another touch of a security key is needed for a request that was touched before,
    /// or `None` for the first touch. The text may come from the server.
    pub fn again(&self) -> Option<&str> {
        self.again.as_deref()
    }

    /// Returns how long the person has for the touch.
    pub fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// Returns the request as text for a person; see [`ConsentQuestion::shown`].
    pub fn shown(&self, limits: &PageLimits) -> ShownPage {
        self.request.shown(limits)
    }
}

/// A future that completes if the wait for a touch of a security key has to end, with the reason.
/// Dropping it takes the question off the screen.
pub type TouchWait = BoxFuture<'static, NoConsent>;

/// A way to show a person the request for which a touch of a security key is needed, for example on
/// a terminal.
pub trait TouchPrompt: Send + Sync {
    /// Shows `question`, and completes when it can be seen. Several questions at the same time are
    /// shown one after another.
    ///
    /// # Errors
    /// [`NoConsent`] if there is no way to show it. The security key is then not used.
    fn show<'a>(
        &'a self,
        question: &'a TouchQuestion,
    ) -> BoxFuture<'a, Result<TouchWait, NoConsent>>;

    /// Called when the wait is over: with `Ok` after the touch, or with the reason why there is none.
    fn ended(&self, outcome: Result<(), &NoConsent>) {
        let _ = outcome;
    }
}

/// The security key, and the rules that say which requests need its touch.
pub(super) struct TouchSettings {
    pub(super) rules: ConfirmPolicy,
    pub(super) key: Arc<dyn SignByTouch>,
    pub(super) key_name: String,
    pub(super) prompt: Arc<dyn TouchPrompt>,
}

impl fmt::Debug for TouchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TouchSettings").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Returns how long a person has for a touch of a security key that confirms a signature of
/// `signer`.
pub(super) fn time_limit(signer: &Signer) -> Duration {
    let window = signer.profile().window.max_age;
    let life = signer.ttl().into_iter().chain(window).min().unwrap_or(0);
    Duration::from_secs(u64::try_from(life.saturating_sub(FOR_SENDING)).unwrap_or(0))
}

/// A question for a touch of a security key that is on the screen.
pub(super) struct OpenTouch<'t> {
    settings: &'t TouchSettings,
    question: TouchQuestion,
    wait: TouchWait,
    until: Instant,
}

impl TouchSettings {
    /// Shows the request for which a touch of a security key is needed. `again` is the reason if
    /// this is not the first touch for it.
    ///
    /// # Errors
    /// [`BridgeError::Declined`] if there is no way to show it, or no time for a touch. The security
    /// key is then not used.
    pub(super) async fn show(
        &self,
        request: &ConsentQuestion,
        again: Option<&str>,
        signer: &Signer,
    ) -> Result<OpenTouch<'_>, BridgeError> {
        let id = self.key.security_key().public().id().to_string();
        let question = TouchQuestion {
            request: request.clone().touched_by(&self.key_name, &id),
            key_name: self.key_name.clone(),
            again: again.map(str::to_owned),
            time_limit: time_limit(signer),
        };
        // The timer may be later than a key that answers at once, so it cannot refuse such a touch.
        if question.time_limit.is_zero() {
            return Err(untouched(&question, &NoConsent::TimedOut(Duration::ZERO)));
        }
        match self.prompt.show(&question).await {
            Ok(wait) => {
                let until = Instant::now() + question.time_limit;
                Ok(OpenTouch { settings: self, question, wait, until })
            }
            Err(why) => Err(untouched(&question, &why)),
        }
    }
}

impl OpenTouch<'_> {
    /// Waits for the touch that confirms `first`, the signature of the request `head`. `now` reads
    /// the clock.
    ///
    /// # Errors
    /// [`BridgeError::Declined`] if no touch of a security key came in time, and
    /// [`BridgeError::NotSigned`] if the key did not sign.
    pub(super) async fn touch(
        self,
        signer: &Arc<Signer>,
        head: Head<'static>,
        first: &Signed,
        now: impl Fn() -> Timestamp,
    ) -> Result<Signed, BridgeError> {
        let OpenTouch { settings, question, wait, until } = self;
        let (signer, key) = (Arc::clone(signer), Arc::clone(&settings.key));
        let created = first.created;
        let first = first.clone();
        // The thread waits for the key as long as the agent does. A touch of a security key that
        // comes later than the time limit is dropped there, and nothing is sent with it.
        let touching = tokio::task::spawn_blocking(move || {
            signer.sign_touch(&*key, &head, &Origins::unknown(), &first)
        });
        let time_limit = question.time_limit;
        let touched = tokio::select! {
            biased;
            why = wait => Err(why),
            () = tokio::time::sleep_until(until) => Err(NoConsent::TimedOut(time_limit)),
            signed = touching => match signed {
                // While the machine sleeps, the timers of this process stand still. So the clock is
                // compared too.
                Ok(Ok(_)) if now().since(created) > whole(time_limit) => {
                    Err(NoConsent::TimedOut(time_limit))
                }
                Ok(Ok(signed)) => Ok(signed),
                Ok(Err(error)) => {
                    let why = NoConsent::Failed(crate::message::error_chain::chain(&error));
                    settings.prompt.ended(Err(&why));
                    return Err(error.into());
                }
                Err(error) => Err(NoConsent::Failed(error.to_string())),
            },
        };
        settings.prompt.ended(touched.as_ref().map(|_| ()));
        touched.map_err(|why| untouched(&question, &why))
    }
}

fn whole(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn untouched(question: &TouchQuestion, why: &NoConsent) -> BridgeError {
    let what = question.request.operation().printed();
    let why = match why {
        NoConsent::TimedOut(time) => format!("no touch within {} s", time.as_secs()),
        why => why.to_string(),
    };
    BridgeError::Declined(format!("{what} was not touched: {why}"))
}
