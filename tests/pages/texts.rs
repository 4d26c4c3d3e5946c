//! Tests of the text of the HTML pages: it claims no more than the text output, and a hostile name
//! has no effect.

use mcpid::message::shown::is_unsafe;

use super::{AuditFolder, HOSTILE, lax_folder, mcpid, stdout};

/// The HTML elements that the program writes. Any other element would come from a name.
const ELEMENTS: &[&str] = &[
    "!doctype", "!--", "b", "bdi", "br", "code", "dd", "div", "dl", "dt", "footer", "h1", "h2",
    "h3", "header", "html", "i", "li", "meta", "ol", "p", "pre", "section", "span", "style",
    "table", "tbody", "td", "th", "thead", "title", "tr", "ul", "wbr",
];

/// Checks that the page has only HTML elements that the program writes itself.
#[track_caller]
pub(super) fn sound(page: &str) {
    assert!(page.starts_with("<!doctype html>\n<!-- mcpid ") && page.ends_with("</html>\n"));
    assert!(page.contains("content=\"default-src 'none'; style-src 'sha256-"));
    assert!(page.len() < 200_000, "{} bytes", page.len());
    for line in page.lines() {
        assert!(!line.contains(is_unsafe), "{line:?}");
    }
    let style = page.find("<style>").unwrap()..page.find("</style>").unwrap();
    for part in [&page[..style.start], &page[style.end..]] {
        for tag in part.split('<').skip(1) {
            let element = tag.trim_start_matches('/');
            let end = element.find(|c: char| " >\n".contains(c)).unwrap_or(element.len());
            assert!(ELEMENTS.contains(&&element[..end]), "<{tag}");
            let inside = tag.split('>').next().unwrap();
            for word in ["style=", "src=", "href=", " on", "url("] {
                assert!(!inside.contains(word), "<{tag}");
            }
        }
    }
}

/// Returns the text of a page as a reader sees it.
pub(super) fn read(page: &str) -> String {
    let body = page.split("</style>").nth(1).unwrap();
    let mut text = String::new();
    for piece in body.split('<') {
        let (tag, rest) = piece.split_once('>').unwrap_or(("", piece));
        text.push_str(if tag.contains("wbr") || tag.contains("bdi") { "" } else { "\n" });
        text.push_str(rest);
    }
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    plain.replace("&#39;", "'").replace("&amp;", "&")
}

/// Checks that the page states the verdict in the words of the text output.
#[track_caller]
pub(super) fn same_verdict(page: &str, text: &str) {
    let first = text.lines().next().unwrap();
    let shown = page.split("class=\"verdict").nth(1).unwrap().split("</div>").next().unwrap();
    let shown = read(&format!("</style>{shown}")).replace('\n', "");
    assert!(shown.contains(first), "{shown:?} against {first:?}");
}

/// The page says this in a section of its own, in other words.
const ANCHORED: &str = "yes: a checkpoint or cosignature from elsewhere covers the entry";

#[test]
fn good_evidence_is_told_in_one_sentence_and_by_whose_hashes() {
    let audit = AuditFolder::honest();
    let text = stdout(&audit.check(0, &["-r", "trust.json", "--checkpoint", "kept"]), 0);
    let html = ["-r", "trust.json", "--checkpoint", "kept", "--html", "page.html"];
    assert_eq!(stdout(&audit.check(0, &html), 0), text, "the text stays as it is");
    let page = audit.read("page.html");
    sound(&page);
    same_verdict(&page, &text);
    let read = read(&page);
    assert!(
        page.contains("<bdi class=\"name\">alice</bdi> authorised a request that by the log's")
    );
    let facts: Vec<_> = text.lines().skip(1).filter_map(|line| line.split_at_checked(17)).collect();
    let listed = |name: &str| facts.iter().find(|(fact, _)| fact.trim() == name).unwrap().1;
    let lower = read.to_lowercase();
    for checked in listed("checked").split(", ") {
        assert!(lower.contains(checked), "{checked}");
    }
    let not_shown = facts.iter().filter(|(fact, _)| fact.trim() == "not shown");
    assert_eq!(not_shown.clone().count(), 4, "{text}");
    for (_, what) in not_shown {
        assert!(lower.contains(what), "{what}");
    }
    let facts = facts.iter().filter(|(name, _)| !["checked", "not shown"].contains(&name.trim()));
    for (_, value) in facts {
        // The page shows names in another font, and the text in quotation marks.
        let value = value.split(" (").next().unwrap().replace('"', "");
        assert!(
            value == ANCHORED || value.starts_with("steps 9") || read.contains(&value),
            "{value}"
        );
    }
    for file in ["evidence-0.json", "trust.json", "kept"] {
        use sha2::{Digest as _, Sha256};
        let hash = Sha256::digest(std::fs::read(audit.path(file)).unwrap());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(read.contains(&hash), "{file}");
    }
    for said in [
        "This page is no evidence",
        "That the request was carried out",
        "What is only claimed",
        "Made ",
        concat!("by mcpid ", env!("CARGO_PKG_VERSION")),
        &audit.log_key,
    ] {
        assert!(read.contains(said), "{said}");
    }
}

#[test]
fn no_page_claims_more_than_the_text_output() {
    let audit = AuditFolder::honest();
    let check = |more: &[&str], code: i32| {
        let text = stdout(&audit.check(0, more), code);
        let more = [more, &["--html", "page.html"][..]].concat();
        assert_eq!(audit.check(0, &more).status.code(), Some(code));
        let page = audit.read("page.html");
        sound(&page);
        same_verdict(&page, &text);
        page
    };
    // Without the auditor's own trust file, the page shows no name, and does not say that a person
    // authorised the request.
    let page = check(&[], 5);
    assert!(page.contains("It is not shown who signed") && !page.contains("alice"));
    assert!(!page.contains("authorised a request") && page.contains("verdict unjudged"));
    // The auditor has stricter rules than the log.
    let page = check(&["-r", "trust.json", "--origin", "https://other.example"], 5);
    assert!(page.contains("cannot be called good") && !page.contains("authorised a request"));
    // The evidence contradicts itself, so the page does not show what it states.
    std::fs::write(audit.path("other"), "another body").unwrap();
    let page = check(&["-r", "trust.json", "--body", "other"], 1);
    assert!(page.contains("This evidence does not hold."));
    for said in ["alice", "pay", "mcp.example.com", "holds</span>", "authorised a request"] {
        assert!(!page.contains(said), "{said}");
    }
    let audit = lax_folder();
    let output = audit.check(0, &["-r", "trust.json", "--html", "-"]);
    let page = stdout(&output, 5);
    sound(&page);
    assert!(page.contains("unjudged:</b>") && page.contains("cannot be called good"));
}

/// "Authorised" says that the signer may do it.
#[test]
fn a_signer_who_may_not_do_it_is_said_to_have_signed() {
    let audit = AuditFolder::honest();
    let mut trust: serde_json::Value = serde_json::from_str(&audit.read("trust.json")).unwrap();
    trust["keys"][0]["mcpid"]["allow"] = serde_json::json!(["tools/call:get_*"]);
    std::fs::write(audit.path("narrow.json"), trust.to_string()).unwrap();
    let narrow = ["-r", "narrow.json", "--checkpoint", "kept"];
    let text = stdout(&audit.check(0, &narrow), 0);
    assert!(text.contains("    allowed      no longer: "), "{text}");
    assert!(text.contains("    summary      \"alice\" signed a request "), "{text}");
    assert!(!text.contains("authorised"), "{text}");
    let page = stdout(&audit.check(0, &[&narrow[..], &["--html", "-"]].concat()), 0);
    assert!(page.contains("alice</bdi> signed a request that"), "{page}");
}

#[test]
fn a_page_about_a_refusal_says_that_the_request_was_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/audit.in");
    let page = mcpid(
        folder.as_ref(),
        &[
            "audit",
            "check",
            "--log-key",
            "log-key.pub",
            "--checkpoint",
            "kept",
            "-r",
            "trust.json",
            "--html",
            "-",
            "refused.json",
        ],
    );
    let page = stdout(&page, 0);
    sound(&page);
    assert!(page.contains("<h1>Genuine entry: the request was REFUSED (nonce_replayed).</h1>"));
    assert!(page.contains("<b>genuine entry:</b><bdi> the request was REFUSED (nonce_replayed)"));
    assert!(page.contains("it does not show that nothing was carried out"));
    assert!(!page.contains("authorised") && !page.contains("verdict good"));
}

#[test]
fn hostile_names_are_text_on_every_page() {
    let mut tools: Vec<String> = HOSTILE.iter().map(|name| (*name).to_owned()).collect();
    tools.push("<b>".repeat(1_000_000));
    let audit = AuditFolder::new(&tools, "<img src=x onerror=\"a\">\u{202e}");
    let trust = ["-r", "trust.json", "--html", "-"];
    for n in 0..tools.len() {
        let page = stdout(&audit.check(n, &trust), 0);
        sound(&page);
        assert!(!page.contains("<img") && page.contains("&lt;img src=x"));
    }
    let page = stdout(&audit.report(&trust), 0);
    sound(&page);
    assert!(page.contains("evil\\u{202e}gnp") && page.contains("שם עברי"));
    assert!(page.contains("3000000 characters"), "a long name is cut, and says so");
}

#[test]
fn the_page_of_a_log_counts_entries_and_lists_findings() {
    let tools = ["pay", "pay", "refund"].map(str::to_owned);
    let audit = AuditFolder::new(&tools, "alice");
    let all = ["-r", "trust.json", "--checkpoint", "kept"];
    let text = stdout(&audit.report(&all), 0);
    for line in ["       3  verified", "       2  tools/call:pay (claimed)", "(alice)"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let html = [&all[..], &["--html", "log.html"]].concat();
    assert_eq!(stdout(&audit.report(&html), 0), text);
    let page = audit.read("log.html");
    sound(&page);
    same_verdict(&page, &text);
    assert!(page.contains("<h1>All 3 entries of the log are good.</h1>"));
    let json = stdout(&audit.report(&[&all[..], &["--json"]].concat()), 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["summary"]["keys"][0]["name"], "alice");
    assert_eq!(json["summary"]["operations"][0]["entries"], 2);
    // The page uses the words of `audit verify`.
    let verify = ["audit", "verify", "--audit", "log", "--log-key", &audit.log_key];
    let verify = stdout(&audit.run(&[&verify[..], &all].concat()), 0);
    assert!(text.starts_with(&verify), "{verify}");
    // The log is changed: the page and the exit code say that it is bad.
    let segment = audit.path("log/entries-000000000000.jsonl");
    let entries = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, entries.replace("refund", "refumd")).unwrap();
    let text = stdout(&audit.report(&all), 1);
    let page = stdout(&audit.report(&[&all[..], &["--html", "-"]].concat()), 1);
    sound(&page);
    same_verdict(&page, &text);
    assert!(page.contains("verdict bad") && page.contains("was changed"));
    assert!(!page.contains("holds</span>") && !page.contains("refumd"), "{page}");
    assert!(!text.contains("ENTRIES"), "what a bad log says is not counted");
}
