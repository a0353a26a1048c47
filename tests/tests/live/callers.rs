//! Choices that no system call of their own leads to: those of io_uring.

use anyhow::{Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Site};
use portscope_tests::per_backend;
use portscope_tests::trace::Capture;
use portscope_tests::workload::Truth;

per_backend! {
    connects_by_io_uring_are_recorded_once,
    udp_connects_by_io_uring_are_seen_by_hooks_on_functions_only,
    failed_connects_by_io_uring_have_an_errno_where_the_search_is_seen,
    binds_and_listens_by_io_uring_are_recorded_once,
    failed_binds_by_io_uring_are_seen_by_hooks_on_functions_only,
}

const TRIED: [Need; 2] = [Need::Ipv6, Need::IoUring];

/// Traces a workload on a ring; none where the kernel has no rings.
fn ring(live: &Live, workload: &[&str]) -> Result<Option<(Truth, Capture)>> {
    let (truth, capture) = live.trace(&[], workload)?;
    let absent = truth.absent.iter().find(|line| line.absent == "io_uring");
    if !live.has(Need::IoUring, absent.map(|line| line.errno.as_str()))? {
        return Ok(None);
    }
    live.judge_absent(&truth, &TRIED)?;
    Ok(Some((truth, capture)))
}

fn connects_by_io_uring_are_recorded_once(live: &Live) -> Result<()> {
    let Some((truth, capture)) = ring(live, &["ring"])? else { return Ok(()) };
    let connects = truth.only(|done| done.site == Site::Connect && done.is_allocation());
    ensure!(connects.len() >= 2, "only {} connects", connects.len());
    compare(&truth.shown_by_default(), &capture)
}

fn udp_connects_by_io_uring_are_seen_by_hooks_on_functions_only(live: &Live) -> Result<()> {
    let Some((truth, capture)) = ring(live, &["ring", "--protocol", "udp"])? else { return Ok(()) };
    let shown = truth.shown_by_default();
    ensure!(shown.iter().any(|done| done.site == Site::Autobind), "no UDP socket was connected");
    if live.backend() != Backend::Tracepoint {
        return compare(&shown, &capture);
    }
    let seen: Vec<_> = shown.into_iter().filter(|done| done.site != Site::Autobind).collect();
    compare(&seen, &capture)
}

fn failed_connects_by_io_uring_have_an_errno_where_the_search_is_seen(live: &Live) -> Result<()> {
    let workload = ["--netns", "own", "--port-range", "40000-40007", "ring", "--until-full"];
    let Some((truth, capture)) = ring(live, &workload)? else { return Ok(()) };
    let shown = truth.shown_by_default();
    ensure!(shown.iter().any(|done| !done.ok), "the range was not exhausted");
    if live.backend() != Backend::Tracepoint {
        return compare(&shown, &capture);
    }
    // Nobody tells a tracepoint what a ring was answered: the failure is there, and its errno and cause are not.
    let told: Vec<_> = shown.into_iter().map(|done| Operation { errno: None, cause: None, ..done }).collect();
    compare(&told, &capture)
}

/// Traces binds by a ring; none where rings have no operation for them.
fn binding_ring(live: &Live, workload: &[&str]) -> Result<Option<(Truth, Capture)>> {
    let (truth, capture) = live.trace(&[], workload)?;
    let absent = truth.absent.iter().find(|line| line.absent.starts_with("io_uring"));
    let is_had = live.has(Need::IoUringBind, absent.map(|line| line.errno.as_str()))?;
    Ok(is_had.then_some((truth, capture)))
}

fn binds_and_listens_by_io_uring_are_recorded_once(live: &Live) -> Result<()> {
    let Some((truth, capture)) = binding_ring(live, &["ring", "--binds"])? else { return Ok(()) };
    live.judge_absent(&truth, &[Need::Ipv6])?;
    for site in [Site::Bind, Site::Listen] {
        ensure!(truth.operations.iter().any(|done| done.site == site && done.ok), "no {}", site.word());
    }
    compare(&truth.shown_by_default(), &capture)
}

/// Behind a bind that fails there is a hook at the end of its system call alone, and a ring makes none.
fn failed_binds_by_io_uring_are_seen_by_hooks_on_functions_only(live: &Live) -> Result<()> {
    let workload = ["--netns", "own", "--port-range", "40000-40007", "ring", "--binds", "--until-full"];
    let Some((truth, capture)) = binding_ring(live, &workload)? else { return Ok(()) };
    let shown = truth.shown_by_default();
    let failed: Vec<_> = shown.iter().filter(|done| !done.ok).map(|done| done.site).collect();
    ensure!(failed == [Site::Bind, Site::Listen], "the failures are {failed:?}");
    if live.backend() != Backend::Tracepoint {
        return compare(&shown, &capture);
    }
    let seen = shown.into_iter().filter(|done| done.ok || done.site == Site::Listen);
    // As of connects: the state of the socket tells that it failed, and not why.
    let told: Vec<_> = seen.map(|done| Operation { errno: None, cause: None, ..done }).collect();
    compare(&told, &capture)
}
