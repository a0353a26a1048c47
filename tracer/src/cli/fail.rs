//! `--fail-on`: which findings make the command fail.

use std::str::FromStr;

use crate::findings::{Finding, Id, Severity};

/// Findings of this severity and worse, or of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailOn {
    /// By severity; findings that only look at the configuration never count.
    Severity(Severity),
    /// By number.
    Id(Id),
}

/// Findings that look at the configuration: they fail a command only by their number.
const LINTS: [u16; 5] = [6, 8, 12, 13, 14];

impl FailOn {
    /// Whether a finding is meant.
    pub(super) fn meets(self, finding: &Finding) -> bool {
        match self {
            Self::Severity(least) => finding.severity >= least && !LINTS.contains(&finding.id.0),
            Self::Id(id) => finding.id == id || finding.takes_in.contains(&id),
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let severities = [Severity::Info, Severity::Warning, Severity::Critical];
        if let Some(severity) = severities.into_iter().find(|severity| severity.name() == word) {
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
