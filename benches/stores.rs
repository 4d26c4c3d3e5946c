//! Measures how many nonces per second the store in a file can claim (store if they are new),
//! compared with the bare library that executes the same statement on the same tables, in the same
//! run. The library runs on the calling thread, or on another thread that is asked over a channel.
//! The second case is the fair comparison, because a store must not block an asynchronous caller.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks, and may fail")]

use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::mpsc;
use std::task::Poll;
use std::thread;
use std::time::Instant;

use mcpid::block_on;
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::{KeyId, SecretKey, Sign as _};
use mcpid::nonce::sqlite::{Sqlite, SqliteOptions};
use mcpid::nonce::{Claim, NonceStore as _, Retention};
use rusqlite::{Connection, params};
use tempfile::TempDir;

/// Number of nonces that each candidate claims in one round.
const CLAIMS: usize = 4_096;
const ROUNDS: usize = 9;

/// The benchmark fails if the store claims fewer nonces per second than this share of the bare
/// library's.
const TARGET: f64 = 0.8;

/// The SQL statement that the store prepares, word for word.
const STATEMENT: &str = "
    INSERT INTO used (id, first, kept)
    SELECT ?1, ?2, max(?3, ?2 + keep) FROM state WHERE one = 1
    ON CONFLICT (id) DO NOTHING
    RETURNING (SELECT max(floor, horizon - length) FROM state WHERE one = 1)";

fn main() {
    let rounds = if std::env::args().any(|a| a == "--bench") { ROUNDS } else { 1 };
    let folder = TempDir::new().unwrap();
    let now = SystemClock.now();
    let open = |name: &str| {
        let options = SqliteOptions::new(folder.path().join(name), Some("bench".to_owned()));
        options.open_for_claims(now, Retention::new(30, 5)).unwrap()
    };
    drop(open("bare.db"));
    let bare = Connection::open(folder.path().join("bare.db")).unwrap();
    // The settings are those of the store, so that only the store's own code makes a difference.
    bare.pragma_update(None, "synchronous", "NORMAL").unwrap();
    bare.pragma_update(None, "wal_autocheckpoint", 4_096).unwrap();
    let key = *SecretKey::from_seed(&[7; 32]).public().id();
    drop(open("apart.db"));
    let apart = OtherThread::start(folder.path().join("apart.db"));
    let widths = [1, 8, 64, 512];
    // Each store has a separate file, because claiming a nonce is slower the more nonces a file
    // has.
    let stores = widths.map(|width| open(&format!("store-{width}.db")));
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); 2 + widths.len()];
    for round in 0..rounds {
        let names = |what: &str| -> Vec<String> {
            (0..CLAIMS).map(|i| format!("{what}-{round}-{i}")).collect()
        };
        let nonces = names("bare");
        rates[0].push(rate(|| bare_claims(&bare, now, &key, &nonces)));
        let nonces = names("apart");
        rates[1].push(rate(|| apart.claims(now, &key, &nonces)));
        for (place, (width, store)) in widths.into_iter().zip(&stores).enumerate() {
            let nonces = names(&width.to_string());
            rates[place + 2].push(rate(|| claims(store, now, &key, &nonces, width)));
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let medians: Vec<f64> = rates.iter_mut().map(median).collect();
    println!("SQLite, WAL, synchronous=NORMAL; medians of {rounds} rounds of {CLAIMS} claims");
    println!("bare rusqlite, one statement, commits itself  {:>9.0} a second", medians[0]);
    let (ratio, apart) = (medians[1] / medians[0], medians[1]);
    println!("the same on a thread of its own               {apart:>9.0} a second  {ratio:.2}");
    for (width, rate) in widths.into_iter().zip(&medians[2..]) {
        let (ratio, to_apart) = (rate / medians[0], rate / apart);
        let met = if ratio >= TARGET { "met" } else { "MISSED" };
        println!(
            "store, {width:>3} claims at a time                   {rate:>9.0} a second  {ratio:.2} \
             (target {TARGET}: {met}), {to_apart:.2} of the thread's"
        );
    }
}

fn rate(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    f64::from(u32::try_from(CLAIMS).unwrap()) / begun.elapsed().as_secs_f64()
}

/// The bare library on a separate thread, which receives a nonce's id and reports when it is
/// stored.
struct OtherThread {
    ask: mpsc::Sender<(i64, [u8; 32])>,
    answers: mpsc::Receiver<()>,
}

impl OtherThread {
    fn start(file: PathBuf) -> Self {
        let (ask, asked) = mpsc::channel::<(i64, [u8; 32])>();
        let (answer, answers) = mpsc::channel();
        thread::spawn(move || {
            let connection = Connection::open(file).unwrap();
            connection.pragma_update(None, "synchronous", "NORMAL").unwrap();
            connection.pragma_update(None, "wal_autocheckpoint", 4_096).unwrap();
            let mut statement = connection.prepare(STATEMENT).unwrap();
            for (now, id) in asked {
                let mut rows = statement.query(params![id, now, now + 65]).unwrap();
                assert!(rows.next().unwrap().is_some());
                assert!(rows.next().unwrap().is_none());
                drop(rows);
                answer.send(()).unwrap();
            }
        });
        OtherThread { ask, answers }
    }

    fn claims(&self, now: Timestamp, key: &KeyId, nonces: &[String]) {
        for nonce in nonces {
            self.ask.send((now.unix(), mcpid::nonce::id(key, nonce))).unwrap();
            self.answers.recv().unwrap();
        }
    }
}

fn bare_claims(connection: &Connection, now: Timestamp, key: &KeyId, nonces: &[String]) {
    let mut statement = connection.prepare(STATEMENT).unwrap();
    for nonce in nonces {
        let id = mcpid::nonce::id(key, nonce);
        let mut rows = statement.query(params![id, now.unix(), now.unix() + 65]).unwrap();
        assert!(rows.next().unwrap().is_some());
        assert!(rows.next().unwrap().is_none());
    }
}

/// Claims the nonces, `width` at a time, and waits for all of them.
fn claims(store: &Sqlite, now: Timestamp, key: &KeyId, nonces: &[String], width: usize) {
    for some in nonces.chunks(width) {
        let mut begun: Vec<_> =
            some.iter().map(|nonce| store.claim(now, key, nonce, now.plus(65))).collect();
        let (mut answers, mut done): (Vec<Poll<_>>, _) = (Vec::with_capacity(width), 0);
        block_on(poll_fn(|context| {
            if answers.is_empty() {
                answers.extend(begun.iter_mut().map(|future| future.as_mut().poll(context)));
            }
            // The futures are polled in order, because one wake-up may have been meant for all of
            // them.
            while done < begun.len() {
                if answers[done].is_pending() {
                    answers[done] = begun[done].as_mut().poll(context);
                }
                if answers[done].is_pending() {
                    return Poll::Pending;
                }
                done += 1;
            }
            Poll::Ready(())
        }));
        assert!(answers.iter().all(|a| matches!(a, Poll::Ready(Ok(Claim::Fresh { .. })))));
    }
}
