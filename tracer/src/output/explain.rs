//! What a finding means, as text.

use super::screen::{line, put};
use crate::findings::Explanation;

/// A line for each finding.
#[must_use]
pub fn list(all: &[Explanation]) -> String {
    let mut out = String::new();
    for one in all {
        put(&mut out, &format!("{}  {}\n", one.id, one.title));
    }
    out
}

/// One of them in full.
#[must_use]
pub fn text(one: &Explanation) -> String {
    let mut out = String::new();
    put(&mut out, &format!("{}  {}\n", one.id, one.title));
    for (label, text) in [("said when", one.when), ("means", one.means), ("confirm", one.confirm)] {
        line(&mut out, label, text);
    }
    for (label, texts) in [("helps", one.helps), ("won't help", one.wont_help)] {
        for text in texts {
            line(&mut out, label, text);
        }
    }
    out
}
