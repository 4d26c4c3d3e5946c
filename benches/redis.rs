//! Measures how many nonces per second the store on Redis can claim (store if they are new),
//! compared with the bare client library that sends the same `SET` to the same server, in the same
//! run. On one thread, several tasks each claim a nonce and wait for the answer. The library's
//! connection is served by that thread or by another one, as in a runtime of several threads. The
//! store's connection is always served by the store's own thread. A third candidate is the library
//! with all three commands of a claim: the two commands after the `SET` show whether the server has
//! lost nonces.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks, and may fail")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpid::clock::{Clock as _, SystemClock};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::nonce::redis::{Redis, RedisOptions};
use mcpid::nonce::url::StoreUrl;
use mcpid::nonce::{Claim, NonceStore as _, Retention};
use redis::aio::MultiplexedConnection;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

const ROUNDS: usize = 9;

/// The benchmark fails if the store claims fewer nonces per second than this share of the bare
/// library's.
const TARGET: f64 = 0.8;

/// Number of nonces that each candidate claims in one round, over all tasks.
const CLAIMS: usize = 8_192;

/// The server process, ended when this value is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = (self.0.kill(), self.0.wait());
    }
}

fn main() {
    let rounds = if std::env::args().any(|a| a == "--bench") { ROUNDS } else { 1 };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    let _server = Server(command.stdout(Stdio::null()).spawn().unwrap());
    let url = format!("redis://127.0.0.1:{port}");
    let StoreUrl::Redis(servers) = StoreUrl::parse(&url).unwrap() else { unreachable!() };
    let store = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        RedisOptions::new(servers.clone())
            .open_for_claims(SystemClock.now(), Retention::new(30, 5))
            .ok()
    });
    let store = Arc::new(store.unwrap());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let client = redis::Client::open(url).unwrap();
    let bare = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let other = Builder::new_current_thread().enable_all().build().unwrap();
    let apart = other.block_on(client.get_multiplexed_async_connection()).unwrap();
    std::thread::spawn(move || other.block_on(std::future::pending::<()>()));
    println!("Redis on the loopback; medians of {rounds} rounds of {CLAIMS} claims");
    for tasks in [1, 16, 64] {
        let (mut theirs, mut theirs_apart, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        let mut all_three = Vec::new();
        for round in 0..rounds {
            theirs.push(rate(&runtime, tasks, |task, count| {
                bare_claims(bare.clone(), format!("{tasks}-{round}-{task}"), count)
            }));
            theirs_apart.push(rate(&runtime, tasks, |task, count| {
                bare_claims(apart.clone(), format!("apart-{tasks}-{round}-{task}"), count)
            }));
            all_three.push(rate(&runtime, tasks, |task, count| {
                three_questions(apart.clone(), format!("three-{tasks}-{round}-{task}"), count)
            }));
            ours.push(rate(&runtime, tasks, |task, count| {
                claims(Arc::clone(&store), format!("{tasks}-{round}-{task}"), count)
            }));
        }
        let (theirs, apart, ours) = (median(theirs), median(theirs_apart), median(ours));
        let three = median(all_three);
        println!("{tasks:>3} tasks: the store          {ours:>8.0} a second");
        let on_its_own = "on a thread of its own";
        for (what, rate, target) in [
            ("the bare library".to_owned(), theirs, None),
            (format!("the same {on_its_own}"), apart, Some(TARGET)),
            (format!("with all three questions, {on_its_own}"), three, None),
        ] {
            let ratio = ours / rate;
            let met = match target {
                Some(target) if ratio >= target => format!(" (target {target}: met)"),
                Some(target) => format!(" (target {target}: MISSED)"),
                None => String::new(),
            };
            println!("    {ratio:.2} × {what}, {rate:.0} a second{met}");
        }
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn rate<F>(runtime: &Runtime, tasks: usize, work: impl Fn(usize, usize) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let begun = Instant::now();
    runtime.block_on(async {
        let mut all: JoinSet<()> = (0..tasks).map(|task| work(task, CLAIMS / tasks)).collect();
        while let Some(done) = all.join_next().await {
            done.unwrap();
        }
    });
    f64::from(u32::try_from(CLAIMS).unwrap()) / begun.elapsed().as_secs_f64()
}

/// Measures the bare library. As in the store, an id and a value are computed for each nonce.
async fn bare_claims(mut connection: MultiplexedConnection, name: String, count: usize) {
    let key = *SecretKey::from_seed(&[8; 32]).public().id();
    for i in 0..count {
        let id = mcpid::nonce::id(&key, &format!("{name}-{i}"));
        let token = format!("{name}-{i}");
        let mut set = redis::cmd("SET");
        set.arg(&id).arg(&token).arg("NX").arg("GET").arg("PX").arg(70_000);
        let held: Option<String> = set.query_async(&mut connection).await.unwrap();
        assert_eq!(held, None);
    }
}

/// Measures the bare library with the same three commands for each nonce that the store sends, in
/// one pipeline.
async fn three_questions(mut connection: MultiplexedConnection, name: String, count: usize) {
    let key = *SecretKey::from_seed(&[9; 32]).public().id();
    for i in 0..count {
        let id = mcpid::nonce::id(&key, &format!("{name}-{i}"));
        let token = format!("{name}-{i}");
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(&id).arg(&token).arg("NX").arg("GET").arg("PX").arg(70_000);
        pipeline.cmd("GET").arg("mcpid:1:{00}:epoch").cmd("TIME");
        let (held, _epoch, _time): (Option<String>, String, (u64, u64)) =
            pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!(held, None);
    }
}

async fn claims(store: Arc<Redis>, name: String, count: usize) {
    let key = *SecretKey::from_seed(&[7; 32]).public().id();
    let now = SystemClock.now();
    for i in 0..count {
        let claim = store.claim(now, &key, &format!("{name}-{i}"), now.plus(65)).await;
        assert!(matches!(claim, Ok(Claim::Fresh { .. })), "{claim:?}");
    }
}
