//! The backends of portscope, as its command line names them.

use std::fmt;

/// How portscope hooks the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// BPF trampolines.
    Fentry,
    /// Kprobes and their returns.
    Kprobe,
    /// Raw tracepoints and cgroup hooks.
    Tracepoint,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fentry, Self::Kprobe, Self::Tracepoint];

    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Tracepoint => "tracepoint",
        }
    }

    /// Whether it sees the inside of a search.
    #[must_use]
    pub const fn sees_searches(self) -> bool {
        !matches!(self, Self::Tracepoint)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
