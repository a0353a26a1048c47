//! Programs and destinations of both reports.

use std::{cmp::Reverse, collections::BTreeMap, path::Path};

use super::told::Both;
use crate::output::records::{
    Change, DestinationRecord, MOST_SHOWN, Measure, ProcessRecord, Report, RowChange, RowRecord, Word,
};

/// Allocations and failures of everything of one name.
type Sums = BTreeMap<String, (u64, u64)>;

/// Programs, by name and unit: process and container numbers are others every time.
pub(super) fn programs(both: Both<'_>) -> Vec<RowChange> {
    let sums = [both.a, both.b].map(|report| {
        let rows = report.processes.iter().map(|process| (program(process), &process.row));
        (summed(rows), is_whole(report.processes.len(), report.rows_bound.process_at_most))
    });
    changes(both, sums)
}

/// Destinations, by protocol and address.
pub(super) fn destinations(both: Both<'_>) -> Vec<RowChange> {
    let sums = [both.a, both.b].map(|report: &Report| {
        let rows = report.destinations.iter().map(|one| (destination(one), &one.row));
        (summed(rows), is_whole(report.destinations.len(), report.rows_bound.destination_at_most))
    });
    changes(both, sums)
}

/// Whether a row that is not there has no events: the table was neither cut nor full.
fn is_whole(rows: usize, at_most: u64) -> bool {
    rows < MOST_SHOWN && at_most == 0
}

fn summed<'a>(rows: impl Iterator<Item = (String, &'a RowRecord)>) -> Sums {
    let mut sums = Sums::new();
    for (name, row) in rows {
        let (allocations, failures) = sums.entry(name).or_default();
        *allocations = allocations.saturating_add(row.allocations);
        *failures = failures.saturating_add(row.failures);
    }
    sums
}

fn program(process: &ProcessRecord) -> String {
    let file = process.exe.as_deref().and_then(|exe| Path::new(exe).file_name()?.to_str());
    let name = process.comm.as_deref().or(file).unwrap_or("?");
    match &process.unit {
        Some(unit) => format!("{name} ({unit})"),
        None => name.to_owned(),
    }
}

fn destination(one: &DestinationRecord) -> String {
    let place = match (one.remote_addr, one.remote_port) {
        (addr, Some(port)) => std::net::SocketAddr::new(addr, port).to_string(),
        (addr, None) => addr.to_string(),
    };
    format!("{} {place}", one.proto)
}

fn changes(both: Both<'_>, [(a, a_is_whole), (b, b_is_whole)]: [(Sums, bool); 2]) -> Vec<RowChange> {
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut all: Vec<RowChange> = names
        .into_iter()
        .map(|name| {
            let sides = [a.get(name).copied(), b.get(name).copied()];
            let of = |which: fn((u64, u64)) -> u64| {
                let [a, b] = sides.map(|side| side.map(which));
                [a.or(a_is_whole.then_some(0)), b.or(b_is_whole.then_some(0))]
            };
            RowChange {
                name: name.clone(),
                change: change(sides[0].is_some(), sides[1].is_some()),
                allocations: both.rates("allocations", of(|(allocations, _)| allocations), both.bunching()),
                failures: both.rates("failures", of(|(_, failures)| failures), both.bunching_of_failures()),
            }
        })
        .collect();
    let most = |one: &RowChange| one.allocations.count_a.max(one.allocations.count_b);
    all.sort_by_key(|one| (first(&one.failures), first(&one.allocations), Reverse(most(one))));
    all
}

/// What became of something that is in A, in B, or in both.
pub(super) const fn change(in_a: bool, in_b: bool) -> Change {
    match (in_a, in_b) {
        (false, _) => Change::New,
        (_, false) => Change::Gone,
        _ => Change::Still,
    }
}

/// What is told first: more before fewer before what is not sure.
pub(super) const fn first(measure: &Measure) -> u8 {
    match measure.word {
        Word::More | Word::Appeared => 0,
        Word::Fewer | Word::Gone => 1,
        Word::Unsure | Word::NotComparable => 2,
        Word::NoneShown => 3,
    }
}
