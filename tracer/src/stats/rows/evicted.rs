//! Processes that made room for others in a full table, summed by what they were called.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    Identity, Row,
    processes::{Asker, ProcessEntry},
};

/// Different names that are kept; what was called otherwise is summed under none.
const MOST_NAMES: usize = 1_024;

/// What processes of one name did before they made room.
#[derive(Clone, Debug)]
pub(super) struct Sum {
    /// How often one of them made room: a process that comes back and goes again is two.
    pub(super) processes: u64,
    pub(super) row: Row,
    pub(super) asker: Asker,
}

/// With these sums every event is in a row of its program, however many processes there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Evicted {
    sums: FxHashMap<Arc<Identity>, Sum>,
    /// Events that are summed under no name because there were too many.
    unnamed: u64,
}

impl Evicted {
    /// Takes a row that made room.
    pub(super) fn take(&mut self, mut entry: ProcessEntry) {
        entry.row.withdraw_detail();
        self.add(&Sum { processes: 1, row: entry.row, asker: entry.extra });
    }

    /// What processes of this name did, if one of them made room.
    pub(super) fn find(&mut self, identity: &Identity) -> Option<&mut Sum> {
        self.sums.get_mut(identity)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.unnamed += other.unnamed;
        for sum in other.sums.values() {
            self.add(sum);
        }
    }

    fn add(&mut self, sum: &Sum) {
        let mut name = Arc::clone(&sum.asker.identity);
        if self.sums.len() >= MOST_NAMES && !self.sums.contains_key(&name) {
            self.unnamed += sum.row.allocations() + sum.row.failed_checks();
            name = Arc::default();
        }
        let same = self.sums.entry(Arc::clone(&name)).or_insert_with(|| Sum {
            processes: 0,
            row: Row::default(),
            asker: Asker::new(name),
        });
        same.processes += sum.processes;
        same.row.merge(&sum.row, false);
        same.asker.join(&sum.asker);
    }

    pub(super) fn sums(&self) -> impl Iterator<Item = &Sum> {
        self.sums.values()
    }

    /// Events of which not even the program is known.
    pub(super) const fn unnamed(&self) -> u64 {
        self.unnamed
    }
}
