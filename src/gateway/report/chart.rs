//! Charts: inline SVG without text, so that it can be stretched to any width; labels are HTML.
//!
//! Nothing of a log gets in here but numbers.

use std::fmt::Write as _;

use crate::clock::Timestamp;

use super::figures::{grouped, minute};
use super::scale::Cell;
use super::summary::OverTime;

/// Units of height; those of width are buckets times ten.
const HEIGHT: u64 = 100;

/// The smallest round number that is not below `n` and has a round half: 2, 4, 6, 8, 10, 20, 40…
fn round_above(n: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [2, 4, 6, 8, 10] {
            let round = unit.saturating_mul(step);
            if round >= n {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Requests over time, stacked: verified below, then those that strict would refuse, then those
/// that were refused. Each bucket says its numbers to a pointer that rests on it.
pub(super) fn volume(time: &OverTime) -> String {
    let most = round_above(time.buckets.iter().map(Cell::requests).max().unwrap_or(0));
    let mut svg = open(time.buckets.len(), "Requests over time");
    for half in [0, HEIGHT / 2] {
        let _ = write!(svg, "<path class=\"grid\" d=\"M0 {half}H{}\"/>", time.buckets.len() * 10);
    }
    for (n, cell) in time.buckets.iter().enumerate() {
        let _ = write!(svg, "<g class=\"bucket\"><title>{}</title>", spoken(cell));
        let _ = write!(svg, "<path class=\"hit\" d=\"M{} 0h10V{HEIGHT}h-10z\"/>", n * 10);
        let mut below = 0;
        for (class, part) in
            [("signed", cell.verified), ("would", cell.would_refuse), ("refused", cell.refused)]
        {
            if part > 0 {
                let (low, high) = (level(below, most), level(below + part, most));
                let _ = write!(svg, "<path class=\"{class}\" d=\"{}\"/>", bar(n, low, high));
            }
            below += part;
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    let half = grouped(most / 2);
    frame(&svg, [&grouped(most), &half, "0"], time)
}

/// Bars of a share chart, which is small.
const MOST_BARS: usize = 32;

/// How many buckets are one bar of a share chart.
pub(super) fn buckets_a_bar(time: &OverTime) -> usize {
    time.buckets.len().div_ceil(MOST_BARS).max(1)
}

/// The share of verified requests in each span of time, as the height of the lower part; the rest
/// is what was not verified. A time without requests stays empty.
pub(super) fn share(cells: &[Cell], time: &OverTime) -> String {
    let spans = time.buckets.chunks(buckets_a_bar(time));
    let mut svg = open(spans.len(), &told(cells));
    let (mut signed, mut rest) = (String::new(), String::new());
    let mut cells = cells.iter().peekable();
    for (n, span) in spans.enumerate() {
        let end = span.last().map_or(i64::MAX, |last| last.from);
        let mut all = Cell::default();
        while let Some(cell) = cells.next_if(|cell| cell.from <= end) {
            all.take(cell);
        }
        let height = level(all.verified, all.requests());
        if all.verified > 0 {
            signed.push_str(&bar(n, HEIGHT as f64, height));
        }
        if all.verified < all.requests() {
            rest.push_str(&bar(n, height, 0.0));
        }
    }
    for (class, d) in [("rest", rest), ("signed", signed)] {
        if !d.is_empty() {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{d}\"/>");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// What became of some requests, as one thin bar.
pub(super) fn strip(cell: &Cell) -> String {
    let mut svg = String::from(
        "<svg class=\"strip\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\">",
    );
    let all = cell.requests().max(1);
    let mut left = 0;
    for (class, part) in
        [("signed", cell.verified), ("would", cell.would_refuse), ("refused", cell.refused)]
    {
        // What is there is seen, however small its share.
        let width = if part == 0 { 0 } else { super::figures::per_mille(part, all).max(12) };
        if width > 0 {
            let _ = write!(svg, "<path class=\"{class}\" d=\"M{left} 0h{width}v10h-{width}z\"/>");
        }
        left += width;
    }
    svg.push_str("</svg>");
    svg
}

fn open(buckets: usize, label: &str) -> String {
    format!(
        "<svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {} {HEIGHT}\" \
         preserveAspectRatio=\"none\">",
        buckets.max(1) * 10
    )
}

/// How far down from the top `part` of `whole` is.
fn level(part: u64, whole: u64) -> f64 {
    let down = HEIGHT as f64 * (1.0 - part as f64 / whole.max(1) as f64);
    (down * 10.0).round() / 10.0
}

fn bar(n: usize, low: f64, high: f64) -> String {
    format!("M{}.5 {low}V{high}h9V{low}z", n * 10)
}

/// A chart with its labels: three on the left, three below.
fn frame(svg: &str, left: [&str; 3], time: &OverTime) -> String {
    let mut html = String::from("<div class=\"plot\"><div class=\"y\" aria-hidden=\"true\">");
    for label in left {
        let _ = write!(html, "<span>{label}</span>");
    }
    let _ = write!(html, "</div>{svg}<div class=\"x\">");
    for label in edges(time) {
        let _ = write!(html, "<span>{label}</span>");
    }
    html.push_str("</div></div>");
    html
}

/// The begin, the middle and the end of the time that is shown.
fn edges(time: &OverTime) -> Vec<String> {
    let (Some(first), Some(last)) = (time.buckets.first(), time.buckets.last()) else {
        return Vec::new();
    };
    let (from, to) = (first.from, last.from.saturating_add(time.seconds));
    let middle = from + (to - from) / 2;
    [from, middle, to].into_iter().map(|at| minute(Timestamp::from_unix(at))).collect()
}

fn spoken(cell: &Cell) -> String {
    let mut text = minute(Timestamp::from_unix(cell.from));
    let _ = write!(text, ": {} verified", grouped(cell.verified));
    if cell.would_refuse > 0 {
        let _ = write!(text, ", {} strict would refuse", grouped(cell.would_refuse));
    }
    if cell.refused > 0 {
        let _ = write!(text, ", {} refused", grouped(cell.refused));
    }
    text
}

/// What a share chart shows, for those who do not see it.
fn told(cells: &[Cell]) -> String {
    let percent = |cell: &Cell| super::figures::percent(cell.verified, cell.requests());
    match (cells.first(), cells.last()) {
        (Some(first), Some(last)) => {
            format!(
                "signed share over time: {} at first, {} at last",
                percent(first),
                percent(last)
            )
        }
        _ => "no requests".to_owned(),
    }
    // It stands in an attribute, and "< 0.1 %" would be well-formed there too, but unusual.
    .replace('<', "under")
    .replace('>', "over")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (n, round) in [(0, 2), (2, 2), (3, 4), (5, 6), (11, 20), (53, 60), (999, 1000)] {
            assert_eq!(round_above(n), round);
        }
        assert_eq!(round_above(u64::MAX), u64::MAX);
    }

    #[test]
    fn no_number_draws_outside() {
        let big = Cell { verified: u64::MAX / 4, would_refuse: u64::MAX / 4, ..Cell::empty(0) };
        for cell in [Cell::empty(0), big, Cell { refused: 1, ..big }] {
            let time = OverTime { seconds: 60, buckets: vec![cell] };
            for svg in [volume(&time), share(&time.buckets, &time), strip(&cell)] {
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
            }
        }
    }
}
