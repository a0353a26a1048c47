//! How often the kernel skipped a program because it was still running on the same CPU.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{Ebpf, programs::Program};

/// What the kernel says of a program that is open: `recursion_misses`, `bpf_prog_show_fdinfo` in kernel/bpf/syscall.c
/// (Linux 5.12).
const KEY: &str = "recursion_misses:";

/// Skipped calls of all loaded programs; none where the kernel does not tell of any.
pub(super) fn total(ebpf: &Ebpf) -> Option<u64> {
    ebpf.programs().filter_map(|(_, program)| of(program)).reduce(|one, other| one + other)
}

fn of(program: &Program) -> Option<u64> {
    let descriptor = program.fd().ok()?.as_fd().as_raw_fd();
    read(&fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).ok()?)
}

fn read(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.strip_prefix(KEY))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_and_an_older_kernel_tells_none() {
        assert_eq!(
            read("prog_type:\t26\nrun_cnt:\t9\nrecursion_misses:\t14\nverified_insns:\t7\n"),
            Some(14)
        );
        assert_eq!(read("prog_type:\t26\nrun_cnt:\t9\n"), None);
        assert_eq!(read("recursion_misses:\tmany\n"), None);
    }
}
