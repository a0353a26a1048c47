//! Who asked, for whom, and from which pools.

use super::parts::{Cell, Section, Table, columns, shown};
use crate::output::{
    records::{DestinationRecord, PoolRecord, ProcessRecord, Report, RowRecord},
    report::{destination_name, duration_ns, grouped, per_second, process_name, share},
    screen::pool_name,
};

/// Pools that are shown.
const MOST_POOLS: usize = 50;

pub(super) fn section(report: &Report) -> Section {
    let all = [
        (processes(report), "No process asked for a port."),
        (destinations(report), "No destination was named."),
        (pools(report), "No pool holds a port at the end."),
    ];
    let (tables, empty): (Vec<_>, Vec<_>) = all.into_iter().partition(|(table, _)| !table.rows.is_empty());
    let tables = tables.into_iter().map(|(table, _)| table).collect();
    Section {
        id: "who",
        title: "Processes, destinations, pools",
        sentences: empty.iter().map(|(_, told)| (*told).to_owned()).collect(),
        tables,
        ..Section::default()
    }
}

const COUNTS: [&str; 7] = ["Allocated", "Refused", "Rate", "Peak/s", "Search p50", "p99", "Ports"];

fn processes(report: &Report) -> Table {
    let rows = report.processes.iter().map(|one| counts(process(one), &one.row)).collect();
    Table {
        id: "processes",
        caption: "Processes, the busiest first".to_owned(),
        sorts: true,
        columns: columns(&["Process"], &COUNTS),
        rows,
        foot: other(report, report.processes.iter().map(|one| &one.row)),
        note: bound("process", report.rows_bound.process_at_most),
    }
}

fn process(process: &ProcessRecord) -> Cell {
    Cell { text: process_name(process), ..Cell::default() }.below(process.exe.as_deref().map(shown))
}

fn destinations(report: &Report) -> Table {
    let name = |one: &DestinationRecord| Cell::name(&destination_name(one)).below(space(report, one.netns));
    Table {
        id: "destinations",
        caption: "Destinations, the busiest first".to_owned(),
        sorts: true,
        columns: columns(&["Destination"], &COUNTS),
        rows: report.destinations.iter().map(|one| counts(name(one), &one.row)).collect(),
        foot: other(report, report.destinations.iter().map(|one| &one.row)),
        note: bound("destination", report.rows_bound.destination_at_most),
    }
}

fn bound(what: &str, most: u64) -> Option<String> {
    let told = format!("A {what} without a row had at most {} events.", grouped(most));
    (most != 0).then_some(told)
}

fn counts(name: Cell, row: &RowRecord) -> Vec<Cell> {
    let time = |ns: Option<u64>| {
        let text = ns.map_or_else(unknown, duration_ns);
        Cell { sort: ns.map(|ns| ns.to_string()), ..Cell::number(text) }
    };
    vec![
        name,
        Cell::number(grouped(row.allocations)),
        Cell::number(grouped(row.failures)),
        Cell::measure(per_second(row.churn_mean), row.churn_mean),
        Cell::number(grouped(row.churn_peak)),
        time(row.search_ns.p50),
        time(row.search_ns.p99),
        Cell::number(row.distinct_ports.map_or_else(unknown, grouped)),
    ]
}

/// What the rows leave out of the whole.
fn other<'a>(report: &Report, rows: impl Iterator<Item = &'a RowRecord>) -> Vec<Cell> {
    let all = &report.totals.counted;
    let (mut allocations, mut failures) = (all.allocations, all.failures);
    for row in rows {
        allocations = allocations.saturating_sub(row.allocations);
        failures = failures.saturating_sub(row.failures);
    }
    if allocations == 0 && failures == 0 {
        return Vec::new();
    }
    let mut cells =
        vec![Cell::name("other"), Cell::number(grouped(allocations)), Cell::number(grouped(failures))];
    cells.resize(COUNTS.len() + 1, Cell::default());
    cells
}

fn pools(report: &Report) -> Table {
    let mut held: Vec<&PoolRecord> =
        report.pools.iter().filter(|pool| pool.barred != 0 || pool.peak_barred != 0).collect();
    let fill = |pool: &PoolRecord| pool.utilisation.unwrap_or(0.0);
    // Those that are gone come last in the report: the one that refused ports must not be cut off.
    held.sort_by(|one, other| fill(other).total_cmp(&fill(one)));
    let rows = held.iter().take(MOST_POOLS).map(|pool| pool_row(report, pool)).collect();
    let any_gone = held.iter().take(MOST_POOLS).any(|pool| pool.held_after_s.is_some());
    Table {
        id: "pools",
        caption: if any_gone {
            "Pools at the end, or at their fullest where they are gone; the fullest first".to_owned()
        } else {
            "Pools at the end, the fullest first".to_owned()
        },
        sorts: true,
        columns: columns(
            &["Pool"],
            &["Held", "Of", "Share", "Most held", "TIME_WAIT", "Refused", "Sustains", "Full in"],
        ),
        rows,
        foot: Vec::new(),
        note: match held.len().saturating_sub(MOST_POOLS) {
            0 => None,
            more => {
                Some(format!("{} more pools, none of them fuller (-o json has them).", grouped(more as u64)))
            }
        },
    }
}

fn pool_row(report: &Report, pool: &PoolRecord) -> Vec<Cell> {
    let name = match pool.remote_addr {
        Some(_) => pool_name(pool, usize::MAX),
        None => format!("{} bind, {}", pool.proto, pool.local_addr),
    };
    let waiting: u32 = pool.held.get("TIME_WAIT").copied().unwrap_or(0);
    let forecast = pool.exhausted_in_s.as_ref();
    let full_in = forecast.and_then(|one| one.estimate);
    vec![
        Cell::name(&name).below(below(report, pool)),
        Cell::number(grouped(pool.barred)),
        Cell::number(grouped(pool.effective)),
        Cell::measure(share(pool.utilisation), pool.utilisation),
        Cell::number(grouped(pool.peak_barred.max(pool.barred))),
        Cell::number(grouped(waiting)),
        Cell::number(pool.failures.map_or_else(unknown, grouped)),
        Cell::measure(per_second(pool.sustainable_per_s), pool.sustainable_per_s),
        Cell::measure(full_in.map_or_else(unknown, |seconds| format!("{seconds:.0} s")), full_in),
    ]
}

/// The namespace of a pool, and whether it is as it is told.
fn below(report: &Report, pool: &PoolRecord) -> Option<String> {
    let gone = pool
        .held_after_s
        .map(|seconds| format!("gone by the end: told as it was {seconds:.1} s after the start"));
    let told: Vec<String> = space(report, Some(pool.netns)).into_iter().chain(gone).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// What to call a namespace.
fn space(report: &Report, netns: Option<u32>) -> Option<String> {
    let netns = netns?;
    let known = report.header.netns.iter().find(|space| space.id == netns);
    let name = known.and_then(|space| space.name.as_deref());
    Some(name.map_or_else(|| format!("net:[{netns}]"), |name| format!("netns {}", shown(name))))
}

fn unknown() -> String {
    "-".to_owned()
}
