//! Text that strangers chose, as it may be shown to a person.
//!
//! A tool's name, a header or a path can hold characters that move a cursor, hide themselves, or
//! make text read in another order than it is stored. Wherever such text meets a person, on a
//! terminal, in a log or on a page, these are written as `\u{…}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// C0 and C1 controls, and the two line separators of Unicode: what can break a line.
pub fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// What can move the cursor, hide itself, or make text read in another order than it is stored:
/// controls, bidi marks, embeddings, overrides and isolates, zero-width and other invisible
/// characters, tags and variation selectors' invisible cousins.
pub fn is_unsafe(c: char) -> bool {
    is_control(c)
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every unsafe character as `\u{HEX}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// `text` with each character that is `bad` as `\u{HEX}`.
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

/// The JSON `text` with unsafe characters as JSON escapes, which stand for the same text. They can
/// only stand inside strings, if nothing but spaces, if anything, stands between the tokens.
pub fn json(text: &str) -> Cow<'_, str> {
    // Most text is plain ASCII, which takes but a glance.
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

/// `text` as one word of a POSIX shell, quoted only where it has to be.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}
