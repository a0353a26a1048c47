//! Collisions by kind, each held against what its search must have met: the ports that are bound, those whose 4-tuple is in
//! use, and the order in which the kernel looks at them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Actor, Manner, OFF_LOOPBACK, Order, Plot, Space, Task, Way};
use portscope_tests::trace::{Capture, Event, Tracer};

per_backend! {
    [fentry, kprobe]
    each_connect_met_what_was_taken_on_its_way,
    each_connect_over_ipv6_met_what_was_taken_on_its_way,
    those_that_a_time_wait_has_are_told_apart,
    a_bind_met_every_taken_port_of_a_half,
    a_refused_bind_or_listen_met_every_port,
    what_is_not_asked_for_is_not_counted,
    what_was_counted_is_recorded_and_summed_up,
}

per_backend! {
    what_was_to_be_expected_is_told_beside_what_was_met,
}

const LOW: u16 = 40_000;
const HIGH: u16 = 40_039;
const RESERVED: [u16; 3] = [40_004, 40_005, 40_020];
const BOUND: [u16; 5] = [40_000, 40_001, 40_010, 40_011, 40_038];
/// Ports that can be given: not reserved.
const EFFECTIVE: u64 = 37;

fn space() -> Result<Space> {
    Space::make(Plot { reserved: "40004-40005,40020", ..Plot::range("40000-40039") })
}

fn address(ip: &str, port: u16) -> Result<std::net::SocketAddr> {
    Ok((ip.parse::<std::net::IpAddr>()?, port).into())
}

/// Binds these ports by name at this address.
fn bind_all(actor: &mut Actor, ip: &str, ports: impl IntoIterator<Item = u16>) -> Result<()> {
    for port in ports {
        actor.must_take(Task::new(Way::Bind).from(address(ip, port)?))?;
    }
    Ok(())
}

/// Allocations at a site, in their order.
fn at<'a>(capture: &'a Capture, actor: &Actor, site: &str) -> Vec<&'a Event> {
    let of = capture.of(actor.pid()).into_iter();
    of.filter(|event| event.kind() == "allocation" && event.text("site") == Some(site)).collect()
}

/// Bucket, 4-tuple, and TIME_WAIT among those.
fn kinds(event: &Event) -> [Option<u64>; 3] {
    ["bucket_collisions", "tuple_collisions", "time_wait_collisions"].map(|field| event.number(field))
}

/// Compares the kinds with those that must have been met, and their sum with the collisions.
fn met(event: &Event, expected: [u64; 3]) -> Result<()> {
    let [bucket, tuple, _] = expected;
    ensure!(kinds(event) == expected.map(Some), "{:?}, not {expected:?}: {}", kinds(event), event.brief());
    let all = event.number("collisions");
    ensure!(all == Some(bucket + tuple), "{all:?} collisions, not {}: {}", bucket + tuple, event.brief());
    ensure!(event.number("requested_port") == Some(0), "{}", event.brief());
    Ok(())
}

/// The ports that a connect looked at before `port` (walking back), the reserved ones included: the even half, in which
/// the range begins, comes first; each is a ring.
fn looked_at(port: u16, candidates: u64) -> Result<Vec<u16>> {
    let half = u64::from((HIGH - LOW).div_ceil(2));
    let mut steps = candidates.checked_sub(1).context("no candidates")?;
    let mut ports = Vec::new();
    if port % 2 == 1 {
        steps = steps.checked_sub(half).with_context(|| format!("{port} after {candidates} candidates"))?;
        ports.extend((LOW..=HIGH).step_by(2));
    }
    ensure!(steps < half, "{port} after {candidates} candidates");
    let mut at = port;
    for _ in 0..steps {
        at = if at < LOW + 2 { at + (HIGH + 1 - LOW) - 2 } else { at - 2 };
        ports.push(at);
    }
    Ok(ports)
}

/// The connects of a client to one destination, which nobody else has: nothing but they and `BOUND` take ports. What
/// they met in all: bound ports, 4-tuples.
fn connects_met(events: &[&Event]) -> Result<[u64; 2]> {
    let mut taken = BTreeSet::new();
    let mut rejected = [0; 2];
    for event in events {
        ensure!(event.flag("candidates_exact") == Some(true), "not exact, though alone: {}", event.brief());
        let candidates = event.number("candidates").with_context(|| event.brief())?;
        let Some(port) = event.number("local_port") else {
            ensure!(candidates == u64::from(HIGH - LOW) + 1, "{candidates} candidates");
            met(event, [BOUND.len() as u64, taken.len() as u64, 0])?;
            continue;
        };
        let port = u16::try_from(port)?;
        let ports: Vec<u16> =
            looked_at(port, candidates)?.into_iter().filter(|port| !RESERVED.contains(port)).collect();
        let count = |of: &dyn Fn(&u16) -> bool| ports.iter().filter(|port| of(port)).count() as u64;
        let [bucket, tuple] = [count(&|port| BOUND.contains(port)), count(&|port| taken.contains(port))];
        ensure!(bucket + tuple == ports.len() as u64, "a free port among {ports:?}: {}", event.brief());
        met(event, [bucket, tuple, 0])?;
        rejected = [rejected[0] + bucket, rejected[1] + tuple];
        taken.insert(port);
    }
    Ok(rejected)
}

fn connects_of(live: &Live, ip: &str) -> Result<()> {
    let space = space()?;
    let (mut server, mut holder, mut client) =
        (space.actor("server")?, space.actor("holder")?, space.actor("client")?);
    server.serve(address(ip, 7001)?, Manner::Keep)?;
    bind_all(&mut holder, ip, BOUND)?;
    let tracer = live.tracer(&["--count-collisions"])?;
    let done = client.take(Task::connect(address(ip, 7001)?).until_failed(3, 100))?;
    // Towards another destination the 4-tuples are free, and the bound ports are not.
    server.serve(address(ip, 7002)?, Manner::Keep)?;
    let other = client.must_take(Task::connect(address(ip, 7002)?).times(5))?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    let free = EFFECTIVE - BOUND.len() as u64;
    ensure!(done.given() == free && done.failed_with("EADDRNOTAVAIL") == 3, "{done:?}");
    let events = at(&capture, &client, "connect");
    ensure!(events.len() as u64 == free + 3 + other.given(), "{} events", events.len());
    let (first, second) = events.split_at(events.len() - 5);
    let rejected = connects_met(first)?;
    ensure!(rejected.iter().all(|sum| *sum > 0), "nothing was met of a kind: {rejected:?}");
    let ports: Vec<_> = second.iter().filter_map(|event| event.number("local_port")).collect();
    ensure!(ports == other.ports.iter().map(|port| u64::from(*port)).collect::<Vec<_>>(), "{ports:?}");
    connects_met(second)?;
    Ok(())
}

fn each_connect_met_what_was_taken_on_its_way(live: &Live) -> Result<()> {
    connects_of(live, "127.0.0.1")
}

fn each_connect_over_ipv6_met_what_was_taken_on_its_way(live: &Live) -> Result<()> {
    connects_of(live, "::1")
}

fn those_that_a_time_wait_has_are_told_apart(live: &Live) -> Result<()> {
    const CLOSED: u64 = 9;
    let space = space()?;
    space.set("net/ipv4/tcp_tw_reuse", "0")?;
    let (mut server, mut closer, mut client) =
        (space.actor("server")?, space.actor("closer")?, space.actor("client")?);
    let to = address(OFF_LOOPBACK, 7001)?;
    server.serve(to, Manner::CloseLast)?;
    let tracer = live.tracer(&["--count-collisions", "--releases"])?;
    closer.must_take(Task::connect(to).times(CLOSED).closing())?;
    let kept = client.take(Task::connect(to).until_failed(2, 100))?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    ensure!(kept.given() == EFFECTIVE - CLOSED && kept.failed_with("EADDRNOTAVAIL") == 2, "{kept:?}");
    let events = at(&capture, &client, "connect");
    let failed: Vec<_> = events.iter().filter(|event| event.text("result") == Some("failed")).collect();
    ensure!(failed.len() == 2, "{} failures", failed.len());
    for event in failed {
        met(event, [0, EFFECTIVE, CLOSED])?;
    }
    for event in &events {
        let [bucket, tuple, waiting] = kinds(event);
        ensure!(
            bucket == Some(0) && tuple == event.number("collisions"),
            "{:?}: {}",
            kinds(event),
            event.brief()
        );
        ensure!(waiting <= tuple && waiting <= Some(CLOSED), "{:?}: {}", kinds(event), event.brief());
    }
    Ok(())
}

fn a_bind_met_every_taken_port_of_a_half(live: &Live) -> Result<()> {
    let space = space()?;
    let (mut holder, mut client) = (space.actor("holder")?, space.actor("client")?);
    // bind(0) takes the odd ports first: all are taken, some of them at all addresses.
    let odd: Vec<u16> = (LOW..=HIGH).filter(|port| port % 2 == 1 && !RESERVED.contains(port)).collect();
    let (any, own) = odd.split_at(6);
    bind_all(&mut holder, "0.0.0.0", any.iter().copied())?;
    bind_all(&mut holder, "127.0.0.1", own.iter().copied())?;
    let tracer = live.tracer(&["--count-collisions"])?;
    let done = client.must_take(Task::new(Way::Bind).from(address("127.0.0.1", 0)?).closing().times(4))?;
    let anywhere = client.must_take(Task::new(Way::Listen).closing().times(4))?;
    let datagram = client.must_take(Task::new(Way::BindUdp).from(address("127.0.0.1", 0)?))?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    ensure!(done.ports.iter().chain(&anywhere.ports).all(|port| port % 2 == 0), "{done:?} {anywhere:?}");
    let binds = at(&capture, &client, "bind");
    let (tcp, udp): (Vec<&Event>, Vec<&Event>) =
        binds.into_iter().partition(|event| event.text("proto") == Some("tcp"));
    let listens = at(&capture, &client, "listen");
    ensure!([tcp.len(), udp.len(), listens.len()] == [4, 1, 4], "{} {}", tcp.len(), listens.len());
    for event in tcp.into_iter().chain(listens) {
        // The even ports are free: the first of them that is not reserved is taken.
        met(event, [odd.len() as u64, 0, 0])?;
        ensure!(event.value("candidates").is_some_and(serde_json::Value::is_null), "{}", event.brief());
    }
    ensure!(kinds(udp[0]) == [None; 3] && udp[0].number("collisions").is_none(), "{}", udp[0].brief());
    ensure!(udp[0].number("local_port") == Some(datagram.ports[0].into()), "{}", udp[0].brief());
    Ok(())
}

fn a_refused_bind_or_listen_met_every_port(live: &Live) -> Result<()> {
    let space = space()?;
    let (mut server, mut holder, mut client) =
        (space.actor("server")?, space.actor("holder")?, space.actor("client")?);
    server.serve(address("127.0.0.1", 7001)?, Manner::Keep)?;
    let (own, any) = BOUND.split_at(2);
    bind_all(&mut holder, "127.0.0.1", own.iter().copied())?;
    bind_all(&mut holder, "0.0.0.0", any.iter().copied())?;
    holder.take(Task::connect(address("127.0.0.1", 7001)?).until_failed(1, 100))?;
    let tracer = live.tracer(&["--count-collisions"])?;
    let bind = client.take(Task::new(Way::Bind).from(address("127.0.0.1", 0)?).times(3))?;
    let listen = client.take(Task::new(Way::Listen).times(3))?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    ensure!(
        bind.failed_with("EADDRINUSE") == 3 && listen.failed_with("EADDRINUSE") == 3,
        "{bind:?} {listen:?}"
    );
    for site in ["bind", "listen"] {
        let events = at(&capture, &client, site);
        ensure!(events.len() == 3, "{} of {site}", events.len());
        for event in events {
            met(event, [EFFECTIVE, 0, 0])?;
            ensure!(event.number("candidates") == Some(u64::from(HIGH - LOW) + 1), "{}", event.brief());
        }
    }
    Ok(())
}

fn what_is_not_asked_for_is_not_counted(live: &Live) -> Result<()> {
    let space = space()?;
    let (mut holder, mut client) = (space.actor("holder")?, space.actor("client")?);
    bind_all(&mut holder, "127.0.0.1", BOUND)?;
    let tracer = live.tracer(&[])?;
    client.must_take(Task::new(Way::Bind).from(address("127.0.0.1", 0)?).times(3))?;
    let capture = tracer.stop()?;
    let unavailable = capture.unavailable();
    for field in ["bucket_collisions", "tuple_collisions", "time_wait_collisions"] {
        ensure!(unavailable.contains(&field), "{unavailable:?}");
    }
    for event in at(&capture, &client, "bind") {
        ensure!(kinds(event) == [None; 3], "{:?}: {}", kinds(event), event.brief());
    }
    Ok(())
}

/// Recorded with releases and a filter, and read as a trace and as a report.
fn what_was_counted_is_recorded_and_summed_up(live: &Live) -> Result<()> {
    let space = space()?;
    let (mut server, mut holder, mut client) =
        (space.actor("server")?, space.actor("holder")?, space.actor("client")?);
    server.serve(address("127.0.0.1", 7001)?, Manner::Keep)?;
    bind_all(&mut holder, "127.0.0.1", BOUND)?;
    let file = live.scratch().file("counted.arrow");
    let netns = space.id().to_string();
    let args = ["--backend", live.backend().word(), "-N", &netns, "--releases", "--count-collisions"];
    let recorder = Tracer::record(live.scratch(), &file, &args)?;
    let connects = client.take(Task::connect(address("127.0.0.1", 7001)?).until_failed(2, 100))?;
    client.take(Task::new(Way::Bind).from(address("127.0.0.1", 0)?).times(3))?;
    // The other ends close first: no port is left in TIME_WAIT here.
    server.order(&Order::Retire)?;
    client.order(&Order::Close)?;
    let given = client.must_take(Task::new(Way::Bind).from(address("127.0.0.1", 0)?).times(6))?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0) && said.contains("inside of searches"), "{status:?}: {said}");
    let read = |args: &[&str]| {
        let path = file.to_str().context("a path that is no text")?;
        let ended = portscope(live.scratch(), &[args, &["-r", path]].concat())?;
        ensure!(ended.status == Some(0), "{args:?}: {:?}: {}", ended.status, ended.stderr);
        Ok(ended.stdout)
    };
    let capture = Capture::parse(&read(&["trace", "-o", "json", "--releases"])?, String::new())?;
    let events = at(&capture, &client, "connect");
    ensure!(connects.failed_with("EADDRNOTAVAIL") == 2 && connects.given() == 32, "{connects:?}");
    connects_met(&events)?;
    let binds = at(&capture, &client, "bind");
    ensure!(binds.len() == 9, "{} binds", binds.len());
    binds[..3].iter().try_for_each(|event| met(event, [EFFECTIVE, 0, 0]))?;
    let releases = capture.of(client.pid()).into_iter().filter(|event| event.kind() == "release");
    ensure!(releases.filter(|event| event.number("local_port").is_some()).count() == 32, "releases");
    let calls = capture.footer.number("inner_calls").context("no inner_calls")?;
    let sum = |failed: bool, kind: usize| {
        let events = events.iter().chain(&binds);
        let of = events.filter(|event| (event.text("result") == Some("failed")) == failed);
        of.filter_map(|event| kinds(event)[kind]).sum::<u64>()
    };
    let [bound, tuples] = [0, 1].map(|kind| sum(false, kind) + sum(true, kind));
    // Each collision with a 4-tuple or of a bind was a call; those with a bound port on the way of a connect were none.
    ensure!(calls >= tuples && tuples > 0 && bound > 0, "{calls} calls, {bound} bound, {tuples} 4-tuples");
    let report: serde_json::Value = serde_json::from_str(&read(&["report", "-o", "json"])?)?;
    let told = &report["collisions"];
    let expected = serde_json::json!({"bucket": sum(false, 0), "tuple": sum(false, 1)});
    ensure!(told["by_kind"] == expected, "{told}, not {expected}");
    let failed = serde_json::json!({"bucket": sum(true, 0), "tuple": sum(true, 1)});
    ensure!(told["counted"]["failed_by_kind"] == failed, "{told}, not {failed}");
    ensure!(told["counted"]["searches"] == connects.given() + given.given(), "{told}");
    ensure!(told["counted"]["failed"] == 5 && told["counted"]["bucket_unknown"] == 0, "{told}");
    ensure!(report["accounting"]["inner_calls"] == calls, "{}", report["accounting"]);
    let text = read(&["report"])?;
    ensure!(text.contains("\ncollisions ") && text.contains("inside of searches looked at"), "{text}");
    Ok(())
}

/// A half of 500 ports fills from nothing to 400, towards one destination.
fn what_was_to_be_expected_is_told_beside_what_was_met(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40999")?;
    let (mut server, mut client) = (space.actor("server")?, space.actor("client")?);
    server.serve(address("127.0.0.1", 7001)?, Manner::Keep)?;
    let netns = space.id().to_string();
    let args = ["--backend", live.backend().word(), "-N", &netns];
    let reporter = Tracer::start_command(live.scratch(), "report", &args)?;
    client.must_take(Task::connect(address("127.0.0.1", 7001)?).times(400))?;
    // Until the pools have been looked at after that.
    std::thread::sleep(Duration::from_secs(4));
    let report = reporter.stop_with_document()?;
    let told = &report["collisions"];
    if !live.backend().sees_searches() {
        ensure!(told["compared"].is_null() && told["expected_per_allocation"].is_null(), "{told}");
        return Ok(());
    }
    let compared = &told["compared"];
    ensure!(compared["searches"] == 400, "{told}");
    ensure!(compared["observed_per_allocation"] == told["observed_per_allocation"], "{told}");
    let expected = told["expected_per_allocation"].as_f64().context("nothing expected")?;
    let truth = (0..400).map(|taken| f64::from(taken) / f64::from(501 - taken)).sum::<f64>() / 400.0;
    ensure!((expected - truth).abs() < 0.05 * truth, "{expected} expected, not {truth}");
    Ok(())
}

#[test]
fn a_search_is_walked_back_around_its_half() {
    assert_eq!(looked_at(40_002, 3).unwrap(), [40_000, 40_038]);
    assert_eq!(looked_at(40_001, 22).unwrap()[19..], [40_038, 40_039]);
    assert!(looked_at(40_001, 3).is_err());
    assert!(looked_at(40_000, 21).is_err());
}
