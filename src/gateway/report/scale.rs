//! Divides time into buckets of equal width. The width grows with the time span of the log.

use serde::Serialize;

use crate::clock::Timestamp;

/// The maximum number of buckets. A bucket is a quarter of an hour wide for a log of one day, an
/// hour for four days, and a day for a quarter of a year.
pub const MOST_BUCKETS: usize = 96;

/// Possible widths in seconds. Each is a multiple of the width before it, so that buckets can be
/// merged. Beyond a day, the width doubles.
const BUCKET_WIDTHS: [i64; 8] = [60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400];

/// The first and last second that RFC 3339 can represent. Only a wrong clock gives a time outside.
const NAMEABLE: (i64, i64) = (-62_167_219_200, 253_402_300_799);

/// The buckets of time in which requests are counted. All counts over time have the same buckets:
/// their width, the beginning of the first, and the beginning of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    width: i64,
    ends: Option<(i64, i64)>,
}

impl Scale {
    pub(super) fn new() -> Self {
        Scale { width: BUCKET_WIDTHS[0], ends: None }
    }

    /// The width of a bucket in seconds.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// Returns the beginning of the bucket that holds `time`.
    pub(super) fn bucket(&self, time: Timestamp) -> i64 {
        floor(time.unix().clamp(NAMEABLE.0, NAMEABLE.1), self.width)
    }

    /// Extends the buckets to `time`. Returns true if the buckets became wider, so that the caller
    /// must merge the buckets of every series.
    pub(super) fn cover(&mut self, time: Timestamp) -> bool {
        let at = self.bucket(time);
        let (mut low, mut high) = self.ends.unwrap_or((at, at));
        (low, high) = (low.min(at), high.max(at));
        let old = self.width;
        let most = i64::try_from(MOST_BUCKETS).unwrap_or(i64::MAX);
        while (high - low) / self.width >= most {
            self.width = wider(self.width);
            (low, high) = (floor(low, self.width), floor(high, self.width));
        }
        self.ends = Some((low, high));
        self.width != old
    }

    /// Returns the beginnings of all buckets, from the first to the last with a request.
    pub(super) fn buckets(&self) -> Vec<i64> {
        let Some((low, high)) = self.ends else { return Vec::new() };
        (0..).map(|n| low + n * self.width).take_while(|at| *at <= high).collect()
    }
}

fn wider(width: i64) -> i64 {
    BUCKET_WIDTHS.into_iter().find(|w| *w > width).unwrap_or(width.saturating_mul(2))
}

fn floor(at: i64, width: i64) -> i64 {
    at.div_euclid(width) * width
}

/// The counts of requests in one span of time (a bucket).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The beginning of the bucket, in seconds since 1970.
    pub from: i64,
    /// Requests that were verified.
    pub verified: u64,
    /// Requests that were forwarded although they were not verified (permissive mode).
    pub would_refuse: u64,
    /// Requests that were refused.
    pub refused: u64,
}

impl Cell {
    pub(super) fn empty(from: i64) -> Self {
        Cell { from, ..Cell::default() }
    }

    /// Returns the number of all requests in this bucket.
    pub fn requests(&self) -> u64 {
        self.verified + self.would_refuse + self.refused
    }

    pub(super) fn take(&mut self, other: &Cell) {
        self.verified += other.verified;
        self.would_refuse += other.would_refuse;
        self.refused += other.refused;
    }
}

/// The non-empty buckets of one operation, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Series(Vec<Cell>);

impl Series {
    pub(super) fn cells(&self) -> &[Cell] {
        &self.0
    }

    /// Adds the counts of `cell` to the bucket with the same beginning.
    pub(super) fn add(&mut self, cell: &Cell) {
        // The log is written in order of time, so this is nearly always the last bucket.
        match self.0.last_mut() {
            Some(last) if last.from == cell.from => last.take(cell),
            Some(last) if last.from < cell.from => self.0.push(*cell),
            None => self.0.push(*cell),
            Some(_) => match self.0.binary_search_by_key(&cell.from, |known| known.from) {
                Ok(place) => {
                    if let Some(known) = self.0.get_mut(place) {
                        known.take(cell);
                    }
                }
                Err(place) => self.0.insert(place, *cell),
            },
        }
    }

    /// Merges neighbouring buckets until they are as wide as the buckets of `scale`.
    pub(super) fn coarsen(&mut self, scale: &Scale) {
        let fine = std::mem::take(&mut self.0);
        for cell in fine {
            self.add(&Cell { from: floor(cell.from, scale.width), ..cell });
        }
    }

    pub(super) fn merge(&mut self, other: &Series) {
        other.0.iter().for_each(|cell| self.add(cell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds)
    }

    #[test]
    fn bucket_widths_divide_each_other() {
        for pair in BUCKET_WIDTHS.windows(2) {
            assert_eq!(pair[1] % pair[0], 0, "{pair:?}");
        }
    }

    #[test]
    fn buckets_stay_few_and_lose_no_count_for_any_times() {
        let days = |n: i64| (0..96 * n).map(|q| q * 900).collect::<Vec<_>>();
        let (min, max) = (i64::MIN, i64::MAX);
        for (times, width) in [
            (vec![0, 59, 60, 5759], 60),
            (vec![0, 5760], 300),
            (vec![5760, 0], 300),
            (days(1), 900),
            (days(4), 3600),
            (days(90), 86_400),
            (days(97), 172_800),
            (vec![-1, 0], 60),
            (vec![-1, 0, -5761], 300),
            (vec![min, 0, max], 86_400 << 16),
        ] {
            let (mut scale, mut series) = (Scale::new(), Series::default());
            for time in &times {
                if scale.cover(at(*time)) {
                    series.coarsen(&scale);
                }
                series.add(&Cell { refused: 1, ..Cell::empty(scale.bucket(at(*time))) });
            }
            assert_eq!(scale.width(), width, "{times:?}");
            let buckets = scale.buckets();
            assert!(buckets.len() <= MOST_BUCKETS && series.cells().len() <= MOST_BUCKETS);
            assert!(series.cells().is_sorted_by_key(|cell| cell.from));
            assert!(series.cells().iter().all(|cell| buckets.contains(&cell.from)), "{times:?}");
            let sum: u64 = series.cells().iter().map(Cell::requests).sum();
            assert_eq!(sum, times.len() as u64);
        }
    }

    #[test]
    fn the_order_of_lines_makes_no_difference() {
        let times = [9_000, 3, 400_000, 70, 9_001, 3, 100];
        let fill = |times: &mut dyn Iterator<Item = i64>| {
            let (mut scale, mut series) = (Scale::new(), Series::default());
            for time in times {
                if scale.cover(at(time)) {
                    series.coarsen(&scale);
                }
                series.add(&Cell { verified: 1, ..Cell::empty(scale.bucket(at(time))) });
            }
            (scale, series)
        };
        let forwards = fill(&mut times.into_iter());
        assert_eq!(forwards, fill(&mut times.into_iter().rev()));
        let mut sorted = times;
        sorted.sort_unstable();
        assert_eq!(forwards, fill(&mut sorted.into_iter()));
    }
}
