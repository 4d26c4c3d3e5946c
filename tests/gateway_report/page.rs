//! Tests of the report's text and page: both are complete, and safe for any name.

use mcpid::clock::Timestamp;
use mcpid::gateway::log::{LogLine, LogText, LoggedKey};
use mcpid::gateway::report::{MARK, RolloutReport, content_security_policy};
use mcpid::message::shown::is_unsafe;
use mcpid::verify::Code;
use proptest::prelude::*;

use super::{TEN, passed, refused, tally, verified};

pub(super) const MADE: Timestamp = Timestamp::from_unix(TEN + 86_400);

/// Names that try to act as HTML, as terminal escapes or as other syntax. `ADDRESS` stands for a
/// server that records requests.
pub(super) const HOSTILE: &[&str] = &[
    "<script>document.title='pwned'</script>",
    "<img src=http://ADDRESS/img onerror=\"document.title='pwned'\">",
    "\"><svg onload=document.title='pwned'>",
    "' onmouseover='document.title=\"pwned\"",
    "</title><script>document.title='pwned'</script>",
    "</style><style>@import url(http://ADDRESS/style);body{display:none}</style>",
    "--><script src=http://ADDRESS/script></script><!--",
    "<link rel=stylesheet href=http://ADDRESS/link>",
    "<meta http-equiv=refresh content=\"0;url=http://ADDRESS/meta\">",
    "<iframe src=http://ADDRESS/frame></iframe>",
    "&lt;script&gt;&#60;b&#62;",
    "javascript:document.title='pwned'",
    "evil\u{202e}gnp.exe\u{2066}",
    "zero\u{200b}width\u{feff}",
    "line\nbreak\r\n\u{2028}and\ttab",
    "esc\u{1b}[31mred\u{0}nul\u{7f}\u{9b}",
    "{{7*7}}${7*7}`id`$(id)",
    "z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}algo",
    "שם עברי",
    "",
    " ",
];

/// Returns log lines with each of the hostile texts in every member that can hold one.
pub(super) fn hostile(address: &str) -> Vec<LogLine> {
    let texts = HOSTILE.iter().map(|text| text.replace("ADDRESS", address));
    let lines = texts.zip(0..).map(|(text, n)| {
        let mut line = verified(n * 60, &format!("tools/call:{text}"), &text);
        line.key = Some(LoggedKey { id: LogText::new(&text), name: Some(LogText::new(&text)) });
        for place in [&mut line.peer, &mut line.http, &mut line.tag, &mut line.note] {
            *place = Some(LogText::new(&text));
        }
        (line.method, line.path) = (LogText::new(&text), LogText::new(&text));
        [
            line,
            passed(n * 60, &text, Code::SignatureMissing),
            refused(n * 60, &format!("{text}:{text}"), Code::Expired),
        ]
    });
    lines.flatten().collect()
}

/// Returns the HTML page of a report.
pub(super) fn page(report: &RolloutReport) -> String {
    report.to_html(MADE)
}

#[track_caller]
fn sound(report: &RolloutReport) {
    let page = page(report);
    assert!(page.starts_with(MARK) && page.ends_with("</html>\n"));
    assert!(page.contains(&format!("content=\"{}\"", content_security_policy())));
    for line in page.lines().chain(report.to_text().lines()) {
        assert!(!line.contains(is_unsafe), "{line:?}");
    }
    // Names must not appear in the style sheet.
    let style = page.find("<style>").unwrap()..page.find("</style>").unwrap();
    let (before, after) = (&page[..style.start], &page[style.end..]);
    for text in [before, after] {
        for tag in text.split('<').skip(1) {
            let name = tag.trim_start_matches('/');
            let name: String = name.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
            let known = [
                "",
                "b",
                "bdi",
                "br",
                "code",
                "dd",
                "div",
                "dl",
                "dt",
                "figcaption",
                "figure",
                "footer",
                "g",
                "h1",
                "h2",
                "h3",
                "header",
                "html",
                "i",
                "li",
                "meta",
                "p",
                "path",
                "pre",
                "section",
                "span",
                "style",
                "svg",
                "table",
                "tbody",
                "td",
                "th",
                "thead",
                "title",
                "tr",
                "ul",
                "wbr",
            ];
            assert!(known.contains(&name.as_str()), "<{tag}");
            let inside = tag.split('>').next().unwrap();
            for word in ["style=", "src=", "href=", " on", "url("] {
                assert!(!inside.contains(word), "<{tag}");
            }
        }
    }
}

#[test]
fn hostile_names_in_a_report_are_text() {
    let report = tally(hostile("127.0.0.1:9")).report();
    sound(&report);
    let page = page(&report);
    assert!(page.contains("&lt;script&gt;document.<wbr>title=&#39;pwned&#39;&lt;/<wbr>script&gt;"));
    assert!(page.contains("evil\\u{202e}gnp."), "bidi is shown");
    assert!(page.contains("שם עברי"), "a script is not an attack");
    assert_eq!(page.matches("<style>").count(), 1);
    assert!(report.to_text().contains("line\\u{a}break\\u{d}\\u{a}\\u{2028}and\\u{9}tab"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_name_breaks_the_page(name in any::<String>(), key in "[<>&'\"/=a-z !-]{0,20}") {
        let operation = format!("tools/call:{name}");
        let report = tally([
            verified(0, &operation, &key),
            passed(1, &name, Code::Expired),
            passed(2, &key, Code::Expired),
        ]).report();
        sound(&report);
    }
}

#[test]
fn an_empty_report_says_how_to_begin() {
    let report = tally([]).report();
    sound(&report);
    assert!(page(&report).contains("<code>--mode permissive</code>"));
    assert_eq!(report.to_text(), "no request has been judged yet\n");
}

#[test]
fn every_code_has_advice() {
    let lines = Code::ALL.iter().zip(0..).map(|(code, n)| passed(n, "ping", *code));
    let report = tally(lines).report();
    sound(&report);
    let page = page(&report);
    for code in Code::ALL {
        assert!(page.contains(&format!("<dt><code>{code}</code>")), "{code}");
    }
    // No advice is empty or ends in the middle of a sentence.
    for why in &report.all.reasons {
        assert!(why.code.advice().ends_with('.'), "{}", why.code);
        assert_eq!(why.code.advice().matches('`').count() % 2, 0, "{}", why.code);
    }
}

#[test]
fn flags_on_the_page_can_be_pasted() {
    let lines = [
        verified(0, "tools/call:it's <b>$(id)</b>", "k1"),
        passed(0, "tools/call:`x` & y", Code::Expired),
    ];
    let page = page(&tally(lines).report());
    assert!(page.contains(
        "<pre>--strict &#39;tools/call:it&#39;\\&#39;&#39;s &lt;b&gt;$(id)&lt;/b&gt;&#39;</pre>"
    ));
    assert!(
        page.contains("<pre>--mode strict \\\n--permissive &#39;tools/call:`x` &amp; y&#39;</pre>")
    );
}

#[test]
fn pages_stay_small_with_as_many_tools_as_are_told_apart() {
    let many = (0..3_000).map(|n| verified(n * 600, &format!("tools/call:t{n}"), &format!("k{n}")));
    let report = tally(many).report();
    let page = page(&report);
    assert!(page.len() < 1024 * 1024, "{} bytes", page.len());
    assert_eq!(page.matches("<figure>").count(), 49);
    assert!(page.contains("952 more stand in the table above"));
    let rows = report.to_text().lines().count();
    assert!(rows < 120, "{rows}");
}
