//! Every site, family, protocol and option: one event each, and none besides.

use anyhow::Result;
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::per_backend;

/// What the scenes try, and what a kernel may lack.
pub(crate) const TRIED: [Need; 5] =
    [Need::Ipv6, Need::UdpLite, Need::Mptcp, Need::LocalPortRange, Need::Fastopen];

per_backend! {
    every_site_is_recorded_once_in_the_namespace_of_the_tracer,
    every_site_is_recorded_once_in_another_namespace_with_another_range,
    every_thread_name_and_user_is_the_one_that_asked,
}

fn every_site_is_recorded_once_in_the_namespace_of_the_tracer(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&[], &["sites"])?;
    live.judge_absent(&truth, &TRIED)?;
    compare(&truth.shown_by_default(), &capture)
}

fn every_site_is_recorded_once_in_another_namespace_with_another_range(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&[], &["--netns", "own", "--port-range", "20000-20099", "sites"])?;
    live.judge_absent(&truth, &TRIED)?;
    compare(&truth.shown_by_default(), &capture)
}

/// The names are the thread's and the leader's; the comparison holds both against what the workload set.
fn every_thread_name_and_user_is_the_one_that_asked(live: &Live) -> Result<()> {
    let (truth, capture) = live
        .trace(&[], &["--comm", "fifteen-letters", "binds", "--count", "12", "--threads", "3", "--each"])?;
    compare(&truth.shown_by_default(), &capture)?;
    for event in truth.operations.iter().flat_map(|operation| capture.of(operation.pid)) {
        anyhow::ensure!(event.number("uid") == Some(0), "uid of {}", event.brief());
        anyhow::ensure!(event.text("comm") == Some("fifteen-letters"), "comm of {}", event.brief());
    }
    Ok(())
}
