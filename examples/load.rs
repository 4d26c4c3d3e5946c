//! Tools for a load test: requests that are signed beforehand, the time of a bare verification on
//! this machine, and a client that signs while it sends.
//!
//! ```text
//! load sign KEYFILE URL COUNT FILE     each request once, as "LENGTH in 8 digits, raw request"
//! load verify COUNT                    as many bare verify_strict over a signature base; the caller
//!                                      measures the CPU time
//! load soak KEYFILE URL SECONDS RATE   RATE signed requests a second over eight connections
//! ```
//!
//! The keyfile must have no passphrase, and the URL must be on loopback.
#![allow(clippy::print_stdout, reason = "its figures are its output")]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::file_io::load_keyfile;
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use rand::rngs::SysRng;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Number of connections of a soak.
const CONNECTIONS: u64 = 8;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["sign", keyfile, url, count, file] => {
            let client = Client::new(keyfile, url)?;
            let mut out = BufWriter::new(File::create(file)?);
            for number in 0..count.parse::<u64>()? {
                let request = client.request(number)?;
                write!(out, "{:08}", request.len())?;
                out.write_all(&request)?;
            }
            Ok(out.flush()?)
        }
        ["verify", count] => bare_verifications(count.parse()?),
        ["soak", keyfile, url, seconds, rate] => {
            soak(&Client::new(keyfile, url)?, seconds.parse()?, rate.parse()?)
        }
        _ => {
            Err("usage: load sign KEYFILE URL COUNT FILE | verify COUNT | soak KEYFILE URL SECONDS RATE"
                .into())
        }
    }
}

/// Signs tool calls to one URL.
struct Client {
    signer: Signer,
    url: String,
    host: String,
    path: String,
}

impl Client {
    fn new(keyfile: &str, url: &str) -> Result<Self> {
        let key = load_keyfile(keyfile.as_ref())?.open(None)?;
        let rest = url.strip_prefix("http://").ok_or("the URL begins with http://")?;
        let (host, path) = rest.split_once('/').ok_or("the URL has a path")?;
        Ok(Client {
            signer: Signer::new(Arc::new(key), &Profile::mcp())?,
            url: url.to_owned(),
            host: host.to_owned(),
            path: format!("/{path}"),
        })
    }

    /// Returns a whole request, signed now.
    fn request(&self, number: u64) -> Result<Vec<u8>> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"get_weather","arguments":{{"location":"Seattle, WA"}}}}}}"#
        );
        let mut head = Head::new("POST", RequestTarget::from_url(&self.url)?)?;
        head.push("Content-Type", b"application/json")?;
        let nonce = Nonce::generate(&mut SysRng)?;
        let now = SystemClock.now();
        let signed = self.signer.sign(&head, &Origins::default(), body.as_bytes(), now, &nonce)?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            self.path,
            self.host,
            body.len()
        );
        for (name, value) in signed.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(&body);
        Ok(request.into_bytes())
    }
}

fn bare_verifications(count: u64) -> Result<()> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let base = [b'x'; 480];
    let (signature, public) = (key.sign(&base), key.verifying_key());
    for _ in 0..count {
        std::hint::black_box(&public).verify_strict(&base, &signature)?;
    }
    Ok(())
}

fn soak(client: &Client, seconds: u64, rate: u64) -> Result<()> {
    let (sent, begun) = (AtomicU64::new(0), Instant::now());
    let each = Duration::from_secs_f64(CONNECTIONS as f64 / rate as f64);
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut connection = BufReader::new(TcpStream::connect(&client.host)?);
            let mut next = Instant::now();
            while begun.elapsed() < Duration::from_secs(seconds) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                connection.get_mut().write_all(&client.request(number)?)?;
                expect_ok(&mut connection)?;
                next += each;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(())
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(ended) => ended,
            Err(_) => Err("a thread panicked".into()),
        })
    })?;
    let sent = sent.into_inner();
    println!("{sent} requests, each signed once and answered with 200");
    Ok(())
}

/// Reads an answer. It must be 200 with a `Content-Length`.
fn expect_ok(connection: &mut BufReader<TcpStream>) -> Result<()> {
    let (mut line, mut length) = (String::new(), 0);
    connection.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(format!("answered: {line}").into());
    }
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    Ok(connection.read_exact(&mut body)?)
}
