//! Sums: how many tests passed, failed and were skipped, and why those were.

use std::{
    fmt,
    ops::{Add, AddAssign},
};

/// Numbers of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that ran and were content.
    pub(crate) passed: usize,
    /// Tests that were not, and executables that ended badly.
    pub(crate) failed: usize,
    /// Tests that did not run.
    pub(crate) skipped: usize,
}

impl Tally {
    /// One failure.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    /// One success.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    /// One skip.
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Reads libtest's closing line.
    pub(crate) fn of_libtest(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("test result: ")?.1.split_once(". ")?;
        let count = |what: &str| {
            let part = counts.split(';').map(str::trim).find(|part| part.ends_with(what))?;
            part.split_whitespace().next()?.parse().ok()
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
    }

    /// Reads libtest's line for one test: its name and how it did.
    pub(crate) fn of_test(line: &str) -> Option<(&str, Self)> {
        let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
        // What a child of the test wrote may stand between the name and the verdict.
        let tally = match verdict.rsplit(' ').next()? {
            "ok" => Self::PASSED,
            "FAILED" => Self::FAILED,
            _ if verdict.starts_with("ignored") => Self::SKIPPED,
            _ => return None,
        };
        Some((name, tally))
    }

    /// The same with tests that returned early, which libtest takes for passed.
    pub(crate) fn with_skips(self, skips: usize) -> Self {
        Self { passed: self.passed.saturating_sub(skips), skipped: self.skipped + skips, ..self }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// A test that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    /// Its name, with its executable.
    pub(crate) test: String,
    /// Why.
    pub(crate) reason: String,
}

impl Skip {
    /// Reads a line of the ledger to which tests append: `name<TAB>reason`.
    pub(crate) fn of_ledger(executable: &str, line: &str) -> Option<Self> {
        let (test, reason) = line.split_once('\t')?;
        Some(Self { test: format!("{executable}::{}", test.trim()), reason: reason.trim().to_owned() })
    }

    /// Reads libtest's line for an ignored test.
    pub(crate) fn of_libtest(executable: &str, line: &str) -> Option<Self> {
        let (test, reason) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
        let reason = reason.trim_start_matches(',').trim();
        let reason = if reason.is_empty() { "marked `ignore` in the source" } else { reason };
        Some(Self { test: format!("{executable}::{test}"), reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_libtest_is_read() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0s";
        assert_eq!(Tally::of_libtest(line), Some(Tally { passed: 12, failed: 3, skipped: 1 }));
        assert_eq!(Tally::of_libtest("test decode ... ok"), None);
    }

    #[test]
    fn the_line_of_a_test_is_read() {
        assert_eq!(Tally::of_test("test a::b ... ok"), Some(("a::b", Tally::PASSED)));
        assert_eq!(Tally::of_test("test a ... ignored, slow"), Some(("a", Tally::SKIPPED)));
        assert_eq!(Tally::of_test("test a ... Killed"), None);
    }

    #[test]
    fn skips_of_the_ledger_are_taken_from_the_passed() {
        let tally = Tally { passed: 5, failed: 1, skipped: 0 }.with_skips(2);
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn a_ledger_line_has_a_name_and_a_reason() {
        let skip = Skip::of_ledger("parity", "fentry_equals_kprobe\tno kprobe here\n").unwrap();
        assert_eq!(skip.test, "parity::fentry_equals_kprobe");
        assert_eq!(skip.reason, "no kprobe here");
        assert_eq!(Skip::of_ledger("parity", "no tab"), None);
    }

    #[test]
    fn an_ignored_test_tells_its_reason() {
        let skip = Skip::of_libtest("a", "test slow ... ignored, takes an hour").unwrap();
        assert_eq!((skip.test.as_str(), skip.reason.as_str()), ("a::slow", "takes an hour"));
        assert_eq!(Skip::of_libtest("a", "test slow ... ok"), None);
    }
}
