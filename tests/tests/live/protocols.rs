//! The rarer protocols, each alone: MPTCP, UDP-Lite, ping sockets, SCTP, DCCP, SMC; and TCP behind a VRF.

use anyhow::{Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::compare::compare;
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::operation::{Operation, Site};
use portscope_tests::per_backend;
use portscope_tests::trace::Capture;
use portscope_tests::workload::Truth;
use serde_json::Value;

per_backend! {
    mptcp_is_told_as_tcp_with_an_option,
    udplite_is_told_under_its_own_name,
    identifiers_of_ping_sockets_are_told_but_their_binds_by_tracepoint,
    sctp_is_seen_by_kprobe_only,
    dccp_is_told_under_its_own_name,
    smc_is_told_as_the_tcp_that_it_begins_with,
    sockets_behind_a_vrf_are_told_once,
}

/// Traces the scenes of one protocol in a namespace of their own; none where the kernel lacks it.
fn scenes(live: &Live, protocol: &str, need: Need) -> Result<Option<(Truth, Capture)>> {
    let (truth, capture) = live.trace(&[], &["--netns", "own", "sites", "--protocols", protocol])?;
    let absent = truth.absent.iter().find(|line| line.absent == protocol);
    if !live.has(need, absent.map(|line| line.errno.as_str()))? {
        return Ok(None);
    }
    Ok(Some((truth, capture)))
}

fn mptcp_is_told_as_tcp_with_an_option(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "mptcp", Need::Mptcp)? else { return Ok(()) };
    for site in [Site::Connect, Site::Bind, Site::Listen] {
        let had = truth
            .only(|done| done.site == site && done.is_allocation() && done.options.contains(&"mptcp".into()));
        ensure!(!had.is_empty(), "no MPTCP port was chosen at {}", site.word());
    }
    compare(&truth.shown_by_default(), &capture)
}

fn udplite_is_told_under_its_own_name(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "udplite", Need::UdpLite)? else { return Ok(()) };
    compare(&truth.shown_by_default(), &capture)
}

/// `ping_bind` passes by the bind hooks of cgroups, and sets the address after the identifier.
fn identifiers_of_ping_sockets_are_told_but_their_binds_by_tracepoint(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "icmp", Need::Ping)? else { return Ok(()) };
    let shown = truth.shown_by_default();
    ensure!(shown.iter().any(|done| done.site == Site::Bind), "no ping socket was bound");
    for event in capture.of(shown[0].pid) {
        for field in ["range", "local_addr"] {
            ensure!(event.value(field).is_some_and(Value::is_null), "{field} is told: {}", event.brief());
        }
    }
    if live.backend() != Backend::Tracepoint {
        let shown: Vec<_> = shown.into_iter().map(|done| Operation { local_addr: None, ..done }).collect();
        return compare(&shown, &capture);
    }
    let autobound: Vec<_> = shown.into_iter().filter(|done| done.site == Site::Autobind).collect();
    compare(&autobound, &capture)
}

/// SCTP binds before it connects (`sctp_autobind`, net/sctp/socket.c), and its socket holds no address then.
fn as_sctp_tells(done: Operation) -> Operation {
    let site = if done.site == Site::Connect { Site::Bind } else { done.site };
    Operation { site, family: None, local_addr: None, remote_addr: None, remote_port: None, ..done }
}

fn sctp_is_seen_by_kprobe_only(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "sctp", Need::Sctp)? else { return Ok(()) };
    let shown = truth.shown_by_default();
    ensure!(shown.len() >= 3, "only {} choices", shown.len());
    if live.backend() == Backend::Kprobe {
        let told: Vec<_> = shown.into_iter().map(as_sctp_tells).collect();
        return compare(&told, &capture);
    }
    let seen = capture.of(shown[0].pid);
    ensure!(seen.is_empty(), "{} sees SCTP: {}", live.backend(), seen[0].brief());
    Ok(())
}

fn dccp_is_told_under_its_own_name(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "dccp", Need::Dccp)? else { return Ok(()) };
    for site in [Site::Connect, Site::Bind, Site::Listen] {
        let had = truth.only(|done| done.site == site && done.is_allocation());
        ensure!(!had.is_empty(), "no DCCP port was chosen at {}", site.word());
    }
    compare(&truth.shown_by_default(), &capture)
}

fn smc_is_told_as_the_tcp_that_it_begins_with(live: &Live) -> Result<()> {
    let Some((truth, capture)) = scenes(live, "smc", Need::Smc)? else { return Ok(()) };
    for site in [Site::Connect, Site::Bind, Site::Listen] {
        let had = truth.only(|done| done.site == site && done.is_allocation());
        ensure!(!had.is_empty(), "no port of SMC was chosen at {}", site.word());
    }
    compare(&truth.shown_by_default(), &capture)
}

fn sockets_behind_a_vrf_are_told_once(live: &Live) -> Result<()> {
    let (truth, capture) = live.trace(&["--explicit"], &["--netns", "own", "vrf"])?;
    let absent = truth.absent.iter().find(|line| line.absent == "vrf");
    if !live.has(Need::Vrf, absent.map(|line| line.errno.as_str()))? {
        return Ok(());
    }
    live.judge_absent(&truth, &[Need::Ipv6])?;
    let had = truth.only(Operation::is_allocation);
    ensure!(had.len() >= 14, "only {} choices behind the VRF", had.len());
    compare(&truth.operations, &capture)
}
