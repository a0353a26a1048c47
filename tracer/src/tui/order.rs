//! The order of pools.

use std::cmp::{Ordering, Reverse};

use super::{Filter, View, view::PoolId};
use crate::output::records::PoolRecord;

/// By what pools are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The share that is held.
    #[default]
    Share,
    /// Ports held.
    Held,
    /// Refusals.
    Refused,
    /// Ports in TIME_WAIT.
    TimeWait,
    /// When it will be full, the soonest first.
    FullIn,
    /// What it is called.
    Name,
}

impl Order {
    /// All of them, in the order in which keys go through them.
    pub const ALL: [Self; 6] =
        [Self::Share, Self::Held, Self::Refused, Self::TimeWait, Self::FullIn, Self::Name];

    /// The title of the column that it goes by.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Share => "FULL",
            Self::Held => "HELD",
            Self::Refused => "REFUSED",
            Self::TimeWait => "TIME_W",
            Self::FullIn => "FULL IN",
            Self::Name => "POOL",
        }
    }

    /// The next one, or the one before.
    #[must_use]
    pub fn step(self, forward: bool) -> Self {
        let at = Self::ALL.iter().position(|one| *one == self).unwrap_or(0);
        let by = if forward { 1 } else { Self::ALL.len() - 1 };
        Self::ALL.get((at + by) % Self::ALL.len()).copied().unwrap_or(self)
    }

    /// The greatest, or the worst, first; in the end by what they are called, so that rows keep their places.
    fn compare(self, one: &PoolRecord, other: &PoolRecord) -> Ordering {
        let share = |pool: &PoolRecord| pool.utilisation.unwrap_or(0.0);
        let soon = |pool: &PoolRecord| {
            pool.exhausted_in_s.as_ref().and_then(|forecast| forecast.estimate).unwrap_or(f64::INFINITY)
        };
        let first = match self {
            Self::Share => share(other).total_cmp(&share(one)),
            Self::Held => other.barred.cmp(&one.barred),
            Self::Refused => other.failures.cmp(&one.failures),
            Self::TimeWait => time_wait(other).cmp(&time_wait(one)),
            Self::FullIn => soon(one).total_cmp(&soon(other)),
            Self::Name => Ordering::Equal,
        };
        // Of equal ones that which refuses comes first, then one for connect: a bind pool is barred by all that connect.
        let rank = |pool: &PoolRecord| (Reverse(pool.failures), pool.remote_addr.is_none());
        let next = if self == Self::Name { Ordering::Equal } else { rank(one).cmp(&rank(other)) };
        first.then(next).then_with(|| PoolId::of(one).cmp(&PoolId::of(other)))
    }
}

/// Ports of a pool in TIME_WAIT.
pub(super) fn time_wait(pool: &PoolRecord) -> u32 {
    pool.held.get("TIME_WAIT").copied().unwrap_or(0)
}

/// The pools of a view that pass a filter and hold something, in order.
pub(super) fn pools<'a>(
    view: &'a View,
    filter: &Filter,
    order: Order,
    reversed: bool,
) -> Vec<&'a PoolRecord> {
    let all = view.report.as_ref().map_or(&[][..], |report| &report.pools[..]);
    let is_shown = |pool: &&PoolRecord| {
        (pool.barred != 0 || pool.failures.is_some_and(|failures| failures != 0))
            && filter.pool(pool, &view.seen.netns(pool.netns))
    };
    let mut shown: Vec<&PoolRecord> = all.iter().filter(is_shown).collect();
    shown.sort_by(|one, other| order.compare(one, other));
    if reversed {
        shown.reverse();
    }
    shown
}
