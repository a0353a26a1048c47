//! Whether two reports can be compared at all, and what they found.

use std::collections::{BTreeMap, BTreeSet};

use super::{read::Reading, told::Both};
use crate::output::records::{Change, FindingChange, FindingRecord, Report};

/// Shorter windows say little of rates.
const SHORT_S: f64 = 10.0;
/// Windows whose lengths are farther apart than that are worth a word.
const MUCH_LONGER: f64 = 1.5;

/// What makes them hard to compare, the worst first.
pub(super) fn caveats(a: &Reading, b: &Reading) -> Vec<String> {
    let (before, after) = (&a.report, &b.report);
    let mut all = Vec::new();
    let mut say = |is: bool, text: String| {
        if is {
            all.push(text);
        }
    };
    let differs = |what: &str, a: &str, b: &str| (a != b, format!("{what}: {a} in A, {b} in B"));
    say(before == after, "A and B are the same report".to_owned());
    let (is, text) = differs("what was watched differs", &watched(before), &watched(after));
    say(is, text);
    let filters = [before, after].map(|report| &report.header.filters);
    say(filters[0] != filters[1], "the filters differ: counts are not of the same events".to_owned());
    let (is, text) = differs("the hosts differ", &before.header.host, &after.header.host);
    say(is, text);
    let (is, text) = differs("the kernels differ", &before.header.kernel, &after.header.kernel);
    say(is, text);
    let (is, text) = differs("the backends differ", &before.header.backend, &after.header.backend);
    say(is, text);
    for (side, reading) in [("A", a), ("B", b)] {
        let report = &reading.report;
        say(
            report.interval.is_some(),
            format!("{side} is one interval of a report whose last document, the whole, is missing"),
        );
        say(
            report.window.seconds < SHORT_S,
            format!(
                "{side} gathered for {:.1} s only: too short to tell bursts from chance",
                report.window.seconds
            ),
        );
        say(
            report.accounting.lost != 0,
            format!("{side} lost the detail of {} events; its counts are whole", report.accounting.lost),
        );
        let missed = report.accounting.missed.unwrap_or(0);
        say(missed != 0, format!("{side} missed up to {missed} choices"));
    }
    say(
        before.window.started > after.window.started && before != after,
        "A began after B: is the order right?".to_owned(),
    );
    let [short, long] = lengths(before, after);
    say(
        long > short * MUCH_LONGER,
        format!(
            "the windows are {:.1} s and {:.1} s long: counts are told by the second",
            before.window.seconds, after.window.seconds
        ),
    );
    all
}

fn lengths(a: &Report, b: &Report) -> [f64; 2] {
    let (a, b) = (a.window.seconds, b.window.seconds);
    [a.min(b), a.max(b)]
}

/// What was watched.
pub(super) fn watched(report: &Report) -> String {
    match &report.command {
        Some(command) if command.alone => format!("the command {}", command.name),
        _ if report.header.filters.is_empty() => "whole host".to_owned(),
        _ => "filtered".to_owned(),
    }
}

/// Fields that one of them cannot show.
pub(super) fn one_sided(both: Both<'_>) -> Vec<String> {
    let [a, b] = [both.a, both.b].map(|report| -> BTreeSet<&str> {
        report.header.fields_unavailable.iter().map(String::as_str).collect()
    });
    let told = |side: &str, backend: &str, field: &&str| {
        format!("{field}: not comparable, the backend of {side} ({backend}) does not see it")
    };
    let only_a = a.difference(&b).map(|field| told("A", &both.a.header.backend, field));
    only_a.chain(b.difference(&a).map(|field| told("B", &both.b.header.backend, field))).collect()
}

/// What became of each finding.
pub(super) fn findings(both: Both<'_>) -> Vec<FindingChange> {
    let [a, b] = [both.a, both.b].map(|report| -> BTreeMap<&str, Vec<&FindingRecord>> {
        let mut by_id: BTreeMap<&str, Vec<&FindingRecord>> = BTreeMap::new();
        for finding in &report.findings {
            by_id.entry(&finding.id).or_default().push(finding);
        }
        by_id
    });
    let ids: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
    let none = Vec::new();
    let mut all: Vec<FindingChange> = ids
        .into_iter()
        .map(|id| {
            let [in_a, in_b] = [&a, &b].map(|side| side.get(id).unwrap_or(&none));
            let titles = |list: &[&FindingRecord]| list.iter().map(|finding| finding.title.clone()).collect();
            FindingChange {
                id: id.to_owned(),
                change: match (in_a.is_empty(), in_b.is_empty()) {
                    (true, _) => Change::New,
                    (_, true) => Change::Gone,
                    _ => Change::Still,
                },
                severity_a: worst(in_a),
                severity_b: worst(in_b),
                titles_a: titles(in_a),
                titles_b: titles(in_b),
                lint: in_a.iter().chain(in_b.iter()).all(|finding| finding.lint),
            }
        })
        .collect();
    let severity = |one: &FindingChange| {
        one.severity_a.as_deref().map_or(0, rank).max(one.severity_b.as_deref().map_or(0, rank))
    };
    all.sort_by_key(|one| (one.change, one.lint, std::cmp::Reverse(severity(one))));
    all
}

fn worst(findings: &[&FindingRecord]) -> Option<String> {
    findings.iter().map(|finding| finding.severity.as_str()).max_by_key(|word| rank(word)).map(str::to_owned)
}

fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 3,
        "warning" => 2,
        _ => 1,
    }
}
