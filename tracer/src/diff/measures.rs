//! Numbers on the whole: rates, failures by errno and cause, searches, collisions.

use std::collections::{BTreeMap, BTreeSet};

use super::told::{Both, Quantile, counts_over, quantiles, unsure};
use crate::output::records::{CollisionsRecord, Measure, Report, SearchRecord, Unit, Word};

/// All of them, in the order in which they are told.
pub(super) fn on_the_whole(both: Both<'_>) -> Vec<Measure> {
    let counted = |of: fn(&Report) -> u64| [Some(of(both.a)), Some(of(both.b))];
    let allocations = counted(|report| report.totals.counted.allocations);
    let failures = counted(|report| report.totals.counted.failures);
    let mut all = vec![
        both.rates("failures", failures, both.bunching_of_failures()),
        both.rates("allocations", allocations, both.bunching()),
        unsure(
            "busiest second",
            Unit::PerSecond,
            [both.a, both.b].map(|report| Some(f64::from(report.totals.churn_peak))),
            "no interval: it is a highest value, and rises with the length of the window",
        ),
    ];
    by_key(&mut all, both, "failures", |report| &report.totals.counted.by_error);
    by_key(&mut all, both, "failures for", |report| &report.totals.counted.by_cause);
    searches(&mut all, both);
    collisions(&mut all, both);
    for measure in all.iter_mut().filter(|one| one.word == Word::NotComparable) {
        name_backend(measure, both);
    }
    all
}

/// Which backend it is that does not see it.
fn name_backend(measure: &mut Measure, both: Both<'_>) {
    let side = match (measure.a, measure.b) {
        (None, Some(_)) => ("A", both.a),
        (Some(_), None) => ("B", both.b),
        _ => return,
    };
    let (name, report) = side;
    let has_own = both.a.header.fields_unavailable != both.b.header.fields_unavailable;
    if has_own {
        measure.basis = format!("{name} does not have it ({})", report.header.backend);
    }
}

fn by_key(all: &mut Vec<Measure>, both: Both<'_>, name: &str, of: fn(&Report) -> &BTreeMap<String, u64>) {
    let keys: BTreeSet<&String> = of(both.a).keys().chain(of(both.b).keys()).collect();
    let rows = keys.into_iter().map(|key| {
        let counts = [both.a, both.b].map(|report| Some(of(report).get(key).copied().unwrap_or(0)));
        both.rates(&format!("{name} {key}"), counts, both.bunching_of_failures())
    });
    all.extend(rows);
}

type OfSearch = fn(&SearchRecord) -> Quantile;

fn searches(all: &mut Vec<Measure>, both: Both<'_>) {
    let [a, b] = [both.a, both.b].map(|report| &report.search);
    let of: [(&str, OfSearch); 4] = [
        ("search p50", |s| Quantile { at: s.found_ns.p50, between: s.found_ns_between.p50 }),
        ("search p90", |s| Quantile { at: s.found_ns.p90, between: s.found_ns_between.p90 }),
        ("search p99", |s| Quantile { at: s.found_ns.p99, between: s.found_ns_between.p99 }),
        ("search p99.9", |s| Quantile { at: s.found_ns.p999, between: s.found_ns_between.p999 }),
    ];
    let measures = of.map(|(name, of)| quantiles(name, of(a), of(b)));
    // Too few searches for the highest quantiles in both: nothing to say.
    let mut measures: Vec<Measure> =
        measures.into_iter().filter(|one| one.a.is_some() || one.b.is_some()).collect();
    let means = [a, b].map(|search| search.failed_mean_ns);
    if means.iter().any(Option::is_some) {
        measures.push(unsure(
            "failed search, mean",
            Unit::Ns,
            means,
            "no interval: the reports have means alone",
        ));
    }
    let cpus = [a, b].map(|search| search.cpus);
    if cpus.iter().any(Option::is_some) {
        measures.push(unsure("CPUs in port search", Unit::Cpus, cpus, "no interval: a sum of times"));
    }
    if a.upper_bound != b.upper_bound && has_times(a) && has_times(b) {
        for measure in &mut measures {
            apart(measure, if a.upper_bound { "A" } else { "B" });
        }
    }
    all.append(&mut measures);
}

fn has_times(search: &SearchRecord) -> bool {
    search.found_ns.sum != 0 || search.failed != 0
}

/// Upper bounds on one side and times on the other say nothing of each other.
fn apart(measure: &mut Measure, bounds: &str) {
    (measure.ratio, measure.low, measure.high) = (None, None, None);
    measure.word = Word::NotComparable;
    measure.basis = format!("the times of {bounds} are upper bounds, the others are not");
}

fn collisions(all: &mut Vec<Measure>, both: Both<'_>) {
    let [a, b] = [both.a, both.b].map(|report| &report.collisions);
    if a.crossed_share.is_some() || b.crossed_share.is_some() {
        let shares = [both.a, both.b].map(crossed);
        all.push(counts_over(
            "searches that crossed to the other half",
            Unit::Share,
            shares,
            both.bunching(),
        ));
    }
    let candidates = [both.a, both.b].map(candidates);
    if candidates.iter().any(Option::is_some) {
        let why = "no interval: the reports have sums alone";
        all.push(unsure("candidates per connect", Unit::PerAllocation, candidates, why));
    }
    let per = |record: &CollisionsRecord| record.observed_per_allocation;
    let sums = "no interval: the reports have sums alone";
    for (name, of) in [
        ("collisions", [per(a), per(b)]),
        ("collisions expected", [a.expected_per_allocation, b.expected_per_allocation]),
    ] {
        if of.iter().any(Option::is_some) {
            all.push(unsure(name, Unit::PerAllocation, of, sums));
        }
    }
}

/// Ports that a connect looked at, on average.
fn candidates(report: &Report) -> Option<f64> {
    let candidates = report.collisions.by_site.get("connect")?.candidates?;
    let connects = *report.totals.counted.by_site.get("connect")?;
    (connects != 0).then(|| super::ratio::real(candidates) / super::ratio::real(connects))
}

/// Searches that crossed, and of how many; where none did, of those at the sites where it is known.
fn crossed(report: &Report) -> Option<(u64, f64)> {
    let record = &report.collisions;
    let (count, share) = (record.crossed_half?, record.crossed_share?);
    if share > 0.0 {
        return Some((count, super::ratio::real(count) / share));
    }
    let sites = record.by_site.iter().filter(|(_, site)| site.crossed_half.is_some());
    let searches = sites.filter_map(|(name, _)| report.totals.counted.by_site.get(name)).sum();
    Some((count, super::ratio::real(searches)))
}
