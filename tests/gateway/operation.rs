//! Tests that an operator's changes take effect in difficult situations: the log has no reader any
//! more, or a file changes while the gateway starts.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::program::{free_port, program, trust};
use crate::servers::{CALL, Reply, TestUpstream, Wire};

/// A gateway that is killed at the end of the test.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) address: String,
    err: std::path::PathBuf,
}

impl Started {
    pub(crate) fn new(
        folder: &TempDir,
        behind: &TestUpstream,
        stdout: Stdio,
        args: &[&str],
    ) -> Self {
        Started::before(folder, &behind.url(), stdout, args)
    }

    pub(crate) fn before(folder: &TempDir, upstream: &str, stdout: Stdio, args: &[&str]) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let err = folder.path().join("err");
        let child = program()
            .args(["gateway", "--nonces", "memory:", "--listen", &address])
            .args(["--upstream", upstream, "--origin", &format!("http://{address}")])
            .args(args)
            .arg("-r")
            .arg(trust(folder))
            .stdout(stdout)
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Started { child, address, err }
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(&self.address).await {
                return stream;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.said());
            sleep(Duration::from_millis(30));
        }
    }

    async fn reason(&self) -> String {
        let wire = Wire::post(&self.address, "/mcp", CALL);
        let wire = wire.sign(1, &format!("http://{}/mcp", self.address));
        let mut stream = self.connect().await;
        stream.write_all(&wire.bytes()).await.unwrap();
        Reply::read(&mut stream).await.reason()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(50));
    }
}

fn trust_nobody(path: &Path) {
    fs::write(path, "{\"keys\":[]}").unwrap();
}

/// The reader of the gateway's log hangs. Requests are still answered, a revocation takes effect,
/// and the gateway can be stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_log_pipe_delays_neither_a_revocation_nor_the_shutdown() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Started::new(&folder, &behind, Stdio::piped(), &[]);
    let mut stream = gateway.connect().await;
    // Each log line has about 250 bytes, so together they are more than a pipe and a buffer hold.
    for _ in 0..2_000 {
        stream.write_all(&Wire::get(&gateway.address, "/nothing").bytes()).await.unwrap();
        assert_eq!(Reply::read(&mut stream).await.status, 404);
    }
    trust_nobody(&trust(&folder));
    wait_until("the trust file was not read again", || {
        gateway.said().contains("read again: 0 trusted")
    });
    assert_eq!(gateway.reason().await, "key_unknown");
    let pid = gateway.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    drop(stream);
    let mut ended = None;
    wait_until("it did not end", || {
        ended = gateway.child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", gateway.said());
    assert!(gateway.said().contains("log lines"), "what was lost is said: {}", gateway.said());
}

/// Between reading the trust file and serving, the gateway takes slow steps, such as opening a
/// store or a log. A key that is revoked meanwhile must not be trusted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_during_the_start_counts() {
    let behind = TestUpstream::new().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    let path = log.to_str().unwrap();
    let gateway = Started::new(&folder, &behind, Stdio::null(), &["--log", path]);
    // By now the gateway has read the trust file, and waits for a reader of its log.
    sleep(Duration::from_millis(2_000));
    trust_nobody(&trust(&folder));
    let reader = log.clone();
    std::thread::spawn(move || {
        std::io::copy(&mut File::open(reader).unwrap(), &mut std::io::sink())
    });
    let begun = Instant::now();
    loop {
        let reason = gateway.reason().await;
        if reason == "key_unknown" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "still {reason:?}: {}", gateway.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
