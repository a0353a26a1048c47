//! What each finding means, for `explain`: the same text with and without a case at hand.

use super::Id;

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its number.
    pub id: Id,
    /// Its name, a few words.
    pub title: &'static str,
    /// When it is said: the threshold.
    pub when: &'static str,
    /// What it means.
    pub means: &'static str,
    /// How to confirm it without portscope.
    pub confirm: &'static str,
    /// What helps, the best first, with its risk.
    pub helps: &'static [&'static str],
    /// What does not help.
    pub wont_help: &'static [&'static str],
}

/// All of them, in the order of their numbers.
#[must_use]
pub const fn catalogue() -> &'static [Explanation] {
    &[]
}

/// The one of this number.
#[must_use]
pub fn explain(id: Id) -> Option<&'static Explanation> {
    catalogue().iter().find(|one| one.id == id)
}
