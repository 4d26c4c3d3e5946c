//! Tests of several processes that share a store file, and of processes and machines that crash
//! while they write.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use mcpid::nonce::NonceStore as _;
use mcpid::nonce::sqlite::SqliteOptions;
use rand::rngs::SysRng;
use rand::{RngExt as _, SeedableRng as _, TryRng as _};

use crate::contract::{accepts, at, claim, is_fresh, retention, try_claim};
use crate::sqlite::{Folder, folder};
use crate::{key, wait};

const ROLE: &str = "MCPID_TEST_NONCES_ROLE";
const FILE: &str = "MCPID_TEST_NONCES_FILE";

/// Starts this test program as a child process.
fn child(role: &str, file: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "sqlite_crash::child_process_of_a_crash_test",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(ROLE, role)
        .env(FILE, file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child process that the crash tests start runs this function. It is not a test itself.
#[test]
fn child_process_of_a_crash_test() {
    let Some(role) = env::var_os(ROLE) else { return };
    let options = SqliteOptions::new(env::var_os(FILE).unwrap(), Some("this boot".to_owned()));
    let store =
        options.budget(Duration::from_secs(20)).open_for_claims(at(0), retention()).unwrap();
    // The line break in front ends the line that the test runner may have begun.
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n={line}").unwrap();
        out.flush().unwrap();
    };
    match role.to_str().unwrap() {
        "contender" => {
            say("ready".to_owned());
            std::io::stdin().lines().next();
            let won = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for i in 0..40 {
                            if is_fresh(claim(&store, 10, &key(1), &i.to_string())) {
                                won.lock().unwrap().push(i);
                            }
                        }
                    });
                }
            });
            for i in won.into_inner().unwrap() {
                say(i.to_string());
            }
        }
        "victim" => {
            let mut random = [0; 8];
            SysRng.try_fill_bytes(&mut random).unwrap();
            for i in 0.. {
                let nonce = format!("{}-{i}", u64::from_ne_bytes(random));
                if is_fresh(claim(&store, 10, &key(1), &nonce)) {
                    say(nonce);
                }
            }
        }
        other => panic!("{other}"),
    }
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let out = BufReader::new(child.stdout.take().unwrap());
    out.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix('=').map(str::to_owned))
}

#[test]
fn one_of_eight_processes_claims_each_nonce() {
    let folder = folder();
    let file = folder.path("nonces.db");
    let mut children: Vec<_> = (0..8).map(|_| child("contender", &file)).collect();
    let mut outs: Vec<_> = children.iter_mut().map(lines).collect();
    for out in &mut outs {
        assert_eq!(out.next().unwrap(), "ready");
    }
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    let mut won: Vec<u32> = outs.into_iter().flatten().map(|line| line.parse().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    won.sort_unstable();
    assert_eq!(won, (0..40).collect::<Vec<_>>(), "each once, of 64 that claimed each");
}

#[test]
fn a_process_that_is_killed_loses_no_claim_that_was_answered() {
    let folder = folder();
    let file = folder.path("nonces.db");
    let mut claimed = BTreeSet::new();
    for round in 0..12_u64 {
        let mut victim = child("victim", &file);
        let out = lines(&mut victim);
        let (claims, claimed_one) = mpsc::channel();
        let listening = thread::spawn(move || {
            out.inspect(|_| {
                let _ = claims.send(());
            })
            .collect::<Vec<_>>()
        });
        // On a busy machine, the victim needs long for its first claim.
        claimed_one.recv_timeout(Duration::from_secs(120)).unwrap();
        thread::sleep(Duration::from_millis(10 + round * 37 % 190));
        victim.kill().unwrap();
        victim.wait().unwrap();
        // The child prints each nonce after it was stored. Killing it may have cut off the last
        // line, and a text without a hyphen is no whole nonce.
        claimed.extend(listening.join().unwrap().into_iter().filter(|line| line.contains('-')));
        // This process opens the file as the killed process left it.
        let store = folder.store();
        let last: Vec<_> = claimed.iter().rev().take(50).collect();
        for nonce in last {
            assert!(!is_fresh(claim(&store, 10, &key(1), nonce)), "{nonce}");
        }
    }
    assert!(claimed.len() > 50, "{}", claimed.len());
    let store = folder.store();
    assert_eq!(wait(store.floor(at(10))).unwrap(), at(5), "being killed costs nobody anything");
    // The file must contain the nonce of each complete line.
    let missing = claimed.iter().filter(|n| is_fresh(claim(&store, 10, &key(1), n))).count();
    assert_eq!(missing, 0);
}

/// After a power cut, only a part of the file may have reached the disk. With every such part, the
/// store accepts no earlier request again.
#[test]
fn a_torn_write_makes_no_nonce_fresh_again() {
    let folder = folder();
    let store = folder.store();
    let nonces: Vec<_> = (0..120).map(|i| format!("n-{i}")).collect();
    for nonce in &nonces {
        assert!(accepts(&try_claim(&store, 10, &key(1), nonce), 10));
    }
    let database = fs::read(folder.path("nonces.db")).unwrap();
    let log = fs::read(folder.path("nonces.db-wal")).unwrap();
    assert!(log.len() > 10_000, "the claims are in the log: {}", log.len());
    let mut random = rand::rngs::StdRng::try_from_rng(&mut SysRng).unwrap();
    let (mut lost, mut broken, mut whole) = (0, 0, 0);
    for round in 0..60 {
        let torn = Folder::empty();
        let (mut database, mut log) = (database.clone(), log.clone());
        let place = |random: &mut rand::rngs::StdRng, bytes: &[u8]| {
            random.random_range(0..u64::try_from(bytes.len()).unwrap()).try_into().unwrap()
        };
        match round % 6 {
            0 => {}
            1 => log.truncate(place(&mut random, &log)),
            2 => {
                let at: usize = place(&mut random, &log);
                log[at] ^= 1 << (round % 8);
            }
            3 => {
                let at: usize = place(&mut random, &log);
                log[at..].fill(0);
            }
            4 => log.clear(),
            _ => {
                let at: usize = place(&mut random, &database);
                database.truncate(at);
            }
        }
        fs::write(torn.path("nonces.db"), &database).unwrap();
        fs::write(torn.path("nonces.db-wal"), &log).unwrap();
        let Ok(store) = torn.open_at(11, Some("the next boot")) else {
            broken += 1;
            continue;
        };
        for nonce in &nonces {
            let answer = try_claim(&store, 12, &key(1), nonce);
            assert!(!accepts(&answer, 10), "{round} {nonce}: {answer:?}");
            match answer {
                Ok(answer) if is_fresh(answer) => lost += 1,
                Ok(_) => whole += 1,
                Err(_) => broken += 1,
            }
        }
    }
    // Each of the three results must have occurred, or the test would prove nothing.
    assert!(lost > 0 && whole > 0 && broken > 0, "{lost} {whole} {broken}");
}
