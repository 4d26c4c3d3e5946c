//! Tests of the metrics for Prometheus: both text formats, the choice between them, and the verdict
//! of Prometheus' own tool.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mcpid::net::tls;
use tempfile::TempDir;

use crate::operation::Started;
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

/// Returns the lines that are no comments and are equal in two requests for the metrics.
fn samples(reply: &Reply) -> Vec<String> {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let changes = |line: &str| line.starts_with("process_") || line.contains("_age_seconds ");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !changes(line));
    lines.map(str::to_owned).collect()
}

/// Returns the value of a metric that has no labels.
fn value(reply: &Reply, name: &str) -> f64 {
    let text = String::from_utf8(reply.body.clone()).unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
}

/// Runs `promtool check metrics` on `text`. Returns whether it succeeded, and its output.
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
    assert!(value(&old, "process_resident_memory_bytes") > 1e6);
    assert!(value(&old, "process_open_fds") > 3.0);
    assert!(value(&old, "process_open_fds") < value(&old, "process_max_fds"));
    assert!(value(&old, "process_start_time_seconds") > 1.7e9);
    assert!(value(&old, "mcpid_audit_checkpoint_age_seconds") < 600.0);
    let old_text = String::from_utf8(old.body.clone()).unwrap();
    for line in [
        "# TYPE mcpid_requests_total counter",
        "# TYPE mcpid_answer_seconds histogram",
        "# TYPE mcpid_registry_keys gauge",
        "# TYPE mcpid_build_info gauge",
        concat!("mcpid_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "mcpid_audit_entries 1",
        "mcpid_requests_in_flight 0",
        "mcpid_known_tools 0",
        "mcpid_tools_query_failures_total 0",
        "# TYPE mcpid_audit_checkpoint_age_seconds gauge",
        "# TYPE process_cpu_seconds_total counter",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(old_text.lines().any(|known| known == line), "no {line}: {old_text}");
    }
    assert_eq!(promtool(&old.body), (true, String::new()));
    // This control shows that the tool refuses a text without types.
    assert!(!promtool(b"mcpid_requests_total 1\n").0);
    assert_eq!(running.terminate(), 0);
}

/// Prometheus asks for the OpenMetrics format, and refuses the whole text for one wrong line.
#[tokio::test(flavor = "multi_thread")]
async fn prometheus_scrapes_a_gateway() {
    let folder = TempDir::new().unwrap();
    let admin = format!("127.0.0.1:{}", free_port());
    let behind = TestUpstream::new().await;
    let args = ["--admin", &admin, "--mode", "permissive"];
    let gateway = Started::new(&folder, &behind, Stdio::null(), &args);
    drop(gateway.connect().await);
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: mcpid\n  scrape_interval: 1s\n  static_configs:\n  - targets: [\"{admin}\"]\n"
    );
    std::fs::write(&config, text).unwrap();
    let web = format!("127.0.0.1:{}", free_port());
    let flag = |name: &str, value: &str| format!("--{name}={value}");
    let mut prometheus = Command::new("prometheus")
        .arg(flag("config.file", config.to_str().unwrap()))
        .arg(flag("storage.tsdb.path", folder.path().join("data").to_str().unwrap()))
        .arg(flag("web.listen-address", &web))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus of the Debian package prometheus");
    let mut found = String::new();
    for _ in 0..1_200 {
        let asked = "/api/v1/query?query=mcpid_build_info+and+on()+up==1";
        if tokio::net::TcpStream::connect(&web).await.is_ok() {
            let reply = crate::program::get(&web, asked, &web).await;
            found = String::from_utf8_lossy(&reply.body).into_owned();
            if found.contains(concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"")) {
                break;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let _ = prometheus.kill();
    let _ = prometheus.wait();
    assert!(found.contains("\"mcpid_build_info\""), "{found}: {}", gateway.said());
}

#[test]
fn the_expiry_of_certificates_is_what_openssl_says() {
    let folder = TempDir::new().unwrap();
    let run = |words: &str, file: &str| {
        let mut command = Command::new("openssl");
        let output =
            command.args(words.split(' ')).arg(file).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let new =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a -keyout key";
    // From 2050 on, a certificate has its times in another form (RFC 5280 section 4.1.2.5).
    run(&format!("{new} -days 2 -out"), "soon");
    run(&format!("{new} -days 36500 -out"), "late");
    // A certificate of version 1 does not state its version.
    run("req -new -key key -subj /CN=a -out", "request");
    run("x509 -req -in request -signkey key -days 30 -out", "old");
    let mut ends = Vec::new();
    let mut chain = Vec::new();
    for name in ["late", "old", "soon"] {
        let pem = std::fs::read(folder.path().join(name)).unwrap();
        let said = run("x509 -noout -enddate -dateopt iso_8601 -in", name);
        let said = said.trim().trim_start_matches("notAfter=").replace(' ', "T");
        let expiry = tls::expiry(&pem).unwrap();
        assert_eq!(expiry.to_string(), said, "{name}");
        ends.push(expiry);
        chain.extend(pem);
    }
    assert!(ends[2] < ends[1] && ends[1] < ends[0]);
    assert_eq!(tls::expiry(&chain).unwrap(), ends[2], "the first of them counts");
    for wrong in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"]
    {
        assert!(tls::expiry(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
