//! HTML pages that load nothing: no script, no font, no image, nothing from the network.
//!
//! Names on a page may be chosen by an attacker. They are written only through [`text`], which
//! escapes HTML and makes every character visible. In addition, the page's security policy prevents
//! that anything is run or loaded.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::message::shown::{capped, printed, quoted, visible};

/// The style rules that all pages share.
const STYLE: &str = include_str!("page/page.css");

/// The style sheet of one kind of page, and a security policy that allows only this style sheet.
#[derive(Clone, Debug)]
pub struct PageStyle {
    sheet: String,
    policy: String,
}

impl PageStyle {
    /// Combines the shared rules with those of this kind of page.
    pub fn new(own: &str) -> Self {
        let sheet = format!("{STYLE}{own}");
        let hash = STANDARD.encode(Sha256::digest(&sheet));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
        );
        PageStyle { sheet, policy }
    }

    /// Returns the `Content-Security-Policy` of the page, which allows only its own style sheet.
    /// The page itself contains the policy. A server should also send it as a header field,
    /// together with `frame-ancestors 'none'`, which has no effect inside a page.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// Returns the beginning of a page, up to its content. `mark` is the first line. A later run
    /// recognises a page of the same kind by its mark, and may then replace the file.
    pub fn begin(&self, mark: &str, title: &str) -> String {
        let PageStyle { sheet, policy } = self;
        let mut page = String::with_capacity(64 * 1024);
        page.push_str(mark);
        page.push_str("<html lang=\"en\">\n<meta charset=\"utf-8\">\n");
        for (name, content) in [
            ("http-equiv=\"Content-Security-Policy\"", policy.as_str()),
            ("name=\"viewport\"", "width=device-width, initial-scale=1"),
            ("name=\"referrer\"", "no-referrer"),
        ] {
            page.push_str(&format!("<meta {name} content=\"{content}\">\n"));
        }
        let title = text(title);
        page.push_str(&format!("<title>{title}</title>\n<style>{sheet}</style>\n"));
        page
    }
}

/// Returns text that is escaped for an element or a quoted attribute.
pub fn text(text: &str) -> Cow<'_, str> {
    let text = visible(text);
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return text;
    }
    let escape = |c| match c {
        '&' => Cow::Borrowed("&amp;"),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        c => String::from(c).into(),
    };
    text.chars().map(escape).collect::<String>().into()
}

/// Returns a long word with places at which a browser may break the line.
pub fn breakable(word: &str) -> String {
    word.split_inclusive(['_', '-', '.', '/']).map(text).collect::<Vec<_>>().join("<wbr>")
}

/// Returns an untrusted name as HTML: cut, in quotes if it has blanks, and isolated from the
/// direction of the text around it.
pub fn name(name: &str) -> String {
    format!("<bdi class=\"name\">{}</bdi>", breakable(&printed(name)))
}

/// Works as [`name`], with at most `most` characters, for a headline.
pub fn short_name(name: &str, most: usize) -> String {
    let cut = capped(name, most);
    format!("<bdi class=\"name\">{}</bdi>", breakable(&quoted(&cut)))
}

/// Returns a sentence with a capital first letter.
pub fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_in_a_page() {
        for (raw, shown) in [
            ("plain", "plain"),
            ("<b title='x'>&\"", "&lt;b title=&#39;x&#39;&gt;&amp;&quot;"),
            ("a\nb\u{202e}c\u{0}", "a\\u{a}b\\u{202e}c\\u{0}"),
            ("שלום", "שלום"),
        ] {
            assert_eq!(text(raw), shown);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_says_so() {
        let long = "<".repeat(4_000_000);
        for shown in [name(&long), short_name(&long, 60)] {
            assert!(shown.len() < 2_000 && shown.contains("4000000 characters"), "{shown}");
        }
        assert_eq!(name("a b"), "<bdi class=\"name\">&quot;a b&quot;</bdi>");
    }
}
