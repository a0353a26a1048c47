//! A ring that is far too small: details are lost, numbers are not.

use anyhow::{Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::{Accounting, Capture};
use portscope_tests::workload::{Truth, Workload};
use serde_json::Value;

per_backend! {
    totals_stay_exact_when_the_ring_overflows,
    failures_stay_exact_by_errno_when_the_ring_overflows,
    a_reader_that_keeps_up_loses_nothing_of_a_burst_that_fits,
}

/// Runs a workload while the tracer is stopped: nobody drains the ring.
fn overloaded(live: &Live, args: &[&str]) -> Result<(u32, Truth, Capture, Accounting)> {
    let workload = Workload::ready(args)?;
    let pid = workload.hello().pid;
    let tracer = live.tracer(&["--buffer", "64KiB", "-p", &pid.to_string()])?;
    tracer.pause()?;
    let truth = workload.go();
    tracer.resume()?;
    let capture = tracer.stop()?;
    let accounting = capture.accounting()?;
    ensure!(accounting.lost > 0, "a ring of 64 KiB lost nothing: {accounting:?}");
    Ok((pid, truth?, capture, accounting))
}

/// The lost events of a process, by the footer's table.
fn lost_by(capture: &Capture, pid: u32, wanted: impl Fn(&Value) -> bool) -> u64 {
    let rows = capture.footer.value("lost_by").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default().iter();
    let own = rows.filter(|row| row["pid"] == pid && wanted(row));
    own.filter_map(|row| row["count"].as_u64()).sum()
}

fn totals_stay_exact_when_the_ring_overflows(live: &Live) -> Result<()> {
    let (pid, truth, capture, accounting) =
        overloaded(live, &["binds", "--count", &live.scaled(100_000).to_string()])?;
    let summary = truth.summary()?;
    ensure!(accounting.emitted + accounting.lost == summary.binds, "{} binds: {accounting:?}", summary.binds);
    ensure!(capture.total("totals.allocations")? == summary.binds);
    ensure!(capture.total("totals.by_site.bind")? == summary.binds);
    ensure!(capture.total("totals.failures")? == summary.failures);
    let told = lost_by(&capture, pid, |row| row["site"] == "bind" && row["proto"] == "tcp");
    ensure!(told == accounting.lost, "lost_by tells {told} of {accounting:?}");
    Ok(())
}

fn failures_stay_exact_by_errno_when_the_ring_overflows(live: &Live) -> Result<()> {
    // This end closes first, so that TIME_WAIT fills the range and most connects fail.
    let args =
        ["--netns", "own", "--port-range", "2000-2099", "connects", "--count", "5000", "--close-first"];
    let (pid, truth, capture, accounting) = overloaded(live, &args)?;
    let summary = truth.summary()?;
    ensure!(summary.failures > 1000, "too few failures to overflow anything: {summary:?}");
    ensure!(capture.total("totals.allocations")? == summary.connects, "{:?}", capture.footer.0);
    ensure!(capture.total("totals.failures")? == summary.failures, "{:?}", capture.footer.0);
    ensure!(capture.total("totals.by_error.EADDRNOTAVAIL")? == summary.failures, "{:?}", capture.footer.0);
    let failed = capture.of(pid).iter().filter(|event| event.text("result") == Some("failed")).count();
    let lost = lost_by(&capture, pid, |row| row["error"] == "EADDRNOTAVAIL");
    ensure!(failed as u64 + lost == summary.failures, "{failed} shown and {lost} lost of {summary:?}");
    ensure!(lost_by(&capture, pid, |_| true) == accounting.lost, "{accounting:?}");
    Ok(())
}

fn a_reader_that_keeps_up_loses_nothing_of_a_burst_that_fits(live: &Live) -> Result<()> {
    let workload = Workload::ready(&["binds", "--count", "5000"])?;
    let pid = workload.hello().pid;
    let tracer = live.tracer(&["--buffer", "4MiB", "-p", &pid.to_string()])?;
    workload.go()?;
    let capture = tracer.stop()?;
    let accounting = capture.accounting()?;
    ensure!(accounting.lost == 0 && accounting.emitted == 5000, "{accounting:?}");
    Ok(())
}
