//! The attacks on a touch that every front has to refuse, against the command line.

use std::fs;
use std::path::Path;

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::message::{Head, RequestTarget};
use serde_json::{Value, json};

use crate::home::{URL, command_in, out};
use crate::touch_attacks::{ATTACKS, Attack, Draft, Judged};

const BODY: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_db"}}"#;
const VERIFY: [&str; 7] =
    ["verify", "--json", "-r", "trust.json", "--touch", "tools/call:delete_*", "attack.http"];

/// Writes the trust file and the request of an attack.
fn written(folder: &Path, attack: fn(&Draft) -> Attack) -> Judged {
    let target = RequestTarget::from_url(URL.to_owned()).unwrap();
    let mut head = Head::new("POST", target).unwrap();
    let plain = [("host", "mcp.example.com"), ("content-type", "application/json")];
    for (name, value) in plain {
        head.push(name, value.as_bytes().to_vec()).unwrap();
    }
    let attack = attack(&Draft { head, body: BODY.into(), now: SystemClock.now() });
    let plain = plain.map(|(name, value)| (name, value.to_owned()));
    let fields = plain.into_iter().chain(attack.fields(BODY.as_bytes()));
    let mut text = "POST /mcp HTTP/1.1\r\n".to_owned();
    text.extend(fields.map(|(name, value)| format!("{name}: {value}\r\n")));
    text += &format!("content-length: {}\r\n\r\n{BODY}", BODY.len());
    fs::write(folder.join("attack.http"), text).unwrap();
    fs::write(folder.join("trust.json"), json!({"keys": attack.trust}).to_string()).unwrap();
    attack.judged
}

#[test]
fn no_attack_on_a_touch_passes_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    for (what, attack) in ATTACKS {
        let judged = written(folder.path(), *attack);
        let output = command_in(folder.path(), &VERIFY).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        let json: Value = serde_json::from_str(&out(&output))
            .unwrap_or_else(|_| panic!("{what}: {}{err}", out(&output)));
        match judged {
            Judged::Accepted(name) => {
                assert_eq!(output.status.code(), Some(0), "{what}: {json}");
                assert_eq!((&json["key"]["name"], json["touch"].is_object()), (&name.into(), true));
            }
            Judged::Refused(code, _) => {
                assert_eq!(output.status.code(), Some(1), "{what}: {json}");
                assert_eq!(json["code"], code, "{what}: {json}");
            }
        }
    }
    // The same touch twice.
    written(folder.path(), ATTACKS[0].1);
    for (exit, code) in [(0, Value::Null), (1, "nonce_replayed".into())] {
        let nonces = ["--nonces", "sqlite:nonces.db"];
        let output = command_in(folder.path(), &[&VERIFY[..], &nonces].concat()).output().unwrap();
        let json: Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!((output.status.code(), &json["code"]), (Some(exit), &code), "{json}");
    }
}
