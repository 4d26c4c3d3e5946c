//! Tests of the command `mcpid authz`, started as a user starts it.

use std::fs;

use tempfile::TempDir;

use super::{told, whole};
use crate::program::{Running, free_port, get, program, trust};
use crate::servers::{CALL, Wire};

/// Runs a `mcpid authz` that must fail to start. Returns its exit code and messages.
fn fails(folder: &TempDir, args: &[&str]) -> (i32, String) {
    let output = program().args(["authz", "-r"]).arg(trust(folder)).args(args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_unsafe_authorizer_does_not_start() {
    let folder = TempDir::new().unwrap();
    let tools = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (tools("tools.json", r#"{"tools":[{"name":"a"}]}"#), tools("bad.json", "{"));
    let none = tools("none.json", r#"{"tools":[]}"#);
    let error = tools("error.json", r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#);
    let origin = ["--origin", "https://mcp.example.com"];
    let local = ["--listen", "127.0.0.1:1"];
    let destructive = ["--mode", "permissive", "--strict", "destructive"];
    let cases: Vec<(Vec<&str>, i32, &str)> = vec![
        (origin.to_vec(), 2, "--listen is missing"),
        (local.to_vec(), 2, "--origin is missing"),
        ([&origin[..], &["--listen", "0.0.0.0:1"]].concat(), 2, "can be reached by other machines"),
        ([&origin[..], &["--listen", "[::]:1"]].concat(), 2, "can be reached by other machines"),
        (
            [&origin[..], &local, &["--allow-remote"]].concat(),
            2,
            "--allow-remote would change nothing",
        ),
        ([&origin[..], &local, &["--refuse-with", "200"]].concat(), 2, "lets a request through"),
        ([&origin[..], &local, &destructive].concat(), 2, "needs --tools"),
        ([&origin[..], &local, &["--tools", &good]].concat(), 2, "--tools would change nothing"),
        ([&origin[..], &local, &destructive, &["--tools", &bad]].concat(), 3, "cannot be read"),
        ([&origin[..], &local, &destructive, &["--tools", &none]].concat(), 3, "lists no tool"),
        ([&origin[..], &local, &destructive, &["--tools", &error]].concat(), 3, "lists no tool"),
        ([&origin[..], &local, &destructive, &["--tools", "missing"]].concat(), 3, "missing"),
        ([&origin[..], &local, &["--path-prefix", "authz"]].concat(), 2, "--path-prefix"),
        (
            [&origin[..], &local, &["--dialect", "traefik", "--path-prefix", "/a"]].concat(),
            2,
            "--path-prefix would change nothing",
        ),
        ([&origin[..], &local, &["--dialect", "nginx"]].concat(), 2, "--dialect"),
        ([&origin[..], &local, &["--profile", "rfc9421"]].concat(), 2, "mcpid authz --profile mcp"),
        ([&origin[..], &local, &["--upstream", "http://127.0.0.1:1/"]].concat(), 2, "--upstream"),
    ];
    for (args, code, words) in cases {
        let (exit, said) = fails(&folder, &args);
        assert_eq!(exit, code, "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_answers_with_log_metrics_and_policy() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("authz.toml");
    let tools = folder.path().join("tools.json");
    fs::write(&tools, r#"{"tools":[{"name":"list","annotations":{"readOnlyHint":true}}]}"#)
        .unwrap();
    let (listen, admin) = (free_port(), free_port());
    let text = format!(
        "origin = [\"http://127.0.0.1:{listen}\"]\nmode = \"permissive\"\nstrict = [\"destructive\"]\n\
         tools = {tools:?}\nadmin = \"127.0.0.1:{admin}\"\n"
    );
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let listen = format!("127.0.0.1:{listen}");
    let checked = program()
        .args(["authz", "--config", config, "--listen", &listen, "--check-config", "-r"])
        .arg(trust(&folder))
        .output()
        .unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    let first = format!("ok: permissive, {listen}, /mcp for envoy, 1 trusted\n");
    assert!(said.starts_with(&first), "{said}");

    let running = Running::start_command(&folder, "authz", &listen, &["--config", config]);
    running.wait_for(&format!("listening at {listen}, for envoy"));
    let call = |name: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"}}}}"#
        );
        whole(Wire::post(&listen, "/mcp", &body))
    };
    let reply = running.send(&whole(running.signed())).await;
    assert_eq!((reply.status, told(&reply)[0], told(&reply)[3]), (200, "verified", "alice"));
    let reply = running.send(&call("list")).await;
    assert_eq!((reply.status, told(&reply)[0]), (200, "unsigned"));
    let reply = running.send(&call("drop")).await;
    assert_eq!((reply.status, reply.reason().as_str()), (403, "signature_missing"));
    let admin = format!("127.0.0.1:{admin}");
    assert_eq!(get(&admin, "/readyz", &admin).await.status, 200);
    let numbers = String::from_utf8(get(&admin, "/metrics", &admin).await.body).unwrap();
    assert!(numbers.contains(r#"outcome="passed",status="verified""#), "{numbers}");
    assert!(running.log().contains(r#""outcome":"passed""#));
    let taken = CALL.len();
    assert!(running.log().contains(&format!(r#""sent":{taken}"#)));
    assert_eq!(running.terminate(), 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_program_answers_at_a_unix_socket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("authz.sock");
    let listen = format!("unix:{}", socket.display());
    let origin = "https://mcp.example.com";
    let running = Running::start_command(&folder, "authz", &listen, &["--origin", origin]);
    let wire = Wire::post("mcp.example.com", "/mcp", CALL).sign(1, &format!("{origin}/mcp"));
    let wire = whole(wire).with("Connection", "close");
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    stream.write_all(&wire.bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("mcpid-status: verified"), "{answer}");
    assert_eq!(running.terminate(), 0);
}
