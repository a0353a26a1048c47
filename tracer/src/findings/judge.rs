//! From a case to its findings and its verdict.

use super::{
    Case, Finding, Id, Verdict, bind_before_connect, conflict, exhaustion, forecast, kernel_limits, leaks,
    lint, not_ports, reuse, search, verdict,
};

/// What a case comes down to.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer in one line.
    pub verdict: Verdict,
    /// Roots only, the worst first.
    pub findings: Vec<Finding>,
}

/// A finding, or several of one number.
type Rule = fn(&Case<'_>) -> Vec<Finding>;

/// Every finding; of equal severity, those that come first here are named first.
pub(super) const RULES: [(u16, Rule); 21] = [
    (1, exhaustion::ps001),
    (4, bind_before_connect::ps004),
    (5, conflict::ps005),
    (20, conflict::ps020),
    (21, conflict::ps021),
    (3, forecast::ps003),
    (10, forecast::ps010),
    (2, search::ps002),
    (11, search::ps011),
    (19, not_ports::ps019),
    (16, kernel_limits::ps016),
    (22, kernel_limits::ps022),
    (15, leaks::ps015),
    (17, kernel_limits::ps017),
    (18, leaks::ps018),
    (9, reuse::ps009),
    (8, lint::ps008),
    (12, lint::ps012),
    (13, lint::ps013),
    (6, lint::ps006),
    (14, lint::ps014),
];

/// Which findings are echoes of which root, in the same namespace.
const ECHOES: [(u16, &[u16]); 3] = [(1, &[2, 3, 10, 11]), (4, &[2, 3, 10, 11]), (3, &[10])];

/// Judges a case.
#[must_use]
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut all: Vec<Finding> = RULES.iter().flat_map(|(_, rule)| rule(case)).collect();
    // In a flow settings are but a reason for something else, except those that only a flow can judge.
    all.retain(|one| case.flow.is_none() || !one.id.is_lint() || one.id == Id(14));
    let mut findings = roots(case, all);
    // Stable: within a severity the order of the rules stays.
    findings.sort_by_key(|one| std::cmp::Reverse(one.severity));
    Judgement { verdict: verdict::of(case, &findings), findings }
}

/// Takes echoes into their roots.
fn roots(case: &Case<'_>, all: Vec<Finding>) -> Vec<Finding> {
    let mut roots: Vec<Finding> = Vec::new();
    let (mut explained, all): (Vec<Finding>, Vec<Finding>) = all.into_iter().partition(|one| one.id == Id(1));
    for mut finding in all {
        let place = explained
            .iter()
            .position(|one| finding.id == Id(4) && bind_before_connect::explains(case, &finding, one));
        if let Some(place) = place {
            bind_before_connect::take_in(&mut finding, explained.remove(place));
        }
        roots.push(finding);
    }
    roots.splice(0..0, explained);
    for (root, echoes) in ECHOES {
        // What bind before connect explains is an echo only of what it did explain.
        let is_root = |one: &Finding| one.id == Id(root) && (root != 4 || one.takes_in.contains(&Id(1)));
        let places: Vec<usize> =
            roots.iter().enumerate().filter(|(_, one)| is_root(one)).map(|(place, _)| place).collect();
        let mut taken: Vec<(usize, Id)> = Vec::new();
        let mut kept: Vec<(usize, Finding)> = Vec::new();
        let netns: Vec<Option<serde_json::Value>> = roots.iter().map(netns_of).collect();
        for (place, finding) in roots.into_iter().enumerate() {
            let own = netns_of(&finding);
            let meets = |root: &usize| {
                let of_root = netns.get(*root).cloned().flatten();
                own.is_none() || of_root.is_none() || own == of_root
            };
            let root = places.iter().copied().find(meets).filter(|_| echoes.contains(&finding.id.0));
            match root {
                Some(root) => taken.push((root, finding.id)),
                None => kept.push((place, finding)),
            }
        }
        for (root, id) in taken {
            if let Some((_, finding)) = kept.iter_mut().find(|(place, _)| *place == root)
                && !finding.takes_in.contains(&id)
            {
                finding.takes_in.push(id);
                finding.takes_in.sort_unstable();
            }
        }
        roots = kept.into_iter().map(|(_, finding)| finding).collect();
    }
    roots
}

/// The namespace that a finding is about, if it is about one.
fn netns_of(finding: &Finding) -> Option<serde_json::Value> {
    finding.evidence.get("netns").filter(|netns| !netns.is_null()).cloned()
}
