//! A stream that is cut into parts as it comes, which are merged in their order, gives the numbers of the whole, also
//! those that hang on the order of events.

use proptest::prelude::*;
use tracer_ebpf::abi::Record;

use super::{
    merging::{difference, digest, stream},
    sample::{NETNS, at, bind, connect, fed, feed, release, settings},
};
use crate::{
    event::{MonoNs, NetnsId, Protocol},
    stats::{MOST_SCOPES, Settings, Stats},
};

fn netns() -> NetnsId {
    NetnsId::new(NETNS).unwrap()
}

/// The parts that end after each of these records, made small and merged, and a copy of the last one.
fn cut(settings: Settings, records: &[Record], ends: &[usize]) -> Stats {
    let mut stats = Stats::new(settings);
    let (mut parts, mut begin) = (Vec::new(), 0);
    for end in ends {
        feed(&mut stats, &records[begin..*end]);
        parts.push(stats.end_part(MonoNs(records[end - 1].mono_ns)));
        begin = *end;
    }
    feed(&mut stats, &records[begin..]);
    parts.push(stats.copy());
    parts
        .into_iter()
        .reduce(|mut sum, part| {
            sum.merge(part);
            sum
        })
        .unwrap()
}

/// All that hangs on the order of events.
fn order(stats: &Stats) -> Vec<String> {
    let owner = |port, pid: u8| stats.owner(netns(), Protocol::Tcp, port, ([10, 0, 1, pid].into(), 443));
    let owners: Vec<_> = (32_768..33_200).flat_map(|port| (0..9).map(move |to| (port, to))).collect();
    let owners: Vec<_> = owners.into_iter().filter_map(|(port, to)| owner(port, to)).collect();
    let names: Vec<_> = owners.iter().map(|key| stats.identity(*key)).collect();
    let held: Vec<_> = stats
        .processes(crate::stats::By::Pid)
        .iter()
        .map(|group| (group.process, group.bound_held))
        .collect();
    vec![
        format!("{:?}", stats.reuse(MonoNs(u64::MAX))),
        format!("{:?} {:?}", stats.bound_connects(), stats.bound_ports(netns()).collect::<Vec<_>>()),
        format!("{owners:?} {names:?}"),
        format!("{held:?}"),
        format!("{:?}", stats.settings().start),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_of_one_stream_give_the_whole_in_every_number(
        (records, ends) in stream(250).prop_flat_map(|records| {
            let ends = proptest::collection::btree_set(1..=records.len(), 0..5);
            (Just(records), ends)
        })
    ) {
        let whole = fed(settings(), &records);
        let ends: Vec<usize> = ends.into_iter().collect();
        let parts = cut(settings(), &records, &ends);
        prop_assert_eq!(difference(&digest(&parts, false), &digest(&whole, false)), []);
        prop_assert_eq!(difference(&order(&parts), &order(&whole)), []);
    }
}

#[test]
fn what_was_bound_in_one_part_and_closed_in_the_next_is_free() {
    let (one, other) = (bind(0, 5, 40_001), bind(1, 5, 40_003));
    let records = [one, other, release(9_000, 9_000, 7, &one), connect(9_500, 6, 1, 40_005)];
    let parts = cut(settings(), &records, &[2]);
    assert_eq!(parts.bound_ports(netns()).collect::<Vec<_>>(), [40_003]);
}

#[test]
fn without_releases_a_bound_port_that_a_connect_is_given_was_freed() {
    let settings = Settings { releases: false, ..settings() };
    let records = [
        bind(0, 5, 40_001),
        bind(1, 5, 40_003),
        // A part ends here, and after the connect.
        connect(40_000, 6, 1, 40_001),
        connect(80_000, 6, 1, 40_005),
    ];
    let parts = cut(settings, &records, &[2, 3]);
    assert_eq!(parts.bound_ports(netns()).collect::<Vec<_>>(), [40_003]);
}

#[test]
fn reuse_is_known_of_parts_that_are_shorter_than_its_times() {
    let one = connect(0, 5, 1, 40_000);
    let freed = release(80_000, 80_000, 7, &one);
    let again = connect(90_000, 5, 1, 40_000);
    let parts = cut(settings(), &[one, freed, again], &[1, 2]);
    assert_eq!(parts.reuse(MonoNs(at(90_000))).within_60s, Some(1.0));
    // In the last part alone, too.
    let mut stats = Stats::new(settings());
    feed(&mut stats, &[one, freed]);
    drop(stats.end_part(MonoNs(at(85_000))));
    feed(&mut stats, &[again]);
    let report = stats.copy().reuse(MonoNs(at(90_000)));
    assert_eq!((report.within_60s, report.distance_min), (Some(1.0), Some(1)));
}

#[test]
fn a_part_whose_process_is_gone_leaves_its_name_with_the_port() {
    let records = [connect(0, 5, 1, 40_000), connect(40_000, 6, 1, 40_002), connect(80_000, 6, 1, 40_004)];
    let parts = cut(settings(), &records, &[1, 2]);
    let owner = |port| parts.owner(netns(), Protocol::Tcp, port, ([10, 0, 1, 1].into(), 443)).unwrap();
    assert_eq!(owner(40_000).pid.0, 5);
    assert!(parts.identity(owner(40_000)).is_some());
}

#[test]
fn namespaces_that_are_idle_make_room() {
    let mut stats = Stats::new(settings());
    let of = |netns: u32, second: u64| Record { netns, ..connect(second * 1_000, 5, 1, 40_000) };
    for part in 0..6_u32 {
        let first = 100 * (part + 1);
        let all = (0..8).map(|number| of(first + number, u64::from(part) * 30));
        feed(&mut stats, &all.collect::<Vec<_>>());
        let ended = stats.end_part(MonoNs(at(u64::from(part) * 30_000 + 1_000)));
        assert_eq!((ended.scopes_left_out(), ended.totals().allocations()), (0, 8));
        assert!(stats.scopes().count() <= MOST_SCOPES);
    }
}

#[test]
fn a_part_with_nothing_in_it_changes_nothing() {
    let records = [connect(0, 5, 1, 40_000), connect(90_000, 5, 1, 0)];
    let parts = cut(settings(), &records, &[1, 1]);
    assert_eq!((parts.totals().allocations(), parts.totals().failures()), (2, 1));
}
