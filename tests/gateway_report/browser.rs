//! Shows the report's page in a real browser: it requests nothing from the network, and no name in
//! it acts as HTML.

use mcpid::gateway::report::content_security_policy;

use super::page::{HOSTILE, hostile, page};
use super::page_server::PageServer;
use super::tally;

#[test]
fn a_browser_loads_nothing_runs_nothing_and_has_no_complaint() {
    let server = PageServer::start();
    let report = tally(hostile(&server.address)).report();
    let page = page(&report);
    let (dom, said, asked) = server.show(&page);
    assert_eq!(asked, ["/report"], "the page, and nothing else");
    assert_eq!(said, "", "no violation of the page's own policy");
    assert!(dom.contains("<title>Roll-out report: turning strict on now would refuse"));
    for element in ["<script", "<img", "<iframe", "<link", "<a "] {
        assert!(!dom.contains(element), "{element}");
    }
    for tag in dom.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        assert!(!tag.contains(" on") && !tag.contains("style="), "<{tag}>");
    }
    // The page's security policy allows its style sheet, so the page has its charts and colours.
    assert_eq!(dom.matches("<figure>").count(), page.matches("<figure>").count());
    assert_eq!(dom.matches("<bdi").count(), page.matches("<bdi").count());
    assert!(HOSTILE.len() > 20 && page.matches("<figure>").count() > HOSTILE.len());

    // This control shows that the test can fail: elements that no name may become are put into the
    // page, and the browser notices them.
    let smuggled = format!(
        "<header><p style=\"color:red\">x</p><img src=\"http://{}/img\">\
         <script>document.title = 'pwned'</script>",
        server.address
    );
    let broken = page.replacen("<header>", &smuggled, 1);
    let (dom, said, asked) = server.show(&broken);
    assert_eq!(said.matches("violates the following Content Security Policy").count(), 3, "{said}");
    assert!(!dom.contains("<title>pwned</title>"));
    assert_eq!(asked, ["/report"], "the policy alone holds it back");
    let (dom, _, asked) = server.show(&broken.replacen(content_security_policy(), "", 1));
    assert!(
        dom.contains("<title>pwned</title>") && asked.contains(&"/img".to_owned()),
        "{asked:?}"
    );
}
