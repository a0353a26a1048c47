//! `--fail-on`: which findings make the command fail.

use std::str::FromStr;

use super::exit::complain;
use crate::{
    findings::{Finding, Id, Severity},
    output::records::FindingRecord,
};

/// Options of commands that tell findings.
#[derive(Debug, Default, clap::Args)]
pub(super) struct FailOptions {
    /// Exit with status 3 when a finding of this severity (info, warning, critical) or number (PS001) is told
    #[arg(long, value_name = "SEVERITY|ID", value_delimiter = ',')]
    fail_on: Vec<FailOn>,
    /// The status of --fail-on
    #[arg(long, value_name = "N", default_value_t = 3)]
    fail_status: u8,
}

impl FailOptions {
    /// The status to fail with, which is told, if one of these findings is a reason to.
    pub(super) fn status(&self, findings: &[Finding]) -> Option<u8> {
        self.met(findings.iter().any(|finding| self.fail_on.iter().any(|on| on.meets(finding))))
    }

    /// The same, of findings as they are told.
    pub(super) fn status_of(&self, findings: &[FindingRecord]) -> Option<u8> {
        self.met(findings.iter().any(|finding| self.fail_on.iter().any(|on| on.meets_record(finding))))
    }

    fn met(&self, is_met: bool) -> Option<u8> {
        is_met.then(|| {
            complain(&format!("--fail-on is met: status {}", self.fail_status));
            self.fail_status
        })
    }
}

/// Findings of this severity and worse, or of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FailOn {
    /// By severity; findings that only look at the configuration never count.
    Severity(Severity),
    /// By number.
    Id(Id),
}

impl FailOn {
    /// Whether a finding is meant.
    fn meets(self, finding: &Finding) -> bool {
        match self {
            Self::Severity(least) => finding.severity >= least && !finding.id.is_lint(),
            Self::Id(id) => finding.id == id || finding.takes_in.contains(&id),
        }
    }

    fn meets_record(self, finding: &FindingRecord) -> bool {
        match self {
            Self::Severity(least) => {
                let mut bad = SEVERITIES.into_iter().filter(|severity| *severity >= least);
                bad.any(|severity| severity.name() == finding.severity) && !finding.lint
            }
            Self::Id(id) => {
                let word = id.to_string();
                finding.id == word || finding.takes_in.contains(&word)
            }
        }
    }
}

const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

impl FromStr for FailOn {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if let Some(severity) = SEVERITIES.into_iter().find(|severity| severity.name() == word) {
            return Ok(Self::Severity(severity));
        }
        word.parse()
            .map(Self::Id)
            .map_err(|unknown| format!("'{word}' is no severity (info, warning, critical), and {unknown}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn finding(number: u16, severity: Severity) -> Finding {
        Finding {
            id: Id(number),
            severity,
            title: String::new(),
            evidence: BTreeMap::new(),
            lines: Vec::new(),
            advice: Vec::new(),
            wont_help: Vec::new(),
            commands: Vec::new(),
            takes_in: vec![Id(2)],
        }
    }

    #[test]
    fn a_severity_takes_in_what_is_worse_but_no_lint() {
        let on: FailOn = "warning".parse().unwrap();
        assert!(on.meets(&finding(1, Severity::Critical)) && on.meets(&finding(3, Severity::Warning)));
        assert!(!on.meets(&finding(9, Severity::Info)) && !on.meets(&finding(13, Severity::Warning)));
    }

    #[test]
    fn a_number_is_met_by_the_finding_and_by_its_echo() {
        for word in ["PS001", "ps1", "1"] {
            assert!(word.parse::<FailOn>().unwrap().meets(&finding(1, Severity::Info)), "{word}");
        }
        assert!("PS002".parse::<FailOn>().unwrap().meets(&finding(1, Severity::Info)));
        for word in ["bad", "PS000", "PS099", ""] {
            assert!(word.parse::<FailOn>().is_err(), "{word}");
        }
    }
}
