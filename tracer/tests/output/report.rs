//! The text of a report and of its intervals.

use std::collections::BTreeMap;

use portscope::output::{
    records::{
        Accounting, CallSiteRecord, CallSitesRecord, CollisionsRecord, CommandEnd, ComparedRecord,
        CountedRecord, DistributionRecord, FrameRecord, PoolRecord, Report, ReportTotals, ReuseRecord,
        RowsBound, SCHEMA, SearchRecord, SelfCost, Totals, VerdictRecord, Window,
    },
    report::{Look, interval, interval_titles, text},
};

use crate::cases::header;

pub(crate) fn pool(barred: u32) -> PoolRecord {
    PoolRecord {
        netns: 4_026_531_840,
        proto: "tcp".to_owned(),
        local_addr: "10.0.3.14".parse().unwrap(),
        remote_addr: Some("10.0.9.2".parse().unwrap()),
        remote_port: Some(6379),
        range: [32_768, 60_999],
        effective: 28_232,
        held_after_s: None,
        barred,
        peak_barred: barred,
        utilisation: Some(f64::from(barred) / 28_232.0),
        barred_by_binds: 0,
        held: BTreeMap::new(),
        reusable_time_wait: None,
        halves: None,
        failures: Some(0),
        sustainable_per_s: None,
        cliff_per_s: None,
        hold: None,
        search: None,
        exhausted_in_s: None,
        holders: Vec::new(),
    }
}

pub(crate) fn report(word: &str, finding: Option<&str>, pools: Vec<PoolRecord>) -> Report {
    Report {
        schema: SCHEMA,
        header: header(),
        window: Window { started: "no time".to_owned(), ended: "no time".to_owned(), seconds: 10.0 },
        interval: Some(1),
        verdict: VerdictRecord {
            word: word.to_owned(),
            reason: "10.0.3.14 > 10.0.9.2:6379: 116 of 6,110 connects refused (EADDRNOTAVAIL)".to_owned(),
            finding: finding.map(str::to_owned),
        },
        totals: ReportTotals {
            counted: Totals { allocations: 6_110, failures: 116, ..Totals::default() },
            churn_mean: Some(611.0),
            churn_peak: 640,
            churn_dispersion: None,
            failures_dispersion: None,
        },
        processes: Vec::new(),
        destinations: Vec::new(),
        rows_bound: RowsBound::default(),
        pools,
        collisions: CollisionsRecord::default(),
        search: SearchRecord::default(),
        reuse: ReuseRecord::default(),
        distribution: DistributionRecord::default(),
        call_sites: None,
        findings: Vec::new(),
        accounting: Accounting { seen: 6_110, emitted: 6_110, ..Accounting::default() },
        command: None,
        cost: SelfCost::default(),
    }
}

#[test]
fn an_interval_is_a_row_under_its_titles_and_says_more_when_something_is_wrong() {
    let look = Look { color: false, rows: 5 };
    let full = interval(&report("EXHAUSTED", Some("PS001"), vec![pool(28_232)]), look);
    let quiet = interval(&report("OK", None, Vec::new()), look);
    let lines: Vec<&str> = full.lines().collect();
    assert_eq!(
        lines,
        [
            "no time      6,110      116    611/s  10.0.3.14 > 10.0.9.2:6379             28,232 (100.0 %)  EXHAUSTED",
            "             10.0.3.14 > 10.0.9.2:6379: 116 of 6,110 connects refused (EADDRNOTAVAIL) [PS001]",
        ]
    );
    assert_eq!(quiet.lines().count(), 1);
    let titles = interval_titles();
    let ends = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
    assert_eq!(ends(&titles, "HELD"), ends(lines[0], "%)"));
    assert_eq!(titles.find("VERDICT"), lines[0].find("EXHAUSTED"));
    // What was full in the interval is not so at its end.
    let gone = PoolRecord { held_after_s: Some(4.0), ..pool(28_232) };
    let left = interval(&report("OK", None, vec![gone, pool(7)]), look);
    assert!(left.contains("7 (0.0 %)") && !left.contains("28,232"), "{left}");
    assert!(interval(&report("TOO SHORT TO SAY", None, vec![pool(28_232)]), look).trim_end().len() <= 110);
}

#[test]
fn how_a_command_was_told_from_the_rest_is_said_unless_it_had_a_cgroup() {
    let told = |told_by: &str, untold| {
        let command = CommandEnd {
            name: "wrk".to_owned(),
            status: Some(0),
            alone: true,
            told_by: Some(told_by.to_owned()),
            untold,
        };
        let report = Report { command: Some(command), ..report("OK", None, Vec::new()) };
        text(&report, Look { color: false, rows: 0 })
    };
    assert!(!told("cgroup", 0).contains("told from the rest"));
    assert!(
        told("forks", 0).contains("told from the rest by its forks")
            && !told("forks", 0).contains("left out")
    );
    assert!(told("parents", 1_234).contains("1,234 events left out"), "{}", told("parents", 1_234));
}

/// Sites of a process, refused and not, with a stack each.
pub(crate) fn call_sites(comm: &str, symbol: &str) -> CallSitesRecord {
    let frame = |symbol: &str| FrameRecord {
        address: "0x7f01".to_owned(),
        module: Some("/opt/app/client".to_owned()),
        module_offset: Some(0x1234),
        symbol: Some(symbol.to_owned()),
        symbol_offset: Some(0x2b),
        file: Some("/src/net.c".to_owned()),
        line: Some(42),
        inlined: false,
    };
    let site = |error: Option<&str>, count, share| CallSiteRecord {
        pid: 101,
        comm: comm.to_owned(),
        exe: Some(format!("/usr/bin/{comm}")),
        site: "connect".to_owned(),
        port_named: false,
        error: error.map(str::to_owned),
        count,
        share,
        frames: vec![
            FrameRecord { symbol: None, file: None, line: None, ..frame("") },
            frame(symbol),
            FrameRecord { module: None, symbol: None, ..frame("") },
        ],
        unnamed: None,
    };
    CallSitesRecord {
        of: "all".to_owned(),
        calls: 2_000,
        without_stack: [("EFAULT".to_owned(), 3)].into(),
        uncounted: 0,
        others: 7,
        sites: vec![
            site(Some("EADDRNOTAVAIL"), 116, 1.0),
            CallSiteRecord {
                frames: vec![FrameRecord { address: "0x1000".to_owned(), ..FrameRecord::default() }],
                unnamed: Some("gone".to_owned()),
                ..site(None, 1_200, 0.75)
            },
        ],
    }
}

#[test]
fn call_sites_are_told_with_their_stacks_and_no_name_is_obeyed() {
    let plain = report("OK", None, Vec::new());
    assert!(!text(&plain, Look::default()).contains("call site"));
    let found = call_sites("cli\u{1b}[2J", "open\u{202e}_all");
    let told = text(&Report { call_sites: Some(found), ..plain }, Look::default());
    for expected in [
        "call site    cli\\x1b[2J(101) connect 116 times: refused with EADDRNOTAVAIL, 100.0 % of all that were refused\n",
        "               0x7f01 (client+0x1234)\n",
        "               open\\u{202e}_all+0x2b (net.c:42, client)\n",
        "               0x7f01\n",
        "call site    cli\\x1b[2J(101) connect 1,200 times: 75.0 % of all that were given a port\n",
        "               no names: the process had ended before they could be looked up\n",
        "\nstacks of 1,997 calls, 3 without one (EFAULT)\n",
    ] {
        assert!(told.contains(expected), "{expected:?}: {told}");
    }
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told}");
    assert!(told.lines().skip(1).all(|line| line.chars().count() <= 110), "{told}");
}

#[test]
fn collisions_are_told_by_kind_where_they_were_counted() {
    let of = |bucket, tuple| BTreeMap::from([("bucket".to_owned(), bucket), ("tuple".to_owned(), tuple)]);
    let collisions = CollisionsRecord {
        by_kind: of(1_200, 7),
        counted: Some(CountedRecord {
            searches: 40,
            bucket_unknown: 2,
            time_wait: 3,
            failed: 1,
            failed_by_kind: of(5, 32),
            failed_time_wait: 9,
        }),
        ..CollisionsRecord::default()
    };
    let plain = report("OK", None, Vec::new());
    let accounting = Accounting { inner_calls: Some(1_301), ..plain.accounting.clone() };
    let counted = text(&Report { collisions, accounting, ..plain.clone() }, Look::default());
    let words = counted.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "collisions 1,200 bound, 7 in use (3 TIME_WAIT) in 40 searches (bound: not known of 2); \
                5 bound, 32 in use (9 TIME_WAIT) in 1 that failed seen";
    assert!(words.contains(told), "{counted}");
    assert!(counted.ends_with("lost 0\n1,301 calls inside of searches looked at\n"), "{counted}");
    assert!(counted.lines().skip(1).all(|line| line.chars().count() <= 110), "{counted}");
    let plain = text(&plain, Look::default());
    assert!(!plain.contains("collisions ") && plain.ends_with("lost 0\n"), "{plain}");
}

#[test]
fn collisions_are_told_beside_what_was_to_be_expected() {
    let told = |observed, expected, ratio| {
        let compared =
            Some(ComparedRecord { searches: 9_000, observed_per_allocation: Some(observed), ratio });
        let collisions = CollisionsRecord {
            compared,
            expected_per_allocation: Some(expected),
            ..CollisionsRecord::default()
        };
        let text = text(&Report { collisions, ..report("OK", None, Vec::new()) }, Look::default());
        text.lines()
            .find(|line| line.starts_with("collisions"))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let full = told(7_441.2, 6_909.0, Some(1.077));
    assert_eq!(
        full.as_deref(),
        Some("collisions 7441.20 per connect, 6909.00 expected of pools as full as these (1.08 times)")
    );
    assert_eq!(told(0.0, 0.04, Some(0.0)), None);
    assert_eq!(
        told(0.5, 0.0, None).as_deref(),
        Some("collisions 0.50 per connect, 0.00 expected of pools as full as these")
    );
}
