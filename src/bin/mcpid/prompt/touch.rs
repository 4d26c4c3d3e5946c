//! Shows a person the request for which a security key must be touched, on the terminal or through
//! an askpass program.
//!
//! Nothing is typed here: the answer is the touch itself. The terminal keeps its mode, so Ctrl-C
//! ends the program as usual.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mcpid::connect::consent::{BoxFuture, NoConsent, PageLimits};
use mcpid::connect::touch::{TouchPrompt, TouchQuestion, TouchWait};
use mcpid::message::shown::visible;

use super::askpass::{self, AskpassNotice};
use super::consent::{ConsentAsker, ConsentWay};
use super::terminal::{Terminal, TerminalLock};
use super::wait::AnswerWait;

/// An object that keeps a question on the screen until it is dropped.
enum ShownTouch {
    Terminal(#[expect(dead_code, reason = "a lock is only held")] TerminalLock),
    Askpass(#[expect(dead_code, reason = "a running program is only held")] AskpassNotice),
}

impl TouchPrompt for ConsentAsker {
    fn show<'a>(
        &'a self,
        question: &'a TouchQuestion,
    ) -> BoxFuture<'a, Result<TouchWait, NoConsent>> {
        Box::pin(async move {
            // The lock ensures that questions for consent and for touches are on the screen one
            // after another.
            let turn = self.turn().lock_owned().await;
            let (way, timeout, question) = (self.way(), question.time_limit(), question.clone());
            let over = Arc::new(AtomicBool::new(false));
            let wait = AnswerWait { until: Instant::now() + timeout, timeout, over: over.clone() };
            // If the caller drops this future while another question is on the terminal, the thread
            // ends without showing this one.
            let withdrawal = Withdrawn(over);
            let showing = tokio::task::spawn_blocking(move || put(way, &question, &wait));
            let shown = match showing.await {
                Ok(shown) => shown?,
                Err(_) => return Err(NoConsent::Failed("the asker broke off".to_owned())),
            };
            self.shows_on_terminal(matches!(shown, ShownTouch::Terminal(_)));
            drop(withdrawal);
            Ok(Box::pin(async move {
                let _shown = (shown, turn);
                // The user cannot decline in the window of an askpass program that only notifies,
                // so only the time limit or Ctrl-C ends the wait.
                std::future::pending().await
            }) as TouchWait)
        })
    }

    fn ended(&self, outcome: Result<(), &NoConsent>) {
        let words = match outcome {
            Ok(()) => "mcpid: touched, it is signed and sent\n".to_owned(),
            Err(NoConsent::TimedOut(time)) => {
                format!("mcpid: not sent: no touch within {} s\n", time.as_secs())
            }
            Err(why) => format!("mcpid: not sent: {}\n", visible(&why.to_string())),
        };
        if let Some(terminal) = self.is_on_terminal().then(Terminal::open).flatten() {
            // The touch is used even if this line cannot be written.
            let _ = terminal.show(&words);
        }
    }
}

/// A value that sets its flag when it is dropped, to withdraw the question.
struct Withdrawn(Arc<AtomicBool>);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Shows the question in the same way (terminal or askpass program) in which consent is asked for.
fn put(
    way: ConsentWay,
    question: &TouchQuestion,
    wait: &AnswerWait,
) -> Result<ShownTouch, NoConsent> {
    let by_askpass = |program: &Path| {
        let shown = question.shown(&askpass::limits());
        let text = format!("{}\n{}\n{}", headline(question), shown.text, ending(question));
        askpass::notice(program, text).map(ShownTouch::Askpass).map_err(NoConsent::Failed)
    };
    let no_way = |why: &str| Err(NoConsent::NoWay(why.to_owned()));
    match way {
        ConsentWay::Terminal => by_terminal(question, wait),
        ConsentWay::Askpass => match askpass::own().or_else(askpass::of_ssh) {
            Some(program) => by_askpass(&program),
            None => no_way("neither MCPID_ASKPASS nor SSH_ASKPASS is set"),
        },
        ConsentWay::Any => match askpass::own().or_else(askpass::of_ssh_first) {
            Some(program) => by_askpass(&program),
            None => match (by_terminal(question, wait), askpass::of_ssh()) {
                (Err(NoConsent::NoWay(_)), Some(program)) => by_askpass(&program),
                (Err(NoConsent::NoWay(why)), None) => {
                    no_way(&format!("{why}, and neither MCPID_ASKPASS nor SSH_ASKPASS is set"))
                }
                (shown, _) => shown,
            },
        },
    }
}

/// Shows the question on the terminal. If another process of this program is asking there, waits
/// until it is done.
fn by_terminal(question: &TouchQuestion, wait: &AnswerWait) -> Result<ShownTouch, NoConsent> {
    let no_way = |why: &str| NoConsent::NoWay(why.to_owned());
    let terminal = Terminal::open().ok_or_else(|| no_way("there is no terminal"))?;
    let turn = loop {
        match terminal.turn() {
            Ok(Some(turn)) => break turn,
            Ok(None) => {}
            Err(_) => return Err(no_way("the terminal is gone")),
        }
        if let Some(refused) = wait.ended() {
            return Err(refused);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !terminal.is_free() {
        return Err(no_way("another program has the terminal"));
    }
    let (columns, rows) = terminal.size();
    let mut limits = PageLimits::default().with_width(columns.min(120));
    // The limit ensures that the first line of the question is still visible when the last line is
    // written.
    limits.lines = rows.saturating_sub(22).clamp(8, limits.lines);
    let page = question.shown(&limits).text;
    let text =
        format!("\n{}\n{page}mcpid: {}; Ctrl-C ends mcpid\n", headline(question), ending(question));
    let failed = |failure: crate::output::failure::Failure| NoConsent::Failed(failure.message);
    terminal.show(&text).map_err(failed)?;
    Ok(ShownTouch::Terminal(turn))
}

/// Returns the first lines of the question: the rule, and why another touch of a security key is
/// needed.
fn headline(question: &TouchQuestion) -> String {
    let rule = visible(question.request().because());
    let first = format!("mcpid: a request wants your touch before it is sent (--touch {rule})");
    match question.again() {
        Some(why) => format!("{first}\nmcpid: ONCE MORE, since {}", visible(why)),
        None => first,
    }
}

fn ending(question: &TouchQuestion) -> String {
    let (key, seconds) = (visible(question.key_name()), question.time_limit().as_secs());
    format!("touch the security key {key:?} within {seconds} s to sign and send it")
}
