//! The three ways of seeing a choice of port, best first.

use std::{fmt, str::FromStr};

/// How the kernel is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// BPF trampolines on the choosing functions: sees everything.
    Fentry,
    /// Kprobes on the same functions: exits can be missed under contention.
    Kprobe,
    /// Tracepoints and cgroup hooks around the choice: no search details.
    Tracepoint,
}

impl Backend {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Fentry, Self::Kprobe, Self::Tracepoint];

    /// The word for it on the command line and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// Fields of the records that this backend cannot fill in, whatever the kernel.
    #[must_use]
    pub const fn blind_fields(self) -> &'static [&'static str] {
        match self {
            Self::Fentry | Self::Kprobe => &[],
            Self::Tracepoint => &["candidates", "candidates_exact", "collisions", "time_wait_reused"],
        }
    }

    /// Whether it can look into searches to count what they meet.
    #[must_use]
    pub const fn sees_searches(self) -> bool {
        !matches!(self, Self::Tracepoint)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which backend the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best that this kernel runs.
    #[default]
    Auto,
    /// This one or none.
    Only(Backend),
}

impl Choice {
    /// The backends to try, in order.
    #[must_use]
    pub fn candidates(self) -> Vec<Backend> {
        match self {
            Self::Auto => Backend::ALL.to_vec(),
            Self::Only(backend) => vec![backend],
        }
    }
}

/// A word that names no backend.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no backend is called '{0}'; there are auto, fentry, kprobe and tracepoint")]
pub struct UnknownBackend(String);

impl FromStr for Choice {
    type Err = UnknownBackend;

    fn from_str(word: &str) -> Result<Self, UnknownBackend> {
        if word == "auto" {
            return Ok(Self::Auto);
        }
        Backend::ALL
            .into_iter()
            .find(|backend| backend.name() == word)
            .map(Self::Only)
            .ok_or_else(|| UnknownBackend(word.to_owned()))
    }
}
