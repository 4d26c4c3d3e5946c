//! Starts real servers for the tests: `redis-server`, `redis-sentinel` and `redis-cli` of the
//! system, on free ports of loopback, each in its own folder. They are stopped when the test ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mcpid::nonce::redis::{PrimaryWarning, Redis, RedisOptions};
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{NonceStore, StoreError};
use tempfile::TempDir;

use crate::contract::{StorePlace, at, retention};
pub(crate) use crate::ports::free_port;

/// Waits until `done` returns true. Fails after a minute.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

const SHIM: &str = "clock.so";
const AHEAD: &str = "ahead";

/// A library that changes the clock that Redis reads, by the number of seconds in a file.
/// (`libfaketime` does not work with the allocator of Redis.)
const CLOCK: &str = include_str!("redis_clock.c");

/// A running Redis server, with the arguments that started it.
pub(crate) struct Server {
    child: Mutex<Child>,
    pub(crate) port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    /// By how many seconds [`StorePlace::pass`] has advanced the time.
    passed: AtomicI64,
}

impl Server {
    /// Starts a server that stores nothing on disk, unless the arguments say so.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Server::start_in(|| TempDir::new().unwrap(), arguments)
    }

    /// Starts a server whose clock [`Server::set_clock`] sets.
    pub(crate) fn start_with_clock(arguments: &[&str]) -> Self {
        let folder = || {
            let folder = TempDir::new().unwrap();
            let (source, shim) = (folder.path().join("clock.c"), folder.path().join(SHIM));
            std::fs::write(&source, CLOCK).unwrap();
            std::fs::write(folder.path().join(AHEAD), [0; 8]).unwrap();
            let mut compiler = Command::new("cc");
            let made = compiler.args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).status();
            assert!(made.unwrap().success());
            folder
        };
        Server::start_in(folder, arguments)
    }

    /// Sets the server's clock to this many seconds ahead of the true time.
    pub(crate) fn set_clock(&self, ahead: i64) {
        let file = std::fs::OpenOptions::new().write(true).open(self.folder.path().join(AHEAD));
        file.unwrap().write_all(&ahead.to_ne_bytes()).unwrap();
    }

    fn start_in(folder: impl Fn() -> TempDir, arguments: &[&str]) -> Self {
        for _ in 0..5 {
            let folder = folder();
            let port = free_port();
            let arguments: Vec<_> = arguments.iter().map(|&a| a.to_owned()).collect();
            let child = Mutex::new(spawn(port, &folder, &arguments));
            let server = Server { child, port, folder, arguments, passed: AtomicI64::new(0) };
            if server.comes_up() {
                return server;
            }
            // The server did not start, for example because another program has taken the port.
        }
        panic!("redis-server did not start");
    }

    fn comes_up(&self) -> bool {
        for _ in 0..3_000 {
            if self.child.lock().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            // A server with a password or TLS refuses this command, but its answer shows that it
            // runs.
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                if self.arguments.iter().any(|a| a == "--tls-port") {
                    return true;
                }
                stream.write_all(b"PING\r\n").unwrap();
                let mut answer = [0; 5];
                if stream.read_exact(&mut answer).is_ok() && answer != *b"-LOAD" {
                    return true;
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Kills the server with `kill -9`.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _gone = child.kill();
        child.wait().unwrap();
    }

    /// Starts the server again after [`Server::kill`], on the same port, with the files in its
    /// folder.
    pub(crate) fn start_again(&self) {
        *self.child.lock().unwrap() = spawn(self.port, &self.folder, &self.arguments);
        assert!(self.comes_up());
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.lock().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Runs a command, and returns its answer as `redis-cli` prints it to a pipe.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let tls = tls_flags(&self.arguments);
        let all: Vec<_> = tls.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        cli(self.port, &all)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn open(&self) -> Result<Redis, StoreError> {
        open(&self.url())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl StorePlace for Server {
    fn open(&self) -> Arc<dyn NonceStore> {
        Arc::new(self.open().unwrap())
    }

    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        open_to_raise(&self.url())
    }

    /// Makes all nonces expire earlier, as if time had passed. Epochs are left alone, because open
    /// handles renew them.
    fn pass(&self, seconds: i64) {
        let passed = seconds - self.passed.swap(seconds, Ordering::SeqCst);
        let script = "for _, key in ipairs(redis.call('KEYS', '*')) do \
            local left = redis.call('PTTL', key) \
            if left >= 0 and not string.find(key, ':epoch$') then redis.call('PEXPIRE', key, left - tonumber(ARGV[1])) end end";
        self.cli(&["EVAL", script, "0", &(passed * 1_000).to_string()]);
    }
}

fn spawn(port: u16, folder: &TempDir, arguments: &[String]) -> Child {
    let listen =
        if arguments.iter().any(|a| a == "--tls-port") { "0".into() } else { port.to_string() };
    let mut command = Command::new("redis-server");
    command.args(["--port", &listen, "--bind", "127.0.0.1", "--save", "", "--dir"]);
    command.arg(folder.path()).args(["--logfile", "log"]);
    let shim = folder.path().join(SHIM);
    if shim.exists() {
        command.env("LD_PRELOAD", shim).env("CLOCK_AHEAD", folder.path().join(AHEAD));
    }
    for argument in arguments {
        command.arg(argument.replace("{port}", &port.to_string()));
    }
    let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started
        .expect("these tests need redis-server (Debian: redis-server redis-sentinel redis-tools)")
}

/// Returns the flags with which `redis-cli` can connect to a server that was started with `flags`.
fn tls_flags(flags: &[String]) -> Vec<String> {
    let authority = flags.windows(2).find(|pair| pair[0] == "--tls-ca-cert-file");
    authority.map_or(Vec::new(), |pair| vec!["--tls".into(), "--cacert".into(), pair[1].clone()])
}

pub(crate) fn cli(port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    let output = command.args(["-p", &port.to_string()]).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim_end_matches('\n').to_owned()
}

pub(crate) fn options(url: &str) -> RedisOptions {
    let StoreUrl::Redis(url) = StoreUrl::parse(url).unwrap() else { panic!("{url}") };
    RedisOptions::new(url)
}

/// Opens a store that accepts requests signed from 5 seconds after [`crate::contract::START`] on,
/// unless the servers record another time.
pub(crate) fn open(url: &str) -> Result<Redis, StoreError> {
    options(url).open_for_claims(at(-30), retention())
}

fn open_to_raise(url: &str) -> Arc<dyn NonceStore> {
    Arc::new(options(url).allow_raising(true).open_for_claims(at(-30), retention()).unwrap())
}

/// Makes the options collect the store's warnings, and returns the list.
pub(crate) fn warned(options: RedisOptions) -> (RedisOptions, Arc<Mutex<Vec<PrimaryWarning>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    (options.on_warning(move |warning| ears.lock().unwrap().push(warning)), heard)
}

/// A Redis Cluster: several primaries, each with a part of the keys, and replicas if wanted.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start(primaries: usize, replicas: usize) -> Self {
        Cluster::start_with(primaries, replicas, &[])
    }

    /// Starts a cluster with further flags for every node.
    pub(crate) fn start_with(primaries: usize, replicas: usize, flags: &[String]) -> Self {
        let tls = tls_flags(flags);
        let nodes: Vec<_> = (0..primaries + replicas)
            .map(|_| {
                let own = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-node-timeout",
                    "1000",
                    "--cluster-config-file",
                    "nodes.conf",
                    "--appendonly",
                    "yes",
                    "--repl-diskless-sync-delay",
                    "0",
                ];
                let flags = flags.iter().map(String::as_str);
                Server::start(&own.into_iter().chain(flags).collect::<Vec<_>>())
            })
            .collect();
        let addresses: Vec<_> =
            nodes[..primaries].iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut command = Command::new("redis-cli");
        command.args(&tls).args(["--cluster", "create"]).args(&addresses);
        let made = command.args(["--cluster-replicas", "0", "--cluster-yes"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        for replica in &nodes[primaries..] {
            let to = format!("127.0.0.1:{}", replica.port);
            let id = nodes[0].cli(&["CLUSTER", "MYID"]);
            let mut command = Command::new("redis-cli");
            command.args(&tls).args([
                "--cluster",
                "add-node",
                &to,
                &addresses[0],
                "--cluster-slave",
            ]);
            let added = command.args(["--cluster-master-id", &id]).output().unwrap();
            assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stdout));
            until("the replica follows", || {
                replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
            });
        }
        until("the cluster is whole", || {
            let ready = |n: &Server| n.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
            nodes.iter().all(ready)
        });
        Cluster { nodes }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|n| format!("127.0.0.1:{}", n.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }
}

impl StorePlace for Cluster {
    fn open(&self) -> Arc<dyn NonceStore> {
        Arc::new(open(&self.url()).unwrap())
    }

    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        open_to_raise(&self.url())
    }

    fn pass(&self, seconds: i64) {
        self.nodes.iter().for_each(|node| node.pass(seconds));
    }
}

/// A primary, its replica, and three Sentinels, which watch them and replace the primary if it
/// fails.
pub(crate) struct Watched {
    pub(crate) servers: Vec<Server>,
    sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start() -> Self {
        Watched::start_with(&[])
    }

    /// Starts the servers with further flags. Flags about TLS also apply to the Sentinels.
    pub(crate) fn start_with(flags: &[String]) -> Self {
        let with = |own: &[&str]| {
            let flags = flags.iter().map(String::as_str);
            Server::start(&own.iter().copied().chain(flags).collect::<Vec<_>>())
        };
        let first = with(&["--repl-diskless-sync-delay", "0"]);
        let port = first.port.to_string();
        let second = with(&["--replicaof", &format!("127.0.0.1 {port}")]);
        until("the replica follows", || {
            second.cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let sentinels: Vec<_> = (0..3).map(|_| Server::sentinel(&port, flags)).collect();
        let watched = Watched { servers: vec![first, second], sentinels };
        until("the Sentinels know each other and the replica", || {
            watched.sentinels.iter().all(|sentinel| {
                let known = sentinel.cli(&["SENTINEL", "MASTER", "mymaster"]);
                let lines: Vec<_> = known.lines().collect();
                let is = |name, value| lines.windows(2).any(|w| w == [name, value]);
                is("num-slaves", "1") && is("num-other-sentinels", "2")
            })
        });
        watched
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<_> =
            self.sentinels.iter().map(|n| format!("127.0.0.1:{}", n.port)).collect();
        format!("redis+sentinel://{}/mymaster", hosts.join(","))
    }
}

impl StorePlace for Watched {
    fn open(&self) -> Arc<dyn NonceStore> {
        Arc::new(open(&self.url()).unwrap())
    }

    fn open_to_raise(&self) -> Arc<dyn NonceStore> {
        open_to_raise(&self.url())
    }

    fn pass(&self, seconds: i64) {
        self.servers[0].pass(seconds);
    }
}

impl Server {
    fn sentinel(primary: &str, flags: &[String]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let file: PathBuf = folder.path().join("sentinel.conf");
        let listen = if flags.is_empty() { port } else { 0 };
        let tls: String = flags
            .chunks(2)
            .filter(|flag| flag[0] != "--tls-cluster")
            .map(|flag| format!("{} {}\n", flag[0].trim_start_matches('-'), flag[1]))
            .map(|line| line.replace("{port}", &port.to_string()))
            .collect();
        let text = format!(
            "port {listen}\nbind 127.0.0.1\ndir {}\nlogfile log\n\
             sentinel monitor mymaster 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds mymaster 500\n\
             sentinel failover-timeout mymaster 2000\n{tls}",
            folder.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-sentinel");
        let child = command.arg(&file).stdout(Stdio::null()).spawn().unwrap();
        let (child, arguments) = (Mutex::new(child), flags.to_vec());
        let server = Server { child, port, folder, arguments, passed: AtomicI64::new(0) };
        assert!(server.comes_up());
        server
    }
}
