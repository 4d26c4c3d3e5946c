//! Compares this crate's readings of a name with the output of the crate `url`.

use mcpid::mcp::name_forms::{NameForms, NameKind};
use mcpid::mcp::pattern::{Operation, Pattern};
use proptest::prelude::*;

fn read(uri: &str) -> Operation<'_> {
    Operation { method: "resources/read", name: Some(uri) }
}

/// A generator of texts that programs are likely to read differently.
fn uris() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "/",
            "//",
            ".",
            "..",
            "/../",
            "/./",
            "%2e",
            "%2E%2e",
            "%2f",
            "%25",
            "?",
            "#",
            ":",
            "@",
            "|",
            "^",
            "`",
            "{",
            "}",
            "'",
            "\"",
            "<",
            " ",
            "%",
            "é",
            "e\u{301}",
            "C:",
            "C|",
            "localhost",
            "[::1]",
            "[",
            "]",
            "1.2.3.4",
            ":80",
            ":443",
            ":0080",
            "xn--",
            "A",
            "b",
            "%41",
            "*",
            "~",
            "0x1",
            "ड़",
            "\u{200d}",
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9.]{1,4}",
        any::<char>().prop_map(String::from),
    ];
    let scheme = prop::sample::select(vec![
        "file:",
        "file:/",
        "file://",
        "file:///",
        "FILE://h/",
        "http:",
        "https://",
        "HTTP://h",
        "ws:/",
        "ftp://h:21/",
        "memo://",
        "memo:",
        "memo:/",
        "X-y+z.1://",
        "postgres://u@",
        "urn:",
        "",
        "a:/",
        "file://h/",
        "file:///C:/",
    ]);
    (scheme, prop::collection::vec(piece, 0..8))
        .prop_map(|(scheme, pieces)| scheme.to_owned() + &pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(4_096), ..ProptestConfig::default() })]

    /// What the crate `url` makes of a text is among this crate's readings of it, or the text
    /// counts as ambiguous.
    #[test]
    fn names_that_a_url_parser_rewrites_are_matched_or_ambiguous(uri in uris()) {
        let forms = NameForms::of(&uri, NameKind::Uri);
        match (url::Url::parse(&uri), &forms) {
            (_, NameForms::Ambiguous(_)) | (Err(_), _) => {}
            (Ok(url), NameForms::Plain(text)) => prop_assert_eq!(url.as_str(), *text),
            (Ok(url), NameForms::Several(forms)) => {
                let found = forms.iter().any(|form| **form == *url.as_str().as_bytes());
                let shown: Vec<_> = forms.iter().map(|f| String::from_utf8_lossy(f)).collect();
                prop_assert!(found, "{:?} is {} and not in {:?}", uri, url, shown);
            }
        }
    }

    /// If a pattern matches a name where it permits something, it also matches where it demands
    /// something. A pattern without stars matches itself.
    #[test]
    fn a_pattern_restricts_every_name_that_it_grants(name in uris(), other in uris()) {
        if let Ok(pattern) = Pattern::read(&format!("resources/read:{other}")) {
            prop_assert!(!pattern.grants(read(&name)) || pattern.restricts(read(&name)));
            if read(&other).forms().ambiguous().is_none() {
                prop_assert!(pattern.grants(read(&other)), "{}", pattern);
            }
        }
    }

    /// If the URL parser reads two texts as one URL, a pattern for the first also demands its check
    /// for the second.
    #[test]
    fn names_that_a_parser_reads_alike_are_restricted_alike(name in uris()) {
        if let Ok(url) = url::Url::parse(&name)
            && let Ok(pattern) = Pattern::read(&format!("resources/read:{url}"))
        {
            prop_assert!(pattern.restricts(read(&name)), "{} {:?}", pattern, name);
        }
    }
}
