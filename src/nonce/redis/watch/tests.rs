#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::{NonceLoss, PERIOD, ServerReading, ServerWatch};

/// A simulated server whose clock and counters the test sets.
struct FakeServer {
    begun: Instant,
    watch: ServerWatch,
}

const SECOND: i64 = 1_000_000;

impl FakeServer {
    fn new() -> Self {
        // The timer's start is put later than that of the machine's timer, so that the test can
        // subtract from it.
        let begun = Instant::now() + Duration::from_secs(1_000);
        let look = FakeServer::reading(begun, 0, 0, 0, 100);
        FakeServer { begun, watch: ServerWatch::new("term".into(), &look) }
    }

    /// Returns a reading taken `ms` milliseconds after `begun` and answered `slow` milliseconds
    /// later, by a server whose clock is `ahead` microseconds fast.
    fn reading(begun: Instant, ms: u64, slow: u64, ahead: i64, commands: u64) -> ServerReading {
        ServerReading {
            asked: begun + Duration::from_millis(ms),
            answered: begun + Duration::from_millis(ms + slow),
            server: 1_700_000_000 * SECOND + i64::try_from(ms).unwrap() * 1_000 + ahead,
            commands,
            evicted: 0,
        }
    }

    fn take_reading(&mut self, ms: u64, slow: u64, ahead: i64, commands: u64) -> Option<NonceLoss> {
        self.watch.take(&FakeServer::reading(self.begun, ms, slow, ahead, commands))
    }
}

#[test]
fn a_clock_that_runs_like_our_timer_shows_nothing() {
    let mut server = FakeServer::new();
    for i in 1..10_000 {
        // Answers that take up to the maximum time, and clock corrections of some seconds, are no
        // loss.
        let (slow, ahead) = (i % 7 * 1_500, i64::try_from(i % 5).unwrap() * SECOND);
        assert_eq!(server.take_reading(i * 10_000, slow, ahead, 100 + i), None, "{i}");
    }
    // After a day without a reading, even a clock that drifts as much as a bad quartz does shows no
    // loss.
    assert_eq!(server.take_reading(186_400_000, 0, 10 * SECOND, 20_000), None);
}

#[test]
fn a_clock_step_is_reported_until_the_floors_have_risen() {
    for (ahead, loss) in [(6, NonceLoss::ClockForward), (-6, NonceLoss::ClockBack)] {
        for seconds in [1, 20, 20_000] {
            let mut server = FakeServer::new();
            assert_eq!(server.take_reading(1_000, 0, 0, 101), None);
            let ahead = ahead * seconds * SECOND;
            assert_eq!(server.take_reading(2_000, 0, ahead, 102), Some(loss));
            // The clock is set back to where it was. The nonces that expired in between are lost.
            assert_eq!(server.take_reading(3_000, 0, 0, 103), Some(loss));
        }
    }
}

#[test]
fn many_small_clock_steps_count_as_one_step() {
    let mut server = FakeServer::new();
    let seen = (1..=60).find_map(|i| {
        let ahead = i64::try_from(i).unwrap() * SECOND;
        server.take_reading(i * 1_000, 0, ahead, 100 + i).map(|loss| (i, loss))
    });
    assert_eq!(seen, Some((6, NonceLoss::ClockForward)));
}

#[test]
fn an_uncertainty_from_a_slow_answer_is_no_step() {
    let mut server = FakeServer::new();
    // The answer took 10 seconds, and the server may have read its clock at any time in between.
    for ahead in [0, 5 * SECOND, 10 * SECOND] {
        assert_eq!(server.take_reading(20_000, 10_000, ahead, 101), None);
    }
    assert_eq!(
        server.take_reading(40_000, 10_000, 16 * SECOND, 103),
        Some(NonceLoss::ClockForward)
    );
}

#[test]
fn an_old_reading_counts_for_two_periods_at_the_most() {
    let mut server = FakeServer::new();
    let period = u64::try_from(PERIOD.as_millis()).unwrap();
    assert_eq!(server.take_reading(period / 2, 0, -4 * SECOND, 101), None);
    assert_eq!(server.take_reading(period + 1, 0, -4 * SECOND, 102), None);
    // Two drifts of 4 seconds within two periods add up to a loss. Over more than two periods, they
    // are tolerated.
    assert_eq!(server.take_reading(2 * period + 2, 0, -4 * SECOND, 103), None);
    assert_eq!(server.take_reading(3 * period + 3, 0, -8 * SECOND, 104), None);
    assert_eq!(
        server.take_reading(3 * period + 4, 0, -12 * SECOND, 105),
        Some(NonceLoss::ClockBack)
    );
}

#[test]
fn counters_only_grow() {
    let mut server = FakeServer::new();
    assert_eq!(server.take_reading(1_000, 50, 0, 200), None);
    // The answers of two pipelines that were in flight together may be processed in either order.
    assert_eq!(server.take_reading(1_020, 10, 0, 190), None);
    assert_eq!(server.take_reading(2_000, 0, 0, 199), Some(NonceLoss::CountersReset));
    assert_eq!(
        server.take_reading(3_000, 0, 0, 500),
        Some(NonceLoss::CountersReset),
        "until it is settled"
    );
}
