//! Metrics about this process under the names that Prometheus' own client libraries use, read from
//! `/proc` (Linux) each time the metrics are requested. On systems without `/proc`, these metrics
//! are absent.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Clock ticks a second in `/proc`. Linux uses this fixed number in `/proc` on all processors that
/// Rust supports, independent of its internal clock rate.
const USER_HZ: f64 = 100.0;

#[derive(Debug)]
struct ProcessCollector;

/// Returns a registry with the metrics of this process.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(ProcessCollector));
    registry
}

/// What `/proc` states about this process.
#[derive(Debug, Default, PartialEq)]
struct ProcessFigures {
    /// User and system CPU time, in seconds.
    cpu: Option<f64>,
    /// Start of the process, in seconds since 1970.
    start: Option<f64>,
    /// Resident memory, in bytes.
    resident: Option<i64>,
    /// Address space, in bytes.
    virtual_memory: Option<i64>,
    open_files: Option<i64>,
    max_files: Option<i64>,
}

impl ProcessFigures {
    fn read() -> Self {
        let file = |name: &str| fs::read_to_string(name).unwrap_or_default();
        // One is subtracted: reading the folder itself uses one of the file descriptors that are
        // counted.
        let open_files = fs::read_dir("/proc/self/fd")
            .ok()
            .and_then(|files| i64::try_from(files.count()).ok())
            .map(|count| count - 1);
        let texts = [
            file("/proc/self/stat"),
            file("/proc/self/status"),
            file("/proc/self/limits"),
            file("/proc/stat"),
        ];
        ProcessFigures { open_files, ..ProcessFigures::parse(&texts) }
    }

    fn parse([stat, status, limits, system]: &[String; 4]) -> Self {
        // The second field is the name of the program in parentheses, which may contain any
        // character. The text after the last parenthesis begins with the third field
        // (proc_pid_stat(5)).
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let ticks = |number: usize| -> Option<f64> { fields.get(number - 3)?.parse().ok() };
        let boot = labelled(system, "btime").and_then(|words| words.parse::<f64>().ok());
        let kib = |label| {
            let number = labelled(status, label)?.split_whitespace().next()?;
            number.parse::<i64>().ok()?.checked_mul(1024)
        };
        let max_files = labelled(limits, "Max open files");
        ProcessFigures {
            cpu: ticks(14).zip(ticks(15)).map(|(user, system)| (user + system) / USER_HZ),
            start: ticks(22).zip(boot).map(|(start, boot)| boot + start / USER_HZ),
            resident: kib("VmRSS:"),
            virtual_memory: kib("VmSize:"),
            open_files: None,
            // If the limit is `unlimited`, the parser finds no number.
            max_files: max_files.and_then(|words| words.split_whitespace().next()?.parse().ok()),
        }
    }
}

/// Returns the rest of the line of `text` that begins with `label`.
fn labelled<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(label)).map(str::trim)
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = ProcessFigures::read();
        if let Some(cpu) = figures.cpu {
            let help = "User and system CPU time, in seconds";
            let counter = ConstCounter::new(cpu);
            let kind = MetricType::Counter;
            counter.encode(encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                kind,
            )?)?;
        }
        if let Some(start) = figures.start {
            let (name, help) = ("process_start_time_seconds", "Start of the process, as unix time");
            let gauge = ConstGauge::new(start);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let gauges = [
            ("process_resident_memory_bytes", "Bytes of memory in use", figures.resident),
            ("process_virtual_memory_bytes", "Bytes of address space", figures.virtual_memory),
            ("process_open_fds", "Open file descriptors", figures.open_files),
            ("process_max_fds", "Limit of open file descriptors", figures.max_files),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessFigures;

    #[test]
    fn a_program_name_cannot_move_the_fields() {
        let rest = "S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 4 0 1000 9 8";
        let texts = |name: &str| {
            [
                format!("7 ({name}) {rest}"),
                "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\n".to_owned(),
                "Limit   Soft Limit\nMax open files            20000      30000      files\n"
                    .to_owned(),
                "cpu 1 2\nbtime 1790000000\n".to_owned(),
            ]
        };
        for name in ["mcpid", "a b", ") 9 (", "(((", ")"] {
            let figures = ProcessFigures::parse(&texts(name));
            assert_eq!((figures.cpu, figures.start), (Some(2.0), Some(1_790_000_010.0)), "{name}");
            assert_eq!((figures.resident, figures.virtual_memory), (Some(12_288), Some(2_097_152)));
            assert_eq!(figures.max_files, Some(20_000));
        }
        let none = ProcessFigures::parse(&[const { String::new() }; 4]);
        assert_eq!(none, ProcessFigures::default());
    }
}
