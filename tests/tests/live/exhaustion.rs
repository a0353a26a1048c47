//! Every site until it fails: the errno, the cause and the range of each failure.

use anyhow::{Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Site};
use portscope_tests::per_backend;

per_backend! {
    every_site_fails_with_its_own_errno_when_the_range_is_full,
    reserved_ports_make_the_range_full_earlier,
    each_port_of_the_range_is_given_once_before_the_first_failure,
}

const TRIED: [Need; 3] = [Need::Ipv6, Need::UdpLite, Need::LocalPortRange];

fn every_site_fails_with_its_own_errno_when_the_range_is_full(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&[], &["--netns", "own", "exhaust", "--range", "40000-40007"])?;
    live.judge_absent(&truth, &TRIED)?;
    for (site, errno) in [
        (Site::Connect, "EADDRNOTAVAIL"),
        (Site::Bind, "EADDRINUSE"),
        (Site::Listen, "EADDRINUSE"),
        (Site::Autobind, "EAGAIN"),
    ] {
        let met = truth.only(|done| done.site == site && done.is_allocation() && !done.ok);
        ensure!(!met.is_empty(), "the workload met no failure at {}", site.word());
        ensure!(
            met.iter().all(|failed| failed.errno.as_deref() == Some(errno)),
            "the kernel itself answered otherwise at {}",
            site.word()
        );
    }
    compare(&truth.shown_by_default(), &capture)
}

fn reserved_ports_make_the_range_full_earlier(live: &Live) -> Result<()> {
    let reserved = ["--netns", "own", "--reserved", "40002-40005"];
    let exhaust = ["exhaust", "--range", "40000-40007", "--protocols", "tcp,udp"];
    let (truth, capture) = live.trace(&[], &[reserved.as_slice(), &exhaust].concat())?;
    let given = truth.only(|done| done.is_allocation() && done.ok);
    ensure!(
        given.iter().all(|done| !(40_002..=40_005).contains(&done.local_port)),
        "a reserved port was given"
    );
    compare(&truth.shown_by_default(), &capture)
}

fn each_port_of_the_range_is_given_once_before_the_first_failure(live: &Live) -> Result<()> {
    let (truth, capture) =
        live.trace(&[], &["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "3"])?;
    compare(&truth.shown_by_default(), &capture)?;
    let connects = truth.only(Operation::is_allocation);
    let events = capture.of(connects[0].pid);
    let mut ports: Vec<u64> = events.iter().take(64).filter_map(|event| event.number("local_port")).collect();
    ports.sort_unstable();
    ensure!(ports == (40_000..=40_063).collect::<Vec<u64>>(), "the first 64 events gave {ports:?}");
    Ok(())
}
