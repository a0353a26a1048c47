//! Sockets that connect again, and sockets of both families: one event for each choice, and none besides.

use anyhow::{Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Site};
use portscope_tests::per_backend;
use portscope_tests::workload::Truth;

per_backend! {
    every_connect_of_a_socket_that_tries_again_is_told,
    a_socket_that_failed_in_a_full_range_is_told_again_when_it_is_given_a_port,
    sockets_of_both_families_are_told_once,
}

/// The choices at connect of the scenes whose name holds these words.
fn choices(truth: &Truth, words: &str) -> Vec<Operation> {
    truth.only(|done| done.scene.contains(words) && done.site == Site::Connect && done.is_allocation())
}

fn every_connect_of_a_socket_that_tries_again_is_told(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&["--explicit"], &["retried"])?;
    live.judge_absent(&truth, &[Need::Ipv6])?;
    for (scene, count) in
        [(": refused twice", 3), ("bind(0), refused", 2), ("bound without a port, refused", 3)]
    {
        let had = choices(&truth, scene);
        ensure!(had.len().is_multiple_of(count) && !had.is_empty(), "{} choices of {scene:?}", had.len());
    }
    compare(&truth.operations, &capture)
}

fn a_socket_that_failed_in_a_full_range_is_told_again_when_it_is_given_a_port(live: &Live) -> Result<()> {
    let workload = ["--netns", "own", "--port-range", "40000-40007", "retried", "--until-full"];
    let (truth, capture) = live.trace(&[], &workload)?;
    let had: Vec<_> = choices(&truth, "until full").iter().map(|done| done.ok).collect();
    ensure!(had.ends_with(&[true, false, false, true]), "the connects went {had:?}");
    compare(&truth.shown_by_default(), &capture)
}

fn sockets_of_both_families_are_told_once(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&["--explicit"], &["dual"])?;
    live.judge_absent(&truth, &[Need::Ipv6])?;
    if truth.operations.is_empty() {
        return Ok(());
    }
    let had = truth.only(|done| done.scene.contains("both families"));
    ensure!(had.len() >= 8, "only {} calls on sockets of both families", had.len());
    compare(&truth.operations, &capture)
}
