//! The BPF programs of portscope. On any target but BPF this is an empty program, so that the workspace
//! builds as a whole; with `--cfg lint_ebpf` the host's compiler checks the kernel half.
#![cfg_attr(any(target_arch = "bpf", lint_ebpf), no_std)]
#![cfg_attr(target_arch = "bpf", no_main, feature(asm_experimental_arch))]

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
