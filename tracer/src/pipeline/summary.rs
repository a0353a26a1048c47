//! Counts by process, for a trace that shows no events.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    accounts::{kind, outcome, protocol},
    frame::site,
};
use crate::{
    event::{Comm, Errno, Outcome},
    kernel::counts::Tally,
    output::escape,
};

/// A table of how many events of each kind each process had, most first.
#[must_use]
pub fn per_process(tallies: &[Tally]) -> String {
    let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
    for tally in tallies {
        *sums.entry(tally.pid).or_default() += tally.cell.count;
    }
    let mut rows: Vec<&Tally> = tallies.iter().collect();
    rows.sort_by_key(|tally| {
        let sum = sums.get(&tally.pid).copied().unwrap_or(0);
        (std::cmp::Reverse(sum), tally.pid, std::cmp::Reverse(tally.cell.count))
    });
    let mut text = String::from("   PID COMM             SITE     PROTO   RET                 COUNT\n");
    for tally in rows {
        let comm = Comm(tally.comm);
        let ret = match outcome(tally.cell.result) {
            Outcome::Ok => "ok",
            Outcome::Failed { errno } => errno.and_then(Errno::name).unwrap_or("?"),
        };
        let written = writeln!(
            text,
            "{:>6} {:<16} {:<8} {:<7} {:<15} {:>9}",
            tally.pid,
            escape(&comm.lossy()),
            site(kind(tally.cell.kind)),
            protocol(tally.cell.protocol).name(),
            ret,
            tally.cell.count,
        );
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}
