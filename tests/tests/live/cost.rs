//! What tracing costs, as it tells itself.

use anyhow::{Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use serde_json::Value;

per_backend! {
    the_part_of_the_kernel_is_measured_on_demand,
}

/// A report on connects, measured or not.
fn report(live: &Live, more: &[&str]) -> Result<Value> {
    let count = live.scaled(2_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count])?;
    let netns = workload.hello().netns.to_string();
    let args = [&["--backend", live.backend().word(), "--netns", &netns], more].concat();
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    workload.go()?;
    reporter.stop_with_document()
}

fn the_part_of_the_kernel_is_measured_on_demand(live: &Live) -> Result<()> {
    let measured = report(live, &["--kernel-cost"])?;
    let (accounts, cost) = (&measured["accounting"], &measured["self"]);
    let (Some(ns), Some(seen)) = (accounts["kernel_ns"].as_f64(), accounts["seen"].as_f64()) else {
        anyhow::bail!("nothing was measured: {accounts}");
    };
    let mean = cost["kernel_ns_per_event"].as_f64().unwrap_or(0.0);
    ensure!(seen > 0.0 && (mean - ns / seen).abs() < 1e-6, "{accounts} {cost}");
    // A choice is seen by two programs at least, of some hundred instructions.
    ensure!((50.0..1e6).contains(&mean), "{mean} ns an event");
    ensure!(cost["cpu_s"].as_f64() > Some(0.0) && cost["rss_bytes"].as_u64() > Some(1 << 20), "{cost}");
    let switch = std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled")?;
    let usual = report(live, &[])?;
    // The switch of the host alone makes the kernel count unasked.
    let is_told = usual["self"]["kernel_ns_per_event"].is_f64();
    ensure!(is_told == (switch.trim() == "1"), "{switch} {}", usual["self"]);
    Ok(())
}
