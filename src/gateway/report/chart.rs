//! Charts as inline SVG. The SVG itself contains no text, so that it can be stretched to any width;
//! the labels are HTML.
//!
//! Charts use only the numbers of a log, never its texts.

use std::fmt::Write as _;

use crate::clock::Timestamp;

use super::figures::{grouped, minute};
use super::scale::Cell;
use super::summary::RequestsOverTime;

/// The height in SVG units. The width is ten units for each bucket.
const HEIGHT: u64 = 100;

/// Returns the end of the axis if the highest bar is `n`. Up to 10 this is `n`; above 10 it is a
/// round number, so that at most a sixth of the height stays empty.
fn axis(n: u64) -> u64 {
    const STEPS: [u64; 18] =
        [10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48, 50, 60, 70, 80, 90, 100];
    if n <= 10 {
        return n.max(1);
    }
    let mut unit = 1_u64;
    loop {
        for step in STEPS {
            let round = unit.saturating_mul(step);
            if round >= n {
                return round;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// Draws requests over time as stacked bars: verified, then those that strict mode would refuse,
/// then refused. Each bar is a bucket of time, and shows its numbers as a tooltip.
pub(super) fn volume(time: &RequestsOverTime) -> String {
    let most = axis(time.buckets.iter().map(Cell::requests).max().unwrap_or(0));
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
                if class == "would" {
                    let line = hatch(n, low, high);
                    let _ = write!(svg, "<path class=\"hatch\" d=\"{line}\"/>");
                }
            }
            below += part;
        }
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    let half = if most.is_multiple_of(2) { grouped(most / 2) } else { String::new() };
    frame(&svg, [&grouped(most), &half, "0"], time)
}

/// The maximum number of bars in a share chart, which is small.
const MOST_BARS: usize = 32;

/// Returns how many buckets of time one bar of a share chart covers.
pub(super) fn buckets_a_bar(time: &RequestsOverTime) -> usize {
    time.buckets.len().div_ceil(MOST_BARS).max(1)
}

/// Draws a bar for each span of time. Its lower part is the share of verified requests, its upper
/// part the share of all others. A span without requests stays empty.
pub(super) fn share(cells: &[Cell], time: &RequestsOverTime) -> String {
    let spans = time.buckets.chunks(buckets_a_bar(time));
    let mut svg = open(spans.len(), &alternative_text(cells));
    let (mut signed, mut rest, mut lines) = (String::new(), String::new(), String::new());
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
            lines.push_str(&hatch(n, height, 0.0));
        }
    }
    for (class, d) in [("rest", rest), ("hatch", lines), ("signed", signed)] {
        if !d.is_empty() {
            let _ = write!(svg, "<path class=\"{class}\" d=\"{d}\"/>");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Draws the outcomes of all requests as one thin bar.
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
        // A part with a very small share still gets a visible width.
        let width = if part == 0 { 0 } else { super::figures::per_mille(part, all).max(12) };
        if width > 0 {
            let _ = write!(svg, "<path class=\"{class}\" d=\"M{left} 0h{width}v10h-{width}z\"/>");
            if class == "would" {
                let _ = write!(svg, "<path class=\"hatch\" d=\"M{left} 5h{width}\"/>");
            }
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

/// Returns the distance from the top of a chart at which a bar for `part` of `whole` ends.
fn level(part: u64, whole: u64) -> f64 {
    let down = HEIGHT as f64 * (1.0 - part as f64 / whole.max(1) as f64);
    (down * 10.0).round() / 10.0
}

fn bar(n: usize, low: f64, high: f64) -> String {
    format!("M{}.5 {low}V{high}h9V{low}z", n * 10)
}

/// Draws a dashed line along the middle of a bar, as wide as the bar. It looks like hatching at any
/// width, so that the parts of a bar can be told apart without colours.
fn hatch(n: usize, low: f64, high: f64) -> String {
    format!("M{}5 {low}V{high}", if n == 0 { String::new() } else { n.to_string() })
}

/// Writes a chart with its labels: three on the left, three below.
fn frame(svg: &str, left: [&str; 3], time: &RequestsOverTime) -> String {
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

/// Returns the labels for beginning, middle and end of the time span.
fn edges(time: &RequestsOverTime) -> Vec<String> {
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

/// Returns the text alternative of a share chart.
fn alternative_text(cells: &[Cell]) -> String {
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
    // The text becomes an HTML attribute, where `<` and `>` are replaced by words.
    .replace('<', "under")
    .replace('>', "over")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_fit_the_data_and_end_at_round_numbers() {
        for (n, end) in
            [(0, 1), (1, 1), (3, 3), (10, 10), (11, 12), (21, 24), (53, 60), (999, 1000)]
        {
            assert_eq!(axis(n), end);
        }
        for n in 1..100_000_u64 {
            let end = axis(n);
            assert!(end >= n && (n + 1) * 6 >= end * 5, "{n}: {end}");
            assert!(n <= 10 || end.is_multiple_of(2), "{n}: {end}");
        }
        assert_eq!(axis(u64::MAX), u64::MAX);
    }

    #[test]
    fn no_number_draws_outside() {
        let big = Cell { verified: u64::MAX / 4, would_refuse: u64::MAX / 4, ..Cell::empty(0) };
        for cell in [Cell::empty(0), big, Cell { refused: 1, ..big }] {
            let time = RequestsOverTime { seconds: 60, buckets: vec![cell] };
            for svg in [volume(&time), share(&time.buckets, &time), strip(&cell)] {
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
            }
        }
    }
}
