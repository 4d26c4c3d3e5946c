//! Fuzzes the answers of an ssh-agent: the client limits and strictly parses them, and never
//! returns an invalid signature.
//!
//! The first byte selects how the other bytes are sent. Bit 0: as the answer to the signature
//! request, after a good list, or as the list. Bit 1: after their correct length, or unchanged.
#![no_main]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mcpid::key::agent::Agent;
use mcpid::key::{SecretKey, Sign};

const MESSAGE: &[u8] = b"mcpid";

/// The answers of the agent: to the request for the list, and to the request for a signature.
static ANSWERS: Mutex<[Vec<u8>; 2]> = Mutex::new([Vec::new(), Vec::new()]);

static SOCKET: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("mcpid-fuzz-agent-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream);
        }
    });
    path
});

fn answer(mut stream: UnixStream) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut request)?;
    let answers = ANSWERS.lock().expect("no thread panics with it");
    stream.write_all(&answers[usize::from(request[0] == 13)])
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// Returns a list with one key, whose seed is 32 bytes of 7.
fn good_list(key: &SecretKey) -> Vec<u8> {
    let blob = [framed(b"ssh-ed25519"), framed(key.public().as_bytes())].concat();
    framed(&[&[12, 0, 0, 0, 1][..], &framed(&blob), &framed(b"k")].concat())
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, rest)) = data.split_first() else { return };
    let rest = if how & 2 == 0 { framed(rest) } else { rest.to_vec() };
    let key = SecretKey::from_seed(&[7; 32]);
    let (size, signs) = (rest.len(), how & 1 == 1);
    let answers = if signs { [good_list(&key), rest] } else { [rest, Vec::new()] };
    *ANSWERS.lock().expect("no thread panics with it") = answers;
    let agent = Agent::at(&*SOCKET).with_timeout(Duration::from_secs(5));
    let Ok(listed) = agent.identities() else {
        assert!(!signs, "the good list is read");
        return;
    };
    // Each key takes at least two lengths of four bytes.
    assert!(listed.len() * 8 <= size.max(64));
    for identity in &listed {
        let _ = (identity.kind(), identity.fingerprint(), format!("{identity:?}"));
        if let Some(public) = identity.key() {
            let chosen = agent.choose(public.id().as_str()).expect("it is listed");
            assert_eq!(chosen.public().id(), public.id());
        }
        let _ = agent.choose(identity.comment());
    }
    if signs {
        let chosen = agent.choose("").expect("it is the only one");
        if let Ok(signature) = chosen.sign(MESSAGE) {
            key.public().verify_strict(MESSAGE, &signature).expect("it was verified before");
        }
    }
});
