//! The NAME of a pattern, in the forms in which names are compared.

use super::name_forms::{self, NameAmbiguity, NameForms, NameKind};

/// The byte that stands for any run of characters. No pattern holds a NUL, so that a star which
/// was percent-encoded stays a star.
const ANY: u8 = 0;

/// A NAME with stars.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct NamePattern {
    /// As a URI: the form as written alone, or the form of each number of [`name_forms`].
    uri: Vec<Vec<u8>>,
    /// The same as any other text.
    text: Vec<Vec<u8>>,
}

/// How many forms of a name have to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FormsNeeded {
    /// What grants: each.
    Every,
    /// What restricts: one.
    Any,
}

impl NamePattern {
    /// Never fails: a NAME that has no other forms is compared as it was written.
    pub(super) fn new(name: &str) -> Self {
        NamePattern { uri: forms(name, NameKind::Uri), text: forms(name, NameKind::Text) }
    }

    /// Why no honest name can match it, if that is so.
    pub(super) fn ambiguous(name: &str, kind: NameKind) -> Option<NameAmbiguity> {
        name_forms::forms(&name.replace('*', "\0"), kind).err()
    }

    /// Whether it matches `name`. Each form is compared with the like form of the pattern, and with
    /// the pattern as it was written: `file:*` has no form as a URL that would still mean the same.
    pub(super) fn matches(&self, name: &NameForms<'_>, kind: NameKind, need: FormsNeeded) -> bool {
        let patterns = match kind {
            NameKind::Uri => &self.uri,
            NameKind::Text => &self.text,
        };
        let written = patterns.first().map_or(&[][..], Vec::as_slice);
        match (name, need) {
            // What it is in every form begins with what it is as written.
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

/// Matches `text` against `pattern`, where a NUL is any run of bytes.
///
/// Greedy with one point of return: on a mismatch only the last star is stretched, so the cost is
/// bounded by the product of the lengths and no pattern can make it explode. Both are UTF-8, and
/// a star that is followed by a whole character can only end on a character's edge.
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
