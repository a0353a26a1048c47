//! Parts of a stream, merged in any order, give the numbers of the whole.

use proptest::prelude::*;
use tracer_ebpf::abi::{Record, kind};

use super::sample::{bind, check, connect, event, fed, release, settings};
use crate::{
    event::{Errno, Kind, MonoNs, NetnsId, Outcome, Pid, Protocol, Site},
    stats::{By, DestinationKey, Lost, Row, Settings, Stats},
};

/// A stream in order of time: connects that succeed and fail, binds, failed checks, releases.
pub(super) fn stream(most: usize) -> impl Strategy<Value = Vec<Record>> {
    let one = (0_u64..400, 1_u32..12, 0_u8..9, 0_u16..300, 0_u8..10);
    proptest::collection::vec(one, 1..most).prop_map(|list| {
        let mut ms = 0;
        let make = |(later, pid, to, port, what)| {
            ms += later;
            let port = if port < 20 { 0 } else { 32_768 + port };
            match what {
                0 => bind(ms, pid, 32_768 + port % 64),
                1 => check(5, 98, &bind(ms, pid, 8_080)),
                2 => release(ms, 70_000, 6, &connect(ms, pid, to, 40_000)),
                3 => release(ms, 20, 7, &connect(ms, pid, to, 40_001)),
                _ => connect(ms, pid, to, port),
            }
        };
        list.into_iter().map(make).collect()
    })
}

fn row(row: &Row, peaks: bool) -> String {
    let now = MonoNs(2_000_000_000_000);
    format!(
        "{} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        row.allocations(),
        row.failures(),
        row.failed_checks(),
        row.lost(),
        row.by_errno(),
        row.distinct_ports(),
        row.search(),
        row.quantiles(),
        row.holds(),
        row.first(),
        row.last(),
        (peaks.then(|| row.churn_peak()), row.net_per_second(now, 5)),
    )
}

/// All that must not hang on how the stream was split; `peaks` of the rows only where no second was.
pub(super) fn digest(stats: &Stats, peaks: bool) -> Vec<String> {
    let mut all = vec![
        format!("{:?}", stats.totals()),
        format!("{:?} {:?} {:?}", stats.churn(), stats.freed(), stats.holds()),
        format!("{:?} {:?}", stats.search(), stats.search_by_site().collect::<Vec<_>>()),
        format!("{:?} {:?}", stats.processes_bound(By::Pid), stats.destinations_bound()),
    ];
    for by in [By::Pid, By::Program, By::Exe, By::Unit, By::Container, By::Pod] {
        let mut rows: Vec<String> = stats
            .processes(by)
            .iter()
            .map(|group| {
                // A group adds up the peaks of rows that share no second: that may hang on their order.
                let peaks = peaks && by == By::Pid;
                let name = (by == By::Pid).then(|| group.identity.clone());
                format!("{:?} {:?} {} {}", group.process, name, group.processes, row(&group.row, peaks))
            })
            .collect();
        rows.sort();
        all.extend(rows);
    }
    let mut rows: Vec<String> = stats
        .destinations()
        .iter()
        .map(|one| format!("{:?} {} {}", one.key, one.missed_at_most, row(one.row, peaks)))
        .collect();
    rows.sort();
    all.extend(rows);
    for scope in stats.scopes() {
        let uses: Vec<u32> = (32_768..33_200).map(|port| scope.uses(port)).collect();
        all.push(format!("{:?} {} {} {uses:?}", scope.protocol(), scope.given(), scope.out_of_range()));
    }
    all
}

/// The lines that differ.
pub(super) fn difference(one: &[String], other: &[String]) -> Vec<(String, String)> {
    let pairs = one.iter().cloned().zip(other.iter().cloned());
    let mut lines: Vec<_> = pairs.filter(|(one, other)| one != other).collect();
    if one.len() != other.len() {
        lines.push((one.len().to_string(), other.len().to_string()));
    }
    lines
}

fn merged(parts: &[Vec<Record>]) -> Stats {
    parts
        .iter()
        .map(|part| fed(settings(), part))
        .reduce(|mut sum, part| {
            sum.merge(part);
            sum
        })
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_split_merged_in_any_order_gives_the_whole(
        (records, places) in stream(200)
            .prop_flat_map(|records| {
                let places = proptest::collection::vec(0_usize..4, records.len());
                (Just(records), places)
            })
    ) {
        let mut parts = vec![Vec::new(); 4];
        for (record, place) in records.iter().zip(&places) {
            parts[*place].push(*record);
        }
        let whole = fed(settings(), &records);
        let sum = merged(&parts);
        prop_assert_eq!(difference(&digest(&sum, false), &digest(&whole, false)), []);
        // So do parts that were made small, and one of them tells what it told.
        let condensed = |stats: &Stats| {
            let mut stats = stats.clone();
            stats.condense(64);
            stats
        };
        prop_assert_eq!(difference(&digest(&condensed(&whole), true), &digest(&whole, true)), []);
        let mut resting = parts.iter().map(|part| condensed(&fed(settings(), part)));
        let mut sum = resting.next().unwrap();
        resting.for_each(|part| sum.merge(part));
        prop_assert_eq!(difference(&digest(&sum, false), &digest(&whole, false)), []);
        for (one, other) in sum.destinations().iter().zip(whole.destinations()) {
            prop_assert!(one.row.churn_peak() <= other.row.churn_peak() || one.key != other.key);
        }
    }

    #[test]
    fn what_is_added_up_in_runs_gives_the_numbers_of_single_events(
        records in stream(300), often in 1_usize..60, releases in any::<bool>()
    ) {
        // Sources that come again and again, from busy to rare.
        let later = |record: Record, step| Record { mono_ns: record.mono_ns + step as u64 * 3_000_000, ..record };
        let again = |record: &Record| {
            let record = *record;
            (0..often).map(move |step| later(record, step))
        };
        let mut records: Vec<Record> = records.iter().flat_map(again).collect();
        records.sort_by_key(|record| record.mono_ns);
        records.retain(|record| releases || record.kind != kind::RELEASE);
        let settings = Settings { releases, ..settings() };
        let (mut single, mut run) = (Stats::new(settings), fed(settings, &records));
        for record in &records {
            super::sample::feed(&mut single, &[*record]);
        }
        let netns = NetnsId::new(super::sample::NETNS).unwrap();
        let told = |stats: &Stats| {
            let mut all = digest(stats, true);
            all.push(format!("{:?} {:?}", stats.reuse(MonoNs(u64::MAX)), stats.refusals().0.len()));
            all.push(format!("{:?} {:?}", stats.bound_connects(), stats.bound_ports(netns).collect::<Vec<_>>()));
            all
        };
        let expected = told(&single);
        prop_assert_eq!(difference(&told(&run), &expected), []);
        run = Stats::new(settings);
        let short = super::sample::feed_shortly(&mut run, &records);
        prop_assert_eq!(difference(&told(&run), &expected), []);
        prop_assert!(short == 0 || !releases);
    }

    #[test]
    fn cut_at_whole_seconds_the_peaks_of_rows_are_exact_too(records in stream(200), cut in 0_u64..30) {
        let edge = (super::sample::at(0) / 1_000_000_000 + cut) * 1_000_000_000;
        let (early, late): (Vec<Record>, Vec<Record>) = records.iter().partition(|one| one.mono_ns < edge);
        let whole = digest(&fed(settings(), &records), true);
        let forwards = digest(&merged(&[early.clone(), late.clone()]), true);
        prop_assert_eq!(difference(&forwards, &whole), []);
        let backwards = digest(&merged(&[late, early]), true);
        prop_assert_eq!(difference(&backwards, &whole), []);
    }

    #[test]
    fn rows_add_up_to_the_totals(records in stream(300)) {
        let stats = fed(settings(), &records);
        for by in [By::Pid, By::Program, By::Unit] {
            let groups = stats.processes(by);
            let sum = |of: fn(&Row) -> u64| groups.iter().map(|group| of(&group.row)).sum::<u64>();
            prop_assert_eq!(sum(Row::allocations), stats.totals().allocations());
            prop_assert_eq!(sum(Row::failures), stats.totals().failures());
            prop_assert_eq!(sum(Row::failed_checks), stats.totals().failed_checks());
        }
        let sites: u64 = stats.totals().by_site().map(|(_, counts)| counts.allocations).sum();
        let protocols: u64 = stats.totals().by_protocol().map(|(_, counts)| counts.allocations).sum();
        prop_assert_eq!((sites, protocols), (stats.totals().allocations(), stats.totals().allocations()));
        let with_cause: u64 = stats.totals().by_cause().map(|(_, count)| count).sum();
        let by_errno: u64 = stats.totals().by_errno().iter().map(|(_, count)| count).sum();
        prop_assert_eq!(with_cause + stats.totals().cause_unknown(), by_errno);
    }
}

fn lost(pid: u32, count: u64, errno: Option<Errno>) -> Lost {
    Lost {
        pid: Some(Pid(pid)),
        comm: Some("late".to_owned()),
        kind: Kind::Allocation(Site::Connect),
        protocol: Protocol::Tcp,
        result: errno.map_or(Outcome::Ok, |errno| Outcome::Failed { errno: Some(errno) }),
        count,
    }
}

#[test]
fn lost_events_keep_their_count_in_totals_and_rows_and_nowhere_else() {
    let mut stats = fed(settings(), &[connect(0, 5, 1, 40_000), connect(1, 5, 1, 0)]);
    stats.absorb(&lost(5, 10, None));
    stats.absorb(&lost(5, 3, Some(Errno::EADDRNOTAVAIL)));
    stats.absorb(&lost(9, 2, None));
    let totals = stats.totals();
    assert_eq!((totals.allocations(), totals.failures(), totals.lost()), (17, 4, 15));
    assert_eq!(totals.by_errno().of(Some(Errno::EADDRNOTAVAIL)), 4);
    assert_eq!(totals.by_site().next().map(|(_, counts)| counts.allocations), Some(17));
    let rows = stats.processes(By::Pid);
    let seen: Vec<_> = rows
        .iter()
        .map(|group| (group.process.unwrap().pid.0, group.row.allocations(), group.row.failures()))
        .collect();
    assert_eq!(seen, [(5, 15, 4), (9, 2, 0)]);
    assert_eq!((rows[0].row.lost(), rows[0].row.search().found.searches), (13, 1));
    assert_eq!((rows[1].identity.comm.as_deref(), rows[1].row.first()), (Some("late"), None));
    assert_eq!(stats.destinations().first().map(|one| one.row.allocations()), Some(2));
}

#[test]
fn a_source_that_goes_on_takes_the_short_way_and_others_do_not() {
    let short = |records: &[Record]| {
        let mut stats = Stats::new(Settings { releases: false, ..settings() });
        super::sample::feed_shortly(&mut stats, records)
    };
    let one: Vec<Record> = (0..50_u16).map(|ms| connect(ms.into(), 5, 1, 40_000 + 2 * ms)).collect();
    // The fourth opens a run.
    assert_eq!(short(&one), 46);
    let renamed: Vec<Record> =
        one.iter().map(|one| Record { comm: [one.local_port.to_le_bytes()[0]; 16], ..*one }).collect();
    assert_eq!(short(&renamed), 0);
    let failed: Vec<Record> = one.iter().map(|one| Record { error: 99, local_port: 0, ..*one }).collect();
    assert_eq!(short(&failed), 0);
}

#[test]
fn a_reused_number_is_another_row() {
    let again = Record { start: 8, ..connect(5, 5, 1, 40_002) };
    let stats = fed(settings(), &[connect(0, 5, 1, 40_000), again]);
    let numbered: Vec<_> =
        stats.processes(By::Pid).iter().map(|group| group.process.unwrap().start).collect();
    assert_eq!((numbered.len(), numbered[0] == numbered[1]), (2, false));
    assert_eq!(stats.processes(By::Program)[0].processes, 2);
}

#[test]
fn failed_searches_are_in_no_mean() {
    let stats = fed(settings(), &[connect(0, 5, 1, 32_776), connect(1, 5, 1, 0)]);
    let (searched, _) = stats.search();
    assert_eq!((searched.found.searches, searched.found.sum_ns, searched.failed.searches), (1, 33_776, 1));
    assert_eq!((searched.candidates.total(), searched.collisions.total()), (Some(3), Some(2)));
    let cpus = searched.cpus(MonoNs(0), MonoNs(34_776)).unwrap();
    assert!((cpus - 1.0).abs() < 1e-9, "{cpus}");
}

#[test]
fn a_destination_is_told_by_namespace_protocol_address_and_port() {
    let six = Record {
        family: 6,
        protocol: 17,
        remote_addr: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        ..connect(0, 5, 1, 40_000)
    };
    let key = DestinationKey::of(&event(&six)).unwrap();
    assert_eq!((key.addr(), key.protocol()), ("2001:db8::9".parse().unwrap(), Protocol::Udp));
    assert_eq!((key.port().unwrap().get(), key.netns().unwrap().get()), (443, super::sample::NETNS));
    let four = DestinationKey::of(&event(&connect(0, 5, 1, 40_000))).unwrap();
    assert_eq!(four.addr(), "10.0.1.1".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(DestinationKey::of(&event(&bind(0, 5, 40_000))), None);
}
