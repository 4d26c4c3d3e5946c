//! Measures the audit log: the time of an append to a small log and to a log of ten million
//! entries, the time of an audit compared with the bare verification of the same signatures on one
//! core, and concurrent appends compared with what the disk and the processor allow.
//!
//! Usage: `cargo bench --bench audit [-- ENTRIES]`. The default is a million entries for the audit,
//! and ten million for the append. The entries of the large log are copies of one entry with
//! ascending numbers. `cargo bench --bench audit -- throughput [SECONDS]` measures only the
//! concurrent appends. They go to the folder of the build, because the temporary folder may be in
//! memory. `cargo bench --bench audit -- write FOLDER ENTRIES` measures nothing: it writes a log of
//! signed requests, 100 a second by its clock, and a trust file, for `mcpid audit verify`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench talks, and may fail")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signature, VerifyingKey};
use mcpid::audit::auditor::{self, Auditor, AuditorInputs};
use mcpid::audit::checkpoint::Checkpoint;
use mcpid::audit::entry_judge::{AuditorTrust, EntryJudge};
use mcpid::audit::note::{NoteKey, NoteKeyKind};
use mcpid::audit::tree::{self, Frontier};
use mcpid::audit::{Durability, Evidence, Folder, JudgedRequest, Log, LogSettings, Recorder};
use mcpid::block_on;
use mcpid::clock::{SystemClock, Timestamp};
use mcpid::key::{SecretKey, Sign as _};
use mcpid::profile::Profile;
use rand::rngs::SysRng;
use setup::{BenchSetup, NAME};
use throughput::throughput;

mod setup;
mod throughput;
mod write;

/// The same memory allocator as in the program `mcpid`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of entries in one round.
const ROUND: u64 = 16;
/// How many times the logs are opened again during the measurement.
const PLACES: usize = 20;

fn main() {
    let real = std::env::args().any(|a| a == "--bench");
    let given = std::env::args().filter_map(|a| a.parse::<u64>().ok()).next();
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "write") {
        return write::write(Path::new(&words[at + 1]), given.unwrap());
    }
    if std::env::args().any(|a| a == "throughput") {
        throughput(Duration::from_secs(given.unwrap_or(20)));
        return;
    }
    let audited = given.unwrap_or(if real { 1_000_000 } else { 200 });
    let large = given.map_or(if real { 10_000_000 } else { 2_000 }, |n| n * 10);
    append(1_000.min(large), large, if real { 20_000 } else { 100 });
    audit(audited);
    throughput(if real { Duration::from_secs(20) } else { Duration::from_millis(60) });
}

/// Measures appends to a small and a large log, in turns. The entries are not forced to the disk,
/// which would take the same time for both logs and far longer than everything else.
fn append(small: u64, large: u64, rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let setup = BenchSetup::new();
    let logs = [("small", small), ("large", large)].map(|(name, entries)| {
        let path = folder.path().join(name);
        let key = SecretKey::generate(&mut SysRng).unwrap();
        Folder::init(&path, NAME, &key, setup.now()).unwrap();
        let started = Instant::now();
        fill(&path, &key, entries, setup.now());
        println!("made {entries} entries in {:.1} s", started.elapsed().as_secs_f64());
        path
    });
    let open = |path: &Path| {
        let mut settings = LogSettings::default();
        (settings.durability, settings.every) = (Durability::Checkpoint, 1_000);
        let folder = Folder::at(path).unwrap();
        Recorder::new(Log::open(folder, settings, Arc::new(SystemClock)).unwrap())
    };
    settle(folder.path());
    let started = Instant::now();
    assert_eq!(open(&logs[1]).log().size(), large);
    println!("opened the large one in {:.3} s", started.elapsed().as_secs_f64());
    let mut medians = [Vec::new(), Vec::new()];
    for _ in 0..PLACES {
        // After reopening, the writer threads run on other cores. Signalling between two cores
        // takes longer than an append, and depends on which cores they are.
        let logs = logs.each_ref().map(|path| open(path));
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds.div_ceil(PLACES) {
            let signed = setup.signed();
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let head = setup.head(Some(&signed));
                let held = setup.verifier.judge_head(&head).unwrap();
                let evidence = Evidence::of(&Profile::mcp(), &head, held.signatures());
                let judged = JudgedRequest::new(&head, &setup.verifier, setup.now());
                let started = Instant::now();
                block_on(logs[which].verified(&judged, &evidence)).unwrap();
                times[which].push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        for (all, times) in medians.iter_mut().zip(times) {
            all.push(median(times));
        }
    }
    let least = [0, 1].map(|which: usize| medians[which].iter().copied().fold(f64::MAX, f64::min));
    let [small_time, large_time] = medians.map(median);
    println!("append at {small} entries: {small_time:.1} us; at {large}: {large_time:.1} us");
    println!("ratio {:.3} (at most 1.5 is wanted)", large_time / small_time);
    println!(
        "at the quickest places {:.1} us and {:.1} us, ratio {:.3}",
        least[0],
        least[1],
        least[1] / least[0]
    );
}

/// Waits until the disk has the written files. Otherwise the operating system would write them
/// during the measurement.
fn settle(folder: &Path) {
    let started = Instant::now();
    for log in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(log.unwrap().path()).unwrap() {
            File::open(file.unwrap().path()).unwrap().sync_all().unwrap();
        }
    }
    // The wait is limited, because other programs may keep the disk busy.
    while unwritten() > 32 * 1024 && started.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    println!("on the disk after {:.1} s", started.elapsed().as_secs_f64());
}

/// Returns how many KiB the operating system still has to write to the disk.
fn unwritten() -> u64 {
    let about = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let waiting = |line: &&str| line.starts_with("Dirty:") || line.starts_with("Writeback:");
    about.lines().filter(waiting).filter_map(of).sum()
}

/// Writes the files of a log whose entries are copies of one line with ascending numbers.
fn fill(path: &Path, key: &SecretKey, entries: u64, now: Timestamp) {
    let as_key = NoteKey::new(NAME, NoteKeyKind::Log, key.public().clone()).unwrap();
    let mut frontier = Frontier::new();
    let mut hashes = BufWriter::new(File::create(path.join("tree")).unwrap());
    let per_file = 40_000;
    let filler = "x".repeat(120);
    let mut first = 0;
    while first < entries {
        let mut out =
            BufWriter::new(File::create(path.join(format!("entries-{first:012}.jsonl"))).unwrap());
        let end = (first + per_file).min(entries);
        // The large log gets checkpoints, because opening it checks the entries of its last file
        // against one.
        if end == entries || first == 0 {
            for name in ["checkpoint", "checkpoints"] {
                let origin = NAME.to_owned();
                let checkpoint = Checkpoint { origin, size: first, root: frontier.root() };
                fs::write(path.join(name), checkpoint.sign(&as_key, key).unwrap()).unwrap();
            }
        }
        for n in first..end {
            let line = format!(
                "{{\"mcpid\":\"audit/2\",\"n\":{n},\"time\":\"{now}\",\"event\":\"dropped\",\
                 \"dropped\":{{\"seen\":1,\"dropped\":0,\"codes\":{{\"{filler}\":1}},\"gaps\":0}}}}"
            );
            frontier.push(tree::leaf(line.as_bytes()), |hash| hashes.write_all(hash).unwrap());
            writeln!(out, "{line}").unwrap();
        }
        out.flush().unwrap();
        first = end;
    }
    hashes.flush().unwrap();
}

/// Measures the audit of a log, and the bare verification of its signatures, both on one core.
fn audit(entries: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let setup = BenchSetup::new();
    let key = SecretKey::generate(&mut SysRng).unwrap();
    let log_key = Folder::init(&path, NAME, &key, setup.now()).unwrap();
    let mut settings = LogSettings::default();
    settings.durability = Durability::Checkpoint;
    let log = Log::open(Folder::at(&path).unwrap(), settings, Arc::new(SystemClock)).unwrap();
    let recorder = Recorder::new(log);
    let mut bases = Vec::new();
    for n in 0..entries {
        let signed = setup.signed();
        block_on(setup.record(&recorder, &signed));
        if n < 20_000 {
            let signature = setup.key.sign(signed.base.as_bytes()).unwrap();
            bases.push((signed.base.clone(), Signature::from_bytes(&signature)));
        }
    }
    drop(recorder);
    let folder = Folder::at(&path).unwrap();
    let inputs = AuditorInputs {
        log_key: Some(log_key),
        kept: vec![fs::read(path.join("checkpoint")).unwrap()],
        ..AuditorInputs::default()
    };
    let memory = resident();
    let mut auditor = Auditor::new(&folder, &inputs).unwrap();
    let mut judge = EntryJudge::new(AuditorTrust::of_the_log());
    let mut lines = auditor::lines(&folder).unwrap();
    let mut most = 0;
    // The two are measured in short rounds that alternate, so that other load of the machine
    // affects both in the same way.
    let mut times = [Vec::new(), Vec::new()];
    let library = VerifyingKey::try_from(setup.key.public().as_bytes()).unwrap();
    let mut bare = bases.iter().cycle();
    for round in 0..entries.div_ceil(ROUND) {
        let started = Instant::now();
        for line in lines.by_ref().take(ROUND as usize) {
            auditor.take(judge.judge_line(&line.unwrap()));
        }
        times[0].push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        for (base, signature) in bare.by_ref().take(ROUND as usize) {
            library.verify_strict(base.as_bytes(), signature).unwrap();
        }
        times[1].push(started.elapsed().as_secs_f64());
        if round % 10_000 == 0 {
            most = most.max(resident());
        }
    }
    let report = auditor.finish().unwrap();
    assert_eq!((report.finding(), report.anchored), (None, Some(report.entries)));
    assert_eq!(report.signatures, entries);
    let quickest = [0, 1].map(|which: usize| times[which].iter().copied().fold(1.0, f64::min));
    let [audited, bare] = times.map(median);
    let rate = |time: f64| ROUND as f64 / time;
    println!(
        "audit of {entries} entries on one core: {:.0} a second; ed25519-dalek's verify_strict {:.0} a second",
        rate(audited),
        rate(bare)
    );
    println!("ratio {:.3} (at least 0.8 is wanted)", bare / audited);
    println!("ratio of the quickest rounds {:.3}", quickest[1] / quickest[0]);
    println!("resident memory: {memory} KiB before, {} KiB at most", most.max(resident()));
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
