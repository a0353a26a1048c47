//! What the flow tells of each pool, against values worked out by hand.

use std::num::NonZeroU32;

use tracer_ebpf::abi::Record;

use super::{
    records::connect,
    sample::{START, Scene, addr, connections},
    text,
};
use crate::{
    findings::{Prospect, prospects},
    stats::{self, Forecast, Stats},
    stock::{PoolKey, Socket, Sockets, State},
};

fn given(ms: u64, port: u16, search_ns: u32) -> Record {
    Record { range_low: 40_000, range_high: 40_999, search_ns, ..connect(ms, port) }
}

/// 1,000 ports of which none was out at the start; no release is recorded. `per_s` connects a second for 30 s, and
/// these sockets at the end.
fn watched(per_s: u64, now: Vec<Socket>) -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.stats = Stats::new(stats::Settings::new(START));
    let all = (0..30 * per_s).map(|place| (place, u16::try_from(place % 1_000).unwrap()));
    scene.feed(all.map(|(place, port)| given(place * 1_000 / per_s, 40_000 + port, 3_000)));
    scene.earlier(0);
    scene.space().sockets = Some(Sockets::default());
    scene.put(now);
    scene
}

/// The one pool for connect.
fn only(scene: &Scene) -> Prospect {
    let all = scene.with(prospects);
    let mut connect = all.iter().filter(|one| matches!(one.key, PoolKey::Connect { .. }));
    let found = *connect.next().unwrap();
    assert!(connect.next().is_none(), "{all:#?}");
    found
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-6 * other
}

#[test]
fn churn_that_fits_levels_off_and_tells_what_the_pool_sustains() {
    // 10/s, each closed after a millisecond: 300 TIME_WAITs, the oldest with 30 s to go and the latest with 59.9 s.
    let mut waiting = connections(State::TimeWait, 40_000, 300, 1);
    for (left_ms, socket) in (30_001..).step_by(100).zip(&mut waiting) {
        socket.time_left_ms = NonZeroU32::new(left_ms);
    }
    let found = only(&watched(10, waiting));
    let hold = found.hold.unwrap();
    assert!(near(hold.hold_s, 60.001) && near(hold.life_s, 0.001), "{hold:?}");
    assert_eq!((hold.closes, hold.time_wait_share), (300, 1.0));
    assert!(near(hold.sustainable_per_s(1_000).unwrap(), 1_000.0 / 60.001));
    assert!(near(hold.cliff_per_s(1_000).unwrap(), 1_000.0 / 120.002));
    // 10/s for 60.001 s each are 600.01 of 1,000, where a straight line would be full in 70 s.
    let Some((Forecast::LevelsOff { utilisation }, "two stocks")) = found.forecast else {
        panic!("{:?}", found.forecast);
    };
    assert!(near(utilisation, 0.600_01), "{utilisation}");
}

#[test]
fn a_destination_that_two_addresses_go_to_has_one_hold() {
    let mut waiting = connections(State::TimeWait, 40_000, 300, 1);
    for (left_ms, socket) in (30_001..).step_by(100).zip(&mut waiting) {
        socket.time_left_ms = NonZeroU32::new(left_ms);
    }
    for socket in waiting.iter_mut().step_by(3) {
        socket.local_addr = addr("10.0.3.15");
    }
    let all = watched(10, waiting).with(prospects);
    let connect: Vec<&Prospect> =
        all.iter().filter(|one| matches!(one.key, PoolKey::Connect { .. })).collect();
    assert_eq!(connect.len(), 2, "{all:#?}");
    for found in connect {
        let hold = found.hold.unwrap();
        assert!(near(hold.hold_s, 60.001) && hold.closes == 300, "{hold:?}");
        // Whose connects they were is not known.
        assert!(found.forecast.is_none() && found.stayed.is_none() && found.crossed.is_none(), "{found:?}");
    }
}

#[test]
fn a_leak_has_no_hold_and_is_full_when_its_rate_says() {
    let leak = |out| only(&watched(20, connections(State::Established, 40_000, out, 1)));
    let found = leak(600);
    assert_eq!(found.hold, None);
    let Some((Forecast::In { estimate_s, low_s, high_s }, "two stocks")) = found.forecast else {
        panic!("{:?}", found.forecast);
    };
    // 400 ports at 20/s.
    assert!(near(estimate_s, 20.0) && low_s <= estimate_s && estimate_s <= high_s, "{low_s} {high_s}");
    // The stock knows of some more than the flow, which had ended by then; not of half again as many.
    let more = leak(605);
    assert!(matches!(more.forecast, Some((Forecast::In { estimate_s, .. }, _)) if near(estimate_s, 19.75)));
    assert_eq!(leak(900).forecast, None);
}

#[test]
fn connections_that_the_other_end_closes_are_held_as_long_as_they_live() {
    // 20/s of which 100 are open at the end, none at the start: 500 closes, 50 open on average.
    let found = only(&watched(20, connections(State::Established, 40_000, 100, 1)));
    let hold = found.hold.unwrap();
    assert_eq!((hold.closes, hold.time_wait_share), (500, 0.0));
    assert!(near(hold.hold_s, 50.0 * 30.0 / 500.0), "{hold:?}");
}

#[test]
fn searches_before_and_after_the_cliff_are_told_apart() {
    let mut scene = watched(0, Vec::new());
    scene.put(connections(State::Established, 40_000, 500, 2));
    scene.feed((0..100).map(|place| given(place * 10, 40_000, 3_000)));
    scene.feed((0..1_000).map(|place| given(1_000 + place * 10, 40_001, 900_000)));
    let found = only(&scene);
    let (stayed, crossed) = (found.stayed.unwrap(), found.crossed.unwrap());
    assert_eq!((stayed.searches, stayed.mean_ns), (100, Some(3_000.0)));
    assert_eq!((crossed.searches, crossed.mean_ns), (1_000, Some(900_000.0)));
    // The upper ends of their buckets: 16 and 4,096 wide.
    assert_eq!((stayed.times.p50, stayed.times.p99), (Some(3_007), None));
    assert_eq!((crossed.times.p50, crossed.times.p99), (Some(901_119), Some(901_119)));
    let line = "search       3 us for the 100 that stayed in the first half, 901 us for the 1,000 that crossed (median)";
    let finding = scene.only(2);
    assert!(text(&finding).contains(line), "{}", text(&finding));
    assert_eq!(finding.evidence["search"]["crossed"]["p50_ns"], 901_119);
}
