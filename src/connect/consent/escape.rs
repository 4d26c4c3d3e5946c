//! Escapes for text in a question: which characters are shown as `\u{…}`, how wide a character is,
//! and which letters look like other letters.

use std::fmt::Write as _;

use crate::message::shown::is_unsafe;

/// Returns true if `c` is shown as an escape. These are: characters that are unsafe on any
/// terminal, blanks other than the space, variation selectors, private-use characters (which look
/// different in each font) and code points that are not characters.
fn is_hidden(c: char) -> bool {
    is_unsafe(c)
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{fe00}'..='\u{fe0f}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{fffc}' | '\u{f0000}'..='\u{10ffff}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

/// Returns true if `c` is a combining mark, which is drawn over the character before it.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Maximum number of spaces in a row that are shown as spaces. For a longer run, their number is
/// shown.
const SPACES: usize = 8;

/// Returns `text` between quotation marks, safe to print on a terminal and unambiguous.
///
/// `"` and `\` are escaped. Invisible characters are shown as `\u{…}`, and so are the third and
/// later combining marks on one character. A long run of spaces is shown as a number outside the
/// quotation marks, for example `"a" (20 spaces) "b"`. A line feed follows each `\u{a}`.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut marks = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\u{a}\n"),
            ' ' => {
                let mut spaces = 1_usize;
                while chars.next_if_eq(&' ').is_some() {
                    spaces += 1;
                }
                if spaces > SPACES {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\" ({spaces} spaces) \"");
                } else {
                    out.extend(std::iter::repeat_n(' ', spaces));
                }
            }
            c if is_hidden(c) || marks > 2 => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Returns `text` with every character outside printable ASCII as `\u{…}`.
pub(super) fn spelt_out(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
        }
        out
    })
}

/// Returns the number of columns that `c` takes on a terminal. If in doubt, the number is too
/// large.
pub(super) fn width(c: char) -> usize {
    // East Asian wide characters and emoji begin at this code point. Some characters above it are
    // narrow; counting them as wide only makes a line wrap sooner.
    if u32::from(c) >= 0x1100 { 2 } else { 1 }
}

/// Returns true if `c` may look like a Latin letter: it is a letter of Greek, Cyrillic, Armenian,
/// Cherokee and Lisu, full-width forms and mathematical alphabets. UTS #39 names these Unicode
/// blocks; its tables of single characters are not used.
fn passes_for_latin(c: char) -> bool {
    c.is_alphanumeric()
        && matches!(c,
            '\u{370}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}'
            | '\u{1d00}'..='\u{1d7f}' | '\u{1f00}'..='\u{1fff}' | '\u{2100}'..='\u{218f}'
            | '\u{24b6}'..='\u{24e9}' | '\u{2c80}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}'
            | '\u{a640}'..='\u{a69f}' | '\u{ab30}'..='\u{abbf}' | '\u{ff10}'..='\u{ff5a}'
            | '\u{1d400}'..='\u{1d7ff}')
}

/// Returns the words of `text` that mix ASCII letters with look-alike letters, for example `pаypal`
/// with a Cyrillic `а`.
pub(super) fn mixed_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| {
        !word.is_ascii()
            && word.chars().any(|c| c.is_ascii_alphabetic())
            && word.chars().any(passes_for_latin)
    })
}

/// Splits `text` into a part that fits into `room` columns, and the rest. The part has at least one
/// character or escape; an escape is never split.
pub(super) fn split(text: &str, room: usize) -> (&str, &str) {
    let mut columns = 0;
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let length = match &text[at..] {
            rest if rest.starts_with("\\u{") => rest.find('}').map_or(1, |end| end + 1),
            rest if first == '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => first.len_utf8(),
        };
        columns += text[at..at + length].chars().map(width).sum::<usize>();
        if columns > room && at > 0 {
            return text.split_at(at);
        }
        at += length;
    }
    (text, "")
}
