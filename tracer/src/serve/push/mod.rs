//! Figures go to a collector now and then: the same ones that a scrape gets, as OTLP over HTTP.
//!
//! It runs beside the answers, on their thread. At most one request is on its way, each has an end, and the more of them
//! fail, the fewer there are: a collector that is gone costs nothing that is traced.

#[cfg(feature = "otlp")]
mod client;
#[cfg(feature = "otlp")]
mod pace;
#[cfg(feature = "otlp")]
mod run;

use std::time::Duration;

#[cfg(feature = "otlp")]
pub(super) use run::run;

use super::Target;

/// What is pushed where.
#[derive(Clone, Debug)]
pub struct Push {
    /// The collector.
    pub target: Target,
    /// How often.
    pub every: Duration,
    /// Since when counters count: nanoseconds since 1970.
    pub since_ns: u64,
    /// Says a sentence to whoever runs it.
    pub say: fn(&str),
}
