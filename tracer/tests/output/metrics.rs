//! What `serve` tells who scrapes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use portscope::output::{
    metrics::{Buckets, Exposition, ProgramCount, RangeGauge, Served, SiteCount, Snapshot, exposition},
    records::{Accounting, SelfCost},
};
use serde_json::json;

use crate::{golden::assert_file, page::fixed};

fn site(site: &'static str, is_chosen: bool, error: Option<&'static str>, count: u64) -> SiteCount {
    SiteCount { site, is_chosen, proto: "tcp", error, count }
}

fn program(name: &str, unit: &str, container: &str, allocations: u64) -> ProgramCount {
    ProgramCount {
        name: name.to_owned(),
        unit: unit.to_owned(),
        container: container.to_owned(),
        pod: if container.is_empty() {
            String::new()
        } else {
            "3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a".to_owned()
        },
        allocations,
        failures: allocations / 3,
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let mut report = fixed::report();
    "6.1.0 \"odd\"\n".clone_into(&mut report.header.kernel);
    let mut finding = fixed::finding("full");
    for (key, value) in [
        ("netns", json!(4_026_531_840_u32)),
        ("pool", json!("127.0.0.1 > 10.0.9.2:6379")),
        ("holders", json!([{"exe": "/usr/bin/worker", "comm": "worker"}])),
        ("victims", json!([{"exe": null, "comm": "a\u{1b}[31m\"b\\c\n"}])),
    ] {
        finding.evidence.insert(key.to_owned(), value);
    }
    report.findings = vec![finding];
    Snapshot {
        report,
        most: 1,
        findings: vec!["PS001".to_owned(), "PS002".to_owned()],
        namespaces: BTreeMap::from([(4_026_531_840, "host".to_owned())]),
        ranges: vec![RangeGauge { netns: "host".to_owned(), low: 40_000, high: 40_999, effective: 900 }],
        sites: vec![
            site("connect", true, None, 1_600),
            site("connect", true, Some("EADDRNOTAVAIL"), 500),
            site("bind", false, Some("EADDRINUSE"), 2),
        ],
        programs: vec![
            program("worker", "worker.service", "", 1_500),
            program(&"x".repeat(200), "", "0123456789ab", 9),
        ],
        others: (591, 0),
        gone: (0, 0),
        searches: Buckets { counts: vec![(1e-6, 10), (0.001, 20), (1.0, 0)], above: 3, sum: 3.5 },
        distances: Buckets { counts: vec![(1.0, 0), (1_000.0, 4)], above: 30, sum: 130_000.0 },
        intervals: Buckets { counts: vec![(60.0, 2), (120.0, 1)], above: 0, sum: 200.5 },
        accounting: Accounting {
            seen: 2_110,
            emitted: 2_100,
            filtered: 8,
            lost: 2,
            missed: Some(0),
            kernel_ns: Some(650_000),
            inner_calls: None,
            inner_missed: None,
        },
        at_s: 1_795_000_000.25,
        cost: SelfCost { cpu_s: 1.5, rss_bytes: 30 << 20, kernel_ns_per_event: None },
        process: Some((24 << 20, 61)),
    }
}

#[test]
fn the_text_is_as_it_was() {
    let served = Served { answered: 7, rejected: 1 };
    for (form, file) in
        [(Exposition::OpenMetrics, "metrics.txt"), (Exposition::Classic, "metrics-classic.txt")]
    {
        let told = exposition(Arc::new(snapshot()), served, form).unwrap();
        assert_file(&format!("tests/output/golden/{file}"), &told);
    }
}

#[test]
fn no_label_is_a_local_port_or_a_process_and_every_family_says_what_it_is() {
    let told = exposition(Arc::new(snapshot()), Served::default(), Exposition::OpenMetrics).unwrap();
    for line in told.lines().filter(|line| !line.starts_with('#')) {
        for word in ["pid=", "lport=", "tid="] {
            assert!(!line.contains(word), "{line}");
        }
        let family = line.split(['{', ' ']).next().unwrap();
        let is_of = |help: &str| {
            let name = help.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next());
            name.is_some_and(|name| family.starts_with(name))
        };
        assert!(told.lines().any(is_of), "{family} has no help");
    }
    assert!(!told.contains('\u{1b}'), "an escape sequence");
}

#[test]
fn the_last_bucket_of_a_histogram_has_all() {
    let told = exposition(Arc::new(snapshot()), Served::default(), Exposition::OpenMetrics).unwrap();
    for (family, all) in
        [("search_seconds", 33), ("reuse_distance_allocations", 34), ("reuse_interval_seconds", 3)]
    {
        for line in [
            format!("portscope_{family}_bucket{{le=\"+Inf\"}} {all}"),
            format!("portscope_{family}_count {all}"),
        ] {
            assert!(told.lines().any(|one| one == line), "{line} in {told}");
        }
    }
}

#[test]
fn what_is_not_told_one_by_one_is_told_as_other() {
    let held = |most: usize| -> f64 {
        let told =
            exposition(Arc::new(Snapshot { most, ..snapshot() }), Served::default(), Exposition::OpenMetrics);
        let told = told.unwrap();
        let lines = told.lines().filter(|line| line.starts_with("portscope_pool_held_ports{"));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let all: u32 = snapshot()
        .report
        .pools
        .iter()
        .filter(|pool| pool.held_after_s.is_none())
        .map(|pool| pool.barred)
        .sum();
    for most in [1, 2, 100] {
        assert!((held(most) - f64::from(all)).abs() < 1e-9, "{most}: {} of {all}", held(most));
    }
}

#[test]
fn what_is_not_known_of_one_of_the_others_is_not_told_of_all() {
    let mut snapshot = snapshot();
    for pool in snapshot.report.pools.iter_mut().skip(1) {
        pool.failures = None;
    }
    let told = exposition(Arc::new(snapshot), Served::default(), Exposition::OpenMetrics).unwrap();
    let of_others = |family: &str| told.contains(&format!("portscope_pool_{family}{{netns=\"other\""));
    assert!(of_others("held_ports") && !of_others("recent_failures"), "{told}");
}

#[test]
fn who_asks_for_openmetrics_gets_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Exposition::accepted(prometheus), Exposition::OpenMetrics);
    for accept in ["", "*/*", "text/plain"] {
        assert_eq!(Exposition::accepted(accept), Exposition::Classic);
    }
}

#[test]
fn no_series_is_told_twice_and_counters_that_are_alike_add_up() {
    let mut snapshot = snapshot();
    snapshot.most = 10;
    // Cut, they are alike; one is called what the rest is called.
    let long = "y".repeat(200);
    snapshot.programs = vec![
        program(&format!("{long}1"), "", "", 30),
        program(&format!("{long}2"), "", "", 12),
        program("other", "", "", 6),
    ];
    (snapshot.others, snapshot.gone) = ((591, 0), (3, 0));
    snapshot.report.findings = [fixed::finding("one"), fixed::finding("another")].into();
    for form in [Exposition::OpenMetrics, Exposition::Classic] {
        let told = exposition(Arc::new(snapshot.clone()), Served::default(), form).unwrap();
        let pairs: Vec<(&str, f64)> = told
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(series, value)| (series, value.parse().unwrap()))
            .collect();
        let series: BTreeSet<&str> = pairs.iter().map(|(series, _)| *series).collect();
        assert_eq!(series.len(), pairs.len(), "{told}");
        let programs = pairs.iter().filter(|(series, _)| series.starts_with("portscope_program_allocations"));
        let counts: Vec<f64> = programs.map(|(_, count)| *count).collect();
        assert_eq!(counts, [42.0, 597.0], "{told}");
    }
}
