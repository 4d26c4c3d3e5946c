//! Shows the program's HTML pages in a real browser, at the width of a screen and of a phone.

use super::page_server::PageServer;
use super::verdicts::{AT, Signed};
use super::{AuditFolder, HOSTILE, stdout};

/// Returns a page of each kind, with hostile names.
fn pages(address: &str) -> Vec<(&'static str, String)> {
    let mut tools: Vec<String> = HOSTILE.iter().map(|t| t.replace("ADDRESS", address)).collect();
    tools.push("w".repeat(400));
    let audit = AuditFolder::new(&tools, &HOSTILE[1].replace("ADDRESS", address));
    let trust = ["-r", "trust.json", "--html", "-"];
    let mut pages = vec![
        ("report", stdout(&audit.report(&trust), 0)),
        ("unjudged", stdout(&audit.check(0, &["--html", "-"]), 5)),
    ];
    let evidence = (0..tools.len()).map(|n| ("check", stdout(&audit.check(n, &trust), 0)));
    pages.extend(evidence);
    let signed = Signed::new(&HOSTILE[1].replace("ADDRESS", address));
    for tool in tools[1..3].iter().chain(tools.last()) {
        signed.call("one.http", tool, &[]);
        pages.push(("verify", signed.page(&["--at", AT, "one.http"], 0)));
    }
    signed.write("bad.http", &HOSTILE[0].replace("ADDRESS", address));
    pages.push(("verify", signed.page(&["--at", AT, "bad.http", "one.http"], 3)));
    pages
}

#[test]
fn a_browser_loads_nothing_and_no_page_is_wider_than_its_window() {
    let server = PageServer::start();
    for (kind, page) in pages(&server.address) {
        let (dom, said, asked) = server.show(&page);
        assert_eq!(asked, ["/report"], "{kind}: the page, and nothing else");
        assert_eq!(said, "", "{kind}: no violation of the page's own policy");
        assert!(!dom.contains("<title>pwned") && dom.contains("<header>"), "{kind}");
        for element in ["<script", "<img", "<iframe", "<link", "<a "] {
            assert!(!dom.contains(element), "{kind}: {element}");
        }
        // The outer page shows this page in two frames, and measures them.
        let inner = page.replace('&', "&amp;").replace('"', "&quot;");
        let frame = |width: u32| {
            format!(
                "<iframe srcdoc=\"{inner}\" width={width} height=900 frameborder=0 \
                 onload=\"let root = this.contentDocument.documentElement; said.append(this.width + \
                 ': ' + (root.scrollWidth - root.clientWidth) + ' too wide; ')\"></iframe>"
            )
        };
        let outer = format!("<!doctype html><p id=said></p>{}{}", frame(400), frame(1280));
        let (dom, ..) = server.show(&outer);
        let said = dom.split("<p id=\"said\">").nth(1).unwrap().split("</p>").next().unwrap();
        for width in ["400: 0 too wide; ", "1280: 0 too wide; "] {
            assert!(said.contains(width), "{kind}: {said}");
        }
    }
}
