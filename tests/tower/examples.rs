//! Tests that the example programs do what their descriptions say.

#[path = "../../examples/axum.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example has a main of its own")]
mod axum_server;

#[path = "../../examples/rmcp.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example has a main of its own")]
mod rmcp_server;

#[tokio::test]
async fn the_axum_server_serves_what_is_signed() {
    let lines = axum_server::run().await.unwrap();
    assert_eq!(lines[0], "signed: 200 alice sent 78 bytes");
    assert!(lines[1].starts_with(r#"unsigned: 403 {"jsonrpc":"2.0","id":1,"error""#), "{lines:?}");
    assert_eq!(lines[2], "verified so far: 1");
}

#[tokio::test]
async fn the_rmcp_server_knows_who_calls_in_both_revisions() {
    let lines = rmcp_server::run().await.unwrap();
    assert_eq!(
        lines,
        [
            "unsigned initialize: 403",
            "initialize: 200",
            "initialized: 202",
            "stream: 200",
            r#"call: "alice""#,
            "delete: 202",
            r#"stateless call: "alice""#,
            "another name in the header: 400 -32020",
        ]
    );
}
