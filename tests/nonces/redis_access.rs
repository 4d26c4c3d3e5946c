//! Nonces on Redis: who may, with which password, and over TLS.

use std::process::Command;

use tempfile::TempDir;

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::key;
use crate::redis_faults::{chain, fails_in_time, open_in_a_hurry};
use crate::redis_servers::{Server, cli, open, options};

#[test]
fn passwords_are_needed_and_not_shown() {
    let server = Server::start(&["--requirepass", "s3cr3t-of-all"]);
    let port = server.port.to_string();
    let acl = ["-a", "s3cr3t-of-all", "--no-auth-warning", "ACL", "SETUSER", "gate", "on"];
    let rights = [">s3cr3t-of-gate", "~mcpid:1:*", "+@all"];
    let made = Command::new("redis-cli").args(["-p", &port]).args(acl).args(rights).output();
    assert!(made.unwrap().status.success());
    let host = format!("127.0.0.1:{port}");
    for (user, good) in [
        (":s3cr3t-of-all@", true),
        ("default:s3cr3t-of-all@", true),
        ("gate:s3cr3t-of-gate@", true),
        ("", false),
        (":s3cr3t-of-gate@", false),
        (":s3cr3t-of-al@", false),
        ("gate:s3cr3t-of-all@", false),
        ("g%61te:s3cr3t-of-gate@", true),
        ("nobody:s3cr3t-of-gate@", false),
    ] {
        let url = format!("redis://{user}{host}");
        let shown = format!("{:?}", options(&url));
        assert!(shown.contains(&host) && !shown.contains("s3cr3t") && !shown.contains("gate"));
        match open_in_a_hurry(&url) {
            Ok(store) => {
                assert!(good, "{url}");
                assert!(accepts(&try_claim(&store, 10, &key(1), &url), 10));
                let shown = format!("{store:?}");
                assert!(shown.contains(&host) && !shown.contains("s3cr3t"), "{shown}");
                assert!(!shown.contains("gate"), "{shown}");
            }
            Err(error) => {
                assert!(!good, "{url} {error:?}");
                let shown = format!("{error:?} {}", chain(&error));
                assert!(!shown.contains("s3cr3t") && !shown.contains("nobody"), "{shown}");
            }
        }
    }
    // The password from elsewhere goes before the one in the URL.
    let password = |text: &str| zeroize::Zeroizing::new(text.to_owned());
    for url in [format!("redis://gate@{host}"), format!("redis://gate:wrong@{host}")] {
        let options = options(&url).password(password("s3cr3t-of-gate"));
        assert!(!format!("{options:?}").contains("s3cr3t"));
        options.open(at(0), retention()).unwrap();
    }
    // Rights that do not reach.
    let acl = ["-a", "s3cr3t-of-all", "--no-auth-warning", "ACL", "SETUSER", "gate", "-info"];
    let made = Command::new("redis-cli").args(["-p", &port]).args(acl).output();
    assert!(made.unwrap().status.success());
    let refused =
        fails_in_time("INFO", || open_in_a_hurry(&format!("redis://gate:s3cr3t-of-gate@{host}")));
    assert!(refused.contains("NOPERM"), "{refused}");
    assert_eq!(cli(server.port, &["PING"]), "NOAUTH Authentication required.");
}

/// A certificate authority, and a server's certificate for 127.0.0.1.
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
fn tls() {
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
