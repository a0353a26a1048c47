//! What is lost without a capability.

use rustix::thread::CapabilitySet;

/// A capability that is missing, and what is lost without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its name.
    pub capability: &'static str,
    /// What is lost.
    pub lost: &'static str,
}

/// Those that tracing can do without. CAP_BPF and CAP_PERFMON are none of them: nothing is traced without.
const DISPENSABLE: [(CapabilitySet, Loss); 5] = [
    (
        CapabilitySet::NET_ADMIN,
        Loss {
            capability: "CAP_NET_ADMIN",
            lost: "the tracepoint backend cannot run, and forks of a command are not followed",
        },
    ),
    (
        CapabilitySet::SYS_PTRACE,
        Loss {
            capability: "CAP_SYS_PTRACE",
            lost: "of other users' processes neither the executable is known, nor which ports they hold, nor their \
                   network namespaces",
        },
    ),
    (
        CapabilitySet::DAC_READ_SEARCH,
        Loss {
            capability: "CAP_DAC_READ_SEARCH",
            lost: "which ports other users' processes hold is not known",
        },
    ),
    (
        CapabilitySet::SYSLOG,
        Loss {
            capability: "CAP_SYSLOG",
            lost: "the kernel hides the addresses of its symbols: candidates and collisions are not known",
        },
    ),
    (
        CapabilitySet::SYS_ADMIN,
        Loss {
            capability: "CAP_SYS_ADMIN",
            lost: "other network namespaces are not entered: their sockets and settings are not known",
        },
    ),
];

/// What is lost by what this thread may not do. `hides_symbols`: addresses of kernel symbols are wanted and not to be had.
#[must_use]
pub fn losses(hides_symbols: bool) -> Vec<Loss> {
    missing(super::effective(), hides_symbols)
}

fn missing(held: CapabilitySet, hides_symbols: bool) -> Vec<Loss> {
    let is_lost =
        |wanted: CapabilitySet| !held.contains(wanted) && (wanted != CapabilitySet::SYSLOG || hides_symbols);
    DISPENSABLE.into_iter().filter(|(wanted, _)| is_lost(*wanted)).map(|(_, loss)| loss).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_told() {
        assert_eq!(missing(CapabilitySet::all(), true), []);
        let none: Vec<_> = missing(CapabilitySet::empty(), true).iter().map(|loss| loss.capability).collect();
        let all = ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYSLOG", "CAP_SYS_ADMIN"];
        assert_eq!(none, all);
        let but_ptrace = CapabilitySet::all() - CapabilitySet::SYS_PTRACE;
        assert_eq!(missing(but_ptrace, true).len(), 1);
    }

    #[test]
    fn symbols_that_are_told_to_everyone_or_not_wanted_need_no_right() {
        let but_syslog = CapabilitySet::all() - CapabilitySet::SYSLOG;
        assert_eq!(missing(but_syslog, false), []);
        assert_eq!(missing(but_syslog, true).len(), 1);
    }
}
