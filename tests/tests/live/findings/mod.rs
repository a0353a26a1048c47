//! Each finding, provoked for real and silent where there is no reason for it.
//!
//! Several namespaces play at once under one report: a finding names its namespace, so that they do not mix.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::{Ended, portscope};
use portscope_tests::live::Live;
use portscope_tests::scenario::Told;
use portscope_tests::trace::Tracer;

mod conflicts;
mod exhausted;
mod flows;
mod leaks;
mod limits;
mod loads;
mod settings;

/// A report that gathers.
struct Report(Tracer);

impl Report {
    fn begin(live: &Live, args: &[&str]) -> Result<Self> {
        // Longer than any scenario, also where the machine is emulated: its end is that of the scenario.
        let usual = ["--backend", live.backend().word(), "--by", "pid", "-d", "170s"];
        let args: Vec<&str> = usual.into_iter().chain(args.iter().copied()).collect();
        Ok(Self(Tracer::start_command(live.scratch(), "report", &args)?))
    }

    fn end(self) -> Result<Told> {
        let told = Told(self.0.stop_with_document()?);
        let accounts = &told.0["accounting"];
        let parts =
            ["emitted", "filtered", "lost"].map(|part| accounts[part].as_u64().unwrap_or(u64::MAX / 4));
        ensure!(accounts["seen"].as_u64() == Some(parts.iter().sum()), "{accounts}");
        Ok(told)
    }
}

/// `check` of one namespace, as a document.
fn check(live: &Live, netns: u64) -> Result<Told> {
    let ended = portscope(live.scratch(), &["check", "-N", &netns.to_string(), "-o", "json"])?;
    succeeds(&ended)?;
    Ok(Told(serde_json::from_str(&ended.stdout).with_context(|| ended.stdout.clone())?))
}

fn succeeds(ended: &Ended) -> Result<()> {
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "exit status {:?}: {}", ended.status, ended.stderr);
    Ok(())
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}
