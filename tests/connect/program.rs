//! Tests of the command `connect`, started as an MCP client starts it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{call, old_call, request};
use crate::server::{Piece, Reply, Server};
use crate::sessions::{initialize, initialized, usual};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mcpid");

/// Returns a folder with the key that the test's server trusts.
pub(crate) fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let seed: String = (0..32_u8).map(|n| format!("{:02x}", n ^ 0x5a)).collect();
    fs::write(folder.path().join("seed"), seed).unwrap();
    let made = command(folder.path())
        .args(["keygen", "-o", "key.json", "--name", "k", "--import", "seed", "--no-passphrase"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    folder
}

pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).env("HOME", folder).env_remove("RUST_BACKTRACE");
    for name in ["MCPID_KEY", "MCPID_PASSPHRASE", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    for name in ["MCPID_ASKPASS", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    command
}

pub(crate) fn connect(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = command(folder);
    command.args(["connect", "-k", "key.json"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts the command, writes `lines` to it, closes its input, and waits until it ends.
pub(crate) async fn piped(mut command: Command, lines: Vec<Value>) -> Output {
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        for line in lines {
            // The program may end before it has read all of its input.
            if writeln!(input, "{line}").is_err() {
                break;
            }
        }
        drop(input);
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

pub(crate) fn messages(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdout_carries_messages_and_nothing_else() {
    let server = Server::start(usual).await;
    let folder = folder();
    for flags in [&["-v"][..], &["--quiet"], &["--json"], &["--log-file", "log"]] {
        let mut arguments = flags.to_vec();
        let url = server.url();
        arguments.push(&url);
        let mut call = old_call(1, "t", json!({}));
        call["id"] = json!("ž");
        // This message causes a warning.
        let lines = vec![initialize(), initialized(), json!([1]), call];
        let output = piped(connect(folder.path(), &arguments), lines).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let answers = messages(&output);
        assert_eq!(answers.len(), 3, "{answers:?}");
        assert!(answers.iter().any(|answer| answer["id"] == "ž" && answer.get("result").is_some()));
        let logs = flags.contains(&"--log-file");
        assert_eq!(err(&output).contains("not sent: "), !logs, "{}", err(&output));
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let line = log.lines().find(|line| line.contains(" warning: not sent: ")).unwrap();
    assert!(line.starts_with("20") && line.contains("Z warning: "), "{line}");
    let mode = fs::metadata(folder.path().join("log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_come_from_flags_files_and_variables_and_are_never_shown() {
    let server = Server::start(|seen| Reply::json(seen.text("ok"))).await;
    let folder = folder();
    fs::write(folder.path().join("headers"), "X-Team: blue\n\nX-More: ${MORE}\n").unwrap();
    let url = server.url();
    let arguments = ["-v", "-H", "Authorization: Bearer ${TOKEN}", "-H", "@headers", &url];
    let mut command = connect(folder.path(), &arguments);
    command.env("TOKEN", "s3cret").env("MORE", "m0re");
    let output = piped(command, vec![call(1, "t", json!({}))]).await;
    assert!(messages(&output)[0].get("result").is_some(), "{output:?}");
    assert!(!format!("{output:?}").contains("s3cret") && !format!("{output:?}").contains("m0re"));
    let seen = &server.seen()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer s3cret"));
    assert_eq!((seen.header("x-team"), seen.header("x-more")), (Some("blue"), Some("m0re")));
    // The signature must not cover the access token, because covered fields become part of
    // evidence.
    assert!(!seen.header("signature-input").unwrap().contains("authorization"));
}

#[test]
fn wrong_arguments_are_reported_before_the_bridge_starts() {
    let folder = folder();
    fs::write(folder.path().join("text"), "no certificate").unwrap();
    let long = "x".repeat(300);
    for (arguments, code, words) in [
        (vec!["mcp.example.com/mcp"], 2, "is not an http or https URL"),
        (vec!["ftp://h/"], 2, "is not an http or https URL"),
        (vec!["https://u:p4ss@h/mcp"], 2, "URL: "),
        (vec!["https://h/mcp#x"], 2, "fragment"),
        (vec!["https://h/a b"], 2, "URL: "),
        (vec!["-H", "Authorization", "https://h/"], 2, "a header is a name, a colon and a value"),
        (vec!["-H", "Host: x", "https://h/"], 2, "host is not for -H"),
        (vec!["-H", "Mcp-Name: x", "https://h/"], 2, "mcp-name is not for -H"),
        (
            vec!["-H", "A: ${NOT_SET_ANYWHERE}", "https://h/"],
            2,
            "NOT_SET_ANYWHERE, which -H a names, is not set",
        ),
        (vec!["-H", "@nowhere", "https://h/"], 3, "cannot read nowhere"),
        (vec!["--confirm", ":x", "https://h/"], 2, "--confirm cannot be ':x'"),
        (vec!["--confirm-via", "client", "https://h/"], 2, "--confirm"),
        (vec!["--listen", "127.0.0.1", "https://h/"], 2, "--listen 127.0.0.1"),
        (vec!["--listen", "0.0.0.0:0", "https://h/"], 2, "other machines can connect there"),
        (vec!["--listen", "[::]:0", "https://h/"], 2, "other machines can connect there"),
        (vec!["--allow-remote", "https://h/"], 2, "--listen"),
        (
            vec!["--allow-origin", "x", "--listen", "127.0.0.1:0", "https://h/"],
            2,
            "--allow-origin x",
        ),
        (
            vec!["--listen", "unix:/nowhere/s", "http://127.0.0.1/"],
            5,
            "cannot listen at unix:/nowhere/s",
        ),
        (vec!["--client-id", "ü", "http://127.0.0.1/"], 2, "--client-id"),
        (vec!["--client-id", &long, "http://127.0.0.1/"], 2, "--client-id"),
        (vec!["--ca", "nowhere", "https://h/"], 3, "cannot read nowhere"),
        (vec!["--ca", "text", "https://h/"], 3, "no certificate"),
        (vec!["--log-file", "/nowhere/log", "https://h/"], 3, "cannot write /nowhere/log"),
        (vec!["-k", "nowhere.json", "https://h/"], 3, "cannot read nowhere.json"),
        (vec!["--timeout", "5", "https://h/"], 2, "a unit is missing"),
        (vec![], 2, "URL"),
    ] {
        let mut command = command(folder.path());
        command.arg("connect").stdin(Stdio::null());
        if !arguments.contains(&"-k") {
            command.args(["-k", "key.json"]);
        }
        let output = command.args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", err(&output));
        assert!(err(&output).starts_with("mcpid: "), "{}", err(&output));
        assert!(err(&output).contains(words), "{arguments:?}: {}", err(&output));
        assert!(output.stdout.is_empty() && !err(&output).contains("p4ss"));
    }
}

fn spawn(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bridge_works_on_sockets_and_files_as_on_pipes() {
    let server = Server::start(|seen| Reply::json(seen.text(&"ä".repeat(200_000)))).await;
    let folder = folder();
    let lines = format!("{}\n{}\n", call(1, "t", json!({})), call(2, "t", json!({})));
    fs::write(folder.path().join("in"), &lines).unwrap();
    let check = |text: &str| {
        let mut ids: Vec<i64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|message| {
                assert_eq!(
                    message["result"]["content"][0]["text"].as_str().unwrap().len(),
                    400_000
                );
                message["id"].as_i64().unwrap()
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
    };

    let mut command = connect(folder.path(), &[&server.url()]);
    command.stdin(fs::File::open(folder.path().join("in")).unwrap());
    command.stdout(fs::File::create(folder.path().join("out")).unwrap());
    let status = tokio::task::spawn_blocking(move || command.status().unwrap()).await.unwrap();
    assert!(status.success());
    check(&fs::read_to_string(folder.path().join("out")).unwrap());

    // Node.js connects a child process by socket pairs, not by pipes.
    let (mut to, input) = UnixStream::pair().unwrap();
    let (mut from, output) = UnixStream::pair().unwrap();
    let mut command = connect(folder.path(), &[&server.url()]);
    command.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(output));
    let mut child = command.spawn().unwrap();
    drop(command);
    let text = tokio::task::spawn_blocking(move || {
        to.write_all(lines.as_bytes()).unwrap();
        to.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        from.read_to_string(&mut text).unwrap();
        text
    });
    check(&text.await.unwrap());
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_the_log_is_served_all_the_same() {
    let server = Server::start(|seen| match seen.rpc() {
        // Each of these events makes the bridge log a line. Together the lines are far more than a
        // pipe can hold.
        "tools/list" => Reply::sse()
            .bytes(format!("data: {{\"x\":\"{}\"}}\n\n", "y".repeat(100)).repeat(4_000))
            .event(&seen.result(json!({}))),
        _ => Reply::json(seen.text("ok")),
    })
    .await;
    let folder = folder();
    let (mut child, mut output) = spawn(connect(folder.path(), &["-v", &server.url()]));
    let unread = child.stderr.take().unwrap();
    let mut input = child.stdin.take().unwrap();
    let done = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        for id in 0..3 {
            writeln!(input, "{}\n{}", request(id, "tools/list"), call(id + 10, "t", json!({})))
                .unwrap();
            for _ in 0..2 {
                line.clear();
                output.read_line(&mut line).unwrap();
                assert!(line.contains("\"result\""), "{line}");
            }
        }
        drop(input);
    });
    tokio::time::timeout(Duration::from_secs(60), done).await.unwrap().unwrap();
    let begun = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(60));
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_cannot_fill_the_disk_with_the_log() {
    let server = Server::start(|seen| {
        Reply::sse().bytes("data: {}\n\n".repeat(20_000)).event(&seen.text("ok"))
    })
    .await;
    let folder = folder();
    let command = connect(folder.path(), &["-v", "--log-file", "log", &server.url()]);
    let output = piped(command, vec![call(1, "t", json!({}))]).await;
    assert!(messages(&output)[0].get("result").is_some(), "{output:?}");
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert!((900..=1_010).contains(&lines.len()), "{} lines", lines.len());
    let left_out: u64 = lines
        .iter()
        .filter_map(|line| line.split_once(" lines of the log were too many")?.0.rsplit(' ').next())
        .map(|number| number.parse::<u64>().unwrap())
        .sum();
    assert!(left_out >= 19_000, "{left_out} of 20,000 are said to be left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_bridge_in_an_orderly_way() {
    for (name, code) in [("TERM", 0), ("INT", 130)] {
        let server = Server::start(|seen| match seen.rpc() {
            "tools/call" => Reply::sse().piece(Piece::Hang),
            _ => usual(seen),
        })
        .await;
        let folder = folder();
        let command = connect(folder.path(), &[&server.url()]);
        let (mut child, mut output) = spawn(command);
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", initialize()).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        writeln!(input, "{}\n{}", initialized(), old_call(1, "t", json!({}))).unwrap();
        server.until(|seen| seen.iter().any(|seen| seen.rpc() == "tools/call")).await;
        signal(&child, name);
        let begun = Instant::now();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("told to stop"), "{rest}");
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(60));
        // The bridge's input was open all the time, so something else ended the bridge.
        drop(input);
        assert_eq!(server.seen().last().unwrap().method, "DELETE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listening_bridge_prints_its_url_and_serves_until_a_signal() {
    let server = Server::start(usual).await;
    let folder = folder();
    for json in [false, true] {
        let url = server.url();
        let mut arguments = vec!["--listen", "127.0.0.1:0", &url];
        if json {
            arguments.push("--json");
        }
        let (mut child, mut output) = spawn(connect(folder.path(), &arguments));
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let at = match json {
            false => line.trim().to_owned(),
            true => {
                serde_json::from_str::<Value>(&line).unwrap()["url"].as_str().unwrap().to_owned()
            }
        };
        let rest = at.strip_prefix("http://127.0.0.1:").unwrap();
        let parts: Vec<_> = rest.split('/').collect();
        assert!(parts.len() == 3 && parts[1].len() == 22 && parts[2] == "mcp", "{at}");
        let body = old_call(1, "t", json!({})).to_string();
        let answer = Command::new("curl")
            .args(["-sS", "-H", "Content-Type: application/json", "--data-binary", &body, &at])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&answer.stdout).contains("\"ok\""), "{answer:?}");
        signal(&child, "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passphrase_is_never_taken_from_the_clients_messages() {
    let server = Server::start(usual).await;
    let folder = folder();
    let sealed = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/keys/sealed.json");
    let mut command = Command::new("setsid");
    command.args(["-w", BINARY, "connect", "-k", sealed, &server.url()]);
    command.current_dir(folder.path()).env("HOME", folder.path()).env_remove("MCPID_PASSPHRASE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = piped(command, vec![json!("correct horse")]).await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(err(&output).contains("--passphrase-file"), "{}", err(&output));
    assert!(output.stdout.is_empty() && server.seen().is_empty());
}
