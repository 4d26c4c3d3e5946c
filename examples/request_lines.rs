//! Signs many requests and writes each as a request line, as a client that keeps evidence would:
//!
//! ```text
//! cargo run --example request_lines -- key.json 100000 > lines.jsonl
//! mcpid verify --at capture lines.jsonl
//! ```
//!
//! The keyfile must have no passphrase.

use std::error::Error;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use mcpid::clock::{Clock, SystemClock};
use mcpid::key::file_io::load_keyfile;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget, json_line};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};

const URL: &str = "https://mcp.example.com/mcp";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: request_lines KEYFILE COUNT".into());
    };
    let key = load_keyfile(file.as_ref())?.open(None)?;
    let signer = Signer::new(Arc::new(key), &Profile::mcp())?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    for number in 0..count.parse::<u32>()? {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"get_weather","arguments":{{"location":"Seattle, WA"}}}}}}"#
        );
        let mut head = Head::new("POST", RequestTarget::from_url(URL)?)?;
        head.push("Content-Type", b"application/json")?;
        let now = SystemClock.now();
        let nonce = Nonce::generate(&mut rand::rngs::SysRng)?;
        let signed = signer.sign(&head, &Origins::default(), body.as_bytes(), now, &nonce)?;
        for (name, value) in signed.headers() {
            head.push(name, value.as_bytes())?;
        }
        writeln!(out, "{}", json_line::write(&head, URL, Some(body.as_bytes()), Some(now))?)?;
    }
    out.flush()?;
    Ok(())
}
