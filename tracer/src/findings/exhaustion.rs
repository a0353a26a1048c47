//! PS001: no port was left.

use serde_json::json;

use super::{
    Case, Finding, Flow, Refusal, Severity, draft,
    place::Place,
    relief, search,
    seen::{Seen, bound_untold, is_exhaustion, key_of, pools, searched, window_ns, worst_of},
    wording,
};
use crate::{
    event::{Cause, MonoNs, NetnsId, Protocol, Site},
    stats::SearchSums,
    stock::PoolKey,
};

/// A range narrower than the default one is part of the reason.
const USUAL_PORTS: u32 = 28_232;
/// Other pools below this share are fine.
const FINE: f64 = 0.8;
/// Names on a line.
const MOST_NAMES: usize = 3;

/// Refused for want of a port, or a pool without one: one finding for each namespace.
pub(super) fn ps001(case: &Case<'_>) -> Vec<Finding> {
    let mut refusals: Vec<&Refusal> =
        case.flow.iter().flat_map(|flow| flow.refusals).filter(|one| is_exhaustion(one)).collect();
    refusals.sort_by_key(|one| std::cmp::Reverse(one.count));
    let mut spaces: Vec<Option<NetnsId>> = Vec::new();
    for refusal in &refusals {
        if !spaces.contains(&refusal.netns) {
            spaces.push(refusal.netns);
        }
    }
    let refused = spaces.iter().filter_map(|netns| {
        let own: Vec<&Refusal> = refusals.iter().copied().filter(|one| one.netns == *netns).collect();
        Some(of_refusals(case, case.flow?, &own)?.done())
    });
    let mut findings: Vec<Finding> = refused.collect();
    findings.extend(case.flow.filter(|flow| flow.refusals.is_empty()).and_then(of_totals));
    let mut full: Vec<Seen<'_>> = Vec::new();
    for seen in pools(case).filter(is_full) {
        let known = spaces.contains(&Some(seen.netns)) || spaces.contains(&None);
        if !known && !full.iter().any(|one| one.netns == seen.netns) {
            full.push(seen);
        }
    }
    findings.extend(full.iter().map(|seen| of_pool(case, seen)));
    findings
}

/// Whether no port is left in it now.
pub(super) fn is_full(seen: &Seen<'_>) -> bool {
    seen.pool.effective > 0 && seen.pool.barred >= seen.pool.effective
}

/// A pool that is full, and nobody was seen to be refused.
fn of_pool(case: &Case<'_>, seen: &Seen<'_>) -> Finding {
    let pool = seen.pool;
    let what = if matches!(pool.key, PoolKey::Connect { .. }) { "connect" } else { "bind(port 0)" };
    let title = format!(
        "{}: all {} ports are out, the next {what} fails",
        wording::pool(&pool.key),
        wording::count(pool.effective)
    );
    let place = Place::of(case, Some(seen.netns));
    let finding =
        Finding::new(1, Severity::Critical, title).fact("netns", seen.netns.get()).fact("refused", 0_u64);
    let finding = draft::pool_facts(finding, pool, seen.peak)
        .fact("holders", draft::holders(seen.holders))
        .line("held by", held_by(seen))
        .line("why", relief::why(seen, None));
    relief::advise(settings_lines(finding, place.as_ref()), seen, place.as_ref()).done()
}

/// Refusals of which only the count is known.
fn of_totals(flow: &Flow<'_>) -> Option<Finding> {
    let (_, refused) = flow.stats.totals().by_cause().find(|(cause, _)| *cause == Cause::Exhausted)?;
    (refused > 0).then(|| {
        let title = format!("{} choices of a port failed for want of one", wording::count(refused));
        Finding::new(1, Severity::Critical, title)
            .fact("refused", refused)
            .line("why", "no port of the range could be given; which pool it was, was lost")
            .advise("look again with a larger --buffer", None)
            .done()
    })
}

/// Refusals of one namespace, most first.
fn of_refusals(case: &Case<'_>, flow: &Flow<'_>, refusals: &[&Refusal]) -> Option<Finding> {
    let worst = refusals.first()?;
    let key = key_of(worst);
    let seen = key.as_ref().and_then(|key| worst_of(case, worst.netns, key));
    let place = Place::of(case, worst.netns);
    let refused: u64 = refusals.iter().fold(0, |sum, one| sum.saturating_add(one.count));
    let asked = wording::share(worst.attempts, window_ns(flow)).map(|per_ns| per_ns * 1e9);
    let mut finding = Finding::new(1, Severity::Critical, title(worst, refusals))
        .fact("netns", json!(worst.netns.map(NetnsId::get)))
        .fact("pool", json!(key.as_ref().map(wording::pool)))
        .fact("refused", refused)
        .fact("refused_here", worst.count)
        .fact("attempts_here", worst.attempts)
        .fact("error", json!(worst.errno.map(|errno| errno.to_string())))
        .fact("first_after_s", after_s(flow, worst.first))
        .fact("asked_per_s", json!(asked))
        .fact("victims", draft::victims(worst));
    if let Some(seen) = &seen {
        finding = draft::pool_facts(finding, seen.pool, seen.peak)
            .fact("holders", draft::holders(seen.holders))
            .fact("pays_back_per_s", seen.pool.limits().pays_back_per_s())
            .fact("held_after_s", json!(seen.then.map(|then| after_s(flow, then))))
            .fact("barred_unlisted", seen.unlisted)
            .line("held by", held_then(flow, seen));
    }
    let label = if seen.is_some() { "" } else { "held by" };
    finding = finding
        .maybe_line(label, unlisted(case, worst, seen.as_ref()))
        .maybe_line("refused to", refused_to(case, worst, seen.as_ref()))
        .maybe_line("also", also(refusals));
    if let Some(seen) = &seen {
        finding = finding.line("why", relief::why(seen, asked));
    }
    finding = settings_lines(finding, place.as_ref()).maybe_line("costs", costs(flow));
    if let Some(seen) = &seen {
        let rows = flow.stats.destinations();
        let sides = [false, true].map(|crossed| searched(case, flow, &rows, seen, crossed));
        let at_most = flow.stats.search().0.found.upper_bounds != 0;
        finding = finding
            .fact(
                "search",
                json!({"stayed": sides[0].map(search::fact), "crossed": sides[1].map(search::fact)}),
            )
            .maybe_line("search", search::before_and_after(sides, at_most));
    }
    let is_connect = worst.site == Site::Connect;
    Some(match &seen {
        Some(seen) => relief::advise(finding, seen, place.as_ref()),
        None => place.iter().fold(finding, |finding, place| relief::widen(finding, place, is_connect)),
    })
}

/// Seconds from the beginning to a moment.
fn after_s(flow: &Flow<'_>, at: MonoNs) -> f64 {
    wording::real(at.since(flow.start)) / 1e9
}

/// Who has the ports of a pool, or had them when it was fullest.
fn held_then(flow: &Flow<'_>, seen: &Seen<'_>) -> String {
    let held = held_by(seen);
    match seen.then {
        Some(then) => format!("{held} (at t=+{:.0} s)", after_s(flow, then)),
        None => held,
    }
}

/// What there is to say of holders that the kernel does not list.
fn unlisted(case: &Case<'_>, worst: &Refusal, seen: Option<&Seen<'_>>) -> Option<String> {
    let told = seen.map_or(0, |seen| seen.unlisted);
    // A search through a range of odd size leaves one port out.
    let is_whole = seen.is_some_and(|seen| seen.pool.free() <= 1);
    let hidden = worst.netns.is_some_and(|netns| bound_untold(case, netns)) && worst.proto == Protocol::Tcp;
    match (told, is_whole) {
        (1.., true) => Some(format!(
            "{} of them as bind gave them here: Linux before 6.8 lists no sockets that are only bound",
            wording::count(told)
        )),
        (_, false) if hidden && worst.site != Site::Connect => Some(
            "others were gone by the end, or bound before it began: Linux before 6.8 lists no such sockets"
                .to_owned(),
        ),
        _ => None,
    }
}

fn title(worst: &Refusal, refusals: &[&Refusal]) -> String {
    let what = what(worst.site);
    let pool = key_of(worst).map_or_else(|| "somewhere".to_owned(), |key| wording::pool(&key));
    let errno = worst.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
    let title = format!(
        "{pool}: {} of {} {what} refused{errno}",
        wording::count(worst.count),
        wording::count(worst.attempts.max(worst.count))
    );
    // Connects that fail for want of what others have bound.
    let connects =
        refusals.iter().skip(1).filter(|one| one.site == Site::Connect && worst.site != Site::Connect);
    match connects.fold(0_u64, |sum, one| sum.saturating_add(one.count)) {
        0 => title,
        connects => format!("{title}, {} connects too", wording::count(connects)),
    }
}

const fn what(site: Site) -> &'static str {
    match site {
        Site::Connect => "connects",
        Site::Bind => "bind(port 0)",
        Site::Listen => "listen without a port",
        Site::Autobind => "datagram sockets without a port",
    }
}

/// Who has the ports of a pool, by state and by program.
pub(super) fn held_by(seen: &Seen<'_>) -> String {
    let pool = seen.pool;
    let mut states: Vec<(&str, u32)> =
        pool.held.iter().map(|(state, ports)| (wording::state(state), ports)).collect();
    if pool.held.unseen() > 0 {
        states.push(("bound", pool.held.unseen()));
    }
    states.sort_by_key(|(_, ports)| std::cmp::Reverse(*ports));
    let states: Vec<String> = states
        .iter()
        .take(MOST_NAMES)
        .map(|(state, ports)| format!("{} {state}", wording::count(*ports)))
        .collect();
    let of = format!("{} of {}", wording::count(pool.barred), wording::count(pool.effective));
    let states = if states.is_empty() { of } else { format!("{of}: {}", states.join(" + ")) };
    let programs = programs(seen);
    if programs.is_empty() { states } else { format!("{states}; {programs}") }
}

/// The programs that hold a pool, with their shares.
fn programs(seen: &Seen<'_>) -> String {
    let all: u64 = seen.holders.iter().fold(0, |sum, one| sum.saturating_add(u64::from(one.ports)));
    let name = |one: &super::Holding| {
        let share = wording::share(one.ports.into(), all).map(wording::percent);
        format!("{} {}", wording::program(&one.process, one.processes.into()), share.unwrap_or_default())
    };
    wording::some_of(&seen.holders.iter().map(name).collect::<Vec<_>>(), MOST_NAMES)
}

fn refused_to(case: &Case<'_>, worst: &Refusal, seen: Option<&Seen<'_>>) -> Option<String> {
    let victims: Vec<String> = worst
        .victims
        .iter()
        .map(|one| {
            let program = wording::program(&one.process, one.processes.into());
            format!("{program} {}", wording::count(one.count))
        })
        .collect();
    let names = wording::some_of(&victims, MOST_NAMES);
    // The next fullest pool of this kind tells whether others are hit.
    let others = seen.and_then(|seen| {
        let is_connect = |one: &Seen<'_>| matches!(one.pool.key, PoolKey::Connect { .. });
        let same_kind = |one: &Seen<'_>| is_connect(one) && is_connect(seen);
        let others = pools(case).filter(|one| one.netns == seen.netns && one.pool.key != seen.pool.key);
        let next = others.filter(same_kind).filter_map(|one| one.peak_share()).max_by(f64::total_cmp)?;
        (next < FINE).then(|| format!("other destinations fine (next fullest {})", wording::percent(next)))
    });
    match (names.is_empty(), others) {
        (true, others) => others,
        (false, None) => Some(names),
        (false, Some(others)) => Some(format!("{names}; {others}")),
    }
}

/// The other pools of the namespace that refused.
fn also(refusals: &[&Refusal]) -> Option<String> {
    let list: Vec<String> = refusals
        .iter()
        .skip(1)
        .map(|one| {
            let pool = key_of(one).map_or_else(|| "somewhere".to_owned(), |key| wording::pool(&key));
            format!("{pool} {} {}", wording::count(one.count), what(one.site))
        })
        .collect();
    (!list.is_empty()).then(|| wording::some_of(&list, 2))
}

/// What the searches cost, where they were timed.
pub(super) fn costs(flow: &Flow<'_>) -> Option<String> {
    let (sums, times) = flow.stats.search();
    let cpus = sums.cpus(flow.start, flow.at)?;
    let quantile = |name: &str, ns: Option<u64>| ns.map(|ns| format!("{name} {}", wording::short_time(ns)));
    let quantiles: Vec<String> =
        quantile("p50", times.p50).into_iter().chain(quantile("p99", times.p99)).collect();
    let found = if quantiles.is_empty() { String::new() } else { format!(" ({})", quantiles.join(", ")) };
    Some(format!("{cpus:.1} CPUs in port search{found}{}", failed(&sums)))
}

fn failed(sums: &SearchSums) -> String {
    let mean = sums.failed.mean_ns().filter(|_| sums.failed.searches > 0);
    mean.map(|ns| {
        let us = wording::whole(ns / 1_000.0);
        format!("; each refusal {us} us")
    })
    .unwrap_or_default()
}

/// Settings that are part of the reason.
fn settings_lines(finding: Finding, place: Option<&Place<'_>>) -> Finding {
    let Some((place, config)) = place.and_then(|place| Some((place, place.config()?))) else {
        return finding;
    };
    let effective = config.effective();
    let narrow = (effective < USUAL_PORTS).then(|| {
        format!(
            "the range {}-{} has {} ports, the default one {}",
            config.range.low(),
            config.range.high(),
            wording::count(effective),
            wording::count(USUAL_PORTS)
        )
    });
    let idle = super::lint::reuse_without_timestamps(&place.settings())
        .then(|| "tcp_tw_reuse=1 does nothing while tcp_timestamps=0".to_owned());
    finding.maybe_line("why", narrow).maybe_line("why", idle)
}
