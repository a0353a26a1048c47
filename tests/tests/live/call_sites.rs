//! `report --stack`: the places in the code of a process that ask for ports, told apart with the number of their calls,
//! also when there are more of them than there is room for.

use std::collections::BTreeSet;
use std::fs;

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
    beyond_its_bounds_each_call_is_still_counted_once,
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

/// How many callers the kernel half keeps, and how many stacks (016).
const ROOM: u64 = 8192;
/// Twice as many stacks: two of three find a place, and both given and refused they are too many callers.
const FORKS: [&str; 8] =
    ["--netns", "own", "--port-range", "40000-40000", "--stay", "forks", "--levels", "14"];
const CALLS: u64 = 2 << 14;
/// How many sites of each half a report shows at most.
const SHOWN: usize = 50;

fn beyond_its_bounds_each_call_is_still_counted_once(live: &Live) -> Result<()> {
    let mut workload = Workload::ready(&FORKS)?;
    let netns = workload.hello().netns.to_string();
    let args = ["--backend", live.backend().word(), "--netns", &netns, "--stack", "-d", "10m"];
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    let text = live.scratch().file("text");
    let teller = Tracer::start_into(live.scratch(), &text, &["report"], &args)?;
    let truth = workload.go_and_stay()?;
    let report = reporter.stop_with_document()?;
    let (status, said) = teller.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    let summary = truth.summary()?;
    ensure!((summary.connects, summary.failures) == (CALLS, CALLS / 2), "{summary:?}");
    let found = &report["call_sites"];
    let number = |value: &Value| value.as_u64().with_context(|| format!("no number: {found:#}"));
    let (calls, uncounted) = (number(&found["calls"])?, number(&found["uncounted"])?);
    let missed = report["accounting"]["missed"].as_u64().filter(|_| live.may_preempt_programs()).unwrap_or(0);
    let counted = calls + uncounted;
    let (totals, accounts) = (&report["totals"], &report["accounting"]);
    ensure!((CALLS - missed..=CALLS).contains(&counted), "{calls} + {uncounted} calls, {totals}, {accounts}");
    let without = found["without_stack"].as_object().context("nothing of stacks that are missing")?;
    ensure!(without.keys().eq(["EEXIST"]) && uncounted > 0, "{without:?}, {uncounted} uncounted");
    let without = number(&without["EEXIST"])?;
    // Each stack was there once of each result, and so is each site: no count is of two.
    let sites = found["sites"].as_array().context("no sites")?;
    ensure!(sites.iter().all(|site| site["count"] == 1), "{sites:#?}");
    ensure!(calls - without == sites.len() as u64 + number(&found["others"])?, "{found:#}");
    // All that is left of the room are the two callers without a stack.
    ensure!(calls - without == ROOM - 2, "{} callers with a stack, not {}", calls - without, ROOM - 2);
    let refused = sites.iter().filter(|site| site["error"] == "EADDRNOTAVAIL").count();
    ensure!((refused, sites.len()) == (SHOWN, 2 * SHOWN), "{refused} of {} refused", sites.len());
    let mut stacks = BTreeSet::new();
    for site in sites {
        let frames = site["frames"].as_array().context("no frames")?;
        let addresses: Vec<_> = frames.iter().filter_map(|frame| frame["address"].as_str()).collect();
        ensure!(addresses.len() > 14 && addresses.len() <= 64, "{} frames: {site:#}", addresses.len());
        stacks.insert((site["error"].to_string(), addresses));
    }
    ensure!(stacks.len() == sites.len(), "{} stacks of {} sites", stacks.len(), sites.len());
    let text = fs::read_to_string(&text)?;
    let told = text.lines().find(|line| line.contains("stacks of")).context(text.clone())?;
    ensure!(told.contains(" without one (EEXIST), "), "{told}");
    ensure!(told.contains(" more for which the table of callers was full"), "{told}");
    let words = told.split_whitespace().map(|word| word.replace(',', ""));
    let sum: u64 = words.filter_map(|word| word.parse::<u64>().ok()).sum();
    // The other tracer has missed others, which the line does not tell.
    let least = if live.may_preempt_programs() { CALLS - CALLS / 10 } else { CALLS };
    ensure!((least..=CALLS).contains(&sum), "{sum} calls, not {CALLS}: {told}");
    Ok(())
}
