//! PS016, PS018 and PS022: limits that are not ports.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::scenario::{Manner, OFF_LOOPBACK, Order, Space, Task, Told, Way, shell, tools};
use portscope_tests::{alone, per_backend};

use super::{Report, at, check};

alone! {
    a_holder_near_its_limit_of_files_is_named => files,
    a_table_of_tracked_connections_that_fills_is_told => conntrack,
    tuples_that_come_again_where_connections_are_tracked_are_a_warning => tracked_again,
}

per_backend! {
    time_waits_that_were_not_kept_are_told,
}

fn files(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(at("127.0.0.1:7001"), Manner::Keep)?;
    client.must_take(Task::connect(at("127.0.0.1:7001")).times(60))?;
    let healthy = check(live, space.id())?;
    ensure!(healthy.any("PS018").is_err(), "{}", healthy.0["findings"]);
    client.order(&Order::LeaveFiles(1))?;
    let told = check(live, space.id())?;
    let finding = told.any("PS018")?;
    let (open, limit) = (&finding["evidence"]["open"], &finding["evidence"]["limit"]);
    ensure!(open.as_u64() >= Some(60) && limit.as_u64() <= open.as_u64().map(|open| open + 2), "{finding}");
    Told::says(finding, &[&format!("client (pid {})", client.pid()), "EMFILE", "LimitNOFILE="])
}

fn time_waits_that_were_not_kept_are_told(live: &Live) -> Result<()> {
    let (small, usual) = (Space::with_range("40000-40999")?, Space::with_range("40000-40999")?);
    small.set("net/ipv4/tcp_max_tw_buckets", "10")?;
    let away = format!("{OFF_LOOPBACK}:7001");
    let mut actors = Vec::new();
    for space in [&small, &usual] {
        let mut server = space.actor("server")?;
        server.serve(at(&away), Manner::CloseLast)?;
        actors.push((server, space.actor("client")?));
    }
    let report = Report::begin(live, &[])?;
    for (_, client) in &mut actors {
        client.must_take(Task::connect(at(&away)).times(50).closing())?;
    }
    let told = report.end()?;
    let finding = told.finding("PS022", small.id())?;
    ensure!(finding["evidence"]["overflows"] == 40, "{finding}");
    ensure!(finding["evidence"]["tcp_max_tw_buckets"] == 10, "{finding}");
    Told::says(finding, &["40 TIME_WAITs were not kept", "net.ipv4.tcp_max_tw_buckets=20"])?;
    told.silent("PS022", usual.id())
}

/// Whether connections in this namespace are tracked from now on; the skip is noted.
fn tracks(live: &Live, space: &Space) -> Result<bool> {
    if !live.has(Need::Conntrack, tools(&["nft"]))? {
        return Ok(false);
    }
    let rules = "add table ip t; add chain ip t out { type filter hook output priority 0; }; \
                 add rule ip t out ct state new accept";
    let tracked = shell(&format!("nsenter --net={} nft '{rules}'", space.path()));
    live.has(Need::Conntrack, tracked.err().map(|error| format!("{error:#}")).as_deref())
}

fn conntrack(live: &Live) -> Result<()> {
    let space = Space::with_range("32768-60999")?;
    if !tracks(live, &space)? {
        return Ok(());
    }
    check(live, space.id())?.silent("PS016", space.id())?;
    let max: u64 = space.sysctl("net/netfilter/nf_conntrack_max")?.parse()?;
    // Each of these addresses takes 60,000 entries.
    let mut client = space.actor("client")?;
    client.order(&Order::Spray(max * 95 / 100))?;
    let told = check(live, space.id())?;
    let finding = told.finding("PS016", space.id())?;
    ensure!(finding["evidence"]["max"] == max && finding["severity"] == "warning", "{finding}");
    Told::says(finding, &["the conntrack table is at 9", "these are not local ports"])
}

/// The kernel's own count: TCPSynRetrans of /proc/net/netstat.
fn syns_sent_again(space: &Space) -> Result<u64> {
    let netstat = space.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/netstat")?))?;
    let mut rows = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, counts) = rows.next().zip(rows.next()).context("no TcpExt")?;
    let mut both = names.split_whitespace().zip(counts.split_whitespace());
    let (_, count) = both.find(|(name, _)| *name == "TCPSynRetrans").context("no TCPSynRetrans")?;
    Ok(count.parse()?)
}

fn tracked_again(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    if !tracks(live, &space)? {
        return Ok(());
    }
    let (away, silent) = (format!("{OFF_LOOPBACK}:7001"), format!("{OFF_LOOPBACK}:7002"));
    let (mut server, mut dead) = (space.actor("server")?, space.actor("dead")?);
    server.serve(at(&away), Manner::Keep)?;
    dead.serve(at(&silent), Manner::Ignore)?;
    let (mut client, mut caller) = (space.actor("client")?, space.actor("caller")?);
    let report = Report::begin(live, &["--releases"])?;
    client.must_take(Task::connect(at(&away)).times(300).resetting())?;
    let before = syns_sent_again(&space)?;
    caller.must_take(Task::new(Way::Begin).to(at(&silent)).times(20))?;
    // The first SYN is sent again after a second.
    thread::sleep(Duration::from_millis(1_500));
    let after = syns_sent_again(&space)?;
    let told = report.end()?;
    let finding = told.any("PS009")?;
    ensure!(finding["severity"] == "warning" && finding["evidence"]["netns"] == space.id(), "{finding}");
    let again = after.saturating_sub(before);
    ensure!(
        again >= 20 && finding["evidence"]["syn_retransmits"].as_u64() >= Some(again),
        "{again}: {finding}"
    );
    Told::says(finding, &["connections are tracked here", "nf_conntrack_tcp_timeout_time_wait"])
}
