//! Tests with users of one Redis who accept signatures of different ages. A user who accepts old
//! ones needs the nonces kept longer, and raising that time blocks the store for a while. Without
//! an option that permits it, such a user cannot block the store for the others, even after the
//! servers have lost their keys.

use mcpid::nonce::{NonceStore as _, Retention};

use crate::contract::{accepts, at, retention, try_claim};
use crate::redis_servers::{Cluster, Server, open, options};
use crate::{key, wait};

/// A retention of a day. After raising the servers' retention to it, the store would refuse
/// requests signed before `now + 86405`.
fn a_day() -> Retention {
    Retention::new(86_400, 5)
}

#[track_caller]
fn is_refused(url: &str, recorded: Option<Retention>) {
    let error = options(url).open_for_claims(at(20), a_day()).unwrap_err();
    let retention_too_short = error.retention_too_short().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!((retention_too_short.recorded, retention_too_short.wanted), (recorded, a_day()));
    assert!(error.to_string().contains("for 86405 s"), "{error}");
}

#[test]
fn a_refused_user_has_changed_no_epoch() {
    let server = Server::start(&[]);
    let store = server.open().unwrap();
    let before = server.cli(&["--raw", "MGET", "mcpid:1:{00}:epoch", "mcpid:1:{ff}:epoch"]);
    is_refused(&server.url(), Some(retention()));
    let after = server.cli(&["--raw", "MGET", "mcpid:1:{00}:epoch", "mcpid:1:{ff}:epoch"]);
    assert_eq!(before, after);
    assert!(accepts(&try_claim(&store, 20, &key(1), "n"), 20));
    let allowed =
        options(&server.url()).allow_raising(true).open_for_claims(at(20), a_day()).unwrap();
    assert_eq!(wait(allowed.floor(at(20))).unwrap(), at(20 + 86_405));
    assert!(!accepts(&try_claim(&store, 1_000, &key(1), "m"), 1_000));
}

#[test]
fn lost_epochs_do_not_permit_a_longer_retention() {
    // If the servers record no retention, a user without the option may block the store for at most
    // 600 s. A retention of a day is therefore refused.
    let server = Server::start(&[]);
    is_refused(&server.url(), None);
    assert_eq!(server.cli(&["DBSIZE"]), "0");
    let store = server.open().unwrap();
    server.cli(&["FLUSHALL"]);
    is_refused(&server.url(), None);
    assert_eq!(server.cli(&["DBSIZE"]), "0", "the idle ones are not closed out");
    for (window, ahead, granted) in [(595, 5, true), (595, 6, false), (596, 5, false)] {
        server.cli(&["FLUSHALL"]);
        let opened = options(&server.url()).open_for_claims(at(20), Retention::new(window, ahead));
        assert_eq!(opened.is_ok(), granted, "{window} {ahead}");
    }
    drop(store);
    // After the server's restart, the epochs are of an earlier run, but the retention that they
    // record is still valid.
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    drop(server.open().unwrap());
    server.kill();
    server.start_again();
    is_refused(&server.url(), Some(retention()));
}

#[test]
fn lost_epochs_of_one_node_do_not_permit_a_longer_retention() {
    let cluster = Cluster::start(3, 0);
    let store = open(&cluster.url()).unwrap();
    cluster.nodes[1].cli(&["FLUSHALL"]);
    for _ in 0..3 {
        // The error comes from the node that answers first.
        let error = options(&cluster.url()).open_for_claims(at(20), a_day()).unwrap_err();
        assert_eq!(error.retention_too_short().unwrap().seconds(), 86_405);
        assert_eq!(cluster.nodes[1].cli(&["DBSIZE"]), "0");
    }
    let floor = wait(store.floor(at(20))).unwrap();
    assert_eq!(floor, at(55), "what the part will be given by who uses it");
}

#[test]
fn a_granted_retention_needs_no_second_permission() {
    let server = Server::start(&[]);
    let long = options(&server.url()).open_for_claims(at(-400), Retention::new(300, 60)).unwrap();
    let short = server.open().unwrap();
    assert!(accepts(&try_claim(&long, 10, &key(1), "n"), 10));
    server.cli(&["FLUSHALL"]);
    // The user with the shorter retention finds the loss first, and writes the longer one that it
    // has read before.
    for i in 0..600 {
        let nonce = format!("short-{i}");
        assert!(!accepts(&try_claim(&short, 1_000, &key(1), &nonce), 1_000));
    }
    for i in 0..600 {
        let nonce = format!("long-{i}");
        assert!(!accepts(&try_claim(&long, 1_000, &key(1), &nonce), 1_000));
    }
    assert_eq!(wait(short.floor(at(1_000))).unwrap(), at(1_360));
    assert!(accepts(&try_claim(&long, 1_361, &key(1), "after"), 1_361));
    let until = wait(long.peek(at(1_361), &key(1), "after")).unwrap().unwrap().until;
    assert!(until >= at(1_361 + 660), "{until:?}");
    wait(long.register(at(1_361), Retention::new(300, 60))).unwrap();
}
