//! Asking a person whether a request may be signed: on the terminal, or by an askpass program.
//!
//! stdin and stdout carry MCP while this happens, so neither is touched. Whatever is not an
//! express yes in time is a no.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mcpid::connect::consent::{BoxFuture, Consent, ConsentAnswer, ConsentQuestion, NoConsent};

use super::wait::Wait;
use super::{askpass, consent_terminal};
use crate::prompt::terminal::{self, Terminal};

/// How long a person has to answer, in seconds: MCP clients give up after a minute themselves.
pub(crate) const ANSWERING: u32 = 60;

/// How much longer than a person an asker may take before it is given up.
const GRACE: Duration = Duration::from_secs(2);

/// By what a person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Only on the terminal.
    Terminal,
    /// Only by an askpass program.
    Askpass,
    /// By `MCPID_ASKPASS`, which somebody has set for this very purpose; else on the terminal, if
    /// it is free; else by `SSH_ASKPASS`.
    Any,
}

/// Asks one question at a time.
pub(crate) struct Asker {
    way: Way,
    patience: Duration,
    turn: tokio::sync::Mutex<()>,
}

impl Asker {
    /// Asks by `way`, and takes silence of `patience` for a no.
    pub(crate) fn new(way: Way, patience: Duration) -> Self {
        Asker { way, patience, turn: tokio::sync::Mutex::new(()) }
    }
}

impl Consent for Asker {
    fn ask<'a>(&'a self, asked: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let (way, patience, asked) = (self.way, self.patience, asked.clone());
            let wait = Wait { until: Instant::now() + patience, patience, over: Arc::default() };
            // Goes off when this future ends, be it dropped before there is an answer.
            let withdrawal = Withdrawal(wait.clone());
            let asking = tokio::task::spawn_blocking(move || put(way, &asked, &wait));
            let answer = match tokio::time::timeout(patience + GRACE, asking).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => {
                    ConsentAnswer::No(NoConsent::Failed("the asker broke off".to_owned()))
                }
                Err(_) => ConsentAnswer::No(NoConsent::TimedOut(patience)),
            };
            drop(withdrawal);
            answer
        })
    }
}

/// Takes the question back when it is dropped.
struct Withdrawal(Wait);

impl Drop for Withdrawal {
    fn drop(&mut self) {
        // First the word, then the terminal: a question that begins in between sees the word.
        self.0.over.store(true, Ordering::SeqCst);
        terminal::restore();
    }
}

/// Puts the question, and blocks until there is an answer or `wait` is over.
fn put(way: Way, asked: &ConsentQuestion, wait: &Wait) -> ConsentAnswer {
    let refused = match way {
        Way::Terminal => match by_terminal(asked, wait) {
            Ok(answer) => return answer,
            Err(why) => why.to_owned(),
        },
        Way::Askpass => match askpass::own().or_else(askpass::of_ssh) {
            Some(program) => return askpass::ask(&program, asked, wait),
            None => "neither MCPID_ASKPASS nor SSH_ASKPASS is set".to_owned(),
        },
        Way::Any => {
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

/// Asks on the terminal, once no other of these programs does.
///
/// # Errors
/// Why it cannot be asked on, in words.
fn by_terminal(asked: &ConsentQuestion, wait: &Wait) -> Result<ConsentAnswer, &'static str> {
    let terminal = Terminal::open().ok_or("there is no terminal")?;
    // A client may have started several of us on one terminal.
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
