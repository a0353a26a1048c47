//! The ledger of skips: one line a skip, test and reason, in the file that `PORTSCOPE_SKIP_LEDGER` names.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Adds a line; without a ledger it goes to standard error, where libtest shows it with `--nocapture`.
pub(super) fn write(test: &str, reason: &str) -> Result<()> {
    let line = line(test, reason);
    let Some(path) = std::env::var_os("PORTSCOPE_SKIP_LEDGER") else {
        return std::io::stderr().write_all(line.as_bytes()).context("standard error");
    };
    let mut file = OpenOptions::new().append(true).create(true).open(&path);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    file.write_all(line.as_bytes()).with_context(|| path.display().to_string())
}

fn line(test: &str, reason: &str) -> String {
    let flat: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{test}\t{flat}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(
            line("sites::fentry", "needs backend fentry:\nEPERM\t"),
            "sites::fentry\tneeds backend fentry: EPERM \n"
        );
    }
}
