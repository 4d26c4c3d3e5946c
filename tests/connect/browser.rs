//! Tests with a real browser: a page of another origin cannot use the key, even if it knows the
//! secret path.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use mcpid::connect::LoopbackAccess;
use mcpid::message::target::Origin;
use mcpid::net::{ListenAddress, Listener, Server as Front, ServerLimits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::{bridge, old_call};
use crate::server::Server;
use crate::sessions::usual;

const SECRET: &str = "0123456789abcdefghijkl";

/// The page sends requests in every way that a page can, and reports which answers it could read.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>page</title><pre id="out"></pre>
<iframe name="sink"></iframe>
<script>
const url = "URL", body = BODY, out = document.getElementById("out");
const say = (what, text) => { out.textContent += `${what}: ${text}\n`; };
const attempt = async (what, act) => {
  try { say(what, await act()); } catch (error) { say(what, "refused"); }
};
const post = (options) => fetch(url, { method: "POST", body, ...options });
(async () => {
  await attempt("fetch", async () => (await post({ headers: { "content-type": "application/json" } })).text());
  await attempt("simple", async () => (await post({ headers: { "content-type": "text/plain" } })).text());
  await attempt("blind", async () => (await post({ mode: "no-cors", headers: { "content-type": "text/plain" } })).type);
  await attempt("blind json", async () => (await post({ mode: "no-cors", headers: { "content-type": "application/json" } })).type);
  await attempt("stream", async () => (await fetch(url, { mode: "no-cors", headers: { accept: "text/event-stream" } })).type);
  await attempt("delete", async () => (await fetch(url, { method: "DELETE" })).text());
  await attempt("beacon", async () => navigator.sendBeacon(url, new Blob([body], { type: "text/plain" })));
  await attempt("form", async () => {
    const form = Object.assign(document.createElement("form"), { action: url, method: "post", enctype: "text/plain", target: "sink" });
    form.append(Object.assign(document.createElement("input"), { name: body.slice(0, -1) + ',"x":"', value: '"}' }));
    document.body.append(form);
    form.submit();
    return "sent";
  });
  await attempt("image", () => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = () => done("tried");
    image.src = url;
  }));
  await attempt("events", () => new Promise((done) => {
    const source = new EventSource(url);
    source.onmessage = () => done("read");
    source.onerror = () => { source.close(); done("refused"); };
  }));
  await new Promise((done) => setTimeout(done, 500));
  say("end", "all tried");
})();
</script>"#;

/// Serves `page` at another port, and so from another origin.
async fn page_server() -> (SocketAddr, JoinHandle<()>, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = Arc::new(Mutex::new(String::new()));
    let shown = Arc::clone(&page);
    let serve = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let page = shown.lock().unwrap().clone();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, serve, page)
}

/// Returns the result that the page at `address` shows when it has finished.
async fn browse(address: SocketAddr) -> String {
    let profile = tempfile::tempdir().unwrap();
    let folder = format!("--user-data-dir={}", profile.path().display());
    let browse = move || {
        Command::new("chromium")
            // This test removes the variable for the same reason as
            // tests/gateway_report/page_server.rs.
            .env_remove("LD_PRELOAD")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--virtual-time-budget=8000"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .arg(folder)
            .args(["--dump-dom", &format!("http://{address}/")])
            .stdin(Stdio::null())
            .output()
    };
    let output = tokio::task::spawn_blocking(browse).await.unwrap();
    let output = output.expect("this test needs chromium; tests/all installs it");
    let dom = String::from_utf8(output.stdout).unwrap();
    assert!(dom.contains("end: all tried"), "{dom}{}", String::from_utf8_lossy(&output.stderr));
    dom.split("<pre id=\"out\">").nth(1).unwrap().split("</pre>").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_knows_the_path_cannot_use_the_key_unless_its_origin_is_allowed() {
    for let_in in [false, true] {
        let server = Server::start(usual).await;
        let (at, pages, page) = page_server().await;
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let ListenAddress::Tcp(address) = *listener.address() else { unreachable!() };
        let mut access = LoopbackAccess::new(listener.address(), SECRET);
        if let_in {
            access = access.with_origin(Origin::parse(&format!("http://{at}")).unwrap());
        }
        let url = format!("http://{address}{}", access.path());
        let body = old_call(1, "t", serde_json::json!({})).to_string();
        let quoted = serde_json::to_string(&body).unwrap();
        *page.lock().unwrap() = PAGE.replace("URL", &url).replace("BODY", &quoted);
        let (bridge, _) = bridge(&server.url());
        let front = Front::new(listener, ServerLimits::default());
        let run = tokio::spawn(bridge.http(front, access, std::future::pending()));
        let wrote = browse(at).await;
        let seen = server.seen();
        if let_in {
            // The page succeeds if the bridge allows its origin, so the page itself works.
            assert!(wrote.contains("fetch: {") && wrote.contains("\"ok\""), "{wrote}");
            assert!(
                wrote.contains("simple: {") && wrote.contains("not application/json"),
                "{wrote}"
            );
            let calls = seen.iter().filter(|seen| seen.method == "POST").count();
            assert_eq!(calls, 1, "only what a page has to ask for first: {wrote}");
        } else {
            assert!(seen.is_empty(), "signed for a page: {seen:#?}\n{wrote}");
            assert!(
                wrote.contains("fetch: refused") && wrote.contains("delete: refused"),
                "{wrote}"
            );
            assert!(
                wrote.contains("simple: refused") && wrote.contains("events: refused"),
                "{wrote}"
            );
        }
        run.abort();
        pages.abort();
    }
}
