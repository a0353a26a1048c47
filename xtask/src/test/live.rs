//! Live tests: one script runs all test executables in order, here or in a guest, and what it prints is read
//! back as results.

use std::time::Duration;

use super::{
    failures::Failures,
    tally::{Skip, Tally},
};
use crate::executables::Executable;

const MARK: &str = "@portscope-test@";

/// Where things are for the tests.
pub(crate) struct Place<'a> {
    /// The row of the matrix, or `host`.
    pub(crate) row: &'a str,
    /// The folder of the programs.
    pub(crate) programs: &'a str,
    /// The folder for what tests leave behind.
    pub(crate) scratch: &'a str,
    /// Seconds until a test executable is killed.
    pub(crate) patience: u64,
    /// More arguments for the test executables, as words of the shell.
    pub(crate) arguments: &'a str,
    /// Assignments for the tests' environment beyond the usual.
    pub(crate) environment: &'a [(String, String)],
}

/// A shell script that runs test executables, given as (name, path).
pub(crate) fn script(place: &Place<'_>, tests: &[(String, String)]) -> String {
    let Place { row, programs, scratch, patience, arguments, environment } = place;
    let usual = format!(
        "export PORTSCOPE_BIN={programs}/portscope PORTSCOPE_WORKLOAD={programs}/workload\n\
         export PORTSCOPE_KERNEL_ROW={row} PORTSCOPE_SKIP_LEDGER={scratch}/skips RUST_BACKTRACE=1\n"
    );
    let more = environment.iter().map(|(name, value)| format!("export {name}={value}\n"));
    let runs = tests.iter().map(|(name, path)| {
        format!(
            "echo '{MARK} begin {name}'\n\
             : >{scratch}/skips\n\
             timeout -s KILL {patience} {path} --test-threads=1 {arguments} 2>&1\n\
             status=$?\n\
             echo '{MARK} skips'\n\
             cat {scratch}/skips\n\
             echo \"{MARK} end $status\"\n"
        )
    });
    [usual].into_iter().chain(more).chain(runs).collect()
}

/// The tests of one executable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The test executable.
    pub(crate) executable: String,
    /// Its sums.
    pub(crate) tally: Tally,
    /// Its skips.
    pub(crate) skips: Vec<Skip>,
    /// What went wrong beyond single tests.
    pub(crate) troubles: Vec<String>,
    /// What failed tests printed.
    pub(crate) failures: Failures,
    /// How long each test took.
    pub(crate) times: Vec<(String, Duration)>,
}

impl Report {
    /// A report of nothing but trouble.
    pub(crate) fn failed(executable: &str, trouble: String) -> Self {
        let mut report = Self { executable: executable.to_owned(), ..Self::default() };
        report.fail(trouble);
        report
    }

    fn fail(&mut self, trouble: String) {
        self.troubles.push(trouble);
        self.tally += Tally::FAILED;
    }
}

/// Reads what the script prints.
#[derive(Default)]
pub(crate) struct Reader {
    reports: Vec<Report>,
    state: State,
    /// When the last line came.
    last: Duration,
    /// The tests of the current executable, counted one by one, until libtest gives its sum.
    singles: Option<Tally>,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Between,
    Output,
    Ledger,
}

impl Reader {
    /// Takes a line that came at a time, and returns what to show of it.
    pub(crate) fn take(&mut self, line: &str, at: Duration) -> Option<String> {
        let took = at.saturating_sub(self.last);
        self.last = at;
        let Some((before, word)) = line.split_once(MARK) else { return self.text(line, took) };
        if !before.is_empty() {
            self.text(before, took);
        }
        self.mark(word.trim())
    }

    fn text(&mut self, line: &str, took: Duration) -> Option<String> {
        let report = self.reports.last_mut()?;
        match self.state {
            State::Between => None,
            State::Output => {
                report.failures.take(line);
                report.skips.extend(Skip::of_libtest(&report.executable, line));
                if let Some(sum) = Tally::of_libtest(line) {
                    report.tally += sum;
                    self.singles = None;
                }
                let Some((test, tally)) = Tally::of_test(line) else { return Some(line.to_owned()) };
                self.singles = self.singles.map(|singles| singles + tally);
                report.times.push((format!("{}::{test}", report.executable), took));
                Some(format!("{:6.1} s {line}", took.as_secs_f64()))
            }
            State::Ledger => {
                let skip = Skip::of_ledger(&report.executable, line)?;
                // A test may miss several things; it is one test.
                if !report.skips.iter().any(|known| known.test == skip.test) {
                    report.skips.push(skip);
                    report.tally = report.tally.with_skips(1);
                }
                None
            }
        }
    }

    fn mark(&mut self, word: &str) -> Option<String> {
        if let Some(name) = word.strip_prefix("begin ") {
            self.reports.push(Report { executable: name.to_owned(), ..Report::default() });
            self.singles = Some(Tally::default());
            self.state = State::Output;
            return None;
        }
        let report = self.reports.last_mut()?;
        if word == "skips" {
            self.state = State::Ledger;
            report.tally += self.singles.unwrap_or_default();
        } else if let Some(status) = word.strip_prefix("end ") {
            self.state = State::Between;
            if self.singles.is_some() || (status != "0" && report.tally.failed == 0) {
                report.fail(format!("the test executable ended with status {status}"));
            }
            return Some(format!("{}: {}", report.executable, report.tally));
        }
        None
    }

    /// The reports of all executables; one that was begun and not ended, or never begun, has failed.
    pub(crate) fn finish(mut self, tests: &[Executable]) -> Vec<Report> {
        if self.state != State::Between
            && let Some(report) = self.reports.last_mut()
        {
            report.tally += self.singles.unwrap_or_default();
            report.fail("the test executable did not end".to_owned());
        }
        for test in tests {
            if !self.reports.iter().any(|report| report.executable == test.name) {
                self.reports
                    .push(Report::failed(&test.name, "the test executable was not reached".to_owned()));
            }
        }
        self.reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], tests: &[&str]) -> Vec<Report> {
        let mut reader = Reader::default();
        for line in lines {
            reader.take(line, Duration::ZERO);
        }
        let tests: Vec<_> =
            tests.iter().map(|name| Executable { name: (*name).into(), path: "/x".into() }).collect();
        reader.finish(&tests)
    }

    #[test]
    fn results_and_ledger_make_a_report() {
        let begin = format!("{MARK} begin parity");
        let skips = format!("{MARK} skips");
        let end = format!("{MARK} end 0");
        let result = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let reports = read(&[&begin, result, &skips, "one\tno kprobes", &end], &["parity"]);
        assert_eq!(reports[0].tally, Tally { passed: 2, failed: 0, skipped: 1 });
        assert_eq!(reports[0].skips[0].reason, "no kprobes");
    }

    #[test]
    fn tests_before_a_crash_are_counted() {
        let [begin, skips, end] = ["begin a", "skips", "end 137"].map(|word| format!("{MARK} {word}"));
        let reports = read(&[&begin, "test one ... ok", "test two ... FAILED", &skips, &end], &["a"]);
        assert_eq!(reports[0].tally, Tally { passed: 1, failed: 2, skipped: 0 });
    }

    #[test]
    fn a_test_that_misses_two_things_is_skipped_once() {
        let [begin, skips, end] = ["begin a", "skips", "end 0"].map(|word| format!("{MARK} {word}"));
        let result = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let reports = read(&[&begin, result, &skips, "one\tno ipv6", "one\tno sctp", &end], &["a"]);
        assert_eq!(reports[0].tally, Tally { passed: 0, failed: 0, skipped: 1 });
    }

    #[test]
    fn a_crash_without_result_is_a_failure() {
        let reports = read(&[&format!("{MARK} begin a"), "x", &format!("{MARK} end 134")], &["a"]);
        assert_eq!(reports[0].tally, Tally::FAILED);
    }

    #[test]
    fn executables_that_hang_or_are_never_reached_are_failures() {
        let reports = read(&[&format!("{MARK} begin a"), "x"], &["a", "b"]);
        assert_eq!(reports.iter().map(|report| report.tally).collect::<Vec<_>>(), [Tally::FAILED; 2]);
    }
}
