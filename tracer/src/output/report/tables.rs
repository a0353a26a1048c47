//! The tables of processes and destinations.

use super::{duration_ns, grouped, per_second, put};
use crate::output::{
    escape,
    records::{DestinationRecord, ProcessRecord, Report, RowRecord},
};

const NAME: usize = 44;

/// The busiest processes.
pub(super) fn processes(out: &mut String, report: &Report, rows: usize) {
    titles(out, "PROCESS");
    for process in report.processes.iter().take(rows) {
        row(out, &name(process), &process.row);
    }
    rest(out, report.processes.len(), rows);
}

/// The busiest destinations.
pub(super) fn destinations(out: &mut String, report: &Report, rows: usize) {
    if report.destinations.is_empty() {
        return;
    }
    titles(out, "DESTINATION");
    for destination in report.destinations.iter().take(rows) {
        row(out, &place(destination), &destination.row);
    }
    rest(out, report.destinations.len(), rows);
}

fn titles(out: &mut String, first: &str) {
    put(
        out,
        &format!(
            "{first:<NAME$} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8} {:>6}\n",
            "ALLOCATED", "REFUSED", "RATE", "PEAK", "P50", "P99", "PORTS"
        ),
    );
}

fn row(out: &mut String, name: &str, row: &RowRecord) {
    let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), duration_ns);
    let ports = row.distinct_ports.map_or_else(|| "-".to_owned(), grouped);
    put(
        out,
        &format!(
            "{:<NAME$} {:>10} {:>9} {:>9} {:>8} {:>8} {:>8} {ports:>6}\n",
            cut(name),
            grouped(row.allocations),
            grouped(row.failures),
            per_second(row.churn_mean),
            grouped(row.churn_peak),
            time(row.search_ns.p50),
            time(row.search_ns.p99),
        ),
    );
}

fn rest(out: &mut String, all: usize, shown: usize) {
    if all > shown {
        put(out, &format!("… {} more (-o json has them)\n", all - shown));
    }
}

/// Who it is: `curl x1,904 (cron.service)`, `postgres (pid 77)`.
pub(in crate::output) fn name(process: &ProcessRecord) -> String {
    let ProcessRecord { comm, exe, unit, container, pod, pid, processes, .. } = process;
    let inside = container.as_deref().or(pod.as_deref());
    who(comm.as_deref().or(exe.as_deref()), *processes, [inside, unit.as_deref()], *pid)
}

/// A process, or several of one container or unit, hostile names made harmless: what it is called, how many, where
/// (container or, of several in one pod, that; unit), and its number where it is one.
#[must_use]
pub fn who(name: Option<&str>, processes: u64, place: [Option<&str>; 2], pid: Option<u32>) -> String {
    let many = if processes > 1 { format!(" x{}", grouped(processes)) } else { String::new() };
    let place = match (place, pid) {
        ([Some(id), _], _) => format!(" ({})", id.get(..12).unwrap_or(id)),
        ([None, Some(unit)], _) => format!(" ({unit})"),
        ([None, None], Some(pid)) => format!(" (pid {pid})"),
        ([None, None], None) => String::new(),
    };
    escape(&format!("{}{many}{place}", name.unwrap_or("?"))).into_owned()
}

/// `tcp 10.0.9.2:6379`.
pub(in crate::output) fn place(destination: &DestinationRecord) -> String {
    let port = destination.remote_port.map(|port| format!(":{port}")).unwrap_or_default();
    let addr = if destination.remote_addr.is_ipv6() {
        format!("[{}]", destination.remote_addr)
    } else {
        destination.remote_addr.to_string()
    };
    format!("{} {addr}{port}", destination.proto)
}

/// What fits the first column.
fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let mut kept: String = name.chars().take(NAME - 1).collect();
    kept.push('…');
    kept
}
