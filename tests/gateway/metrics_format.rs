//! The numbers for Prometheus: both text formats, the choice between them, and what Prometheus' own
//! tool says of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{Running, free_port};
use crate::servers::{Reply, TestUpstream, Wire};

async fn numbers(admin: &str, accept: Option<&str>) -> Reply {
    use tokio::io::AsyncWriteExt as _;

    let wire = Wire::get(admin, "/metrics");
    let wire = accept.into_iter().fold(wire, |wire, accept| wire.with("Accept", accept));
    let mut stream = tokio::net::TcpStream::connect(admin).await.unwrap();
    stream.write_all(&wire.bytes()).await.unwrap();
    Reply::read(&mut stream).await
}

/// The lines that are no comments and do not change between two requests.
fn samples(reply: &Reply) -> Vec<String> {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Runs `promtool check metrics` on `text`.
fn promtool(text: &[u8]) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of the Debian package prometheus");
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_come_in_the_format_that_accept_asks_for() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit");
    let made = crate::program::program().args(["audit", "init", "--audit"]).arg(&log).output();
    assert!(made.unwrap().status.success());
    let admin = format!("127.0.0.1:{}", free_port());
    let behind = TestUpstream::new().await;
    let url = behind.url();
    let log = log.to_str().unwrap();
    let args = ["--upstream", &url, "--admin", &admin, "--audit", log, "--mode", "permissive"];
    let running = Running::start_for_own_address(&folder, "http", &args);
    assert_eq!(running.send(&running.signed()).await.status, 200);
    assert_eq!(running.send(&running.plain()).await.status, 200);

    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let cases = [
        (None, text),
        (Some("*/*"), text),
        (Some("text/plain"), text),
        (Some("text/html, application/json"), text),
        (Some("application/openmetrics-text; q=0"), text),
        (Some("application/openmetrics-text;q=0.000, */*"), text),
        (Some("application/openmetrics-texts"), text),
        (Some("application/openmetrics-text"), open_metrics),
        (Some("APPLICATION/OpenMetrics-Text;Q=1"), open_metrics),
        (Some(prometheus), open_metrics),
    ];
    for (accept, media) in cases {
        let reply = numbers(&admin, accept).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(media)), "{accept:?}");
        assert_eq!(reply.header("vary"), Some("accept"));
        assert_eq!(reply.body.ends_with(b"# EOF\n"), media == open_metrics, "{accept:?}");
    }
    let (new, old) = (numbers(&admin, Some(open_metrics)).await, numbers(&admin, None).await);
    assert_eq!(samples(&new), samples(&old));
    let old_text = String::from_utf8(old.body.clone()).unwrap();
    for line in [
        "# TYPE mcpid_requests_total counter",
        "# TYPE mcpid_answer_seconds histogram",
        "# TYPE mcpid_registry_keys gauge",
        "# TYPE mcpid_build_info gauge",
        concat!("mcpid_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "mcpid_audit_entries 1",
    ] {
        assert!(old_text.lines().any(|known| known == line), "no {line}: {old_text}");
    }
    assert_eq!(promtool(&old.body), (true, String::new()));
    // The tool is strict enough to refuse a text without types.
    assert!(!promtool(b"mcpid_requests_total 1\n").0);
    assert_eq!(running.terminate(), 0);
}
