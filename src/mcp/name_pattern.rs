//! The NAME of a pattern, in all forms in which servers may read it.

use super::name_forms::{self, NameAmbiguity, NameForms, NameKind};

/// The byte that stands for a `*` of the pattern, which matches any run of characters. A NUL is
/// used because patterns cannot contain one. So a percent-encoded star in a pattern only matches a
/// star.
const ANY: u8 = 0;

/// The NAME part of a pattern `METHOD:NAME`, which may contain stars.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NamePattern {
    /// The forms of the NAME if it is compared with URIs: only the form as written, or one for each
    /// form in [`name_forms`].
    uri: Vec<Vec<u8>>,
    /// The forms of the NAME for names that are not URIs.
    text: Vec<Vec<u8>>,
}

/// A server may read a request's name in several forms (see [`name_forms`](super::name_forms)). How
/// many of them must match the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormsNeeded {
    /// All forms must match: for a pattern that permits something.
    Every,
    /// One form is enough: for a pattern that demands something, such as a signature.
    Any,
}

impl NamePattern {
    /// Computes the forms in which servers may read the NAME. If that is impossible, the NAME is
    /// compared only as it was written.
    pub(super) fn new(name: &str) -> Self {
        NamePattern { uri: forms(name, NameKind::Uri), text: forms(name, NameKind::Text) }
    }

    /// Returns the reason if no valid name can match the NAME.
    pub(super) fn ambiguous(name: &str, kind: NameKind) -> Option<NameAmbiguity> {
        name_forms::forms(&name.replace('*', "\0"), kind).err()
    }

    /// Returns true if the pattern matches `name`. Each form in which servers may read the name is
    /// compared with the same form of the pattern, and with the pattern as written: `file:*`, for
    /// example, has no form as a URL with the same meaning.
    pub(super) fn matches(&self, name: &NameForms<'_>, kind: NameKind, need: FormsNeeded) -> bool {
        let patterns = match kind {
            NameKind::Uri => &self.uri,
            NameKind::Text => &self.text,
        };
        let written = patterns.first().map_or(&[][..], Vec::as_slice);
        match (name, need) {
            // Every server reads a plain name in the same way, so only one comparison is needed.
            (NameForms::Plain(name), FormsNeeded::Every) => glob(written, name.as_bytes()),
            (NameForms::Plain(name), FormsNeeded::Any) => {
                patterns.iter().any(|pattern| glob(pattern, name.as_bytes()))
            }
            (NameForms::Several(names), need) => {
                let mut each = names.iter().enumerate().map(|(form, name)| {
                    let like = patterns.get(form).is_some_and(|pattern| glob(pattern, name));
                    like || glob(written, name)
                });
                match need {
                    FormsNeeded::Every => each.all(|matches| matches),
                    FormsNeeded::Any => each.any(|matches| matches),
                }
            }
            (NameForms::Ambiguous(_), need) => need == FormsNeeded::Any,
        }
    }
}

fn forms(name: &str, kind: NameKind) -> Vec<Vec<u8>> {
    let written = name.replace('*', "\0");
    match name_forms::forms(&written, kind) {
        Ok(forms) if forms.iter().any(|form| form[..] != *written.as_bytes()) => {
            forms.into_iter().map(|form| form.into_owned()).collect()
        }
        _ => vec![written.into_bytes()],
    }
}

/// Returns true if `text` matches `pattern`, in which a NUL stands for any run of bytes.
///
/// The algorithm is greedy and returns only to the last star: on a mismatch, that star is
/// stretched. So the cost is at most the product of the lengths. Both texts are UTF-8. After a star
/// there is always a complete character, so a star cannot match a part of a character.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&ANY) {
            last_star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = last_star {
            last_star = Some((star, from + 1));
            p = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern.iter().skip(p).all(|&b| b == ANY)
}
