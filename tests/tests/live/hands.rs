//! Sockets that change hands between the call that opens or binds and the one that connects: the choice is told under
//! the thread that made the kernel choose.

use anyhow::{Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Proto, Site};
use portscope_tests::per_backend;
use portscope_tests::trace::Capture;
use portscope_tests::workload::Truth;

per_backend! {
    an_inherited_socket_is_told_under_the_process_that_connects,
    a_socket_that_outlives_exec_is_told_under_the_new_name,
    a_socket_that_another_thread_bound_is_told_under_the_one_that_connects,
    a_socket_that_came_by_message_is_told_under_the_process_that_connects,
}

/// Traces a workload whose sockets change hands; what it did must all be told.
fn told(live: &Live, workload: &[&str]) -> Result<(Truth, Capture)> {
    let (truth, capture) = live.trace(&["--explicit"], workload)?;
    live.judge_absent(&truth, &[Need::Ipv6])?;
    compare(&truth.operations, &capture)?;
    Ok((truth, capture))
}

fn connects(truth: &Truth, is_wanted: impl Fn(&Operation) -> bool) -> Vec<Operation> {
    truth.only(|done| done.site == Site::Connect && is_wanted(done))
}

fn an_inherited_socket_is_told_under_the_process_that_connects(live: &Live) -> Result<()> {
    let (truth, _) = told(live, &["handed"])?;
    let first = truth.operations.first().map(|done| done.pid);
    let heirs = connects(&truth, |done| Some(done.pid) != first && done.is_allocation());
    ensure!(!heirs.is_empty(), "no other process was given a port");
    let bound = connects(&truth, |done| Some(done.pid) != first && !done.is_allocation());
    ensure!(!bound.is_empty(), "no other process connected what was bound");
    Ok(())
}

/// One process, two programs: it binds under one name, and connects under another.
fn a_socket_that_outlives_exec_is_told_under_the_new_name(live: &Live) -> Result<()> {
    const BEFORE: &str = "before-exec";
    let (truth, capture) = told(live, &["handed"])?;
    let binds = truth.only(|done| done.site == Site::Bind && done.comm == BEFORE);
    ensure!(!binds.is_empty(), "no process was another program before");
    for bind in binds {
        let after = connects(&truth, |done| done.pid == bind.pid && done.comm != BEFORE);
        ensure!(after.len() == 1, "{} connects of process {}", after.len(), bind.pid);
        let events = capture.of(bind.pid);
        let names: Vec<_> = events.iter().filter_map(|event| event.text("comm")).collect();
        ensure!(names == [BEFORE, after[0].comm.as_str()], "told under {names:?}");
    }
    Ok(())
}

fn a_socket_that_another_thread_bound_is_told_under_the_one_that_connects(live: &Live) -> Result<()> {
    let (truth, _) = told(live, &["handed"])?;
    let others = connects(&truth, |done| done.tid != done.pid);
    for is_chosen in [true, false] {
        let had = others.iter().filter(|done| done.is_allocation() == is_chosen);
        ensure!(had.count() > 0, "no thread connected a socket of another: {is_chosen}");
    }
    Ok(())
}

fn a_socket_that_came_by_message_is_told_under_the_process_that_connects(live: &Live) -> Result<()> {
    let (truth, _) = told(live, &["sent"])?;
    let first = truth.operations.first().map(|done| done.pid);
    for (proto, site) in [(Proto::Tcp, Site::Connect), (Proto::Udp, Site::Autobind)] {
        let given = truth.only(|done| {
            done.proto == proto && done.site == site && done.is_allocation() && Some(done.pid) != first
        });
        ensure!(!given.is_empty(), "no other process was given a port of {}", proto.word());
    }
    Ok(())
}
