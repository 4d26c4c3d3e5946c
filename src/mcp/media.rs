//! Parses `Content-Type` strictly (RFC 9110 section 8.3.1), because it decides whether a body is
//! JSON.

use crate::message::is_tchar;

/// What a `Content-Type` value says about whether the body is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentKind {
    /// `application/json`, with no charset or with `utf-8`.
    Json,
    /// Another type whose content is JSON: `text/json` or any `…+json` (RFC 6839), in UTF-8.
    JsonLike,
    /// Anything else, including values that violate the grammar or name another charset.
    Other,
}

/// Parses one `Content-Type` value.
///
/// Parameters that have no effect on JSON are allowed. A charset must be `utf-8`, quoted or not, in
/// any case, and may occur once. If a value has something that only some parsers take for a charset
/// (`charset*` of RFC 8187, a name with space around `=`, a backslash in the value), it does not
/// count as JSON.
pub(super) fn read(value: &[u8]) -> ContentKind {
    let Some((essence, mut rest)) = essence(value) else { return ContentKind::Other };
    let media = if essence.eq_ignore_ascii_case(b"application/json") {
        ContentKind::Json
    } else if is_json_name(essence) {
        ContentKind::JsonLike
    } else {
        return ContentKind::Other;
    };
    let mut charsets = 0;
    loop {
        rest = skip_space(rest);
        let Some((&b';', after)) = rest.split_first() else { break };
        rest = skip_space(after);
        // A parameter may be empty (RFC 9110 section 5.6.6).
        if rest.first().is_none_or(|&b| b == b';') {
            continue;
        }
        let Some((name, value, after)) = parameter(rest) else { return ContentKind::Other };
        rest = after;
        if name.len() >= 7 && name[..7].eq_ignore_ascii_case(b"charset") {
            charsets += 1;
            if name.len() != 7 || charsets > 1 || !value.eq_ignore_ascii_case(b"utf-8") {
                return ContentKind::Other;
            }
        }
    }
    // A parser that splits at every semicolon would also see a charset inside of a quoted value, so
    // such a value is refused.
    let mentions = value.windows(7).filter(|at| at.eq_ignore_ascii_case(b"charset")).count();
    if rest.is_empty() && mentions == charsets { media } else { ContentKind::Other }
}

/// Returns true if some server might take a `Content-Type` value for JSON, even if the value is
/// malformed. This decides whether the strict rules apply at all, so it returns true in case of
/// doubt.
pub(super) fn mentions_json(value: &[u8]) -> bool {
    value.split(|&b| matches!(b, b';' | b',' | b' ' | b'\t')).any(is_json_name)
}

/// Returns true if a `Content-Type` value names the media type `wanted`, such as
/// `text/event-stream`, with any parameters. A value with several types, or with something else
/// than parameters after the type, names none.
#[cfg(any(feature = "tower", feature = "connect"))]
pub(crate) fn is(value: &[u8], wanted: &str) -> bool {
    essence(value.trim_ascii()).is_some_and(|(essence, rest)| {
        let rest = skip_space(rest);
        essence.eq_ignore_ascii_case(wanted.as_bytes())
            && (rest.is_empty() || rest.starts_with(b";"))
    })
}

fn is_json_name(essence: &[u8]) -> bool {
    let ends = |suffix: &[u8]| {
        essence
            .len()
            .checked_sub(suffix.len())
            .is_some_and(|at| essence[at..].eq_ignore_ascii_case(suffix))
    };
    ends(b"/json") || (ends(b"+json") && essence.contains(&b'/'))
}

/// Parses `type "/" subtype`. Also returns the text after it.
fn essence(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = token(value);
    if slash == 0 || value.get(slash) != Some(&b'/') {
        return None;
    }
    let subtype = token(&value[slash + 1..]);
    (subtype > 0).then(|| value.split_at(slash + 1 + subtype))
}

/// Parses `name "=" ( token / quoted-string )`. Also returns the text after it. Backslashes in a
/// quoted string are not removed, because no value that it is compared with contains one.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = text.split_at(token(text));
    let rest = rest.strip_prefix(b"=")?;
    if name.is_empty() {
        return None;
    }
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (value, after) = rest.split_at(token(rest));
        return (!value.is_empty()).then_some((name, value, after));
    };
    let mut at = 0;
    loop {
        match quoted.get(at)? {
            b'"' => return Some((name, &quoted[..at], &quoted[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn token(text: &[u8]) -> usize {
    text.iter().position(|&b| !is_tchar(b)).unwrap_or(text.len())
}

fn skip_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !b" \t".contains(b)).unwrap_or(text.len());
    &text[start..]
}
