//! Tests of the Redis store over TLS: with a single server, a cluster and Sentinels. The servers
//! use TLS among themselves too.

use std::process::Command;

use tempfile::TempDir;

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::key;
use crate::redis_faults::{fails_in_time, open_in_a_hurry};
use crate::redis_servers::{Cluster, Server, Watched, open, options, until};

/// Creates two certificate authorities, and a server certificate for 127.0.0.1 from one of them.
fn certificates(folder: &TempDir) {
    let run = |command: &str| {
        let mut openssl = Command::new("openssl");
        let made = openssl.args(command.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for ca in ["ca", "other"] {
        run(&format!(
            "req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca} -days 2 \
             -addext keyUsage=critical,keyCertSign"
        ));
    }
    run(&format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
    let names = "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(folder.path().join("names"), names).unwrap();
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem");
}

#[test]
fn redis_over_tls_verifies_the_servers_certificate() {
    let folder = TempDir::new().unwrap();
    certificates(&folder);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let server = Server::start(&[
        "--tls-port",
        "{port}",
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{}", server.port);
    let store = open(&format!("{url}?ca={}", file("ca.pem"))).unwrap();
    assert!(accepts(&try_claim(&store, 10, &key(1), "n"), 10));
    assert!(!is_fresh(claim(&store, 10, &key(1), "n")));
    for (what, url) in [
        ("the system's authorities", url.clone()),
        ("another authority", format!("{url}?ca={}", file("other.pem"))),
        ("another name", format!("rediss://localhost:{}?ca={}", server.port, file("ca.pem"))),
        ("no certificate", format!("{url}?ca={}", file("ca.key"))),
        ("no file", format!("{url}?ca={}", file("none.pem"))),
        ("no TLS", format!("redis://127.0.0.1:{}", server.port)),
    ] {
        fails_in_time(what, || open_in_a_hurry(&url));
    }
    let plain = Server::start(&[]);
    let url = format!("rediss://127.0.0.1:{}?ca={}", plain.port, file("ca.pem"));
    fails_in_time("TLS to a server without", || open_in_a_hurry(&url));
}

/// Returns the flags for a server that uses TLS with clients and with other servers.
fn flags(folder: &TempDir) -> Vec<String> {
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let flags = [
        ("--tls-port", "{port}".to_owned()),
        ("--tls-cert-file", file("server.pem")),
        ("--tls-key-file", file("server.key")),
        ("--tls-ca-cert-file", file("ca.pem")),
        ("--tls-auth-clients", "no".to_owned()),
        ("--tls-replication", "yes".to_owned()),
        ("--tls-cluster", "yes".to_owned()),
    ];
    flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

/// Returns the URL that connects by TLS with the right authority, and URLs that must fail.
fn urls(plain: &str, folder: &TempDir) -> (String, Vec<(&'static str, String)>) {
    let secure = plain.replacen("redis", "rediss", 1);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let bad = vec![
        ("the system's authorities", secure.clone()),
        ("another authority", format!("{secure}?ca={}", file("other.pem"))),
        (
            "another name",
            format!("{}?ca={}", secure.replace("127.0.0.1", "localhost"), file("ca.pem")),
        ),
        ("no TLS", plain.to_owned()),
    ];
    (format!("{secure}?ca={}", file("ca.pem")), bad)
}

#[test]
fn a_redis_cluster_is_reached_over_tls() {
    let folder = TempDir::new().unwrap();
    certificates(&folder);
    let cluster = Cluster::start_with(3, 1, &flags(&folder));
    let (url, bad) = urls(&cluster.url(), &folder);
    for (what, url) in &bad {
        fails_in_time(what, || open_in_a_hurry(url));
    }
    let (one, other) = (open(&url).unwrap(), open(&url).unwrap());
    for i in 0..100 {
        let nonce = i.to_string();
        assert!(accepts(&try_claim(&one, 10, &key(1), &nonce), 10));
        assert!(!is_fresh(claim(&other, 10, &key(1), &nonce)));
    }
    // Each primary has a third of the 256 epochs, and of the nonces.
    for node in &cluster.nodes[..3] {
        let keys: u64 = node.cli(&["DBSIZE"]).parse().unwrap();
        assert!(keys > 90, "{keys}");
    }
    cluster.nodes[0].kill();
    until("the replica is primary", || {
        cluster.nodes[3].cli(&["INFO", "replication"]).contains("role:master")
            && cluster.nodes[1].cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    until("all parts take claims again", || {
        (0..100).all(|i| {
            let answer = try_claim(&one, 20, &key(2), &format!("{i}"));
            answer.is_ok()
        })
    });
    for i in 0..100 {
        assert!(!accepts(&try_claim(&one, 20, &key(1), &i.to_string()), 10));
        assert!(accepts(&try_claim(&one, 56, &key(3), &i.to_string()), 56));
    }
}

#[test]
fn sentinels_and_their_servers_are_reached_over_tls() {
    let folder = TempDir::new().unwrap();
    certificates(&folder);
    let watched = Watched::start_with(&flags(&folder));
    let (url, bad) = urls(&watched.url(), &folder);
    for (what, url) in &bad {
        fails_in_time(what, || open_in_a_hurry(url));
    }
    let store = options(&url).open_for_claims(at(-30), retention()).unwrap();
    for i in 0..30 {
        assert!(accepts(&try_claim(&store, 10, &key(1), &i.to_string()), 10));
    }
    watched.servers[0].kill();
    until("the replica takes claims", || {
        let answer = try_claim(&store, 20, &key(7), "n");
        assert!(!accepts(&answer, 20), "{answer:?}");
        answer.is_ok()
    });
    for i in 0..30 {
        assert!(!accepts(&try_claim(&store, 20, &key(1), &i.to_string()), 10));
        assert!(accepts(&try_claim(&store, 56, &key(2), &i.to_string()), 56));
    }
}
