//! The accounts of a trace: seen = emitted + filtered + lost, to the event.

use std::collections::BTreeMap;

use super::frame::self_cost;
use crate::{
    event::{Cause, Errno, Kind, Outcome, Protocol, ReleaseState, Site},
    kernel::counts::{CELLS, Cell, Counts, ResultClass},
    output::records::{Accounting, SelfCost, Totals},
};

/// Number of each kind of event, protocol and result.
pub(super) type Cells = [u64; CELLS];

/// What was counted on both sides of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Events that the kernel half saw.
    pub seen: u64,
    /// Events that were shown.
    pub emitted: u64,
    /// Events that a filter kept out, on either side.
    pub filtered: u64,
    /// Events of which only the count remains.
    pub lost: u64,
    /// Passed by the kernel half, and neither lost nor read: not 0 only if something is wrong.
    pub astray: u64,
    /// At most so many choices were missed; none where the kernel does not tell.
    pub missed: Option<u64>,
    /// Time that the programs ran in the kernel, nanoseconds; none where it was not measured.
    pub kernel_ns: Option<u64>,
    /// Calls inside of searches that were looked at to count collisions; none where none are counted.
    pub inner_calls: Option<u64>,
    /// Calls of the same that the kernel skipped; none where none are counted, or it does not tell.
    pub inner_missed: Option<u64>,
    /// Counts of the events shown and lost.
    pub totals: Totals,
}

/// What became of the records that were read.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// Shown.
    pub(super) emitted: u64,
    /// Kept out by a filter of userspace.
    pub(super) filtered: u64,
    /// Of the filtered, those of processes that were gone before it could be told whose they were.
    pub(super) untold: u64,
    /// Lost events of processes that are left out: they are filtered, not lost.
    pub(super) lost_of_others: u64,
    /// Not to be decoded: their detail is lost.
    pub(super) undecodable: u64,
    /// Read behind the limit: as if they had not happened.
    pub(super) surplus: u64,
    /// Cells of the filtered and the surplus, to be taken off the totals.
    pub(super) left_out: Box<Cells>,
}

impl Default for Read {
    fn default() -> Self {
        Self {
            emitted: 0,
            filtered: 0,
            untold: 0,
            lost_of_others: 0,
            undecodable: 0,
            surplus: 0,
            left_out: Box::new([0; CELLS]),
        }
    }
}

impl Accounts {
    /// Closes the accounts. With `count_only` nothing goes through the ring, and what is counted is what
    /// is shown.
    #[must_use]
    pub(super) fn close(counts: &Counts, read: &Read, count_only: bool, misses: bool) -> Self {
        let raw = counts.raw();
        let passed = counts.passed();
        let emitted = if count_only { passed } else { read.emitted };
        let of_others = read.lost_of_others.min(raw.lost);
        let lost = raw.lost - of_others + read.undecodable;
        let filtered = raw.filtered + read.filtered + of_others;
        let accounted = emitted + raw.lost + read.undecodable + read.filtered + read.surplus;
        Self {
            seen: (passed + raw.filtered).saturating_sub(read.surplus),
            emitted,
            filtered,
            lost,
            astray: if count_only { 0 } else { passed.saturating_sub(accounted) },
            missed: missed(counts, misses),
            kernel_ns: counts.kernel_ns(),
            inner_calls: counts.inner_calls(),
            inner_missed: counts.inner_missed(),
            totals: totals(counts.cells().map(|cell| minus(cell, &read.left_out))),
        }
    }
}

/// How many choices can have been missed at most. `misses`: exits may not come on this backend.
fn missed(counts: &Counts, misses: bool) -> Option<u64> {
    let unended = misses.then(|| counts.unended());
    [unended, counts.skipped()].into_iter().flatten().reduce(|one, other| one + other)
}

impl Accounts {
    /// The part that a report tells.
    #[must_use]
    pub fn accounting(&self) -> Accounting {
        let &Self { seen, emitted, filtered, lost, missed, kernel_ns, inner_calls, inner_missed, .. } = self;
        Accounting { seen, emitted, filtered, lost, missed, kernel_ns, inner_calls, inner_missed }
    }

    /// What it cost to gather them, until now.
    #[must_use]
    pub fn cost(&self) -> SelfCost {
        with_kernel(self_cost(), &self.accounting())
    }
}

/// What came to accounts since others were drawn up. Events that are still in the ring belong to the next.
#[must_use]
pub(super) fn since(now: &Accounting, before: &Accounting) -> Accounting {
    let [emitted, filtered, lost] =
        [(now.emitted, before.emitted), (now.filtered, before.filtered), (now.lost, before.lost)]
            .map(|(now, before)| now.saturating_sub(before));
    let [missed, inner_calls, inner_missed, kernel_ns] = [
        (now.missed, before.missed),
        (now.inner_calls, before.inner_calls),
        (now.inner_missed, before.inner_missed),
        (now.kernel_ns, before.kernel_ns),
    ]
    .map(|(now, before)| now.map(|now| now.saturating_sub(before.unwrap_or(0))));
    let seen = emitted + filtered + lost;
    Accounting { seen, emitted, filtered, lost, missed, kernel_ns, inner_calls, inner_missed }
}

/// The cost with the part of the kernel, where these events tell it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a mean of times that have less than 52 bits")]
pub(super) fn with_kernel(cost: SelfCost, accounting: &Accounting) -> SelfCost {
    match accounting.kernel_ns {
        Some(ns) if accounting.seen > 0 => {
            SelfCost { kernel_ns_per_event: Some(ns as f64 / accounting.seen as f64), ..cost }
        }
        _ => cost,
    }
}

fn minus(cell: Cell, left_out: &Cells) -> Cell {
    let off = left_out.get(cell.index()).copied().unwrap_or(0);
    Cell { count: cell.count.saturating_sub(off), ..cell }
}

/// Totals of allocations and of failures of any kind; releases are neither.
pub(super) fn totals(cells: impl Iterator<Item = Cell>) -> Totals {
    let mut totals = Totals::default();
    let add = |map: &mut BTreeMap<String, u64>, key: &str, count: u64| {
        *map.entry(key.to_owned()).or_default() += count;
    };
    for cell in cells.filter(|cell| cell.count != 0) {
        let (kind, result) = (kind(cell.kind), outcome(cell.result));
        let Some(site) = kind.site() else { continue };
        if matches!(kind, Kind::Allocation(_)) {
            totals.allocations += cell.count;
            add(&mut totals.by_site, site.name(), cell.count);
            add(&mut totals.by_proto, protocol(cell.protocol).name(), cell.count);
        }
        if let Outcome::Failed { errno } = result {
            if matches!(kind, Kind::Allocation(_)) {
                totals.failures += cell.count;
            }
            add(&mut totals.by_error, errno.and_then(Errno::name).unwrap_or("unknown"), cell.count);
            if let Some(cause) = Cause::of(kind, result) {
                add(&mut totals.by_cause, cause.name(), cell.count);
            }
        }
    }
    totals
}

/// The kind of a cell.
#[must_use]
pub(super) fn kind(number: u8) -> Kind {
    let site = Site::ALL.get(usize::from(number & 3)).copied().unwrap_or(Site::Connect);
    match number {
        0..4 => Kind::Allocation(site),
        4..7 => Kind::Explicit(site),
        _ => Kind::Release(ReleaseState::Closed),
    }
}

/// The result of a cell.
#[must_use]
pub(super) fn outcome(result: ResultClass) -> Outcome {
    let errno = match result {
        ResultClass::Ok => return Outcome::Ok,
        ResultClass::AddrNotAvail => Some(Errno::EADDRNOTAVAIL),
        ResultClass::AddrInUse => Some(Errno::EADDRINUSE),
        ResultClass::Again => Some(Errno::EAGAIN),
        ResultClass::NoMem => Some(Errno::ENOMEM),
        ResultClass::Access => Some(Errno::EACCES),
        ResultClass::Other | ResultClass::Unknown => None,
    };
    Outcome::Failed { errno }
}

/// The protocol of a cell.
#[must_use]
pub(super) fn protocol(class: crate::kernel::counts::Protocol) -> Protocol {
    use crate::kernel::counts::Protocol as Class;
    match class {
        Class::Tcp => Protocol::Tcp,
        Class::Udp => Protocol::Udp,
        Class::UdpLite => Protocol::UdpLite,
        Class::Icmp => Protocol::Icmp,
        Class::Sctp => Protocol::Sctp,
        Class::Dccp => Protocol::Dccp,
        Class::Other => Protocol::Unknown(0),
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{CounterBlock, Protocol as Class, cell, kind};

    use super::*;

    fn counts() -> Counts {
        let mut block = CounterBlock::ZERO;
        block.events[cell(kind::CONNECT, Class::Tcp, ResultClass::Ok)] = 10;
        block.events[cell(kind::CONNECT, Class::Tcp, ResultClass::AddrNotAvail)] = 3;
        block.events[cell(kind::FIXED_BIND, Class::Tcp, ResultClass::AddrInUse)] = 2;
        block.events[cell(kind::RELEASE, Class::Tcp, ResultClass::Ok)] = 5;
        block.filtered = 7;
        block.lost = 4;
        Counts::sum([block])
    }

    #[test]
    fn the_accounts_close() {
        let read = Read { emitted: 13, filtered: 1, surplus: 2, ..Read::default() };
        let accounts = Accounts::close(&counts(), &read, false, false);
        assert_eq!(accounts.astray, 0);
        assert_eq!(accounts.seen, accounts.emitted + accounts.filtered + accounts.lost);
        assert_eq!((accounts.seen, accounts.lost, accounts.filtered), (25, 4, 8));
    }

    #[test]
    fn what_others_lost_is_filtered() {
        let read = Read { emitted: 10, filtered: 6, lost_of_others: 3, ..Read::default() };
        let accounts = Accounts::close(&counts(), &read, false, false);
        assert_eq!((accounts.lost, accounts.filtered, accounts.astray), (1, 16, 0));
        assert_eq!(accounts.seen, accounts.emitted + accounts.filtered + accounts.lost);
    }

    #[test]
    fn parts_of_accounts_close_and_add_up() {
        let read = Read { emitted: 11, ..Read::default() };
        let half = Accounts::close(&counts(), &read, false, true).accounting();
        let read = Read { emitted: 13, filtered: 3, ..Read::default() };
        let all = Accounts::close(&counts(), &read, false, true).accounting();
        let (first, second) = (since(&half, &Accounting::default()), since(&all, &half));
        for part in [&first, &second] {
            assert_eq!(part.seen, part.emitted + part.filtered + part.lost);
        }
        assert_eq!((second.emitted, second.filtered, second.lost), (2, 3, 0));
        assert_eq!(first.seen + second.seen, all.seen);
    }

    #[test]
    fn what_went_astray_is_told() {
        let read = Read { emitted: 10, ..Read::default() };
        assert_eq!(Accounts::close(&counts(), &read, false, false).astray, 6);
    }

    #[test]
    fn totals_keep_allocations_and_checks_apart() {
        let totals = totals(counts().cells());
        assert_eq!((totals.allocations, totals.failures), (13, 3));
        assert_eq!(totals.by_error["EADDRINUSE"], 2);
        assert_eq!(totals.by_cause["exhausted"], 3);
        assert_eq!(totals.by_cause["in_use"], 2);
        assert_eq!(totals.by_site["connect"], 13);
    }

    #[test]
    fn what_a_filter_of_userspace_kept_out_is_taken_off() {
        let mut read = Read::default();
        read.left_out[cell(kind::CONNECT, Class::Tcp, ResultClass::Ok)] = 4;
        let accounts = Accounts::close(&counts(), &read, false, true);
        assert_eq!(accounts.totals.allocations, 9);
        assert_eq!(accounts.missed, Some(0));
    }
}
