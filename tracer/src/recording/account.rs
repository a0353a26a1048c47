//! Accounts of parts of a recording, put together.

use std::collections::BTreeMap;

use super::{Account, LostCount};
use crate::output::records::{Diagnostics, SelfCost};

impl Account {
    /// What came between an earlier account of the same recorder and this one.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            at: self.at,
            filtered: self.filtered.saturating_sub(earlier.filtered),
            lost: self.lost.saturating_sub(earlier.lost),
            missed: minus(self.missed, earlier.missed),
            inner_calls: minus(self.inner_calls, earlier.inner_calls),
            inner_missed: minus(self.inner_missed, earlier.inner_missed),
            diagnostics: each(&self.diagnostics, &earlier.diagnostics, u64::saturating_sub),
            cost: SelfCost { cpu_s: (self.cost.cpu_s - earlier.cost.cpu_s).max(0.0), ..self.cost.clone() },
            lost_by: joined(&self.lost_by, &earlier.lost_by, u64::saturating_sub),
        }
    }

    /// This beside what came before it, of the same recorder or of another one.
    pub(super) fn beside(&self, before: &Self) -> Self {
        Self {
            at: self.at,
            filtered: self.filtered.saturating_add(before.filtered),
            lost: self.lost.saturating_add(before.lost),
            missed: self.missed.map(|missed| missed.saturating_add(before.missed.unwrap_or(0))),
            inner_calls: plus(self.inner_calls, before.inner_calls),
            inner_missed: plus(self.inner_missed, before.inner_missed),
            diagnostics: each(&self.diagnostics, &before.diagnostics, u64::saturating_add),
            cost: SelfCost {
                cpu_s: self.cost.cpu_s + before.cost.cpu_s,
                rss_bytes: self.cost.rss_bytes.max(before.cost.rss_bytes),
                kernel_ns_per_event: self.cost.kernel_ns_per_event,
            },
            lost_by: joined(&self.lost_by, &before.lost_by, u64::saturating_add),
        }
    }

    /// Lost events by kind, protocol and result.
    pub(super) fn cells(&self) -> BTreeMap<u32, u64> {
        let mut cells = BTreeMap::new();
        for LostCount { cell, count, .. } in &self.lost_by {
            let sum: &mut u64 = cells.entry(*cell).or_default();
            *sum = sum.saturating_add(*count);
        }
        cells
    }
}

/// What came since; none where it is not counted now.
fn minus(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    now.map(|now| now.saturating_sub(before.unwrap_or(0)))
}

/// Both; none where neither is counted.
fn plus(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).reduce(u64::saturating_add)
}

fn each(one: &Diagnostics, other: &Diagnostics, join: fn(u64, u64) -> u64) -> Diagnostics {
    Diagnostics {
        no_entry: join(one.no_entry, other.no_entry),
        spilled: join(one.spilled, other.spilled),
        spill_full: join(one.spill_full, other.spill_full),
        read_failed: join(one.read_failed, other.read_failed),
        live_full: join(one.live_full, other.live_full),
        tally_full: join(one.tally_full, other.tally_full),
        decode_errors: join(one.decode_errors, other.decode_errors),
    }
}

/// Those of both, by process and cell; what is of no event is left out.
fn joined(one: &[LostCount], other: &[LostCount], join: fn(u64, u64) -> u64) -> Vec<LostCount> {
    let mut all: BTreeMap<(u32, u32), LostCount> = BTreeMap::new();
    for lost in one {
        all.insert((lost.pid, lost.cell), *lost);
    }
    for lost in other {
        let known = all.entry((lost.pid, lost.cell)).or_insert(LostCount { count: 0, ..*lost });
        known.count = join(known.count, lost.count);
    }
    all.into_values().filter(|lost| lost.count != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MonoNs;

    fn account(at: u64, filtered: u64, lost: &[(u32, u64)]) -> Account {
        let lost_by: Vec<LostCount> = lost
            .iter()
            .map(|(pid, count)| LostCount { pid: *pid, comm: [0; 16], cell: 9, count: *count })
            .collect();
        let lost = lost_by.iter().map(|one| one.count).sum();
        Account { at: MonoNs(at), filtered, lost, missed: Some(filtered), lost_by, ..Account::default() }
    }

    #[test]
    fn what_came_between_and_what_came_before_are_the_whole() {
        let (early, late) = (account(1, 5, &[(7, 3)]), account(2, 9, &[(7, 3), (8, 2)]));
        let between = late.since(&early);
        assert_eq!(between, account(2, 4, &[(8, 2)]));
        assert_eq!(between.beside(&early), late);
        assert_eq!(late.cells(), BTreeMap::from([(9, 5)]));
    }

    #[test]
    fn another_recorder_begins_anew() {
        let (one, other) = (account(1, 5, &[(7, 3)]), account(2, 1, &[(7, 1), (9, 1)]));
        assert_eq!(other.beside(&one), account(2, 6, &[(7, 4), (9, 1)]));
    }
}
