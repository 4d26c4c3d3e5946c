//! The attacks on a touch that every front has to refuse, against the gateway and an authorizer.

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::message::{Head, RequestTarget};
use mcpid::tower::{LearningModes, Modes};
use serde_json::json;

use crate::authz::{envoy, told, whole};
use crate::servers::{CALL, Reply, TestGateway, TestUpstream, Wire};
use crate::touch_attacks::{ATTACKS, Attack, Draft, Judged};
use crate::touches::{rules, start_gateway, trusting};

/// Lets the server trust what the attack supposes, and returns its request.
fn attacked(server: &TestGateway, attack: fn(&Draft) -> Attack) -> (Wire, Judged) {
    let wire = server.plain(CALL);
    let mut head = Head::new("POST", RequestTarget::from_url(server.url("/mcp")).unwrap()).unwrap();
    for (name, value) in &wire.fields {
        head.push(name.clone(), value.as_bytes().to_vec()).unwrap();
    }
    let attack = attack(&Draft { head, body: wire.body.clone(), now: SystemClock.now() });
    trusting(server, json!({"keys": attack.trust}).to_string().as_bytes());
    let add = |wire: Wire, (name, value): (&str, String)| wire.with(name, &value);
    (attack.fields(&wire.body.clone()).into_iter().fold(wire, add), attack.judged)
}

fn is_refused(what: &str, reply: &Reply, public: &str) {
    assert_eq!((reply.status, reply.reason().as_str()), (403, public), "{what}: {reply:?}");
}

#[tokio::test]
async fn no_attack_on_a_touch_passes_the_gateway() {
    let behind = TestUpstream::new().await;
    for modes in [Modes::strict(), Modes::permissive()] {
        let gateway = start_gateway(&behind, modes).await;
        for (n, (what, attack)) in ATTACKS.iter().enumerate() {
            let reached = behind.got().len();
            let (wire, judged) = attacked(&gateway, *attack);
            let reply = gateway.send(&wire).await;
            match judged {
                Judged::Accepted(name) => {
                    assert_eq!(reply.status, 200, "{what}: {reply:?}");
                    let got = behind.got().pop().unwrap();
                    assert_eq!(got.header("mcpid-name"), Some(name), "{what}");
                    assert_eq!(got.header("mcpid-touch"), Some("present"), "{what}");
                }
                Judged::Refused(code, public) => {
                    is_refused(what, &reply, public);
                    assert_eq!(behind.got().len(), reached, "{what}");
                    let line = gateway.lines(n + 1).await.remove(n);
                    assert_eq!(line.code.map(|code| code.as_str()), Some(code), "{what}");
                }
            }
        }
        let (wire, _) = attacked(&gateway, ATTACKS[0].1);
        assert_eq!(gateway.send(&wire).await.status, 200);
        is_refused("the same touch twice", &gateway.send(&wire).await, "nonce_replayed");
    }
}

#[tokio::test]
async fn no_attack_on_a_touch_passes_an_authorizer() {
    for modes in [Modes::strict(), Modes::permissive()] {
        let authz = envoy(|config| {
            config.touch = rules();
            config.modes = LearningModes::new(modes);
        })
        .await;
        for (what, attack) in ATTACKS {
            let (wire, judged) = attacked(&authz, *attack);
            let reply = authz.send(&whole(wire)).await;
            match judged {
                Judged::Accepted(name) => {
                    assert_eq!(reply.status, 200, "{what}: {reply:?}");
                    let [status, _, _, told_name, _, touch] = told(&reply);
                    assert_eq!((status, told_name, touch), ("verified", name, "present"), "{what}");
                }
                Judged::Refused(_, public) => is_refused(what, &reply, public),
            }
        }
        let (wire, _) = attacked(&authz, ATTACKS[0].1);
        let wire = whole(wire);
        assert_eq!(authz.send(&wire).await.status, 200);
        is_refused("the same touch twice", &authz.send(&wire).await, "nonce_replayed");
    }
}
