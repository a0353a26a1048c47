//! `report`: its numbers held against the workload's own, its verdict, and the command that it runs.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::operation::Operation;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use portscope_tests::{per_backend, program};
use serde_json::Value;

per_backend! {
    a_full_range_is_counted_and_told,
    totals_are_exact_when_the_ring_is_too_small,
    a_command_is_reported_alone_and_keeps_its_status,
    intervals_add_up_to_the_whole,
}

fn reporter(live: &Live, args: &[&str]) -> Result<Tracer> {
    let args: Vec<&str> =
        ["--backend", live.backend().word()].into_iter().chain(args.iter().copied()).collect();
    Tracer::start_command(live.scratch(), "report", &args)
}

fn number(document: &Value, path: &str) -> Result<u64> {
    document.pointer(path).and_then(Value::as_u64).with_context(|| format!("no number at {path}"))
}

fn a_full_range_is_counted_and_told(live: &Live) -> Result<()> {
    let workload =
        Workload::ready(&["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "5"])?;
    let (pid, netns) = (workload.hello().pid, workload.hello().netns.to_string());
    let reporter = reporter(live, &["--netns", &netns, "--by", "pid"])?;
    let truth = workload.go()?;
    let report = reporter.stop_with_document()?;
    let asked = truth.only(Operation::is_allocation);
    let refused = asked.iter().filter(|done| !done.ok).count() as u64;
    ensure!(refused != 0, "the workload met no failure");
    ensure!(number(&report, "/totals/allocations")? == asked.len() as u64, "{}", report["totals"]);
    ensure!(number(&report, "/totals/failures")? == refused, "{}", report["totals"]);
    ensure!(number(&report, "/totals/by_error/EADDRNOTAVAIL")? == refused, "{}", report["totals"]);
    ensure!(number(&report, "/totals/by_cause/exhausted")? == refused, "{}", report["totals"]);
    let rows = report["processes"].as_array().context("no processes")?;
    let row = rows.iter().find(|row| row["pid"] == pid).context("the workload has no row")?;
    ensure!(
        number(row, "/allocations")? == asked.len() as u64 && number(row, "/failures")? == refused,
        "{row}"
    );
    ensure!(report["verdict"]["word"] == "EXHAUSTED", "{}", report["verdict"]);
    ensure!(report["verdict"]["finding"] == "PS001", "{}", report["verdict"]);
    let accounts = &report["accounting"];
    let parts = ["emitted", "filtered", "lost"].map(|part| accounts[part].as_u64().unwrap_or(u64::MAX / 4));
    ensure!(accounts["seen"].as_u64() == Some(parts.iter().sum()), "{accounts}");
    Ok(())
}

fn totals_are_exact_when_the_ring_is_too_small(live: &Live) -> Result<()> {
    let count = live.scaled(20_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    let (pid, netns) = (workload.hello().pid, workload.hello().netns.to_string());
    let args = ["--netns", &netns, "--site", "connect", "--by", "pid", "--buffer", "4KiB"];
    let reporter = reporter(live, &args)?;
    let truth = workload.go()?;
    let report = reporter.stop_with_document()?;
    let summary = truth.summary()?;
    ensure!(summary.active_opens == summary.connects - summary.failures, "the kernel itself: {summary:?}");
    ensure!(
        number(&report, "/totals/by_site/connect")? == summary.connects,
        "{} {summary:?}",
        report["totals"]
    );
    let rows = report["processes"].as_array().context("no processes")?;
    let row = rows.iter().find(|row| row["pid"] == pid).context("the workload has no row")?;
    ensure!(number(row, "/allocations")? == summary.connects, "{row} {summary:?}");
    Ok(())
}

fn intervals_add_up_to_the_whole(live: &Live) -> Result<()> {
    let args = ["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "5"];
    let workload = Workload::ready(&args)?;
    let netns = workload.hello().netns.to_string();
    let reporter = reporter(live, &["--netns", &netns, "--interval", "1s"])?;
    let truth = workload.go()?;
    let lines = |text: &str| text.lines().count();
    reporter.wait_for("two intervals", |text| lines(text) >= 2)?;
    reporter.ask("\nseen ")?;
    let documents = reporter.stop_with_lines()?;
    let (whole, intervals) = documents.split_last().context("no document")?;
    ensure!(whole["interval"].is_null() && intervals.len() >= 3, "{} intervals", intervals.len());
    let asked = truth.only(Operation::is_allocation);
    let refused = asked.iter().filter(|done| !done.ok).count();
    for (of, truth) in [("/totals/allocations", asked.len()), ("/totals/failures", refused)] {
        let counts: Vec<u64> = documents.iter().map(|one| number(one, of)).collect::<Result<_>>()?;
        let (all, parts) = counts.split_last().context("no counts")?;
        ensure!(*all == truth as u64 && parts.iter().sum::<u64>() == *all, "{of}: {counts:?}, not {truth}");
    }
    for part in ["seen", "emitted", "filtered", "lost"] {
        let path = format!("/accounting/{part}");
        let sum: u64 = intervals.iter().map(|one| number(one, &path)).sum::<Result<_>>()?;
        ensure!(
            sum == number(whole, &path)?,
            "{part}: the intervals have {sum}, the whole {}",
            whole["accounting"]
        );
    }
    let numbers: Vec<&Value> = intervals.iter().map(|one| &one["interval"]).collect();
    ensure!(numbers.iter().zip(1..).all(|(number, place)| **number == place), "{numbers:?}");
    let seconds = |one: &Value| one["window"]["seconds"].as_f64().context("no length");
    let (sum, all) = (intervals.iter().map(seconds).sum::<Result<f64>>()?, seconds(whole)?);
    ensure!(sum <= all + 0.001 && sum > all - 1.0, "the intervals last {sum} s, the whole {all} s");
    Ok(())
}

fn a_command_is_reported_alone_and_keeps_its_status(live: &Live) -> Result<()> {
    let workload = program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    let out = live.scratch().file("report.json");
    let path = out.to_str().context("a path that is no text")?;
    let common = ["report", "--backend", live.backend().word(), "-o", "json", "-w", path, "--"];
    let call = |command: &[&str]| portscope(live.scratch(), &[&common, command].concat());
    let ended = call(&[workload, "connects", "--count", "50"])?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&out)?)?;
    ensure!(number(&report, "/totals/by_site/connect")? == 50, "{}", report["totals"]);
    ensure!(report["command"]["alone"] == true, "{}", report["command"]);
    // A file that nobody may execute, whatever the machine's own files may be.
    let plain = live.scratch().file("plain");
    std::fs::write(&plain, "no program")?;
    let plain = plain.to_string_lossy();
    for (command, status) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["/nowhere/at/all"], 127),
        (&[&*plain], 126),
    ] {
        let ended = call(command)?;
        ensure!(ended.status == Some(status), "{command:?}: {:?}: {}", ended.status, ended.stderr);
        ended.must_not_panic()?;
    }
    Ok(())
}
