//! Tests of the text of a question for consent: it shows everything or says how much is missing,
//! and no text in it can look like other text.

use mcpid::connect::consent::{ConsentQuestion, PageLimits, ShownPage};
use proptest::prelude::*;

use super::{TARGET, call, read};

fn asked(body: &str) -> ConsentQuestion {
    let reading = read(body.as_bytes()).unwrap_or_else(|e| panic!("{e}: {body}"));
    ConsentQuestion::new(TARGET, &reading, body.as_bytes()).unwrap()
}

fn shown(arguments: &str) -> ShownPage {
    asked(&call(arguments)).shown(&PageLimits::default())
}

/// Returns the lines of the page that show the arguments, without their prefix.
fn arguments(text: &str) -> Vec<&str> {
    let lines = text.lines().skip_while(|line| !line.starts_with("  arguments, ")).skip(1);
    lines.map_while(|line| line.strip_prefix("  | ")).collect()
}

/// Returns a JSON string that contains `text`.
fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn the_whole_page_of_an_ordinary_call() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":7},"name":"delete","arguments":{"path":"/home/me/notes.txt","recursive":true,"tags":["a","b"],"why":"it is old and nobody has looked at it for years"}}}"#;
    let ShownPage { text, hidden, .. } = asked(body).shown(&PageLimits::default());
    let expected = "  \
  target:
  | \"https://mcp.example.com/mcp\"
  method:
  | \"tools/call\"
  name:
  | \"delete\"
  arguments, 119 bytes:
  | {
  |   \"path\": \"/home/me/notes.txt\",
  |   \"recursive\": true,
  |   \"tags\": [\"a\", \"b\"],
  |   \"why\": \"it is old and nobody has looked at it for years\"
  | }
  _meta, 19 bytes:
  | {\"progressToken\": 7}
  body: 233 bytes, sha-256
";
    let digest = |text: &str| {
        text.lines().filter(|line| !line.starts_with("    ")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(digest(&text), digest(expected));
    assert_eq!(hidden, 0);
    let sha256 = sha256sum(body.as_bytes());
    assert!(text.contains(&format!("\n    {sha256}\n")), "{text}");
}

/// Returns the SHA-256 that the program `sha256sum` computes.
fn sha256sum(bytes: &[u8]) -> String {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let mut sum =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = sum.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn invisible_characters_are_written_as_escapes() {
    for (text, seen) in [
        // The names contain a bidirectional override, isolates and marks.
        ("a\u{202e}b", r#""a\u{202e}b""#),
        ("a\u{2066}b\u{2069}", r#""a\u{2066}b\u{2069}""#),
        ("\u{200f}\u{61c}", r#""\u{200f}\u{61c}""#),
        // The texts contain zero-width and invisible characters.
        ("rm\u{200b} -rf", r#""rm\u{200b} -rf""#),
        ("\u{feff}\u{2060}\u{ad}\u{34f}", r#""\u{feff}\u{2060}\u{ad}\u{34f}""#),
        ("\u{3164}\u{ffa0}\u{2800}", r#""\u{3164}\u{ffa0}\u{2800}""#),
        ("tag\u{e0041}\u{e007f}", r#""tag\u{e0041}\u{e007f}""#),
        ("a\u{fe0f}\u{e0100}", r#""a\u{fe0f}\u{e0100}""#),
        // The texts contain control characters: ANSI escapes, C1, bell, backspace, carriage return,
        // NUL, delete.
        ("\u{1b}[2J\u{1b}[H", r#""\u{1b}[2J\u{1b}[H""#),
        ("\u{9b}31m", r#""\u{9b}31m""#),
        ("\u{7}\u{8}\r\0\u{7f}", r#""\u{7}\u{8}\u{d}\u{0}\u{7f}""#),
        ("a\tb", r#""a\u{9}b""#),
        ("a\u{2028}b\u{2029}\u{85}", r#""a\u{2028}b\u{2029}\u{85}""#),
        // The text contains blanks other than the space.
        ("a\u{a0}b\u{2003}c\u{3000}", r#""a\u{a0}b\u{2003}c\u{3000}""#),
        // The text contains private-use characters, and code points that are not characters.
        ("\u{e000}\u{10fffd}\u{fffe}", r#""\u{e000}\u{10fffd}\u{fffe}""#),
        // Many combining marks on one letter would cover the lines above and below it.
        ("a\u{301}\u{302}\u{303}\u{304}", "\"a\u{301}\u{302}\\u{303}\\u{304}\""),
        // The texts look like an escape that the page itself writes.
        (r"\u{202e}", r#""\\u{202e}""#),
        ("\\", r#""\\""#),
        ("\"", r#""\"""#),
        ("\\\"", r#""\\\"""#),
        // Text in other scripts stays readable.
        ("größer 東京 🦀", "\"größer 東京 🦀\""),
        ("e\u{301}", "\"e\u{301}\""),
        ("", "\"\""),
        ("a        b", "\"a        b\""),
        ("a         b", "\"a\" (9 spaces) \"b\""),
    ] {
        let page = shown(&format!("[{}]", json(text)));
        assert_eq!(arguments(&page.text), [format!("[{seen}]")], "{text:?}");
        let hidden = |c: char| c != '\n' && (c.is_control() || mcpid::message::shown::is_unsafe(c));
        assert!(!page.text.contains(hidden), "{text:?}");
        // The page shows the same text, however the text is escaped in JSON.
        let escaped: String = text.encode_utf16().map(|u| format!("\\u{u:04x}")).collect();
        let page = shown(&format!("[\"{escaped}\"]"));
        assert_eq!(arguments(&page.text), [format!("[{seen}]")], "{text:?}");
    }
}

#[test]
fn no_received_text_passes_for_a_line_of_the_program() {
    let page = shown(&json("x\n  body: 12 bytes, sha-256\n  | nothing\nyes"));
    let lines = arguments(&page.text);
    assert_eq!(
        lines,
        [r#""x\u{a}"#, r#"    body: 12 bytes, sha-256\u{a}"#, r#"    | nothing\u{a}"#, r#"  yes""#]
    );
    // The hostile text is used as a key of the arguments, as the tool's name, as the name of a
    // member, and as the method.
    for body in [
        call(r#"{"x\n  body: 1 bytes":1}"#),
        call("{}").replace("\"delete\"", r#""x\n  body: 1 bytes""#),
        call("{}").replace("\"arguments\"", r#""x\n  body: 1 bytes""#),
        call("{}").replace("tools/call", r"x\n  body: 1 bytes"),
        format!("{{\"a\\n  body: 1 bytes\":1,{}", &call("{}")[1..]),
    ] {
        let text = asked(&body).shown(&PageLimits::default()).text;
        let ours = text.lines().filter(|line| line.starts_with("  body:")).count();
        assert_eq!(ours, 1, "{text}");
        assert!(text.contains(r"x\u{a}") || text.contains(r"a\u{a}"), "{text}");
        assert!(text.lines().all(|line| line.starts_with("  ")), "{text}");
    }
}

#[test]
fn numbers_are_shown_as_they_were_sent() {
    for number in ["12345678901234567890123", "1.00", "1e2", "-0", "0.1000000000000000055511151231"]
    {
        let page = shown(&format!("[{number}]"));
        assert_eq!(arguments(&page.text), [format!("[{number}]")]);
    }
}

#[test]
fn the_page_shows_every_member_of_the_body() {
    let body = r#"{"trick":"1","jsonrpc":"2.0","id":1,"method":"tools/call","params":{"task":{"ttl":2},"name":"delete","uri":"3","arguments":{"a":4},"name ":"5"}}"#;
    let text = asked(body).shown(&PageLimits::default()).text;
    let places: Vec<usize> = [
        "\n  | {\"a\": 4}\n",
        "\n  | {\"ttl\": 2}\n",
        "\n  uri, 3 bytes:\n  | \"3\"\n",
        "\"5\"",
        "\n  trick (beside params), 3 bytes:\n  | \"1\"\n",
    ]
    .iter()
    .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} in {text}")))
    .collect();
    assert!(places.is_sorted(), "{text}");
    let response = asked(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#);
    let text = response.shown(&PageLimits::default()).text;
    assert!(text.contains("  error, 10 bytes:\n  | {\"code\": 1}\n"), "{text}");
    // In these calls the arguments are not an object, or are missing.
    assert_eq!(arguments(&shown("null").text), ["null"]);
    let none = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete"}}"#;
    assert!(!asked(none).shown(&PageLimits::default()).text.contains("arguments"));
}

#[test]
fn a_long_value_is_cut_and_its_length_stated() {
    // The page shows both ends of a long string, and the number of characters between them.
    let long = format!("start{}end", "x".repeat(10_000));
    let page = shown(&json(&long));
    let text = arguments(&page.text).concat();
    assert!(text.starts_with("\"start") && text.ends_with("end\""), "{text}");
    let without_breaks = text.replace("  ", " ");
    assert!(without_breaks.contains("9608 char"), "{text}");
    assert_eq!(page.hidden, 9_608);
    assert!(page.text.ends_with("  9608 bytes of this request are NOT shown\n"), "{}", page.text);
    assert!(page.text.lines().count() < 20);

    // A long string does not push another one off the page.
    let page = shown(&format!("{{\"a\":{},\"path\":\"/etc/passwd\"}}", json(&long)));
    assert!(page.text.contains("\"path\": \"/etc/passwd\""), "{}", page.text);

    // The page's own remark about hidden characters is outside of the quotation marks, where no
    // text of the client can be.
    let page = shown(&json("a (5 characters not shown) b"));
    assert_eq!(arguments(&page.text), ["\"a (5 characters not shown) b\""]);
    assert_eq!(page.hidden, 0);

    // The arguments have a thousand members.
    let many: Vec<String> = (0..1_000).map(|n| format!("\"k{n:03}\":\"{n:060}\"")).collect();
    let page = shown(&format!("{{{}}}", many.join(",")));
    let lines = arguments(&page.text);
    let last = lines[lines.len() - 2];
    let (count, bytes) = (1_000 - (lines.len() - 3), (1_000 - (lines.len() - 3)) * (4 + 62));
    assert_eq!(last, format!("  ({count} more members, {bytes} bytes, not shown)"));
    assert_eq!(page.hidden, bytes);

    // The bodies have a long number, a long key, a long name, and a long target.
    for body in [
        call(&format!("[0.{}]", "7".repeat(4_998))),
        call(&format!("{{\"{}\":1}}", "k".repeat(5_000))),
        call("{}").replace("delete", &"n".repeat(5_000)),
    ] {
        let page = asked(&body).shown(&PageLimits::default());
        assert_eq!(page.hidden, 4_600, "{}", page.text);
    }

    // The message has a thousand members outside of the arguments.
    let extra: String = (0..1_000).map(|n| format!("\"m{n:03}\":1,")).collect();
    let page = asked(&call("{}").replace("\"arguments\"", &format!("{extra}\"arguments\"")))
        .shown(&PageLimits::default());
    assert!(page.text.lines().count() < 120, "{}", page.text);
    assert!(page.text.contains(" more members of the request, "), "{}", page.text);
    assert!(page.hidden > 4_000, "{}", page.hidden);
    assert_eq!(arguments(&page.text), ["{}"]);
}

#[test]
fn without_limits_nothing_is_missing() {
    let long = "x".repeat(10_000);
    let many: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":\"v{n}\"")).collect();
    let body = call(&format!("{{\"a\":{},{}}}", json(&long), many.join(",")));
    let page = asked(&body).shown(&PageLimits::none());
    assert_eq!(page.hidden, 0);
    assert_eq!(page.text.matches('x').count() - page.text.matches("example").count(), 10_000);
    assert!(page.text.contains("\"k999\": \"v999\""));
}

#[test]
fn deep_nesting_stays_on_the_page() {
    let depth = 60;
    let json = format!("{}\"core\"{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
    let page = shown(&json);
    assert!(page.text.contains("\"core\"") || page.hidden > 0, "{}", page.text);
    let page = asked(&call(&json)).shown(&PageLimits::none());
    assert!(page.text.contains("\"core\""), "{}", page.text);
    assert!(page.text.lines().all(|line| line.chars().count() <= 80), "{}", page.text);
}

#[test]
fn lines_fit_and_escapes_are_not_broken() {
    for width in [0, 40, 57, 80, 200] {
        for text in [
            "\u{202e}".repeat(100),
            "東京".repeat(100),
            "word ".repeat(100),
            format!("{}\u{202e}", "x".repeat(30)),
            "\\".repeat(99),
        ] {
            let body = call(&format!("{{\"key\":{}}}", json(&text)));
            let page = asked(&body).shown(&PageLimits::default().with_width(width));
            for line in page.text.lines() {
                let columns: usize =
                    line.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum();
                assert!(columns <= width.max(72), "{columns} of {width}: {line}");
                for (at, _) in line.match_indices("\\u{") {
                    assert!(line[at..].find('}').is_some_and(|end| end < 10), "{line}");
                }
            }
        }
    }
}

#[test]
fn letters_that_look_like_others_are_named() {
    let page = shown(&json("send it to p\u{430}ypal and \u{ff47}oogle"));
    assert!(page.text.contains("beware: letters that pass for Latin ones in:"), "{}", page.text);
    assert!(page.text.contains(r#"  | "p\u{430}ypal""#), "{}", page.text);
    assert!(page.text.contains(r#"  | "\u{ff47}oogle""#), "{}", page.text);
    // The warning about letters of two scripts also applies to the keys of JSON objects.
    assert!(shown("{\"p\u{430}th\":1}").text.contains("beware"));
    let many: Vec<String> = (0..9).map(|n| format!("p\u{430}y{n}")).collect();
    let page = shown(&json(&many.join(" ")));
    assert!(page.text.contains("and in 6 more words"), "{}", page.text);
    for harmless in ["Zürich", "naïve", "Привет", "παράδειγμα", "東京 tower", "x Привет", "abc"]
    {
        assert!(!shown(&json(harmless)).text.contains("beware"), "{harmless}");
    }
    // The page also shows a tool's name in plain ASCII.
    let body = call("{}").replace("delete", "d\u{435}lete");
    let text = asked(&body).shown(&PageLimits::default()).text;
    assert!(text.contains("  which is not plain ASCII, but:\n  | \"d\\u{435}lete\"\n"), "{text}");
    let asked = |target: &str| {
        let body = call("{}");
        let reading = read(body.as_bytes()).unwrap();
        let asked = ConsentQuestion::new(target, &reading, body.as_bytes()).unwrap();
        asked.shown(&PageLimits::default()).text
    };
    assert!(asked("https://mcp.xn--exmple-cua.com/mcp").contains("beware: the host's name"));
    assert!(asked("https://XN--exmple-cua.com/mcp").contains("beware: the host's name"));
    assert!(!asked("https://example.com/xn--exmple").contains("beware"));
}

proptest! {
    /// For any arguments, the page contains no control character, and each of its lines is either
    /// mcpid's own or begins with `  | `.
    #[test]
    fn no_argument_is_shown_outside_its_section(texts in prop::collection::vec(".{0,60}", 0..6), n in 40_usize..120) {
        let arguments = serde_json::to_string(&texts).unwrap();
        let page = asked(&call(&arguments)).shown(&PageLimits::default().with_width(n));
        prop_assert!(!page.text.contains(|c: char| c != '\n' && mcpid::message::shown::is_unsafe(c)));
        for line in page.text.lines() {
            let ours = ["  target:", "  method:", "  name:", "  signed by", "  arguments, ", "  in short:", "  body: ", "  beware: ", "    ", "  and in "];
            prop_assert!(line.starts_with("  | ") || ours.iter().any(|o| line.starts_with(o)), "{}", line);
        }
        prop_assert_eq!(page.hidden, 0);
    }
}

#[test]
fn the_key_is_named_and_a_long_page_repeats_the_request_at_its_end() {
    let lines = "line\n".repeat(30);
    let body = call(&format!("{{\"text\":{}}}", json(&lines)));
    let asked = asked(&body).signed_by("lap\u{202e}top", "0123456789abcdef");
    for limits in [PageLimits::default(), PageLimits::none()] {
        let text = asked.shown(&limits).text;
        let key = "  signed by the key:\n  | \"lap\\u{202e}top\" 0123456789abcdef\n";
        assert!(text.contains(key), "{key} is not in {text}");
        let end = text.rsplit("  in short:\n").next().unwrap();
        assert!(end.lines().all(|line| line.starts_with("  | ")), "{end}");
        let end = end.replace("\n  |   ", " ").replace('\n', "");
        for part in ["\"tools/call\" \"delete\"", TARGET, "lap\\u{202e}top"] {
            assert!(end.contains(part), "{part} is not in {end}");
        }
    }
    assert!(!shown("{}").text.contains("in short"), "a short page needs no summary");
}
