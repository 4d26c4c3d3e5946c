//! Tests with a real nginx in front of the gateway: each usual configuration either works, or the
//! gateway's log names the line that is missing.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mcpid::gateway::log::LogLine;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::program::{Running, free_port};
use crate::servers::{CALL, Reply, TestUpstream, Wire};

/// What happens to a request that nginx passes on to the gateway.
enum Expected {
    /// The request reaches the upstream, and the log names this address as its client's.
    Passes(&'static str),
    /// The gateway refuses the request with this status and reason, and logs a hint with these
    /// words.
    Refused(u16, &'static str, &'static str),
}

use Expected::{Passes, Refused};

/// A case: its name, the lines of nginx's server block, and what happens. In the lines, `DIRECT`
/// stands for the gateway's address and `POOL` for an `upstream` block with kept connections.
type Configuration = (&'static str, &'static str, Expected);

/// The client's address, and an address that the client claims to have.
const CLIENT: &str = "127.0.0.2";
const CLAIMED: &str = "203.0.113.7";
const HOST_LINE: &str = "nginx proxy_set_header Host $http_host;";

const CONFIGURATIONS: [Configuration; 19] = [
    (
        "as it comes",
        "location / { proxy_pass DIRECT; }",
        Refused(421, "target_mismatch", HOST_LINE),
    ),
    ("$http_host", "location / { proxy_pass DIRECT; HTTP_HOST FORWARDED }", Passes(CLIENT)),
    (
        "$host, which has no port",
        "location / { proxy_pass DIRECT; proxy_set_header Host $host; FORWARDED }",
        Refused(421, "target_mismatch", HOST_LINE),
    ),
    (
        "no host",
        "location / { proxy_pass DIRECT; proxy_set_header Host \"\"; FORWARDED }",
        Refused(400, "host", HOST_LINE),
    ),
    (
        "HTTP/1.1",
        "location / { proxy_pass DIRECT; proxy_http_version 1.1; HTTP_HOST FORWARDED }",
        Passes(CLIENT),
    ),
    (
        "the recipe for WebSocket",
        "location / { proxy_pass DIRECT; proxy_http_version 1.1; HTTP_HOST FORWARDED \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }",
        Passes(CLIENT),
    ),
    (
        "the connection options of the client",
        "location / { proxy_pass DIRECT; proxy_http_version 1.1; HTTP_HOST FORWARDED \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection; }",
        Passes(CLIENT),
    ),
    (
        "keep-alive",
        "location / { proxy_pass POOL; proxy_http_version 1.1; HTTP_HOST FORWARDED \
         proxy_set_header Connection \"\"; }",
        Passes(CLIENT),
    ),
    (
        "host and port of the server block",
        "location / { proxy_pass DIRECT; FORWARDED proxy_set_header Host $host:$server_port; }",
        Passes(CLIENT),
    ),
    // An inner block of nginx inherits proxy_set_header from the outer one only if it has no such
    // line itself.
    (
        "a host that is not inherited",
        "HTTP_HOST location / { proxy_pass DIRECT; FORWARDED }",
        Refused(421, "target_mismatch", HOST_LINE),
    ),
    (
        "a path that changes nothing",
        "location / { proxy_pass DIRECT/; HTTP_HOST FORWARDED }",
        Passes(CLIENT),
    ),
    (
        "a path that is removed",
        "location /mcp { proxy_pass DIRECT/; HTTP_HOST FORWARDED }",
        Refused(404, "not_found", "--path"),
    ),
    (
        "a path that is replaced by that of the gateway",
        "location /public { proxy_pass DIRECT/mcp; HTTP_HOST FORWARDED }",
        Refused(403, "signature_invalid", "a proxy must keep path"),
    ),
    // Without the line, nginx passes on the address that the client wrote.
    ("no address of the client", "location / { proxy_pass DIRECT; HTTP_HOST }", Passes(CLAIMED)),
    (
        "only the address that nginx saw",
        "location / { proxy_pass DIRECT; HTTP_HOST proxy_set_header X-Forwarded-For $remote_addr; }",
        Passes(CLIENT),
    ),
    (
        "further X fields",
        "location / { proxy_pass DIRECT; HTTP_HOST FORWARDED \
         proxy_set_header X-Forwarded-Host evil.example; proxy_set_header X-Forwarded-Proto https; \
         proxy_set_header X-Forwarded-Port 443; proxy_set_header X-Real-IP $remote_addr; \
         proxy_set_header Forwarded for=$remote_addr; }",
        Passes(CLIENT),
    ),
    (
        "nothing is buffered",
        "proxy_buffering off; proxy_request_buffering off; proxy_http_version 1.1; \
         location / { proxy_pass DIRECT; HTTP_HOST FORWARDED }",
        Passes(CLIENT),
    ),
    (
        "answers are compressed and redirects are relative",
        "gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; gunzip on; \
         absolute_redirect off; port_in_redirect off; merge_slashes off; \
         location / { proxy_pass DIRECT; HTTP_HOST FORWARDED proxy_set_header Accept-Encoding \"\"; }",
        Passes(CLIENT),
    ),
    (
        "names with underscores, and long fields",
        "underscores_in_headers on; large_client_header_buffers 4 32k; ignore_invalid_headers off; \
         location / { proxy_pass DIRECT; HTTP_HOST FORWARDED }",
        Passes(CLIENT),
    ),
];

/// Returns the server block of a configuration with its placeholders replaced.
fn server_lines(lines: &str, gateway: u16) -> String {
    let forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    lines
        .replace("DIRECT", &format!("http://127.0.0.1:{gateway}"))
        .replace("POOL", "http://gateway")
        .replace("HTTP_HOST", "proxy_set_header Host $http_host;")
        .replace("FORWARDED", forwarded)
}

/// A running nginx, which is stopped when this value is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one nginx in `folder`, which listens on one of `ports` for each configuration.
fn start(folder: &Path, gateway: u16, ports: &[u16]) -> Nginx {
    let mut text = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b;\n\
         fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;\n\
         upstream gateway {{ server 127.0.0.1:{gateway}; keepalive 8; }}\n",
        folder.display()
    );
    for ((_, lines, _), port) in CONFIGURATIONS.iter().zip(ports) {
        let lines = server_lines(lines, gateway);
        writeln!(text, "server {{ listen 127.0.0.1:{port}; {lines} }}").unwrap();
    }
    text.push_str("}\n");
    let file = folder.join("nginx.conf");
    fs::write(&file, text).unwrap();
    let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
    let program = program.into_iter().find(|path| Path::new(path).exists()).unwrap_or("nginx");
    let child = Command::new(program)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .args(["-e", "stderr"])
        .stdin(Stdio::null())
        .stderr(fs::File::create(folder.join("said")).unwrap())
        .spawn()
        .expect("the Debian package nginx-light");
    let nginx = Nginx(child);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
        let said = fs::read_to_string(folder.join("said")).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60), "nginx does not start: {said}");
        std::thread::sleep(Duration::from_millis(50));
    }
    nginx
}

fn lines(running: &Running) -> Vec<LogLine> {
    running.log().lines().filter_map(|line| LogLine::parse(line.as_bytes())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_nginx_configuration_passes_or_gets_a_hint_about_its_missing_line() {
    let behind = TestUpstream::new().await;
    let folder = TempDir::new().unwrap();
    let ports: Vec<u16> = CONFIGURATIONS.iter().map(|_| free_port()).collect();
    let origins: Vec<String> =
        ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
    let url = behind.url();
    let mut args = vec!["--upstream", &url, "--trusted-proxy", "127.0.0.1"];
    args.extend(origins.iter().flat_map(|origin| ["--origin", origin]));
    let running = Running::start(&folder, &args);
    let place = folder.path().join("nginx");
    fs::create_dir(&place).unwrap();
    let _nginx = start(&place, running.address.port(), &ports);
    let mut seen = 0;
    for ((what, configured, expected), port) in CONFIGURATIONS.iter().zip(&ports) {
        let host = format!("127.0.0.1:{port}");
        let path = if configured.contains("location /public") { "/public" } else { "/mcp" };
        let url = format!("http://{host}{path}");
        let before = behind.got().len();
        // The client sends two requests on one connection, with the offer to upgrade that OpenJDK's
        // client sends.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{CLIENT}:0").parse().unwrap()).unwrap();
        let mut stream: TcpStream = socket.connect(host.parse().unwrap()).await.unwrap();
        for _ in 0..2 {
            let mut wire = Wire::post(&host, path, CALL)
                .sign(1, &url)
                .with("Connection", "Upgrade, HTTP2-Settings")
                .with("Upgrade", "h2c")
                .with("HTTP2-Settings", "AAMAAABkAAQ")
                .with("X-Forwarded-For", CLAIMED)
                .with("Mcpid_Status", "forged");
            if configured.contains("large_client_header_buffers") {
                wire = wire.with("X-Long", &"x".repeat(20_000));
            }
            stream.write_all(&wire.bytes()).await.unwrap();
            let reply = Reply::read(&mut stream).await;
            seen += 1;
            let begun = Instant::now();
            while lines(&running).len() < seen && begun.elapsed() < Duration::from_secs(60) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let line = lines(&running).pop().unwrap();
            match expected {
                Passes(address) => {
                    assert_eq!(reply.status, 200, "{what}: {reply:?}");
                    let got = behind.got().pop().unwrap();
                    assert_eq!(got.header("mcpid-status"), Some("verified"), "{what}");
                    assert_eq!(got.header("x-forwarded-for"), Some(*address), "{what}");
                    assert_eq!(got.header("x-forwarded-host"), Some(&*host), "{what}");
                    assert_eq!(got.header("mcpid_status"), None, "{what}");
                    assert_eq!(line.peer.unwrap().as_str(), *address, "{what}");
                }
                Refused(status, reason, wanted) => {
                    assert_eq!(reply.status, *status, "{what}: {reply:?}");
                    // The gateway does not tell a client which check of its signature failed.
                    let told = if *status == 403 { "key_unknown" } else { reason };
                    assert_eq!(reply.reason(), told, "{what}");
                    assert!(line.to_line().contains(reason), "{what}: {line:?}");
                    let hint = line.hint.clone().unwrap();
                    assert!(hint.as_str().contains(wanted), "{what}: {line:?}");
                    if *reason == "target_mismatch" {
                        let note = line.note.unwrap();
                        let came = match configured.contains("Host $host") {
                            true => "127.0.0.1".to_owned(),
                            false => running.address.to_string(),
                        };
                        let words = format!("host {came:?}, ours: http://127.0.0.1:");
                        assert!(note.as_str().starts_with(&words), "{what}: {note}");
                    }
                }
            }
        }
        let wanted = if matches!(expected, Passes(_)) { 2 } else { 0 };
        assert_eq!(behind.got().len() - before, wanted, "{what}");
    }
    // With its own limit of 8 KiB on heads, nginx answers, and the gateway gets no request.
    let host = format!("127.0.0.1:{}", ports[1]);
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let long = Wire::post(&host, "/mcp", CALL).with("X-Long", &"x".repeat(20_000));
    stream.write_all(&long.bytes()).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 400);
    assert_eq!(lines(&running).len(), seen);
}
