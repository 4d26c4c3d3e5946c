//! Asks a person whether a request may be signed, on the terminal or through an askpass program.
//!
//! stdin and stdout are in use for MCP messages, so the question uses neither. Any answer other
//! than an explicit yes in time counts as no.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpid::connect::consent::{BoxFuture, Consent, ConsentAnswer, ConsentQuestion, NoConsent};

use super::wait::AnswerWait;
use super::{askpass, consent_terminal};
use crate::prompt::terminal::{self, Terminal};

/// How long a person may take to answer, in seconds. MCP clients themselves give up after a minute.
pub(crate) const DEFAULT_ANSWER_SECONDS: u32 = 60;

/// How long after the time limit for the answer the asking thread is left behind.
const GRACE: Duration = Duration::from_secs(2);

/// How to ask a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsentWay {
    /// Questions are asked only on the terminal.
    Terminal,
    /// Questions are asked only through an askpass program.
    Askpass,
    /// `MCPID_ASKPASS` is used if it is set; or else the terminal, if no other program uses it; or
    /// else `SSH_ASKPASS`.
    Any,
}

/// Asks the user, one question at a time.
pub(crate) struct ConsentAsker {
    way: ConsentWay,
    timeout: Duration,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether the last question for a touch of a security key was shown on the terminal.
    on_terminal: AtomicBool,
}

impl ConsentAsker {
    /// Returns an object that asks by `way`. If there is no answer within `timeout`, that counts as
    /// no.
    pub(crate) fn new(way: ConsentWay, timeout: Duration) -> Self {
        let (turn, on_terminal) = (Arc::default(), AtomicBool::new(false));
        ConsentAsker { way, timeout, turn, on_terminal }
    }

    /// Returns how a person is asked.
    pub(super) fn way(&self) -> ConsentWay {
        self.way
    }

    /// Returns the lock that is held while a question is on the screen.
    pub(super) fn turn(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.turn)
    }

    /// Records whether the question for a touch of a security key is on the terminal.
    pub(super) fn shows_on_terminal(&self, on_terminal: bool) {
        self.on_terminal.store(on_terminal, Ordering::SeqCst);
    }

    /// Returns true if the last question for a touch of a security key was on the terminal.
    pub(super) fn is_on_terminal(&self) -> bool {
        self.on_terminal.load(Ordering::SeqCst)
    }
}

impl Consent for ConsentAsker {
    fn ask<'a>(&'a self, asked: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let (way, timeout, asked) = (self.way, self.timeout, asked.clone());
            let wait =
                AnswerWait { until: Instant::now() + timeout, timeout, over: Arc::default() };
            // Withdraws the question when this future ends, even if it is dropped before there is
            // an answer.
            let withdrawal = Withdrawal(wait.clone());
            let asking = tokio::task::spawn_blocking(move || ask_and_wait(way, &asked, &wait));
            let answer = match tokio::time::timeout(timeout + GRACE, asking).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => {
                    ConsentAnswer::No(NoConsent::Failed("the asker broke off".to_owned()))
                }
                Err(_) => ConsentAnswer::No(NoConsent::TimedOut(timeout)),
            };
            drop(withdrawal);
            answer
        })
    }
}

/// Withdraws the question when it is dropped.
struct Withdrawal(AnswerWait);

impl Drop for Withdrawal {
    fn drop(&mut self) {
        // The flag is set before the terminal is restored. A question that begins in between then
        // sees the flag, and is not shown.
        self.0.over.store(true, Ordering::SeqCst);
        terminal::restore();
    }
}

/// Asks, and blocks until there is an answer or `wait` is over.
fn ask_and_wait(way: ConsentWay, asked: &ConsentQuestion, wait: &AnswerWait) -> ConsentAnswer {
    let refused = match way {
        ConsentWay::Terminal => match by_terminal(asked, wait) {
            Ok(answer) => return answer,
            Err(why) => why.to_owned(),
        },
        ConsentWay::Askpass => match askpass::own().or_else(askpass::of_ssh) {
            Some(program) => return askpass::ask(&program, asked, wait),
            None => "neither MCPID_ASKPASS nor SSH_ASKPASS is set".to_owned(),
        },
        ConsentWay::Any => {
            if let Some(program) = askpass::own().or_else(askpass::of_ssh_first) {
                return askpass::ask(&program, asked, wait);
            }
            match (by_terminal(asked, wait), askpass::of_ssh()) {
                (Ok(answer), _) => return answer,
                (Err(_), Some(program)) => return askpass::ask(&program, asked, wait),
                (Err(why), None) => {
                    format!("{why}, and neither MCPID_ASKPASS nor SSH_ASKPASS is set")
                }
            }
        }
    };
    ConsentAnswer::No(NoConsent::NoWay(refused))
}

/// Asks on the terminal. If another process of this program is asking on the same terminal, waits
/// until it is done.
///
/// # Errors
/// A text that says why the terminal cannot be used.
fn by_terminal(asked: &ConsentQuestion, wait: &AnswerWait) -> Result<ConsentAnswer, &'static str> {
    let terminal = Terminal::open().ok_or("there is no terminal")?;
    // A client may have started this program several times on the same terminal.
    let turn = loop {
        match terminal.turn() {
            Ok(Some(turn)) => break turn,
            Ok(None) => {}
            Err(_) => return Err("the terminal is gone"),
        }
        if let Some(refused) = wait.ended() {
            return Ok(ConsentAnswer::No(refused));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !terminal.is_free() {
        return Err("another program has the terminal");
    }
    let answer = consent_terminal::ask(&terminal, asked, wait);
    drop(turn);
    Ok(answer)
}
