//! PS003 and PS010: a pool that will be full, and one whose demand comes near to its ports.

use serde_json::json;

use super::{
    Case, Finding, Flow, Severity, draft, exhaustion,
    place::Place,
    prospect::hold,
    relief,
    seen::{Seen, barred_before, due_ns, given_per_s, pools, row_of, window_ns},
    wording,
};
use crate::{
    stats::{Demand, Destination, Forecast, Row, TIME_WAIT_NS, forecast, freed},
    stock::PoolKey,
};

/// Sooner than this is worth a word: an hour.
const SOON_S: f64 = 3_600.0;
/// Sooner than this, somebody must act now: five minutes.
const NOW_S: f64 = 300.0;
/// Demand from here on leaves no room for a peak.
const NEAR: f64 = 0.8;
/// Seconds that are looked at.
const MOST_SECONDS: u64 = 60;
/// Closes that a mean hold needs.
const LEAST_CLOSES: u64 = 20;

/// A pool that will be full within the hour, if what happens goes on.
pub(super) fn ps003(case: &Case<'_>) -> Vec<Finding> {
    each(case, |flow, seen, row| {
        let (forecast, basis) = outlook(case, flow, seen, row)?;
        let Forecast::In { estimate_s, low_s, high_s } = forecast else { return None };
        (estimate_s < SOON_S).then(|| soon(case, flow, seen, row, [estimate_s, low_s, high_s], basis))
    })
}

/// A pool whose steady demand, rate times hold, comes near to its ports.
pub(super) fn ps010(case: &Case<'_>) -> Vec<Finding> {
    each(case, |flow, seen, row| {
        let hold = hold(case, flow, seen, row)?;
        let rate = given_per_s(flow, row)?;
        let basis = if flow.stats.settings().releases { "releases" } else { "two stocks" };
        let wanted = rate * hold.hold_s;
        let share = wanted / f64::from(seen.pool.effective);
        if share < NEAR || hold.closes < LEAST_CLOSES {
            return None;
        }
        let title = format!(
            "{}: steady demand is {} of its ports",
            wording::pool(&seen.pool.key),
            wording::percent(share)
        );
        let place = Place::of(case, Some(seen.netns));
        let finding = Finding::new(10, Severity::Warning, title).fact("netns", seen.netns.get());
        let finding = draft::pool_facts(finding, seen.pool, seen.peak)
            .fact("rate_per_s", rate)
            .fact("hold_s", hold.hold_s)
            .fact("closes", hold.closes)
            .fact("wanted", wanted)
            .fact("basis", basis)
            .line("held by", exhaustion::held_by(seen))
            .line(
                "why",
                format!(
                    "{} x {:.1} s out each = {} of {} ports, from {basis} ({} closes)",
                    wording::rate(rate),
                    hold.hold_s,
                    wording::whole(wanted.round()),
                    wording::count(seen.pool.effective),
                    wording::count(hold.closes)
                ),
            );
        Some(relief::advise(finding, seen, place.as_ref()).done())
    })
}

fn each(case: &Case<'_>, judge: impl Fn(&Flow<'_>, &Seen<'_>, &Row) -> Option<Finding>) -> Vec<Finding> {
    let Some(flow) = case.flow else { return Vec::new() };
    let rows: Vec<Destination<'_>> = flow.stats.destinations();
    let connect =
        |seen: &Seen<'_>| matches!(seen.pool.key, PoolKey::Connect { .. }) && seen.pool.effective > 0;
    pools(case)
        .filter(|seen| connect(seen) && !exhaustion::is_full(seen))
        .filter_map(|seen| judge(flow, &seen, row_of(case, &rows, &seen)?))
        .collect()
}

/// What will become of a pool, and what that rests on.
pub(super) fn outlook(
    case: &Case<'_>,
    flow: &Flow<'_>,
    seen: &Seen<'_>,
    row: &Row,
) -> Option<(Forecast, &'static str)> {
    let window = window_ns(flow);
    // The first second, and the last, are not whole ones.
    let seconds = (window / 1_000_000_000).saturating_sub(1).min(MOST_SECONDS);
    let mut net = row.net_per_second(flow.at, seconds)?;
    let is_short = window < TIME_WAIT_NS;
    let releases = flow.stats.settings().releases;
    let (due, basis) = if releases {
        // A release is the end of a hold: within a minute, no TIME_WAIT that began in the window has come to its end.
        (if is_short { due_ns(case, seen) } else { Vec::new() }, "releases")
    } else {
        let given = row.allocations().checked_sub(row.failures())?;
        let before = barred_before(case, seen)?;
        let more = given.saturating_add(in_flight(given, window));
        // What was given while the stock was looked at may be in one of them alone: then nothing was freed.
        let freed = freed(given, before, seen.pool.barred)
            .or_else(|| freed(more, before, seen.pool.barred).map(|_| 0))?;
        let per_second = wording::share(freed, window)? * 1e9;
        spread(&mut net, per_second)?;
        (Vec::new(), "two stocks")
    };
    let hold = hold(case, flow, seen, row);
    let demand = Demand {
        ports: seen.pool.effective,
        barred: seen.pool.barred,
        net_per_second: &net,
        time_waits_due_ns: &due,
        allocations_per_second: given_per_s(flow, row),
        hold_s: hold.map(|hold| hold.hold_s),
    };
    Some((forecast(&demand)?, basis))
}

/// Allocations that the stock may know of and the flow not, or the other way round: those of half a second, in which
/// tracing had stopped and the stock was not looked at yet, or it had begun and the stock was being looked at.
pub(super) fn in_flight(given: u64, window_ns: u64) -> u64 {
    const APART_NS: u64 = 500_000_000;
    let share = given.saturating_mul(APART_NS.min(window_ns));
    share.checked_div(window_ns).map_or(0, |count| count.saturating_add(1))
}

/// Takes a rate of frees off the counts of seconds, in whole ports.
fn spread(net: &mut [i64], per_second: f64) -> Option<()> {
    let mut taken = 0_i64;
    for (count, place) in net.iter_mut().zip(1_u32..) {
        let by_now: i64 = format!("{:.0}", per_second * f64::from(place)).parse().ok()?;
        *count = count.checked_sub(by_now.checked_sub(taken)?)?;
        taken = by_now;
    }
    Some(())
}

fn soon(
    case: &Case<'_>,
    flow: &Flow<'_>,
    seen: &Seen<'_>,
    row: &Row,
    [estimate_s, low_s, high_s]: [f64; 3],
    basis: &'static str,
) -> Finding {
    let severity = if estimate_s < NOW_S { Severity::Critical } else { Severity::Warning };
    let title = format!("{} is full in {}", wording::pool(&seen.pool.key), wording::ahead(estimate_s));
    let place = Place::of(case, Some(seen.netns));
    let rate = given_per_s(flow, row);
    let finding = Finding::new(3, severity, title).fact("netns", seen.netns.get());
    let finding = draft::pool_facts(finding, seen.pool, seen.peak)
        .fact("full_in_s", json!({"estimate": estimate_s, "low": low_s, "high": high_s, "basis": basis}))
        .fact("rate_per_s", json!(rate))
        .line("held by", exhaustion::held_by(seen))
        .line(
            "when",
            format!(
                "in {} (between {} and {}), from {}",
                wording::ahead(estimate_s),
                wording::ahead(low_s),
                wording::ahead(high_s),
                basis
            ),
        )
        .line("why", relief::why(seen, rate));
    relief::advise(finding, seen, place.as_ref()).done()
}
