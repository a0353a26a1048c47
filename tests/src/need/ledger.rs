//! The ledger of skips, in the file that `PORTSCOPE_SKIP_LEDGER` names: `test<TAB>reason` for a test that did not run;
//! a line without tab for a part that one that ran had to leave out.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Notes a test that does not run.
pub(super) fn skip(test: &str, reason: &str) -> Result<()> {
    write(&line(test, '\t', reason))
}

/// Notes a part of a test that cannot be had here.
pub(super) fn without(test: &str, reason: &str) -> Result<()> {
    write(&line(test, ' ', reason))
}

/// Without a ledger, lines go to standard error.
fn write(line: &str) -> Result<()> {
    let Some(path) = std::env::var_os("PORTSCOPE_SKIP_LEDGER") else {
        return std::io::stderr().write_all(line.as_bytes()).context("standard error");
    };
    let mut file = OpenOptions::new().append(true).create(true).open(&path);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    file.write_all(line.as_bytes()).with_context(|| path.display().to_string())
}

fn line(test: &str, between: char, reason: &str) -> String {
    let flat: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{test}{between}{flat}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(
            line("sites::fentry", '\t', "needs backend fentry:\nEPERM\t"),
            "sites::fentry\tneeds backend fentry: EPERM \n"
        );
    }
}
