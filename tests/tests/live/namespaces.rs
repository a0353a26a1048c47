//! Several network namespaces at once: each event has the range of its own.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::{self, Workload};

per_backend! {
    events_of_two_namespaces_carry_their_own_ranges,
    a_namespace_that_is_born_after_arming_is_told_too,
    the_header_knows_the_namespaces_that_were_there,
    each_of_many_namespaces_is_told_with_its_own_range,
}

fn own(range: &str) -> Result<Workload> {
    Workload::ready(&["--netns", "own", "--port-range", range, "binds", "--count", "20", "--each"])
}

fn events_of_two_namespaces_carry_their_own_ranges(live: &Live) -> Result<()> {
    let (low, high) = (own("2000-2999")?, own("50000-50099")?);
    let tracer = live.tracer(&[])?;
    let mut done = low.go()?.shown_by_default();
    done.extend(high.go()?.shown_by_default());
    let capture = tracer.stop()?;
    capture.accounting()?;
    ensure!(done[0].range == Some([2000, 2999]) && done[39].range == Some([50_000, 50_099]));
    compare(&done, &capture)
}

fn a_namespace_that_is_born_after_arming_is_told_too(live: &Live) -> Result<()> {
    let tracer = live.tracer(&[])?;
    let args = ["--netns", "own", "--port-range", "3000-3099", "binds", "--count", "20", "--each"];
    let truth = workload::run(&args)?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    compare(&truth.shown_by_default(), &capture)
}

fn the_header_knows_the_namespaces_that_were_there(live: &Live) -> Result<()> {
    let workload = own("4000-4099")?;
    let netns = workload.hello().netns;
    let tracer = live.tracer(&[])?;
    workload.go()?;
    let capture = tracer.stop()?;
    let known =
        capture.header.value("netns").and_then(|list| list.as_array()).context("no netns in the header")?;
    let of = |id: u64| known.iter().find(|entry| entry["id"] == id);
    let own = of(netns).with_context(|| format!("netns {netns} is not among {known:?}"))?;
    ensure!(own["range"] == serde_json::json!([4000, 4099]), "{own}");
    ensure!(own["effective"] == 100, "{own}");
    let here = std::fs::metadata("/proc/self/ns/net")?.ino();
    ensure!(of(here).is_some(), "the tracer's own namespace {here} is not among {known:?}");
    Ok(())
}

/// Each has a range of its own; half of them are there before the hooks are armed.
///
/// `PORTSCOPE_SPACES=1000` makes more of them (`tracer/docs/019-load-and-faults.md`).
fn each_of_many_namespaces_is_told_with_its_own_range(live: &Live) -> Result<()> {
    const BINDS: u64 = 4;
    let count = match std::env::var("PORTSCOPE_SPACES") {
        Ok(text) => text.parse::<u16>()?,
        Err(_) => live.scaled(100).try_into()?,
    };
    let range = |at: u16| format!("{}-{}", 2_000 + at * 16, 2_007 + at * 16);
    let ready = |at: u16| {
        Workload::ready(&["--netns", "own", "--port-range", &range(at), "binds", "--count", "4", "--each"])
    };
    let (early, late) = (0..count / 2, count / 2..count);
    let mut workloads = early.map(ready).collect::<Result<Vec<_>>>()?;
    let report = ["--backend", live.backend().word(), "--by", "pid", "--site", "bind", "-d", "1h"];
    let report = Tracer::start_command(live.scratch(), "report", &report)?;
    let tracer = live.tracer(&["--site", "bind"])?;
    for at in late {
        workloads.push(ready(at)?);
    }
    let (mut done, mut netns) = (Vec::new(), BTreeSet::new());
    for workload in workloads {
        netns.insert(workload.hello().netns);
        done.extend(workload.go()?.shown_by_default());
    }
    let report = report.stop_with_document()?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    ensure!(netns.len() == usize::from(count), "{} namespaces, not {count}", netns.len());
    compare(&done, &capture)?;
    let rows = report["processes"].as_array().context("no rows")?;
    let own: BTreeSet<u64> = done.iter().map(|operation| operation.pid.into()).collect();
    // A report has a hundred rows at most; all others are in its sums.
    let shown: Vec<_> =
        rows.iter().filter(|row| row["pid"].as_u64().is_some_and(|pid| own.contains(&pid))).collect();
    ensure!(shown.iter().all(|row| row["allocations"] == BINDS), "not {BINDS} each: {shown:?}");
    ensure!(shown.len() == own.len() || rows.len() == 100, "{} rows of {}", shown.len(), own.len());
    let all = report["totals"]["allocations"].as_u64().context("no sum")?;
    ensure!(all >= BINDS * own.len() as u64, "{all} in all, not {BINDS} of each of {}", own.len());
    let header = report["header"]["netns"].as_array().context("no netns in the header")?;
    let known = header.iter().filter(|entry| entry["id"].as_u64().is_some_and(|id| netns.contains(&id)));
    ensure!(known.count() >= usize::from(count / 2), "the header knows {} namespaces", header.len());
    let resident = report["self"]["rss_bytes"].as_u64().context("no memory")?;
    ensure!(resident < 256 << 20, "{resident} bytes resident");
    if std::env::var_os("PORTSCOPE_SPACES").is_some() {
        writeln!(std::io::stderr(), "\n{count} namespaces: {}", report["self"])?;
    }
    Ok(())
}
