//! What each site's search tells, as a table, and failures against a walk of all candidates.

use proptest::prelude::*;
use tracer_ebpf::abi::{Record, flags, kind, option, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::event::decode;

const SEEN: u16 = present::ERROR | present::RANGE | present::OPTIONS | present::SEARCH_START;

fn record(kind: u8, protocol: u8, port: u16) -> Record {
    Record {
        kind,
        protocol,
        family: 4,
        local_port: port,
        range_low: 32_768,
        range_high: 60_999,
        present: SEEN,
        flags: flags::CANDIDATES_EXACT,
        ..Record::default()
    }
}

fn search(record: &Record, rules: &SearchRules<'_>) -> Search {
    Search::of(&decode(record.as_bytes()).unwrap(), rules)
}

#[test]
fn a_connect_counts_candidates_and_leaves_out_the_reserved() {
    let reserved = Reserved::from_ports([32_770, 32_771, 32_774]);
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let found = search(&record(kind::CONNECT, 6, 32_776), &rules);
    let expected = Search {
        candidates: Some(5),
        candidates_exact: Some(true),
        collisions: Some(2),
        crossed_half: Some(false),
    };
    assert_eq!(found, expected);
    let overlapped = Record { flags: 0, ..record(kind::CONNECT, 6, 32_776) };
    assert_eq!(search(&overlapped, &rules), Search { candidates_exact: Some(false), ..expected });
    let unknown = search(&record(kind::CONNECT, 6, 32_776), &SearchRules::default());
    assert_eq!(unknown, Search { collisions: None, ..expected });
}

#[test]
fn parity_tells_who_crossed() {
    let table = [
        (kind::CONNECT, 6, 40_000, Some(false)),
        (kind::CONNECT, 6, 40_001, Some(true)),
        (kind::BIND, 6, 40_001, Some(false)),
        (kind::BIND, 6, 40_000, Some(true)),
        (kind::LISTEN, 6, 40_000, Some(true)),
        (kind::BIND, 17, 40_000, None),
        (kind::AUTOBIND, 17, 40_001, None),
        (kind::FIXED_CONNECT, 6, 40_001, None),
        (kind::CONNECT, 6, 100, None),
    ];
    for (kind, protocol, port, crossed) in table {
        let found = search(&record(kind, protocol, port), &SearchRules::default());
        assert_eq!(found.crossed_half, crossed, "{kind} {protocol} {port}");
    }
    let one = Record { range_high: 32_768, ..record(kind::BIND, 6, 32_768) };
    assert_eq!(search(&one, &SearchRules::default()).crossed_half, None);
}

#[test]
fn a_range_of_the_sockets_own_has_no_halves_where_every_port_is_taken_in_turn() {
    let own = Record { options: option::PORT_RANGE, search_start: 1, ..record(kind::CONNECT, 6, 32_773) };
    let new = SearchRules { range_takes_every_port: true, ..SearchRules::default() };
    let found = search(&own, &new);
    assert_eq!((found.candidates, found.crossed_half), (Some(5), None));
    let old = search(&own, &SearchRules::default());
    assert_eq!((old.candidates, old.crossed_half), (Some(14_119), Some(true)));
    let unseen = Record { present: SEEN & !present::OPTIONS, options: 0, ..own };
    assert_eq!(search(&unseen, &new), Search::default());
}

#[test]
fn a_random_step_width_hides_a_connects_search_but_not_a_binds() {
    let rules = SearchRules { step_width: true, ..SearchRules::default() };
    assert_eq!(search(&record(kind::CONNECT, 6, 40_001), &rules), Search::default());
    assert_eq!(search(&record(kind::BIND, 6, 40_000), &rules).crossed_half, Some(true));
}

#[test]
fn exhaustion_means_that_all_were_looked_at() {
    let reserved = Reserved::from_ports(32_768..32_868);
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let table = [
        (kind::CONNECT, 6, 99, Some(true)),
        (kind::BIND, 6, 98, Some(true)),
        (kind::LISTEN, 6, 98, Some(true)),
        (kind::BIND, 17, 98, None),
        (kind::AUTOBIND, 17, 11, None),
        (kind::BIND, 132, 98, None),
    ];
    for (kind, protocol, error, crossed_half) in table {
        let failed = Record { error, ..record(kind, protocol, 0) };
        let expected = Search {
            candidates: Some(28_232),
            candidates_exact: Some(true),
            collisions: Some(28_132),
            crossed_half,
        };
        assert_eq!(search(&failed, &rules), expected, "{kind} {protocol}");
    }
}

#[test]
fn a_failure_that_is_no_exhaustion_tells_nothing() {
    let no_memory = Record { error: 12, ..record(kind::CONNECT, 6, 0) };
    let unseen = Record { error: 255, ..record(kind::CONNECT, 6, 0) };
    let ping = Record { error: 98, ..record(kind::BIND, 1, 0) };
    for failed in [no_memory, unseen, ping] {
        assert_eq!(search(&failed, &SearchRules::default()), Search::default());
    }
}

/// The ports that `inet_csk_find_open_port` looks at, given the random number of each half.
fn kernel_bind(low: u32, high: u32, reuse: bool, random: [u32; 2]) -> Vec<u32> {
    let mut seen = Vec::new();
    let half = low + (((high + 1 - low) >> 2) << 1);
    let parts = if reuse && high + 1 - low >= 4 {
        vec![(low, half), (half, high + 1)]
    } else {
        vec![(low, high + 1)]
    };
    for ((low, high), random) in parts.into_iter().zip(random) {
        let remaining = if high - low > 1 { (high - low) & !1 } else { 1 };
        let mut offset = (random % remaining) | 1;
        loop {
            let mut port = low + offset;
            for _ in (0..remaining).step_by(2) {
                if port >= high {
                    port -= remaining;
                }
                seen.push(port);
                port += 2;
            }
            offset = offset.wrapping_sub(1);
            if offset & 1 == 1 {
                break;
            }
        }
    }
    seen.sort_unstable();
    seen.dedup();
    seen
}

proptest! {
    #[test]
    fn a_bind_that_fails_never_counts_wrong(
        low in 1_u16..60_000, ports in 1_u16..40, reuse in any::<bool>(), random in any::<[u32; 2]>(),
        holes in proptest::collection::vec(0_u16..40, 0..12),
    ) {
        let reserved = Reserved::from_ports(holes.into_iter().map(|hole| low + hole));
        let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
        let options = if reuse { option::REUSEADDR } else { 0 };
        let high = low + ports - 1;
        let failed = Record {
            error: 98, range_low: low, range_high: high, options, ..record(kind::BIND, 6, 0)
        };
        let found = search(&failed, &rules);
        let seen = kernel_bind(low.into(), high.into(), reuse, random);
        prop_assert_eq!(found.candidates, Some(u32::try_from(seen.len()).unwrap()));
        let free = seen.iter().filter(|port| !reserved.contains(u16::try_from(**port).unwrap())).count();
        if let Some(collisions) = found.collisions {
            prop_assert_eq!(collisions, u32::try_from(free).unwrap());
        } else {
            prop_assert!(ports & 1 == 1 && !reserved.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn the_short_way_of_a_plain_connect_tells_what_the_long_one_does(
        low in 1_u16..200, ports in 1_u16..60, port in 0_u16..300, start in any::<u32>(), exact in any::<bool>(),
        (rare, seen) in (0_u8..12, any::<u16>()),
    ) {
        let reserved = Reserved::from_ports((rare == 1).then_some(low));
        let rules = SearchRules {
            reserved: (rare != 2).then_some(&reserved),
            range_takes_every_port: rare >= 6,
            step_width: rare == 3,
        };
        let options = if rare == 4 || rare == 7 { option::PORT_RANGE } else { option::REUSEADDR };
        let record = Record {
            range_low: low,
            range_high: low + ports - 1,
            search_start: start,
            options,
            present: if rare == 5 { seen } else { SEEN },
            error: if rare == 8 { 99 } else { 0 },
            flags: if exact { flags::CANDIDATES_EXACT } else { 0 },
            ..record(if rare == 9 { kind::BIND } else { kind::CONNECT }, if rare == 10 { 33 } else { 6 }, port)
        };
        let event = decode(record.as_bytes()).unwrap();
        let told = Search::any(&event, &rules);
        prop_assert_eq!(Search::of(&event, &rules), told);
        let course = Course::of(&event, &rules).filter(|_| !event.failed());
        if let Some(found) = course.and_then(|course| course.search(start, port, exact)) {
            prop_assert_eq!(found, told);
        }
    }
}
