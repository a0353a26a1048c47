//! PS001 and PS004: no port is left, in each of the ways there are; PS019: it only looks so.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Actor, Manner, Plot, Space, Task, Told, Way};
use serde_json::json;

use super::{Report, at};

per_backend! {
    one_destination_is_full_and_the_next_one_has_its_own_ports,
    who_held_the_ports_is_told_after_they_are_gone,
    ports_that_others_hold_are_theirs_and_reserved_ones_nobodys,
    bind_before_connect_is_told_until_the_option_is_set,
    datagrams_and_binds_have_an_errno_and_a_pool_of_their_own,
    what_only_looks_like_exhaustion_is_told_as_no_want_of_ports,
    ports_that_bind_gave_back_bar_nothing,
}

const FULL: &str = "127.0.0.1:7001";
const OTHER: &str = "127.0.0.1:7002";

/// A server in a space, at each of these addresses.
fn server(space: &Space, at_all: &[&str]) -> Result<Actor> {
    let mut server = space.actor("server")?;
    for address in at_all {
        server.serve(at(address), Manner::Keep)?;
    }
    Ok(server)
}

fn one_destination_is_full_and_the_next_one_has_its_own_ports(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40999")?;
    let _server = server(&space, &[FULL, OTHER])?;
    let mut client = space.actor("greedy")?;
    let report = Report::begin(live, &["-N", &space.id().to_string()])?;
    let other = client.must_take(Task::connect(at(OTHER)).times(100))?;
    let full = client.take(Task::connect(at(FULL)).until_failed(50, 2_000))?;
    let told = report.end()?;
    ensure!(full.given() == 1_000 && full.failed_with("EADDRNOTAVAIL") == 50, "{:?}", full.failed);
    let all = full.given() + other.given() + 50;
    ensure!(told.0["totals"]["allocations"] == all, "{}", told.0["totals"]);
    ensure!(told.0["totals"]["failures"] == 50, "{}", told.0["totals"]);
    ensure!(told.0["totals"]["by_error"]["EADDRNOTAVAIL"] == 50, "{}", told.0["totals"]);
    ensure!(told.0["totals"]["by_cause"]["exhausted"] == 50, "{}", told.0["totals"]);
    ensure!(told.0["accounting"]["seen"] == all, "{}", told.0["accounting"]);
    let pool = told.pool_to(space.id(), 7001)?;
    ensure!(pool["utilisation"] == 1.0 && pool["barred"] == 1_000 && pool["failures"] == 50, "{pool}");
    ensure!(pool["holders"][0]["pid"] == client.pid() && pool["holders"][0]["ports"] == 1_000, "{pool}");
    let next = told.pool_to(space.id(), 7002)?;
    ensure!(next["utilisation"] == 0.1 && next["barred"] == 100 && next["failures"] == 0, "{next}");
    let finding = told.finding("PS001", space.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["refused"] == 50 && evidence["attempts_here"] == 1_050, "{evidence}");
    ensure!(evidence["victims"][0]["count"] == 50 && evidence["victims"][0]["pid"] == client.pid());
    Told::says(
        finding,
        &[
            "127.0.0.1 > 127.0.0.1:7001: 50 of 1,050 connects refused (EADDRNOTAVAIL)",
            "held by 1,000 of 1,000: 1,000 ESTAB; greedy 100.0 %",
            "refused to greedy 50; other destinations fine (next fullest 10.0 %)",
        ],
    )
}

fn who_held_the_ports_is_told_after_they_are_gone(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40199")?;
    let server = server(&space, &[FULL])?;
    let mut client = space.actor("shortlived")?;
    let report = Report::begin(live, &["-N", &space.id().to_string()])?;
    let full = client.take(Task::connect(at(FULL)).until_failed(5, 400))?;
    // The stock is looked at as soon as a refusal has come through the ring.
    thread::sleep(Duration::from_secs(3));
    let pid = client.pid();
    // The end that closes first has the TIME_WAITs: of the client nothing is left.
    drop(server);
    drop(client);
    thread::sleep(Duration::from_secs(1));
    let told = report.end()?;
    ensure!(full.given() == 200 && full.failed_with("EADDRNOTAVAIL") == 5, "{:?}", full.failed);
    let finding = told.finding("PS001", space.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["barred"] == 200 && evidence["effective"] == 200, "{evidence}");
    ensure!(evidence["holders"][0]["pid"] == pid && evidence["holders"][0]["ports"] == 200, "{evidence}");
    Told::says(finding, &["held by 200 of 200: 200 ESTAB; shortlived 100.0 %"])?;
    // Its pool is told as it was then, too.
    let pool = told.pool_to(space.id(), 7001)?;
    ensure!(pool["barred"] == 200 && pool["held"] == json!({"ESTABLISHED": 200}), "{pool}");
    ensure!(pool["failures"] == 5 && pool["holders"][0]["pid"] == pid, "{pool}");
    ensure!(pool["held_after_s"] == evidence["held_after_s"] && pool["held_after_s"].is_f64(), "{pool}");
    Ok(())
}

fn ports_that_others_hold_are_theirs_and_reserved_ones_nobodys(live: &Live) -> Result<()> {
    // A holder fills the range towards one destination; who comes later is refused there, and only there.
    let shared = Space::with_range("40000-40199")?;
    let _shared_server = server(&shared, &[FULL, OTHER])?;
    let (mut holder, mut victim) = (shared.actor("holder")?, shared.actor("victim")?);
    holder.must_take(Task::connect(at(FULL)).times(200))?;
    // The middle of the range is reserved.
    let hole = Space::make(Plot { reserved: "40050-40149", ..Plot::range("40000-40199") })?;
    let _hole_server = server(&hole, &[FULL])?;
    let mut client = hole.actor("client")?;
    let report = Report::begin(live, &[])?;
    let refused = victim.take(Task::connect(at(FULL)).times(5))?;
    let given = victim.must_take(Task::connect(at(OTHER)).times(20))?;
    let around = client.take(Task::connect(at(FULL)).until_failed(3, 400))?;
    let told = report.end()?;
    ensure!(refused.failed_with("EADDRNOTAVAIL") == 5 && given.given() == 20, "{refused:?}");
    let finding = told.finding("PS001", shared.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["victims"][0]["pid"] == victim.pid() && evidence["refused"] == 5, "{evidence}");
    ensure!(evidence["holders"][0]["pid"] == holder.pid(), "{evidence}");
    Told::says(finding, &["200 of 200: 200 ESTAB; holder 100.0 %", "refused to victim 5;"])?;
    ensure!(around.given() == 100 && around.failed_with("EADDRNOTAVAIL") == 3, "{:?}", around.failed);
    ensure!(around.ports.iter().all(|port| !(40_050..=40_149).contains(port)), "a reserved port was given");
    let finding = told.finding("PS001", hole.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["effective"] == 100 && evidence["barred"] == 100, "{evidence}");
    ensure!(evidence["range"] == json!([40_000, 40_199]) && evidence["refused"] == 3, "{evidence}");
    Told::says(finding, &["held by 100 of 100: 100 ESTAB; client 100.0 %", "has 100 ports"])
}

fn bind_before_connect_is_told_until_the_option_is_set(live: &Live) -> Result<()> {
    let (bound, late) = (Space::with_range("40000-40099")?, Space::with_range("40000-40099")?);
    let ends = [FULL, OTHER, "127.0.0.1:7003", "127.0.0.1:7004"];
    let (_one, _other) = (server(&bound, &ends)?, server(&late, &ends)?);
    let (mut envoy, mut curl) = (bound.actor("envoy")?, bound.actor("curl")?);
    let mut mended = late.actor("mended")?;
    let report = Report::begin(live, &[])?;
    let task = |end: &str| Task::new(Way::BindConnect).from(at("127.0.0.1:0")).to(at(end));
    for end in ends {
        let taken = envoy.take(task(end).times(26))?;
        ensure!(taken.given() == 26 || end == ends[3], "{:?}", taken.failed);
        mended.must_take(task(end).times(26).no_port())?;
    }
    let refused = envoy.take(task(FULL).times(10))?;
    ensure!(refused.failed_with("EADDRINUSE") == 10, "{:?}", refused.failed);
    // A bound port is barred to every connect of the namespace, wherever it goes.
    let bystander = curl.take(Task::connect(at("10.77.0.1:7005")).times(4))?;
    ensure!(bystander.failed_with("EADDRNOTAVAIL") == 4, "{:?}", bystander.failed);
    let told = report.end()?;
    let finding = told.finding("PS004", bound.id())?;
    let evidence = &finding["evidence"];
    ensure!(evidence["bound_connects"] == 100 && evidence["bound_held"] == 100, "{evidence}");
    ensure!(evidence["effective"] == 100 && evidence["destinations"] == 4, "{evidence}");
    ensure!(evidence["refused"] == 18 && finding["severity"] == "critical", "{evidence}");
    Told::says(
        finding,
        &[
            "held by envoy: 100 of 100, each bound alone, to 4 destinations",
            "refused to envoy 14",
            "IP_BIND_ADDRESS_NO_PORT",
            "with it the fullest destination would be at 26.0 %",
        ],
    )?;
    told.silent("PS001", bound.id())?;
    for id in ["PS001", "PS004"] {
        told.silent(id, late.id())?;
    }
    Ok(())
}

fn datagrams_and_binds_have_an_errno_and_a_pool_of_their_own(live: &Live) -> Result<()> {
    let (udp, tcp) = (Space::with_range("40000-40063")?, Space::with_range("40000-40063")?);
    let (mut resolver, mut binder) = (udp.actor("resolver")?, tcp.actor("binder")?);
    let mut listener = tcp.actor("listener")?;
    let report = Report::begin(live, &[])?;
    let sent = resolver.take(Task::new(Way::Udp).to(at("127.0.0.1:53")).until_failed(7, 200))?;
    let bound = binder.take(Task::new(Way::Bind).from(at("127.0.0.1:0")).until_failed(6, 200))?;
    let heard = listener.take(Task::new(Way::Listen).until_failed(2, 200))?;
    let told = report.end()?;
    ensure!(sent.given() == 64 && sent.failed_with("EAGAIN") == 7, "{:?}", sent.failed);
    ensure!(bound.given() == 64 && bound.failed_with("EADDRINUSE") == 6, "{:?}", bound.failed);
    ensure!(heard.given() == 0 && heard.failed_with("EADDRINUSE") == 2, "{:?}", heard.failed);
    let datagrams = told.finding("PS001", udp.id())?;
    ensure!(datagrams["evidence"]["refused"] == 7 && datagrams["evidence"]["effective"] == 64);
    ensure!(datagrams["evidence"]["holders"][0]["pid"] == resolver.pid(), "{datagrams}");
    Told::says(datagrams, &["7 of 71 datagram sockets without a port refused (EAGAIN)", "resolver 100.0 %"])?;
    let binds = told.finding("PS001", tcp.id())?;
    ensure!(binds["evidence"]["refused"] == 8 && binds["evidence"]["refused_here"] == 6, "{binds}");
    ensure!(binds["evidence"]["holders"][0]["pid"] == binder.pid(), "{binds}");
    Told::says(
        binds,
        &["6 of 70 bind(port 0) refused (EADDRINUSE)", "64 of 64", "binder 100.0 %", "listen"],
    )?;
    told.silent("PS004", tcp.id())
}

fn what_only_looks_like_exhaustion_is_told_as_no_want_of_ports(live: &Live) -> Result<()> {
    let spaces = [(); 4].map(|()| Space::with_range("40000-40063"));
    let [no_v6, foreign, busy, no_source] = spaces;
    let (no_v6, foreign, busy, no_source) = (no_v6?, foreign?, busy?, no_source?);
    no_v6.set("net/ipv6/conf/all/disable_ipv6", "1")?;
    no_source.ip(&["-6", "addr", "del", "::1/128", "dev", "lo"])?;
    no_source.ip(&["-6", "route", "add", "fd00::/64", "dev", "lo"])?;
    let _server = server(&busy, &[FULL])?;
    let mut actors =
        [no_v6.actor("apache")?, foreign.actor("haproxy")?, busy.actor("ftp")?, no_source.actor("dialer")?];
    let report = Report::begin(live, &[])?;
    let loopback = actors[0].take(Task::connect(at("[::1]:80")).times(3))?;
    let local = actors[0].take(Task::new(Way::Bind).from(at("[::1]:0")).times(5))?;
    let elsewhere = actors[1].take(Task::new(Way::Bind).from(at("10.9.9.9:8080")).times(2))?;
    let fixed = Task::new(Way::BindConnect).from(at("127.0.0.1:20")).to(at(FULL)).reuse_addr();
    let tuple = actors[2].take(fixed.times(3))?;
    let source = actors[3].take(Task::connect(at("[fd00::5]:443")).times(4))?;
    let told = report.end()?;
    ensure!(tuple.given() == 1 && tuple.failed_with("EADDRNOTAVAIL") == 2, "{tuple:?}");
    for (done, count) in [(&local, 5), (&loopback, 3), (&elsewhere, 2), (&source, 4)] {
        ensure!(done.failed_with("EADDRNOTAVAIL") == count && done.given() == 0, "{done:?}");
    }
    let (v4, source) =
        ("connect to 127.0.0.1, or have IPv6 on for lo", "add an address of that family and scope");
    let mut expected = vec![
        (&busy, "tuple_busy", 2, "127.0.0.1:20 > 127.0.0.1:7001: 2 of 2 connect"),
        (&no_v6, "no_ipv6", 3, v4),
        (&no_source, "no_source_address", 4, source),
    ];
    // The other backends hook what comes after the look at the address of a bind.
    if live.backend() == Backend::Tracepoint {
        expected.push((&no_v6, "no_ipv6", 5, v4));
        expected.push((&foreign, "address_not_here", 2, "bind to an address that `ip address` shows"));
    }
    for (space, kind, count, says) in expected {
        told.finding("PS019", space.id())?;
        let mut found =
            told.findings().filter(|one| one["id"] == "PS019" && one["evidence"]["netns"] == space.id());
        let finding = found.find(|one| one["evidence"]["refused"] == count);
        let finding = finding.with_context(|| format!("none of {count} {kind}"))?;
        let evidence = &finding["evidence"];
        ensure!(evidence["kind"] == kind, "{evidence}");
        ensure!(evidence["free"] == 64 && evidence["effective"] == 64, "{evidence}");
        Told::says(finding, &[says, "64 of 64 ports are free here", "a wider range"])?;
    }
    // Nobody takes any of it for want of ports.
    for space in [&no_v6, &foreign, &busy, &no_source] {
        told.silent("PS001", space.id())?;
    }
    Ok(())
}

fn ports_that_bind_gave_back_bar_nothing(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let _server = server(&space, &[FULL])?;
    let (mut client, mut binder) = (space.actor("client")?, space.actor("binder")?);
    let report = Report::begin(live, &[])?;
    client.must_take(Task::connect(at(FULL)))?;
    let bound = binder.must_take(Task::new(Way::Bind).from(at("127.0.0.1:0")).times(500).closing())?;
    let told = report.end()?;
    ensure!(bound.ports.iter().collect::<BTreeSet<_>>().len() >= 32, "{:?}", bound.ports);
    let pool = told.pool_to(space.id(), 7001)?;
    ensure!(pool["barred"] == 1 && pool["barred_by_binds"] == 0, "{pool}");
    ensure!(pool["held"] == json!({"ESTABLISHED": 1}), "{pool}");
    for id in ["PS001", "PS002"] {
        told.silent(id, space.id())?;
    }
    Ok(())
}
