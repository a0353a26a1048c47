//! Releases: each port that was given is given back once, by the socket that had it.

use std::collections::HashSet;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::operation::Operation;
use portscope_tests::per_backend;
use portscope_tests::trace::{Capture, Event};
use portscope_tests::workload::Workload;

per_backend! {
    [fentry, kprobe]
    a_closed_port_is_released_by_the_socket_that_had_it,
    a_connection_that_the_other_end_closed_first_is_released_at_once,
    a_connection_that_this_end_closed_first_is_released_by_time_wait,
}

per_backend! {
    no_release_is_told_when_another_socket_comes_to_the_address_of_one_that_waits,
}

/// Runs a workload to its end; each port that it was given must be given back in this state.
fn released(live: &Live, args: &[&str], state: &str) -> Result<()> {
    let workload = Workload::ready(args)?;
    let pid = workload.hello().pid;
    let tracer = live.tracer(&["--releases"])?;
    let given = workload.go()?.only(|done| done.is_allocation() && done.ok);
    ensure!(!given.is_empty(), "the workload was given nothing");
    // A namespace that is gone takes its TIME_WAITs along, a moment later.
    tracer.wait_for("the releases", |text| releases_in(text, pid) >= given.len())?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    pairs(&given, &capture, state)
}

/// Counts sockets of the process that have a release.
fn releases_in(text: &str, pid: u32) -> usize {
    let events: Vec<Event> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let sockets: HashSet<_> = events
        .iter()
        .filter(|event| event.kind() == "allocation" && event.is_of(pid))
        .filter_map(|event| event.text("socket"))
        .collect();
    let is_release = |event: &&Event| {
        event.kind() == "release" && event.text("socket").is_some_and(|socket| sockets.contains(socket))
    };
    events.iter().filter(is_release).count()
}

fn pairs(given: &[Operation], capture: &Capture, state: &str) -> Result<()> {
    for done in given {
        let allocation = capture
            .of(done.pid)
            .into_iter()
            .filter(|event| event.kind() == "allocation" && event.number("tid") == Some(done.tid.into()))
            .find(|event| event.number("local_port") == Some(done.local_port.into()))
            .with_context(|| format!("no allocation of port {}", done.local_port))?;
        let socket = allocation.text("socket").context("an allocation without socket")?;
        let releases = capture
            .events
            .iter()
            .filter(|event| event.kind() == "release" && event.text("socket") == Some(socket));
        let releases: Vec<_> = releases.collect();
        ensure!(releases.len() == 1, "{} releases of {}", releases.len(), allocation.brief());
        let release = releases[0];
        ensure!(release.number("local_port") == Some(done.local_port.into()), "{}", release.brief());
        ensure!(release.text("state") == Some(state), "state {:?}", release.value("state"));
        ensure!(release.number("held_us").is_some(), "no held_us: {}", release.brief());
        ensure!(release.text("ts") >= allocation.text("ts"), "released before it was given");
    }
    Ok(())
}

fn a_closed_port_is_released_by_the_socket_that_had_it(live: &Live) -> Result<()> {
    let many = ["--netns", "own", "--port-range", "2000-2999"];
    released(live, &[many.as_slice(), &["binds", "--count", "20", "--each"]].concat(), "closed")?;
    let udp = ["binds", "--count", "20", "--each", "--protocol", "udp"];
    released(live, &[many.as_slice(), &udp].concat(), "closed")?;
    released(live, &[many.as_slice(), &["connects", "--count", "20", "--each"]].concat(), "closed")
}

fn a_connection_that_the_other_end_closed_first_is_released_at_once(live: &Live) -> Result<()> {
    let args = ["--netns", "own", "connects", "--count", "20", "--each", "--ending", "peer-first"];
    released(live, &args, "closed")
}

fn a_connection_that_this_end_closed_first_is_released_by_time_wait(live: &Live) -> Result<()> {
    let args = ["--netns", "own", "connects", "--count", "20", "--each", "--close-first"];
    released(live, &args, "time_wait")
}

fn no_release_is_told_when_another_socket_comes_to_the_address_of_one_that_waits(live: &Live) -> Result<()> {
    // The other ends are closed at once after, and sockets of both ends lie at few addresses.
    let args = ["connects", "--count", "300", "--each", "--close-first"];
    let workload = Workload::ready(&args)?;
    let pid = workload.hello().pid;
    let tracer = live.tracer(&["--releases"])?;
    let given = workload.go()?.only(|done| done.is_allocation() && done.ok);
    let capture = tracer.stop()?;
    let sockets: HashSet<_> = capture.of(pid).into_iter().filter_map(|event| event.text("socket")).collect();
    ensure!(sockets.len() >= given.len(), "{} sockets of {}", sockets.len(), given.len());
    let early = capture.events.iter().find(|event| {
        event.kind() == "release"
            && event.text("state") == Some("closed")
            && event.text("socket").is_some_and(|socket| sockets.contains(socket))
    });
    ensure!(early.is_none(), "its TIME_WAIT has just begun: {}", early.map(Event::brief).unwrap_or_default());
    Ok(())
}
