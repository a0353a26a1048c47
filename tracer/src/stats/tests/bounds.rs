//! More keys than rows: the top rows within their bound.

use std::collections::HashMap;

use proptest::prelude::*;
use tracer_ebpf::abi::Record;

use super::sample::{connect, fed, feed_as, release, settings};
use crate::{
    enrich::Process,
    stats::{By, Settings, Stats},
};

const ROWS: u64 = 16;

fn small() -> Settings {
    Settings { rows: 16, ..settings() }
}

/// Process numbers of which a few come often: number n about as often as 1 ÷ n.
fn pids() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec((1_u32..400, 1_u32..8).prop_map(|(pid, often)| pid / often + 1), 1..600)
}

fn records(pids: &[u32]) -> Vec<Record> {
    pids.iter().zip(0..).map(|(pid, ms)| connect(ms, *pid, (*pid % 251) as u8, 40_000)).collect()
}

fn holds_the_bound(stats: &Stats, pids: &[u32]) -> Result<(), TestCaseError> {
    let mut truth: HashMap<u32, u64> = HashMap::new();
    for pid in pids {
        *truth.entry(*pid).or_default() += 1;
    }
    let (rows, floor) = (stats.process_rows(), stats.processes_bound(By::Pid));
    let most = pids.len() as u64 / ROWS;
    prop_assert!(rows as u64 <= ROWS && floor <= most, "{rows} rows, {floor} of {most}");
    let groups = stats.processes(By::Pid);
    for (process, group) in groups.iter().filter_map(|group| Some((group.process?, group))) {
        let truth = truth.remove(&process.pid.0).unwrap_or(0);
        let seen = group.row.allocations();
        prop_assert!(seen <= truth && truth <= seen + group.missed_at_most, "{seen} {truth}");
        prop_assert!(group.missed_at_most <= floor);
    }
    // Whoever has no row had no more than the floor.
    prop_assert!(truth.values().all(|count| *count <= floor), "{truth:?} {floor}");
    prop_assert_eq!(stats.totals().allocations(), pids.len() as u64);
    // What made room for others is still in a row of its program.
    let programs = stats.processes(By::Program);
    for rows in [groups, programs] {
        prop_assert_eq!(rows.iter().map(|group| group.row.allocations()).sum::<u64>(), pids.len() as u64);
    }
    prop_assert_eq!(stats.processes_bound(By::Program), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_full_table_keeps_its_bound(pids in pids()) {
        holds_the_bound(&fed(small(), &records(&pids)), &pids)?;
    }

    #[test]
    fn merged_tables_keep_the_bound_of_the_whole(pids in pids(), cut in 0_usize..=100, more in pids()) {
        let (one, other) = pids.split_at(pids.len() * cut / 100);
        let mut stats = fed(small(), &records(one));
        stats.merge(fed(small(), &records(other)));
        holds_the_bound(&stats, &pids)?;
        // And what is counted after a merge.
        super::sample::feed(&mut stats, &records(&more));
        holds_the_bound(&stats, &[pids, more].concat())?;
    }
}

/// Processes that connect once each, 40 a second.
fn short_lived(processes: u32) -> Vec<Record> {
    (0..processes).map(|number| connect(u64::from(number) * 25, number + 1, 1, 40_000)).collect()
}

#[test]
fn a_program_of_short_lived_processes_keeps_its_sums_its_peak_and_its_releases() {
    let records = short_lived(400);
    let mut stats = Stats::new(small());
    let curl = |_: &Record| Process::new(Some("curl"), None, None);
    feed_as(&mut stats, &records, curl);
    feed_as(&mut stats, &[release(20_000, 19_000, 7, &records[3])], curl);
    let rows = stats.processes(By::Program);
    assert_eq!((rows.len(), rows[0].processes, rows[0].process), (1, 400, None));
    assert_eq!((rows[0].row.allocations(), rows[0].row.churn_peak()), (400, 40));
    assert_eq!(rows[0].row.holds(), stats.holds());
}

#[test]
fn names_beyond_a_thousand_are_summed_under_none_and_told() {
    let mut stats = Stats::new(small());
    let called = |record: &Record| Process::new(Some(&format!("job-{}", record.pid)), None, None);
    feed_as(&mut stats, &short_lived(1_100), called);
    let rows = stats.processes(By::Program);
    let unnamed =
        rows.iter().find(|group| group.identity.comm.is_none()).map(|group| group.row.allocations());
    // 16 have a row, and 1,024 names a sum.
    assert_eq!((unnamed, stats.processes_bound(By::Program)), (Some(60), 60));
    assert_eq!(rows.iter().map(|group| group.row.allocations()).sum::<u64>(), 1_100);
}

#[test]
fn the_busiest_keep_their_detail_and_the_others_know_few_ports() {
    let busy = |pid: u32| (0..200).map(move |step: u16| connect(u64::from(step), pid, 1, 32_768 + 2 * step));
    let records: Vec<Record> = (1..=100).map(|pid| connect(0, pid, 1, 40_000)).collect();
    let mut stats = fed(settings(), &records);
    // One by one: in a run they would be counted together, and come to their histogram earlier.
    for record in (101..=103).flat_map(busy) {
        super::sample::feed(&mut stats, &[record]);
    }
    let rows = stats.processes(By::Pid);
    for group in &rows[..3] {
        assert_eq!((group.row.allocations(), group.row.distinct_ports()), (200, Some(200)));
    }
    assert_eq!(
        rows.iter().filter(|group| group.row.net_per_second(super::sample::START, 1).is_some()).count(),
        64
    );
    assert!(rows[3..].iter().all(|group| group.row.distinct_ports() == Some(1)));
    // Part of the searches must not pass for all: these came to their histogram after the 32nd.
    assert!(rows[0].row.quantiles().is_none());
}
