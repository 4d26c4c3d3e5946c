//! Tests of the limit on all answers that the bridge holds at once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Client, bridge, call};
use crate::server::{Reply, Seen, Server};

const ANSWERS: usize = 8;

/// Returns an answer of 400 KiB: as JSON, as JSON with its length announced, or as an event stream.
fn long(seen: &Seen, way: usize) -> Reply {
    let text = seen.text(&"x".repeat(400 << 10));
    match way {
        0 => Reply::json(text),
        1 => Reply::json(text.clone()).with("content-length", text.to_string().len().to_string()),
        _ => Reply::sse().event(&text),
    }
}

/// Returns a client that has sent all requests, and whose bridge has room for one or two of these
/// answers.
async fn client(server: &Server, silence: u64) -> Client {
    let (bridge, said) = bridge(&server.url());
    let bridge = bridge.with_max_answer(500 << 10).with_max_held(1 << 20);
    let mut client = Client::by((bridge.with_silence(Some(Duration::from_secs(silence))), said));
    for id in 0..ANSWERS {
        client.send(&call(id, "t", json!({}))).await;
    }
    server.until(|seen| seen.len() == ANSWERS).await;
    client
}

async fn answers(client: &mut Client) -> (usize, Vec<Value>) {
    let (mut good, mut bad) = (0, Vec::new());
    for _ in 0..ANSWERS {
        let mut answer = client.receive().await;
        match answer.get("result") {
            Some(result) => {
                assert_eq!(result["content"][0]["text"].as_str().unwrap().len(), 400 << 10);
                good += 1;
            }
            None => bad.push(answer["error"].take()),
        }
    }
    (good, bad)
}

#[tokio::test]
async fn answers_that_are_not_read_wait_at_the_server_and_none_is_lost() {
    for way in 0..3 {
        let server = Server::start(move |seen| long(seen, way)).await;
        let mut client = client(&server, 60).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (good, bad) = answers(&mut client).await;
        assert_eq!((good, bad), (ANSWERS, Vec::new()), "way {way}");
    }
}

#[tokio::test]
async fn answers_without_room_are_reported() {
    for way in 0..3 {
        let server = Server::start(move |seen| long(seen, way)).await;
        let mut client = client(&server, 8).await;
        tokio::time::sleep(Duration::from_millis(11_500)).await;
        let (good, bad) = answers(&mut client).await;
        // Two answers fit into the budget. A third may begin while the first is being written to
        // the pipe.
        assert!((1..=3).contains(&good), "way {way}: {good}");
        for error in bad {
            assert_eq!(error["data"]["reason"], "no_room", "{error}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains("1048576 bytes"), "{message}");
            assert!(message.contains("may have carried out the request"), "{message}");
        }
        // After the errors, the budget is free again.
        let answer = client.ask(&call("next", "t", json!({}))).await;
        assert!(answer.get("result").is_some(), "way {way}");
    }
}
