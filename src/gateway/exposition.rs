//! The two text formats of Prometheus: OpenMetrics 1.0, which the library for metrics writes, and
//! the older format 0.0.4, which is made from the former.

use http::{HeaderMap, HeaderValue, header};

/// A text format for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    OpenMetrics,
    /// The Prometheus text format 0.0.4.
    Text,
}

impl Exposition {
    /// Returns OpenMetrics if the field `Accept` names it, and otherwise the older format.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let is_wanted = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            media.eq_ignore_ascii_case("application/openmetrics-text")
                // A weight of 0 (`;q=0`) means that the client refuses the format (RFC 9110 section
                // 12.4.2).
                && !parts.any(|part| part.to_ascii_lowercase().trim_start_matches("q=").parse() == Ok(0.0_f32))
        };
        match lines.flat_map(|line| line.split(',')).any(is_wanted) {
            true => Exposition::OpenMetrics,
            false => Exposition::Text,
        }
    }

    /// Returns the value of `Content-Type`.
    pub(super) fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
        })
    }

    /// Converts `open_metrics`, a text in the format OpenMetrics, to this format.
    pub(super) fn write(self, open_metrics: String) -> String {
        match self {
            Exposition::OpenMetrics => open_metrics,
            Exposition::Text => text(&open_metrics),
        }
    }
}

/// Converts OpenMetrics to the format 0.0.4, in which a metric is described under the name of its
/// samples, and there are no units, no `info` and no end mark.
fn text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 256);
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.extend([line, "\n"]);
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("HELP"), Some(_), rest) => help = rest,
            (Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some(help) = help.take() {
                    text.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => {}
        }
    }
    text
}
