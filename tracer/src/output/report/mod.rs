//! A report as text: a verdict, three lines that a person reads, then the tables.

mod call_sites;
mod interval;
mod numbers;
mod tables;

pub(super) use call_sites::{frame_text, reason as unnamed_reason};
pub use interval::{interval, interval_titles};
pub use numbers::{duration_ns, grouped, per_second, share};
pub use tables::who;
pub(super) use tables::{name as process_name, place as destination_name};

use std::collections::BTreeMap;

use super::{
    closing,
    records::{FindingRecord, PoolRecord, Report},
    screen::{headline as verdict_line, line, put},
};

/// Findings that are told in full.
const FULL_FINDINGS: usize = 3;

/// Collisions a connect from which on it is worth a line how many there were.
const WORTH_TELLING: f64 = 0.05;

/// How a report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colour the verdict.
    pub color: bool,
    /// Rows of the tables; 0 for none.
    pub rows: usize,
}

/// The whole report as text.
#[must_use]
pub fn text(report: &Report, look: Look) -> String {
    let mut out = String::new();
    headline(&mut out, report, look);
    let filters = report.header.filters_given();
    if !filters.is_empty() {
        line(&mut out, "filtered to", &filters.join(" "));
    }
    for finding in report.findings.iter().take(FULL_FINDINGS) {
        full(&mut out, report, finding);
    }
    for finding in report.findings.iter().skip(FULL_FINDINGS) {
        line(
            &mut out,
            &finding.id,
            &format!("{} ({}; portscope explain {})", finding.title, finding.severity, finding.id),
        );
    }
    rate(&mut out, report);
    command(&mut out, report);
    search(&mut out, report);
    collisions(&mut out, report);
    call_sites::call_sites(&mut out, report);
    if look.rows != 0 && report.totals.counted.allocations != 0 {
        tables::processes(&mut out, report, look.rows);
        tables::destinations(&mut out, report, look.rows);
    }
    footer(&mut out, report);
    out
}

/// The verdict and what was watched, on one line.
fn headline(out: &mut String, report: &Report, look: Look) {
    let verdict = &report.verdict;
    let finding = verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
    let spaces = report.header.netns.len();
    let what = match &report.command {
        Some(command) if command.alone => command.name.clone(),
        _ if report.header.filters.is_empty() => "whole host".to_owned(),
        _ => "filtered".to_owned(),
    };
    let watched = format!("{} · {what} · {spaces} netns", report.header.backend);
    verdict_line(out, &verdict.word, &format!("{}{finding}", verdict.reason), &watched, look.color);
}

/// A finding with its lines; one that is not the verdict's says what it is first.
fn full(out: &mut String, report: &Report, finding: &FindingRecord) {
    if report.verdict.finding.as_deref() != Some(finding.id.as_str()) {
        line(out, &finding.id, &finding.title);
    }
    for one in &finding.lines {
        line(out, &one.label, &one.text);
    }
}

fn rate(out: &mut String, report: &Report) {
    let totals = &report.totals;
    let mut told = format!(
        "{} ports asked for in {:.1} s, {} refused; {}, best second {}",
        grouped(totals.counted.allocations),
        report.window.seconds,
        grouped(totals.counted.failures),
        per_second(totals.churn_mean),
        grouped(totals.churn_peak),
    );
    if let Some(pool) = fullest(report) {
        let (addr, port) = (pool.remote_addr.map(|addr| addr.to_string()), pool.remote_port);
        let full = format!(
            "; fullest pool {} > {}:{} {}",
            pool.local_addr,
            addr.unwrap_or_default(),
            port.unwrap_or_default(),
            share(pool.utilisation),
        );
        told.push_str(&full);
    }
    line(out, "rate", &told);
}

/// The fullest pool for connect that there is at the end; of a command that was traced alone, the fullest of its own.
pub(super) fn fullest(report: &Report) -> Option<&PoolRecord> {
    let alone = report.command.as_ref().is_some_and(|command| command.alone);
    let is_own = |pool: &PoolRecord| {
        report.destinations.iter().any(|one| {
            (one.netns, Some(one.remote_addr), one.remote_port)
                == (Some(pool.netns), pool.remote_addr, pool.remote_port)
        })
    };
    let is_there = |pool: &PoolRecord| pool.remote_addr.is_some() && pool.held_after_s.is_none();
    report.pools.iter().find(|pool| is_there(pool) && (!alone || is_own(pool)))
}

/// How the command was told from the rest, where that is not the usual way.
fn command(out: &mut String, report: &Report) {
    let Some(command) = &report.command else { return };
    let how = match command.told_by.as_deref() {
        Some("forks") => "by its forks, which the kernel told one by one",
        Some("parents") => "by the parents of each process, read when it was first seen",
        _ => return,
    };
    let mut told = format!("told from the rest {how}; no cgroup could be made for it");
    if command.untold != 0 {
        let events = grouped(command.untold);
        put(
            &mut told,
            &format!("; {events} events left out: their process was gone before it could be read"),
        );
    }
    line(out, "command", &told);
}

fn search(out: &mut String, report: &Report) {
    let search = &report.search;
    if search.found_ns.sum == 0 && search.failed == 0 {
        return;
    }
    let bound = if search.upper_bound { "<" } else { "" };
    let time =
        |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| format!("{bound}{}", duration_ns(ns)));
    let mut told = format!(
        "p50 {}  p99 {}  max {}, {} CPU",
        time(search.found_ns.p50),
        time(search.found_ns.p99),
        time(Some(search.found_ns.max)),
        search.cpus.map_or_else(|| "-".to_owned(), |cpus| format!("{bound}{cpus:.2}")),
    );
    if let Some(connect) = report.collisions.by_site.get("connect")
        && let (Some(candidates), Some(connects)) =
            (connect.candidates, report.totals.counted.by_site.get("connect"))
        && *connects != 0
    {
        let mean = numbers::ratio(candidates, *connects);
        put(&mut told, &format!("; {mean:.2} candidates per connect"));
    }
    if let Some(crossed) = report.collisions.crossed_share {
        put(&mut told, &format!("; {} crossed to the other half", share(Some(crossed))));
    }
    line(out, "search", &told);
}

/// Collisions: what was to be expected beside what was met, and by kind where they were counted.
fn collisions(out: &mut String, report: &Report) {
    let told: Vec<String> = compared(report).into_iter().chain(by_kind(report)).collect();
    if !told.is_empty() {
        line(out, "collisions", &told.join("; "));
    }
}

/// Observed and expected, unless there is next to nothing of either.
fn compared(report: &Report) -> Option<String> {
    let record = &report.collisions;
    let compared = record.compared.as_ref()?;
    let (observed, expected) = (compared.observed_per_allocation?, record.expected_per_allocation?);
    let ratio = compared.ratio.map(|ratio| format!(" ({ratio:.2} times)")).unwrap_or_default();
    (observed.max(expected) >= WORTH_TELLING).then(|| {
        format!("{observed:.2} per connect, {expected:.2} expected of pools as full as these{ratio}")
    })
}

fn by_kind(report: &Report) -> Option<String> {
    let counted = report.collisions.counted.as_ref()?;
    let found = kinds(&report.collisions.by_kind, counted.time_wait);
    let plural = if counted.searches == 1 { "" } else { "es" };
    let mut told = format!("{found} in {} search{plural}", grouped(counted.searches));
    if counted.bucket_unknown != 0 {
        put(&mut told, &format!(" (bound: not known of {})", grouped(counted.bucket_unknown)));
    }
    if counted.failed != 0 {
        let failed = kinds(&counted.failed_by_kind, counted.failed_time_wait);
        put(&mut told, &format!("; {failed} in {} that failed", grouped(counted.failed)));
    }
    Some(told)
}

fn kinds(by_kind: &BTreeMap<String, u64>, time_wait: u64) -> String {
    let of = |kind: &str| grouped(by_kind.get(kind).copied().unwrap_or(0));
    format!("{} bound, {} in use ({} TIME_WAIT)", of("bucket"), of("tuple"), grouped(time_wait))
}

fn footer(out: &mut String, report: &Report) {
    put(out, &format!("{}\n", closing::identity(&report.accounting)));
    for line in [
        closing::looked(report.accounting.inner_calls, report.accounting.inner_missed),
        closing::stacks(report.call_sites.as_ref()),
        closing::cost_line(&report.cost, report.accounting.seen),
    ]
    .into_iter()
    .flatten()
    {
        put(out, &format!("{line}\n"));
    }
}
