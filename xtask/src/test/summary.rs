//! The end of a test run: a table, the skips with their reasons, and the sum.

use std::{collections::BTreeMap, time::Duration};

use super::{
    failures::Failures,
    live::Report,
    tally::{Skip, Tally},
};
use crate::vm::RowResult;

/// What is shown at the end.
#[derive(Default)]
pub(crate) struct Summary {
    lines: Vec<Line>,
    skips: Vec<(String, Skip)>,
    troubles: Vec<String>,
    failures: Vec<(String, Failures)>,
    times: Vec<(String, Duration)>,
}

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

struct Line {
    kernel: String,
    version: String,
    executable: String,
    tally: Tally,
}

impl Summary {
    /// Adds the tests of one executable on one kernel.
    pub(crate) fn add(&mut self, kernel: &str, version: &str, report: Report) {
        let troubles = report.troubles.iter().map(|text| format!("{kernel}: {}: {text}", report.executable));
        self.troubles.extend(troubles);
        self.times.extend(report.times.into_iter().map(|(test, took)| (format!("{kernel}: {test}"), took)));
        if report.tally.failed > 0 {
            self.failures.push((format!("{kernel}: {}", report.executable), report.failures));
        }
        self.lines.push(Line {
            kernel: kernel.to_owned(),
            version: version.to_owned(),
            executable: report.executable,
            tally: report.tally,
        });
        self.skips.extend(report.skips.into_iter().map(|skip| (kernel.to_owned(), skip)));
    }

    /// Adds something that could not be run at all.
    pub(crate) fn skip(&mut self, kernel: &str, what: &str, reason: &str) {
        let skip = Skip { test: what.to_owned(), reason: reason.to_owned() };
        let report = Report {
            executable: what.to_owned(),
            tally: Tally::SKIPPED,
            skips: vec![skip],
            ..Report::default()
        };
        self.add(kernel, "-", report);
    }

    /// Adds something that either held or did not.
    pub(crate) fn judge(&mut self, kernel: &str, what: &str, held: bool) {
        let tally = if held { Tally::PASSED } else { Tally::FAILED };
        self.add(kernel, "-", Report { executable: what.to_owned(), tally, ..Report::default() });
    }

    /// Adds the rows of the matrix.
    pub(crate) fn add_rows(&mut self, rows: Vec<RowResult>) {
        for RowResult { row, version, reports } in rows {
            match reports {
                Ok(reports) => reports.into_iter().for_each(|report| self.add(row.name(), &version, report)),
                Err(reason) => self.skip(row.name(), "the live tests", &reason),
            }
        }
    }

    /// The sum over everything.
    pub(crate) fn total(&self) -> Tally {
        self.lines.iter().fold(Tally::default(), |sum, line| sum + line.tally)
    }

    /// Prints everything; the sum is the last line.
    pub(crate) fn print(&self) {
        for line in self.table() {
            println!("{line}");
        }
        let slowest = self.slowest();
        if !slowest.is_empty() {
            println!("\nslowest:");
        }
        for (test, took) in slowest {
            println!("{:7.1} s {test}", took.as_secs_f64());
        }
        if !self.skips.is_empty() {
            println!("\nskipped:");
        }
        for ((kernel, reason), tests) in self.skips_by_reason() {
            println!("  {kernel}: {} tests: {reason}", tests.len());
            for test in tests {
                println!("      {test}");
            }
        }
        if !self.troubles.is_empty() {
            println!("\ntroubles:");
        }
        for trouble in &self.troubles {
            println!("  {trouble}");
        }
        if !self.failures.is_empty() {
            println!("\nfailed:");
        }
        for (place, failures) in &self.failures {
            println!("  {place}");
            for line in failures.shown() {
                println!("  {line}");
            }
        }
        println!("\n{}", self.total());
    }

    fn skips_by_reason(&self) -> BTreeMap<(&str, &str), Vec<&str>> {
        let mut by_reason: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (kernel, Skip { test, reason }) in &self.skips {
            by_reason.entry((kernel.as_str(), reason.as_str())).or_default().push(test.as_str());
        }
        by_reason
    }

    fn slowest(&self) -> Vec<(&str, Duration)> {
        let mut times: Vec<_> = self.times.iter().map(|(test, took)| (test.as_str(), *took)).collect();
        times.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        times.truncate(SLOWEST);
        times
    }

    fn table(&self) -> Vec<String> {
        let width = |cell: fn(&Line) -> &str, title: &str| {
            self.lines.iter().map(|line| cell(line).len()).chain([title.len()]).max().unwrap_or(0)
        };
        let kernel = width(|line| &line.kernel, "kernel");
        let version = width(|line| &line.version, "version");
        let executable = width(|line| &line.executable, "test binary");
        let head = format!(
            "{:kernel$} | {:version$} | {:executable$} | passed | failed | skipped",
            "kernel", "version", "test binary"
        );
        let mut table = vec![String::new(), head];
        for line in &self.lines {
            let Tally { passed, failed, skipped } = line.tally;
            table.push(format!(
                "{:kernel$} | {:version$} | {:executable$} | {passed:>6} | {failed:>6} | {skipped:>7}",
                line.kernel, line.version, line.executable
            ));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_counts_failures_skips_and_missing_rows() {
        let mut summary = Summary::default();
        summary.judge("host", "object identity", true);
        summary.judge("host", "unit tests", false);
        summary.skip("5.10", "the live tests", "no such suite");
        assert_eq!(summary.total().to_string(), "1 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn the_table_has_a_line_for_each_executable() {
        let mut summary = Summary::default();
        summary.judge("6.1", "parity", true);
        let table = summary.table();
        assert_eq!(table[1], "kernel | version | test binary | passed | failed | skipped");
        assert_eq!(table[2], "6.1    | -       | parity      |      1 |      0 |       0");
    }
}
