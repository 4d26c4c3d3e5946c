//! `mcpid demo`: shows in one run what mcpid accepts and refuses. A signed request is accepted.
//! Then the same bytes again, one changed byte, an old request and an unsigned request are refused.

mod servers;

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::trust::{self, NewEntry, Registry};
use mcpid::key::{SecretKey, Sign, file_io};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use rand::rngs::SysRng;
use serde_json::{Value, json};

use crate::args::DemoArgs;
use crate::output::exit::Exit;
use crate::output::failure::{Failure, chain, reason};
use crate::output::ui::Ui;
use servers::DemoServers;

/// The body of the signed payment. `TAMPERED` differs from it in one byte.
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"bob","amount":100}}}"#;
const TAMPERED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":"bob","amount":900}}}"#;

/// Runs all steps.
pub(crate) fn run(_args: &DemoArgs, ui: &mut Ui) -> Result<Exit, Failure> {
    let failed = |e: &dyn std::error::Error| Failure::new(Exit::Input, "demo", chain(e));
    let folder = tempfile::tempdir().map_err(|e| no_folder(&e))?;
    let (keyfile, trustfile) = (folder.path().join("key.json"), folder.path().join("trust.json"));

    // A keyfile is written as `keygen` does, and opened again.
    let made = SecretKey::generate(&mut SysRng).map_err(|e| failed(&e))?;
    let passphrase = b"only for this demo";
    let now = SystemClock.now();
    let sealed = Keyfile::seal(&made, "alice", now, passphrase, KdfCost::DEFAULT, &mut SysRng)
        .map_err(|e| failed(&e))?;
    file_io::create_keyfile(&keyfile, &sealed).map_err(|e| failed(&e))?;
    let opened = file_io::load_keyfile(&keyfile).map_err(|e| failed(&e))?;
    let key = Arc::new(opened.open(Some(passphrase)).map_err(|e| failed(&e))?);
    let mut steps = DemoSteps { steps: Vec::new(), as_expected: true };
    steps.made("a key", &format!("sealed in an encrypted keyfile: {}", key.public().id()), ui)?;

    let entry = NewEntry { name: Some("alice".to_owned()), ..NewEntry::new(key.public().clone()) };
    trust::create_or_edit(&trustfile, |document| document.add(&entry)).map_err(|e| failed(&e))?;
    let registry = Arc::new(Registry::load(&[&trustfile]).map_err(|e| failed(&e))?);
    steps.made("a trust file", "which says that the key is alice's", ui)?;

    let servers = DemoServers::start(registry).map_err(|e| {
        let message = format!("cannot listen on 127.0.0.1: {}", chain(&*e));
        Failure::new(Exit::Unavailable, "listener", message)
    })?;
    let url = servers.url();
    steps.made("a gateway", &format!("{url}, in front of an MCP server"), ui)?;

    let signed = request(&key, url, SystemClock.now())?;
    let old = request(&key, url, SystemClock.now().plus(-600))?;
    let tampered = signed.clone().map(|_| Full::from(TAMPERED));
    let mut unsigned = signed.clone();
    for name in ["content-digest", "signature-input", "signature"] {
        unsigned.headers_mut().remove(name);
    }
    for (sent, request, expected) in [
        ("pay bob 100, signed by alice", signed.clone(), Ok("done, as alice asked")),
        ("the very same bytes again", signed, Err("nonce_replayed")),
        ("the same with 900 for 100, one byte changed", tampered, Err("digest_mismatch")),
        ("a request that alice signed 10 minutes ago", old, Err("expired")),
        ("a request without a signature", unsigned, Err("signature_missing")),
    ] {
        let (status, body) = servers.send(request).map_err(|e| failed(&*e))?;
        steps.sent(sent, &status.to_string(), &body, expected, ui)?;
    }
    drop(servers);
    folder.close().map_err(|e| failed(&e))?;
    steps.end(ui)
}

/// Returns the failure if the temporary folder cannot be made.
fn no_folder(error: &std::io::Error) -> Failure {
    let (code, why) = match error.kind() {
        std::io::ErrorKind::NotFound => ("no_folder", "no such folder".to_owned()),
        _ => reason(error),
    };
    let place = std::env::temp_dir();
    let message = format!("cannot make a temporary folder in {}: {why}", place.display());
    Failure::new(Exit::Input, code, message).hint("TMPDIR=. mcpid demo")
}

/// Returns the payment as a request to `url`, signed at `created`.
fn request(
    key: &Arc<SecretKey>,
    url: &str,
    created: Timestamp,
) -> Result<Request<Full<Bytes>>, Failure> {
    let failed = |e: &dyn std::error::Error| Failure::new(Exit::Bug, "bug", chain(e));
    let target = RequestTarget::from_url(url.to_owned()).map_err(|e| failed(&e))?;
    let mut head = Head::new("POST", target).map_err(|e| failed(&e))?;
    head.push("content-type", b"application/json".as_slice()).map_err(|e| failed(&e))?;
    let nonce = Nonce::generate(&mut SysRng).map_err(|e| failed(&e))?;
    let key: Arc<dyn Sign> = Arc::clone(key) as Arc<dyn Sign>;
    let origins = Origins::unknown();
    let signed = Signer::new(key, &Profile::mcp())
        .and_then(|signer| signer.sign(&head, &origins, BODY.as_bytes(), created, &nonce))
        .map_err(|e| failed(&e))?;
    let target = origins.resolve(&head).map_err(|e| failed(&e))?;
    let mut request = Request::post(url)
        .header("host", target.authority())
        .header("content-type", "application/json");
    for (name, value) in signed.headers() {
        request = request.header(name, value);
    }
    request.body(Full::from(BODY)).map_err(|e| failed(&e))
}

/// The steps that were run so far, and whether each of them ended as expected.
struct DemoSteps {
    steps: Vec<Value>,
    as_expected: bool,
}

impl DemoSteps {
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
        let as_expected = match expected {
            Ok(words) => status == "200 OK" && done == Some(words),
            Err(code) => status == "403 Forbidden" && reason == Some(code),
        };
        self.as_expected &= as_expected;
        let said = done.or(reason).unwrap_or(body);
        self.steps.push(json!({
            "sent": sent, "status": status, "answer": said, "as_expected": as_expected,
        }));
        if ui.json() {
            return Ok(());
        }
        ui.line(&format!("sent  {sent}"))?;
        let but = if as_expected { "" } else { "   (this is not what should have happened)" };
        ui.line(&format!("      {status}: {said}{but}"))
    }

    fn end(self, ui: &mut Ui) -> Result<Exit, Failure> {
        if ui.json() {
            let result = json!({ "version": 1, "ok": self.as_expected, "steps": self.steps });
            ui.json_line(&result)?;
        }
        if self.as_expected {
            ui.note("all as it should be, and no file is left behind");
            Ok(Exit::Ok)
        } else {
            Err(Failure::new(Exit::Bug, "bug", "a step did not end as it should"))
        }
    }
}
