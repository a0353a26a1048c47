//! What each finding means, for `explain`: the same text with and without a case at hand.

mod exhaustion;
mod kernel;
mod others;
mod settings;

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

/// In the order of their numbers.
const ALL: [Explanation; 21] = [
    exhaustion::PS001,
    exhaustion::PS002,
    exhaustion::PS003,
    exhaustion::PS004,
    others::PS005,
    settings::PS006,
    settings::PS008,
    others::PS009,
    exhaustion::PS010,
    exhaustion::PS011,
    settings::PS012,
    settings::PS013,
    settings::PS014,
    kernel::PS015,
    kernel::PS016,
    kernel::PS017,
    kernel::PS018,
    others::PS019,
    others::PS020,
    others::PS021,
    kernel::PS022,
];

/// All of them, in the order of their numbers.
#[must_use]
pub const fn catalogue() -> &'static [Explanation] {
    &ALL
}

/// The one of this number.
#[must_use]
pub fn explain(id: Id) -> Option<&'static Explanation> {
    catalogue().iter().find(|one| one.id == id)
}
