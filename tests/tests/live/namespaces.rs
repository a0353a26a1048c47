//! Several network namespaces at once: each event has the range of its own.

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::workload::{self, Workload};

per_backend! {
    events_of_two_namespaces_carry_their_own_ranges,
    a_namespace_that_is_born_after_arming_is_told_too,
    the_header_knows_the_namespaces_that_were_there,
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
