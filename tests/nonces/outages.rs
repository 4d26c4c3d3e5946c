//! Measures, in real time, how long a strict verifier refuses requests after each fault of its
//! nonce store. Every 100 ms, before and after the fault, a new request is signed and verified. The
//! last request that was accepted before the fault is repeated all the time, and must never be
//! accepted again.
//!
//! The faults are tested at the same time, each with its own store and thread, in about a minute.
//! `tests/long outages` runs this; the daily tests do not.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    dead_code,
    reason = "its figures are its output"
)]

mod redis_servers;

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mcpid::block_on as wait;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::trust::{Registry, TrustFile};
use mcpid::key::{SecretKey, Sign as _, format};
use mcpid::message::target::Origins;
use mcpid::message::{Head, RequestTarget};
use mcpid::nonce::contract;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::sqlite;
use mcpid::nonce::{NonceStore, Retention};
use mcpid::profile::Profile;
use mcpid::sign::{Nonce, Signer};
use mcpid::verify::{ReplayCheck, Verifier, VerifyError};
use rand::rngs::SysRng;
use tempfile::TempDir;

use redis_servers::{Cluster, Server, Watched, options};

const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const PAUSE: Duration = Duration::from_millis(100);
/// The outage is over after this many accepted requests in a row (4 seconds).
const OVER: u32 = 40;
const LONGEST: Duration = Duration::from_secs(120);

type Store = Arc<dyn NonceStore>;

/// A signer, and a verifier that trusts its key.
struct TrustedSigner {
    signer: Signer,
    registry: Arc<Registry>,
}

impl TrustedSigner {
    fn new() -> Self {
        let secret = SecretKey::generate(&mut SysRng).unwrap();
        let jwks = format::jwks(secret.public(), None);
        let registry = Registry::merge([TrustFile::parse(jwks.as_bytes()).unwrap()]);
        let signer = Signer::new(Arc::new(secret), &Profile::mcp()).unwrap();
        TrustedSigner { signer, registry: Arc::new(registry) }
    }

    fn verifier(&self, store: &Store) -> Verifier {
        let (profile, registry) = (Profile::mcp(), Arc::clone(&self.registry));
        let replay = ReplayCheck::Claim(Arc::clone(store));
        Verifier::new(profile, registry, Origins::unknown(), Arc::new(SystemClock), replay)
    }

    fn signed(&self) -> Head<'static> {
        let target = RequestTarget::from_url("https://mcp.example.com/mcp".to_owned()).unwrap();
        let mut head = Head::new("POST", target).unwrap();
        head.push("content-type", b"application/json".as_slice()).unwrap();
        let (now, nonce) = (SystemClock.now(), Nonce::generate(&mut SysRng).unwrap());
        let signed = self.signer.sign(&head, &Origins::unknown(), BODY, now, &nonce).unwrap();
        for (name, value) in signed.headers() {
            head.push(name, value.as_bytes().to_vec()).unwrap();
        }
        head
    }
}

fn retention() -> Retention {
    Retention::new(30, 5)
}

/// Returns a time long before the test, so that the store is old enough to accept all requests.
fn long_ago() -> Timestamp {
    SystemClock.now().plus(-100)
}

/// Causes a fault. Returns the store to use afterwards: the same one, or a newly opened one, as
/// after a restart.
type Fault<'a> = Box<dyn FnOnce(Store) -> Store + Send + 'a>;

/// Causes one fault. Returns how many seconds it took until a new request was accepted, and until
/// all were.
fn outage(name: &str, store: Store, fault: Fault<'_>) -> String {
    let signer = TrustedSigner::new();
    let mut verifier = signer.verifier(&store);
    let accepts = |verifier: &Verifier, head: &Head<'_>| match wait(verifier.verify(head, BODY)) {
        Ok(_) => Ok(()),
        Err(refusal) => Err(matches!(refusal, VerifyError::Unavailable(_))),
    };
    let mut last = signer.signed();
    for _ in 0..10 {
        last = signer.signed();
        assert_eq!(accepts(&verifier, &last), Ok(()), "{name}: before the fault");
        thread::sleep(PAUSE);
    }
    let begun = Instant::now();
    // The function that causes the fault must not wait for servers, because that would delay the
    // requests.
    let after = fault(store);
    verifier = signer.verifier(&after);
    let (mut refused, mut good, mut first, mut end) = (0_u32, 0_u32, None, Duration::ZERO);
    while good < OVER {
        assert!(begun.elapsed() < LONGEST, "{name}: it does not end");
        assert!(accepts(&verifier, &last).is_err(), "{name}: a replay was accepted");
        match accepts(&verifier, &signer.signed()) {
            Ok(()) => {
                if refused > 0 && first.is_none() {
                    first = Some(begun.elapsed());
                }
                if good == 0 {
                    end = begun.elapsed();
                }
                good += 1;
            }
            Err(unavailable) => {
                assert!(unavailable, "{name}: a fresh request was called bad");
                (refused, good) = (refused + 1, 0);
            }
        }
        thread::sleep(PAUSE);
    }
    if refused == 0 {
        return format!("{name:<62}   none");
    }
    let first = first.unwrap_or(end).as_secs_f64();
    format!("{name:<62} {first:5.1} s  {:5.1} s  {refused:4} refused", end.as_secs_f64())
}

fn file(folder: &TempDir, boot: &str, start: Timestamp) -> Store {
    let options = sqlite::SqliteOptions::new(folder.path().join("n.db"), Some(boot.to_owned()));
    Arc::new(options.open_for_claims(start, retention()).unwrap())
}

fn servers(url: &str) -> Store {
    let store = options(url).open(long_ago(), retention()).unwrap();
    Arc::new(store)
}

fn main() {
    println!("{:<62} {:>7}  {:>7}", "fault", "first", "all");
    let folders: Vec<_> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let plain: Vec<_> = (0..3).map(|_| Arc::new(Server::start(&[]))).collect();
    let kept = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let watched = Watched::start();
    let cluster = Cluster::start(3, 1);
    let memory = Memory::new(long_ago(), retention(), &mut SysRng).unwrap();
    let mut all: Vec<(&str, Store, Fault<'_>)> = Vec::new();
    let mut run = |name, store, fault| all.push((name, store, fault));
    run(
        "memory: the process restarts",
        Arc::new(memory),
        Box::new(|_| Arc::new(Memory::new(SystemClock.now(), retention(), &mut SysRng).unwrap())),
    );
    run(
        "sqlite: the process restarts",
        file(&folders[0], "this boot", long_ago()),
        Box::new(|old| {
            drop(old);
            file(&folders[0], "this boot", SystemClock.now())
        }),
    );
    run(
        "sqlite: the machine boots anew",
        file(&folders[1], "this boot", long_ago()),
        Box::new(|old| {
            drop(old);
            file(&folders[1], "the next boot", SystemClock.now())
        }),
    );
    run(
        "sqlite: the file is deleted while it is open",
        file(&folders[2], "this boot", long_ago()),
        Box::new(|store| {
            for name in ["n.db", "n.db-wal", "n.db-shm"] {
                fs::remove_file(folders[2].path().join(name)).unwrap();
            }
            store
        }),
    );
    run(
        "redis: the server is killed and restarts, no append-only file",
        servers(&plain[0].url()),
        Box::new(|store| {
            plain[0].kill();
            plain[0].start_again();
            store
        }),
    );
    run(
        "redis: the same with an append-only file",
        servers(&kept.url()),
        Box::new(|store| {
            kept.kill();
            kept.start_again();
            store
        }),
    );
    run(
        "redis: FLUSHALL",
        servers(&plain[1].url()),
        Box::new(|store| {
            plain[1].cli(&["FLUSHALL"]);
            store
        }),
    );
    run(
        "redis: the server hangs for 5 s and forgets nothing",
        servers(&plain[2].url()),
        Box::new(|store| {
            plain[2].signal("-STOP");
            let server = Arc::clone(&plain[2]);
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(5));
                server.signal("-CONT");
            });
            store
        }),
    );
    run(
        "sentinel: the primary is killed (down-after 500 ms)",
        servers(&watched.url()),
        Box::new(|store| {
            watched.servers[0].kill();
            store
        }),
    );
    run(
        "cluster: one of 3 primaries is killed (node-timeout 1000 ms)",
        servers(&cluster.url()),
        Box::new(|store| {
            cluster.nodes[0].kill();
            store
        }),
    );
    thread::scope(|scope| {
        let running: Vec<_> = all
            .into_iter()
            .map(|(name, store, fault)| scope.spawn(move || outage(name, store, fault)))
            .collect();
        for line in running {
            println!("{}", line.join().unwrap());
        }
    });
}
