//! Asks for consent on the terminal.

use mcpid::connect::consent::{ConsentAnswer, ConsentQuestion, NoConsent, PageLimits};
use signal_hook::consts::SIGINT;

use super::wait::AnswerWait;
use crate::output::failure::reason;
use crate::prompt::terminal::{KeyInput, Terminal};

/// Maximum number of attempts if the user's answer is neither yes nor no.
const MAX_ATTEMPTS: usize = 3;
/// Maximum number of characters of an answer. A longer answer is neither yes nor no.
const MAX_ANSWER: usize = 16;

/// Shows the question, and waits for a line with yes or no.
pub(super) fn ask(
    terminal: &Terminal,
    asked: &ConsentQuestion,
    wait: &AnswerWait,
) -> ConsentAnswer {
    let answer = match show_and_read(terminal, asked, wait) {
        Ok(answer) => answer,
        Err(error) => {
            ConsentAnswer::No(NoConsent::Failed(format!("the terminal: {}", reason(&error).1)))
        }
    };
    let words = match &answer {
        ConsentAnswer::Yes => "mcpid: yes, it is signed and sent\n".to_owned(),
        ConsentAnswer::No(NoConsent::Interrupted) => {
            "mcpid: interrupted: this request was not signed, and nothing of it was sent\n"
                .to_owned()
        }
        ConsentAnswer::No(NoConsent::Withdrawn) => "mcpid: withdrawn, and not sent\n".to_owned(),
        ConsentAnswer::No(why) => format!("mcpid: not sent: {why}\n"),
    };
    // The answer is used even if this line cannot be written.
    let _ = terminal.show(&words);
    if answer == ConsentAnswer::No(NoConsent::Interrupted) {
        // In this mode the terminal sends no signal for Ctrl-C, so the program sends it to itself,
        // to end as usual.
        let _ = signal_hook::low_level::raise(SIGINT);
    }
    answer
}

fn show_and_read(
    terminal: &Terminal,
    asked: &ConsentQuestion,
    wait: &AnswerWait,
) -> std::io::Result<ConsentAnswer> {
    let mut typing = terminal.typing()?;
    if let Some(refused) = wait.ended() {
        return Ok(ConsentAnswer::No(refused));
    }
    let (columns, rows) = terminal.size();
    let mut limits = PageLimits::default().with_width(columns.min(120));
    // The limit ensures that the first line of the question is still visible when the last line is
    // written.
    limits.lines = rows.saturating_sub(22).clamp(8, limits.lines);
    let mut hidden = page(terminal, asked, &limits)?;
    for _ in 0..MAX_ATTEMPTS {
        let (all, seconds) =
            (if hidden > 0 { ", a shows all" } else { "" }, wait.timeout.as_secs());
        show(terminal, &format!("sign it and send it? [y/N{all}; {seconds} s] "))?;
        // Keys that were pressed before the whole question was visible are ignored.
        typing.forget();
        match line(terminal, &mut typing, wait)? {
            AnswerLine::Ended(refused) => return Ok(ConsentAnswer::No(refused)),
            AnswerLine::Interrupted => return Ok(ConsentAnswer::No(NoConsent::Interrupted)),
            AnswerLine::Text(text) => match text.to_ascii_lowercase().trim() {
                "y" | "yes" => return Ok(ConsentAnswer::Yes),
                "" | "n" | "no" => return Ok(ConsentAnswer::No(NoConsent::Declined)),
                "a" | "all" if hidden > 0 => {
                    hidden =
                        page(terminal, asked, &PageLimits::none().with_width(columns.min(120)))?;
                }
                _ => show(terminal, "mcpid: y is yes, n is no, and so is nothing\n")?,
            },
        }
    }
    Ok(ConsentAnswer::No(NoConsent::Declined))
}

fn page(
    terminal: &Terminal,
    asked: &ConsentQuestion,
    limits: &PageLimits,
) -> std::io::Result<usize> {
    let shown = asked.shown(limits);
    let why = match asked.because() {
        "" => String::new(),
        rule => format!(" (--confirm {})", mcpid::message::shown::visible(rule)),
    };
    show(terminal, &format!("\nmcpid: a request wants your yes before it is signed{why}\n"))?;
    show(terminal, &shown.text)?;
    Ok(shown.hidden)
}

fn show(terminal: &Terminal, text: &str) -> std::io::Result<()> {
    terminal.show(text).map_err(|failure| std::io::Error::other(failure.message))
}

/// The result of reading a line.
enum AnswerLine {
    Text(String),
    /// The user pressed Ctrl-C.
    Interrupted,
    Ended(NoConsent),
}

/// Reads one line and echoes it. Ctrl-D ends it as an empty line.
fn line(
    terminal: &Terminal,
    typing: &mut KeyInput,
    wait: &AnswerWait,
) -> std::io::Result<AnswerLine> {
    let mut text = String::new();
    let mut keys = [0; 64];
    loop {
        if let Some(refused) = wait.ended() {
            show(terminal, "\n")?;
            return Ok(AnswerLine::Ended(refused));
        }
        let Some(typed) = typing.read(&mut keys)? else {
            return Ok(AnswerLine::Ended(NoConsent::Withdrawn));
        };
        for &key in typed {
            match key {
                b'\r' | b'\n' => {
                    show(terminal, "\n")?;
                    return Ok(AnswerLine::Text(text));
                }
                0x03 => return Ok(AnswerLine::Interrupted),
                0x04 => {
                    show(terminal, "\n")?;
                    return Ok(AnswerLine::Text(String::new()));
                }
                0x08 | 0x7f => {
                    if text.pop().is_some() {
                        show(terminal, "\u{8} \u{8}")?;
                    }
                }
                // A key that no answer contains, such as an arrow key, or a key after the 16th, is
                // stored as a character that makes the answer invalid.
                key => {
                    let key = if key.is_ascii_graphic() { char::from(key) } else { '?' };
                    if text.len() < MAX_ANSWER {
                        text.push(key);
                        show(terminal, key.encode_utf8(&mut [0; 4]))?;
                    }
                }
            }
        }
    }
}
