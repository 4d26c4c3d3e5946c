//! Measures the cost of a verification, as ratios that do not depend on the machine.
//!
//! Everything is measured in one run of one build, in many short rounds in which the candidates
//! alternate. A round gives one ratio for each candidate, and the median of all rounds is printed.
//! Other load of the machine affects a few rounds, or all candidates of a round alike.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks, and may fail")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use mcpid::base::{header, signature_base};
use mcpid::clock::{Clock as _, SystemClock, Timestamp};
use mcpid::key::keyfile::{KdfCost, Keyfile};
use mcpid::key::{KeyId, SecretKey};
use mcpid::message::digest::ContentDigest;
use mcpid::nonce::memory::Memory;
use mcpid::nonce::{Claim, NonceStore as _, Retention};
use mcpid::sign::Nonce;
use rand::rngs::SysRng;

mod requests;
mod touches;

use requests::{BenchSetup, Kind, Request, TOOLS_CALL, polled};

/// The same memory allocator as in the program `mcpid`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of requests in one round. It is so large that the time of reading the clock does not
/// matter, nor the data that signing left in the caches.
const REQUESTS: usize = 32;
const ROUNDS: usize = 600;

fn main() {
    // `cargo test --benches` also runs this program, only to check that it works, so few rounds are
    // enough.
    let rounds = if std::env::args().any(|a| a == "--bench") { ROUNDS } else { 2 };
    println!("curve backend: {}", backend());
    println!(
        "medians of {rounds} alternating rounds; 1.00 is ed25519-dalek's verify_strict of the base, \
         and ring's verify where P-256 is named"
    );
    let setup = BenchSetup::new(SecretKey::generate(&mut SysRng).unwrap());
    verifying(&setup, rounds);
    verifying(&BenchSetup::new(SecretKey::generate_p256(&mut SysRng).unwrap()), rounds);
    touches::verifying_touched(rounds);
    signing(&setup, rounds);
    if rounds == ROUNDS {
        unlocking(&setup);
        claiming(&setup);
    }
}

/// Measures the steps of a verification, compared with only verifying the signatures over the same
/// signature bases.
fn verifying(setup: &BenchSetup, rounds: usize) {
    println!();
    println!("whole verify: from a parsed head and the body bytes to Verified, that is limits,");
    println!("target, signature fields, parameters, window, coverage, key, base, verify_strict,");
    println!(
        "SHA-256 of 1 KiB, MCP body and fields (where there are any), nonce claimed in memory."
    );
    for kind in [Kind::Opaque, Kind::ToolsCall] {
        let mut table = Table::default();
        for round in 0..rounds {
            // Each round signs new requests, so that the nonces are fresh and the requests are new
            // in the caches.
            let fresh: Vec<Request> = (0..REQUESTS).map(|_| setup.signed(kind)).collect();
            let read: Vec<_> = fresh
                .iter()
                .map(|r| {
                    let params = header::read(&r.head).unwrap().remove(0).params.unwrap();
                    (params, setup.origins.resolve(&r.head).unwrap())
                })
                .collect();
            // The two candidates alternate with each request, so that neither benefits from warm
            // processor caches. A server does not verify in a tight loop either.
            let (mut baseline, mut whole) = (Duration::ZERO, Duration::ZERO);
            for (at, r) in fresh.iter().enumerate() {
                let mut one = || {
                    baseline += time(|| {
                        let (base, signature) = (black_box(r.base.as_bytes()), &r.signature);
                        setup.verify_baseline(base, signature);
                    });
                };
                let mut other = || {
                    whole += time(|| {
                        black_box(setup.verify(black_box(&r.head)));
                    });
                };
                // The two are measured in alternating order, so that a slow phase of the machine
                // hits both.
                if (round + at) % 2 == 0 {
                    one();
                    other();
                } else {
                    other();
                    one();
                }
            }
            table.add("whole", whole, baseline);
            let head = time(|| {
                for r in &fresh {
                    black_box(setup.verifier.judge_head(black_box(&r.head)).unwrap());
                }
            });
            table.add("head", head, baseline);
            let fields = time(|| {
                for r in &fresh {
                    black_box(header::read(black_box(&r.head)).unwrap());
                }
            });
            table.add("fields", fields, baseline);
            let base = time(|| {
                for (r, (params, target)) in fresh.iter().zip(&read) {
                    black_box(signature_base(black_box(params), &r.head, target).unwrap());
                }
            });
            table.add("base", base, baseline);
            let digest = time(|| {
                for r in &fresh {
                    ContentDigest::read(&r.head).unwrap().check(black_box(TOOLS_CALL)).unwrap();
                }
            });
            table.add("digest", digest, baseline);
        }
        let (what, target) = match kind {
            Kind::Opaque => ("opaque body", 1.15),
            Kind::ToolsCall => ("all twelve steps of a tools/call", 1.30),
        };
        println!();
        let whole = table.median("whole");
        let met = if whole <= target { "met" } else { "MISSED" };
        println!(
            "whole verify, {what}: {whole:.3} × {} (target {target:.2}: {met})",
            setup.baseline_name()
        );
        println!("  of which steps 1 to 8: {:.3}", table.median("head"));
        println!("  of which reading the signature fields: {:.3}", table.median("fields"));
        println!("  of which the signature base: {:.3}", table.median("base"));
        println!("  of which content-digest, field and 1 KiB: {:.3}", table.median("digest"));
    }
}

fn signing(setup: &BenchSetup, rounds: usize) {
    let mut table = Table::default();
    let head = setup.unsigned(Kind::ToolsCall);
    let request = setup.signed(Kind::ToolsCall);
    for _ in 0..rounds {
        let nonce = Nonce::generate(&mut SysRng).unwrap();
        let now = SystemClock.now();
        let sign = time(|| {
            for _ in 0..REQUESTS {
                let head = black_box(&head);
                black_box(
                    setup.signer.sign(head, &setup.origins, TOOLS_CALL, now, &nonce).unwrap(),
                );
            }
        });
        let baseline = time(|| {
            for _ in 0..REQUESTS {
                let base = black_box(request.base.as_bytes());
                setup.verify_baseline(base, &request.signature);
            }
        });
        table.add("sign", sign, baseline);
    }
    println!();
    println!("sign, whole, the same tools/call: {:.3}", table.median("sign"));
}

/// Measures the decryption of a keyfile. Its time is long by design: three passes over 64 MiB.
fn unlocking(setup: &BenchSetup) {
    let secret = SecretKey::generate(&mut SysRng).unwrap();
    let (now, cost) = (SystemClock.now(), KdfCost::new(65_536, 3, 1).unwrap());
    let sealed = Keyfile::seal(&secret, "bench", now, b"passphrase", cost, &mut SysRng).unwrap();
    let request = setup.signed(Kind::Opaque);
    let mut table = Table::default();
    for _ in 0..5 {
        let baseline = time(|| {
            for _ in 0..1_000 {
                let base = black_box(request.base.as_bytes());
                setup.verify_baseline(base, &request.signature);
            }
        });
        let unlock = time(|| {
            black_box(sealed.open(Some(b"passphrase")).unwrap());
        });
        table.add("unlock", unlock, baseline / 1_000);
    }
    println!("keyfile unlock, 64 MiB and 3 passes: {:.0}", table.median("unlock"));
}

/// Measures whether claiming a nonce (storing it if it is new) takes the same time for any number
/// of nonces in the store.
fn claiming(setup: &BenchSetup) {
    const FEW: u64 = 1_000;
    const MANY: u64 = 10_000_000;
    let key = *setup.public.id();
    let start = Timestamp::from_unix(1_700_000_000);
    let retention = Retention::new(30, 5);
    let filled = |count: u64| {
        // The store is eight times as large as needed, because one key may use at most an eighth of
        // it.
        let store = Memory::new(start, retention, &mut SysRng).unwrap().bounded(200_000_000);
        for n in 0..count {
            claim(&store, start, &key, n);
        }
        store
    };
    let few = filled(FEW);
    let before = resident();
    let many = filled(MANY);
    let bytes = resident().saturating_sub(before) / MANY;
    let request = setup.signed(Kind::Opaque);
    let mut table = Table::default();
    // The small store stays small: 200 rounds add 64 nonces each.
    for round in 0..200_u64 {
        let first = 1_000_000_000 + round * 64;
        let batch = |store: &Memory| {
            time(|| {
                for n in first..first + 64 {
                    claim(store, start, &key, n);
                }
            })
        };
        let (small, large) = (batch(&few), batch(&many));
        let baseline = time(|| {
            for _ in 0..64 {
                let base = black_box(request.base.as_bytes());
                setup.verify_baseline(base, &request.signature);
            }
        });
        table.add("few", small, baseline);
        table.add("many", large, baseline);
        table.add("growth", large, small);
    }
    println!("memory claim at 1 thousand live nonces: {:.4}", table.median("few"));
    let growth = table.median("growth");
    let met = if growth < 2.0 { "met" } else { "MISSED" };
    println!(
        "memory claim at 10 million live nonces: {:.4}, {growth:.2} × the one at 1 thousand \
         (target below 2: {met})",
        table.median("many"),
    );
    println!("resident memory for each of the 10 million: {bytes} bytes");
    drop(many);
    // In this measurement, as many nonces expire as new ones come: 20,000 are stored in a second,
    // each kept for 70 seconds.
    let (store, mut count) = (filled(0), 0);
    let mut steady = |claims: u64| {
        time(|| {
            for n in count..count + claims {
                let now = start.plus(i64::try_from(n / 20_000).unwrap());
                let nonce = format!("{n:022}");
                let outcome = polled(store.claim(now, &key, &nonce, now.plus(65)));
                assert!(matches!(outcome, Ok(Claim::Fresh { .. })), "a fresh nonce was not taken");
            }
            count += claims;
        })
    };
    steady(4_000_000);
    for round in 0..200_u64 {
        let turning = steady(2_048);
        let first = 2_000_000_000 + round * 64;
        let small = time(|| {
            for n in first..first + 64 {
                claim(&few, start, &key, n);
            }
        });
        table.add("steady", turning / 32, small);
    }
    println!(
        "memory claim at 1.4 million live nonces while others end: {:.2} × the one at 1 thousand",
        table.median("steady")
    );
}

/// Returns the bytes of memory in use by the process; 0 if the system does not report them.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

fn claim(store: &Memory, now: Timestamp, key: &KeyId, n: u64) {
    // The nonces are as long as real ones, and their ends are spread over a minute, as with real
    // ones.
    let nonce = format!("{n:022}");
    let until = now.plus(40 + i64::try_from(n % 60).unwrap());
    let outcome = polled(store.claim(now, key, &nonce, until));
    assert!(matches!(outcome, Ok(Claim::Fresh { .. })), "a fresh nonce was not taken");
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The measured ratios, by name.
#[derive(Default)]
struct Table(Vec<(&'static str, Vec<f64>)>);

impl Table {
    fn add(&mut self, name: &'static str, what: Duration, against: Duration) {
        let ratio = what.as_secs_f64() / against.as_secs_f64();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, ratios)) => ratios.push(ratio),
            None => self.0.push((name, vec![ratio])),
        }
    }

    fn median(&mut self, name: &str) -> f64 {
        let (_, ratios) = self.0.iter_mut().find(|(known, _)| *known == name).unwrap();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Returns the backend of curve25519-dalek, which is chosen at build time and then by the processor
/// at run time.
fn backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if cfg!(curve25519_dalek_backend = "avx512") {
            let has =
                is_x86_feature_detected!("avx512ifma") && is_x86_feature_detected!("avx512vl");
            if has {
                return "AVX-512 IFMA, compiled in and chosen at run time";
            }
            if is_x86_feature_detected!("avx2") {
                return "AVX2: AVX-512 is compiled in, this processor has none";
            }
            return "serial: this processor has no AVX2";
        }
        if is_x86_feature_detected!("avx2") {
            return "AVX2: AVX-512 is not compiled in. RUSTFLAGS in the environment turns \
                    .cargo/config.toml off";
        }
    }
    "serial"
}
