//! Statistics as the records of a report.

use std::collections::BTreeMap;

use super::series::Series;
use crate::{
    event::{MonoNs, NetnsId, Port},
    output::records::{
        CollisionsRecord, ComparedRecord, CountedRecord, DestinationRecord, DistributionRecord,
        HotPortRecord, MOST_SHOWN, ProcessRecord, ReportTotals, ReuseRecord, RowRecord, RowsBound,
        SearchIntervals, SearchRecord, SearchTimes, SiteCollisions, Totals,
    },
    stats::{
        By, ByErrno, CollisionKinds, Distribution, ExpectedSums, Group, KindSums, Known, QuantileIntervals,
        Quantiles, Row, Scope, SearchSums, Stats, Timed,
    },
    stock::NetnsConfig,
};

/// When a window began and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The beginning.
    pub start: MonoNs,
    /// The end.
    pub at: MonoNs,
}

/// Counts of everything.
#[must_use]
pub fn totals<K: Clone + PartialEq>(stats: &Stats, span: Span, series: &Series<K>) -> ReportTotals {
    let totals = stats.totals();
    let counted = |pairs: &mut dyn Iterator<Item = (&'static str, u64)>| -> BTreeMap<String, u64> {
        pairs.filter(|(_, count)| *count != 0).map(|(name, count)| (name.to_owned(), count)).collect()
    };
    let mut by_cause = counted(&mut totals.by_cause().map(|(cause, count)| (cause.name(), count)));
    if totals.cause_unknown() != 0 {
        by_cause.insert("unknown".to_owned(), totals.cause_unknown());
    }
    let counted = Totals {
        allocations: totals.allocations(),
        failures: totals.failures(),
        by_error: by_error(totals.by_errno()),
        by_cause,
        by_site: counted(&mut totals.by_site().map(|(site, counts)| (site.name(), counts.allocations))),
        by_proto: counted(
            &mut totals.by_protocol().map(|(proto, counts)| (proto.name(), counts.allocations)),
        ),
    };
    ReportTotals {
        counted,
        churn_mean: stats.churn().mean(span.start, span.at),
        churn_peak: stats.churn().peak(),
        // An interval has no course of its own.
        churn_dispersion: series.dispersion(span.start, span.at, |count| count.allocations),
        failures_dispersion: series.dispersion(span.start, span.at, |count| count.failures),
    }
}

fn by_error(errnos: &ByErrno) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (errno, count) in errnos.iter() {
        let name = match errno {
            None => "unknown".to_owned(),
            Some(errno) => errno.name().map_or_else(|| errno.to_string(), str::to_owned),
        };
        *named.entry(name).or_insert(0) += count;
    }
    named
}

/// Who asked, the busiest first.
#[must_use]
pub fn processes(stats: &Stats, by: By, span: Span) -> Vec<ProcessRecord> {
    stats.processes(by).iter().take(MOST_SHOWN).map(|group| process(group, stats, span)).collect()
}

fn process(group: &Group, stats: &Stats, span: Span) -> ProcessRecord {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    ProcessRecord {
        pid: group.process.map(|process| process.pid.0),
        processes: group.processes,
        comm: text(&group.identity.comm),
        exe: text(&group.identity.exe),
        unit: text(&group.identity.unit),
        container: text(&group.identity.container),
        pod: text(&group.identity.pod),
        row: row(&group.row, span),
        bound_connects: group.bound_connects,
        time_wait_made: stats.settings().releases.then(|| group.row.holds().time_waits()),
    }
}

/// For whom, the busiest first.
#[must_use]
pub fn destinations(stats: &Stats, span: Span) -> Vec<DestinationRecord> {
    let shown = stats.destinations();
    shown
        .iter()
        .take(MOST_SHOWN)
        .map(|destination| DestinationRecord {
            netns: destination.key.netns().map(NetnsId::get),
            proto: destination.key.protocol().name().to_owned(),
            remote_addr: destination.key.addr(),
            remote_port: destination.key.port().map(Port::get),
            row: row(destination.row, span),
        })
        .collect()
}

/// What a row that is not shown may have had.
#[must_use]
pub fn rows_bound(stats: &Stats, by: By) -> RowsBound {
    let process_at_most = stats.processes_bound(by);
    let (destination_at_most, _) = stats.destinations_bound();
    RowsBound { process_at_most, destination_at_most }
}

fn row(row: &Row, span: Span) -> RowRecord {
    let search = row.search();
    RowRecord {
        allocations: row.allocations(),
        failures: row.failures(),
        by_error: by_error(row.by_errno()),
        churn_mean: row.churn_mean(span.start, span.at),
        churn_peak: row.churn_peak(),
        distinct_ports: row.distinct_ports(),
        candidates: search.candidates.total(),
        collisions: search.collisions.total(),
        search_ns: times(row.quantiles().unwrap_or_default(), search),
    }
}

fn times(quantiles: Quantiles, sums: &SearchSums) -> SearchTimes {
    SearchTimes {
        p50: quantiles.p50,
        p90: quantiles.p90,
        p99: quantiles.p99,
        p999: quantiles.p999,
        max: sums.found.max_ns.max(sums.failed.max_ns),
        sum: sums.found.sum_ns.saturating_add(sums.failed.sum_ns),
    }
}

/// Candidates and collisions.
#[must_use]
pub fn collisions(stats: &Stats) -> CollisionsRecord {
    let report = stats.collisions();
    let crossed = |known: Known| known.total();
    let kinds = &report.kinds;
    CollisionsRecord {
        candidates: report.all.candidates.total(),
        collisions: report.all.collisions.total(),
        by_kind: by_kind(&kinds.found),
        counted: counted(kinds),
        observed_per_allocation: report.observed_per_allocation,
        expected_per_allocation: report.expected.per_allocation(),
        compared: compared(&report.expected),
        crossed_half: crossed(report.all.crossed),
        crossed_share: report.crossed_share,
        by_site: report
            .by_site
            .iter()
            .filter(|(_, sums)| sums.found.searches != 0)
            .map(|(site, sums)| {
                let one = SiteCollisions {
                    candidates: sums.candidates.total(),
                    collisions: sums.collisions.total(),
                    crossed_half: crossed(sums.crossed),
                };
                (site.name().to_owned(), one)
            })
            .collect(),
    }
}

/// What was expected beside what the same searches met.
fn compared(sums: &ExpectedSums) -> Option<ComparedRecord> {
    (sums.searches() != 0).then(|| ComparedRecord {
        searches: sums.searches(),
        observed_per_allocation: sums.observed_per_allocation(),
        ratio: sums.ratio(),
    })
}

/// Collisions by kind; empty where none were counted.
fn by_kind(sums: &KindSums) -> BTreeMap<String, u64> {
    let kinds = [("bucket", sums.bucket), ("tuple", sums.tuple)];
    let counted = kinds.into_iter().filter(|_| sums.searches != 0);
    counted.map(|(kind, count)| (kind.to_owned(), count)).collect()
}

fn counted(kinds: &CollisionKinds) -> Option<CountedRecord> {
    let CollisionKinds { found, failed } = kinds;
    (found.searches != 0 || failed.searches != 0).then(|| CountedRecord {
        searches: found.searches,
        bucket_unknown: found.searches.saturating_sub(found.bucket_known),
        time_wait: found.time_wait,
        failed: failed.searches,
        failed_by_kind: by_kind(failed),
        failed_time_wait: failed.time_wait,
    })
}

/// Times of all searches.
#[must_use]
pub fn search(stats: &Stats, span: Span) -> SearchRecord {
    let (sums, quantiles) = stats.search();
    let Timed { searches, .. } = sums.failed;
    let QuantileIntervals { p50, p90, p99, p999 } = stats.search_intervals();
    SearchRecord {
        found_ns: SearchTimes {
            max: sums.found.max_ns,
            sum: sums.found.sum_ns,
            ..times(quantiles, &SearchSums::default())
        },
        found_ns_between: SearchIntervals { p50, p90, p99, p999 },
        failed: searches,
        failed_mean_ns: sums.failed.mean_ns(),
        cpus: sums.cpus(span.start, span.at),
        upper_bound: sums.found.upper_bounds + sums.failed.upper_bounds != 0,
    }
}

/// How soon ports came again.
#[must_use]
pub fn reuse(stats: &Stats, span: Span) -> ReuseRecord {
    let report = stats.reuse(span.at);
    ReuseRecord {
        within_60s: report.within_60s,
        within_120s: report.within_120s,
        same_tuple_within_60s: report.same_tuple_within_60s,
        distance_min: report.distance_min,
        distance_p50: report.distance_p50,
    }
}

/// Which ports were chosen, in the busiest namespace and protocol whose settings are known.
#[must_use]
pub fn distribution<'a>(
    stats: &Stats,
    config: impl Fn(NetnsId) -> Option<&'a NetnsConfig>,
) -> DistributionRecord {
    let busiest = stats.scopes().max_by_key(|scope| scope.given()).filter(|scope| scope.given() != 0);
    let known = busiest.and_then(|scope: &Scope| Some((scope, config(scope.netns()?)?)));
    let Some((scope, config)) = known else { return DistributionRecord::default() };
    let found = Distribution::of(scope, config.range, Some(&config.reserved));
    DistributionRecord {
        netns: scope.netns().map(NetnsId::get),
        proto: Some(scope.protocol().name().to_owned()),
        bucket_edges: found.bucket_edges,
        counts: found.counts,
        chi2: found.chi2,
        p_value: found.p_value,
        hot_ports: found
            .hot_ports
            .iter()
            .map(|hot| HotPortRecord {
                port: hot.port,
                uses: hot.uses,
                to_median: hot.to_median,
                behind_hole: hot.behind_hole,
            })
            .collect(),
        out_of_range: found.out_of_range,
    }
}
