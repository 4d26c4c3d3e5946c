//! Tests of how a worker gathers, with times that the tests choose.
#![allow(clippy::unwrap_used)]

use super::*;

const HOW: Gather = Gather { time: Duration::from_secs(60), most: 32, probe: 4 };

#[test]
fn the_worker_gathers_only_where_tasks_come_together() {
    let (mut pace, now) = (BatchPace::new(Some(HOW)), Instant::now());
    assert!(pace.gather(now).is_none(), "no batch was begun yet");
    // After batches of a single task, the worker waits for more only before every fourth batch, and
    // then for at least two tasks.
    let gathered: Vec<_> = (0..200)
        .map(|_| {
            pace.begin(1, now);
            pace.gather(now).map(|wait| wait.wanted)
        })
        .collect();
    assert_eq!(gathered.iter().filter(|wanted| wanted.is_some()).count(), 50);
    assert_eq!(gathered.iter().flatten().last(), Some(&2));
}

/// Executes batches until the worker counts its callers again. Each batch takes 1 ms, and all
/// callers prepare their tasks in `preparation`. Returns the number of tasks that each batch waits
/// for, of the `callers` that there are.
fn period(pace: &mut BatchPace, callers: usize, preparation: Duration) -> Vec<usize> {
    let mut now = Instant::now();
    let mut all = Vec::new();
    loop {
        let wait = pace.gather(now).unwrap();
        all.push(wait.wanted);
        now += preparation;
        pace.begin(wait.wanted.min(callers), now);
        if pace.turn == 0 {
            return all;
        }
        now += Duration::from_millis(1);
    }
}

#[test]
fn the_worker_waits_for_half_of_the_callers_while_they_need_longer_than_a_batch() {
    let mut pace = BatchPace::new(Some(HOW));
    let (quick, slow) = (Duration::from_micros(900), Duration::from_micros(1_100));
    pace.begin(2, Instant::now());
    (1..PERIOD).for_each(|_| pace.begin(2, Instant::now()));
    // First the worker waits for as many as may come, to count the callers, then for all of them.
    for (callers, preparation, wanted) in [
        (16, slow, 8),
        (16, quick, 16),
        (5, slow, 3),
        (5, quick, 5),
        (40, slow, 20),
        (40, quick, 32),
        (500, slow, 32),
        (500, quick, 32),
    ] {
        let all = period(&mut pace, callers, preparation);
        assert_eq!(all[..2], [64, callers.min(64)], "{callers}");
        assert!(all[2..].iter().all(|each| *each == wanted), "{callers}: {all:?}");
    }
}

#[test]
fn the_worker_counts_less_often_while_the_number_of_callers_stays_the_same() {
    let mut pace = BatchPace::new(Some(HOW));
    let slow = Duration::from_micros(1_100);
    let lengths = |pace: &mut BatchPace, callers: &[usize]| -> Vec<u32> {
        let length = |callers: &usize| u32::try_from(period(pace, *callers, slow).len()).unwrap();
        callers.iter().map(length).collect()
    };
    pace.begin(2, Instant::now());
    (1..PERIOD).for_each(|_| pace.begin(2, Instant::now()));
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
    let (quick, slow) = (Duration::from_micros(900), Duration::from_micros(1_100));
    let mut pace = BatchPace::new(Some(HOW));
    pace.begin(2, Instant::now());
    (1..PERIOD).for_each(|_| pace.begin(2, Instant::now()));
    let periods = [slow, slow, slow, quick, quick, slow].map(|preparation| {
        let all = period(&mut pace, 16, preparation);
        u32::try_from(all.len()).unwrap() / PERIOD
    });
    assert_eq!(periods, [1, 2, 4, 1, 2, 1]);
}

#[test]
fn callers_beyond_those_that_are_counted_make_no_difference() {
    let (mut pace, slow) = (BatchPace::new(Some(HOW)), Duration::from_micros(1_100));
    pace.begin(2, Instant::now());
    (1..PERIOD).for_each(|_| pace.begin(2, Instant::now()));
    let lengths = [100, 70, 500].map(|callers| period(&mut pace, callers, slow).len());
    assert_eq!(lengths.map(|length| u32::try_from(length).unwrap() / PERIOD), [1, 2, 4]);
}

#[test]
fn the_worker_waits_for_fewer_tasks_once_callers_are_gone() {
    let (mut pace, now) = (BatchPace::new(Some(HOW)), Instant::now());
    for _ in 0..=PERIOD {
        pace.begin(32, now);
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
