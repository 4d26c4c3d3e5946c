//! Tests of touches in a bridge: a person touches a security key once for each attempt, after
//! consent, in time, and only if the bridge's rules demand it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use mcpid::clock::SystemClock;
use mcpid::connect::consent::{
    BoxFuture, ConfirmPolicy, Consent, ConsentAnswer, ConsentQuestion, NoConsent,
};
use mcpid::connect::touch::{TouchPrompt, TouchQuestion, TouchWait};
use mcpid::connect::{Bridge, ConsentVia, LogSink, StdioEnd};
use mcpid::key::{PRESENCE_SIGNATURE_BYTES, SecurityKey, SignByTouch, SignError};
use mcpid::net::{DialRoute, Dialer, tls};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use rand::rngs::SysRng;
use serde_json::json;

use crate::client::{Client, Said, call, old_call, request};
use crate::server::{Reply, Server, key, touch_key};
use crate::sessions::{open, usual};

/// A security key whose touch the test gives or withholds.
struct TestKey {
    key: crate::software_key::SoftwareKey,
    asked: AtomicUsize,
    /// Whether the person touches the key when asked.
    touched: Mutex<bool>,
    changed: Condvar,
}

impl TestKey {
    fn touched(touched: bool) -> Arc<Self> {
        let (asked, changed) = (AtomicUsize::new(0), Condvar::new());
        Arc::new(TestKey { key: touch_key(), asked, touched: Mutex::new(touched), changed })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends the wait of each thread for a touch of a security key, so that the test need not wait
    /// for the threads.
    fn release(&self) {
        *self.touched.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl SignByTouch for TestKey {
    fn security_key(&self) -> &SecurityKey {
        self.key.security_key()
    }

    fn sign_by_touch(&self, message: &[u8]) -> Result<[u8; PRESENCE_SIGNATURE_BYTES], SignError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut touched = self.touched.lock().unwrap();
        while !*touched {
            touched = self.changed.wait(touched).unwrap();
        }
        Ok(self.key.sign(message))
    }
}

/// What the bridge shows to a person: the operation, the URL, and why another touch of a security
/// key is needed.
type Shown = (String, String, Option<String>);

/// A screen that records what the bridge shows on it.
#[derive(Default)]
struct Screen {
    shown: Mutex<Vec<Shown>>,
    ended: Mutex<Vec<bool>>,
    /// If set, the screen fails with this error, and shows nothing.
    broken: Option<NoConsent>,
}

impl Screen {
    fn shown(&self) -> Vec<Shown> {
        self.shown.lock().unwrap().clone()
    }
}

impl TouchPrompt for Screen {
    fn show<'a>(
        &'a self,
        question: &'a TouchQuestion,
    ) -> BoxFuture<'a, Result<TouchWait, NoConsent>> {
        Box::pin(async move {
            if let Some(why) = &self.broken {
                return Err(why.clone());
            }
            let request = question.request();
            let again = question.again().map(str::to_owned);
            let shown = (request.operation().to_string(), request.target().to_owned(), again);
            self.shown.lock().unwrap().push(shown);
            let page = question.shown(&Default::default()).text;
            assert!(page.contains("touched with the security key:"), "{page}");
            Ok(Box::pin(std::future::pending()) as TouchWait)
        })
    }

    fn ended(&self, outcome: Result<(), &NoConsent>) {
        self.ended.lock().unwrap().push(outcome.is_ok());
    }
}

fn rules(texts: &[&str]) -> ConfirmPolicy {
    let mut rules = ConfirmPolicy::default();
    texts.iter().for_each(|text| rules.add(text).unwrap());
    rules
}

/// Returns a bridge whose signatures are valid for `ttl` seconds, and that demands a touch of a
/// security key for the operations in `texts`.
fn bridge(
    server: &Server,
    ttl: i64,
    texts: &[&str],
    (key, screen): (&Arc<TestKey>, &Arc<Screen>),
) -> (Bridge, Said) {
    let signer = Signer::new(crate::server::key(), &Profile::mcp()).unwrap().with_ttl(Some(ttl));
    let roots = tls::client_without_roots().unwrap();
    let dialer = Dialer::new(roots, DialRoute::Direct, Duration::from_secs(60));
    let said = Said::default();
    let log = Arc::clone(&said);
    let log = LogSink::new(move |_, line| log.lock().unwrap().push(line.to_owned()));
    let (signer, clock) = (Arc::new(signer), Arc::new(SystemClock));
    let bridge = Bridge::new(&server.url(), dialer, signer, clock, SysRng).unwrap().with_log(log);
    let name = "my security key".to_owned();
    let (key, screen) = (Arc::clone(key) as _, Arc::clone(screen) as _);
    (bridge.with_touch(rules(texts), (key, name), screen), said)
}

fn client(server: &Server, texts: &[&str], both: (&Arc<TestKey>, &Arc<Screen>)) -> Client {
    Client::by(bridge(server, 30, texts, both))
}

fn why(answer: &serde_json::Value) -> &str {
    assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT, "{answer}");
    answer["error"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_touched_request_reaches_the_server_and_other_requests_need_no_touch() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = client(&server, &["tools/call:delete_*"], (&key, &screen));
    assert!(client.ask(&call(1, "get", json!({}))).await.get("result").is_some());
    assert_eq!(key.asked(), 0);
    assert!(client.ask(&call(2, "delete_db", json!({}))).await.get("result").is_some());
    let touched: Vec<bool> = server.seen().iter().map(|seen| seen.touched).collect();
    assert_eq!((touched, key.asked()), (vec![false, true], 1));
    let shown = screen.shown();
    assert_eq!(shown, [("tools/call:delete_db".to_owned(), server.url(), None)]);
    assert_eq!(*screen.ended.lock().unwrap(), [true]);
}

#[tokio::test]
async fn a_touch_that_does_not_come_in_time_is_a_no() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let (key, screen) = (TestKey::touched(false), Arc::new(Screen::default()));
    // Of the eleven seconds for which a signature is valid, ten are reserved for sending, so one is
    // left for the touch.
    let mut client = Client::by(bridge(&server, 11, &["tools/call:*"], (&key, &screen)));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert_eq!(why(&answer), "not sent: tools/call:t was not touched: no touch within 1 s");
    assert_eq!(*screen.ended.lock().unwrap(), [false]);
    // The touch comes now, and is for a request that the bridge has given up.
    key.release();
    assert!(client.ask(&call(2, "t", json!({}))).await.get("result").is_some());
    let ids: Vec<_> = server.seen().iter().map(|seen| seen.body["id"].clone()).collect();
    assert_eq!((ids, key.asked()), (vec![json!(2)], 2));
}

#[tokio::test]
async fn a_life_of_ten_seconds_leaves_no_time_for_a_touch() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = Client::by(bridge(&server, 10, &["tools/call:*"], (&key, &screen)));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert!(why(&answer).contains("no touch within 0 s"), "{answer}");
    // The key would answer at once, so it must not be asked.
    assert_eq!((key.asked(), screen.shown(), server.seen().len()), (0, vec![], 0));
}

#[tokio::test]
async fn a_request_that_cannot_be_shown_is_not_sent_and_the_key_is_not_asked() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let broken = Some(NoConsent::NoWay("there is no terminal".to_owned()));
    let (key, screen) = (TestKey::touched(true), Screen { broken, ..Screen::default() });
    let mut client = client(&server, &["tools/call:*"], (&key, &Arc::new(screen)));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert!(why(&answer).contains("there is no way to ask: there is no terminal"), "{answer}");
    assert_eq!((key.asked(), server.seen().len()), (0, 0));
}

#[tokio::test]
async fn each_further_attempt_needs_another_touch_and_says_why() {
    let tried = AtomicUsize::new(0);
    let server =
        Server::start(move |seen| match (&*seen.path, tried.fetch_add(1, Ordering::SeqCst)) {
            ("/mcp", 0) => Reply::status(503).with("retry-after", "0"),
            ("/mcp", _) => Reply::status(307).with("location", "/other"),
            _ => Reply::json(seen.text("ok")),
        })
        .await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = client(&server, &["tools/call:*"], (&key, &screen));
    assert!(client.ask(&call(1, "t", json!({}))).await.get("result").is_some());
    assert_eq!(key.asked(), 3);
    assert!(server.seen().iter().all(|seen| seen.touched));
    let shown = screen.shown();
    let again: Vec<&str> = shown.iter().map(|(.., again)| again.as_deref().unwrap_or("")).collect();
    assert!(
        again[0].is_empty() && again[1].contains("503") && again[2].contains("307"),
        "{again:?}"
    );
    // The bridge shows the URL to which it sends the touched request.
    assert!(shown[2].1.ends_with("/other"), "{shown:?}");
}

#[tokio::test]
async fn other_header_fields_and_a_lost_session_need_another_touch() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list" => Reply::json(seen.result(json!({ "tools": [{
            "name": "sql",
            "inputSchema": { "type": "object", "properties": {
                "region": { "type": "string", "x-mcp-header": "Zone" } } },
        }] }))),
        _ if seen.header("mcp-param-zone").is_none() => Reply::error(400, seen, -32020, "x"),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = client(&server, &["tools/call:*"], (&key, &screen));
    let answer = client.ask(&call(1, "sql", json!({ "region": "us" }))).await;
    assert!(answer.get("result").is_some(), "{answer}");
    let again: Vec<_> = screen.shown().into_iter().map(|(.., again)| again).collect();
    assert_eq!(again, [None, Some("the server wants other header fields".to_owned())]);

    let lost = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.rpc() {
        "tools/call" if lost.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(404),
        _ => usual(seen),
    })
    .await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = self::client(&server, &["tools/call:*"], (&key, &screen));
    open(&mut client).await;
    let answer = client.ask(&old_call(1, "t", json!({}))).await;
    assert!(answer.get("result").is_some(), "{answer}");
    let again: Vec<_> = screen.shown().into_iter().map(|(.., again)| again).collect();
    assert_eq!(again.len(), 2);
    assert!(again[1].as_ref().unwrap().contains("session"), "{again:?}");
}

#[tokio::test]
async fn a_server_that_wants_a_touch_starts_none() {
    let server = Server::start(|seen| Reply::error(403, seen, -31401, "touch_required")).await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = client(&server, &["tools/call:delete_*"], (&key, &screen));
    let answer = client.ask(&call(1, "get", json!({}))).await;
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("mcpid connect --touch"), "{message}");
    // If the server refuses a touched request, the bridge does not ask for another touch of a
    // security key.
    client.ask(&call(2, "delete_db", json!({}))).await;
    assert_eq!((key.asked(), server.seen().len()), (1, 2));
}

/// A person who agrees, and records how often a touch of a security key had been asked for by then.
struct Agrees(Arc<TestKey>, Mutex<Vec<usize>>);

impl Consent for Agrees {
    fn ask<'a>(&'a self, _: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
        self.1.lock().unwrap().push(self.0.asked());
        Box::pin(async { ConsentAnswer::Yes })
    }
}

#[tokio::test]
async fn a_touch_comes_after_consent_and_never_without_it() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let person = Arc::new(Agrees(Arc::clone(&key), Mutex::default()));
    let (bridge, said) = bridge(&server, 30, &["tools/call:*"], (&key, &screen));
    let via = ConsentVia::Person(Arc::clone(&person) as _);
    let mut client = Client::by((bridge.with_consent(rules(&["tools/call:*"]), via), said));
    assert!(client.ask(&call(1, "t", json!({}))).await.get("result").is_some());
    assert_eq!((person.1.lock().unwrap().clone(), key.asked()), (vec![0], 1));

    let (bridge, said) = self::bridge(&server, 30, &["tools/call:*"], (&key, &screen));
    let bridge = bridge.with_consent(rules(&["tools/call:*"]), ConsentVia::None);
    let mut client = Client::by((bridge, said));
    assert!(why(&client.ask(&call(2, "t", json!({}))).await).contains("not agreed to"));
    assert_eq!(key.asked(), 1, "the key is not asked without consent");
}

#[tokio::test]
async fn a_bridge_that_is_stopped_or_told_to_cancel_ends_the_wait_at_once() {
    let server = Server::start(usual).await;
    let (key, screen) = (TestKey::touched(false), Arc::new(Screen::default()));
    let mut client = client(&server, &["tools/call:*"], (&key, &screen));
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    while key.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    client.send(&old_call(2, "t", json!({}))).await;
    while key.asked() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    client.stop();
    let (left, ended) = client.rest().await;
    assert_eq!(ended, StdioEnd::Stopped);
    assert!(begun.elapsed() < Duration::from_secs(60));
    let withdrawn: Vec<_> = left.iter().filter(|line| line["id"] == 2).collect();
    assert_eq!(withdrawn.len(), 1, "{left:?}");
    assert_eq!(withdrawn[0]["error"]["data"]["reason"], "withdrawn");
    key.release();
    assert!(server.of("tools/call").is_empty());
}

#[tokio::test]
async fn destructive_is_the_servers_word_and_the_rules_hold_for_the_bridges_own_requests_too() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list" => Reply::json(seen.result(json!({ "tools": [
            { "name": "get", "annotations": { "readOnlyHint": true } } ] }))),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = client(&server, &["destructive"], (&key, &screen));
    client.ask(&call(1, "get", json!({}))).await;
    client.ask(&request(2, "tools/list")).await;
    client.ask(&call(3, "get", json!({}))).await;
    client.ask(&call(4, "drop", json!({}))).await;
    let shown: Vec<_> = screen.shown().into_iter().map(|(operation, ..)| operation).collect();
    assert_eq!(shown, ["tools/call:get", "tools/call:drop"]);

    // At the end of a session, the bridge does not send a DELETE that needs a touch of a security
    // key.
    let server = Server::start(usual).await;
    let (key, screen) = (TestKey::touched(true), Arc::new(Screen::default()));
    let mut client = self::client(&server, &["@delete"], (&key, &screen));
    open(&mut client).await;
    client.end().await;
    assert!(key.asked() == 0 && server.seen().iter().all(|seen| seen.method != "DELETE"));
}

#[test]
fn the_test_keys_differ() {
    use mcpid::key::Sign as _;
    assert_ne!(key().public().id(), touch_key().security_key().public().id());
}
