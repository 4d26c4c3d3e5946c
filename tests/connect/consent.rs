//! Tests of consent: a person is asked before the bridge signs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcpid::clock::SystemClock;
use mcpid::connect::consent::{
    BoxFuture, ConfirmPolicy, Consent, ConsentAnswer, ConsentQuestion, NoConsent,
};
use mcpid::connect::{Bridge, ConsentVia};
use mcpid::key::{PublicKey, SecretKey, Sign, SignError};
use mcpid::net::{DialRoute, Dialer, tls};
use mcpid::profile::Profile;
use mcpid::sign::Signer;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::client::{Client, bridge, call, old_call, request};
use crate::server::{Piece, Reply, Server};
use crate::sessions::{initialize, initialized, open, usual};

/// A simulated person who gives prepared answers, and records the questions.
struct Person {
    answers: Mutex<Vec<ConsentAnswer>>,
    shown: Mutex<Vec<(String, Option<String>)>>,
    waits: Duration,
    /// If there is a gate, the person answers only when the test closes this semaphore.
    gate: Option<Arc<Semaphore>>,
}

impl Person {
    fn new(answers: impl IntoIterator<Item = ConsentAnswer>) -> Arc<Self> {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Arc::new(Person {
            answers: Mutex::new(answers),
            shown: Mutex::default(),
            waits: Duration::ZERO,
            gate: None,
        })
    }

    fn shown(&self) -> Vec<(String, Option<String>)> {
        self.shown.lock().unwrap().clone()
    }
}

impl Consent for Person {
    fn ask<'a>(&'a self, asked: &'a ConsentQuestion) -> BoxFuture<'a, ConsentAnswer> {
        Box::pin(async move {
            let arguments = asked.arguments().map(str::to_owned);
            self.shown.lock().unwrap().push((asked.operation().to_string(), arguments));
            tokio::time::sleep(self.waits).await;
            if let Some(gate) = &self.gate {
                drop(gate.acquire().await);
            }
            self.answers.lock().unwrap().pop().unwrap()
        })
    }
}

fn confirm(rules: &[&str]) -> ConfirmPolicy {
    let mut confirm = ConfirmPolicy::default();
    rules.iter().for_each(|rule| confirm.add(rule).unwrap());
    confirm
}

fn client(server: &Server, rules: &[&str], asking: ConsentVia) -> Client {
    let (bridge, said) = bridge(&server.url());
    Client::by((bridge.with_consent(confirm(rules), asking), said))
}

#[tokio::test]
async fn a_request_is_sent_after_a_yes_and_not_after_a_no_and_other_requests_need_no_consent() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let no = ConsentAnswer::No(NoConsent::TimedOut(Duration::from_secs(3)));
    let person = Person::new([ConsentAnswer::Yes, ConsentAnswer::No(NoConsent::Declined), no]);
    let mut client =
        client(&server, &["tools/call:delete_*"], ConsentVia::Person(Arc::clone(&person) as _));
    assert!(
        client.ask(&call(1, "delete_all", json!({ "of": "bob" }))).await.get("result").is_some()
    );
    for (id, words) in [(2, "declined"), (3, "no answer within 3 s")] {
        let answer = client.ask(&call(id, "delete_all", json!({}))).await;
        assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT);
        assert_eq!(answer["error"]["data"]["reason"], "declined");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains("tools/call:delete_all") && message.contains(words), "{message}");
    }
    assert!(client.ask(&call(4, "get", json!({}))).await.get("result").is_some());
    assert_eq!(person.shown().len(), 3);
    assert_eq!(person.shown()[0].1.as_deref(), Some(r#"{"of":"bob"}"#));
    assert_eq!(server.seen().len(), 2, "what was declined was never sent");
}

#[tokio::test]
async fn a_request_without_a_way_to_ask_is_refused() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let mut client = client(&server, &["tools/call:*"], ConsentVia::None);
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("no way to ask"), "{answer}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn tools_that_the_server_does_not_call_harmless_need_consent() {
    let server = Server::start(|seen| match seen.rpc() {
        "tools/list" => Reply::sse().event(&seen.result(json!({ "tools": [
            { "name": "get", "annotations": { "readOnlyHint": true } },
            { "name": "drop", "annotations": { "destructiveHint": true } },
        ] }))),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let person = Person::new([ConsentAnswer::Yes, ConsentAnswer::No(NoConsent::Declined)]);
    let mut client =
        client(&server, &["destructive"], ConsentVia::Person(Arc::clone(&person) as _));
    client.ask(&call(1, "get", json!({}))).await;
    client.ask(&request(2, "tools/list")).await;
    client.ask(&call(3, "get", json!({}))).await;
    assert!(client.ask(&call(4, "drop", json!({}))).await.get("error").is_some());
    let asked: Vec<_> = person.shown().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(asked, ["tools/call:get", "tools/call:drop"]);
}

#[tokio::test]
async fn the_signature_is_made_after_the_yes() {
    // A signature made before the wait could still be valid after it, so the test compares the
    // times.
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let mut person = Person::new([ConsentAnswer::Yes]);
    Arc::get_mut(&mut person).unwrap().waits = Duration::from_millis(2100);
    let mut client = client(&server, &["tools/call:*"], ConsentVia::Person(person));
    let begun = mcpid::clock::Clock::now(&mcpid::clock::SystemClock).unix();
    client.ask(&call(1, "t", json!({}))).await;
    let input = server.seen()[0].header("signature-input").unwrap().to_owned();
    let created = input.split("created=").nth(1).unwrap();
    let created: i64 = created.split(';').next().unwrap().parse().unwrap();
    assert!(created - begun >= 2, "created {created}, asked {begun}");
}

#[tokio::test]
async fn a_cancelled_question_is_withdrawn_and_nothing_is_sent() {
    let server = Server::start(usual).await;
    let mut person = Person::new([ConsentAnswer::Yes]);
    let gate = Arc::new(Semaphore::new(0));
    Arc::get_mut(&mut person).unwrap().gate = Some(Arc::clone(&gate));
    let mut client =
        client(&server, &["tools/call:*"], ConsentVia::Person(Arc::clone(&person) as _));
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    while person.shown().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    // When the bridge answers the next request, it has read the cancellation.
    let mut next = old_call(2, "", json!({}));
    next["method"] = json!("ping");
    assert_eq!(client.ask(&next).await["id"], 2);
    gate.close();
    client.silence().await;
    assert!(server.of("tools/call").is_empty() && server.of("notifications/cancelled").is_empty());
    client.end().await;
}

#[tokio::test]
async fn at_most_32_questions_wait() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let mut person = Person::new((0..33).map(|_| ConsentAnswer::Yes));
    let gate = Arc::new(Semaphore::new(0));
    Arc::get_mut(&mut person).unwrap().gate = Some(Arc::clone(&gate));
    let asking = ConsentVia::Person(Arc::clone(&person) as _);
    let mut client = client(&server, &["tools/call:*"], asking);
    for id in 0..40 {
        client.send(&call(id, "t", json!({}))).await;
    }
    let mut refused = 0;
    for n in 0..40 {
        let answer = client.receive().await;
        let why = answer["error"]["message"].as_str().unwrap_or_default();
        refused += usize::from(why.contains("32 questions wait already"));
        if n == 7 {
            // The requests that are refused without a question are answered first.
            gate.close();
        }
    }
    assert_eq!((refused, person.shown().len(), server.seen().len()), (8, 32, 32));
    assert!(client.ask(&call(41, "t", json!({}))).await.get("result").is_some());
}

#[tokio::test]
async fn a_server_cannot_answer_the_consent_question() {
    let asked = Arc::new(Semaphore::new(0));
    let is_asked = Arc::clone(&asked);
    let server = Server::start(move |seen| match (&*seen.method, seen.rpc()) {
        ("GET", _) => Reply::sse()
            .piece(Piece::Until(Arc::clone(&is_asked)))
            .event(&json!({ "jsonrpc": "2.0", "id": 1, "result": { "forged": true } }))
            .piece(Piece::Hang),
        (_, "tools/call") => Reply::json(seen.text("ok")),
        _ => usual(seen),
    })
    .await;
    let mut person = Person::new([ConsentAnswer::Yes]);
    let gate = Arc::new(Semaphore::new(0));
    Arc::get_mut(&mut person).unwrap().gate = Some(Arc::clone(&gate));
    let mut client =
        client(&server, &["tools/call:*"], ConsentVia::Person(Arc::clone(&person) as _));
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    while person.shown().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    asked.close();
    while !client.said().iter().any(|line| line.contains("a request that does not wait")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gate.close();
    let answer = client.receive().await;
    assert_eq!(answer["result"]["content"][0]["text"], "ok", "{answer}");
}

#[tokio::test]
async fn a_yes_is_for_the_target_that_was_shown() {
    let server = Server::start(|seen| match &*seen.path {
        "/mcp" => Reply::status(307).with("location", "/other"),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let person = Person::new([ConsentAnswer::Yes]);
    let mut client = client(&server, &["tools/call:*"], ConsentVia::Person(person));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert_eq!(answer["error"]["data"]["reason"], "redirected", "{answer}");
    assert_eq!(server.seen().len(), 1);
}

/// Sends this answer to the question of the bridge, and returns the result of the request.
async fn answered(client: &mut Client, result: Value) -> Value {
    client.send(&old_call(1, "delete_all", json!({ "of": "b\u{202e}ob" }))).await;
    let question = client.receive().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let shown = question["params"]["message"].as_str().unwrap();
    assert!(shown.contains("delete_all") && shown.contains("\\u{202e}"), "{shown}");
    assert_eq!(question["params"]["requestedSchema"]["properties"]["approve"]["type"], "boolean");
    client.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })).await;
    client.receive().await
}

#[tokio::test]
async fn the_client_is_asked_if_the_flags_choose_it() {
    let server = Server::start(usual).await;
    let ask = || ConsentVia::Client(Duration::from_secs(60));
    let mut client = client(&server, &["tools/call:delete_*"], ask());
    open(&mut client).await;
    let yes = json!({ "action": "accept", "content": { "approve": true } });
    assert!(answered(&mut client, yes).await.get("result").is_some());
    for result in [
        json!({ "action": "decline" }),
        json!({ "action": "cancel" }),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "approve": false } }),
        json!({ "action": "accept", "content": { "approve": "true" } }),
        json!({ "action": "accept", "content": {} }),
        json!({ "action": "Accept", "content": { "approve": true } }),
        json!({}),
    ] {
        let answer = answered(&mut client, result.clone()).await;
        assert_eq!(answer["error"]["data"]["reason"], "declined", "{result}: {answer}");
    }
    client.end().await;
    assert_eq!(server.of("tools/call").len(), 1);
    let answers = server.seen().iter().filter(|seen| seen.body.get("result").is_some()).count();
    assert_eq!(answers, 0, "the server never hears of the questions");
}

#[tokio::test]
async fn a_client_without_elicitation_cannot_be_asked_for_consent() {
    let server = Server::start(usual).await;
    for capabilities in [json!({}), json!({ "elicitation": { "url": {} } })] {
        let mut client =
            client(&server, &["tools/call:*"], ConsentVia::Client(Duration::from_secs(60)));
        let mut initialize = initialize();
        initialize["params"]["capabilities"] = capabilities;
        client.ask(&initialize).await;
        client.send(&initialized()).await;
        let answer = client.ask(&old_call(1, "t", json!({}))).await;
        assert!(answer["error"]["message"].as_str().unwrap().contains("no way to ask"), "{answer}");
        client.end().await;
    }
    // A client of revision 2026-07-28 cannot be asked, so its request is refused.
    let mut client =
        client(&server, &["tools/call:*"], ConsentVia::Client(Duration::from_secs(60)));
    let answer = client.ask(&call(1, "t", json!({}))).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("no way to ask"), "{answer}");
    assert!(server.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_question_without_an_answer_is_withdrawn() {
    let server = Server::start(usual).await;
    let mut client =
        client(&server, &["tools/call:*"], ConsentVia::Client(Duration::from_millis(1200)));
    open(&mut client).await;
    client.send(&old_call(1, "t", json!({}))).await;
    let question = client.receive().await;
    let taken_back = client.receive().await;
    assert_eq!(taken_back["method"], "notifications/cancelled");
    assert_eq!(taken_back["params"]["requestId"], question["id"]);
    let answer = client.receive().await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("no answer within"), "{answer}");
    // The person's answer is too late. The bridge does not pass it on to the server.
    client.send(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept", "content": { "approve": true } } })).await;
    client.end().await;
    assert!(server.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_request_that_waits_for_consent_at_the_end_was_not_sent() {
    for is_stopped in [true, false] {
        let server = Server::start(usual).await;
        let mut person = Person::new([ConsentAnswer::Yes]);
        Arc::get_mut(&mut person).unwrap().waits = Duration::from_secs(60);
        let (bridge, said) = bridge(&server.url());
        let bridge = bridge
            .with_consent(confirm(&["tools/call:*"]), ConsentVia::Person(Arc::clone(&person) as _))
            .with_drain(Duration::from_millis(300));
        let mut client = Client::by((bridge, said));
        client.send(&call(1, "t", json!({}))).await;
        while person.shown().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if is_stopped {
            client.stop();
        } else {
            client.close_input();
        }
        let (left, _) = client.rest().await;
        let error = &left[0]["error"];
        assert_eq!((left.len(), &left[0]["id"]), (1, &json!(1)));
        assert_eq!(error["code"], mcpid::connect::NOT_SENT, "{error}");
        assert_eq!(error["data"]["reason"], "withdrawn");
        let why = if is_stopped { "mcpid was told to stop" } else { "the client closed its end" };
        assert_eq!(error["message"], format!("not sent: {why}"));
        assert!(server.of("tools/call").is_empty());
    }
}

/// A key that needs eight seconds for a signature, like an agent that asks a person.
struct SlowKey(SecretKey, Arc<AtomicBool>);

impl Sign for SlowKey {
    fn public(&self) -> &PublicKey {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        self.1.store(true, Ordering::SeqCst);
        std::thread::sleep(Duration::from_secs(8));
        self.0.sign(message)
    }
}

#[tokio::test]
async fn a_request_that_is_being_signed_at_the_end_was_not_sent() {
    let server = Server::start(usual).await;
    let is_signing = Arc::new(AtomicBool::new(false));
    let key = Arc::new(SlowKey(SecretKey::from_seed(&[7; 32]), Arc::clone(&is_signing)));
    let signer = Arc::new(Signer::new(key, &Profile::mcp()).unwrap());
    let roots = tls::client_without_roots().unwrap();
    let dialer = Dialer::new(roots, DialRoute::Direct, Duration::from_secs(60));
    let clock = Arc::new(SystemClock);
    let bridge = Bridge::new(&server.url(), dialer, signer, clock, SysRng).unwrap();
    let mut client = Client::by((bridge.with_slow_key(), Default::default()));
    client.send(&call(1, "t", json!({}))).await;
    while !is_signing.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.stop();
    let (left, _) = client.rest().await;
    assert_eq!(left[0]["error"]["code"], mcpid::connect::NOT_SENT, "{left:?}");
    assert!(server.seen().is_empty());
}
