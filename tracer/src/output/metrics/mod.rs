//! What a running tracer tells who scrapes it: OpenMetrics, or the older text format of Prometheus; and what it pushes.
//!
//! No label is a local port or a process id, and every label has a bounded number of values: programs and pools have as
//! many places as were asked for, the rest is told as one.

mod families;
mod labels;
mod open_metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod sink;

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

use self::families::Families;
#[cfg(feature = "otlp")]
pub use self::otlp::export_request;
use super::records::{Accounting, Report, SelfCost};

/// Choices of one site, protocol and result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteCount {
    /// `connect`, `bind`, `listen` or `autobind`.
    pub site: &'static str,
    /// The kernel chose the port; else the caller had named it.
    pub is_chosen: bool,
    /// `tcp`, `udp` and so on.
    pub proto: &'static str,
    /// Errno of a failure, `unknown` where it was not seen; none: it succeeded.
    pub error: Option<&'static str>,
    /// How many since the start.
    pub count: u64,
}

/// What a program asked for since it has a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCount {
    /// Its name.
    pub name: String,
    /// systemd unit; empty without one.
    pub unit: String,
    /// Container; empty outside of one.
    pub container: String,
    /// UID of the Kubernetes pod; empty outside of one.
    pub pod: String,
    /// Ports asked for.
    pub allocations: u64,
    /// Of these, refused.
    pub failures: u64,
}

/// The range of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeGauge {
    /// Name of the namespace.
    pub netns: String,
    /// First port.
    pub low: u16,
    /// Last port.
    pub high: u16,
    /// Unreserved ports.
    pub effective: u32,
}

/// How many numbers there were since the start up to each of some edges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper edges, and the numbers up to each that are above the one before.
    pub counts: Vec<(f64, u64)>,
    /// Numbers that are above the last one.
    pub above: u64,
    /// All together.
    pub sum: f64,
}

impl Buckets {
    /// How many numbers there were.
    pub(super) fn all(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum::<u64>() + self.above
    }
}

/// All that is told at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The last minute, and how the pools are.
    pub report: Report,
    /// How many pools and findings are told one by one.
    pub most: usize,
    /// Every number that a finding can have.
    pub findings: Vec<String>,
    /// Names of namespaces, by their numbers.
    pub namespaces: BTreeMap<u32, String>,
    /// Ranges of namespaces.
    pub ranges: Vec<RangeGauge>,
    /// Choices since the start.
    pub sites: Vec<SiteCount>,
    /// Programs that have a place.
    pub programs: Vec<ProgramCount>,
    /// All others, as allocations and failures.
    pub others: (u64, u64),
    /// Of programs that gave their place away.
    pub gone: (u64, u64),
    /// Search times in seconds.
    pub searches: Buckets,
    /// Allocations from one of a port to the next of that port.
    pub distances: Buckets,
    /// Seconds from the close of a 4-tuple to its next use.
    pub intervals: Buckets,
    /// The accounts since the start.
    pub accounting: Accounting,
    /// When that was, in seconds since 1970.
    pub at_s: f64,
    /// What it cost until then.
    pub cost: SelfCost,
    /// Resident memory and open descriptors; none where they cannot be read.
    pub process: Option<(u64, u64)>,
}

/// What those who serve it know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests that were answered.
    pub answered: u64,
    /// Connections that were turned away: there were too many.
    pub rejected: u64,
}

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Classic,
}

impl Exposition {
    /// What a client wants that says `Accept: …`.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Classic }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The text of a snapshot.
///
/// # Errors
///
/// The encoder refuses.
pub fn exposition(
    snapshot: std::sync::Arc<Snapshot>,
    served: Served,
    form: Exposition,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families { snapshot, served }));
    let mut out = String::new();
    match form {
        Exposition::OpenMetrics => text::encode(&mut out, &registry)?,
        Exposition::Classic => prometheus_text::encode(&mut out, &registry)?,
    }
    Ok(out)
}
