//! Filters: exactly what they name is shown, and what they hide is counted.

use anyhow::{Result, ensure};
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::operation::{Family, Operation, Proto, Site};
use portscope_tests::per_backend;
use portscope_tests::workload::Workload;

per_backend! {
    pid_shows_that_process_alone,
    comm_matches_the_thread_or_its_leader_whole,
    comm_with_a_star_matches_the_beginning,
    uid_shows_that_user_alone,
    netns_shows_that_namespace_alone,
    local_port_shows_the_port_and_every_failed_search_that_overlaps,
    local_port_outside_the_range_shows_no_failure,
    remote_port_shows_connects_there,
    remote_network_shows_connects_there,
    proto_shows_those_protocols,
    ipv4_takes_in_mapped_addresses,
    ipv6_leaves_mapped_addresses_out,
    site_shows_those_sites,
    failed_shows_failures_alone,
    filters_are_joined_by_and,
}

const SITES: [&str; 3] = ["sites", "--protocols", "tcp,udp"];
const EXHAUST: [&str; 7] = ["--netns", "own", "exhaust", "--range", "40000-40007", "--protocols", "tcp,udp"];

/// Runs one workload under a filter; what passes must be what `passes` picks of the truth.
fn holds(live: &Live, filter: &[&str], args: &[&str], passes: fn(&Operation) -> bool) -> Result<()> {
    held(live, filter, vec![Workload::ready(args)?], passes)
}

/// The same for several workloads at once.
fn held(
    live: &Live,
    filter: &[&str],
    workloads: Vec<Workload>,
    passes: impl Fn(&Operation) -> bool,
) -> Result<()> {
    let pids: Vec<u32> = workloads.iter().map(|workload| workload.hello().pid).collect();
    let tracer = live.tracer(filter)?;
    let mut shown = Vec::new();
    for workload in workloads {
        shown.extend(workload.go()?.shown_by_default());
    }
    let capture = tracer.stop()?;
    let accounting = capture.accounting()?;
    let (kept, hidden): (Vec<_>, Vec<_>) = shown.into_iter().partition(passes);
    ensure!(!hidden.is_empty(), "{filter:?} hides nothing of this workload: the test proves nothing");
    ensure!(
        accounting.filtered >= hidden.len() as u64,
        "{filter:?} hid {} events, and counts {accounting:?}",
        hidden.len()
    );
    if kept.is_empty() {
        let seen: Vec<String> =
            pids.iter().flat_map(|pid| capture.of(*pid)).map(portscope_tests::trace::Event::brief).collect();
        ensure!(seen.is_empty(), "{filter:?} lets pass: {seen:#?}");
        return Ok(());
    }
    // The other workload must not be seen at all, so its process belongs to the comparison.
    let strangers = pids.iter().filter(|pid| kept.iter().all(|done| done.pid != **pid));
    for stranger in strangers {
        ensure!(capture.of(*stranger).is_empty(), "{filter:?} lets process {stranger} pass");
    }
    compare(&kept, &capture)
}

fn pid_shows_that_process_alone(live: &Live) -> Result<()> {
    let (wanted, other) = (Workload::ready(&SITES)?, Workload::ready(&SITES)?);
    let pid = wanted.hello().pid;
    held(live, &["-p", &pid.to_string()], vec![other, wanted], move |done| done.pid == pid)
}

fn comm_matches_the_thread_or_its_leader_whole(live: &Live) -> Result<()> {
    let named = |name| Workload::ready(&["--comm", name, "sites", "--protocols", "tcp"]);
    let workloads = vec![named("scope-one")?, named("scope-one-more")?];
    held(live, &["-n", "scope-one"], workloads, |done| done.comm == "scope-one")?;
    let workloads = vec![named("scope-one")?];
    held(live, &["-n", "workload-v6"], workloads, |done| done.thread_comm == "workload-v6")
}

fn comm_with_a_star_matches_the_beginning(live: &Live) -> Result<()> {
    let named = |name| Workload::ready(&["--comm", name, "binds", "--count", "5", "--each"]);
    let workloads = vec![named("scope-one")?, named("scope-one-more")?, named("scopf")?];
    held(live, &["-n", "scope-*"], workloads, |done| done.comm.starts_with("scope-"))
}

fn uid_shows_that_user_alone(live: &Live) -> Result<()> {
    let args = ["binds", "--count", "5", "--each"];
    let (nobody, root) = (Workload::ready_as(Some(65_534), &args)?, Workload::ready(&args)?);
    let pid = nobody.hello().pid;
    held(live, &["-u", "65534"], vec![root, nobody], move |done| done.pid == pid)
}

fn netns_shows_that_namespace_alone(live: &Live) -> Result<()> {
    let own = Workload::ready(&["--netns", "own", "sites", "--protocols", "tcp,udp"])?;
    let netns = own.hello().netns;
    let workloads = vec![Workload::ready(&SITES)?, own];
    held(live, &["--netns", &netns.to_string()], workloads, move |done| done.netns == netns)
}

fn local_port_shows_the_port_and_every_failed_search_that_overlaps(live: &Live) -> Result<()> {
    holds(live, &["-L", "40000,40006-40007"], &EXHAUST, |done| {
        let wanted = |port| port == 40_000 || (40_006..=40_007).contains(&port);
        // The searches of sockets with a range of their own ran over 40002-40003 only.
        if done.ok { wanted(done.local_port) } else { done.range == Some([40_000, 40_007]) }
    })
}

fn local_port_outside_the_range_shows_no_failure(live: &Live) -> Result<()> {
    holds(live, &["-L", "1,50000-50010"], &EXHAUST, |_| false)
}

fn remote_port_shows_connects_there(live: &Live) -> Result<()> {
    holds(live, &["-D", "1", "--proto", "tcp"], &SITES, |done| {
        done.proto == Proto::Tcp && done.remote_port == Some(1)
    })
}

fn remote_network_shows_connects_there(live: &Live) -> Result<()> {
    let is_tcp_to = |done: &Operation, v4: bool| {
        done.proto == Proto::Tcp && done.remote_addr.is_some_and(|addr| addr.is_ipv4() == v4)
    };
    let filter = ["--remote", "127.0.0.0/8", "--proto", "tcp"];
    held(live, &filter, vec![Workload::ready(&SITES)?], |done| is_tcp_to(done, true))?;
    let filter = ["--remote", "::1/128", "--proto", "tcp"];
    held(live, &filter, vec![Workload::ready(&SITES)?], |done| is_tcp_to(done, false))
}

fn proto_shows_those_protocols(live: &Live) -> Result<()> {
    holds(live, &["--proto", "udp"], &SITES, |done| done.proto == Proto::Udp)
}

fn ipv4_takes_in_mapped_addresses(live: &Live) -> Result<()> {
    holds(live, &["-4", "--proto", "tcp"], &SITES, |done| {
        done.proto == Proto::Tcp && done.family == Some(Family::Ipv4)
    })
}

fn ipv6_leaves_mapped_addresses_out(live: &Live) -> Result<()> {
    holds(live, &["-6", "--proto", "tcp"], &SITES, |done| {
        done.proto == Proto::Tcp && done.family == Some(Family::Ipv6)
    })
}

fn site_shows_those_sites(live: &Live) -> Result<()> {
    holds(live, &["--site", "listen,autobind"], &SITES, |done| {
        matches!(done.site, Site::Listen | Site::Autobind)
    })
}

fn failed_shows_failures_alone(live: &Live) -> Result<()> {
    holds(live, &["-x"], &EXHAUST, |done| !done.ok)
}

fn filters_are_joined_by_and(live: &Live) -> Result<()> {
    holds(live, &["-x", "--site", "connect", "-4", "-L", "40002"], &EXHAUST, |done| {
        !done.ok && done.site == Site::Connect && done.family == Some(Family::Ipv4)
    })
}
