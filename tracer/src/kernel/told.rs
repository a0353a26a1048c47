//! What the kernel tells of a program that is loaded: `bpf_prog_show_fdinfo` in kernel/bpf/syscall.c.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::programs::Program;

/// Calls that were skipped because the program was still running on that CPU (Linux 5.12).
pub(super) const SKIPPED: &str = "recursion_misses:";
/// Time that it ran while the kernel counted that, nanoseconds (Linux 5.1).
pub(super) const RAN_NS: &str = "run_time_ns:";

/// A number that is told of a program under a key; none where the kernel does not tell it.
pub(super) fn number(program: &Program, key: &str) -> Option<u64> {
    let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
    read(&fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?, key)
}

fn read(told: &str, key: &str) -> Option<u64> {
    told.lines().find_map(|line| line.strip_prefix(key))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_and_an_older_kernel_tells_none() {
        let told =
            "prog_type:\t26\nrun_time_ns:\t915\nrun_cnt:\t9\nrecursion_misses:\t14\nverified_insns:\t7\n";
        assert_eq!((read(told, SKIPPED), read(told, RAN_NS)), (Some(14), Some(915)));
        assert_eq!(read("prog_type:\t26\nrun_cnt:\t9\n", SKIPPED), None);
        assert_eq!(read("recursion_misses:\tmany\n", SKIPPED), None);
    }
}
