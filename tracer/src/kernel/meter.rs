//! How long the programs ran in the kernel, which counts that only while somebody asks for it: it reads the clock twice
//! a call of every BPF program of the host then.

use std::{fs, os::fd::OwnedFd};

use aya::{
    Ebpf,
    sys::{Stats, enable_stats},
};

use super::{
    KernelError,
    hooks::{Hook, Verdict},
    told::{RAN_NS, number},
};

/// The switch of the whole host, `bpf_stats_handler` in kernel/bpf/syscall.c (Linux 5.1).
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Run times since it was started.
pub(super) struct Meter {
    /// The kernel counts as long as this is open; none where the host counts anyway.
    _counting: Option<OwnedFd>,
    before_ns: u64,
}

impl Meter {
    /// Starts to measure if that is wanted, or if the host counts anyway.
    ///
    /// # Errors
    ///
    /// The kernel does not count on demand.
    pub(super) fn start(
        wanted: bool,
        ebpf: &Ebpf,
        hooks: &[(Hook, Verdict)],
    ) -> Result<Option<Self>, KernelError> {
        let counting = match wanted {
            true => Some(enable_stats(Stats::RunTime).map_err(|error| KernelError::Cost(error.io_error))?),
            false if !fs::read_to_string(SWITCH).is_ok_and(|value| is_on(&value)) => return Ok(None),
            false => None,
        };
        Ok(Some(Self { _counting: counting, before_ns: ran_ns(ebpf, hooks) }))
    }

    /// Time that all attached programs ran since then, nanoseconds.
    pub(super) fn ran_ns(&self, ebpf: &Ebpf, hooks: &[(Hook, Verdict)]) -> u64 {
        ran_ns(ebpf, hooks).saturating_sub(self.before_ns)
    }
}

fn ran_ns(ebpf: &Ebpf, hooks: &[(Hook, Verdict)]) -> u64 {
    let attached = hooks.iter().filter(|(_, verdict)| *verdict == Verdict::Attached);
    attached.filter_map(|(hook, _)| number(ebpf.program(hook.program)?, RAN_NS)).sum()
}

fn is_on(switch: &str) -> bool {
    switch.trim() == "1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_counts_when_its_switch_is_on() {
        assert!(is_on("1\n") && !is_on("0\n") && !is_on(""));
    }
}
