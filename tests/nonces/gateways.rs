//! Tests of the running gateway when its nonce store fails: no replay is accepted, and `/readyz`,
//! the log, stderr and the metrics say why requests are refused.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::redis_servers::{Server, free_port, until};

const BODY: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay"}}"#;

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcpid"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MCPID_")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// A gateway that trusts one key, and an upstream that counts requests.
struct GatewayWithUpstream {
    folder: TempDir,
    upstream: u16,
    passed: Arc<AtomicUsize>,
    listen: u16,
    admin: u16,
    gateway: Option<Child>,
}

impl GatewayWithUpstream {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&passed);
        thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let counter = Arc::clone(&counter);
                thread::spawn(move || {
                    let mut buffer = [0; 8192];
                    while let Ok(1..) = client.read(&mut buffer) {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                        if client.write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let (listen, admin) = (free_port(), free_port());
        let setup = GatewayWithUpstream { folder, upstream, passed, listen, admin, gateway: None };
        let (key, trust) = (setup.path("key.json"), setup.path("trust.json"));
        for args in [
            &["keygen", "--no-passphrase", "--name", "alice", "-o", &key][..],
            &["trust", "add", "-r", &trust, &key],
        ] {
            let done = program(args).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        fs::write(setup.path("body"), BODY).unwrap();
        setup
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts the gateway, and waits until it listens.
    fn spawn(&mut self, nonces: &str) {
        let append =
            |name| File::options().create(true).append(true).open(self.path(name)).unwrap();
        let url = |port| format!("http://127.0.0.1:{port}");
        let listen = |port| format!("127.0.0.1:{port}");
        let mut command = program(&["gateway", "--nonces", nonces, "-r", &self.path("trust.json")]);
        command.args(["--upstream", &(url(self.upstream) + "/mcp"), "--origin", &url(self.listen)]);
        command.args(["--listen", &listen(self.listen), "--admin", &listen(self.admin)]);
        command.stdout(append("log")).stderr(append("err"));
        self.gateway = Some(command.spawn().unwrap());
        until("it listens", || TcpStream::connect(("127.0.0.1", self.listen)).is_ok());
    }

    /// Starts the gateway, and waits until it is ready.
    fn start(&mut self, nonces: &str) {
        self.spawn(nonces);
        for _ in 0..1_200 {
            if self.get("/readyz").starts_with("HTTP/1.1 200") {
                return;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("not ready: {} {}", self.get("/readyz"), self.read("err"));
    }

    fn kill(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            let _gone = gateway.kill();
            gateway.wait().unwrap();
        }
    }

    fn signed(&self) -> Vec<u8> {
        let url = format!("http://127.0.0.1:{}/mcp", self.listen);
        let (key, body) = (self.path("key.json"), self.path("body"));
        let signed = program(&["sign", "-k", &key, "--url", &url, "--format", "http", &body]);
        let signed = { signed }.output().unwrap();
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        signed.stdout
    }

    /// Sends a request and returns the status of the answer, or 0 if there is none.
    fn send(&self, request: &[u8]) -> u16 {
        exchange(self.listen, request).get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        exchange(self.admin, head.as_bytes())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sends an accepted request again, for as long as its signature is valid. The gateway must
    /// refuse it each time.
    #[track_caller]
    fn refuses(&self, request: &[u8]) {
        let passed = self.passed.load(Ordering::SeqCst);
        for _ in 0..5 {
            let status = self.send(request);
            assert!(matches!(status, 403 | 503), "{status}");
            sleep(Duration::from_millis(100));
        }
        assert_eq!(self.passed.load(Ordering::SeqCst), passed);
    }

    /// Checks that clients get the reason `why`, and that no request is accepted.
    #[track_caller]
    fn says(&self, why: &str) {
        assert_eq!(self.send(&self.signed()), 503, "{why}");
        until(why, || {
            let (ready, numbers) = (self.get("/readyz"), self.get("/metrics"));
            ready.starts_with("HTTP/1.1 503")
                && ready.contains(why)
                && !numbers.contains("mcpid_store_errors_total 0")
                && self.read("err").contains(why)
                && self.read("log").contains(why)
        });
        assert_eq!(self.read("err").matches("the nonce store").count(), 1, "{}", self.read("err"));
    }
}

impl Drop for GatewayWithUpstream {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exchange(port: u16, request: &[u8]) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let _sent = stream.write_all(request);
    let mut answer = Vec::new();
    let mut buffer = [0; 65_536];
    // Reads until a complete answer has arrived, or until the connection ends.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer);
        let length = text
            .lines()
            .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.trim().parse().ok());
        if let (Some(at), Some(length)) = (text.find("\r\n\r\n"), length)
            && answer.len() >= at + 4 + usize::min(length, 1 << 20)
        {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_replay_is_refused_after_redis_has_evicted_or_its_clock_has_stepped() {
    let attacks: [fn(&Server); 2] = [
        |server| {
            for words in [
                &["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"][..],
                &["CONFIG", "SET", "maxmemory", "1mb"],
                &["SET", "x", "y"],
                &["CONFIG", "SET", "maxmemory", "0"],
                &["CONFIG", "SET", "maxmemory-policy", "noeviction"],
            ] {
                server.cli(words);
            }
        },
        |server| {
            let held = || server.cli(&["DBSIZE"]).parse::<usize>().unwrap();
            let before = held();
            server.set_clock(120);
            until("expired keys are removed", || held() < before / 2);
            server.set_clock(0);
        },
    ];
    thread::scope(|scope| {
        for attack in attacks {
            scope.spawn(move || {
                let server = Server::start_with_clock(&[]);
                let mut setup = GatewayWithUpstream::new();
                setup.start(&server.url());
                let request = setup.signed();
                assert_eq!(setup.send(&request), 200);
                attack(&server);
                setup.refuses(&request);
                // `/readyz` asks the store at most once a second, so the new state may show late.
                let said = (0..300).any(|_| {
                    sleep(Duration::from_millis(100));
                    setup.get("/readyz").contains("may have forgotten")
                });
                assert!(said, "{}", setup.get("/readyz"));
                // After a restart with a new store, the gateway does not know that the nonce was
                // used, so it refuses.
                setup.kill();
                setup.spawn(&server.url());
                setup.refuses(&request);
            });
        }
    });
}

#[test]
fn a_replay_is_refused_after_a_copy_was_put_back() {
    let mut setup = GatewayWithUpstream::new();
    let (store, copy) = (setup.path("nonces.db"), setup.path("copy.db"));
    let url = format!("sqlite:{store}");
    setup.start(&url);
    setup.kill();
    Connection::open(&store).unwrap().execute("VACUUM INTO ?1", [&copy]).unwrap();
    setup.start(&url);
    let request = setup.signed();
    assert_eq!(setup.send(&request), 200);
    setup.kill();
    fs::copy(&copy, &store).unwrap();
    remove_log(setup.folder.path());
    setup.start(&url);
    setup.refuses(&request);
}

fn remove_log(folder: &Path) {
    for name in ["nonces.db-wal", "nonces.db-shm"] {
        let _gone: Result<(), _> = fs::remove_file(folder.join(name));
    }
}

#[test]
fn a_locked_or_replaced_file_is_reported() {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut setup = GatewayWithUpstream::new();
            let store = setup.path("nonces.db");
            setup.start(&format!("sqlite:{store}"));
            let other = Connection::open(&store).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            setup.says("locked by another program");
            drop(other);
            until("it is ready again", || setup.get("/readyz").starts_with("HTTP/1.1 200"));
            assert_eq!(setup.send(&setup.signed()), 200);
        });
        scope.spawn(|| {
            let mut setup = GatewayWithUpstream::new();
            let store = setup.path("nonces.db");
            setup.start(&format!("sqlite:{store}"));
            fs::copy(&store, setup.path("copy.db")).unwrap();
            fs::rename(setup.path("copy.db"), &store).unwrap();
            assert_eq!(setup.send(&setup.signed()), 503);
            until("it says why", || setup.read("err").contains("the nonce store: the file was "));
            until("the log says why", || {
                setup.read("log").contains("the nonce store: the file was ")
            });
            // After some seconds, the new store accepts requests signed after it was made.
            // `/readyz` may show it a second late.
            until("it takes requests again", || setup.send(&setup.signed()) == 200);
            assert!(setup.get("/readyz").starts_with("HTTP/1.1 200"));
        });
    });
}

#[test]
fn a_full_or_unreachable_redis_is_reported() {
    let server = Server::start(&[]);
    let mut setup = GatewayWithUpstream::new();
    setup.start(&server.url());
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    setup.says("has no memory left");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    until("it is ready again", || setup.get("/readyz").starts_with("HTTP/1.1 200"));
    server.cli(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    until("a replica shows", || setup.get("/readyz").contains("is a replica"));
    assert_eq!(setup.send(&setup.signed()), 503);
    server.kill();
    until("that it is gone shows", || setup.get("/readyz").contains("could not be reached"));
    assert_eq!(setup.send(&setup.signed()), 503);
    until("the log says why", || setup.read("log").contains("could not be reached"));
}

/// A small file system in memory, which is unmounted when the test ends.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills a real file system, if this user may mount one. Otherwise a test in `sqlite_faults` does
/// the same with a limit on file sizes.
#[test]
fn a_full_disk_is_reported() {
    let mut setup = GatewayWithUpstream::new();
    let folder = setup.folder.path().join("disk");
    fs::create_dir(&folder).unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(&folder).stderr(Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        return;
    }
    let disk = SmallDisk(folder);
    setup.start(&format!("sqlite:{}", disk.0.join("nonces.db").display()));
    // The disk is full before SQLite's log needs more space.
    let mut rest = File::create(disk.0.join("rest")).unwrap();
    while rest.write_all(&[0; 4096]).is_ok() {}
    until("it is full", || setup.send(&setup.signed()) == 503);
    setup.says("full");
    drop(rest);
    fs::remove_file(disk.0.join("rest")).unwrap();
    until("it is ready again", || setup.get("/readyz").starts_with("HTTP/1.1 200"));
    assert_eq!(setup.send(&setup.signed()), 200);
    setup.kill();
}
