//! Tests of how a worker gathers, with times that the tests choose.
#![allow(clippy::unwrap_used)]

use super::*;

/// How long a batch takes.
const BATCH: Duration = Duration::from_millis(2);
/// Preparations for which working for halves saves a little less than it must, and a little more.
const QUICK: Duration = Duration::from_micros(3_400);
const SLOW: Duration = Duration::from_micros(3_600);

const HOW: Gather = Gather { time: Duration::from_secs(60), most: 32, probe: 4 };

#[test]
fn the_worker_gathers_only_where_tasks_come_together() {
    let (mut pace, now) = (BatchPace::new(Some(HOW)), Instant::now());
    assert!(pace.gather(now).is_none(), "no batch was begun yet");
    // After batches of a single task, the worker waits for more only before every fourth batch, and
    // then for at least two tasks.
    let gathered: Vec<_> = (0..200)
        .map(|_| {
            execute(&mut pace, 1, now);
            pace.gather(now).map(|wait| wait.wanted)
        })
        .collect();
    assert_eq!(gathered.iter().filter(|wanted| wanted.is_some()).count(), 50);
    assert_eq!(gathered.iter().flatten().last(), Some(&2));
}

/// Executes a batch at once.
fn execute(pace: &mut BatchPace, tasks: usize, now: Instant) {
    pace.begin(tasks, now);
    pace.executed(now);
}

/// As [`period_of`], with batches that take [`BATCH`].
fn period(pace: &mut BatchPace, callers: usize, preparation: Duration) -> Vec<usize> {
    period_of(pace, callers, (BATCH, preparation))
}

/// Executes batches until the worker counts its callers again. Each batch takes `execution`, and all
/// callers prepare their tasks in `preparation`. Returns the number of tasks that each batch waits
/// for, of the `callers` that there are.
fn period_of(
    pace: &mut BatchPace,
    callers: usize,
    (execution, preparation): (Duration, Duration),
) -> Vec<usize> {
    let mut now = Instant::now();
    let mut all = Vec::new();
    loop {
        let wait = pace.gather(now).unwrap();
        all.push(wait.wanted);
        now += preparation;
        pace.begin(wait.wanted.min(callers), now);
        now += execution;
        pace.executed(now);
        if pace.turn == 0 {
            return all;
        }
    }
}

#[test]
fn the_worker_waits_for_half_of_the_callers_where_that_saves_enough_time() {
    let mut pace = BatchPace::new(Some(HOW));
    (0..PERIOD).for_each(|_| execute(&mut pace, 2, Instant::now()));
    // First the worker waits for as many as may come, to count the callers, then for all of them.
    for (callers, preparation, wanted) in [
        (16, SLOW, 8),
        (16, QUICK, 16),
        (5, SLOW, 3),
        (5, QUICK, 5),
        (40, SLOW, 20),
        (40, QUICK, 32),
        (500, SLOW, 32),
        (500, QUICK, 32),
    ] {
        let all = period(&mut pace, callers, preparation);
        assert_eq!(all[..2], [64, callers.min(64)], "{callers}");
        assert!(all[2..].iter().all(|each| *each == wanted), "{callers}: {all:?}");
    }
}

#[test]
fn short_batches_are_not_halved_however_long_callers_prepare() {
    let mut pace = BatchPace::new(Some(HOW));
    (0..PERIOD).for_each(|_| execute(&mut pace, 2, Instant::now()));
    let preparation = Duration::from_millis(50);
    for (execution, wanted) in [(1_400, 16), (1_600, 8), (1_400, 16)] {
        let times = (Duration::from_micros(execution), preparation);
        assert_eq!(period_of(&mut pace, 16, times).last(), Some(&wanted), "{execution}");
    }
}

#[test]
fn a_pause_of_the_callers_does_not_change_whether_they_share_a_batch() {
    let mut now = Instant::now();
    for (seconds, halved) in [(180, true), (181, false)] {
        let mut pace = BatchPace::new(Some(HOW));
        // The worker has counted 16 callers, and the next batch is the one for all of them.
        (pace.callers, pace.turn) = (16, 1);
        pace.batch_begun_at = Some(now);
        now += BATCH;
        pace.executed(now);
        now += Duration::from_secs(seconds) - BATCH;
        pace.begin(16, now);
        assert_eq!(pace.halved, halved, "{seconds}");
    }
}

#[test]
fn the_worker_counts_less_often_while_the_number_of_callers_stays_the_same() {
    let mut pace = BatchPace::new(Some(HOW));
    let lengths = |pace: &mut BatchPace, callers: &[usize]| -> Vec<u32> {
        let length = |callers: &usize| u32::try_from(period(pace, *callers, SLOW).len()).unwrap();
        callers.iter().map(length).collect()
    };
    (0..PERIOD).for_each(|_| execute(&mut pace, 2, Instant::now()));
    let first = PERIOD;
    let doubled = [first, 2 * first, 4 * first, 8 * first, 16 * first, 32 * first, 32 * first];
    assert_eq!(lengths(&mut pace, &[16; 7]), doubled);
    assert_eq!(doubled[6], LONGEST_PERIOD);
    // A caller more or less in eight changes nothing; more than that does.
    assert_eq!(
        lengths(&mut pace, &[18, 16, 20, 20, 15]),
        [32 * first, 32 * first, first, 2 * first, first]
    );
    assert_eq!(lengths(&mut pace, &[16, 16, 16]), doubled[1..4]);
}

#[test]
fn the_worker_counts_soon_after_callers_have_come_or_gone() {
    let now = Instant::now();
    let rest = LONGEST_PERIOD - 2 * PERIOD;
    for (halved, tasks, batches) in [
        (true, 8, rest),
        (true, 16, rest),
        (true, 17, 1),
        (true, 40, 1),
        (true, 7, 4),
        (true, 5, 4),
        (true, 1, 4),
        (false, 16, rest),
        (false, 17, 1),
        (false, 15, 4),
        (false, 12, 4),
    ] {
        let mut pace = BatchPace::new(Some(HOW));
        // The worker has counted 16 callers several times, and waits for eight of them, or for all.
        (pace.callers, pace.halved) = (16, halved);
        (pace.period, pace.turn) = (LONGEST_PERIOD, 2 * PERIOD);
        let counts = |_: &u32| {
            pace.begin(tasks, now);
            pace.turn == 0
        };
        assert_eq!((1..).find(counts), Some(batches), "{halved} {tasks}");
    }
}

#[test]
fn the_worker_counts_soon_after_the_disk_has_become_slower_or_faster() {
    let mut pace = BatchPace::new(Some(HOW));
    (0..PERIOD).for_each(|_| execute(&mut pace, 2, Instant::now()));
    let periods = [SLOW, SLOW, SLOW, QUICK, QUICK, SLOW].map(|preparation| {
        let all = period(&mut pace, 16, preparation);
        u32::try_from(all.len()).unwrap() / PERIOD
    });
    assert_eq!(periods, [1, 2, 4, 1, 2, 1]);
}

#[test]
fn callers_beyond_those_that_are_counted_make_no_difference() {
    let mut pace = BatchPace::new(Some(HOW));
    (0..PERIOD).for_each(|_| execute(&mut pace, 2, Instant::now()));
    let lengths = [100, 70, 500].map(|callers| period(&mut pace, callers, SLOW).len());
    assert_eq!(lengths.map(|length| u32::try_from(length).unwrap() / PERIOD), [1, 2, 4]);
}

#[test]
fn the_worker_waits_for_fewer_tasks_once_callers_are_gone() {
    let (mut pace, now) = (BatchPace::new(Some(HOW)), Instant::now());
    for _ in 0..=PERIOD {
        execute(&mut pace, 32, now);
    }
    assert_eq!(pace.gather(now).unwrap().wanted, 32);
    // 8 of 32 callers may be late, so that the worker waits for them again.
    pace.begin(24, now);
    assert_eq!(pace.gather(now).unwrap().wanted, 32);
    for _ in 0..16 {
        pace.begin(4, now);
    }
    assert!(pace.gather(now).unwrap().wanted <= 8);
}
