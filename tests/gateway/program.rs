//! Starts the program `mcpid` as a user starts it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mcpid::key::{Sign as _, format};
use tempfile::TempDir;

use crate::servers::{CALL, Reply, Wire, key};

/// A running gateway, which is stopped when this value is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) err: PathBuf,
    pub(crate) out: PathBuf,
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPID_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Writes a trust file with alice's key, and returns its path.
pub(crate) fn trust(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("trust.json");
    if !path.exists() {
        let jwk = folder.path().join("alice.jwk");
        fs::write(&jwk, format::jwk(key(1).public(), None)).unwrap();
        let added = program()
            .args(["trust", "add", "--name", "alice", "-r"])
            .args([&path, &jwk])
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    }
    path
}

static STARTED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

pub(crate) use crate::ports::free_port;

impl Running {
    pub(crate) fn start(folder: &TempDir, args: &[&str]) -> Self {
        Running::start_at(folder, &format!("127.0.0.1:{}", free_port()), args)
    }

    /// Starts a gateway whose origin, in its clients' URLs, is the address that it listens on.
    pub(crate) fn start_for_own_address(folder: &TempDir, scheme: &str, args: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let origin = format!("{scheme}://{listen}");
        Running::start_at(folder, &listen, &[args, &["--origin", &origin]].concat())
    }

    pub(crate) fn start_at(folder: &TempDir, listen: &str, args: &[&str]) -> Self {
        Running::start_command(folder, "gateway", listen, args)
    }

    /// Starts the command `gateway` or `authz`.
    pub(crate) fn start_command(
        folder: &TempDir,
        command: &str,
        listen: &str,
        args: &[&str],
    ) -> Self {
        let number = STARTED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let err = folder.path().join(format!("err-{number}"));
        let out = folder.path().join(format!("out-{number}"));
        let child = program()
            .args([command, "--nonces", "memory:", "--listen", listen, "-r"])
            .arg(trust(folder))
            .args(args)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let address = listen.parse().unwrap_or_else(|_| "127.0.0.1:1".parse().unwrap());
        let running = Running { child, address, err, out };
        running.wait_for("listening at");
        // A new nonce store refuses requests that were signed before its start, so this waits until
        // such requests have expired.
        sleep(Duration::from_secs(7));
        running
    }

    /// Starts a gateway that must fail to start. Returns its exit code and its messages.
    pub(crate) fn fails(folder: &TempDir, listen: &str, args: &[&str]) -> (i32, String) {
        let output = program()
            .args(["gateway", "--nonces", "memory:", "--listen", listen, "-r"])
            .arg(trust(folder))
            .args(args)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// Returns the gateway's log on stdout, as soon as it has a line.
    pub(crate) fn log(&self) -> String {
        let begun = Instant::now();
        loop {
            let text = fs::read_to_string(&self.out).unwrap();
            if !text.is_empty() || begun.elapsed() > Duration::from_secs(30) {
                return text;
            }
            sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn wait_for(&self, words: &str) {
        let begun = Instant::now();
        while !self.said().contains(words) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no {words:?} in {}", self.said());
            sleep(Duration::from_millis(30));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let killed = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(killed.unwrap().success());
    }

    /// Stops the gateway by SIGTERM, as an operator does. Returns its exit code.
    pub(crate) fn terminate(mut self) -> i32 {
        self.signal("-TERM");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Stops the gateway by SIGKILL, as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn send(&self, wire: &Wire) -> Reply {
        use tokio::io::AsyncWriteExt as _;
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&wire.bytes()).await.unwrap();
        Reply::read(&mut stream).await
    }

    pub(crate) fn plain(&self) -> Wire {
        Wire::post(&self.address.to_string(), "/mcp", CALL)
    }

    pub(crate) fn signed(&self) -> Wire {
        self.plain().sign(1, &format!("http://{}/mcp", self.address))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn get(address: &str, path: &str, host: &str) -> Reply {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(&Wire::get(host, path).bytes()).await.unwrap();
    Reply::read(&mut stream).await
}
