//! Tests with a Redis server that lost nonces and kept the epochs (the records that show a loss).
//! No replay is accepted, neither through the handle that stored the nonce nor through a new one,
//! with one server, a cluster, and Sentinel.

use std::thread::sleep;
use std::time::Duration;

use mcpid::nonce::NonceStore;
use mcpid::nonce::redis::Redis;

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::redis_servers::{Cluster, Server, Watched, open, options, until};
use crate::{key, wait};

const CLAIMED: usize = 200;

fn claim_many(store: &Redis) {
    for i in 0..CLAIMED {
        assert!(accepts(&try_claim(store, 10, &key(1), &format!("n-{i}")), 10));
    }
}

fn lost(store: &Redis) -> usize {
    let gone = |i: &usize| wait(store.peek(at(11), &key(1), &format!("n-{i}"))).unwrap().is_none();
    (0..CLAIMED).filter(gone).count()
}

/// Sends all requests again, second by second, for as long as any of them could be accepted. Each
/// must be refused.
#[track_caller]
fn refuses_all(store: &dyn NonceStore, now: i64) {
    for i in 0..CLAIMED {
        let answer = try_claim(store, now, &key(1), &format!("n-{i}"));
        assert!(!accepts(&answer, 10), "n-{i}: {answer:?}");
    }
}

/// Checks that the store works again after a loss, and refuses requests signed before it.
#[track_caller]
fn recovers(store: &dyn NonceStore, url: &str) {
    let answers: Vec<_> =
        (0..3).map(|i| try_claim(store, 21, &key(1), &format!("m-{i}"))).collect();
    assert!(answers.iter().all(|answer| !accepts(answer, 21)), "{answers:?}");
    assert!(answers.iter().any(Result::is_ok), "{answers:?}");
    let floor = wait(store.floor(at(21))).unwrap();
    assert!((at(40)..=at(60)).contains(&floor), "{floor:?}");
    for (i, store) in [store, &open(url).unwrap()].into_iter().enumerate() {
        let nonce = format!("after-{i}");
        assert!(accepts(&try_claim(store, 100, &key(2), &nonce), 100));
        assert!(!is_fresh(claim(store, 100, &key(2), &nonce)));
    }
}

/// Makes the server remove keys to free memory (eviction), as an operator or a tool could.
fn evict(server: &Server, policy: &str) {
    let used = server.cli(&["INFO", "memory"]);
    let used: u64 =
        used.lines().find_map(|l| l.strip_prefix("used_memory:")).unwrap().trim().parse().unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory-policy", policy]);
    // The policy removes some random keys, or all keys that have an expiry.
    let room = if policy.ends_with("random") { used - 3_000 } else { 1_000_000 };
    server.cli(&["CONFIG", "SET", "maxmemory", &room.to_string()]);
    server.cli(&["SET", "{00}x", "y"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let stats = server.cli(&["INFO", "stats"]);
    assert!(!stats.contains("evicted_keys:0\r"), "{policy}: {stats}");
}

#[test]
fn an_eviction_between_two_readings_is_noticed() {
    for policy in
        ["volatile-ttl", "volatile-random", "allkeys-random", "allkeys-lru", "volatile-lfu"]
    {
        let server = Server::start(&[]);
        let store = server.open().unwrap();
        claim_many(&store);
        // Every handle, at any time, refuses the same requests.
        let later = policy.starts_with("volatile");
        evict(&server, policy);
        assert!(lost(&store) > 0, "{policy}");
        if later {
            let other = options(&server.url()).open_for_claims(at(12), retention()).unwrap();
            refuses_all(&other, 12);
        }
        refuses_all(&store, 12);
        recovers(&store, &server.url());
    }
}

#[test]
fn an_eviction_with_reset_counters_is_noticed() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    claim_many(&store);
    evict(&server, "allkeys-random");
    server.cli(&["CONFIG", "RESETSTAT"]);
    assert!(lost(&store) > 0);
    refuses_all(&store, 12);
    recovers(&store, &server.url());
}

#[test]
fn an_eviction_in_a_cluster_and_behind_sentinel_is_noticed() {
    let (cluster, watched) = (Cluster::start(3, 0), Watched::start());
    let urls = [cluster.url(), watched.url()];
    for (url, server) in urls.iter().zip([&cluster.nodes[1], &watched.servers[0]]) {
        let store = open(url).unwrap();
        claim_many(&store);
        let held = lost(&store);
        assert_eq!(held, 0);
        evict_on(server);
        assert!(lost(&store) > 0, "{url}");
        refuses_all(&store, 12);
        refuses_all(&options(url).open_for_claims(at(12), retention()).unwrap(), 12);
    }
    // The requests whose nonces are on the other two servers, two thirds of all, are still
    // accepted.
    let store = open(&urls[0]).unwrap();
    let good = (0..60).filter(|i| accepts(&try_claim(&store, 20, &key(3), &i.to_string()), 20));
    assert!(good.count() > 10);
}

/// Makes one node of a cluster remove keys, like [`evict`], with a key that the node holds.
fn evict_on(server: &Server) {
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    until("it has evicted", || {
        for tag in ["00", "01", "02", "03", "04", "05", "06", "07"] {
            server.cli(&["SET", &format!("{{{tag}}}x"), "y"]);
        }
        !server.cli(&["INFO", "stats"]).contains("evicted_keys:0\r")
    });
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
}

/// Returns how many keys the server holds, including the store's own.
fn held(server: &Server) -> usize {
    server.cli(&["DBSIZE"]).parse().unwrap()
}

#[test]
fn a_redis_clock_that_steps_forward_and_back_unseen_accepts_no_replay() {
    for ahead in [36, 60, 120, 86_400] {
        let server = Server::start_with_clock(&[]);
        let store = server.open().unwrap();
        claim_many(&store);
        server.set_clock(ahead);
        sleep(Duration::from_millis(400));
        if ahead > 70 {
            until("expired keys are removed", || held(&server) < CLAIMED / 2);
        }
        server.set_clock(0);
        if ahead > 70 {
            assert!(lost(&store) > CLAIMED / 2, "{ahead}");
        }
        refuses_all(&store, 12);
        if lost(&store) > 0 || ahead > 70 {
            refuses_all(&options(&server.url()).open_for_claims(at(12), retention()).unwrap(), 12);
            recovers(&store, &server.url());
        }
    }
}

#[test]
fn a_clock_step_while_no_client_is_connected_is_noticed() {
    for clocks in [[120, 0], [-120, 0], [120, 120]] {
        let server = Server::start_with_clock(&[]);
        if clocks[0] < 0 {
            server.set_clock(clocks[0]);
        }
        let store = server.open().unwrap();
        claim_many(&store);
        drop(store);
        for ahead in clocks {
            server.set_clock(ahead);
            sleep(Duration::from_millis(400));
            if ahead > clocks[0].min(0) {
                until("expired keys are removed", || held(&server) < CLAIMED / 2);
            }
        }
        let store = options(&server.url()).open_for_claims(at(12), retention()).unwrap();
        assert!(lost(&store) > CLAIMED / 2, "{clocks:?}");
        refuses_all(&store, 12);
    }
}

#[test]
fn a_clock_step_in_a_cluster_is_noticed() {
    let url = |servers: &[Server]| format!("redis://127.0.0.1:{}", servers[0].port);
    let servers = [Server::start_with_clock(&["--appendonly", "yes"])];
    let stores = [open(&url(&servers)).unwrap(), open(&url(&servers)).unwrap()];
    claim_many(&stores[0]);
    // One of two handles asks the server for the time while its clock is wrong, and the other does
    // not.
    servers[0].set_clock(120);
    assert!(try_claim(&stores[0], 11, &key(5), "seen").is_err());
    servers[0].set_clock(0);
    for store in &stores {
        refuses_all(store, 12);
    }
}

#[test]
fn a_verifier_clock_that_steps_back_accepts_no_replay() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    assert!(accepts(&try_claim(&store, 100, &key(1), "n"), 100));
    // An hour passes for the caller, and the server removes the first nonce because it has expired.
    assert!(accepts(&try_claim(&store, 3_700, &key(1), "m"), 3_700));
    for claim in server.cli(&["KEYS", "mcpid:1:{??}:???????????????????*"]).lines() {
        server.cli(&["DEL", claim]);
    }
    let answer = try_claim(&store, 101, &key(1), "n");
    assert!(answer.is_ok() && !accepts(&answer, 100), "{answer:?}");
    assert!(!accepts(&try_claim(&store, 101, &key(1), "o"), 3_700 - 65));
    assert!(accepts(&try_claim(&store, 3_700, &key(1), "p"), 3_700 - 64));
}

#[test]
fn one_missing_epoch_is_a_sign_for_all_tags() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    claim_many(&store);
    let id = mcpid::nonce::id(&key(1), "n-0");
    let (tag, other) = (format!("{:02x}", id[0]), format!("{:02x}", id[0] ^ 1));
    // Some expired keys are removed, as by a server whose clock was set back since.
    for claim in server.cli(&["KEYS", &format!("mcpid:1:{{{tag}}}:???????????????????*")]).lines() {
        server.cli(&["DEL", claim]);
    }
    server.cli(&["DEL", &format!("mcpid:1:{{{other}}}:epoch")]);
    sleep(Duration::from_millis(1_100));
    let answer = try_claim(&store, 12, &key(1), "n-0");
    assert!(!accepts(&answer, 10), "{answer:?}");
    assert!(wait(store.floor(at(12))).unwrap() >= at(40));
    refuses_all(&store, 12);
}

#[test]
fn another_database_swapped_in_is_noticed() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    let other = open(&format!("{}/1", server.url())).unwrap();
    claim_many(&store);
    server.cli(&["SWAPDB", "0", "1"]);
    assert_eq!(lost(&store), CLAIMED);
    refuses_all(&store, 12);
    refuses_all(&options(&server.url()).open_for_claims(at(12), retention()).unwrap(), 12);
    drop(other);
}

#[test]
fn an_older_copy_loaded_without_a_restart_is_noticed() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let store = server.open().unwrap();
    server.cli(&["SAVE"]);
    claim_many(&store);
    server.cli(&["DEBUG", "RELOAD", "NOSAVE"]);
    assert_eq!(lost(&store), CLAIMED);
    sleep(Duration::from_millis(1_100));
    refuses_all(&store, 12);
}

fn epoch_ends(server: &Server) -> Vec<i64> {
    let script = "local ends = {} \
        for _, key in ipairs(redis.call('KEYS', '*:epoch')) do \
        table.insert(ends, redis.call('PTTL', key)) end return ends";
    server.cli(&["EVAL", script, "0"]).lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn an_epoch_ends_unless_a_user_keeps_it() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    claim_many(&store);
    let ends = epoch_ends(&server);
    assert!(ends.len() == 256 && ends.iter().all(|ms| (1..=35_000).contains(ms)), "{ends:?}");
    let soon = "for _, key in ipairs(redis.call('KEYS', '*:epoch')) do \
        redis.call('PEXPIRE', key, 15000) end";
    server.cli(&["EVAL", soon, "0"]);
    // No nonce is stored, but the epochs (the records that show a loss) are still renewed.
    until("their ends are put off", || epoch_ends(&server).iter().all(|ms| *ms > 20_000));
    assert!(accepts(&try_claim(&store, 20, &key(2), "n"), 20));
    drop(store);
    server.cli(&["EVAL", &soon.replace("15000", "1"), "0"]);
    sleep(Duration::from_millis(50));
    let store = options(&server.url()).open_for_claims(at(30), retention()).unwrap();
    assert_eq!(wait(store.floor(at(30))).unwrap(), at(65));
}
