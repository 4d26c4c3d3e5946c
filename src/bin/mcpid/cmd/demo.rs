//! `mcpid demo`: the whole story in one run. A key is made, a request signed and accepted; then
//! the same bytes again, one changed byte, an old request and an unsigned one are refused.

use std::net::SocketAddr;
use std::sync::Arc;

use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::trust::{self, NewEntry, Registry};
use mcpid::key::{SecretKey, Sign, store};
use mcpid::message::target::{Origin, Origins};
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::memory::Memory;
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{Replay, Verifier};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::args::DemoArgs;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::Ui;
use crate::stage::Stage;

/// What is paid, and what a thief would rather have paid: one byte apart.
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"bob","amount":100}}}"#;
const TAMPERED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"bob","amount":900}}}"#;

/// Tells the story.
pub(crate) fn run(_args: &DemoArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let failed = |e: &dyn std::error::Error| Failure::new(Exit::Input, "demo", chain(e));
    let folder = tempfile::tempdir().map_err(|e| no_folder(&e))?;
    let (keyfile, trustfile) = (folder.path().join("key.json"), folder.path().join("trust.json"));

    // A key, at rest as `keygen` would leave it, and opened again from there.
    let made = SecretKey::generate(&mut SysRng).map_err(|e| failed(&e))?;
    let passphrase = b"only for this demo";
    let now = SystemClock.now();
    let sealed = Keyfile::seal(&made, "alice", now, passphrase, KdfCost::DEFAULT, &mut SysRng)
        .map_err(|e| failed(&e))?;
    store::create_keyfile(&keyfile, &sealed).map_err(|e| failed(&e))?;
    let opened = store::load_keyfile(&keyfile).map_err(|e| failed(&e))?;
    let key = Arc::new(opened.open(Some(passphrase)).map_err(|e| failed(&e))?);
    let mut story = Story { steps: Vec::new(), right: true };
    story.made("a key", &format!("sealed in an encrypted keyfile: {}", key.public().id()), ui)?;

    // The server's registry.
    let entry = NewEntry { name: Some("alice".to_owned()), ..NewEntry::new(key.public().clone()) };
    trust::create_or_edit(&trustfile, |document| document.add(&entry)).map_err(|e| failed(&e))?;
    let registry = Arc::new(Registry::load(&[&trustfile]).map_err(|e| failed(&e))?);
    story.made("a trust file", "which says that the key is alice's", ui)?;

    let stage = open(registry).map_err(|e| {
        let message = format!("cannot listen on 127.0.0.1: {}", chain(&*e));
        Failure::new(Exit::Unavailable, "listener", message)
    })?;
    let url = format!("http://{}/mcp", stage.address());
    story.made("a server", &format!("{url}, behind the verification engine"), ui)?;

    let signed = request(&key, &url, BODY, SystemClock.now())?;
    let old = request(&key, &url, BODY, SystemClock.now().plus(-600))?;
    let tampered = signed.replacen(BODY, TAMPERED, 1);
    let unsigned = unsigned(&signed);
    for (sent, bytes, expected) in [
        ("pay bob 100, signed by alice", &signed, Ok("done, as alice asked")),
        ("the very same bytes again", &signed, Err("nonce_replayed")),
        ("the same with 900 for 100, one byte changed", &tampered, Err("digest_mismatch")),
        ("a request that alice signed 10 minutes ago", &old, Err("expired")),
        ("a request without a signature", &unsigned, Err("signature_missing")),
    ] {
        let (status, body) = stage.send(bytes.as_bytes()).map_err(|e| failed(&e))?;
        story.sent(sent, &status, &body, expected, ui)?;
    }
    drop(stage);
    folder.close().map_err(|e| failed(&e))?;
    story.end(ui)
}

/// The temporary folder cannot be made.
fn no_folder(error: &std::io::Error) -> Failure {
    let (code, why) = match error.kind() {
        std::io::ErrorKind::NotFound => ("no_folder", "no such folder".to_owned()),
        _ => reason(error),
    };
    let place = std::env::temp_dir();
    let message = format!("cannot make a temporary folder in {}: {why}", place.display());
    Failure::new(Exit::Input, code, message).hint("TMPDIR=. mcpid demo")
}

fn open(registry: Arc<Registry>) -> Result<Stage, Box<dyn std::error::Error>> {
    // Every key that this server trusts was made after it started, so that nobody can have shown
    // it a nonce before: it needs no floor (DESIGN section 6).
    let origins = |address: SocketAddr| Origin::parse(&format!("http://{address}"));
    let retention = Verifier::new(
        Profile::mcp(),
        Arc::clone(&registry),
        Origins::unknown(),
        Arc::new(SystemClock),
        Replay::Unchecked,
    )
    .retention();
    let memory = Memory::new(SystemClock.now(), retention, &mut SysRng)?.without_floor();
    let mut wrong = None;
    let stage = Stage::open(|address| {
        let ours = origins(address).map(|origin| Origins::new([origin]));
        let ours = ours.unwrap_or_else(|e| {
            wrong = Some(e);
            Origins::unknown()
        });
        let replay = Replay::Claim(Arc::new(memory));
        Verifier::new(Profile::mcp(), registry, ours, Arc::new(SystemClock), replay)
    })?;
    match wrong {
        Some(error) => Err(error.into()),
        None => Ok(stage),
    }
}

/// A signed request as it goes over the wire.
fn request(
    key: &Arc<SecretKey>,
    url: &str,
    body: &str,
    created: Timestamp,
) -> Result<String, Failure> {
    let failed = |e: &dyn std::error::Error| Failure::new(Exit::Bug, "bug", chain(e));
    let target = RequestTarget::from_url(url.to_owned()).map_err(|e| failed(&e))?;
    let mut head = Head::new("POST", target).map_err(|e| failed(&e))?;
    head.push("content-type", b"application/json".as_slice()).map_err(|e| failed(&e))?;
    let nonce = Nonce::generate(&mut SysRng).map_err(|e| failed(&e))?;
    let key: Arc<dyn Sign> = Arc::clone(key) as Arc<dyn Sign>;
    let origins = Origins::unknown();
    let signed = Signer::new(key, &Profile::mcp())
        .and_then(|signer| signer.sign(&head, &origins, body.as_bytes(), created, &nonce))
        .map_err(|e| failed(&e))?;
    let target = origins.resolve(&head).map_err(|e| failed(&e))?;
    let mut text = format!("POST {} HTTP/1.1\r\n", target.request_target());
    text += &format!("Host: {}\r\nContent-Type: application/json\r\n", target.authority());
    for (name, value) in signed.headers() {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    Ok(text)
}

/// The same request as a client that knows of no signatures sends it.
fn unsigned(request: &str) -> String {
    let of_signing = |line: &&str| {
        !["Content-Digest:", "Signature-Input:", "Signature:"].iter().any(|n| line.starts_with(n))
    };
    request.split_inclusive("\r\n").filter(of_signing).collect()
}

/// The story so far, and whether it went as it should.
struct Story {
    steps: Vec<Value>,
    right: bool,
}

impl Story {
    fn made(&mut self, what: &str, about: &str, ui: &mut Ui) -> Result<(), Failure> {
        self.steps.push(json!({ "made": what, "about": about }));
        if ui.json() { Ok(()) } else { ui.line(&format!("made  {what}, {about}")) }
    }

    fn sent(
        &mut self,
        sent: &str,
        status: &str,
        body: &str,
        expected: Result<&str, &str>,
        ui: &mut Ui,
    ) -> Result<(), Failure> {
        let answer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let text = |pointer| answer.pointer(pointer).and_then(Value::as_str);
        let done = text("/result/content/0/text");
        let reason = text("/error/data/reason");
        let as_told = match expected {
            Ok(words) => status == "200 OK" && done == Some(words),
            Err(code) => status == "403 Forbidden" && reason == Some(code),
        };
        self.right &= as_told;
        let said = done.or(reason).unwrap_or(body);
        self.steps.push(json!({
            "sent": sent, "status": status, "answer": said, "as_expected": as_told,
        }));
        if ui.json() {
            return Ok(());
        }
        ui.line(&format!("sent  {sent}"))?;
        let but = if as_told { "" } else { "   (this is not what should have happened)" };
        ui.line(&format!("      {status}: {said}{but}"))
    }

    fn end(self, ui: &mut Ui) -> Result<Exit, Failure> {
        if ui.json() {
            let story = json!({ "version": 1, "ok": self.right, "steps": self.steps });
            ui.json_line(&story)?;
        }
        if self.right {
            ui.note("all as it should be, and no file is left behind");
            Ok(Exit::Ok)
        } else {
            Err(Failure::new(Exit::Bug, "bug", "the story did not go as it should"))
        }
    }
}
