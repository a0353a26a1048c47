//! `report --stack`: the places in the code of a process that ask for ports, told apart with the number of their calls.

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::{Truth, Workload};
use serde_json::Value;

per_backend! {
    two_places_of_a_process_are_told_apart_with_their_counts,
    of_failures_alone_nothing_else_is_counted,
    what_is_not_asked_for_is_null,
}

/// The range has as many ports as connects succeed.
const PLAN: [&str; 13] = [
    "--netns",
    "own",
    "--port-range",
    "40000-40029",
    "--stay",
    "places",
    "--first",
    "17",
    "--second",
    "13",
    "--first-refused",
    "5",
    "--second-refused",
];

/// A report on it, with what it saw itself. It stays until the report is there.
fn report(live: &Live, more: &[&str]) -> Result<(Truth, Value)> {
    let mut workload = Workload::ready(&[&PLAN[..], &["3"]].concat())?;
    let netns = workload.hello().netns.to_string();
    let args = [&["--backend", live.backend().word(), "--netns", &netns], more].concat();
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    let truth = workload.go_and_stay()?;
    let report = reporter.stop_with_document()?;
    let summary = truth.summary()?;
    let refused = summary.by_errno.get("EADDRNOTAVAIL").copied();
    ensure!((summary.connects, refused) == (38, Some(8)), "{summary:?}");
    Ok((truth, report))
}

/// How many calls came from a place, refused ones or others; each place is one site.
fn calls(sites: &Value, place: &str, error: Option<&str>) -> Result<u64> {
    let of_place = |site: &&Value| {
        let frames = site["frames"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_there = |frame: &Value| frame["symbol"].as_str().is_some_and(|name| name.contains(place));
        site["error"].as_str() == error && frames.iter().any(is_there)
    };
    let all = sites.as_array().context("no sites")?;
    let found: Vec<&Value> = all.iter().filter(of_place).collect();
    ensure!(found.len() <= 1, "{} sites for {place}: {sites:#}", found.len());
    Ok(found.first().and_then(|site| site["count"].as_u64()).unwrap_or(0))
}

/// Calls of both places: given ports, and refused.
fn counts(found: &Value) -> Result<[u64; 4]> {
    let of = |place, error| calls(&found["sites"], place, error);
    let refused = Some("EADDRNOTAVAIL");
    Ok([
        of("the_first_place", None)?,
        of("the_second_place", None)?,
        of("the_first_place", refused)?,
        of("the_second_place", refused)?,
    ])
}

fn two_places_of_a_process_are_told_apart_with_their_counts(live: &Live) -> Result<()> {
    let (_, report) = report(live, &["--stack"])?;
    let found = &report["call_sites"];
    ensure!(counts(found)? == [17, 13, 5, 3], "{found:#}");
    // The listener named its port, and was not refused: nothing of it is counted.
    ensure!(found["calls"] == 38 && found["of"] == "all", "{found:#}");
    ensure!(found["without_stack"].as_object().is_some_and(serde_json::Map::is_empty), "{found:#}");
    ensure!(found["uncounted"] == 0 && found["others"] == 0, "{found:#}");
    for site in found["sites"].as_array().context("no sites")? {
        let exe = site["exe"].as_str().unwrap_or_default();
        ensure!(exe.ends_with("workload") && site["unnamed"].is_null(), "{site:#}");
        ensure!(site["site"] == "connect" && site["port_named"] == false, "{site:#}");
    }
    Ok(())
}

fn of_failures_alone_nothing_else_is_counted(live: &Live) -> Result<()> {
    let (_, report) = report(live, &["--stack=failures"])?;
    let found = &report["call_sites"];
    ensure!(counts(found)? == [0, 0, 5, 3], "{found:#}");
    ensure!(found["calls"] == 8 && found["of"] == "failures", "{found:#}");
    Ok(())
}

fn what_is_not_asked_for_is_null(live: &Live) -> Result<()> {
    let (_, report) = report(live, &[])?;
    ensure!(report["call_sites"].is_null(), "{}", report["call_sites"]);
    ensure!(report["totals"]["allocations"] == 38, "{}", report["totals"]);
    Ok(())
}
