//! Options of `serve` that push figures to a collector.

use std::time::Duration;

use super::super::{Failure, exit::complain, words};
use crate::{
    enrich::Clock,
    kernel::Armed,
    serve::{Push, Target},
};

/// Pushes are no closer than this: figures are at most so old.
const LEAST: Duration = Duration::from_secs(1);

/// Where to, and how often.
#[derive(Debug, clap::Args)]
pub(super) struct Pushing {
    /// Push the figures of /metrics to a collector, too, as OTLP over HTTP: http://127.0.0.1:4318, or unix:/PATH.
    /// Connecting needs a free port, which a scrape and a UNIX socket do not
    #[arg(long, value_name = "URL")]
    otlp: Option<Target>,
    /// How often to push, at least 1s apart; more rarely, up to every 5m, while the collector does not take them
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = interval)]
    otlp_interval: Duration,
}

impl Pushing {
    /// Whether figures are to be pushed.
    pub(super) const fn is_asked(&self) -> bool {
        self.otlp.is_some()
    }

    /// Refuses what this executable cannot do.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.is_asked() && !cfg!(feature = "otlp") {
            return Err(Failure::usage("this portscope was built without OTLP").hint(
                "build it with `--features otlp`, or let the collector scrape /metrics (its receiver prometheus)",
            ));
        }
        Ok(())
    }

    /// What the server is to push.
    pub(super) fn push(&self, armed: &Armed, is_quiet: bool) -> Option<Push> {
        Some(Push {
            target: self.otlp.clone()?,
            every: self.otlp_interval,
            since_ns: u64::try_from(Clock::sample().utc(armed.started()).0).unwrap_or(0),
            say: if is_quiet { |_| {} } else { complain },
        })
    }

    /// Says what it will do.
    pub(super) fn tell(&self) {
        if let Some(target) = &self.otlp {
            complain(&format!("pushing figures to {target} every {} s", self.otlp_interval.as_secs_f64()));
        }
    }
}

fn interval(word: &str) -> Result<Duration, String> {
    let interval = words::duration(word)?;
    if interval < LEAST { Err("give 1s or more".to_owned()) } else { Ok(interval) }
}
