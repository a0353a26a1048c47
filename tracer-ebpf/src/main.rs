//! The BPF programs of portscope. On any target but BPF this is an empty program, so that the workspace
//! builds as a whole; with `--cfg lint_ebpf` the host's compiler checks the kernel half.
#![cfg_attr(target_arch = "bpf", no_std)]
#![cfg_attr(target_arch = "bpf", no_main, feature(asm_experimental_arch))]
#![cfg_attr(
    lint_ebpf,
    expect(
        clippy::inline_always,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::needless_borrows_for_generic_args,
        clippy::needless_pass_by_value,
        reason = "inlining carries the types of pointers to the verifier, registers are narrowed on purpose, \
                  and a key passed by value is copied on a small stack; programs are given their context by value"
    )
)]

#[cfg(any(target_arch = "bpf", lint_ebpf))]
mod kernel;
#[cfg(any(target_arch = "bpf", lint_ebpf))]
mod programs;

/// A reachable panic becomes an endless loop, which the verifier refuses to load.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel half needs a licence that the kernel knows: its helpers are for GPL-compatible programs.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {}
