//! The one writer: stdout is data, stderr is talk, the terminal is for people.
//!
//! Everything the program says goes through [`Ui`], so that a closed pipe, a full disk and a
//! terminal escape in someone's header are each dealt with in one place.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mcpid::message::shown::{self, capped, escape, is_control, is_unsafe};
pub(crate) use mcpid::message::shown::{shell_word, visible};

use crate::output::echo::Echo;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};

/// Characters of one line of talk but a hint, which is pasted whole. Each text in it is capped by
/// itself; this bounds the whole line.
const MOST_SAID: usize = 2000;

/// Where the program's words go.
pub(crate) struct Ui {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_terminal: bool,
    err_terminal: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
    /// What messages must not repeat.
    echo: Echo,
    /// Whether a progress line stands on the terminal now.
    progress: bool,
    /// When one was drawn last, be it gone or not: work whose results are printed takes it away
    /// with each, and must not draw as often.
    drawn: Option<Instant>,
    /// Whether data for a terminal had to be escaped.
    escaped: bool,
    /// The first failure of a write to stdout that had no caller to tell.
    broken: Option<io::Error>,
}

/// How the caller wants to be spoken to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// JSON on stdout, and failures as JSON on stderr.
    pub(crate) json: bool,
    /// No notes, hints or summaries.
    pub(crate) quiet: bool,
    /// More notes.
    pub(crate) verbose: bool,
}

impl Ui {
    /// Speaks on the process's own streams.
    pub(crate) fn process(manner: Manner) -> Self {
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        // Rust's stdout writes line by line, also into a file; a hundred thousand verdicts need
        // fewer system calls than that.
        let out = BufWriter::with_capacity(64 * 1024, io::stdout());
        Ui::new(Box::new(out), Box::new(io::stderr()), out_terminal, err_terminal, manner)
    }

    /// Speaks on any two writers; the flags say which of them are terminals.
    pub(crate) fn new(
        out: Box<dyn Write>,
        err: Box<dyn Write>,
        out_terminal: bool,
        err_terminal: bool,
        manner: Manner,
    ) -> Self {
        let Manner { json, quiet, verbose } = manner;
        Ui {
            out,
            err,
            out_terminal,
            err_terminal,
            json,
            quiet,
            verbose,
            echo: Echo::default(),
            progress: false,
            drawn: None,
            escaped: false,
            broken: None,
        }
    }

    /// Never repeats what looks like a secret in these arguments, nor in the environment.
    pub(crate) fn withholding(mut self, argv: &[OsString]) -> Self {
        self.echo = Echo::of(argv);
        self
    }

    /// Never repeats what looks like a secret in these arguments either.
    pub(crate) fn withhold(&mut self, argv: &[OsString]) {
        self.echo.add(argv);
    }

    /// What messages must not repeat, for those that are written elsewhere.
    pub(crate) fn echo(&self) -> &Echo {
        &self.echo
    }

    /// Whether results and failures are to be JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether data was written to a terminal that is not what stands there now.
    pub(crate) fn has_escaped(&self) -> bool {
        self.escaped
    }

    /// Whether stderr is a terminal where progress may be drawn.
    pub(crate) fn shows_progress(&self) -> bool {
        self.err_terminal && !self.quiet && !self.json
    }

    /// Writes data to stdout: exactly these bytes, unless stdout is a terminal, where control
    /// and direction characters are shown as `\u{…}` (line feeds and tabs stay).
    ///
    /// # Errors
    /// A closed pipe, which ends the program without a word, or a disk that is full.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.clear_progress();
        let written = if self.out_terminal {
            let text = String::from_utf8_lossy(bytes);
            let shown = escape(&text, |c| c != '\n' && c != '\t' && is_unsafe(c));
            // A carriage return before its line feed is none to a reader.
            self.escaped |= shown.replace("\\u{d}\n", "\r\n").as_bytes() != bytes;
            self.out.write_all(shown.as_bytes())
        } else {
            self.out.write_all(bytes)
        };
        written.map_err(|e| stdout_failure(&e))
    }

    /// Writes one line of data to stdout.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.data(text.as_bytes())?;
        self.data(b"\n")
    }

    /// Writes `value` to stdout as one line of JSON. On a terminal too, this is safe and exact:
    /// what a terminal could obey is written as a JSON escape, which stands for the same text.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn json_line(&mut self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text = json_text(value)?;
        self.clear_progress();
        let text = if self.out_terminal { shown::json(&text) } else { Cow::Borrowed(&*text) };
        self.out.write_all(text.as_bytes()).map_err(|e| stdout_failure(&e))?;
        self.out.write_all(b"\n").map_err(|e| stdout_failure(&e))
    }

    /// Text that someone else chose, as it may stand inside a line on stdout. Line breaks and
    /// other controls are always shown as `\u{…}`, since they could fake a line of ours; on a
    /// terminal so are bidi and zero-width characters, since they could fake what a person reads.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.out_terminal { escape(text, is_unsafe) } else { escape(text, is_control) }
    }

    /// Says something that the caller did not ask for but should know: `mcpid: TEXT` on stderr.
    /// Silent under `--quiet`.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.say(&capped(text, MOST_SAID));
        }
    }

    /// As [`Ui::note`], but only under `--verbose`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose && !self.quiet {
            self.say(&capped(text, MOST_SAID));
        }
    }

    /// A warning about safety. Neither `--quiet` nor `--json` silences it.
    pub(crate) fn warning(&mut self, text: &str) {
        self.say(&capped(&format!("warning: {text}"), MOST_SAID));
    }

    /// A next step that can be pasted: `mcpid: hint: TEXT`. Silent under `--quiet` and `--json`.
    pub(crate) fn hint(&mut self, text: &str) {
        if !self.quiet && !self.json && self.echo.allows_hint(text) {
            self.say(&format!("hint: {text}"));
        }
    }

    /// Reports the failure that ends the command, or one of several inputs.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        // Both have been said already: by the reader who went, by the person who pressed Ctrl-C.
        if matches!(failure.exit, Exit::Closed | Exit::Interrupted) {
            return;
        }
        if self.json {
            self.before_talk();
            let mut failure = failure.clone();
            failure.message = self.echo.message(&failure.message).into_owned();
            failure.hints.retain(|hint| self.echo.allows_hint(hint));
            let text = failure.to_json();
            let text = if self.err_terminal { shown::json(&text) } else { Cow::Borrowed(&*text) };
            let _ = writeln!(self.err, "{text}");
            return;
        }
        self.say(&capped(&failure.message, MOST_SAID));
        for hint in &failure.hints {
            self.hint(hint);
        }
    }

    /// Draws how far a long piece of work has come; on a terminal only, at most ten times a
    /// second, and gone again before the next line of talk.
    pub(crate) fn progress(&mut self, text: &str) {
        let fresh = self.drawn.is_some_and(|t| t.elapsed() < Duration::from_millis(100));
        if self.shows_progress() && !fresh {
            let _ = write!(self.err, "\r\u{1b}[K{}", escape(text, is_unsafe));
            let _ = self.err.flush();
            (self.progress, self.drawn) = (true, Some(Instant::now()));
        }
    }

    /// Sends everything on its way. To be called once, last.
    ///
    /// # Errors
    /// As [`Ui::data`].
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.clear_progress();
        if let Some(error) = self.broken.take() {
            return Err(stdout_failure(&error));
        }
        self.out.flush().map_err(|e| stdout_failure(&e))
    }

    fn say(&mut self, text: &str) {
        self.before_talk();
        // Talk is lines, also in a log file, so what could break a line is always escaped.
        let text = self.echo.message(text);
        let _ = writeln!(self.err, "mcpid: {}", escape(&text, is_unsafe));
    }

    /// On a terminal both streams meet: a hint must come after the verdict it belongs to.
    fn before_talk(&mut self) {
        self.clear_progress();
        if let Err(error) = self.out.flush() {
            self.broken.get_or_insert(error);
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            let _ = write!(self.err, "\r\u{1b}[K");
        }
    }
}

/// A path as one word of a POSIX shell. One that begins with a dash would be read as a flag.
pub(crate) fn path_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let dashed = if text.starts_with('-') { "./" } else { "" };
    shell_word(&format!("{dashed}{text}")).into_owned()
}

/// What a failed write to stdout means.
fn stdout_failure(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Closed, "closed", "the reader of stdout has gone");
    }
    let (code, why) = reason(error);
    Failure::new(Exit::Input, code, format!("cannot write to stdout: {why}"))
}

fn json_text(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|e| Failure::new(Exit::Bug, "bug", format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests;
