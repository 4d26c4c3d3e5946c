//! Tests of names that servers may read in several ways. A pattern that permits something must
//! match every reading. A pattern that demands something matches if it fits one reading.

use mcpid::mcp::name_forms::{MAX_NAME, NameAmbiguity, NameForms, NameKind};
use mcpid::mcp::pattern::{Operation, Pattern};

fn read(uri: &str) -> Operation<'_> {
    Operation { method: "resources/read", name: Some(uri) }
}

fn call(name: &str) -> Operation<'_> {
    Operation { method: "tools/call", name: Some(name) }
}

fn pattern(name: &str) -> Pattern {
    Pattern::parse(&format!("resources/read:{name}")).unwrap()
}

fn ambiguity_of(uri: &str) -> Option<NameAmbiguity> {
    read(uri).forms().ambiguous()
}

/// Spellings that some program (pydantic's `AnyUrl`, `new URL`, a decoder or a file system) reads
/// as `file:///priv/a`.
const SAME: &[&str] = &[
    "file:///priv/a",
    "FILE:///priv/a",
    "File:///priv/a",
    "file:////priv/a",
    "file://///priv/a",
    "file:/priv/a",
    "file:priv/a",
    "file://localhost/priv/a",
    "file://LocalHost/priv/a",
    "file:///pub/../priv/a",
    "file:///pub/./../priv/a",
    "file:///pub/%2e%2e/priv/a",
    "file:///pub/%2E./priv/a",
    "file:///pub/.%2e/priv/a",
    "file:///pub/..%2fpriv/a",
    "file:///pub/..%2Fpriv%2fa",
    "file:///pub%2f..%2fpriv/a",
    "file:///pub/%252e%252e/priv/a",
    "file:///pub/%25252e%25252e%25252fpriv/a",
    "file:///pub/x/../../priv/a",
    "file:///pub//../priv/a",
    "file:///pub/../../../priv/a",
    "file:///%70riv/a",
    "file:///pr%69v/%61",
    "file:///p%2572iv/a",
    "file:///./priv/a",
    "file:///../priv/a",
    "file:///.//priv/a",
    "file:///priv/./a",
    "file:///priv/x/../a",
    "file:///priv//a",
    "file:///x?/../../priv/a",
    "FILE:////pub/%2e%2E/priv/a",
];

#[test]
fn every_spelling_of_a_protected_resource_is_restricted() {
    for protected in ["file:///priv/*", "file:///priv/a", "FILE:///priv/*", "file:///%70riv/*"] {
        let pattern = pattern(protected);
        for uri in SAME {
            assert!(pattern.restricts(read(uri)), "{protected} restricts {uri}");
        }
        for other in ["file:///pub/a", "file:///privy/a", "memo://priv/a", "file:///PRIV/a"] {
            assert!(!pattern.restricts(read(other)), "{protected} does not restrict {other}");
        }
    }
}

#[test]
fn no_spelling_of_another_resource_is_granted() {
    let public = pattern("file:///pub/*");
    let anything = Pattern::parse("resources/read").unwrap();
    for uri in SAME {
        assert!(!public.grants(read(uri)), "{uri}");
        assert!(anything.grants(read(uri)), "a pattern without a name means any: {uri}");
    }
    for uri in [
        "file:///pub/a",
        "file:///pub/",
        "file:///pub/a/b.txt",
        "file:///pub/a%20b",
        "file:///pub/é",
    ] {
        assert!(public.grants(read(uri)), "{uri}");
    }
    // An unusual spelling is permitted if every reading of it lies in the pattern's folder.
    assert!(public.grants(read("file:///pub/x/../a")));
    // A URI that names the same resource in another spelling than the pattern is not permitted,
    // because some server might read it differently.
    for uri in ["FILE:///pub/a", "file:/pub/a", "file:////pub/a", "file:///%70ub/a"] {
        assert!(!public.grants(read(uri)), "{uri}");
    }
    let notes = pattern("notes://pub/*");
    for uri in ["notes://pub/../priv/a", "notes://pub/x/../../priv/a", "notes://pub/%2e%2e/priv/a"]
    {
        assert!(!notes.grants(read(uri)), "a server may take the host for a folder: {uri}");
    }
}

#[test]
fn honest_names_match_as_they_are_written() {
    for uri in [
        "memo://Insights",
        "postgres://user@Host/db",
        "postgres://user:pass@Host:5432/Db/schema",
        "file:///C:/x",
        "file:///c:/Users/Me/a.txt",
        "ui://widget/x?y={z}",
        "ui://widget/{id}/x",
        "ui://Widget/a^b|c`d",
        "file:///home/me/100%25.txt",
        "file:///home/me/a b (1).txt",
        "file:///home/me/50%off.txt",
        "https://example.com",
        "https://example.com/a//b?q=a%2Fb&r='x'#top",
        "https://web.archive.org/web/2020/http://example.com/",
        "http://127.0.0.1:8080/x",
        "http://[::1]:8080/x",
        "redis://[fe80::1]/0",
        "https://xn--mller-kva.example/x",
        "s3://bucket//key/with//slashes",
        "git+ssh://git@host/repo.git?ref=../x",
        "urn:isbn:0451450523",
        "data:text/plain,hello world",
        "mailto:a@b.example",
        "screen://localhost:0",
        "note:///index",
        "x-thing:a/b/c",
        "config",
        "file:///वेद/क्\u{200d}ष.txt",
        "note://हिन्दी/नोट",
        "note://হিসাব/র\u{200d}্যাম",
        "note://বাংলা/ড়",
        "note://한국어/메모",
        "note://\u{1112}\u{1161}\u{11ab}/\u{1100}\u{1161}",
        "note://tiếng-việt/ghi-chú",
        "note://tie\u{302}\u{301}ng/vie\u{323}\u{302}t",
        "note://فارسی/می\u{200c}خواهم",
        "note://emoji/👩\u{200d}💻/❤\u{fe0f}/1\u{fe0f}\u{20e3}",
        "note://ไทย/ບັນທຶກ",
        "file:///caf%E9.txt",
    ] {
        assert_eq!(ambiguity_of(uri), None, "{uri}");
        let exact = pattern(uri);
        assert!(exact.grants(read(uri)) && exact.restricts(read(uri)), "{uri}");
        let end = uri.char_indices().nth(uri.chars().count() / 2).unwrap().0;
        let begins = uri[..end].trim_end_matches(['\u{200d}', '\u{200c}', '/']);
        // The pattern is only the beginning of a URL, and no URL by itself. Compared as text, it
        // matches.
        let begins = Pattern::parse(&format!("resources/read:{begins}*")).unwrap();
        assert!(begins.restricts(read(uri)), "{begins} {uri}");
        let scheme = uri.split(':').next().unwrap();
        assert!(pattern(&format!("{scheme}*")).grants(read(uri)), "{scheme}* {uri}");
        assert!(pattern("*").grants(read(uri)), "* {uri}");
        assert!(!pattern(&format!("{uri}x")).grants(read(uri)), "{uri}");
    }
    for name in [
        "get_weather",
        "admin.tools.list",
        "DATA_EXPORT_v2",
        "खोजें",
        "검색",
        "tìm-kiếm",
        "a/b/c",
        "ns:tool",
        "tool 1",
        "50%",
        "größe",
        "\u{645}\u{6cc}\u{200c}\u{62e}",
        "$get",
        "run!",
        "C++",
        "a..b",
        "...",
    ] {
        let exact = Pattern::parse(&format!("tools/call:{name}")).unwrap();
        assert!(exact.grants(call(name)) && exact.restricts(call(name)), "{name}");
        assert!(Pattern::parse("tools/call:*").unwrap().grants(call(name)), "{name}");
    }
}

#[test]
fn letter_case_counts_where_it_may_mean_something() {
    for (protected, other) in [
        ("memo://Insights", "memo://insights"),
        ("postgres://user@Host/*", "postgres://user@host/db"),
        ("file:///Priv/*", "file:///priv/a"),
        ("https://h/Priv/*", "https://h/priv/a"),
        ("tools://X", "tools://x"),
    ] {
        assert!(!pattern(protected).restricts(read(other)), "{protected} {other}");
    }
    for (protected, same) in [
        ("https://example.com/priv/*", "HTTPS://Example.COM:443/priv/a"),
        ("https://Example.com/priv/*", "https://example.com/priv/a"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com/priv/*", "https:/example.com/priv/a"),
        ("https://example.com/priv/*", "https:////example.com/priv/a"),
        ("memo://Insights", "MEMO://Insights"),
        ("file:///a%2fb", "file:///a/b"),
        ("file:///caf\u{e9}", "file:///cafe\u{301}"),
        ("file:///cafe\u{301}", "file:///caf%C3%A9"),
        ("file:///C:/priv/*", "file:///C:/../priv/a"),
        ("postgres://h/db", "postgres://:@h/db"),
        ("redis://[::1]/0", "redis://[0:0:0:0:0:0:0:1]/0"),
        ("http://h/p", "http://h:80/p"),
        ("file:*", "FILE://host/x"),
        ("https:*", "HTTPS://h/x"),
        ("https://*Admin/x", "HTTPS://h/fooAdmin/x"),
    ] {
        assert!(pattern(protected).restricts(read(same)), "{protected} {same}");
    }
}

#[test]
fn an_ambiguous_name_is_restricted_by_all_and_granted_by_none() {
    let strict =
        [pattern("memo://something/else"), pattern("*"), Pattern::parse("resources/*:x").unwrap()];
    let grants = [pattern("*"), pattern("file:*"), Pattern::parse("*:*").unwrap()];
    let any = [Pattern::parse("resources/read").unwrap(), Pattern::parse("*").unwrap()];
    for (uri, reason) in [
        (" file:///a", NameAmbiguity::Blank),
        ("file:///C|/../", NameAmbiguity::Url),
        ("file:///C|/priv/a", NameAmbiguity::Url),
        ("file:///c|?\u{e9}", NameAmbiguity::Url),
        ("file://C|/priv/a", NameAmbiguity::Url),
        ("file:C|", NameAmbiguity::Url),
        ("file:///a/%2e/c|/b", NameAmbiguity::Url),
        ("file:///a ", NameAmbiguity::Blank),
        ("file:///a\u{a0}", NameAmbiguity::Blank),
        ("\u{2028}file:///a", NameAmbiguity::Blank),
        ("fi\tle:///a", NameAmbiguity::Invisible('\t')),
        ("file:///p\nriv/a", NameAmbiguity::Invisible('\n')),
        ("file:///a\0", NameAmbiguity::Invisible('\0')),
        ("file:///a%00", NameAmbiguity::Invisible('\0')),
        ("file:///a%2500", NameAmbiguity::Invisible('\0')),
        ("file:///a%0a", NameAmbiguity::Invisible('\n')),
        ("file:///a%7f", NameAmbiguity::Invisible('\u{7f}')),
        ("file:///a\u{200b}", NameAmbiguity::Invisible('\u{200b}')),
        ("file:///a\u{ad}b", NameAmbiguity::Invisible('\u{ad}')),
        ("file:///a\u{202e}b", NameAmbiguity::Invisible('\u{202e}')),
        ("file:///a\u{200d}b", NameAmbiguity::Invisible('\u{200d}')),
        ("file:///a\u{feff}b", NameAmbiguity::Invisible('\u{feff}')),
        ("file:///a\u{fe0f}b", NameAmbiguity::Invisible('\u{fe0f}')),
        ("file:///a\u{3164}b", NameAmbiguity::Invisible('\u{3164}')),
        ("file:///a\u{e0061}b", NameAmbiguity::Invisible('\u{e0061}')),
        ("file:///a%E2%80%8B", NameAmbiguity::Invisible('\u{200b}')),
        ("file:///pub\\..\\priv/a", NameAmbiguity::Backslash),
        ("file:///pub%5c..%5Cpriv/a", NameAmbiguity::Backslash),
        ("file:///pub%255c..%255Cpriv/a", NameAmbiguity::Backslash),
        ("file:///pub/..%c0%afpriv/a", NameAmbiguity::Overlong),
        ("file:///pub/%c0%ae%c0%ae/priv/a", NameAmbiguity::Overlong),
        ("file:///pub/..%e0%80%afpriv/a", NameAmbiguity::Overlong),
        ("https://", NameAmbiguity::Url),
        ("https:", NameAmbiguity::Url),
        ("https://h:99999/", NameAmbiguity::Url),
        ("https://a b/", NameAmbiguity::Url),
        ("https://user@/x", NameAmbiguity::Url),
        ("https://ex%61mple.com/x", NameAmbiguity::Url),
        ("https://ＥＸＡＭＰＬＥ.com/x", NameAmbiguity::Url),
        ("http://0x7f.1/", NameAmbiguity::Url),
        ("http://2130706433/", NameAmbiguity::Url),
        ("http://127.1/", NameAmbiguity::Url),
        ("http://[::1/", NameAmbiguity::Url),
        ("http://[::ffff:1.2.3.4]/", NameAmbiguity::Url),
        ("file://h:80/x", NameAmbiguity::Url),
    ] {
        assert_eq!(ambiguity_of(uri), Some(reason), "{uri:?}");
        for pattern in &strict {
            assert!(pattern.restricts(read(uri)), "{pattern} {uri:?}");
        }
        for pattern in &grants {
            assert!(!pattern.grants(read(uri)), "{pattern} {uri:?}");
        }
        for pattern in &any {
            assert!(pattern.grants(read(uri)) && pattern.restricts(read(uri)), "{pattern} {uri:?}");
        }
        // A pattern for another method does not match.
        assert!(!Pattern::parse("resources/subscribe:*").unwrap().restricts(read(uri)));
    }
    for name in ["delete_db ", " delete_db", "delete\u{200b}_db", "delete\\_db", "a%00b", "a\u{7f}"]
    {
        assert!(call(name).forms().ambiguous().is_some(), "{name:?}");
        assert!(Pattern::parse("tools/call:delete_*").unwrap().restricts(call(name)), "{name:?}");
        assert!(!Pattern::parse("tools/call:*").unwrap().grants(call(name)), "{name:?}");
        assert!(Pattern::parse("tools/call").unwrap().grants(call(name)), "{name:?}");
    }
}

#[test]
fn a_star_that_was_encoded_stays_a_star() {
    let pattern = pattern("file:///a%2ab");
    assert!(pattern.restricts(read("file:///a*b")));
    assert!(!pattern.restricts(read("file:///axb")));
    assert!(!pattern.grants(read("file:///axb")) && pattern.grants(read("file:///a%2ab")));
}

#[test]
fn the_size_of_a_name_with_forms_is_bounded() {
    let long = format!("file:///{}", "%25".repeat(MAX_NAME));
    assert_eq!(ambiguity_of(&long), Some(NameAmbiguity::TooLong));
    let plain = format!("file:///{}", "a/".repeat(MAX_NAME));
    assert!(matches!(NameForms::of(&plain, NameKind::Uri), NameForms::Plain(_)));
    assert!(pattern("file:///a/*").grants(read(&plain)));
    // Percent-encoding that was applied many times is decoded completely, in one pass.
    let deep = format!("file:///%{}41", "25".repeat(7_000));
    assert_eq!(ambiguity_of(&deep), None);
    assert!(pattern("file:///A").restricts(read(&deep)));
}
