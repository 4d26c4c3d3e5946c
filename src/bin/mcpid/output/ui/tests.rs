//! Tests of the writer for all output, on streams in memory that can be treated as terminals.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;

/// A stream in memory. If an error is given, each write fails with it.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Vec<u8>>>, Option<io::ErrorKind>);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.1 {
            Some(kind) => Err(kind.into()),
            None => self.0.lock().unwrap().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

impl Stream {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn output_of(terminal: bool, mode: OutputMode, say: impl FnOnce(&mut Ui)) -> (String, String) {
    let (out, err) = (Stream::default(), Stream::default());
    let (o, e) = (Box::new(out.clone()), Box::new(err.clone()));
    let mut ui = Ui::new(o, e, terminal, terminal, mode);
    say(&mut ui);
    ui.finish().unwrap();
    (out.text(), err.text())
}

const ODD: &str = "a\u{1b}[31mb\u{7}\u{9b}c\u{202e}d\u{200b}e\u{2028}f\r\n\tü";

#[test]
fn data_is_exact_but_for_a_terminal() {
    let odd = |ui: &mut Ui| ui.data(ODD.as_bytes()).unwrap();
    assert_eq!(output_of(false, OutputMode::default(), odd).0, ODD);
    assert_eq!(
        output_of(true, OutputMode::default(), odd).0,
        "a\\u{1b}[31mb\\u{7}\\u{9b}c\\u{202e}d\\u{200b}e\\u{2028}f\\u{d}\n\tü"
    );
    let bytes = output_of(false, OutputMode::default(), |ui| ui.data(b"\xc3\xbc").unwrap()).0;
    assert_eq!(bytes.as_bytes(), b"\xc3\xbc");
}

#[test]
fn a_message_is_one_line_everywhere() {
    for terminal in [false, true] {
        let (out, err) = output_of(terminal, OutputMode::default(), |ui| ui.note(ODD));
        assert_eq!(out, "");
        assert_eq!(
            err,
            "mcpid: a\\u{1b}[31mb\\u{7}\\u{9b}c\\u{202e}d\\u{200b}e\\u{2028}f\\u{d}\\u{a}\\u{9}ü\n"
        );
    }
}

#[test]
fn text_inside_a_line_never_breaks_the_line() {
    let plain = output_of(false, OutputMode::default(), |ui| {
        assert_eq!(ui.shown("x\ny\u{202e}z"), "x\\u{a}y\u{202e}z");
    });
    assert_eq!(plain.0, "");
    output_of(true, OutputMode::default(), |ui| {
        assert_eq!(ui.shown("x\ny\u{202e}z"), "x\\u{a}y\\u{202e}z");
    });
}

#[test]
fn json_on_a_terminal_means_the_same() {
    let value = format!("{ODD}\u{e0041}");
    let (out, _) = output_of(true, OutputMode::default(), |ui| ui.json_line(&value).unwrap());
    assert!(out.trim_end().chars().all(|c| !is_unsafe(c)), "{out:?}");
    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
    let failure = Failure::usage(value.clone());
    let json = OutputMode { json: true, ..OutputMode::default() };
    let (_, err) = output_of(true, json, |ui| ui.failure(&failure));
    let said: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(said["error"]["message"], value);
}

#[test]
fn quiet_leaves_failures_and_warnings() {
    let say = |ui: &mut Ui| {
        ui.note("a note");
        ui.detail("a detail");
        ui.hint("a hint");
        ui.warning("beware");
        ui.failure(&Failure::usage("no").hint("try this"));
    };
    let quiet = OutputMode { quiet: true, ..OutputMode::default() };
    assert_eq!(output_of(false, quiet, say).1, "mcpid: warning: beware\nmcpid: no\n");
    let (_, usual) = output_of(false, OutputMode::default(), say);
    assert_eq!(
        usual,
        "mcpid: a note\nmcpid: hint: a hint\nmcpid: warning: beware\nmcpid: no\nmcpid: hint: try this\n"
    );
    let verbose = OutputMode { verbose: true, ..OutputMode::default() };
    assert!(output_of(false, verbose, say).1.contains("mcpid: a detail\n"));
}

#[test]
fn progress_is_drawn_on_terminals_and_cleared() {
    let work = |ui: &mut Ui| {
        ui.progress("1 of 2");
        ui.progress("too soon to be drawn");
        ui.note("done");
    };
    assert_eq!(output_of(false, OutputMode::default(), work).1, "mcpid: done\n");
    let (_, seen) = output_of(true, OutputMode::default(), work);
    assert_eq!(seen, "\r\u{1b}[K1 of 2\r\u{1b}[Kmcpid: done\n");
    let json = OutputMode { json: true, ..OutputMode::default() };
    assert!(!output_of(true, json, work).1.contains("1 of 2"));
}

#[test]
fn a_broken_stdout_has_an_exit_code_of_its_own() {
    for (kind, exit) in
        [(io::ErrorKind::BrokenPipe, Exit::Closed), (io::ErrorKind::StorageFull, Exit::Input)]
    {
        let err = Stream::default();
        let out = Stream(Arc::default(), Some(kind));
        let mut ui =
            Ui::new(Box::new(out), Box::new(err.clone()), false, false, OutputMode::default());
        assert_eq!(ui.line("x").unwrap_err().exit, exit);
        // Writing this message causes the error. It is kept, and reported at the end.
        ui.note("in between");
        let failure = ui.finish().unwrap_err();
        assert_eq!(failure.exit, exit);
        ui.failure(&failure);
        let said = err.text();
        assert_eq!(said.lines().count(), if exit == Exit::Closed { 1 } else { 2 }, "{said}");
    }
}

#[test]
fn shell_words_are_quoted() {
    for (text, word) in [
        ("plain-1.json", "plain-1.json"),
        ("", "''"),
        ("two words", "'two words'"),
        ("it's", r"'it'\''s'"),
        ("$HOME", "'$HOME'"),
        ("a&b", "'a&b'"),
        ("~x", "'~x'"),
    ] {
        assert_eq!(shell_word(text), word);
    }
}
