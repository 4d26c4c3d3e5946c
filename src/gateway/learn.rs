//! Listening to the answers to `tools/list` as they pass, to learn which tools are destructive.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::metrics::Metrics;
use super::policy::Policies;

/// Bytes of an answer that is listened to; the tools of a longer one stay unknown.
const LONGEST: usize = 4 * 1024 * 1024;

/// A copy of one answer, kept until its end.
pub(super) struct Listening {
    policies: Policies,
    metrics: Arc<Metrics>,
    events: bool,
    heard: Option<Vec<u8>>,
}

impl Listening {
    /// Listens to an answer with these fields, if it is one that can be understood.
    pub(super) fn to(
        fields: &HeaderMap,
        policies: &Policies,
        metrics: &Arc<Metrics>,
    ) -> Option<Self> {
        if fields.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let media = fields.get(CONTENT_TYPE)?.to_str().ok()?;
        let media = media.split(';').next().unwrap_or_default().trim();
        let events = media.eq_ignore_ascii_case("text/event-stream");
        if !events && !media.eq_ignore_ascii_case("application/json") {
            return None;
        }
        let (policies, metrics) = (policies.clone(), Arc::clone(metrics));
        Some(Listening { policies, metrics, events, heard: Some(Vec::new()) })
    }

    /// Takes the next piece.
    pub(super) fn hear(&mut self, data: &[u8]) {
        let Some(heard) = &mut self.heard else { return };
        if heard.len().saturating_add(data.len()) > LONGEST {
            self.heard = None;
        } else {
            heard.extend_from_slice(data);
        }
    }

    /// The answer is whole. What it says that cannot be understood changes nothing: tools that are
    /// not known count as destructive.
    pub(super) fn understand(self) {
        let Some(heard) = self.heard else { return };
        self.policies.with_tools(|tools| {
            if self.events {
                for message in events(&heard) {
                    let _ = tools.learn(&message);
                }
            } else {
                let _ = tools.learn(&heard);
            }
            self.metrics.learn_tools(tools.names());
        });
    }
}

/// The data of each event of a stream (HTML Living Standard, section 9.2.6).
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let (mut events, mut data, mut any) = (Vec::new(), Vec::new(), false);
    // A line ends with CR LF, LF or CR; the empty one between CR and LF is none.
    let mut lines = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(rest.len());
        lines.push(&rest[..end]);
        let ending = match rest.get(end..end + 2) {
            Some(b"\r\n") => 2,
            _ => usize::from(end < rest.len()),
        };
        rest = rest.get(end + ending..).unwrap_or_default();
    }
    for line in lines {
        if line.is_empty() {
            if std::mem::take(&mut any) {
                events.push(std::mem::take(&mut data));
            }
        } else if let Some(value) = line.strip_prefix(b"data:") {
            if std::mem::replace(&mut any, true) {
                data.push(b'\n');
            }
            data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
    }
    events
}
