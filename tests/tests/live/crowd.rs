//! Many at once: tracers beside each other, and a quiet process beside one that floods the ring.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use serde_json::Value;

per_backend! {
    two_tracers_at_once_tell_the_same_totals,
    a_process_that_floods_the_ring_hides_no_other,
}

fn total(report: &Value, of: &str) -> Result<u64> {
    report["totals"][of].as_u64().with_context(|| format!("no {of} in {}", report["totals"]))
}

fn two_tracers_at_once_tell_the_same_totals(live: &Live) -> Result<()> {
    let count = live.scaled(20_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    let netns = workload.hello().netns.to_string();
    let args = ["--backend", live.backend().word(), "--netns", &netns, "--site", "connect"];
    let one = Tracer::start_command(live.scratch(), "report", &args)?;
    let other =
        Tracer::start_command(live.scratch(), "report", &[&args[..], &["--buffer", "64KiB"]].concat())?;
    let truth = workload.go()?;
    let reports = [one.stop_with_document()?, other.stop_with_document()?];
    let summary = truth.summary()?;
    for report in &reports {
        let told = (total(report, "allocations")?, total(report, "failures")?);
        // A kernel that preempts programs says how many choices it skipped at most.
        let missed =
            report["accounting"]["missed"].as_u64().filter(|_| live.may_preempt_programs()).unwrap_or(0);
        ensure!(
            told.0 <= summary.connects && told.0 + missed >= summary.connects && told.1 == summary.failures,
            "{told:?}, {} {summary:?}",
            report["accounting"]
        );
    }
    Ok(())
}

fn a_process_that_floods_the_ring_hides_no_other(live: &Live) -> Result<()> {
    let many = live.scaled(100_000).to_string();
    let flood = Workload::ready(&["binds", "--count", &many])?;
    let quiet = Workload::ready(&["--comm", "quiet", "binds", "--count", "50"])?;
    let (loud_pid, quiet_pid) = (flood.hello().pid, quiet.hello().pid);
    let pids = format!("{loud_pid},{quiet_pid}");
    let args = ["--backend", live.backend().word(), "--buffer", "64KiB", "--by", "pid", "-p", &pids];
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    // Nobody drains the ring: the flood fills it before the other asks for its first port.
    reporter.pause()?;
    let flooded = flood.go()?;
    let asked = quiet.go()?;
    reporter.resume()?;
    let report = reporter.stop_with_document()?;
    ensure!(report["accounting"]["lost"].as_u64() > Some(0), "nothing was lost: {}", report["accounting"]);
    let rows = report["processes"].as_array().context("no processes")?;
    for (pid, truth) in [(loud_pid, flooded), (quiet_pid, asked)] {
        let summary = truth.summary()?;
        let row = rows.iter().find(|row| row["pid"] == pid).with_context(|| format!("{pid} has no row"))?;
        ensure!(row["allocations"].as_u64() == Some(summary.binds), "{row} {summary:?}");
    }
    let named = rows.iter().find(|row| row["pid"] == quiet_pid).is_some_and(|row| row["comm"] == "quiet");
    ensure!(named, "the quiet one has lost its name: {rows:?}");
    Ok(())
}
