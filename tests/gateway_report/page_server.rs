//! Serves one page, and shows it in a real browser.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server on loopback that answers every path with the same page, and records the requested
/// paths.
pub(super) struct PageServer {
    pub(super) address: String,
    asked: Arc<Mutex<Vec<String>>>,
    page: Arc<Mutex<String>>,
}

impl PageServer {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (asked, page) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(String::new())));
        let server = PageServer { address, asked: Arc::clone(&asked), page: Arc::clone(&page) };
        // The thread ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
                let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut chunk) {
                        Ok(n) if n > 0 => head.extend_from_slice(&chunk[..n]),
                        _ => break,
                    }
                }
                let head = String::from_utf8_lossy(&head);
                let Some(path) = head.split(' ').nth(1) else { continue };
                asked.lock().unwrap().push(path.to_owned());
                let page = page.lock().unwrap().clone();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{page}",
                    page.len()
                );
            }
        });
        server
    }

    /// Shows `page` in the browser. Returns the document that the browser made of it, its console
    /// messages, and the paths that it requested.
    pub(super) fn show(&self, page: &str) -> (String, String, Vec<String>) {
        *self.page.lock().unwrap() = page.to_owned();
        self.asked.lock().unwrap().clear();
        let (dom, said) = shown(&format!("http://{}/report", self.address));
        (dom, said, self.asked.lock().unwrap().clone())
    }
}

/// Shows the page at `url` in the browser. Returns the document that the browser made of it, and
/// its console messages.
pub(super) fn shown(url: &str) -> (String, String) {
    let profile = tempfile::tempdir().unwrap();
    // `tests/long` preloads a library that changes the clock, and browsers do not work with it.
    let output = Command::new("chromium")
        .env_remove("LD_PRELOAD")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
        .args(["--disable-component-update", "--enable-logging=stderr"])
        // The rule stops requests of the browser itself. The page's requests to this server are
        // allowed.
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg("--virtual-time-budget=3000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(["--dump-dom", url])
        .stdin(Stdio::null())
        .output()
        .expect("this test needs chromium; tests/all installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().filter(|line| line.contains("CONSOLE"));
    let said = said.collect::<Vec<_>>().join("\n");
    (String::from_utf8(output.stdout).unwrap(), said)
}
