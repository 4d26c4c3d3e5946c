//! Metrics about the witnesses of the audit log, read each time the metrics are requested.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::audit::witness::WitnessStatus;
use crate::clock::{Clock, Timestamp};

/// Encodes a [`WitnessStatus`] for Prometheus.
pub(super) struct WitnessCollector {
    status: Arc<WitnessStatus>,
    clock: Arc<dyn Clock>,
    /// The start of the process. Until the first quorum of witnesses, the age of the last quorum is
    /// counted from this time.
    started: Timestamp,
}

impl WitnessCollector {
    pub(super) fn new(status: Arc<WitnessStatus>, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now();
        WitnessCollector { status, clock, started }
    }
}

impl fmt::Debug for WitnessCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessCollector").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Collector for WitnessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.status.figures();
        let now = self.clock.now();
        let (entries, since) = figures.quorum.unwrap_or((0, self.started));
        let gauges = [
            (
                "audit_quorum_age_seconds",
                "Seconds since witnesses made a quorum, or since the start if there was none",
                now.since(since).max(0),
            ),
            (
                "audit_quorum_entries",
                "Entries under the last checkpoint that a quorum of witnesses has cosigned",
                i64::try_from(entries).unwrap_or(i64::MAX),
            ),
            (
                "audit_quorum_waiting_seconds",
                "Seconds for which a checkpoint has waited for its quorum, 0 if none waits",
                figures.waiting.map_or(0, |(_, since)| now.since(since).max(0)),
            ),
            (
                "audit_witness_contradicted",
                "Whether a witness shows that the log was rolled back or forked",
                i64::from(figures.contradiction.is_some()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let counters = [
            (
                "audit_witness_cosignatures",
                "Cosignatures of witnesses that hold",
                figures.cosignatures,
            ),
            (
                "audit_witness_failures",
                "Requests to witnesses that failed or were refused",
                figures.failures,
            ),
            (
                "audit_witness_rollbacks",
                "How often a witness held less than it had signed",
                figures.rollbacks,
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
