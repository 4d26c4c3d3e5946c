//! Tests of consent through a client of revision 2026-07-28: the bridge answers the call with a
//! question, and the client sends the call again with the person's answer.

use std::time::Duration;

use mcpid::connect::ConsentVia;
use mcpid::connect::consent::ConfirmPolicy;
use serde_json::{Value, json};

use crate::client::{Client, bridge, call};
use crate::server::{Piece, Reply, Server};

const RULES: &[&str] = &["tools/call:delete_*", "prompts/get", "completion/complete"];

fn client_for(server: &Server, patience: Duration) -> Client {
    let (bridge, said) = bridge(&server.url());
    let mut confirm = ConfirmPolicy::default();
    RULES.iter().for_each(|rule| confirm.add(rule).unwrap());
    Client::by((bridge.with_consent(confirm, ConsentVia::Client(patience)), said))
}

fn client(server: &Server) -> Client {
    client_for(server, Duration::from_secs(300))
}

async fn server() -> Server {
    Server::start(|seen| Reply::json(seen.text("ok"))).await
}

/// Returns a tool call of a client that can show a form.
fn asking(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    let mut call = call(id, tool, arguments);
    call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({ "elicitation": { "form": {} } });
    call
}

/// Returns the question in an answer: its `requestState`, and the text for the person.
fn question(answer: &Value) -> (String, String) {
    let result = &answer["result"];
    assert_eq!(result["resultType"], "input_required", "{answer}");
    let state = result["requestState"].as_str().unwrap();
    let wanted = result["inputRequests"].as_object().unwrap();
    assert_eq!(wanted.len(), 1, "{answer}");
    let wanted = &wanted[state];
    assert_eq!(wanted["method"], "elicitation/create");
    assert_eq!(wanted["params"]["requestedSchema"]["properties"]["approve"]["type"], "boolean");
    (state.to_owned(), wanted["params"]["message"].as_str().unwrap().to_owned())
}

/// Returns `call` as an SDK sends it again: with another id, with the state, and with the person's
/// answer.
fn with_answer(call: &Value, id: impl Into<Value>, state: &str, result: Value) -> Value {
    let mut call = call.clone();
    call["id"] = id.into();
    call["params"]["requestState"] = state.into();
    call["params"]["inputResponses"] = json!({ state: result });
    call
}

fn yes() -> Value {
    json!({ "action": "accept", "content": { "approve": true } })
}

fn declined(answer: &Value, words: &str) {
    assert_eq!(answer["error"]["code"], mcpid::connect::NOT_SENT, "{answer}");
    assert_eq!(answer["error"]["data"]["reason"], "declined", "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn a_yes_sends_the_shown_request_byte_for_byte() {
    let server = server().await;
    let mut client = client(&server);
    let call = asking(1, "delete_all", json!({ "of": "b\u{202e}ob", "n": 1e3 }));
    let (state, shown) = question(&client.ask(&call).await);
    assert!(shown.contains("delete_all") && shown.contains("\\u{202e}"), "{shown}");
    assert!(server.seen().is_empty(), "nothing is signed before the yes");
    let answer = client.ask(&with_answer(&call, "second", &state, yes())).await;
    assert_eq!(answer["id"], "second", "by the id that the client waits for");
    assert_eq!(answer["result"]["content"][0]["text"], "ok");
    let seen = server.seen();
    assert_eq!((seen.len(), &*seen[0].raw), (1, call.to_string().as_bytes()));
    assert_eq!(seen[0].header("mcp-name"), Some("delete_all"));
    // The bridge sends a call that needs no consent at once, whether or not the client can show a
    // form.
    let other = asking(2, "get", json!({}));
    assert!(client.ask(&other).await.get("result").is_some());
    assert_eq!(&*server.seen()[1].raw, other.to_string().as_bytes());
}

#[tokio::test]
async fn only_an_express_yes_is_consent() {
    let server = server().await;
    let mut client = client(&server);
    let call = asking(1, "delete_all", json!({}));
    for result in [
        json!({ "action": "decline" }),
        json!({ "action": "cancel" }),
        json!({ "action": "accept" }),
        json!({ "action": "accept", "content": { "approve": false } }),
        json!({ "action": "accept", "content": { "approve": "true" } }),
        json!({ "action": "accept", "content": {} }),
        json!({ "action": "Accept", "content": { "approve": true } }),
        json!({}),
        json!([]),
        json!(null),
        json!("accept"),
    ] {
        let (state, _) = question(&client.ask(&call).await);
        declined(&client.ask(&with_answer(&call, 2, &state, result)).await, "not agreed to");
        // After a no, the client cannot send a yes.
        declined(&client.ask(&with_answer(&call, 3, &state, yes())).await, "not open any more");
    }
    let (state, _) = question(&client.ask(&call).await);
    let mut silent = with_answer(&call, 2, &state, yes());
    silent["params"]["inputResponses"] = json!({ "other": yes() });
    declined(&client.ask(&silent).await, "there is no answer");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_yes_is_valid_once_and_for_the_shown_call_only() {
    let server = server().await;
    let mut client = client(&server);
    let call = asking(1, "delete_all", json!({ "of": "bob" }));
    let changes: &[fn(&mut Value)] = &[
        |call| call["params"]["arguments"]["of"] = json!("alice"),
        |call| call["params"]["arguments"]["more"] = json!(1),
        |call| call["params"]["name"] = json!("delete_none"),
        |call| call["params"]["extra"] = json!(1),
        |call| call["extra"] = json!(1),
        |call| call["method"] = json!("prompts/get"),
        |call| {
            call["params"].as_object_mut().unwrap().remove("arguments");
        },
    ];
    for change in changes {
        let (state, _) = question(&client.ask(&call).await);
        let mut other = with_answer(&call, 2, &state, yes());
        change(&mut other);
        declined(&client.ask(&other).await, "not the request that was asked about");
    }
    assert!(server.seen().is_empty());
    let (state, _) = question(&client.ask(&call).await);
    assert!(client.ask(&with_answer(&call, 2, &state, yes())).await.get("result").is_some());
    declined(&client.ask(&with_answer(&call, 3, &state, yes())).await, "not open any more");
    // The bridge refuses a state that the client made up.
    declined(
        &client.ask(&with_answer(&call, 4, "mcpid-consent-x", yes())).await,
        "not open any more",
    );
    // This state is the server's own, and not that of a question of the bridge, so the person is
    // asked as usual.
    question(&client.ask(&with_answer(&call, 5, "other", yes())).await);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_unanswered_question_counts_as_no_and_old_questions_are_dropped() {
    let server = server().await;
    let mut client = client_for(&server, Duration::from_secs(1));
    let call = asking(1, "delete_all", json!({}));
    let (state, _) = question(&client.ask(&call).await);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    declined(&client.ask(&with_answer(&call, 2, &state, yes())).await, "not open any more");
    // All questions are asked before the first one is too old.
    let mut client = client_for(&server, Duration::from_secs(12));
    let mut last = Value::Null;
    for id in 0..33 {
        last = client.ask(&asking(id, "delete_all", json!({}))).await;
    }
    declined(&last, "32 questions wait already");
    tokio::time::sleep(Duration::from_millis(12_200)).await;
    question(&client.ask(&call).await);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_client_without_forms_learns_the_other_ways_to_ask() {
    let server = server().await;
    let mut client = client(&server);
    for capabilities in [json!({}), json!({ "elicitation": { "url": {} } }), json!([]), json!(null)]
    {
        let mut call = call(1, "delete_all", json!({}));
        call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
        let answer = client.ask(&call).await;
        declined(&answer, "a terminal or an askpass program can");
        declined(&answer, "did not say that it can put a form");
    }
    let mut other = asking(2, "", json!({}));
    other["method"] = "completion/complete".into();
    other["params"].as_object_mut().unwrap().remove("name");
    let answer = client.ask(&other).await;
    declined(&answer, "only be asked about tools/call, prompts/get and resources/read");
    declined(&answer, "a terminal or an askpass program can");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn the_servers_own_rounds_and_its_progress_go_on() {
    let server = Server::start(|seen| {
        if seen.body["params"].get("requestState").is_none() {
            let wanted = json!({ "ask": { "method": "elicitation/create", "params": {} } });
            return Reply::json(seen.result(json!({
                "resultType": "input_required",
                "inputRequests": wanted,
                "requestState": "theirs",
            })));
        }
        let token = &seen.body["params"]["_meta"]["progressToken"];
        let progress = |token: &Value| {
            json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                    "params": { "progress": 1, "progressToken": token, "message": "größe" } })
        };
        Reply::sse()
            .event(&progress(token))
            .event(&progress(&json!("another's")))
            .piece(Piece::Wait(Duration::from_millis(20)))
            .event(&seen.text("done"))
    })
    .await;
    let mut client = client(&server);
    let token = |mut call: Value, token: Value| {
        call["params"]["_meta"]["progressToken"] = token;
        call
    };
    let call = asking(1, "delete_all", json!({}));
    let first = token(call.clone(), json!(1));
    let (state, _) = question(&client.ask(&first).await);
    // After the person has agreed, the server asks the client a question of its own.
    let theirs = client.ask(&token(with_answer(&call, 2, &state, yes()), json!(2))).await;
    assert_eq!((&theirs["id"], &theirs["result"]["requestState"]), (&json!(2), &json!("theirs")));
    let mut answered = token(call.clone(), json!(3));
    answered["id"] = json!(3);
    answered["params"]["requestState"] = json!("theirs");
    answered["params"]["inputResponses"] = json!({ "ask": { "action": "decline" } });
    let (state, shown) = question(&client.ask(&answered).await);
    assert!(shown.contains("theirs"), "all that is signed is shown: {shown}");
    // An SDK sends each answer with the parameters of the first call, and not with those of the
    // last.
    client.send(&token(with_answer(&call, "4", &state, yes()), json!("four"))).await;
    let told = client.receive().await;
    assert_eq!(told["params"]["progressToken"], "four", "{told}");
    assert_eq!(client.receive().await["params"]["progressToken"], "another's");
    let done = client.receive().await;
    assert_eq!((&done["id"], &done["result"]["content"][0]["text"]), (&json!("4"), &json!("done")));
    assert_eq!(&*server.seen()[1].raw, answered.to_string().as_bytes());
}

#[tokio::test]
async fn an_error_of_the_server_has_the_id_that_is_waited_for() {
    for status in [200, 400] {
        let server = Server::start(move |seen| Reply::error(status, seen, -32602, "x")).await;
        let mut client = client(&server);
        let call = asking("a", "delete_all", json!({}));
        let (state, _) = question(&client.ask(&call).await);
        let answer = client.ask(&with_answer(&call, "b", &state, yes())).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("b"), &json!(-32602)));
    }
}
