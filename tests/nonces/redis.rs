//! Tests of the Redis store: the contract (the tests that every store must pass), and which nonces
//! are lost by a single server, a cluster and Sentinel.

use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use mcpid::nonce::redis::PrimaryWarning;
use mcpid::nonce::{Claim, NonceStore as _, Retention};

use crate::contract::{START, accepts, at, claim, is_fresh, retention, try_claim};
use crate::redis_servers::{Cluster, Server, Watched, open, options, until, warned};
use crate::{key, wait};

/// Runs the tests of the contract for a store whose clock does not follow the test's time.
macro_rules! holds {
    ($name:ident, $place:expr) => {
        mod $name {
            use super::*;
            $crate::holds_the_contract! { $place,
                own_clock: a_longer_window_is_refused_unless_allowed
            }
        }
    };
}

holds!(single, Server::start(&[]));
holds!(cluster, Cluster::start(3, 0));
holds!(sentinel, Watched::start());

#[test]
fn a_claim_ends_by_the_servers_clock() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    assert!(accepts(&try_claim(&store, 10, &key(1), "n"), 10));
    let id: String =
        server.cli(&["--raw", "KEYS", "*:???????????????????????????????????????????"]);
    let left: i64 = server.cli(&["PTTL", &id]).parse().unwrap();
    // The nonce is kept for 70 s: 30 for which a signature is valid, 5 for clients whose clock is
    // ahead, a margin of 30, and 5 more because the request was signed ahead of time.
    assert!((50_000..=70_000).contains(&left), "{left}");
    let seen = wait(store.peek(at(11), &key(1), "n")).unwrap().unwrap();
    assert_eq!(seen.first, Some(at(10)));
    // A nonce that must be kept longer is kept longer. One that may be kept shorter is not.
    for (nonce, until, least) in [("long", 500, 486_000), ("short", 11, 66_000)] {
        assert!(is_fresh(wait(store.claim(at(10), &key(1), nonce, at(until))).unwrap()));
        let left = wait(store.peek(at(10), &key(1), nonce)).unwrap().unwrap().until;
        assert!(left >= at(10 + least / 1_000), "{nonce} {left}");
    }
    assert_eq!(server.cli(&["PEXPIRE", &id, "12000"]), "1");
    assert!(!is_fresh(claim(&store, 10, &key(1), "n")));
    std::thread::sleep(Duration::from_millis(12_100));
    assert_eq!(wait(store.peek(at(80), &key(1), "n")).unwrap(), None);
    assert!(is_fresh(claim(&store, 80, &key(1), "n")));
}

#[test]
fn keys_look_as_documented() {
    let server = Server::start(&[]);
    let store = open(&format!("{}/3?prefix=app:", server.url())).unwrap();
    claim(&store, 10, &key(1), "n");
    let id = mcpid::nonce::id(&key(1), "n");
    let keys = server.cli(&["-n", "3", "KEYS", "*"]);
    let tag = format!("app:mcpid:1:{{{:02x}}}:", id[0]);
    let claims: Vec<_> = keys.lines().filter(|key| !key.ends_with(":epoch")).collect();
    assert_eq!(claims.len(), 1);
    assert!(claims[0].starts_with(&tag) && claims[0].len() == tag.len() + 43, "{claims:?}");
    assert_eq!(keys.lines().count(), 257, "an epoch for every tag");
    assert!(keys.lines().all(|key| key.starts_with("app:mcpid:1:{")));
    let epoch = server.cli(&["-n", "3", "GET", &format!("{tag}epoch")]);
    let words: Vec<_> = epoch.split(' ').collect();
    let run_id = server.cli(&["INFO", "server"]);
    let term: Vec<_> = words[0].split('/').collect();
    assert!(run_id.contains(&format!("run_id:{}", term[0])), "{epoch}");
    assert_eq!(term[1..], ["-1", "0-0", "3"], "never put down, nothing loaded, the database");
    assert_eq!(words[1..], [(START + 5).to_string(), "30".into(), "5".into(), "0".into()]);
    // A store with another prefix or database is separate.
    assert!(is_fresh(claim(&open(&server.url()).unwrap(), 10, &key(1), "n")));
}

/// Checks the state after nonces were lost at second `now`: no handle accepts a request that was
/// signed by then, and every handle accepts later ones.
#[track_caller]
fn has_forgotten(store: &dyn mcpid::nonce::NonceStore, url: &str, now: i64) {
    let floor = now + 5 + 30;
    let mut refused = 0;
    for i in 0..30 {
        let answer = try_claim(store, now, &key(1), &format!("old-{i}"));
        assert!(!accepts(&answer, now), "{answer:?}");
        refused += i32::from(answer.is_err());
    }
    assert!(refused > 0, "the first to find it is told that nothing is known");
    let other = options(url).open_for_claims(at(now), retention()).unwrap();
    assert_eq!(wait(other.floor(at(now))).unwrap(), at(floor));
    assert_eq!(wait(store.floor(at(now))).unwrap(), at(floor));
    for store in [store, &other] {
        for i in 0..30 {
            for created in [10, now, floor] {
                let answer = try_claim(store, now, &key(1), &format!("old-{i}"));
                assert!(!accepts(&answer, created), "{created} {answer:?}");
            }
        }
    }
    for i in 0..30 {
        let nonce = format!("new-{i}");
        assert!(accepts(&try_claim(store, floor + 1, &key(2), &nonce), floor + 1));
        assert!(!is_fresh(claim(&other, floor + 1, &key(2), &nonce)));
    }
}

fn claim_thirty(store: &dyn mcpid::nonce::NonceStore) {
    for i in 0..30 {
        let answer = try_claim(store, 10, &key(1), &format!("old-{i}"));
        assert!(accepts(&answer, 10), "{answer:?}");
    }
}

#[test]
fn a_flush_is_noticed() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    claim_thirty(&store);
    server.cli(&["FLUSHALL"]);
    has_forgotten(&store, &server.url(), 20);
}

#[test]
fn a_restart_is_noticed_and_keeps_persisted_nonces() {
    for (appendonly, kept) in [("no", false), ("yes", true)] {
        let server = Server::start(&["--appendonly", appendonly, "--appendfsync", "always"]);
        let store = server.open().unwrap();
        claim_thirty(&store);
        server.kill();
        server.start_again();
        for i in 0..30 {
            let seen = wait(store.peek(at(11), &key(1), &format!("old-{i}"))).unwrap();
            assert_eq!(seen.is_some(), kept, "{appendonly}");
        }
        if kept {
            // The store still recognises a replay.
            assert!(!is_fresh(claim(&store, 20, &key(1), "old-1")));
            assert!(try_claim(&store, 20, &key(9), "anything").is_err());
        } else {
            has_forgotten(&store, &server.url(), 20);
        }
    }
}

#[test]
fn a_damaged_epoch_counts_as_missing() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    let id = mcpid::nonce::id(&key(1), "n");
    let epoch = format!("mcpid:1:{{{:02x}}}:epoch", id[0]);
    let good = server.cli(&["GET", &epoch]);
    let words: Vec<_> = good.split(' ').collect();
    let bad = [
        String::new(),
        "x".to_owned(),
        format!("{good} "),
        format!("{good} 1"),
        good.replacen(' ', "  ", 1),
        good.replacen(words[0], "0000000000000000000000000000000000000000", 1),
        format!("{} +{} {} {} 0", words[0], words[1], words[2], words[3]),
        format!("{} {} 030 {} 0", words[0], words[1], words[3]),
        format!("{} {} -30 {} 0", words[0], words[1], words[3]),
        format!("{} {} {} {}", words[0], words[1], words[2], words[3]),
        format!("{} {} {} {} 1", words[0], words[1], words[2], words[3]),
        format!("{} {} {} {} -1", words[0], words[1], words[2], words[3]),
    ];
    for bad in &bad {
        // The stored nonces are deleted. No replay is accepted, because the store reads its epoch
        // (the record that shows a loss) for each new nonce.
        for key in server.cli(&["KEYS", "*"]).lines().filter(|key| !key.ends_with(":epoch")) {
            server.cli(&["DEL", key]);
        }
        server.cli(&["SET", &epoch, bad]);
        assert!(try_claim(&store, 20, &key(1), "n").is_err(), "{bad}");
        server.cli(&["SET", &epoch, bad]);
        assert_eq!(wait(store.floor(at(20))).unwrap(), at(55), "{bad}");
        assert_eq!(server.cli(&["GET", &epoch]), *bad, "a look changes nothing");
    }
    // The epoch's key holds a value of another type.
    server.cli(&["DEL", &epoch]);
    server.cli(&["LPUSH", &epoch, "x"]);
    assert!(
        try_claim(&store, 20, &key(1), "m").is_err() || id[0] != mcpid::nonce::id(&key(1), "m")[0]
    );
    assert!(wait(store.floor(at(20))).is_err());
}

#[test]
fn an_idle_handle_learns_of_a_longer_retention() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    claim_thirty(&store);
    let longer = options(&server.url()).allow_raising(true);
    let longer = longer.open_for_claims(at(20), Retention::new(300, 60)).unwrap();
    assert_eq!(wait(longer.floor(at(20))).unwrap(), at(20 + 60 + 300));
    // Much later, the first nonce is stored through the handle that has not read the record of
    // losses (the epoch) yet.
    assert!(accepts(&try_claim(&store, 1_000, &key(1), "n"), 1_000));
    let seen = wait(longer.peek(at(1_000), &key(1), "n")).unwrap().unwrap();
    assert!(seen.until >= at(1_000 + 300 + 60 + 300), "{seen:?}");
    // After all keys are lost, the user with the shorter retention writes new epochs first. The
    // other user's handle raises their retention again.
    server.cli(&["FLUSHALL"]);
    for i in 0..30 {
        assert!(!accepts(&try_claim(&store, 2_000, &key(1), &format!("{i}")), 2_000));
        let answer = try_claim(&longer, 2_000, &key(2), &format!("{i}"));
        assert!(!accepts(&answer, 2_000), "{answer:?}");
    }
    wait(longer.register(at(2_000), Retention::new(300, 60))).unwrap();
    assert_eq!(wait(store.floor(at(2_000))).unwrap(), at(2_360));
}

#[test]
fn a_fail_over_in_a_cluster_is_noticed() {
    let cluster = Cluster::start(3, 1);
    let store = open(&cluster.url()).unwrap();
    claim_thirty(&store);
    cluster.nodes[0].kill();
    until("the replica is primary", || {
        cluster.nodes[3].cli(&["INFO", "replication"]).contains("role:master")
            && cluster.nodes[1].cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    let (mut gone, mut known) = (0, 0);
    for i in 0..200 {
        // The store recovers without a restart, on its old connections.
        let answer = try_claim(&store, 20, &key(3), &format!("{i}"));
        match &answer {
            Ok(Claim::Fresh { floor }) if *floor == at(5) => known += 1,
            answer => {
                assert!(!accepts(answer, 20), "{answer:?}");
                gone += 1;
            }
        }
    }
    assert!(gone > 30 && known > 60, "a third of the tags: {gone} {known}");
    assert!(has_a_new_floor(&store));
    for i in 0..30 {
        assert!(!is_fresh_above(&store, 20, &format!("old-{i}"), 10));
    }
    for i in 0..30 {
        assert!(accepts(&try_claim(&store, 56, &key(1), &format!("new-{i}")), 56));
    }
}

/// Returns true if the store accepts only requests signed after about second 20. The exact time
/// varies, because the task that renews epochs may find the loss before any request does, and
/// estimates the time.
fn has_a_new_floor(store: &dyn mcpid::nonce::NonceStore) -> bool {
    (at(45)..=at(55)).contains(&wait(store.floor(at(20))).unwrap())
}

fn is_fresh_above(
    store: &dyn mcpid::nonce::NonceStore,
    now: i64,
    nonce: &str,
    created: i64,
) -> bool {
    accepts(&try_claim(store, now, &key(1), nonce), created)
}

#[test]
fn a_fail_over_by_sentinel_is_noticed() {
    let watched = Watched::start();
    let (options, warnings) = warned(options(&watched.url()));
    let store = options.open_for_claims(at(-30), retention()).unwrap();
    let server = format!("127.0.0.1:{}", watched.servers[0].port);
    let heard = warnings.lock().unwrap().clone();
    assert!(heard.contains(&PrimaryWarning::Unguarded { server: server.clone() }), "{heard:?}");
    assert!(heard.contains(&PrimaryWarning::NotPersistent { server }), "{heard:?}");
    claim_thirty(&store);
    // The server stops answering, and its connections stay open.
    watched.servers[0].signal("-STOP");
    until("the replica is primary", || {
        watched.servers[1].cli(&["INFO", "replication"]).contains("role:master")
    });
    until("it takes claims again", || {
        let answer = try_claim(&store, 20, &key(7), "n");
        assert!(!accepts(&answer, 20), "{answer:?}");
        answer.is_ok()
    });
    for i in 0..60 {
        let answer = try_claim(&store, 20, &key(1), &format!("old-{i}"));
        assert!(!accepts(&answer, 20), "{answer:?}");
    }
    assert!(has_a_new_floor(&store));
    assert!(accepts(&try_claim(&store, 56, &key(1), "new"), 56));
    // The old primary continues, and takes itself for the primary for a moment.
    watched.servers[0].signal("-CONT");
    for i in 0..20 {
        let late = open(&watched.url()).unwrap();
        assert!(!accepts(&try_claim(&late, 20, &key(1), &format!("old-{i}")), 20));
    }
}

#[test]
fn a_primary_that_was_demoted_in_between_counts_as_another_server() {
    let first = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let second = Server::start(&["--repl-diskless-sync-delay", "0"]);
    let follow = |who: &Server, whom: &Server| {
        who.cli(&["REPLICAOF", "127.0.0.1", &whom.port.to_string()]);
        until("the link is up", || {
            who.cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
    };
    let store = first.open().unwrap();
    // The second server has lost all keys. The clients return to the first one, in the same process
    // and on the same connection.
    let epochs = first.cli(&["GET", "mcpid:1:{00}:epoch"]);
    claim_thirty(&store);
    follow(&second, &first);
    second.cli(&["REPLICAOF", "NO", "ONE"]);
    for key in second.cli(&["KEYS", "*"]).lines().filter(|key| !key.ends_with("epoch")) {
        second.cli(&["DEL", key]);
    }
    follow(&first, &second);
    assert!(try_claim(&store, 20, &key(1), "replica").is_err());
    first.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(first.cli(&["GET", "mcpid:1:{00}:epoch"]), epochs);
    std::thread::sleep(Duration::from_millis(1_100));
    has_forgotten(&store, &first.url(), 20);
}

const ROLE: &str = "MCPID_TEST_REDIS";

/// Each of the eight processes of [`one_of_many_processes_claims_each_nonce`] runs this function.
/// It is not a test itself.
#[test]
fn process_that_claims_for_another_test() {
    let Ok(url) = env::var(ROLE) else { return };
    let store = open(&url).unwrap();
    let won: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let fresh = |i: &usize| is_fresh(claim(&store, 10, &key(1), &i.to_string()));
                    (0..50).filter(fresh).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let lines: String = won.iter().map(|i| format!("\nwon {i}\n")).collect();
    std::io::stdout().write_all(lines.as_bytes()).unwrap();
}

#[test]
fn one_of_many_processes_claims_each_nonce() {
    let (single, cluster, watched) = (Server::start(&[]), Cluster::start(3, 0), Watched::start());
    for url in [single.url(), cluster.url(), watched.url()] {
        let start = || {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "redis::process_that_claims_for_another_test", "--nocapture"])
                .env(ROLE, &url)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..8).map(|_| start()).collect();
        let mut won: Vec<usize> = Vec::new();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).unwrap();
            let line = |line: &str| line.strip_prefix("won ").and_then(|i| i.parse::<usize>().ok());
            won.extend(text.lines().filter_map(line));
        }
        won.sort_unstable();
        assert_eq!(won, (0..50).collect::<Vec<_>>(), "{url}");
    }
}
