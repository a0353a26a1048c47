//! From a case to its findings and its verdict.

use super::{Case, Finding, Verdict, Word};

/// What a case comes down to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer in one line.
    pub verdict: Verdict,
    /// Roots only, the worst first.
    pub findings: Vec<Finding>,
}

/// Judges a case.
#[must_use]
pub fn judge(_case: &Case<'_>) -> Judgement {
    let verdict = Verdict { word: Word::Ok, reason: String::new(), finding: None };
    Judgement { verdict, findings: Vec::new() }
}
