//! The text of a comparison, and what is said where two reports cannot be compared.

use portscope::{
    diff::{Reading, compare, read},
    output::{
        diff::text,
        records::{Change, Diff, FindingRecord, ProcessRecord, Report, RowRecord, SearchTimes, Word},
    },
};

use crate::{golden::assert_file, report};

fn finding(id: &str, severity: &str, title: &str) -> FindingRecord {
    FindingRecord {
        id: id.to_owned(),
        severity: severity.to_owned(),
        lint: false,
        takes_in: Vec::new(),
        title: title.to_owned(),
        evidence: std::collections::BTreeMap::new(),
        lines: Vec::new(),
        advice: Vec::new(),
        wont_help: Vec::new(),
        commands: Vec::new(),
    }
}

fn process(comm: &str, pid: u32, allocations: u64, failures: u64) -> ProcessRecord {
    ProcessRecord {
        pid: Some(pid),
        processes: 1,
        comm: Some(comm.to_owned()),
        exe: None,
        unit: None,
        container: None,
        pod: None,
        row: RowRecord { allocations, failures, ..RowRecord::default() },
        bound_connects: 0,
        time_wait_made: None,
    }
}

fn before() -> Report {
    let mut before = report::report("OK", None, vec![report::pool(300)]);
    before.interval = None;
    before.window.seconds = 20.0;
    before.totals.counted.allocations = 12_000;
    before.totals.counted.failures = 0;
    before.totals.churn_dispersion = Some(1.5);
    before.search.found_ns =
        SearchTimes { p50: Some(2_000), p99: Some(6_000), sum: 9, ..SearchTimes::default() };
    before.search.found_ns_between.p50 = Some([1_950, 2_050]);
    before.processes = vec![process("curl", 7, 11_990, 0), process("curl", 8, 10, 0)];
    before.findings = vec![finding("PS009", "info", "4-tuples come again soon")];
    before
}

fn after() -> Report {
    let mut after = report::report("EXHAUSTED", Some("PS001"), vec![report::pool(28_232)]);
    after.interval = None;
    after.totals.counted.by_error.insert("EADDRNOTAVAIL".to_owned(), 116);
    after.totals.failures_dispersion = Some(4.0);
    if let Some(pool) = after.pools.first_mut() {
        pool.failures = Some(116);
    }
    after.search.found_ns =
        SearchTimes { p50: Some(90_000), p99: Some(6_100), sum: 9, ..SearchTimes::default() };
    after.search.found_ns_between.p50 = Some([80_000, 99_000]);
    after.processes = vec![process("curl", 99, 6_110, 116)];
    after.findings = vec![finding("PS001", "critical", "the pool is full\u{1b}[2J")];
    if let Some(space) = after.header.netns.first_mut() {
        space.range = Some([15_000, 60_999]);
    }
    after
}

fn compared(a: Report, b: Report) -> Diff {
    let [a, b] = [("before.json", a), ("after.json", b)].map(|(file, report)| Reading {
        file: file.to_owned(),
        documents: 1,
        report,
    });
    compare(&a, &b)
}

#[test]
fn a_comparison_as_text() {
    assert_file("tests/output/golden/diff.txt", &text(&compared(before(), after()), false));
}

#[test]
fn programs_are_matched_by_name_and_findings_by_number() {
    let diff = compared(before(), after());
    assert_eq!(diff.programs.len(), 1);
    assert_eq!(diff.programs[0].allocations.count_a, Some(12_000));
    assert_eq!(diff.programs[0].failures.word, Word::Appeared);
    let changes: Vec<_> = diff.findings.iter().map(|one| (one.id.as_str(), one.change)).collect();
    assert_eq!(changes, [("PS001", Change::New), ("PS009", Change::Gone)]);
    assert_eq!((diff.settings[0].name.as_str(), diff.settings.len()), ("ip_local_port_range", 1));
}

#[test]
fn bounds_and_times_are_not_compared_and_neither_is_what_one_backend_does_not_see() {
    let (mut a, b) = (before(), after());
    a.search.upper_bound = true;
    a.header.fields_unavailable = vec!["candidates".to_owned()];
    a.header.backend = "tracepoint".to_owned();
    let diff = compared(a, b);
    let p50 = diff.measures.iter().find(|one| one.name == "search p50").unwrap();
    assert_eq!((p50.word, p50.ratio), (Word::NotComparable, None));
    assert!(
        diff.one_sided[0].starts_with("candidates: not comparable, the backend of A"),
        "{:?}",
        diff.one_sided
    );
    assert!(diff.caveats.iter().any(|one| one.contains("backends differ")), "{:?}", diff.caveats);
}

#[test]
fn a_report_without_what_is_told_since_is_read_and_compared() {
    let mut old = serde_json::to_value(before()).unwrap();
    old["totals"].as_object_mut().unwrap().remove("churn_dispersion");
    old["search"].as_object_mut().unwrap().remove("found_ns_between");
    old["header"]["netns"][0].as_object_mut().unwrap().remove("tcp_tw_reuse");
    let reading = read("old.json", old.to_string().as_bytes()).unwrap();
    let diff = compared(reading.report, after());
    let p50 = diff.measures.iter().find(|one| one.name == "search p50").unwrap();
    assert!(p50.word == Word::Unsure && p50.basis.contains("no interval"), "{p50:?}");
}

#[test]
fn of_several_documents_the_last_is_taken_and_places_count_from_the_beginning() {
    let mut first = before();
    first.interval = Some(1);
    let lines = |one: &Report| serde_json::to_string(one).unwrap();
    let file = format!("{}\n{}\n", lines(&first), lines(&before()));
    let reading = read("two.jsonl", file.as_bytes()).unwrap();
    assert_eq!(reading.document().as_deref(), Some("the whole, the last of 2 documents"));
    assert_eq!((reading.report.interval, reading.report.processes), (None, before().processes));

    let broken = format!("{}\n{{\"type\":\"report\",\"schema\":1}}\n", lines(&first));
    let error = read("two.jsonl", broken.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("two.jsonl") && error.contains("line 2"), "{error}");
}
