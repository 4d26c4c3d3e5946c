//! Tests of listing the nonces in Redis: each is listed once, from every primary, and no other key
//! is.

use std::collections::BTreeMap;

use mcpid::clock::Timestamp;
use mcpid::nonce::StoreAdmin as _;
use mcpid::nonce::redis::Redis;

use crate::contract::{at, claim, is_fresh, retention};
use crate::redis_servers::{Cluster, Server, Watched, open, options};
use crate::{key, wait};

/// Returns the nonces of all pages of the list, each of about `limit` nonces.
fn all(reader: &Redis, limit: u32) -> BTreeMap<[u8; 32], (Option<Timestamp>, Timestamp)> {
    let (mut all, mut from) = (BTreeMap::new(), None);
    loop {
        let page = wait(reader.list(at(10), from, limit)).unwrap();
        // Redis returns whole buckets of its table, so a page can be somewhat longer.
        assert!(page.kept.len() <= 3 * usize::try_from(limit).unwrap(), "{}", page.kept.len());
        all.extend(page.kept.iter().map(|kept| (kept.id, (kept.first, kept.until))));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

#[test]
fn every_nonce_of_every_primary_is_listed() {
    let (single, cluster, watched) = (Server::start(&[]), Cluster::start(3, 1), Watched::start());
    for url in [single.url(), cluster.url(), watched.url()] {
        let store = open(&url).unwrap();
        for i in 0..3_000 {
            assert!(is_fresh(claim(&store, 10, &key(1), &i.to_string())));
        }
        let reader = options(&url).open_read_only().unwrap();
        for limit in [50, 1_000] {
            let listed = all(&reader, limit);
            assert_eq!(listed.len(), 3_000, "{url}");
            for i in 0..3_000 {
                let (first, until) = listed[&mcpid::nonce::id(&key(1), &i.to_string())];
                assert_eq!(first, Some(at(10)), "{url}");
                // The server's own clock, which has advanced a little, determines when a nonce
                // expires.
                assert!((at(40)..=at(81)).contains(&until), "{url} {until}");
            }
        }
        let about = wait(reader.state(at(10))).unwrap();
        assert_eq!((about.floor, about.retention), (at(5), Some(retention())), "{url}");
    }
}

#[test]
fn only_nonces_of_mcpid_are_listed() {
    let server = Server::start(&[]);
    // The prefix contains every character that has a meaning in a pattern.
    let odd = "a*b?[c]^d-e\\\\";
    let url = format!("{}?prefix={}", server.url(), "a*b?%5Bc%5D%5Ed-e%5C%5C");
    let store = open(&url).unwrap();
    assert!(is_fresh(claim(&store, 10, &key(1), "ours")));
    let theirs = server.open().unwrap();
    assert!(is_fresh(claim(&theirs, 10, &key(1), "theirs")));
    let id = "A".repeat(43);
    for name in [
        format!("{odd}mcpid:1:{{00}}:"),
        format!("{odd}mcpid:1:{{00}}:x"),
        format!("{odd}mcpid:1:{{01}}:{id}"),
        format!("{odd}mcpid:1:{{00}}:{}B", &id[1..]),
        format!("{odd}mcpid:1:{{0x}}:{id}"),
        format!("{odd}mcpid:1:{{00}}::{id}"),
        format!("axb?[c]^d-e{odd}mcpid:1:{{00}}:{id}"),
    ] {
        server.cli(&["SET", &name, "1.x"]);
    }
    for (url, nonce) in [(url, "ours"), (server.url(), "theirs")] {
        let listed = all(&options(&url).open_read_only().unwrap(), 10);
        let ids: Vec<_> = listed.into_keys().collect();
        assert_eq!(ids, [mcpid::nonce::id(&key(1), nonce)], "{url}");
    }
}

#[test]
fn listing_an_empty_server_writes_no_key() {
    let server = Server::start(&[]);
    let reader = options(&server.url()).open_read_only().unwrap();
    assert_eq!(all(&reader, 10).len(), 0);
    let about = wait(reader.state(at(10))).unwrap();
    assert_eq!(about.retention, None);
    assert!(about.floor >= at(10), "{about:?}");
    assert_eq!(server.cli(&["DBSIZE"]), "0");
    // After the server's restart, listing does not write a new epoch, although storing a nonce
    // would.
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    claim(&server.open().unwrap(), 10, &key(1), "n");
    server.kill();
    server.start_again();
    let reader = options(&server.url()).open_read_only().unwrap();
    let before = server.cli(&["GET", "mcpid:1:{00}:epoch"]);
    assert_eq!(all(&reader, 10).len(), 1);
    let about = wait(reader.state(at(20))).unwrap();
    assert_eq!((about.floor, about.retention), (at(55), Some(retention())));
    assert_eq!(server.cli(&["GET", "mcpid:1:{00}:epoch"]), before);
}

#[test]
fn a_server_that_cannot_be_listed_is_an_error() {
    let cluster = Cluster::start(3, 0);
    let store = open(&cluster.url()).unwrap();
    for i in 0..100 {
        claim(&store, 10, &key(1), &i.to_string());
    }
    let reader = options(&cluster.url()).open_read_only().unwrap();
    cluster.nodes[2].kill();
    let (mut from, mut listed) = (None, 0);
    let error = loop {
        match wait(reader.list(at(10), from, 1_000)) {
            Ok(page) => {
                listed += page.kept.len();
                from = Some(page.next.expect("the list of a part is not the whole list"));
            }
            Err(error) => break error,
        }
    };
    assert!(listed < 100, "{listed} {error}");
    // The value of the nonce's key has another type.
    let server = Server::start(&[]);
    claim(&server.open().unwrap(), 10, &key(1), "n");
    let name = server.cli(&["--raw", "KEYS", "*:???????????????????????????????????????????"]);
    server.cli(&["DEL", &name]);
    server.cli(&["LPUSH", &name, "x"]);
    assert!(
        wait(options(&server.url()).open_read_only().unwrap().list(at(10), None, 10_000)).is_err()
    );
}
