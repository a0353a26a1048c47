//! What test executables print of their failed tests, kept so that it stands at the end of everything, where
//! it is looked for.

/// As many lines of one executable are kept: the first, where the first failure is told whole.
const LINES: usize = 150;

/// The part of an executable's output that tells of failures.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    lines: Vec<String>,
    within: bool,
    left_off: usize,
}

impl Failures {
    /// Takes a line of the output.
    pub(crate) fn take(&mut self, line: &str) {
        // libtest begins with this line twice: with what failed tests printed, and with their names.
        if line == "failures:" {
            self.within = true;
        } else if line.starts_with("test result: ") {
            self.within = false;
        } else if self.within && !line.is_empty() {
            if self.lines.len() < LINES {
                self.lines.push(line.to_owned());
            } else {
                self.left_off += 1;
            }
        }
    }

    /// What is shown of it, indented; nothing when nothing failed.
    pub(crate) fn shown(&self) -> impl Iterator<Item = String> {
        let rest = (self.left_off > 0).then(|| format!("  ({} more lines above)", self.left_off));
        self.lines.iter().map(|line| format!("  {line}")).chain(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Vec<String> {
        let mut failures = Failures::default();
        for line in lines {
            failures.take(line);
        }
        failures.shown().collect()
    }

    #[test]
    fn what_failed_tests_printed_is_kept_and_nothing_else() {
        let lines = [
            "test a ... ok",
            "test b ... FAILED",
            "",
            "failures:",
            "---- b stdout ----",
            "left: 1",
            "failures:",
            "    b",
            "",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
            "running 3 tests",
        ];
        assert_eq!(of(&lines), ["  ---- b stdout ----", "  left: 1", "      b"]);
    }

    #[test]
    fn a_flood_is_cut_and_says_so() {
        let mut lines = vec!["failures:"];
        lines.extend(["x"; LINES + 5]);
        assert_eq!(of(&lines).last().unwrap(), "  (5 more lines above)");
    }
}
