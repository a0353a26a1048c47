//! How many ports a search looked at, held against an occupancy that is known: the blocked ports and those that the
//! workload itself holds.

use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Site};
use portscope_tests::per_backend;
use portscope_tests::trace::{Capture, Event};
use portscope_tests::workload::Truth;

per_backend! {
    a_free_range_gives_the_first_candidate,
    a_blocked_half_is_searched_in_vain_and_then_crossed,
}

per_backend! {
    [fentry, kprobe]
    every_rejected_candidate_was_taken,
    a_failed_search_looked_at_every_port,
    reserved_ports_are_no_collisions,
}

const LOW: u16 = 40_000;
const PORTS: u16 = 16;

fn occupied(live: &Live, args: &[&str]) -> Result<(Truth, Capture)> {
    live.trace(&[], &[&["--netns", "own", "--port-range", "40000-40015"], args].concat())
}

/// The connects of a single-threaded workload, each with its event: both in the order in which they were made.
fn connects<'a>(truth: &Truth, capture: &'a Capture) -> Result<Vec<(Operation, &'a Event)>> {
    let done = truth.only(|done| done.is_allocation() && done.site == Site::Connect);
    let pid = done.first().context("no connects")?.pid;
    let told: Vec<_> =
        capture.of(pid).into_iter().filter(|event| event.text("site") == Some("connect")).collect();
    ensure!(done.len() == told.len(), "{} connects, {} events", done.len(), told.len());
    Ok(done.into_iter().zip(told).collect())
}

/// Whether this backend looks into searches, and can on this kernel.
fn looks_into_searches(live: &Live, capture: &Capture) -> Result<bool> {
    let unmet = capture.unavailable().contains(&"candidates").then_some("candidates are not told");
    if live.backend().sees_searches() { live.has_part(Need::DataSymbols, unmet) } else { Ok(false) }
}

fn candidates(event: &Event) -> Result<u64> {
    let candidates =
        event.number("candidates").with_context(|| format!("no candidates: {}", event.brief()))?;
    ensure!(event.flag("candidates_exact") == Some(true), "not exact, though alone: {}", event.brief());
    Ok(candidates)
}

fn a_free_range_gives_the_first_candidate(live: &Live) -> Result<()> {
    let (truth, capture) = occupied(live, &["occupy", "--count", "50"])?;
    let looks = looks_into_searches(live, &capture)?;
    for (_, event) in connects(&truth, &capture)? {
        ensure!(event.flag("crossed_half") == Some(false), "crossed: {}", event.brief());
        if looks {
            let seen = candidates(event)?;
            ensure!(seen == 1, "{seen} candidates in a free range: {}", event.brief());
            ensure!(event.number("collisions") == Some(0), "collisions: {}", event.brief());
        }
    }
    Ok(())
}

fn a_blocked_half_is_searched_in_vain_and_then_crossed(live: &Live) -> Result<()> {
    let evens: Vec<String> = (LOW..LOW + PORTS).step_by(2).map(|port| port.to_string()).collect();
    let (truth, capture) = occupied(live, &["occupy", "--count", "50", "--block", &evens.join(",")])?;
    let looks = looks_into_searches(live, &capture)?;
    for (done, event) in connects(&truth, &capture)? {
        ensure!(done.local_port % 2 == 1, "the kernel gave {}", done.local_port);
        ensure!(event.flag("crossed_half") == Some(true), "not crossed: {}", event.brief());
        if looks {
            let seen = candidates(event)?;
            ensure!(seen == u64::from(PORTS / 2) + 1, "{seen} candidates: {}", event.brief());
            ensure!(event.number("collisions") == Some((PORTS / 2).into()), "collisions: {}", event.brief());
        }
    }
    Ok(())
}

/// Walks back from the port that was had: each port that the search looked at before must have been taken.
fn every_rejected_candidate_was_taken(live: &Live) -> Result<()> {
    const BLOCKED: [u16; 5] = [40_000, 40_002, 40_006, 40_008, 40_010];
    let args = ["occupy", "--count", "100", "--block", "40000,40002,40006,40008,40010", "--failures", "1"];
    let (truth, capture) = occupied(live, &args)?;
    if !looks_into_searches(live, &capture)? {
        return Ok(());
    }
    let mut taken: HashSet<u16> = BLOCKED.into();
    let mut rejected_any = false;
    for (at, (done, event)) in connects(&truth, &capture)?.into_iter().enumerate() {
        if !done.ok {
            continue;
        }
        let seen = candidates(event)?;
        let looked_at = search_backwards(done.local_port, seen)?;
        let free = looked_at.iter().find(|port| !taken.contains(port));
        ensure!(free.is_none(), "{free:?} was free, but {seen} candidates: {}", event.brief());
        ensure!(event.number("collisions") == Some(seen - 1), "collisions: {}", event.brief());
        rejected_any |= seen > 1;
        if at >= 100 {
            taken.insert(done.local_port);
        }
    }
    ensure!(rejected_any, "no search ever met a blocked port");
    Ok(())
}

fn a_failed_search_looked_at_every_port(live: &Live) -> Result<()> {
    let (truth, capture) = occupied(live, &["occupy", "--failures", "5", "--block", "40003,40004"])?;
    let failed: Vec<_> = connects(&truth, &capture)?.into_iter().filter(|(done, _)| !done.ok).collect();
    ensure!(failed.len() == 5, "{} failures", failed.len());
    if !looks_into_searches(live, &capture)? {
        return Ok(());
    }
    for (_, event) in failed {
        let seen = candidates(event)?;
        ensure!(seen == u64::from(PORTS), "{seen} candidates: {}", event.brief());
        ensure!(event.number("collisions") == Some(PORTS.into()), "collisions: {}", event.brief());
    }
    Ok(())
}

fn reserved_ports_are_no_collisions(live: &Live) -> Result<()> {
    let (truth, capture) = occupied(live, &["--reserved", "40001,40008-40009", "occupy", "--failures", "3"])?;
    if !looks_into_searches(live, &capture)? {
        return Ok(());
    }
    for (_, event) in connects(&truth, &capture)?.into_iter().filter(|(done, _)| !done.ok) {
        candidates(event)?;
        let collisions = event.number("collisions");
        ensure!(collisions == Some(u64::from(PORTS) - 3), "{collisions:?} collisions: {}", event.brief());
    }
    Ok(())
}

/// The ports looked at before `port`: first the even half (the range begins even), then the odd one; each a ring.
fn search_backwards(port: u16, candidates: u64) -> Result<Vec<u16>> {
    let half = u64::from(PORTS / 2);
    ensure!((1..=u64::from(PORTS)).contains(&candidates), "{candidates} candidates in {PORTS} ports");
    let mut looked_at = Vec::new();
    let mut steps = candidates - 1;
    if port % 2 == 1 {
        ensure!(steps >= half, "the odd port {port} after {candidates} candidates");
        looked_at.extend((LOW..LOW + PORTS).step_by(2));
        steps -= half;
    }
    ensure!(steps < half, "{candidates} candidates for port {port}");
    let mut at = port;
    for _ in 0..steps {
        at = if at < LOW + 2 { at + PORTS - 2 } else { at - 2 };
        looked_at.push(at);
    }
    Ok(looked_at)
}

#[test]
fn a_search_is_walked_back_around_its_half() {
    assert_eq!(search_backwards(40_002, 3).unwrap(), [40_000, 40_014]);
    assert_eq!(search_backwards(40_001, 10).unwrap()[7..], [40_014, 40_015]);
    assert!(search_backwards(40_001, 3).is_err());
    assert!(search_backwards(40_000, 9).is_err());
}
