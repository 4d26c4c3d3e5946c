//! Tests that the page of a running gateway and the report of its log file have the same content.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mcpid::gateway::report::content_security_policy;
use tempfile::TempDir;

use super::page_server::shown;

fn mcpid(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    for name in ["MCPID_KEY", "MCPID_TRUST", "MCPID_NONCES", "MCPID_PASSPHRASE"] {
        command.env_remove(name);
    }
    command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
    output
}

/// Sends `request` on a new connection, and reads the answer to its end.
fn ask(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let closing = String::from_utf8(request.to_vec()).unwrap();
    let closing = closing.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    stream.write_all(closing.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(address: &str, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
}

/// Starts a server that always gives the same answer.
fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
            let answer = "Content-Length: 36\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
            reader.get_mut().write_all(format!("{head}{answer}").as_bytes()).unwrap();
        }
    });
    address
}

/// A running gateway, which is stopped at the end of the test.
struct Gateway {
    child: Child,
    address: String,
    operators: String,
}

impl Gateway {
    fn start(folder: &Path, upstream: &str) -> Self {
        let arguments = format!(
            "gateway --upstream http://{upstream}/mcp --origin https://mcp.example.com \
             --listen 127.0.0.1:0 --admin 127.0.0.1:0 -r trust.json --mode permissive \
             --nonces memory: --log gateway.log"
        );
        let mut command = mcpid(folder, &arguments);
        let said = folder.join("said");
        let child = command.stderr(File::create(&said).unwrap()).spawn().unwrap();
        let mut gateway = Gateway { child, address: String::new(), operators: String::new() };
        let find = |text: &str, before: &str| {
            let rest = text.split_once(before)?.1;
            Some(rest.split([' ', ',', '\n']).next()?.to_owned())
        };
        gateway.until(|gateway| {
            let said = fs::read_to_string(&said).unwrap();
            let found = find(&said, "answered at ").zip(find(&said, "listening at "));
            found.map(|found| (gateway.operators, gateway.address) = found).is_some()
        });
        // This waits until the gateway is ready, when requests from before its start are too old to
        // be accepted.
        gateway.until(|gateway| get(&gateway.operators, "/readyz").starts_with("HTTP/1.1 200"));
        gateway
    }

    #[track_caller]
    fn until(&mut self, mut check: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !check(self) {
            assert!(Instant::now() < end && self.child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_gateway_shows_what_its_log_will_say() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    done(mcpid(folder, "keygen -q --no-passphrase -o key.json --name alice"));
    done(mcpid(folder, "trust add -q -r trust.json key.json"));
    let mut gateway = Gateway::start(folder, &upstream());

    let empty = get(&gateway.operators, "/");
    assert!(empty.contains("<h1>No request has been judged yet.</h1>"), "{empty}");

    let call = |name: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#)
    };
    for name in ["pay", "pay", "list"] {
        fs::write(folder.join("body.json"), call(name)).unwrap();
        let sign = "sign -k key.json --url https://mcp.example.com/mcp --format http body.json";
        let answer = ask(&gateway.address, &done(mcpid(folder, sign)).stdout);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let hostile = call("<script>alert(1)</script>");
    let unsigned = format!(
        "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{hostile}",
        hostile.len()
    );
    assert!(ask(&gateway.address, unsigned.as_bytes()).starts_with("HTTP/1.1 200"));
    let nowhere = "GET /elsewhere?token=secret HTTP/1.1\r\nHost: mcp.example.com\r\n\r\n";
    assert!(ask(&gateway.address, nowhere.as_bytes()).starts_with("HTTP/1.1 404"));

    let headline = "urning strict on now would refuse 1 of 4 requests (25.0 %)";
    let mut page = String::new();
    // A request is counted after its answer was sent, so the page may not count it yet.
    gateway.until(|gateway| {
        page = get(&gateway.operators, "/");
        page.contains("1 refused on sight")
    });
    let (head, page) = page.split_once("\r\n\r\n").unwrap();
    assert!(page.contains(&format!("<h1>T{headline}.</h1>")), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"));
    assert!(page.contains("<bdi class=\"name\">alice</bdi>"));
    assert!(page.contains(content_security_policy()));
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    assert!(head.contains("content-security-policy: ") && head.contains("nosniff"), "{head}");

    // The browser shows the whole page with its charts under the security policy in the header.
    let (dom, said) = shown(&format!("http://{}/", gateway.operators));
    assert_eq!(said, "", "no violation of the policy");
    assert!(dom.contains(&format!("<h1>T{headline}.</h1>")) && !dom.contains("<script"), "{dom}");
    let charts = |page: &str| (page.matches("<figure>").count(), page.matches("<svg").count());
    assert!(charts(page) > (0, 0) && charts(&dom) == charts(page), "{dom}");

    // The process ends in order, so that a coverage build writes its counters.
    let pid = gateway.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(gateway.child.wait().unwrap().success());
    let report = done(mcpid(folder, "gateway report --json gateway.log"));
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!(report["headline"], format!("t{headline}"));
    assert_eq!((&report["lines"], &report["passed_over"]), (&5.into(), &0.into()));
    assert_eq!(report["keys"][0]["name"], "alice");
    assert_eq!(report["keys"][0]["requests"], 3);
    assert_eq!(report["operations"][0]["name"], "<script>alert(1)</script>");
    // By the report, strict mode would have refused none of these operations' requests.
    assert_eq!(report["strict_next"], serde_json::json!(["tools/call:pay", "tools/call:list"]));
    let log = fs::read_to_string(folder.join("gateway.log")).unwrap();
    assert!(!log.contains("secret"), "{log}");
}
