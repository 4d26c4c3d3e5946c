//! Writes all output: data to stdout, messages to stderr.
//!
//! All output of the program goes through [`Ui`], so that a closed pipe, a full disk and terminal
//! escapes in received text are each handled in one place.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use mcpid::message::shown::{self, capped, escape, is_control, is_unsafe};
pub(crate) use mcpid::message::shown::{shell_word, visible};

use crate::output::exit::Exit;
use crate::output::failure::{Failure, reason};
use crate::output::secret_filter::SecretFilter;

/// Maximum length of a message in characters. Texts inside of a message are cut before that; this
/// limit is for the whole line. Hints are not cut, because a part of a command is useless.
const MAX_MESSAGE: usize = 2000;

/// The streams of the program, and how to write to them.
pub(crate) struct Ui {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_terminal: bool,
    err_terminal: bool,
    json: bool,
    quiet: bool,
    verbose: bool,
    /// Replaces secrets from arguments and variables in all messages.
    filter: SecretFilter,
    /// True while a progress line is visible on the terminal.
    progress: bool,
    /// When a progress line was last drawn. Clearing the line does not reset this, so that progress
    /// lines between printed results are not drawn more often.
    drawn: Option<Instant>,
    /// Whether characters of the output were escaped because stdout is a terminal.
    escaped: bool,
    /// The first write error on stdout that occurred where no error could be returned.
    broken: Option<io::Error>,
}

/// How the output is written, as the user chose by flags.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutputMode {
    /// Whether results are written to stdout, and failures to stderr, as JSON.
    pub(crate) json: bool,
    /// Whether notes, hints and summaries are left out.
    pub(crate) quiet: bool,
    /// Whether more notes are printed.
    pub(crate) verbose: bool,
}

impl Ui {
    /// Returns a writer to the process's own streams.
    pub(crate) fn process(mode: OutputMode) -> Self {
        let (out_terminal, err_terminal) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        // Rust's stdout makes a system call for each line, even if it writes to a file. A larger
        // buffer needs fewer calls.
        let out = BufWriter::with_capacity(64 * 1024, io::stdout());
        Ui::new(Box::new(out), Box::new(io::stderr()), out_terminal, err_terminal, mode)
    }

    /// Returns a writer for two streams. The two flags say whether each is a terminal.
    pub(crate) fn new(
        out: Box<dyn Write>,
        err: Box<dyn Write>,
        out_terminal: bool,
        err_terminal: bool,
        mode: OutputMode,
    ) -> Self {
        let OutputMode { json, quiet, verbose } = mode;
        Ui {
            out,
            err,
            out_terminal,
            err_terminal,
            json,
            quiet,
            verbose,
            filter: SecretFilter::default(),
            progress: false,
            drawn: None,
            escaped: false,
            broken: None,
        }
    }

    /// Keeps texts that look like secrets in these arguments and in the environment out of
    /// messages.
    pub(crate) fn withholding(mut self, argv: &[OsString]) -> Self {
        self.filter = SecretFilter::of(argv);
        self
    }

    /// Keeps texts that look like secrets in further arguments out of messages.
    pub(crate) fn withhold(&mut self, argv: &[OsString]) {
        self.filter.add(argv);
    }

    /// Returns the filter for secrets, for messages that are printed without this writer.
    pub(crate) fn secret_filter(&self) -> &SecretFilter {
        &self.filter
    }

    /// Returns true if results and failures are printed as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Returns true if data was changed by escapes, because stdout is a terminal.
    pub(crate) fn has_escaped(&self) -> bool {
        self.escaped
    }

    /// Returns true if stderr is a terminal, so that progress can be shown.
    pub(crate) fn shows_progress(&self) -> bool {
        self.err_terminal && !self.quiet && !self.json
    }

    /// Writes data to stdout. If stdout is not a terminal, exactly these bytes are written. On a
    /// terminal, control characters and characters that change the direction of text are written as
    /// `\u{…}`, except line feeds and tabs.
    ///
    /// # Errors
    /// The pipe is closed, after which the program ends without a message; or the disk is full.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.clear_progress();
        let written = if self.out_terminal {
            let text = String::from_utf8_lossy(bytes);
            let shown = escape(&text, |c| c != '\n' && c != '\t' && is_unsafe(c));
            // A carriage return before a line feed changes nothing for a reader, so escaping it
            // does not count.
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
    /// As for [`Ui::data`].
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.data(text.as_bytes())?;
        self.data(b"\n")
    }

    /// Writes `value` to stdout as one line of JSON. On a terminal, unsafe characters are written
    /// as JSON escapes, which do not change the meaning.
    ///
    /// # Errors
    /// As for [`Ui::data`].
    pub(crate) fn json_line(&mut self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text = json_text(value)?;
        self.clear_progress();
        let text = if self.out_terminal { shown::json(&text) } else { Cow::Borrowed(&*text) };
        self.out.write_all(text.as_bytes()).map_err(|e| stdout_failure(&e))?;
        self.out.write_all(b"\n").map_err(|e| stdout_failure(&e))
    }

    /// Returns received text in a form that is safe within a line on stdout. Control characters are
    /// always written as `\u{…}`, because a line break could forge a line of our output. On a
    /// terminal, bidirectional and zero-width characters are escaped too, because they could change
    /// what a person reads.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.out_terminal { escape(text, is_unsafe) } else { escape(text, is_control) }
    }

    /// Prints a message to the user, `mcpid: TEXT`, on stderr. Silent under `--quiet`.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.quiet {
            self.say(&capped(text, MAX_MESSAGE));
        }
    }

    /// Prints a message as [`Ui::note`] does, but only under `--verbose`.
    pub(crate) fn detail(&mut self, text: &str) {
        if self.verbose && !self.quiet {
            self.say(&capped(text, MAX_MESSAGE));
        }
    }

    /// Prints a warning about safety. Neither `--quiet` nor `--json` silences it.
    pub(crate) fn warning(&mut self, text: &str) {
        self.say(&capped(&format!("warning: {text}"), MAX_MESSAGE));
    }

    /// Prints a next step that can be pasted: `mcpid: hint: TEXT`. Silent under `--quiet` and
    /// `--json`.
    pub(crate) fn hint(&mut self, text: &str) {
        if !self.quiet && !self.json && self.filter.allows_hint(text) {
            self.say(&format!("hint: {text}"));
        }
    }

    /// Prints a failure of the command, or of one of several inputs.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        // No message is printed, because the reader of the output is gone, or the user pressed
        // Ctrl-C.
        if matches!(failure.exit, Exit::Closed | Exit::Interrupted) {
            return;
        }
        if self.json {
            self.before_message();
            let mut failure = failure.clone();
            failure.message = self.filter.message(&failure.message).into_owned();
            failure.hints.retain(|hint| self.filter.allows_hint(hint));
            let text = failure.to_json();
            let text = if self.err_terminal { shown::json(&text) } else { Cow::Borrowed(&*text) };
            let _ = writeln!(self.err, "{text}");
            return;
        }
        self.say(&capped(&failure.message, MAX_MESSAGE));
        for hint in &failure.hints {
            self.hint(hint);
        }
    }

    /// Draws the progress of long work. Only on a terminal, and at most ten times a second. The
    /// line is cleared before the next message.
    pub(crate) fn progress(&mut self, text: &str) {
        let fresh = self.drawn.is_some_and(|t| t.elapsed() < Duration::from_millis(100));
        if self.shows_progress() && !fresh {
            let _ = write!(self.err, "\r\u{1b}[K{}", escape(text, is_unsafe));
            let _ = self.err.flush();
            (self.progress, self.drawn) = (true, Some(Instant::now()));
        }
    }

    /// Flushes both streams. Call this once, at the end.
    ///
    /// # Errors
    /// As for [`Ui::data`].
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.clear_progress();
        if let Some(error) = self.broken.take() {
            return Err(stdout_failure(&error));
        }
        self.out.flush().map_err(|e| stdout_failure(&e))
    }

    fn say(&mut self, text: &str) {
        self.before_message();
        // A message is always one line, so line breaks in it are escaped.
        let text = self.filter.message(text);
        let _ = writeln!(self.err, "mcpid: {}", escape(&text, is_unsafe));
    }

    /// Flushes stdout before a message. On a terminal, both streams appear in one place, and a hint
    /// must come after the verdict that it belongs to.
    fn before_message(&mut self) {
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

/// Returns a path as one word of a POSIX shell. A path that begins with a dash gets `./` in front,
/// because it would be taken for a flag.
pub(crate) fn path_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let dashed = if text.starts_with('-') { "./" } else { "" };
    shell_word(&format!("{dashed}{text}")).into_owned()
}

/// Returns the failure for an error of a write to stdout.
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
