//! Backend `tracepoint`, its cgroup hooks: they stand right before and behind bind, and see the port of a
//! connect before its SYN leaves.
//!
//! All return 1, "go on": this tool decides nothing. Attached to the root of the version 2 hierarchy they
//! see every task and network namespace of the host.

use aya_ebpf::{
    EbpfContext as _,
    macros::{cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SockAddrContext, SockContext, SockOpsContext},
};
use tracer_ebpf::abi::kind;

use crate::kernel::{
    fields::{Fields as _, Probed},
    globals::{Field, offset},
    pending::{self, Beginning},
    release,
};

/// `BPF_SOCK_OPS_TCP_CONNECT_CB`, include/uapi/linux/bpf.h.
const TCP_CONNECT_CB: u32 = 3;
/// `BPF_SOCK_OPS_TCP_LISTEN_CB`.
const TCP_LISTEN_CB: u32 = 11;

/// The socket behind a hook's context: the kernel's structure starts with it.
#[inline(always)]
fn socket<const F: usize>(context: *const u8, field: Field<F>) -> Option<u64> {
    Probed(context).read(field).filter(|&sock| sock != 0)
}

#[inline(always)]
fn bind(ctx: &SockAddrContext, local: [u8; 16], family: u8) {
    let Some(sock) = socket(ctx.as_ptr().cast_const().cast(), offset!(sock_addr_sk)) else { return };
    // SAFETY: the context is valid for the run of the program.
    let port = unsafe { (*ctx.sock_addr).user_port };
    let requested = u16::from_be(port as u16);
    let kind = if requested == 0 { kind::BIND } else { kind::FIXED_BIND };
    pending::begin(&Beginning { sock, kind, requested, local: Some((local, family)), inode: 0 });
}

/// bind of an IPv4 socket.
#[cgroup_sock_addr(bind4)]
fn cg_bind4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the context is valid for the run of the program.
    let addr = unsafe { (*ctx.sock_addr).user_ip4 };
    bind(&ctx, from_words([addr, 0, 0, 0]), 4);
    1
}

/// bind of an IPv6 socket.
#[cgroup_sock_addr(bind6)]
fn cg_bind6(ctx: SockAddrContext) -> i32 {
    let mut words = [0; 4];
    for (index, word) in words.iter_mut().enumerate() {
        // SAFETY: the context is valid for the run of the program, and has four words of address.
        *word = unsafe { (*ctx.sock_addr).user_ip6[index] };
    }
    if words[0] == 0 && words[1] == 0 && words[2] == 0xffff_0000 {
        bind(&ctx, from_words([words[3], 0, 0, 0]), 4);
    } else {
        bind(&ctx, from_words(words), 6);
    }
    1
}

/// bind of an IPv4 socket has succeeded.
#[cgroup_sock(post_bind4)]
fn cg_post_bind4(ctx: SockContext) -> i32 {
    pending::chosen(ctx.as_ptr() as u64);
    1
}

/// bind of an IPv6 socket has succeeded.
#[cgroup_sock(post_bind6)]
fn cg_post_bind6(ctx: SockContext) -> i32 {
    pending::chosen(ctx.as_ptr() as u64);
    1
}

/// A user's socket is closed.
#[cgroup_sock(sock_release)]
fn cg_release(ctx: SockContext) -> i32 {
    let sock = ctx.as_ptr() as u64;
    release::closes_datagram(sock, &Probed(sock as *const u8));
    1
}

/// A TCP connect is about to send its SYN, or a listen has succeeded: the port is chosen.
#[sock_ops]
fn cg_sock_ops(ctx: SockOpsContext) -> u32 {
    let op = ctx.op();
    if (op == TCP_CONNECT_CB || op == TCP_LISTEN_CB)
        && let Some(sock) = socket(ctx.as_ptr().cast_const().cast(), offset!(sock_ops_sk))
    {
        pending::chosen(sock);
    }
    1
}

/// Four words of a network-order address as its bytes.
#[inline(always)]
fn from_words(words: [u32; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    for (index, word) in words.iter().enumerate() {
        let [a, b, c, d] = word.to_ne_bytes();
        out[index * 4] = a;
        out[index * 4 + 1] = b;
        out[index * 4 + 2] = c;
        out[index * 4 + 3] = d;
    }
    out
}
