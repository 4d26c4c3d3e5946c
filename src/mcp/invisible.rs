//! Finds characters that are invisible, except where a language needs them.
//!
//! A name with an invisible character looks like another name. But Hindi, Bengali and Persian need
//! joiners, and emoji and Han characters need variation selectors. There, such characters are part
//! of the word and are accepted.

use unicode_normalization::char::canonical_combining_class;

use crate::message::shown::is_unsafe;

/// The combining class of viramas (Unicode 17, section 4.3). A joiner may follow a virama.
const VIRAMA: u8 = 9;

/// Returns the first character of `text` that is invisible and not needed at its position. A NUL is
/// skipped, because it stands for the wildcard of a pattern.
pub(super) fn first(text: &str) -> Option<char> {
    if text.is_ascii() {
        return text.chars().find(|c| c.is_ascii_control() && *c != '\0');
    }
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        let hidden = match c {
            '\0' => false,
            '\u{200c}' | '\u{200d}' => !joins(c, before, after),
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
                let keycap = after == Some('\u{20e3}');
                !before.is_some_and(|b| {
                    has_variants(b) || (keycap && (b.is_ascii_digit() || b == '#' || b == '*'))
                })
            }
            '\u{180b}'..='\u{180d}' | '\u{180f}' => !before.is_some_and(is_mongolian),
            c => is_unsafe(c),
        };
        if hidden {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

/// Returns true if the invisible character `joiner` (a joiner or non-joiner) is needed between
/// these two characters (after RFC 5892, appendix A).
fn joins(joiner: char, before: Option<char>, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        // At the end of a word, a joiner is needed only after a virama.
        return after.is_none() && before.is_some_and(is_virama);
    };
    is_virama(before)
        || is_virama(after)
        || (is_indic(before) && (is_indic(after) || after == '\0'))
        || (is_cursive(before) && is_cursive(after))
        || (joiner == '\u{200d}' && is_pictograph(before) && is_pictograph(after))
}

fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == VIRAMA
}

fn is_indic(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{dff}')
}

/// Returns true for scripts whose letters join: Arabic, Syriac, N'Ko, Mongolian.
fn is_cursive(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{8ff}' | '\u{fb50}'..='\u{fdcf}' | '\u{fe70}'..='\u{fefc}')
        || is_mongolian(c)
}

fn is_mongolian(c: char) -> bool {
    matches!(c, '\u{1820}'..='\u{18aa}')
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}')
}

/// Returns true for characters that have variants: pictographs, symbols, Han, Myanmar, Mongolian,
/// Phags-pa.
fn has_variants(c: char) -> bool {
    is_pictograph(c) && c != '\u{fe0f}'
        || is_mongolian(c)
        || matches!(c,
            '\u{a9}' | '\u{ae}' | '\u{1000}'..='\u{109f}' | '\u{2030}'..='\u{218f}'
            | '\u{3000}'..='\u{33ff}' | '\u{3400}'..='\u{9fff}' | '\u{a840}'..='\u{a87f}'
            | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
