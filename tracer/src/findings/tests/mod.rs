//! For each finding a case that provokes it and a healthy one, the verdicts, and what never happens.

mod conflicts;
mod flows;
mod ports;
mod prospects;
mod records;
mod sample;
mod settings;
mod verdicts;

use std::collections::BTreeSet;

use super::{Finding, Id, Severity, catalogue, explain, judge::RULES};

/// The lines of a finding as they will stand below each other.
fn text(finding: &Finding) -> String {
    let line = |line: &super::Line| format!("{:<12} {}", line.label, line.text);
    finding.lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What holds for every finding.
fn is_well_formed(finding: &Finding) {
    assert!(explain(finding.id).is_some(), "{} has no explanation", finding.id);
    assert!(!finding.title.is_empty() && !finding.lines.is_empty(), "{finding:#?}");
    for line in &finding.lines {
        assert!(line.label.len() <= 12 && !line.text.contains('\n'), "{line:?}");
        // A command is never cut.
        let is_command = ["sysctl -w", "ss -K"].iter().any(|word| line.text.contains(word));
        assert!(is_command || line.text.chars().count() <= 99, "{line:?}");
    }
    for command in &finding.commands {
        assert!(!command.run.contains('\n'), "{command:?}");
    }
}

#[test]
fn every_rule_has_its_explanation_and_every_explanation_its_rule() {
    let rules: BTreeSet<u16> = RULES.iter().map(|(id, _)| *id).collect();
    let explained: Vec<u16> = catalogue().iter().map(|one| one.id.0).collect();
    assert_eq!(rules.len(), RULES.len());
    assert_eq!(rules.into_iter().collect::<Vec<_>>(), explained);
}

#[test]
fn every_explanation_is_whole_sentences() {
    for one in catalogue() {
        for text in [one.when, one.means, one.confirm].iter().chain(one.helps).chain(one.wont_help) {
            assert!(text.ends_with(['.', ')']), "{}: {text}", one.id);
            assert!(!text.contains("  ") && !text.contains('\n'), "{}: {text}", one.id);
        }
        assert!(!one.title.is_empty() && !one.helps.is_empty() && !one.wont_help.is_empty());
    }
}

#[test]
fn a_number_is_read_however_it_is_written() {
    for text in ["PS004", "ps4", "4", " Ps04 "] {
        assert_eq!(text.parse(), Ok(Id(4)), "{text}");
    }
    for text in ["", "PS", "PS007", "7", "-4", "+4", "PS4x", "99999999", "é", "ps\u{1b}"] {
        let said = text.parse::<Id>().unwrap_err().to_string();
        assert!(said.contains("PS001, PS002") && !said.contains('\u{1b}'), "{said}");
    }
    assert_eq!(Id(4).to_string(), "PS004");
}

#[test]
fn lints_are_those_about_settings() {
    let lints: Vec<u16> =
        catalogue().iter().map(|one| one.id).filter(|id| id.is_lint()).map(|id| id.0).collect();
    assert_eq!(lints, [6, 8, 12, 13, 14]);
    assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Info);
}
