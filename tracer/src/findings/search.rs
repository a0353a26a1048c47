//! PS002 and PS011: searches that are long, since one half of the range is full.

use serde_json::json;

use super::{
    Case, Finding, Flow, Severity, draft, exhaustion,
    place::Place,
    relief,
    seen::{Seen, bound_untold, is_only_bind_pool, pools, row_of, searched, window_ns},
    wording,
};
use crate::{
    event::Site,
    stats::{By, Destination, SearchSums, Searched},
    stock::{Halves, PoolKey},
};

/// The first half is as good as full.
const BARRED: f64 = 0.9;
/// Fewer searches do not hurt, however long each is.
const LEAST_PER_S: f64 = 10.0;
/// CPUs in port search that are worth a word.
const MUCH_CPU: f64 = 0.05;
/// CPUs in port search that hurt.
const TOO_MUCH_CPU: f64 = 0.5;
/// Fewer searches tell too little.
const LEAST_SEARCHES: u64 = 1_000;

/// The half that is searched first is full, or nearly so.
pub(super) fn ps002(case: &Case<'_>) -> Vec<Finding> {
    let Some(flow) = case.flow else { return Vec::new() };
    let rows = flow.stats.destinations();
    pools(case)
        .filter(|seen| !exhaustion::is_full(seen))
        .filter_map(|seen| cliff(case, flow, &rows, &seen))
        .collect()
}

fn cliff(case: &Case<'_>, flow: &Flow<'_>, rows: &[Destination<'_>], seen: &Seen<'_>) -> Option<Finding> {
    let (rate, sums) = demand(case, flow, rows, seen)?;
    // Searches that know no halves, such as those in a range of the socket's own, do not tell whether they crossed.
    let crossed = sums.crossed.mean()?;
    if rate < LEAST_PER_S {
        return None;
    }
    let listed = seen.pool.halves?;
    // What the kernel does not list the searches have found: one that crosses has tried all of the first half in vain.
    let is_proven = bound_untold(case, seen.netns) && crossed >= BARRED;
    let halves = if is_proven { listed.with_full_first() } else { listed };
    let first = halves.first_half();
    let share = wording::share(first.barred.into(), first.of.into()).filter(|share| *share >= BARRED)?;
    let sides = [false, true].map(|crossed| searched(case, flow, rows, seen, crossed));
    let is_crossed = first.barred >= first.of;
    let what = if is_crossed { "is full" } else { "is nearly full" };
    let title = format!(
        "{}: the half that is searched first {what} ({})",
        wording::pool(&seen.pool.key),
        wording::percent(share)
    );
    let place = Place::of(case, Some(seen.netns));
    let finding = Finding::new(2, Severity::Warning, title).fact("netns", seen.netns.get());
    let finding = draft::pool_facts(finding, seen.pool, seen.peak)
        .fact("crossed", is_crossed)
        .fact("crossed_share", crossed)
        .fact("rate_per_s", rate)
        .fact("first_half", json!({"parity": halves.first.name(), "of": first.of, "barred": first.barred}))
        .fact("listed_in_first_half", listed.first_half().barred)
        .line("halves", halves_line(&halves))
        .maybe_line("", unlisted(&listed, &halves))
        .line(
            "why",
            format!(
                "{} searches; {} of them scanned the first half in vain",
                wording::rate(rate),
                wording::percent(crossed)
            ),
        )
        .fact("search", json!({"stayed": sides[0].map(fact), "crossed": sides[1].map(fact)}))
        .maybe_line("search", before_and_after(sides, sums.found.upper_bounds != 0))
        .maybe_line("costs", exhaustion::costs(flow));
    let finding = if matches!(seen.pool.key, PoolKey::Connect { .. }) {
        finding.advise(
            "set IP_LOCAL_PORT_RANGE = the whole range on the socket: no halves (connect only)",
            Some("option Linux 6.3+, this effect 6.8+"),
        )
    } else {
        finding
    };
    Some(relief::advise(finding, seen, place.as_ref()).done())
}

/// What one kind of search took, as numbers.
pub(super) fn fact(side: Searched) -> serde_json::Value {
    json!({
        "searches": side.searches, "mean_ns": side.mean_ns, "p50_ns": side.times.p50, "p99_ns": side.times.p99
    })
}

/// `3 us in the first half, 1.9 ms across the cliff (median)`: what crossing costs; none where no search crossed.
pub(super) fn before_and_after([stayed, crossed]: [Option<Searched>; 2], at_most: bool) -> Option<String> {
    let (before, after) = (stayed?, crossed?);
    // Medians of both, or else means of both: one of each would not compare.
    let (medians, name) = (before.times.p50.zip(after.times.p50), "median");
    let whole = |mean_ns: Option<f64>| mean_ns.and_then(|ns| format!("{ns:.0}").parse().ok());
    let (times, name) = match medians {
        Some(times) => (times, name),
        None => (whole(before.mean_ns).zip(whole(after.mean_ns))?, "mean"),
    };
    let short = |ns: u64| wording::short_time(ns);
    let bound = if at_most { ", at most" } else { "" };
    Some(format!(
        "{} for the {} that stayed in the first half, {} for the {} that crossed ({name}{bound})",
        short(times.0),
        wording::count(before.searches),
        short(times.1),
        wording::count(after.searches)
    ))
}

fn halves_line(halves: &Halves) -> String {
    let half =
        |half: crate::stock::Half| format!("{} of {}", wording::count(half.barred), wording::count(half.of));
    format!(
        "{} (first) {}, {} {}",
        halves.first.name(),
        half(halves.first_half()),
        halves.first.other().name(),
        half(halves.second_half())
    )
}

/// Why the first half is full though the kernel lists fewer sockets in it.
fn unlisted(listed: &Halves, halves: &Halves) -> Option<String> {
    let missing =
        halves.first_half().barred.checked_sub(listed.first_half().barred).filter(|ports| *ports > 0)?;
    Some(format!(
        "{} of the first as the searches found them: Linux before 6.8 lists no sockets that are only bound",
        wording::count(missing)
    ))
}

/// Allocations per second in a pool, and its searches.
fn demand(
    case: &Case<'_>,
    flow: &Flow<'_>,
    rows: &[Destination<'_>],
    seen: &Seen<'_>,
) -> Option<(f64, SearchSums)> {
    if let Some(row) = row_of(case, rows, seen) {
        return Some((row.churn_mean(flow.start, flow.at)?, *row.search()));
    }
    if !is_only_bind_pool(case, seen) {
        return None;
    }
    let (_, counts) = flow.stats.totals().by_site().find(|(site, _)| *site == Site::Bind)?;
    let (_, sums, _) = flow.stats.search_by_site().find(|(site, ..)| *site == Site::Bind)?;
    let per_s = wording::share(counts.allocations, window_ns(flow))? * 1e9;
    Some((per_s, sums))
}

/// Port search keeps a good part of a CPU busy.
pub(super) fn ps011(case: &Case<'_>) -> Vec<Finding> {
    case.flow.and_then(busy).into_iter().collect()
}

fn busy(flow: &Flow<'_>) -> Option<Finding> {
    let (sums, _) = flow.stats.search();
    let searches = sums.found.searches.saturating_add(sums.failed.searches);
    let cpus = sums.cpus(flow.start, flow.at).filter(|cpus| *cpus >= MUCH_CPU)?;
    if searches < LEAST_SEARCHES {
        return None;
    }
    let severity = if cpus >= TOO_MUCH_CPU { Severity::Critical } else { Severity::Warning };
    let mut programs: Vec<(String, f64)> = flow
        .stats
        .processes(By::Program)
        .iter()
        .filter_map(|group| {
            let called = wording::called(group.identity.comm.as_deref(), group.identity.exe.as_deref());
            Some((wording::several(called, group.processes), group.row.search().cpus(flow.start, flow.at)?))
        })
        .collect();
    programs.sort_by(|one, other| other.1.total_cmp(&one.1));
    let names: Vec<String> = programs.iter().map(|(name, cpus)| format!("{name} {cpus:.2}")).collect();
    let by_program: Vec<_> =
        programs.iter().take(16).map(|(name, cpus)| json!({"program": name, "cpus": cpus})).collect();
    let title = format!("port search keeps {cpus:.2} CPUs busy");
    let finding = Finding::new(11, severity, title)
        .fact("cpus", cpus)
        .fact("searches", searches)
        .fact("crossed_share", json!(sums.crossed.mean()))
        .fact("by_program", json!(by_program))
        .line("spent by", wording::some_of(&names, 3))
        .maybe_line("costs", exhaustion::costs(flow))
        .line("why", "a search is long where the first half is full (PS002), or bind took the ports (PS004)")
        .advise("fewer new connections: keep them open (pool, keep-alive)", None)
        .in_vain(&["more CPUs", "ulimit -n"]);
    Some(finding.done())
}
