//! Shows a question for consent to a person as text.
//!
//! Client and server choose parts of the text. A line with such a part begins with `  | ` and has
//! the part in quotation marks, so it cannot be mistaken for a line that mcpid wrote.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::escape::{mixed_words, quoted, spelt_out, split, width};
use super::members::{BESIDE, JsonMembers};
use super::{BodyMember, ConsentQuestion};
use crate::mcp::body::name_member;

/// The limits of the text that shows a question.
///
/// ```
/// use mcpid::connect::consent::PageLimits;
///
/// let limits = PageLimits::default().with_width(120);
/// assert_eq!((limits.width, limits.lines, limits.text), (120, 50, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageLimits {
    /// Number of columns of a line. Less than 40 counts as 40.
    pub width: usize,
    /// Maximum number of lines with text that client or server chose. Lines that contain only
    /// brackets, and mcpid's own lines, do not count.
    pub lines: usize,
    /// Maximum number of characters of one string, key or number. A longer text is cut in the
    /// middle.
    pub text: usize,
}

impl Default for PageLimits {
    /// Returns the default limits: 80 columns, 50 lines, 400 characters for each text.
    fn default() -> Self {
        PageLimits { width: 80, lines: 50, text: 400 }
    }
}

impl PageLimits {
    /// Returns limits that hide nothing, with lines of 80 columns.
    pub fn none() -> Self {
        PageLimits { width: 80, lines: usize::MAX, text: usize::MAX }
    }

    /// Sets the width of a line to `width` columns.
    #[must_use]
    pub fn with_width(self, width: usize) -> Self {
        PageLimits { width, ..self }
    }
}

/// A question as text for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShownPage {
    /// The lines, each ending in a line feed.
    pub text: String,
    /// Number of bytes of the request that the limits hide.
    pub hidden: usize,
}

const GUTTER: &str = "  | ";
/// The deepest nesting level that gets its own indent. Deeper levels use the same indent, so that a
/// line always has room for text.
const MAX_INDENT: usize = 10;
/// The number of lines from which on a page ends with a summary.
const SUMMARY_FROM_LINES: usize = 12;
/// Maximum number of characters of each text in the summary.
const MAX_LABEL_CHARS: usize = 60;
/// Maximum number of words with look-alike letters that a warning names. Further words are only
/// counted.
const MAX_WARNED_WORDS: usize = 3;

pub(super) fn page(question: &ConsentQuestion, limits: &PageLimits) -> ShownPage {
    let limits = PageLimits { width: limits.width.max(40), ..*limits };
    let mut page = PageWriter { limits, text: String::new(), lines: 0, hidden: 0 };
    page.field("target", &question.target);
    page.field("method", &question.method);
    if let Some(name) = &question.name {
        page.field(name_member(&question.method).unwrap_or("name"), name);
    }
    let keys = [
        ("signed by the key:", &question.signer),
        ("touched with the security key:", &question.touch_key),
    ];
    for (label, key) in keys {
        if let Some((name, id)) = key {
            let name = page.string(name);
            page.remark(label);
            page.lines(0, &format!("{name} {id}"));
        }
    }
    for (n, part) in question.parts.iter().enumerate() {
        if page.is_full() {
            let left = &question.parts[n..];
            let sizes: Vec<usize> = left.iter().map(|p| p.label.len() + p.json.len()).collect();
            page.left_out(0, "members of the request", &sizes);
            break;
        }
        page.part(part);
    }
    let digest = question.digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    page.remark(&format!("body: {} bytes, sha-256", question.size));
    page.remark(&format!("  {digest}"));
    page.warn_of_lookalikes(question);
    // A summary at the end repeats what may have scrolled out of the terminal window.
    if page.lines > SUMMARY_FROM_LINES {
        page.remark("in short:");
        page.lines(0, &in_short(question));
    }
    if page.hidden > 0 {
        page.remark(&format!("{} bytes of this request are NOT shown", page.hidden));
    }
    ShownPage { text: page.text, hidden: page.hidden }
}

/// Returns the summary of a long page: method, name, target and key, each shortened.
fn in_short(question: &ConsentQuestion) -> String {
    let cut = |text: &str| match text.char_indices().nth(MAX_LABEL_CHARS) {
        Some((end, _)) => format!("{}(and more)", quoted(&text[..end])),
        None => quoted(text),
    };
    let name = question.name.as_deref().map(|name| format!(" {}", cut(name))).unwrap_or_default();
    let by = question.signer.as_ref().map(|(name, _)| format!(" by {}", cut(name)));
    let (method, target) = (cut(&question.method), cut(&question.target));
    format!("{method}{name} at {target}{}", by.unwrap_or_default())
}

struct PageWriter {
    limits: PageLimits,
    text: String,
    /// Number of lines so far with text that client or server chose.
    lines: usize,
    hidden: usize,
}

/// The text before and after a value.
#[derive(Clone, Copy)]
struct ValueFrame<'a> {
    depth: usize,
    /// The member's key with its colon, or an empty text.
    before: &'a str,
    /// The comma between two values, or an empty text after the last value.
    after: &'a str,
}

impl PageWriter {
    /// Writes a line without text that client or server chose.
    fn remark(&mut self, words: &str) {
        self.text.push_str("  ");
        self.text.push_str(words);
        self.text.push('\n');
    }

    /// Writes a text that client or server chose, after a label.
    fn field(&mut self, label: &str, value: &str) {
        self.remark(&format!("{label}:"));
        let quoted = self.string(value);
        self.lines(0, &quoted);
        if !value.is_ascii() {
            self.remark("which is not plain ASCII, but:");
            let spelt = format!("\"{}\"", self.cut(value, spelt_out));
            self.lines(0, &spelt);
        }
    }

    /// Writes a member of the request's body. Its key is the label if it is short plain ASCII.
    fn part(&mut self, part: &BodyMember) {
        let bytes = part.json.len();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./".contains(&b);
        let name = part.label.trim_end_matches(BESIDE);
        if name.len() <= 60 && name.bytes().all(plain) {
            self.remark(&format!("{}, {bytes} bytes:", part.label));
        } else {
            self.remark(&format!("a member of {bytes} bytes, called:"));
            let label = self.string(&part.label);
            self.lines(0, &label);
            self.remark("which says:");
        }
        self.value(&part.json, ValueFrame { depth: 0, before: "", after: "" });
    }

    /// Writes a JSON value: on one line if it fits, otherwise with a line for each member.
    fn value(&mut self, json: &str, around: ValueFrame<'_>) {
        let json = json.trim_ascii();
        let ValueFrame { depth, before, after } = around;
        let room = self.limits.width.saturating_sub(
            GUTTER.len() + 2 * depth.min(MAX_INDENT) + before.chars().map(width).sum::<usize>() + 1,
        );
        if let Some(whole) = self.compact(json, room) {
            return self.lines(depth, &format!("{before}{whole}{after}"));
        }
        if let Ok(JsonMembers(members)) = serde_json::from_str::<JsonMembers<'_>>(json) {
            self.lines(depth, &format!("{before}{{"));
            let sizes: Vec<usize> =
                members.iter().map(|(key, value)| key.len() + value.get().len()).collect();
            for (n, (key, value)) in members.iter().enumerate() {
                if self.is_full() {
                    self.left_out(depth + 1, "members", &sizes[n..]);
                    break;
                }
                let key = format!("{}: ", self.string(key));
                let after = if n + 1 < members.len() { "," } else { "" };
                self.value(value.get(), ValueFrame { depth: depth + 1, before: &key, after });
            }
            self.lines(depth, &format!("}}{after}"));
        } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
            self.lines(depth, &format!("{before}["));
            let sizes: Vec<usize> = items.iter().map(|item| item.get().len()).collect();
            for (n, item) in items.iter().enumerate() {
                if self.is_full() {
                    self.left_out(depth + 1, "items", &sizes[n..]);
                    break;
                }
                let after = if n + 1 < items.len() { "," } else { "" };
                self.value(item.get(), ValueFrame { depth: depth + 1, before: "", after });
            }
            self.lines(depth, &format!("]{after}"));
        } else {
            let text = self.scalar(json);
            self.lines(depth, &format!("{before}{text}{after}"));
        }
    }

    fn is_full(&self) -> bool {
        self.lines >= self.limits.lines
    }

    /// Writes how many members of an object or array are left out.
    fn left_out(&mut self, depth: usize, what: &str, sizes: &[usize]) {
        let bytes: usize = sizes.iter().sum();
        self.hidden += bytes;
        self.lines(depth, &format!("({} more {what}, {bytes} bytes, not shown)", sizes.len()));
    }

    /// Returns a string, number, `true`, `false` or `null` in the form in which it is shown.
    fn scalar(&mut self, json: &str) -> String {
        match serde_json::from_str::<Cow<'_, str>>(json) {
            Ok(text) => self.string(&text),
            Err(_) => self.cut(json, str::to_owned),
        }
    }

    fn string(&mut self, text: &str) -> String {
        self.cut(text, quoted)
    }

    /// Returns `text` as the function `shown` writes it, or only its beginning and end if it is too
    /// long.
    fn cut(&mut self, text: &str, shown: impl Fn(&str) -> String) -> String {
        let limit = self.limits.text;
        // Characters are counted only if the number of bytes, which is at least as large, exceeds
        // the limit.
        let characters = if text.len() > limit { text.chars().count() } else { 0 };
        if characters <= limit {
            return shown(text);
        }
        let head = limit - limit / 4;
        let place = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
        let (from, to) = (place(head), place(characters - limit / 4));
        self.hidden += to - from;
        let hidden = characters - limit;
        format!("{} ({hidden} characters not shown) {}", shown(&text[..from]), shown(&text[to..]))
    }

    /// Returns the whole value on one line of at most `room` columns, or None if the value does not
    /// fit or would be cut.
    fn compact(&self, json: &str, room: usize) -> Option<String> {
        let mut line = String::new();
        self.compact_into(json.trim_ascii(), room, &mut line)?;
        Some(line)
    }

    fn compact_into(&self, json: &str, room: usize, line: &mut String) -> Option<()> {
        // A JSON text of this length almost never fits, so it is not formatted.
        if json.len() > self.limits.text || json.len() > room.saturating_mul(4) {
            return None;
        }
        if let Ok(JsonMembers(members)) = serde_json::from_str::<JsonMembers<'_>>(json) {
            line.push('{');
            for (n, (key, value)) in members.iter().enumerate() {
                line.push_str(if n == 0 { "" } else { ", " });
                line.push_str(&quoted(key));
                line.push_str(": ");
                self.compact_into(value.get(), room, line)?;
            }
            line.push('}');
        } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
            line.push('[');
            for (n, item) in items.iter().enumerate() {
                line.push_str(if n == 0 { "" } else { ", " });
                self.compact_into(item.get(), room, line)?;
            }
            line.push(']');
        } else {
            match serde_json::from_str::<Cow<'_, str>>(json) {
                Ok(text) => line.push_str(&quoted(&text)),
                Err(_) => line.push_str(json),
            }
        }
        let fits = !line.contains('\n') && line.chars().map(width).sum::<usize>() <= room;
        fits.then_some(())
    }

    /// Writes `text` in lines that begin with `  | `, broken at line feeds and at the width.
    fn lines(&mut self, depth: usize, text: &str) {
        let indent = 2 * depth.min(MAX_INDENT);
        let room = self.limits.width - GUTTER.len() - indent;
        let mut pieces = text.split('\n').peekable();
        let mut first = true;
        while let Some(piece) = pieces.next() {
            if piece.is_empty() && !first && pieces.peek().is_none() {
                break;
            }
            let mut rest = piece;
            loop {
                // Every line of a value except the first is indented by one more level.
                let back = if first { 0 } else { 2 };
                let (line, after) = split(rest, room - back);
                self.text.push_str(GUTTER);
                self.text.extend(std::iter::repeat_n(' ', indent + back));
                self.text.push_str(line);
                self.text.push('\n');
                self.lines += 1;
                first = false;
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }

    /// Writes a warning about words with characters that look like other characters.
    fn warn_of_lookalikes(&mut self, question: &ConsentQuestion) {
        let host = question.target.split('/').nth(2).unwrap_or_default();
        if host.to_ascii_lowercase().split('.').any(|label| label.starts_with("xn--")) {
            self.remark("beware: the host's name stands for one with letters outside ASCII (xn--)");
        }
        let mut words: Vec<String> = Vec::new();
        let mut more = 0_usize;
        for part in &question.parts {
            each_text(&part.json, &mut |text| {
                for word in mixed_words(text) {
                    let spelt = spelt_out(word);
                    if words.contains(&spelt) {
                    } else if words.len() < MAX_WARNED_WORDS && spelt.len() <= 60 {
                        words.push(spelt);
                    } else {
                        more += 1;
                    }
                }
            });
        }
        if !words.is_empty() || more > 0 {
            self.remark("beware: letters that pass for Latin ones in:");
            for word in words {
                self.lines(0, &format!("\"{word}\""));
            }
            if more > 0 {
                self.remark(&format!("and in {more} more words"));
            }
        }
    }
}

/// Calls `look` with each key and each string in `json`.
fn each_text(json: &str, look: &mut impl FnMut(&str)) {
    if let Ok(JsonMembers(members)) = serde_json::from_str::<JsonMembers<'_>>(json) {
        for (key, value) in members {
            look(&key);
            each_text(value.get(), look);
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) {
        items.iter().for_each(|item| each_text(item.get(), look));
    } else if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(json) {
        look(&text);
    }
}
