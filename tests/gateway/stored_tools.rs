//! Tests of tool lists that were stored before a restart, and of how long a rating as harmless is
//! valid.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Response;
use mcpid::clock::{Clock, SystemClock};
use mcpid::gateway::{GatewayConfig, Upstream};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use mcpid::tower::LearnedTools;
use serde_json::json;

use crate::known_tools::{answer, before, call, calls, learning, pages, sent, tool};
use crate::servers::{Answered, LIST, ReceivedRequest, TestGateway, TestUpstream, body, key};

fn stored() -> LearnedTools {
    let mut stored = LearnedTools::new();
    let now = SystemClock.now();
    assert!(stored.note("read", false, Some(now)) && stored.note("drop", true, None));
    // A rating of a tool that is too old is not used, even if it is stored.
    assert!(stored.note("add", false, Some(now.plus(-LearnedTools::MAX_AGE - 60))));
    stored
}

/// Stored tools are treated as harmless only if the gateway cannot get a newer list.
#[tokio::test]
async fn stored_tools_are_harmless_only_after_the_upstream_has_refused_the_question() {
    fn refused(status: u16) -> Answered {
        Response::builder().status(status).body(body("{}")).unwrap()
    }
    fn called(got: &ReceivedRequest) -> bool {
        sent(got)["method"] == "tools/call"
    }
    type Script = fn(&ReceivedRequest) -> Answered;
    let cases: [(&str, Script, bool, u16); 8] = [
        ("401", |_| refused(401), false, 200),
        ("403", |_| refused(403), false, 200),
        ("401 to a signed question", |_| refused(401), true, 403),
        ("404", |_| refused(404), false, 403),
        ("500", |_| refused(500), false, 403),
        ("a redirect", |_| refused(302), false, 403),
        ("no list", |_| answer("text/html", "log in".to_owned()), false, 403),
        // The upstream has answered with a list that does not contain the tool any more.
        (
            "another list",
            |got| {
                let result = json!({ "tools": [tool("other", true)] });
                let text = json!({ "id": sent(got)["id"], "result": result });
                answer("application/json", text.to_string())
            },
            false,
            403,
        ),
    ];
    for (what, script, is_signed, status) in cases {
        let behind =
            TestUpstream::with(move |got| if called(got) { refused(200) } else { script(got) })
                .await;
        let gateway = before(&behind).await;
        let query = gateway.gateway.tools_query().unwrap().with_stored(stored());
        let query = match is_signed {
            true => query.with_signer(Arc::new(Signer::new(key(1), &Profile::mcp()).unwrap())),
            false => query,
        };
        calls(&gateway, [403, 403, 403]).await;
        for _ in 0..2 {
            let _ = query.ask().await;
            for (tool, expected) in [("read", status), ("add", 403), ("drop", 403)] {
                let reply = gateway.send(&gateway.plain(&call(tool))).await;
                assert_eq!(reply.status, expected, "{what}: {tool}");
            }
        }
    }
}

#[tokio::test]
async fn stored_tools_are_not_harmless_while_the_upstream_cannot_be_reached() {
    let behind = TestUpstream::with(pages).await;
    let unreachable = format!("http://127.0.0.1:{}/mcp", crate::program::free_port());
    let gateway = TestGateway::with(&behind, Default::default(), |_| {
        let mut config = GatewayConfig::new(Upstream::parse(&unreachable).unwrap());
        config.modes = learning();
        config
    })
    .await;
    let query = gateway.gateway.tools_query().unwrap().with_stored(stored());
    assert!(query.ask().await.unwrap_err().to_string().contains("cannot be reached"));
    calls(&gateway, [403, 403, 403]).await;
}

/// A tool's rating from a list that a client requested ends too, if no later list confirms it.
#[tokio::test]
async fn the_gateway_forgets_a_harmless_tool_that_was_not_listed_for_a_week() {
    let behind = TestUpstream::with(pages).await;
    let clock = Arc::new(crate::clocks::Stepped::default());
    let by: Arc<dyn Clock> = clock.clone();
    let gateway = TestGateway::by_clock(by, &behind, Default::default(), |mut config| {
        config.modes = learning();
        config
    })
    .await;
    gateway.gateway.tools_query().unwrap().ask().await.unwrap();
    calls(&gateway, [200, 200, 403]).await;
    clock.0.store(LearnedTools::MAX_AGE + 60, Ordering::SeqCst);
    calls(&gateway, [403, 403, 403]).await;
    // The first page of the list passes through the gateway, on a client's request.
    assert_eq!(gateway.send(&gateway.plain(LIST)).await.status, 200);
    calls(&gateway, [200, 403, 403]).await;
}
