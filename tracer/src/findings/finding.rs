//! A finding, a verdict, and the words for them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::catalogue::catalogue;
use crate::event::NetnsId;

/// Findings about settings: they say what may go wrong one day, not what does.
const LINTS: [u16; 5] = [6, 8, 12, 13, 14];

/// The stable number of a finding: `PS001` is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u16);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PS{:03}", self.0)
    }
}

impl Id {
    /// Whether it is about settings only. Such a finding stands in `check`; only by its number is it a reason to fail.
    #[must_use]
    pub fn is_lint(self) -> bool {
        LINTS.contains(&self.0)
    }
}

/// A text that names no finding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no finding is called '{text}'; there are {known}")]
pub struct UnknownId {
    text: String,
    known: String,
}

impl FromStr for Id {
    type Err = UnknownId;

    /// Reads `PS004`, `ps4` or `4`; the number of a finding that there is.
    fn from_str(text: &str) -> Result<Self, UnknownId> {
        let name = text.trim();
        let digits = match name.get(..2) {
            Some(letters) if letters.eq_ignore_ascii_case("ps") => name.get(2..).unwrap_or_default(),
            _ => name,
        };
        // Digits only: `parse` alone would take a sign.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let id = is_number.then(|| digits.parse().ok().map(Self)).flatten();
        id.filter(|id| catalogue().iter().any(|one| one.id == *id)).ok_or_else(|| UnknownId {
            text: name.chars().take(40).flat_map(char::escape_debug).collect(),
            known: catalogue().iter().map(|one| one.id.to_string()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// It will hurt, or hurts a little.
    Warning,
    /// It hurts now.
    Critical,
}

impl Severity {
    /// The word for it, in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A line of the text of a finding: `why`, and what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What the line is about, at most 12 characters: `held by`, `refused to`, `why`, `costs`, …; empty where it
    /// goes on with the line above.
    pub label: &'static str,
    /// What it says, one line.
    pub text: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What.
    pub text: String,
    /// What may go wrong; none where nothing can.
    pub risk: Option<String>,
    /// Of a setting: what it is set to now, as it is written behind its name; none where there is nothing to undo.
    pub undo: Option<String>,
}

/// A command that a person may run; portscope runs none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The namespace that it is for; none where that does not matter.
    pub netns: Option<NetnsId>,
    /// The command, with `nsenter` where it has to run in another namespace than ours.
    pub run: String,
    /// How to make it last over a reboot.
    pub persist: Option<String>,
    /// How to take it back.
    pub undo: Option<String>,
    /// What may go wrong.
    pub risk: Option<String>,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its number.
    pub id: Id,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub title: String,
    /// The numbers and names behind it.
    pub evidence: BTreeMap<&'static str, serde_json::Value>,
    /// The lines of its text, in order.
    pub lines: Vec<Line>,
    /// What to do, the best first.
    pub advice: Vec<Advice>,
    /// What people try, and what does not help.
    pub wont_help: Vec<&'static str>,
    /// What may be run.
    pub commands: Vec<Command>,
    /// Findings that are but echoes of this one.
    pub takes_in: Vec<Id>,
}

/// The word of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nothing is wrong.
    Ok,
    /// Something will go wrong.
    AtRisk,
    /// Ports were refused, or a pool is full.
    Exhausted,
    /// A service cannot have its port.
    Conflict,
    /// It fails, and not for want of ports.
    NotPorts,
    /// The load was held back by ports.
    PortBound,
    /// The load was not held back by ports.
    NotPortBound,
    /// The run was too short to know.
    TooShort,
    /// This kernel, or these rights, do not let us know.
    Blind,
}

impl Word {
    /// The word, in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::AtRisk => "AT RISK",
            Self::Exhausted => "EXHAUSTED",
            Self::Conflict => "CONFLICT",
            Self::NotPorts => "NOT PORTS",
            Self::PortBound => "PORT-BOUND",
            Self::NotPortBound => "NOT PORT-BOUND",
            Self::TooShort => "TOO SHORT TO SAY",
            Self::Blind => "BLIND",
        }
    }
}

/// The answer in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The word.
    pub word: Word,
    /// Why, in one line.
    pub reason: String,
    /// The finding behind it.
    pub finding: Option<Id>,
}
