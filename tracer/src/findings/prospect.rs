//! What will become of each pool, and what its searches cost.

use super::{
    Case, Flow,
    forecast::{in_flight, outlook},
    seen::{Seen, members, pools, row_of, row_to, searched, toward, waiting, window_ns},
};
use crate::{
    event::NetnsId,
    stats::{Destination, Ends, Forecast, Hold, Row, Searched, TIME_WAIT_NS},
    stock::{PoolKey, ReuseRule, State},
};

/// TIME_WAITs from this share of the closes on are all of them: some may be gone since.
const ALL: f64 = 0.95;

/// What the flow tells of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Prospect {
    /// Its namespace.
    pub netns: NetnsId,
    /// Which.
    pub key: PoolKey,
    /// How long ports are out to its destination, from whichever local address; none where no close was seen.
    pub hold: Option<Hold>,
    /// What will become of it, and what that rests on; none where nothing can be told.
    pub forecast: Option<(Forecast, &'static str)>,
    /// Searches that found a port in the half that is searched first; none where they cannot be told from those of
    /// other pools.
    pub stayed: Option<Searched>,
    /// Searches that found a port in the other half; none where the search has no halves.
    pub crossed: Option<Searched>,
}

/// That of every pool of the case; nothing where nothing was traced.
#[must_use]
pub fn prospects(case: &Case<'_>) -> Vec<Prospect> {
    let Some(flow) = case.flow else { return Vec::new() };
    let rows = flow.stats.destinations();
    pools(case).map(|seen| prospect(case, flow, &rows, &seen)).collect()
}

fn prospect(case: &Case<'_>, flow: &Flow<'_>, rows: &[Destination<'_>], seen: &Seen<'_>) -> Prospect {
    let row = row_of(case, rows, seen);
    let side = |crossed| searched(case, flow, rows, seen, crossed);
    Prospect {
        netns: seen.netns,
        key: seen.pool.key,
        hold: row_to(rows, seen).and_then(|row| hold(case, flow, seen, row)),
        forecast: row.and_then(|row| outlook(case, flow, seen, row)),
        stayed: side(false),
        crossed: side(true).filter(|_| seen.pool.halves.is_some()),
    }
}

/// How long the ports of a pool are out, which is a matter of its destination, whichever the local address: `row` is that
/// of the destination. From releases where they are recorded, else from the stock at both ends.
pub(super) fn hold(case: &Case<'_>, flow: &Flow<'_>, seen: &Seen<'_>, row: &Row) -> Option<Hold> {
    let closing = waiting(case, flow, seen);
    if flow.stats.settings().releases {
        return row.holds().hold(flow.at, closing);
    }
    let wait_s = wait_s(case, seen)?;
    let ends = Ends {
        given: row.allocations().checked_sub(row.failures())?,
        open_before: open(case.before?.space(seen.netns).map(|space| toward(space, seen.pool))?),
        open_after: open(case.stock.space(seen.netns).map(|space| toward(space, seen.pool))?),
        waiting: closing.count,
        wait_s,
        window_ns: window_ns(flow),
    };
    // Fewer closes than allocations in flight are none.
    let rough = ends.hold().filter(|hold| hold.closes > in_flight(ends.given, ends.window_ns))?;
    // Where each close left a TIME_WAIT, its timer tells to the moment when that was.
    let exact = row.holds().hold(flow.at, closing).filter(|_| rough.time_wait_share >= ALL);
    let exact = exact.filter(|_| ends.window_ns < TIME_WAIT_NS);
    Some(exact.map_or(rough, |exact| Hold { hold_s: exact.life_s + exact.time_wait_share * wait_s, ..exact }))
}

fn open<'a>(sockets: impl Iterator<Item = &'a crate::stock::Socket>) -> u64 {
    let open = sockets.filter(|socket| socket.state != State::TimeWait).count();
    u64::try_from(open).unwrap_or(u64::MAX)
}

/// How long a TIME_WAIT bars a port of a pool, in seconds; none where the settings are not known.
fn wait_s(case: &Case<'_>, seen: &Seen<'_>) -> Option<f64> {
    let space = case.stock.space(seen.netns)?;
    let rule = ReuseRule::of(space.settings.as_ref()?);
    let reused = seen.pool.reusable_time_wait? != 0
        && members(space, seen.pool).any(|one| rule.judge(one) == crate::stock::Blocking::Reusable);
    Some(if reused { rule.delay_s() } else { super::wording::real(TIME_WAIT_NS) / 1e9 })
}
