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
    connects_on_a_worker_of_io_uring_are_told_under_the_worker,
    failed_connects_on_a_worker_of_io_uring_have_an_errno_where_the_search_is_seen,
    connects_on_the_poller_of_io_uring_are_told_under_the_poller,
    binds_and_listens_on_the_poller_of_io_uring_are_told_under_the_poller,
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
    failed_connects(live, &[])
}

fn failed_connects(live: &Live, by: &[&str]) -> Result<()> {
    let workload = ["--netns", "own", "--port-range", "40000-40007", "ring", "--until-full"];
    let Some((truth, capture)) = ring(live, &[&workload, by].concat())? else { return Ok(()) };
    must_be_by(&truth, by)?;
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

/// The threads that the kernel makes for a ring, as their names begin.
const THREADS: [(&str, &str); 2] = [("worker", "iou-wrk-"), ("poller", "iou-sqp-")];

/// Ensures that the choices of a ring were made by such threads of the workload, if that was asked for.
fn must_be_by(truth: &Truth, by: &[&str]) -> Result<()> {
    for (_, prefix) in THREADS.into_iter().filter(|(word, _)| by.contains(word)) {
        let made =
            truth.only(|done| done.scene.contains("by io_uring") && done.thread_comm.starts_with(prefix));
        ensure!(!made.is_empty(), "no thread {prefix}… has chosen a port");
        for done in &made {
            ensure!(done.tid != done.pid && done.comm != done.thread_comm, "{done:?}");
        }
    }
    Ok(())
}

/// Such a thread is one of the process: the event is told under its id and name, and under the process's.
fn connects_by(live: &Live, by: &[&str]) -> Result<()> {
    let Some((truth, capture)) = ring(live, &[&["ring"], by].concat())? else { return Ok(()) };
    must_be_by(&truth, by)?;
    compare(&truth.shown_by_default(), &capture)
}

fn connects_on_a_worker_of_io_uring_are_told_under_the_worker(live: &Live) -> Result<()> {
    connects_by(live, &["--by", "worker"])
}

fn failed_connects_on_a_worker_of_io_uring_have_an_errno_where_the_search_is_seen(live: &Live) -> Result<()> {
    failed_connects(live, &["--by", "worker"])
}

fn connects_on_the_poller_of_io_uring_are_told_under_the_poller(live: &Live) -> Result<()> {
    connects_by(live, &["--by", "poller"])
}

fn binds_and_listens_on_the_poller_of_io_uring_are_told_under_the_poller(live: &Live) -> Result<()> {
    let by = ["--by", "poller"];
    let Some((truth, capture)) = binding_ring(live, &[&["ring", "--binds"][..], &by].concat())? else {
        return Ok(());
    };
    live.judge_absent(&truth, &[Need::Ipv6])?;
    must_be_by(&truth, &by)?;
    compare(&truth.shown_by_default(), &capture)
}
