//! Tests of the Redis store on the command line: listing nonces, the refusal to remove any, and the
//! flags that permit a weaker configuration of the server.

use std::fs;

use serde_json::Value;

use crate::cli::{command, err, json, mcpid, sign, signer};
use crate::redis_servers::{Cluster, Server, Watched};

#[test]
fn servers_are_listed_as_files_are_and_have_nothing_to_prune() {
    let (single, cluster, watched) = (Server::start(&[]), Cluster::start(3, 0), Watched::start());
    let folder = signer();
    let path = folder.path();
    for name in ["1.http", "2.http", "3.http"] {
        sign(path, name);
    }
    let members = |listed: &Value| listed.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let verify = "verify -q -r trust.json --window 600s 1.http 2.http 3.http --nonces";
    mcpid(path, &format!("{verify} sqlite:n.db"), 0);
    let as_file = json(&mcpid(path, "nonce list --json --nonces sqlite:n.db", 0));
    for url in [single.url(), cluster.url(), watched.url()] {
        let list = format!("nonce list --nonces {url}");
        let none = mcpid(path, &list, 0);
        assert!(none.stdout.is_empty(), "{none:?}");
        assert!(err(&none).contains("0 kept; no verifier has used this store"), "{none:?}");
        assert_eq!(
            json(&mcpid(path, &format!("{list} --json"), 0))["nonces"],
            Value::Array(vec![])
        );

        let inspect = format!("inspect --json --nonces {url} 1.http");
        let unseen = serde_json::json!({"seen":false,"first":null,"until":null});
        assert_eq!(json(&mcpid(path, &inspect, 0))["seen"], unseen);
        let claimed = mcpid(path, &format!("{verify} {url} --raise-retention"), 0);
        let seen = &json(&mcpid(path, &inspect, 0))["seen"];
        assert_eq!(seen["seen"], true, "{seen}");
        assert!(seen["until"].as_i64() > seen["first"].as_i64(), "{seen}");
        assert!(!err(&claimed).contains("replayed"), "{claimed:?}");
        let listed = json(&mcpid(path, &format!("{list} --json"), 0));
        assert_eq!(members(&listed), members(&as_file), "{url}");
        assert_eq!((&listed["kept"], &listed["ended"]), (&3.into(), &0.into()));
        assert_eq!((&listed["window"], &listed["ahead"]), (&600.into(), &5.into()));
        assert_eq!(listed["store"], url);
        let ids = |listed: &Value| {
            let rows = listed["nonces"].as_array().unwrap().iter();
            let mut ids: Vec<_> = rows.map(|row| row["id"].clone().to_string()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&listed), ids(&as_file), "the same nonces have the same ids");
        assert_eq!(members(&listed["nonces"][0]), members(&as_file["nonces"][0]));
        assert!(listed["nonces"][0]["first"].is_i64());
        let text = mcpid(path, &list, 0);
        assert_eq!(String::from_utf8(text.stdout.clone()).unwrap().lines().count(), 4);
        assert!(err(&text).contains("3 kept; window 600 s;"), "{text:?}");

        let pruned = mcpid(path, &format!("nonce prune --nonces {url}"), 0);
        assert_eq!(pruned.stdout, b"removed 0\n");
        let said = "a Redis server removes by itself what has ended; 3 are still kept";
        assert!(err(&pruned).contains(said), "{pruned:?}");
        let pruned = json(&mcpid(path, &format!("nonce prune --json --nonces {url}"), 0));
        assert_eq!((&pruned["removed"], &pruned["kept"]), (&0.into(), &3.into()));
        let as_pruned = json(&mcpid(path, "nonce prune --json --nonces sqlite:n.db", 0));
        assert_eq!(members(&pruned), members(&as_pruned));
        assert_eq!(json(&mcpid(path, &format!("{list} --json"), 0))["kept"], 3);
    }
    // The variable can name the store too. If the store's server is gone, listing fails.
    let mut listing = command(path);
    let listing = listing.env("MCPID_NONCES", single.url()).args(["nonce", "list", "--json"]);
    assert_eq!(json(&listing.output().unwrap())["kept"], 3);
    single.kill();
    // Another test may use the port of the stopped server by now. No test listens at this address.
    let gone = single.url().replace("127.0.0.1", "127.0.0.77");
    assert!(gone.contains("127.0.0.77"), "{gone}");
    for act in ["list", "list --json", "prune"] {
        let gone = mcpid(path, &format!("nonce {act} --nonces {gone}"), 5);
        assert!(gone.stdout.is_empty() && err(&gone).contains("could not be reached"), "{gone:?}");
        assert_eq!(err(&gone).matches("Connection refused").count(), 1, "{gone:?}");
    }
}

#[test]
fn servers_that_evict_are_used_only_with_the_option_and_with_a_warning() {
    let server = Server::start(&["--maxmemory-policy", "volatile-lru"]);
    let folder = signer();
    let path = folder.path();
    let url = server.url();
    for (act, code) in [
        ("verify -r trust.json one.http", 0),
        ("inspect one.http", 0),
        ("nonce list", 0),
        ("nonce prune", 0),
        ("verify -r trust.json --at 2026-01-01T00:00:00Z one.http", 1),
    ] {
        sign(path, "one.http");
        let refused = mcpid(path, &format!("{act} --nonces {url}"), 5);
        let why = "evicts: maxmemory-policy is volatile-lru, not noeviction";
        assert!(err(&refused).contains(why) && refused.stdout.is_empty(), "{refused:?}");
        let used = mcpid(path, &format!("{act} --nonces {url} --allow-evicting-store"), code);
        let warning = format!(
            "mcpid: warning: 127.0.0.1:{} evicts what it holds when its memory is full \
             (maxmemory-policy is volatile-lru): a nonce can be used twice",
            server.port
        );
        assert_eq!(err(&used).matches(&warning).count(), 1, "{used:?}");
    }
    for (act, flag) in [
        ("verify -r trust.json one.http", "--allow-evicting-store"),
        ("verify -r trust.json one.http", "--raise-retention"),
        ("inspect one.http", "--allow-evicting-store"),
    ] {
        let alone = mcpid(path, &format!("{act} {flag}"), 2);
        assert!(err(&alone).contains(&format!("{flag} says how")), "{alone:?}");
        assert!(err(&alone).contains("hint: name it: --nonces STORE"), "{alone:?}");
    }
}

#[test]
fn a_longer_window_needs_the_option() {
    let server = Server::start(&[]);
    let folder = signer();
    let path = folder.path();
    sign(path, "one.http");
    for store in [server.url(), "sqlite:n.db".to_owned()] {
        mcpid(path, &format!("verify -q -r trust.json --nonces {store} one.http"), 0);
        sign(path, "one.http");
        let day = format!("verify -r trust.json --window 86400s --nonces {store}");
        let refused = mcpid(path, &format!("{day} one.http"), 5);
        assert!(refused.stdout.is_empty());
        let said = err(&refused);
        assert!(said.contains("it keeps nonces for a window of 30 s and 5 s ahead, and is asked for a window of 86400 s and 5 s ahead: that would close it for all its users for 86405 s"), "{said}");
        let hint =
            format!("mcpid: hint: to do so all the same: mcpid {day} --raise-retention one.http");
        assert!(said.contains(&hint), "{said}");
        let refused = mcpid(path, &format!("{day} --json one.http"), 5);
        let error: Value = serde_json::from_str(err(&refused).lines().last().unwrap()).unwrap();
        assert_eq!(error["error"]["code"], "retention");
        // The failed command did not raise the retention. Listing needs no permission to raise it.
        let list = format!("nonce list --json --nonces {store}");
        assert_eq!(json(&mcpid(path, &list, 0))["window"], 30);
        let at = fs::read_to_string(path.join("one.http")).unwrap();
        let created = at.split("created=").nth(1).unwrap().split(';').next().unwrap().to_owned();
        mcpid(path, &format!("{day} --at @{created} one.http"), 0);
        mcpid(path, &format!("{day} --raise-retention one.http"), 0);
        assert_eq!(json(&mcpid(path, &list, 0))["window"], 86_400);
        // After the retention was raised once, the flag is not needed any more.
        sign(path, "one.http");
        mcpid(path, &format!("{day} one.http"), 0);
    }
}
