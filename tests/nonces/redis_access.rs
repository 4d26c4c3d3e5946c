//! Tests of how the Redis store logs in: users, passwords and rights.

use std::process::Command;

use crate::contract::{accepts, at, retention, try_claim};
use crate::key;
use crate::redis_faults::{chain, fails_in_time, open_in_a_hurry};
use crate::redis_servers::{Server, cli, options};

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
    // A password in the options overrides the password in the URL.
    let password = |text: &str| zeroize::Zeroizing::new(text.to_owned());
    for url in [format!("redis://gate@{host}"), format!("redis://gate:wrong@{host}")] {
        let options = options(&url).password(password("s3cr3t-of-gate"));
        assert!(!format!("{options:?}").contains("s3cr3t"));
        options.open_for_claims(at(0), retention()).unwrap();
    }
    // The Redis user lacks a right that the store needs.
    let acl = ["-a", "s3cr3t-of-all", "--no-auth-warning", "ACL", "SETUSER", "gate", "-info"];
    let made = Command::new("redis-cli").args(["-p", &port]).args(acl).output();
    assert!(made.unwrap().status.success());
    let refused =
        fails_in_time("INFO", || open_in_a_hurry(&format!("redis://gate:s3cr3t-of-gate@{host}")));
    assert!(refused.contains("NOPERM"), "{refused}");
    assert_eq!(cli(server.port, &["PING"]), "NOAUTH Authentication required.");
}
