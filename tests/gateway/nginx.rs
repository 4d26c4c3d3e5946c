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

const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Host $http_host; \
                       proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

/// A name, the lines in `location` besides `proxy_pass`, and the refusal if a needed line is
/// missing.
type Configuration = (&'static str, &'static str, Option<(&'static str, u16)>);

const CONFIGURATIONS: [Configuration; 7] = [
    ("as it comes", "", Some(("target_mismatch", 421))),
    ("$http_host", "proxy_set_header Host $http_host;", None),
    ("$host, which has no port", "proxy_set_header Host $host;", Some(("target_mismatch", 421))),
    ("no host", "proxy_set_header Host \"\";", Some(("host", 400))),
    ("HTTP/1.1", "proxy_http_version 1.1; proxy_set_header Host $http_host;", None),
    ("upgrade", UPGRADE, None),
    (
        "keep-alive",
        "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection \"\";",
        None,
    ),
];

/// A running nginx, which is stopped when this value is dropped.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts one nginx in `folder`, which listens on one port for each configuration.
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
        let forwarded = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
        // Without an `upstream` block, `Host` is the gateway's address, as in most configurations.
        let to = match lines.contains("Connection \"\"") {
            true => "gateway".to_owned(),
            false => format!("127.0.0.1:{gateway}"),
        };
        let forwarded = if lines.is_empty() { "" } else { forwarded };
        writeln!(
            text,
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{to}; {lines} \
             {forwarded} }} }}"
        )
        .unwrap();
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
    for ((what, _, lacks), port) in CONFIGURATIONS.iter().zip(&ports) {
        let host = format!("127.0.0.1:{port}");
        let url = format!("http://{host}/mcp");
        let before = behind.got().len();
        // A client sends two requests on one connection, with the upgrade offer of OpenJDK.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream: TcpStream = socket.connect(host.parse().unwrap()).await.unwrap();
        for _ in 0..2 {
            let wire = Wire::post(&host, "/mcp", CALL).sign(1, &url);
            let wire = wire
                .with("Connection", "Upgrade, HTTP2-Settings")
                .with("Upgrade", "h2c")
                .with("HTTP2-Settings", "AAMAAABkAAQ")
                .with("X-Forwarded-For", "203.0.113.7");
            stream.write_all(&wire.bytes()).await.unwrap();
            let reply = Reply::read(&mut stream).await;
            seen += 1;
            let begun = Instant::now();
            while lines(&running).len() < seen && begun.elapsed() < Duration::from_secs(60) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let line = lines(&running).pop().unwrap();
            match lacks {
                None => {
                    assert_eq!(reply.status, 200, "{what}: {reply:?}");
                    let got = behind.got().pop().unwrap();
                    assert_eq!(got.header("mcpid-status"), Some("verified"), "{what}");
                    // The field holds the address that nginx saw, and not the one that the client
                    // claimed.
                    assert_eq!(got.header("x-forwarded-for"), Some("127.0.0.2"), "{what}");
                    assert_eq!(line.peer.unwrap().as_str(), "127.0.0.2", "{what}");
                }
                Some((reason, status)) => {
                    assert_eq!(reply.status, *status, "{what}: {reply:?}");
                    assert_eq!(reply.reason(), *reason, "{what}");
                    let hint = line.hint.clone().unwrap();
                    let wanted = "nginx proxy_set_header Host $http_host;";
                    assert!(hint.as_str().ends_with(wanted), "{what}: {line:?}");
                    if *reason == "target_mismatch" {
                        let note = line.note.unwrap();
                        let came = match *what {
                            "as it comes" => running.address.to_string(),
                            _ => "127.0.0.1".to_owned(),
                        };
                        let words = format!("host {came:?}, ours: http://127.0.0.1:");
                        assert!(note.as_str().starts_with(&words), "{what}: {note}");
                    }
                }
            }
        }
        let wanted = if lacks.is_none() { 2 } else { 0 };
        assert_eq!(behind.got().len() - before, wanted, "{what}");
    }
}
