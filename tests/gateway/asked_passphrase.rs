//! Tests of the signals to a gateway that asked for a passphrase at its start.

use std::fs;

use crate::executable::executable;
use crate::program::{Running, free_port, program, trust};

/// To ask for the passphrase, the program starts a thread that watches for signals. The gateway
/// must still get its own signals: SIGHUP makes it read its files again, and SIGTERM ends it in
/// order.
#[test]
fn a_gateway_that_asked_for_a_passphrase_reads_again_on_sighup_and_ends_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("words"), "correct horse battery\n").unwrap();
    executable(&path("ask"), "#!/bin/sh\necho correct horse battery\n");
    let made = program()
        .args(["keygen", "-q", "--passphrase-file"])
        .arg(path("words"))
        .arg("-o")
        .arg(path("key.json"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (err, out) = (path("err"), path("out"));
    let listen = format!("127.0.0.1:{}", free_port());
    let child = program()
        .env("MCPID_ASKPASS", path("ask"))
        .args(["gateway", "--nonces", "memory:", "--listen", &listen, "--mode", "permissive"])
        .args(["--upstream", "http://127.0.0.1:9/mcp", "--origin", "https://mcp.example.com"])
        .args(["--strict", "destructive", "--tools-key"])
        .arg(path("key.json"))
        .arg("--learned-tools")
        .arg(path("tools.json"))
        .arg("-r")
        .arg(trust(&folder))
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let gateway = Running { child, address: listen.parse().unwrap(), err, out };
    gateway.wait_for("listening at");
    gateway.signal("-HUP");
    gateway.wait_for("read again: 1 trusted");
    let said = gateway.said();
    assert_eq!(gateway.terminate(), 0, "{said}");
}
