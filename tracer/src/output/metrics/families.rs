//! The families of metrics, one after the other.

use std::sync::Arc;

use prometheus_client::registry::Unit;

use super::{
    super::records::{FindingRecord, PoolRecord},
    RangeGauge, Served, Snapshot,
    labels::{self, Labels},
    sink::{Done, Family, Sink},
};

#[derive(Debug)]
pub(super) struct Families {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) served: Served,
}

impl Families {
    /// Tells all of them.
    pub(super) fn tell(&self, sink: &mut dyn Sink) -> Done {
        self.choices(sink)?;
        self.spreads(sink)?;
        self.pools(sink)?;
        self.ranges(sink)?;
        self.findings(sink)?;
        self.accounts(sink)
    }

    fn choices(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { sites, programs, others, gone, .. } = &*self.snapshot;
        let of_site = |chosen: bool| {
            sites.iter().filter(move |one| one.is_chosen == chosen).map(|one| {
                let result = if one.error.is_none() { "ok" } else { "failed" };
                let labels = vec![
                    ("site", one.site.to_owned()),
                    ("proto", one.proto.to_owned()),
                    ("result", result.to_owned()),
                    ("errno", one.error.unwrap_or_default().to_owned()),
                ];
                (labels, one.count)
            })
        };
        Family::new(
            "portscope_allocations",
            "Local ports that the kernel was to choose, by where and with what result",
        )
        .counters(sink, of_site(true))?;
        Family::new(
            "portscope_checks",
            "Local ports that the caller named and the kernel checked, as far as recorded",
        )
        .counters(sink, of_site(false))?;
        let named = |name: &str, unit: &str, container: &str, pod: &str| {
            vec![
                ("program", labels::value(name)),
                ("unit", labels::value(unit)),
                ("container", labels::value(container)),
                ("pod", labels::value(pod)),
            ]
        };
        let all = || {
            programs.iter().map(move |one| {
                let labels = named(&one.name, &one.unit, &one.container, &one.pod);
                (labels, (one.allocations, one.failures))
            })
        };
        let with_others = || all().chain([(named("other", "", "", ""), *others)]);
        Family::new(
            "portscope_program_allocations",
            "Ports that programs asked for; with `other` they are all",
        )
        .counters(sink, with_others().map(|(labels, (allocations, _))| (labels, allocations)))?;
        Family::new("portscope_program_failures", "Of these, refused ones")
            .counters(sink, with_others().map(|(labels, (_, failures))| (labels, failures)))?;
        Family::new(
            "portscope_program_gone_allocations",
            "Ports that programs had asked for that gave their place to another: the rest of the total",
        )
        .counter(sink, gone.0)?;
        Family::new("portscope_program_gone_failures", "Of these, refused ones").counter(sink, gone.1)
    }

    fn spreads(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { searches, distances, intervals, .. } = &*self.snapshot;
        Family::new(
            "portscope_search",
            "Wall time of searches that found a port; upper bounds on the backend tracepoint",
        )
        .in_unit(Unit::Seconds)
        .histogram(sink, searches)?;
        Family::new(
            "portscope_reuse_distance_allocations",
            "Allocations of a namespace and protocol from one of a port to the next of that port",
        )
        .histogram(sink, distances)?;
        Family::new(
            "portscope_reuse_interval",
            "Time from the close of a 4-tuple to its next use; needs --releases",
        )
        .in_unit(Unit::Seconds)
        .histogram(sink, intervals)
    }

    /// The fullest pools; those of which nothing is left are left out.
    fn pools(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { report, most, .. } = &*self.snapshot;
        let there = report.pools.iter().filter(|pool| pool.held_after_s.is_none());
        let told: Vec<(Labels, &PoolRecord)> = there
            .clone()
            .take(*most)
            .map(|pool| (labels::pool(pool, &self.netns(pool.netns)), pool))
            .collect();
        let each = |of: fn(&PoolRecord) -> Option<f64>| {
            told.iter().filter_map(move |(labels, pool)| Some((labels.clone(), of(pool)?)))
        };
        // With these the sum is that of all pools of the report, whatever --top is.
        let others = || there.clone().skip(*most);
        let and_others = |of: fn(&PoolRecord) -> Option<f64>| {
            // What is not known of one of them is not known of all.
            let sum = others().map(of).sum::<Option<f64>>().filter(|_| others().next().is_some());
            each(of).chain(sum.map(|sum| (labels::other_pools(), sum)))
        };
        Family::new(
            "portscope_pool_held_ports",
            "Ports of the pool that it cannot give out, the fullest pools; with `other` those of all",
        )
        .gauges(sink, and_others(|pool| Some(pool.barred.into())))?;
        Family::new("portscope_pool_size_ports", "Ports of its range that are not reserved")
            .gauges(sink, each(|pool| Some(pool.effective.into())))?;
        Family::new("portscope_pool_utilization", "Held over size")
            .in_unit(ratio())
            .gauges(sink, each(|pool| pool.utilisation))?;
        Family::new(
            "portscope_pool_first_half_utilization",
            "The same of the half that is searched first: at 1 each search crosses to the other one",
        )
        .in_unit(ratio())
        .gauges(sink, each(first_half))?;
        Family::new("portscope_pool_time_wait_ports", "Of the held ports, those in TIME_WAIT")
            .gauges(sink, and_others(|pool| Some(pool.held.get("TIME_WAIT").copied().unwrap_or(0).into())))?;
        Family::new(
            "portscope_pool_sustainable_rate",
            "Connections a second that the pool sustains, where known",
        )
        .gauges(sink, each(|pool| pool.sustainable_per_s))?;
        Family::new("portscope_pool_exhausted_in", "Time until the pool is full, where that can be told")
            .in_unit(Unit::Seconds)
            .gauges(sink, each(|pool| pool.exhausted_in_s.as_ref()?.estimate))?;
        Family::new("portscope_pool_recent_failures", "Refusals of the last minute")
            .gauges(sink, and_others(|pool| pool.failures.map(real)))?;
        Family::new(
            "portscope_pools_not_told",
            "Less full pools that the report has and these metrics leave out",
        )
        .gauge(sink, Some(real(others().count() as u64)))
    }

    fn ranges(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { ranges, most, .. } = &*self.snapshot;
        let each = |of: fn(&RangeGauge) -> u32| {
            let ranges = ranges.iter().take(*most);
            ranges.map(move |range| (vec![("netns", labels::value(&range.netns))], of(range)))
        };
        Family::new("portscope_range_first_port", "First port of ip_local_port_range")
            .gauges(sink, each(|range| range.low.into()))?;
        Family::new("portscope_range_last_port", "Its last port")
            .gauges(sink, each(|range| range.high.into()))?;
        Family::new("portscope_range_effective_ports", "Its ports that are not reserved")
            .gauges(sink, each(|range| range.effective))
    }

    fn findings(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { report, most, findings, .. } = &*self.snapshot;
        let count = |id: &str| report.findings.iter().filter(|one| one.id == id).count() as u64;
        let each = findings.iter().map(|id| (vec![("id", id.clone())], count(id)));
        Family::new(
            "portscope_findings",
            "Findings of the last minute by their number, 0 for those there are not",
        )
        .gauges(sink, each)?;
        let one = |finding: &FindingRecord| (self.finding(finding), 1_u64);
        Family::new("portscope_finding", "1 for each of the worst, with whom it is about")
            .gauges(sink, report.findings.iter().take(*most).map(one))?;
        let verdict = &report.verdict;
        let finding = verdict.finding.clone().unwrap_or_default();
        Family::new("portscope_verdict", "1 with the verdict on the last minute")
            .gauges(sink, [(vec![("word", verdict.word.clone()), ("finding", finding)], 1_u64)])
    }

    fn finding(&self, finding: &FindingRecord) -> Labels {
        let evidence = &finding.evidence;
        let text = |key: &str| evidence.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        let netns = evidence.get("netns").and_then(serde_json::Value::as_u64);
        let netns = netns.and_then(|id| u32::try_from(id).ok()).map(|id| self.netns(id));
        vec![
            ("id", finding.id.clone()),
            ("severity", finding.severity.clone()),
            ("netns", labels::value(&netns.unwrap_or_default())),
            ("pool", labels::value(text("pool"))),
            ("holder", labels::first(evidence.get("holders"))),
            ("victim", labels::first(evidence.get("victims"))),
        ]
    }

    fn accounts(&self, sink: &mut dyn Sink) -> Done {
        let Snapshot { report, accounting, cost, process, at_s, .. } = &*self.snapshot;
        let header = &report.header;
        for (name, help, count) in [
            (
                "portscope_events_seen",
                "Events of the kernel half: emitted, filtered and lost",
                accounting.seen,
            ),
            ("portscope_events_emitted", "Events that were counted with their detail", accounting.emitted),
            ("portscope_events_filtered", "Events that a filter kept out", accounting.filtered),
            ("portscope_events_lost", "Events of which only the count remains", accounting.lost),
        ] {
            Family::new(name, help).counter(sink, count)?;
        }
        if let Some(missed) = accounting.missed {
            Family::new("portscope_choices_missed", "At most so many choices were not seen")
                .counter(sink, missed)?;
        }
        Family::new("portscope_build_info", "What runs, and how it traces").gauges(
            sink,
            [(
                vec![
                    ("version", header.version.clone()),
                    ("backend", header.backend.clone()),
                    ("kernel", labels::value(&header.kernel)),
                ],
                1_u64,
            )],
        )?;
        Family::new("portscope_snapshot_time", "When these figures were taken, since 1970")
            .in_unit(Unit::Seconds)
            .gauge(sink, Some(*at_s))?;
        Family::new("portscope_window", "Length of the last minute, as findings and verdict know it")
            .in_unit(Unit::Seconds)
            .gauge(sink, Some(report.window.seconds))?;
        Family::new("process_cpu", "CPU time of portscope itself")
            .in_unit(Unit::Seconds)
            .counter(sink, cost.cpu_s)?;
        if let Some(ns) = accounting.kernel_ns {
            Family::new("portscope_programs", "Time that the programs of portscope ran in the kernel")
                .in_unit(Unit::Seconds)
                .counter(sink, real(ns) / 1e9)?;
        }
        Family::new("process_resident_memory", "Its resident memory")
            .in_unit(Unit::Bytes)
            .gauge(sink, process.map(|(resident, _)| resident))?;
        Family::new("process_open_fds", "Its open descriptors").gauge(sink, process.map(|(_, fds)| fds))?;
        Family::new("portscope_requests_answered", "HTTP requests").counter(sink, self.served.answered)?;
        Family::new("portscope_connections_rejected", "Connections turned away, since there were too many")
            .counter(sink, self.served.rejected)
    }

    /// The name of a namespace, else its number.
    fn netns(&self, id: u32) -> String {
        self.snapshot.namespaces.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// The word that Prometheus has for it.
fn ratio() -> Unit {
    Unit::Other("ratio".to_owned())
}

fn first_half(pool: &PoolRecord) -> Option<f64> {
    let halves = pool.halves.as_ref()?;
    let first = if halves.first == "odd" { &halves.odd } else { &halves.even };
    (first.of != 0).then(|| f64::from(first.barred) / f64::from(first.of))
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "counts of a minute")]
fn real(count: u64) -> f64 {
    count as f64
}
