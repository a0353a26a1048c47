//! What hangs on the order of events: distances, intervals, holds, bind before connect, first choices.

use std::collections::HashMap;

use proptest::prelude::*;
use tracer_ebpf::abi::{Record, flags, kind};

use super::sample::{NETNS, at, bind, check, connect, fed, no_port, release, settings};
use crate::{
    event::{MonoNs, NetnsId, PortRange, Reserved},
    stats::{By, Distribution, Settings, Stats, TimeWaits},
};

/// A naive model of reuse: every event is remembered.
#[derive(Default)]
struct Model {
    given: u32,
    last: HashMap<u16, u32>,
    closed: HashMap<u16, u64>,
    closed_tuple: HashMap<(u16, u8), u64>,
    distances: Vec<u32>,
    ports: [(u64, u64); 2],
    tuples: [(u64, u64); 2],
}

impl Model {
    fn take(&mut self, record: &Record) {
        let (port, to) = (record.local_port, record.remote_addr[3]);
        if record.kind == kind::RELEASE {
            let wait = if record.state == 6 { 60_000_000_000 } else { 0 };
            let closed = record.mono_ns - wait;
            let latest = self.closed.entry(port).or_default();
            *latest = closed.max(*latest);
            self.closed_tuple.insert((port, to), closed);
            return;
        }
        self.given += 1;
        self.distances.extend(self.last.insert(port, self.given).map(|last| self.given - last));
        let tuple = self.closed_tuple.remove(&(port, to));
        let count = |shares: &mut [(u64, u64); 2], closed: Option<u64>| {
            for ((later, within), limit) in shares.iter_mut().zip([60_000_000_000, 120_000_000_000]) {
                if record.mono_ns - at(0) > limit {
                    *later += 1;
                    *within += u64::from(closed.is_some_and(|closed| record.mono_ns - closed < limit));
                }
            }
        };
        count(&mut self.ports, self.closed.get(&port).copied());
        count(&mut self.tuples, tuple);
    }
}

fn share((later, within): (u64, u64)) -> Option<f64> {
    (later != 0).then(|| crate::stats::ratio::real(within) / crate::stats::ratio::real(later))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn distances_and_intervals_agree_with_a_naive_model(
        list in proptest::collection::vec((0_u64..3_000, 0_u16..6, 0_u8..3, 0_u8..6), 20..300)
    ) {
        let mut ms = 70_000;
        let mut model = Model::default();
        let mut records = Vec::new();
        for (later, port, to, what) in list {
            ms += later;
            let allocation = connect(ms, 5, to, 40_000 + port);
            let record = match what {
                0 => release(ms, 70_000, 6, &allocation),
                1 | 2 => release(ms, 10, 7, &allocation),
                _ => allocation,
            };
            model.take(&record);
            records.push(record);
        }
        let report = fed(settings(), &records).reuse(MonoNs(at(ms)));
        prop_assert_eq!(report.distance_min, model.distances.iter().copied().min());
        model.distances.sort_unstable();
        let median = (model.distances.len() >= 20).then(|| u64::from(model.distances[model.distances.len().div_ceil(2) - 1]));
        prop_assert_eq!(report.distance_p50, median);
        let within = [report.within_60s, report.same_tuple_within_60s];
        prop_assert_eq!(within, [share(model.ports[0]), share(model.tuples[0])]);
        if ms > 120_000 {
            prop_assert_eq!(report.within_120s, share(model.ports[1]));
            prop_assert_eq!(report.same_tuple_within_120s, share(model.tuples[1]));
        }
        prop_assert_eq!(report.forgotten, 0);
    }
}

#[test]
fn shares_are_null_while_the_window_is_not_longer_than_their_time() {
    let one = connect(0, 5, 1, 40_000);
    let again = connect(90_000, 5, 1, 40_000);
    let stats = fed(settings(), &[one, release(80_000, 80_000, 7, &one), again]);
    let report = stats.reuse(MonoNs(at(90_000)));
    assert_eq!((report.within_60s, report.within_120s), (Some(1.0), None));
    assert_eq!((report.distance_min, report.distance_p50), (Some(1), None));
    assert_eq!(stats.reuse(MonoNs(at(60_000))).within_60s, None);
    let blind = fed(Settings { releases: false, ..settings() }, &[one, again]);
    assert_eq!(blind.reuse(MonoNs(at(500_000))).within_60s, None);
}

#[test]
fn a_time_wait_that_was_taken_over_was_closed_less_than_a_minute_before() {
    let one = connect(70_000, 5, 1, 40_000);
    let freed = release(140_000, 70_000, 6, &one);
    let over = Record { flags: flags::TIME_WAIT_REUSED, ..connect(140_000, 5, 1, 40_000) };
    let at_end =
        |records: &[Record]| fed(settings(), records).reuse(MonoNs(at(141_000))).same_tuple_within_60s;
    assert_eq!(at_end(&[one, freed, over]), Some(0.5));
    assert_eq!(at_end(&[one, freed, Record { flags: 0, ..over }]), Some(0.0));
}

#[test]
fn a_hold_is_life_and_the_share_of_time_waits() {
    // Ten sockets of 2 s, half of them closed by us and a minute longer in TIME_WAIT; one is open for 100 s.
    let mut records = Vec::new();
    for port in 40_000..40_010 {
        let one = connect(0, 5, 1, port);
        let waits = port % 2 == 0;
        records.push(one);
        let held = if waits { 62_000 } else { 2_000 };
        records.push(release(held, held, if waits { 6 } else { 7 }, &one));
    }
    records.push(connect(0, 5, 1, 41_000));
    let stats = fed(settings(), &records);
    let hold = stats.holds().hold(MonoNs(at(100_000)), TimeWaits::default()).unwrap();
    assert!((hold.life_s - 12.0).abs() < 1e-9 && (hold.hold_s - 42.0).abs() < 1e-9, "{hold:?}");
    assert_eq!((hold.closes, hold.time_wait_share), (10, 0.5));
    assert!((hold.sustainable_per_s(28_232).unwrap() - 672.19).abs() < 0.01);
    assert!((hold.cliff_per_s(28_232).unwrap() - 336.10).abs() < 0.01);
    let group = &stats.processes(By::Pid)[0];
    assert_eq!((group.row.holds().time_waits(), group.row.holds()), (5, stats.holds()));
}

#[test]
fn connections_that_wait_now_are_closed_and_no_close_is_no_hold() {
    let records: Vec<Record> = (0..30).map(|second| connect(second * 1_000, 5, 1, 40_000)).collect();
    let stats = fed(settings(), &records);
    let now = MonoNs(at(30_000));
    assert_eq!(stats.holds().hold(now, TimeWaits::default()), None);
    // Each was closed at once: their ages are 1 to 30 s.
    let waiting = TimeWaits { count: 30, age_ns: (1..=30).sum::<u128>() * 1_000_000_000 };
    let hold = stats.holds().hold(now, waiting).unwrap();
    assert!(hold.life_s.abs() < 1e-9 && (hold.hold_s - 60.0).abs() < 1e-9, "{hold:?}");
}

#[test]
fn a_time_wait_cut_short_says_nothing_of_the_hold() {
    let (one, other) = (connect(0, 5, 1, 40_000), connect(0, 5, 1, 40_002));
    let records = [one, other, release(9_000, 9_000, 6, &one), release(4_000, 4_000, 7, &other)];
    let stats = fed(settings(), &records);
    let hold = stats.holds().hold(MonoNs(at(10_000)), TimeWaits::default()).unwrap();
    assert!((hold.life_s - 4.0).abs() < 1e-6, "{hold:?}");
    assert_eq!((stats.holds().cut_short(), hold.time_wait_share, hold.closes), (1, 0.0, 1));
}

#[test]
fn a_connect_from_the_port_of_a_bind_to_0_is_bind_before_connect() {
    let bound = |port| bind(0, 5, port);
    let then = |kind, port| check(kind, 0, &bound(port));
    let records = [
        bound(40_001),
        then(kind::FIXED_CONNECT, 40_001),
        bound(40_003),
        then(kind::FIXED_LISTEN, 40_003),
        then(kind::FIXED_CONNECT, 40_003),
        bound(40_005),
        no_port(then(kind::FIXED_CONNECT, 40_005)),
        // The same socket id, another port: the id was given again.
        bound(40_007),
        Record { local_port: 50_000, ..then(kind::FIXED_CONNECT, 40_007) },
        bound(40_009),
        then(kind::FIXED_CONNECT, 40_009),
        release(50, 50, 7, &bound(40_009)),
    ];
    let stats = fed(settings(), &records);
    let group = &stats.processes(By::Pid)[0];
    assert_eq!((stats.bound_connects(), group.bound_connects, group.bound_held), (Some(2), 2, 1));
    let netns = NetnsId::new(NETNS).unwrap();
    assert!(stats.is_bound(netns, 40_001) && !stats.is_bound(netns, 40_009) && !stats.is_bound(netns, 1));
    assert_eq!(fed(Settings { checks: false, ..settings() }, &records).bound_connects(), None);
}

fn distribution(stats: &Stats, reserved: &Reserved) -> Distribution {
    let range = PortRange::new(32_768, 60_999).unwrap();
    Distribution::of(stats.scopes().next().unwrap(), range, Some(reserved))
}

/// First choices of 20,000 epochs, spread by `port`.
fn epochs(port: impl Fn(u32) -> u16) -> Stats {
    let records: Vec<Record> =
        (0..20_000_u32).map(|epoch| connect(u64::from(epoch) * 10_000, 5, 1, port(epoch))).collect();
    fed(settings(), &records)
}

#[test]
fn buckets_cover_the_range_and_uniform_first_choices_pass() {
    let spread = |epoch: u32| u16::try_from((epoch.wrapping_mul(0x9e37_79b1) >> 8) % 14_116).unwrap();
    let even = distribution(&epochs(|epoch| 32_768 + 2 * spread(epoch)), &Reserved::default());
    assert_eq!((even.bucket_edges.len(), even.counts.len()), (65, 64));
    assert_eq!((even.bucket_edges[0], even.bucket_edges[64]), (32_768, 61_000));
    assert_eq!((even.counts.iter().sum::<u64>(), even.first_choices, even.out_of_range), (20_000, 20_000, 0));
    assert!(even.p_value.unwrap() > 0.001, "{even:?}");
    let crowded = distribution(&epochs(|epoch| 32_768 + 2 * (spread(epoch) % 9_000)), &Reserved::default());
    assert!(crowded.p_value.unwrap() < 1e-9);
}

#[test]
fn few_first_choices_and_a_live_stream_of_one_epoch_give_no_test() {
    let records: Vec<Record> = (0..5_000_u16).map(|ms| connect(ms.into(), 5, 1, 32_768 + 2 * ms)).collect();
    let stream = distribution(&fed(settings(), &records), &Reserved::default());
    assert_eq!((stream.first_choices, stream.chi2, stream.p_value), (1, None, None));
    assert_eq!(stream.counts.iter().sum::<u64>(), 5_000);
}

#[test]
fn ports_behind_a_hole_and_ports_far_above_the_median_are_hot() {
    let reserved = Reserved::from_ports(40_000..40_100);
    let mut records: Vec<Record> = (0..100).map(|step| connect(1, 5, 1, 50_000 + step)).collect();
    records.extend((0..30).map(|ms| connect(ms, 5, 1, 40_100)));
    records.extend((0..25).map(|ms| connect(ms, 5, 1, 50_002)));
    records.push(connect(5, 5, 1, 10_000));
    let found = distribution(&fed(settings(), &records), &reserved);
    let hot: Vec<_> = found.hot_ports.iter().map(|hot| (hot.port, hot.uses, hot.behind_hole)).collect();
    assert_eq!(hot, [(40_100, 30, Some(100)), (50_002, 26, None)]);
    assert_eq!((found.hot_ports[0].to_median, found.out_of_range), (Some(30.0), 1));
}
