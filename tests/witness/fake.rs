//! A fake witness for the tests, which can give wrong answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::cosign::CosignRequest;
use mcpid::audit::note::{Note, NoteKey, NoteKeyKind};
use mcpid::audit::tree::{self, Hash};
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::{SecretKey, Sign as _};

/// What is wrong with the witness's answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Nothing is wrong: the answer is as C2SP `tlog-witness` demands.
    None,
    /// The witness answers every request with these bytes.
    Raw(Vec<u8>),
    /// The witness answers with status 200 and this body.
    Body(Vec<u8>),
    /// The witness answers with status 409 and this size, to every request.
    Holds(u64),
    /// The witness signs correctly, but with another key.
    WrongKey,
    /// The witness signs correctly, but another text.
    OtherText,
    /// The witness signs correctly, but with a time that is this many seconds ahead.
    Ahead(i64),
    /// The witness signs correctly, with this time.
    At(i64),
    /// The witness signs and records that it did, but sends no answer.
    Lost,
    /// The witness receives the request, and sends no answer.
    Hang,
    /// The witness sends a correct answer, at one byte a second.
    Slow,
}

#[derive(Default)]
struct Shared {
    fault: Option<Fault>,
    signed: Option<(u64, Hash)>,
    requests: Vec<String>,
}

/// A witness on a port of this machine. Its thread ends with the test process.
pub(crate) struct FakeWitness {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    seed: u8,
    shared: Arc<Mutex<Shared>>,
}

fn secret(seed: u8) -> SecretKey {
    let mut bytes = *b"0 seed that the fake witness has";
    bytes[0] = seed;
    SecretKey::from_seed(&bytes)
}

fn witness_key(name: &str, seed: u8) -> NoteKey {
    NoteKey::new(name, NoteKeyKind::Witness, secret(seed).public().clone()).unwrap()
}

impl FakeWitness {
    pub(crate) fn start(seed: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let name = format!("w{seed}.example.com");
        let (own, named) = (Arc::clone(&shared), name.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, name) = (Arc::clone(&own), named.clone());
                thread::spawn(move || serve(stream, &shared, &name, seed));
            }
        });
        FakeWitness { name, address, seed, shared }
    }

    /// Returns the policy's line about this witness, with a name such as `w1`.
    pub(crate) fn line(&self) -> String {
        format!("witness w{} {} http://{}/prefix/\n", self.seed, self.key(), self.address)
    }

    pub(crate) fn key(&self) -> NoteKey {
        witness_key(&self.name, self.seed)
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.shared.lock().unwrap().fault = Some(fault);
    }

    /// Returns the size and root that the witness signed last.
    pub(crate) fn signed(&self) -> Option<(u64, Hash)> {
        self.shared.lock().unwrap().signed
    }

    pub(crate) fn remember(&self, signed: Option<(u64, Hash)>) {
        self.shared.lock().unwrap().signed = signed;
    }

    /// Returns the bodies of the requests since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
    }
}

/// Returns a policy with these witnesses, of which `need` must sign.
pub(crate) fn policy(log: &NoteKey, witnesses: &[&FakeWitness], need: usize) -> String {
    let lines: String = witnesses.iter().map(|witness| witness.line()).collect();
    let names: Vec<String> = witnesses.iter().map(|w| format!("w{}", w.seed)).collect();
    format!("log {log}\n{lines}group g {need} {}\nquorum g\n", names.join(" "))
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>, name: &str, seed: u8) {
    while let Some((line, body)) = read(&mut stream) {
        assert_eq!(line, "POST /prefix/add-checkpoint HTTP/1.1");
        let (fault, answer) = {
            let mut shared = shared.lock().unwrap();
            shared.requests.push(body.clone());
            let fault = shared.fault.clone().unwrap_or(Fault::None);
            let answer = reply(&fault, &mut shared, &body, (name, seed));
            (fault, answer)
        };
        match fault {
            Fault::Hang | Fault::Lost => {
                thread::sleep(Duration::from_secs(120));
                return;
            }
            Fault::Slow => {
                for byte in answer {
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_secs(1));
                }
            }
            Fault::Raw(_) => {
                let _ = stream.write_all(&answer);
                return;
            }
            _ => stream.write_all(&answer).unwrap_or_default(),
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
            });
            let (from, length) = (end + 4, length.unwrap());
            if bytes.len() >= from + length {
                let body = String::from_utf8(bytes[from..from + length].to_vec()).unwrap();
                return Some((head.lines().next().unwrap().to_owned(), body));
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend(&part[..read]),
        }
    }
}

pub(crate) fn http(status: u16, media: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn conflict(size: u64) -> Vec<u8> {
    http(409, "text/x.tlog.size", format!("{size}\n").as_bytes())
}

fn reply(fault: &Fault, shared: &mut Shared, body: &str, (name, seed): (&str, u8)) -> Vec<u8> {
    let request = CosignRequest::parse(body.as_bytes()).unwrap();
    let note = Note::parse(&request.note).unwrap();
    let checkpoint = Checkpoint::of(&note).unwrap();
    let new = (checkpoint.size, checkpoint.root);
    match fault {
        Fault::Raw(bytes) => return bytes.clone(),
        Fault::Body(body) => return http(200, "text/plain", body),
        Fault::Holds(size) => return conflict(*size),
        Fault::Hang => return Vec::new(),
        _ => {}
    }
    let (held, root) = shared.signed.unwrap_or((0, tree::empty()));
    if request.old != Some(held) {
        return conflict(held);
    }
    if !tree::is_consistent((held, &root), (new.0, &new.1), &request.proof) {
        return http(422, "text/plain", b"no\n");
    }
    shared.signed = Some(new);
    let now = SystemClock.now();
    let time = match fault {
        Fault::Ahead(seconds) => now.plus(*seconds),
        Fault::At(seconds) => Timestamp::from_unix(*seconds),
        _ => now,
    };
    let seed = if matches!(fault, Fault::WrongKey) { seed + 100 } else { seed };
    let note = match fault {
        Fault::OtherText => {
            let (size, root) = (new.0 + 1, new.1);
            let other = Checkpoint { origin: checkpoint.origin.clone(), size, root };
            let text = note.to_string().replacen(note.text(), &other.to_string(), 1);
            Note::parse(text.as_bytes()).unwrap()
        }
        _ => note,
    };
    let text = note.cosign(&witness_key(name, seed), &secret(seed), time).unwrap();
    let line = text.lines().last().unwrap();
    http(200, "text/plain; charset=utf-8", format!("{line}\n").as_bytes())
}
