//! Starts an MCP server that records its requests, and a bridge to the server on a terminal.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rexpect::session::{PtySession, spawn_command};
use tempfile::TempDir;

/// A small MCP server with a destructive tool and a harmless one. It records what reaches it.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let note = note.clone();
                std::thread::spawn(move || serve(stream, &note));
            }
        });
        Server { url, seen }
    }

    /// Returns the bodies of the tool calls that reached the server.
    pub(crate) fn calls(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|body| body.contains("tools/call")).cloned().collect()
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut signed) = (0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            signed |= line.starts_with("signature-input:");
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        assert!(signed, "an unsigned request got through");
        let body = String::from_utf8(body).unwrap();
        let message: serde_json::Value = serde_json::from_str(&body).unwrap();
        let result = match message["method"].as_str() {
            Some("tools/list") => {
                r#"{"tools":[{"name":"delete","annotations":{"destructiveHint":true}},{"name":"look","annotations":{"readOnlyHint":true}}]}"#
            }
            _ => r#"{"content":[{"type":"text","text":"done"}]}"#,
        };
        let id = &message["id"];
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        seen.lock().unwrap().push(body);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
        if write!(stream, "{head}{}\r\n\r\n{answer}", answer.len()).is_err() {
            return;
        }
    }
}

/// Returns the text of a `tools/call` as a client sends it.
pub(crate) fn call(id: u32, tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

/// Returns a folder with a keyfile that has no passphrase, and a file with the client's messages.
pub(crate) fn folder(messages: &[String]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_mcpid"))
        .args(["keygen", "-q", "-o", "key.json", "--no-passphrase"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::write(folder.path().join("in"), messages.join("\n") + "\n").unwrap();
    folder
}

fn settings(command: &mut Command, folder: &Path) {
    command.current_dir(folder).env("HOME", folder);
    for name in ["MCPID_KEY", "MCPID_PASSPHRASE", "MCPID_ASKPASS", "SSH_ASKPASS", "XDG_CONFIG_HOME"]
    {
        command.env_remove(name);
    }
}

/// Starts the bridge on a pseudo-terminal, with files as stdin and stdout. Afterwards the shell
/// prints the bridge's exit code and the state of the terminal.
pub(crate) fn on_terminal(folder: &TempDir, server: &Server, flags: &str) -> PtySession {
    on_terminal_after(folder, server, flags, "true")
}

/// Starts the bridge on a terminal, after the shell has run `before`.
pub(crate) fn on_terminal_after(
    folder: &TempDir,
    server: &Server,
    flags: &str,
    before: &str,
) -> PtySession {
    start(folder, server, flags, before, "")
}

/// Starts the bridge on a terminal, as a background job.
pub(crate) fn in_background(folder: &TempDir, server: &Server, flags: &str) -> PtySession {
    start(folder, server, flags, "set -m", "& wait $!")
}

/// Starts the bridge on a terminal. Before that, `id=N.` is printed, where N is the bridge's
/// process id.
pub(crate) fn with_its_id_shown(folder: &TempDir, server: &Server, flags: &str) -> PtySession {
    // Without this, a shell that has no job control makes background jobs ignore Ctrl-C.
    start(folder, server, flags, "trap '' INT; trap - INT", "& echo \"id=$!.\"; wait $!")
}

/// Starts two bridges on one terminal.
pub(crate) fn two(folder: &TempDir, server: &Server, flags: &str) -> PtySession {
    let second = format!(
        "& first=$!; '{}' connect -k key.json {flags} {} <in >out2 2>err2; wait $first",
        env!("CARGO_BIN_EXE_mcpid"),
        server.url
    );
    start(folder, server, flags, "true", &second)
}

/// Starts a bridge that listens for HTTP, in the foreground of a terminal. It prints its URL on the
/// terminal.
pub(crate) fn listening(folder: &TempDir, server: &Server, flags: &str) -> PtySession {
    let mut shell = Command::new("sh");
    let script = format!(
        // Ctrl-C reaches the shell too, which must survive it to print the exit code.
        "stty echo sane; trap : INT; '{}' connect -k key.json {flags} --listen 127.0.0.1:0 {} 2>err\n\
         echo \"ended $?\"; stty -a | grep -q -- '-echo ' && echo silent || echo echoes; \
         stty -a | grep -q -- '-icanon' && echo raw || echo cooked",
        env!("CARGO_BIN_EXE_mcpid"),
        server.url
    );
    shell.args(["-c", &script]);
    settings(&mut shell, folder.path());
    spawn_command(shell, Some(120_000)).unwrap()
}

/// Sends `body` by POST to `url`, and returns the whole answer.
pub(crate) fn post(url: &str, body: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn start(folder: &TempDir, server: &Server, flags: &str, before: &str, job: &str) -> PtySession {
    let mut shell = Command::new("sh");
    let script = format!(
        "stty echo sane; {before}; '{}' connect -k key.json {flags} {} <in >out 2>err {job}\n\
         echo \"ended $?\"; stty -a | grep -q -- '-echo ' && echo silent || echo echoes; \
         stty -a | grep -q -- '-icanon' && echo raw || echo cooked",
        env!("CARGO_BIN_EXE_mcpid"),
        server.url
    );
    shell.args(["-c", &script]);
    settings(&mut shell, folder.path());
    spawn_command(shell, Some(120_000)).unwrap()
}

/// Checks the bridge's exit code and the state of the terminal. Returns the rest of the terminal's
/// output.
pub(crate) fn ends(mut session: PtySession, code: u8) -> String {
    let before = session.exp_string(&format!("ended {code}")).unwrap();
    let after = session.exp_eof().unwrap();
    assert!(after.contains("echoes"), "the terminal was left without echo: {after}");
    assert!(after.contains("cooked"), "the terminal was left raw: {after}");
    before
}

/// Returns the messages that the client received, one from each line.
pub(crate) fn answers(folder: &TempDir) -> Vec<serde_json::Value> {
    let out = fs::read_to_string(folder.path().join("out")).unwrap();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the bridge without a terminal, with these environment variables.
pub(crate) fn without_terminal(
    folder: &TempDir,
    server: &Server,
    flags: &[&str],
    variables: &[(&str, &Path)],
) -> std::process::Output {
    // The tests themselves may run on a terminal, and setsid detaches the bridge from it.
    let mut command = Command::new("setsid");
    command.args(["-w", env!("CARGO_BIN_EXE_mcpid"), "connect", "-k", "key.json"]);
    command.args(flags).arg(&server.url);
    settings(&mut command, folder.path());
    command.envs(variables.iter().copied());
    command.stdin(fs::File::open(folder.path().join("in")).unwrap());
    command.stdout(fs::File::create(folder.path().join("out")).unwrap());
    command.stderr(Stdio::piped());
    command.output().unwrap()
}
