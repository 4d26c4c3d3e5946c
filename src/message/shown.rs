//! Escapes text that an attacker may have chosen, before a person reads it.
//!
//! The name of a tool, a header or a path can contain characters that move the cursor, are
//! invisible, or change the order in which text is read. Before such text is shown on a terminal,
//! in a log or on a page, these characters are written as `\u{…}`.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Returns true for characters that can break a line: C0 and C1 controls, and the two line
/// separators of Unicode.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns true if a character can move the cursor, hide itself, or change the order in which text
/// is read: controls, bidi marks, embeddings, overrides and isolates, zero-width and other
/// invisible characters, tags and variation selectors.
pub fn is_unsafe(c: char) -> bool {
    is_control(c)
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns `text` with every unsafe character written as `\u{HEX}`.
///
/// ```
/// use mcpid::message::shown::visible;
///
/// // A right-to-left override could make this name read as another one.
/// assert_eq!(visible("pay\u{202e}eerf"), "pay\\u{202e}eerf");
/// assert_eq!(visible("plain"), "plain");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// Returns `text` with each character for which `bad` returns true written as `\u{…}`.
pub fn escape(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) {
            let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Maximum number of characters of an untrusted text that are printed. A longer text is cut, and
/// followed by its length and a hash.
pub const MOST_PRINTED: usize = 200;

/// Returns the first `most` characters of `text`. If that is not the whole text, a mark follows,
/// with the length of the text and the beginning of its SHA-256, so that two different long texts
/// never look the same.
///
/// A text that was cut is longer than `most` characters because of the mark, so it differs from
/// every text that was not cut.
pub fn capped(text: &str, most: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(most) else { return Cow::Borrowed(text) };
    let mut cut = text[..end].to_owned();
    let characters = text.chars().count();
    let _ = write!(cut, "… ({characters} characters, sha256 ");
    for byte in Sha256::digest(text.as_bytes()).iter().take(MARK_BYTES) {
        let _ = write!(cut, "{byte:02x}");
    }
    cut.push(')');
    Cow::Owned(cut)
}

/// Returns true if `text` has the form of a text that [`capped`] has cut.
pub fn is_capped(text: &str, most: usize) -> bool {
    let mark = text.char_indices().nth(most).and_then(|(end, _)| text[end..].strip_prefix("… ("));
    let parts = mark.and_then(|mark| mark.strip_suffix(')')?.split_once(" characters, sha256 "));
    parts.is_some_and(|(characters, hash)| {
        let whole =
            characters.parse::<usize>().is_ok_and(|n| n > most && n.to_string() == characters);
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        whole && hash.len() == 2 * MARK_BYTES && hash.bytes().all(hex)
    })
}

/// Number of bytes of the SHA-256 hash in the mark. Finding two texts with the same mark takes 2^64
/// attempts.
const MARK_BYTES: usize = 16;

/// Returns a name from an untrusted source in the form for messages: [`capped`] and [`quoted`]. Two
/// different names never look the same.
pub fn printed(name: &str) -> Cow<'_, str> {
    match capped(name, MOST_PRINTED) {
        Cow::Borrowed(name) => quoted(name),
        Cow::Owned(cut) => Cow::Owned(quoted(&cut).into_owned()),
    }
}

/// Returns a name with unsafe characters as `\u{HEX}`. A name that is empty or contains blanks,
/// quotes or backslashes is put in quotes, so that a blank in the name does not look like its end.
pub fn quoted(name: &str) -> Cow<'_, str> {
    let blank = |c: char| c.is_whitespace() && c != ' ';
    let quoted =
        name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\');
    if !quoted && !name.chars().any(is_unsafe) {
        return Cow::Borrowed(name);
    }
    let mut shown = String::with_capacity(name.len() + 16);
    let quote = if quoted { "\"" } else { "" };
    shown.push_str(quote);
    for c in name.chars() {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            c if is_unsafe(c) || blank(c) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown.push_str(quote);
    Cow::Owned(shown)
}

/// Returns the JSON `text` with its unsafe characters as JSON escapes, which does not change its
/// meaning. `text` must not have unsafe characters outside of strings.
pub fn json(text: &str) -> Cow<'_, str> {
    // Most text is plain ASCII. This check recognizes it quickly.
    let plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if plain || !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Returns `text` as one word of a POSIX shell, quoted only if necessary.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_print_differently() {
        let long = |end: &str| format!("{}{end}", "a".repeat(5_000));
        let cut = capped(&long("x"), MOST_PRINTED).into_owned();
        let names = [
            "get_weather",
            "get_weather ",
            " get_weather",
            "get_weather\u{2028}",
            "get_weather\t",
            "get_weather\u{a0}",
            "get_weather\u{3000}",
            "get_weather\u{2003}",
            "get_weather\u{200b}",
            "get_weather\\u{2028}",
            "get_weather\\\\u{2028}",
            "\"get_weather\"",
            "\"get_weather \"",
            "get_weather\u{202e}",
            "get_weather\\u{202e}",
            "get weather",
            "get  weather",
            "",
            "\"\"",
            " ",
            "  ",
            "\u{feff}",
            "\\",
            "\\\\",
            &long("x"),
            &long("y"),
            &long(""),
            &cut,
        ];
        let mut seen = std::collections::HashMap::new();
        for name in names {
            let shown = printed(name).into_owned();
            assert!(!shown.contains(is_unsafe), "{shown:?}");
            assert!(shown.chars().count() < 2 * MOST_PRINTED, "{shown:?}");
            // Text that follows the name in a message must not look like a part of the name.
            let bare = !shown.starts_with('"');
            assert!(!(bare && shown.contains(char::is_whitespace)), "{shown:?}");
            assert_eq!(seen.insert(shown, name), None, "{name:?}");
        }
        assert_eq!(printed("get_weather"), "get_weather");
        assert_eq!(printed("मौसम"), "मौसम");
        assert_eq!(printed("get_weather "), "\"get_weather \"");
    }

    #[test]
    fn text_that_was_cut_states_its_length() {
        let edge = "é".repeat(200);
        assert_eq!(capped(&edge, 200), edge);
        let over = format!("{edge}é");
        let cut = capped(&over, 200);
        assert!(cut.starts_with(&format!("{edge}… (201 characters, sha256 ")), "{cut}");
        assert!(is_capped(&cut, 200) && !is_capped(&cut, 199) && !is_capped(&over, 200));
        for forged in [
            cut.replace("201", "200"),
            cut.replace("201", "0201"),
            cut.replace("201", "+201"),
            cut.replace(')', ""),
            cut.replace(')', "0)"),
            cut.to_uppercase(),
            format!("{cut} "),
        ] {
            assert!(!is_capped(&forged, 200), "{forged}");
        }
    }
}
