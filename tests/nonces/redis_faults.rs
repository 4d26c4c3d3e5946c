//! Tests with Redis servers that are unreachable, slow or full, or give strange answers. The
//! store's answer is then an error, in time, and never that a nonce is new. The store works again
//! when the server does.

use std::error::Error;
use std::fmt::Debug;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::redis_proxy::{Mode, Proxy};
use crate::redis_servers::{Server, free_port, open, options, until, warned};
use crate::{key, wait};
use mcpid::nonce::redis::{PrimaryWarning, Redis};
use mcpid::nonce::{Claim, NonceStore, StoreError};

/// The time limit of a request to the store, in tests whose server answers at once, with a fault.
const BUDGET: Duration = Duration::from_secs(10);

/// The time limit of a request to the store, in tests whose server never answers.
const SHORT: Duration = Duration::from_millis(600);

/// Far more than a request takes on a busy machine. Without its time limit, it would wait for ever.
const MOST: Duration = Duration::from_secs(60);

pub(crate) fn open_in_a_hurry(url: &str) -> Result<Redis, StoreError> {
    options(url).budget(BUDGET).open_for_claims(at(-30), retention())
}

fn open_shortly(url: &str) -> Result<Redis, StoreError> {
    options(url).budget(SHORT).open_for_claims(at(-30), retention())
}

/// Opens a store with a time limit of 600 ms. On a busy machine, that may be too short to open it
/// at the first attempt.
fn hurried(url: &str) -> Redis {
    let mut opened = None;
    until("the store opens", || {
        opened = open_shortly(url).ok();
        opened.is_some()
    });
    opened.unwrap()
}

/// Asks about a nonce until the store answers, and returns the answer.
fn answer(store: &dyn NonceStore, created: i64, key: u8, nonce: &str) -> Claim {
    let mut answer = None;
    until("the claim is answered", || {
        answer = try_claim(store, created, &crate::key(key), nonce).ok();
        answer.is_some()
    });
    answer.unwrap()
}

/// Checks that a request to the store fails within its time limit.
#[track_caller]
pub(crate) fn fails_in_time<T: Debug>(
    what: &str,
    ask: impl FnOnce() -> Result<T, StoreError>,
) -> String {
    let start = Instant::now();
    let answer = ask();
    let took = start.elapsed();
    assert!(took < MOST, "{what}: {took:?}");
    chain(&answer.expect_err(what))
}

pub(crate) fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Checks that the store works again without help. If the server was restarted, the store first
/// refuses requests signed before that.
#[track_caller]
fn recovers(store: &dyn NonceStore) {
    until("the store recovers", || try_claim(store, 200, &key(200), "after").is_ok());
    let mut nonce = String::new();
    until("a new nonce is accepted", || {
        nonce = format!("{:?}", Instant::now());
        accepts(&try_claim(store, 300, &key(201), &nonce), 300)
    });
    assert!(!is_fresh(answer(store, 300, 201, &nonce)));
}

#[test]
fn a_server_that_is_down_is_unavailable_and_recovers() {
    let server = Server::start(&[]);
    let store = hurried(&server.url());
    answer(&store, 10, 1, "n");
    server.kill();
    for _ in 0..3 {
        fails_in_time("claim", || try_claim(&store, 10, &key(1), "n"));
        fails_in_time("peek", || wait(store.peek(at(10), &key(1), "n")));
        fails_in_time("floor", || wait(store.floor(at(10))));
        fails_in_time("register", || wait(store.register(at(10), retention())));
    }
    fails_in_time("open", || open_shortly(&server.url()));
    server.start_again();
    recovers(&store);
    assert!(!accepts(&try_claim(&store, 200, &key(1), "n"), 10));
}

#[test]
fn silent_redis_times_out() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hole.local_addr().unwrap().port();
    for url in ["redis", "rediss", "redis+cluster"].map(|s| format!("{s}://127.0.0.1:{port}")) {
        fails_in_time(&url, || open_shortly(&url));
    }
    let url = format!("redis+sentinel://127.0.0.1:{port}/mymaster");
    fails_in_time(&url, || open_shortly(&url));
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = hurried(&proxy.url());
    proxy.set(Mode::Swallow);
    for i in 0..3 {
        let late = fails_in_time("claim", || try_claim(&store, 10, &key(1), &i.to_string()));
        assert!(late.contains("600 ms"), "{late}");
    }
    fails_in_time("peek", || wait(store.peek(at(10), &key(1), "n")));
    proxy.set(Mode::Pass);
    recovers(&store);
    // The number of requests that wait for the server is limited. All are sent before the first one is
    // given up.
    let store = open_in_a_hurry(&proxy.url()).unwrap();
    proxy.set(Mode::Swallow);
    let key = key(1);
    let mut waiting = Vec::new();
    let mut refused = 0;
    for _ in 0..9_000 {
        let mut claim = store.claim(at(10), &key, "n", at(75));
        match claim.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => refused += 1,
            Poll::Ready(other) => panic!("{other:?}"),
            Poll::Pending => waiting.push(claim),
        }
    }
    assert!((800..=900).contains(&refused), "{refused}");
    for claim in waiting {
        assert!(wait(claim).is_err());
    }
    proxy.set(Mode::Pass);
    recovers(&store);
}

#[test]
fn a_server_that_hangs_is_unavailable_and_recovers() {
    let server = Server::start(&[]);
    let store = hurried(&server.url());
    server.signal("-STOP");
    for i in 0..3 {
        fails_in_time("claim", || try_claim(&store, 10, &key(1), &i.to_string()));
    }
    server.signal("-CONT");
    recovers(&store);
    // The server gets the earlier requests only now. One that was not answered may have been
    // executed.
    assert!(!is_fresh(answer(&store, 10, 1, "0")));
}

#[test]
fn a_slow_server_is_waited_for_within_the_limit() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = options(&proxy.url()).open_for_claims(at(-30), retention()).unwrap();
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    assert!(accepts(&try_claim(&store, 10, &key(1), "n"), 10));
    let patient = options(&proxy.url()).budget(Duration::from_secs(20));
    let patient = patient.open_for_claims(at(10), retention()).unwrap();
    assert!(matches!(claim(&patient, 10, &key(1), "n"), Claim::Replayed { .. }));
    // The server would answer after ten seconds, and the limit is two.
    proxy.set(Mode::Delay(Duration::from_secs(10)));
    let start = Instant::now();
    assert!(try_claim(&store, 10, &key(1), "m").is_err());
    let took = start.elapsed();
    assert!((1_900..60_000).contains(&took.as_millis()), "{took:?}");
    proxy.set(Mode::Pass);
    recovers(&store);
    assert!(!is_fresh(claim(&store, 10, &key(1), "m")), "its answer was late, but it was made");
}

#[test]
fn random_answers_are_errors() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = hurried(&proxy.url());
    let garbage: [&[u8]; 14] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\0",
        b"\r\n\r\n\r\n\r\n",
        b":5\r\n:5\r\n:5\r\n:5\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b"$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
        b"$-1\r\n+OK\r\n*0\r\n$-1\r\n",
        b"$-5\r\n",
        b"*99999999\r\n",
        b"$999999999999999\r\n",
        b"$9999999999999999999999999\r\n",
        b"-\r\n-\r\n-\r\n-\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n-MOVED 1 127.0.0.1:1\r\n-ASK 1 x\r\n",
        b"*-1\r\n*-1\r\n*-1\r\n*-1\r\n",
    ];
    for bytes in garbage {
        let text = String::from_utf8_lossy(bytes);
        proxy.rewrite(move |_| bytes.to_vec());
        fails_in_time(&text, || try_claim(&store, 10, &key(1), &text));
        fails_in_time(&text, || wait(store.floor(at(10))));
        fails_in_time(&text, || wait(store.peek(at(10), &key(1), &text)));
        fails_in_time(&text, || open_shortly(&proxy.url()));
        proxy.set(Mode::Pass);
        until(&text, || try_claim(&store, 10, &key(1), &format!("{text}after")).is_ok());
    }
    // The server's answer is nested deeper than any answer to the store's commands.
    proxy.rewrite(|_| b"*1\r\n".repeat(50_000));
    fails_in_time("nested", || try_claim(&store, 10, &key(1), "nested"));
    proxy.set(Mode::Pass);
    recovers(&store);
}

#[test]
fn a_lost_answer_does_not_make_a_nonce_fresh_again() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = open_in_a_hurry(&proxy.url()).unwrap();
    for lost in 1..=3 {
        proxy.set(Mode::LoseAnswers(lost));
        let nonce = format!("lost-{lost}");
        // The server executed the command, and when the store repeats it, its token shows that it
        // is the same one.
        assert!(accepts(&try_claim(&store, 10, &key(1), &nonce), 10), "{lost}");
        assert!(!is_fresh(claim(&store, 10, &key(1), &nonce)), "{lost}");
    }
    proxy.set(Mode::LoseAnswers(1_000));
    fails_in_time("all lost", || try_claim(&store, 10, &key(1), "all"));
    proxy.set(Mode::Pass);
    // No caller was told that this nonce is new, and no later caller is told so.
    assert!(matches!(claim(&store, 10, &key(1), "all"), Claim::Replayed { .. }));
    // Several handles ask about each nonce at once, and one of them is told that it is new.
    let stores = [Arc::new(store), Arc::new(open_in_a_hurry(&proxy.url()).unwrap())];
    for round in 0..10 {
        proxy.set(Mode::LoseAnswers(2));
        let nonce = format!("round-{round}");
        let wins = std::thread::scope(|scope| {
            let tasks: Vec<_> = (0..16)
                .map(|i| (&stores[i % 2], &nonce))
                .map(|(store, nonce)| scope.spawn(|| try_claim(&**store, 10, &key(1), nonce)))
                .collect();
            let fresh = |answer: &Result<Claim, _>| matches!(answer, Ok(Claim::Fresh { .. }));
            tasks.into_iter().map(|task| task.join().unwrap()).filter(fresh).count()
        });
        assert_eq!(wins, 1);
    }
}

#[test]
fn a_full_server_is_unavailable() {
    let server = Server::start(&[]);
    let store = open_in_a_hurry(&server.url()).unwrap();
    claim(&store, 10, &key(1), "n");
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = fails_in_time("claim", || try_claim(&store, 10, &key(1), "m"));
    assert!(full.contains("no memory left"), "{full}");
    fails_in_time("a replay", || try_claim(&store, 10, &key(1), "n"));
    assert!(wait(store.peek(at(10), &key(1), "n")).unwrap().is_some(), "nothing is evicted");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(!is_fresh(claim(&store, 10, &key(1), "n")));
    assert!(accepts(&try_claim(&store, 10, &key(1), "m"), 10));
}

#[test]
fn a_replica_is_refused() {
    let primary = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port)]);
    let refused = fails_in_time("open", || open_in_a_hurry(&replica.url()));
    assert!(refused.contains("replica"), "{refused}");
    let store = open_in_a_hurry(&primary.url()).unwrap();
    claim(&store, 10, &key(1), "n");
    let nobody = free_port().to_string();
    primary.cli(&["REPLICAOF", "127.0.0.1", &nobody]);
    let refused = fails_in_time("claim", || try_claim(&store, 10, &key(1), "m"));
    assert!(refused.contains("replica"), "{refused}");
    primary.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&store);
    assert!(!is_fresh(claim(&store, 10, &key(1), "n")));
}

#[test]
fn a_server_that_evicts_is_refused_unless_allowed() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let refused = fails_in_time(policy, || open_in_a_hurry(&server.url()));
        assert!(refused.contains(policy) && refused.contains("noeviction"), "{refused}");
        let (options, warnings) = warned(options(&server.url()).allow_evicting(true));
        let store = options.open_for_claims(at(-30), retention()).unwrap();
        assert!(is_fresh(claim(&store, 10, &key(1), "n")));
        let warning = PrimaryWarning::Evicts {
            server: format!("127.0.0.1:{}", server.port),
            policy: policy.to_owned(),
        };
        assert!(warnings.lock().unwrap().contains(&warning), "{warnings:?}");
    }
    // If the server's eviction policy is changed, the store notices it within a second, and after a
    // restart.
    let server = Server::start(&["--appendonly", "yes"]);
    let (options, warnings) = warned(options(&server.url()));
    let store = options.open_for_claims(at(-30), retention()).unwrap();
    assert_eq!(*warnings.lock().unwrap(), []);
    claim(&store, 10, &key(1), "n");
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    std::thread::sleep(Duration::from_millis(1_050));
    for _ in 0..3 {
        let refused = fails_in_time("claim", || try_claim(&store, 10, &key(1), "m"));
        assert!(refused.contains("volatile-lru"), "{refused}");
    }
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    recovers(&store);
}

#[test]
fn a_redis_server_that_is_too_old_or_gives_no_info_is_refused() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = open_in_a_hurry(&proxy.url()).unwrap();
    for (from, to, why) in [
        ("redis_version:7", "redis_version:6", "and 7 is needed"),
        ("redis_version:7", "redis_version:x", "and 7 is needed"),
        ("run_id:", "run_xx:", "run_id"),
        ("redis_version:", "redis_xxxxxxx:", "redis_version"),
        ("maxmemory_policy:noev", "maxmemory_policy:xxxx", "evicts"),
        ("maxmemory_policy:", "maxmemory_xxxxxx:", "maxmemory_policy"),
        ("role:master", "role:sentin", "replica"),
        ("loading:0", "loading:1", "loading"),
        ("second_repl_offset:", "second_repl_xxxxxx:", "second_repl_offset"),
    ] {
        proxy.rewrite(move |bytes| String::from_utf8(bytes).unwrap().replace(from, to).into());
        let refused = fails_in_time(to, || open_in_a_hurry(&proxy.url()));
        assert!(refused.contains(why), "{to}: {refused}");
        proxy.set(Mode::Pass);
    }
    recovers(&store);
}

/// Adds seconds to the server's answer to `TIME`. No other answer has this form.
fn later(bytes: Vec<u8>, seconds: u64) -> Vec<u8> {
    let mut text = String::from_utf8(bytes).unwrap();
    if let Some(start) = text.find("*2\r\n$10\r\n") {
        let digits = start + 9..start + 19;
        let time: u64 = text[digits.clone()].parse().unwrap();
        text.replace_range(digits, &(time + seconds).to_string());
    }
    text.into_bytes()
}

#[test]
fn a_redis_clock_that_steps_forward_is_noticed() {
    let server = Server::start(&[]);
    let proxy = Proxy::to(server.port);
    let store = open_in_a_hurry(&proxy.url()).unwrap();
    assert!(accepts(&try_claim(&store, 10, &key(1), "a"), 10));
    proxy.rewrite(|bytes| later(bytes, 3));
    assert!(accepts(&try_claim(&store, 10, &key(1), "b"), 10), "as far as answers may be apart");
    proxy.rewrite(|bytes| later(bytes, 60));
    let stepped = fails_in_time("claim", || try_claim(&store, 20, &key(1), "c"));
    assert!(stepped.contains("clock"), "{stepped}");
    // The server's clock is right again, and all handles refuse the same requests.
    for (i, created) in [10, 20, 55].into_iter().enumerate() {
        let answer = try_claim(&store, 20, &key(1), &format!("d-{i}"));
        assert!(answer.is_ok() && !accepts(&answer, created), "{answer:?}");
    }
    assert_eq!(wait(open(&server.url()).unwrap().floor(at(20))).unwrap(), at(55));
    assert!(accepts(&try_claim(&store, 56, &key(1), "e"), 56));
    // The server is reachable again. It may have lost nonces in between, or have restored an older
    // snapshot.
    proxy.set(Mode::Pass);
    let stepped = fails_in_time("claim", || try_claim(&store, 56, &key(1), "f"));
    assert!(stepped.contains("stepped back"), "{stepped}");
    assert!(!accepts(&try_claim(&store, 60, &key(1), "g"), 91));
    assert!(accepts(&try_claim(&store, 92, &key(1), "h"), 92));
}

#[test]
fn a_read_only_handle_changes_no_key() {
    let server = Server::start(&[]);
    let reader = options(&server.url()).open_read_only().unwrap();
    assert_eq!(wait(reader.peek(at(10), &key(1), "n")).unwrap(), None);
    assert!(wait(reader.floor(at(10))).unwrap() >= at(10));
    assert_eq!(server.cli(&["DBSIZE"]), "0");
    let store = server.open().unwrap();
    claim(&store, 10, &key(1), "n");
    assert!(wait(reader.peek(at(10), &key(1), "n")).unwrap().is_some());
    assert_eq!(wait(reader.floor(at(10))).unwrap(), at(5));
    assert!(try_claim(&reader, 10, &key(1), "m").is_err());
    assert!(wait(reader.register(at(10), retention())).is_err());
    assert!(wait(store.peek(at(10), &key(1), "m")).unwrap().is_none());
}
