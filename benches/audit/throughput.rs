//! Concurrent appends, compared with what the disk and the processor allow.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpid::audit::{Durability, Evidence, Folder, JudgedRequest, Log, LogSettings, Recorder};
use mcpid::block_on;
use mcpid::clock::SystemClock;
use mcpid::key::SecretKey;
use mcpid::profile::Profile;
use mcpid::sign::Signed;
use rand::rngs::SysRng;
use tokio::runtime::Runtime;

use crate::median;
use crate::setup::{BenchSetup, NAME};

/// How often the measurements take turns.
const TURNS: u32 = 10;

/// Measures as many appends at once as a gateway with this number of connections makes, each
/// waiting for the disk, beside two limits:
///
/// - the disk: bare writes of the same batches, which are lines of the same length, as many as wait
///   at once, and one `fdatasync` for them together;
/// - the processor: the same appends to a log that does not wait for the disk.
///
/// A request appends its next entry only after its last one was answered. So with few requests at
/// once, the disk rests while the processor works, and the reverse; then a batch takes the sum of
/// both times, which is the limit of both. All take turns, for `time` altogether.
pub(crate) fn throughput(time: Duration) {
    for connections in [16, 64, 256] {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let setup = Arc::new(BenchSetup::new());
        let durable = open(&folder.path().join("log"), LogSettings::default(), &setup);
        let mut settings = LogSettings::default();
        settings.durability = Durability::Checkpoint;
        (settings.pause, settings.interval) = (time, time);
        let lazy = open(&folder.path().join("lazy"), settings, &setup);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let signed: Vec<_> = (0..connections).map(|_| Arc::new(setup.signed())).collect();
        block_on(setup.record(&durable, &signed[0]));
        let line = newest_line(&folder.path().join("log"));
        let batch = [&line[..], b"\n"].concat().repeat(connections);
        let mut bare = File::create(folder.path().join("bare")).unwrap();
        let turn = time / 3 / TURNS / 3;
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            rates[0].push(appends(&runtime, &durable, (&setup, &signed), turn));
            rates[1].push(writes(&mut bare, &batch, turn) * connections as f64);
            rates[2].push(appends(&runtime, &lazy, (&setup, &signed), turn));
        }
        let ratios = |limit: fn(f64, f64) -> f64| {
            let [rates, disk, processor] = &rates;
            let limits = disk.iter().zip(processor).map(|(disk, cpu)| limit(*disk, *cpu));
            median(rates.iter().zip(limits).map(|(rate, limit)| rate / limit).collect())
        };
        let of_both = ratios(|disk, cpu| 1.0 / (1.0 / disk + 1.0 / cpu));
        let of_disk = ratios(|disk, _| disk);
        let [rate, disk, cpu] = rates.map(median);
        println!(
            "{connections} at once: {rate:.0} entries a second; the disk alone {disk:.0} (write and fdatasync \
             of {connections} lines of {} bytes), the processor alone {cpu:.0}",
            line.len(),
        );
        println!(
            "ratio to the limit of both {of_both:.3} (at least 0.9 is wanted), to the disk alone {of_disk:.3}"
        );
    }
}

fn open(path: &Path, settings: LogSettings, setup: &BenchSetup) -> Arc<Recorder> {
    let key = SecretKey::generate(&mut SysRng).unwrap();
    Folder::init(path, NAME, &key, setup.now()).unwrap();
    let log = Log::open(Folder::at(path).unwrap(), settings, Arc::new(SystemClock)).unwrap();
    Arc::new(Recorder::new(log))
}

/// Appends from as many tasks as there are requests in `signed`; returns the entries a second.
fn appends(
    runtime: &Runtime,
    recorder: &Arc<Recorder>,
    (setup, signed): (&Arc<BenchSetup>, &[Arc<Signed>]),
    turn: Duration,
) -> f64 {
    let before = recorder.log().size();
    let started = Instant::now();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for signed in signed {
            let (setup, recorder) = (Arc::clone(setup), Arc::clone(recorder));
            let signed = Arc::clone(signed);
            tasks.spawn(async move {
                let head = setup.head(Some(&signed));
                let held = setup.verifier.judge_head(&head).unwrap();
                let evidence = Evidence::of(&Profile::mcp(), &head, held.signatures());
                let judged = JudgedRequest::new(&head, &setup.verifier, setup.now());
                while started.elapsed() < turn {
                    recorder.verified(&judged, &evidence).await.unwrap();
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
    let appended = recorder.log().size() - before;
    appended as f64 / started.elapsed().as_secs_f64()
}

/// Writes `batch` again and again, each time to the disk; returns the batches a second.
fn writes(file: &mut File, batch: &[u8], turn: Duration) -> f64 {
    let (mut batches, started) = (0, Instant::now());
    while started.elapsed() < turn {
        file.write_all(batch).unwrap();
        file.sync_data().unwrap();
        batches += 1;
    }
    f64::from(batches) / started.elapsed().as_secs_f64()
}

/// The last line of the newest file of entries.
fn newest_line(path: &Path) -> Vec<u8> {
    let files = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let file =
        files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
    let bytes = fs::read(file).unwrap();
    bytes.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap().to_vec()
}
