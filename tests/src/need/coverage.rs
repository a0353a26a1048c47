//! The table of `tracer/docs/014-coverage.md`, held against the tests that it names and what the kernels promise.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Need, Promise, Row};

const PAGE: &str = include_str!("../../../tracer/docs/014-coverage.md");
/// Needs that the page may name, by their words.
const NEEDS: [Need; 13] = [
    Need::Ipv6,
    Need::UdpLite,
    Need::Mptcp,
    Need::Sctp,
    Need::Dccp,
    Need::Smc,
    Need::Vrf,
    Need::Nfs,
    Need::Ping,
    Need::LocalPortRange,
    Need::Fastopen,
    Need::IoUring,
    Need::IoUringBind,
];
/// The kernels of the columns, as the page heads them, and the row that each of them is.
const KERNELS: [(&str, Row); 5] = [
    ("5.10", Row::V5_10),
    ("6.1", Row::V6_1),
    ("6.12", Row::V6_12),
    ("7.2", Row::Newest),
    ("7.3", Row::Backports),
];
/// What a cell says of a backend: told, told without some fields, or not told.
const SIGNS: [&str; 3] = ["●", "◐", "○"];
const ABSENT: &str = "—";

/// The rows of the table, as their cells.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = PAGE.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines.map(|line| line.split(" | ").map(str::trim).collect())
}

/// The names of tests in a cell.
fn tests(cell: &str) -> Vec<(&str, &str)> {
    let names = cell.split('`').skip(1).step_by(2);
    names.map(|name| name.split_once("::").unwrap_or((name, ""))).collect()
}

#[test]
fn the_columns_are_the_kernels_of_the_matrix_and_one_without_trampolines() {
    let head = rows().next().unwrap();
    let kernels: Vec<_> = KERNELS.iter().map(|(name, _)| *name).chain(["6.18 microVM"]).collect();
    assert_eq!(head[..2], ["path", "needs"]);
    assert_eq!(head[2..head.len() - 1], kernels);
    assert_eq!(head.last(), Some(&"test"));
}

#[test]
fn every_test_that_is_named_is_there() {
    let live = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live");
    let mut named = BTreeSet::new();
    for row in rows().skip(1) {
        let found = tests(row.last().unwrap());
        assert!(!found.is_empty(), "{} names no test", row[0]);
        named.extend(found);
    }
    assert!(named.len() > 20, "only {} tests are named", named.len());
    for (module, test) in named {
        let file = live.join(format!("{module}.rs"));
        let source = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{module}: {error}"));
        assert!(source.contains(&format!("\nfn {test}(")), "{module} has no {test}");
        assert!(source.contains(&format!("    {test},\n")), "{test} is no test of {module}");
    }
}

#[test]
fn a_path_is_absent_where_the_kernel_is_known_to_lack_it() {
    for row in rows().skip(1) {
        let need = NEEDS.iter().find(|need| need.to_string() == row[1]);
        assert!(need.is_some() || row[1].is_empty(), "{}: nothing is called {:?}", row[0], row[1]);
        for ((kernel, of), cell) in KERNELS.iter().zip(&row[2..]) {
            let lacks = need.is_some_and(|need| of.promise(*need) == Promise::Unmet);
            assert_eq!(*cell == ABSENT, lacks, "{} on {kernel}", row[0]);
        }
    }
}

#[test]
fn a_cell_has_a_sign_for_each_backend() {
    for row in rows().skip(1) {
        let cells = &row[2..row.len() - 1];
        assert_eq!(cells.len(), KERNELS.len() + 1, "{}", row[0]);
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != ABSENT) {
            let signs: Vec<_> = cell.split(' ').collect();
            assert!(signs.iter().all(|sign| SIGNS.contains(sign)), "{}: {cell:?}", row[0]);
            // The microVM's kernel runs one backend.
            assert_eq!(signs.len(), if at < KERNELS.len() { 3 } else { 1 }, "{}: {cell:?}", row[0]);
        }
    }
}
