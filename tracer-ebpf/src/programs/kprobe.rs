//! Backend `kprobe`: the same functions and arguments as [`super::fentry`], through registers and bare
//! addresses. A kretprobe sees no arguments; the entry has noted them.
//!
//! At most `maxactive` threads can be inside one function before exits are missed (2 × CPUs, at least 10;
//! the number of CPUs on 5.10): entries and exits are counted apart.

use aya_ebpf::{
    EbpfContext as _,
    macros::{kprobe, kretprobe},
    programs::{ProbeContext, RetProbeContext},
};

use crate::kernel::{
    choice::{self, Path, Turn},
    collisions,
    fields::Probed,
    release,
    sock::{self, ProbedSock},
    unsearched,
};

/// A pointer among the arguments.
#[inline(always)]
fn pointer(ctx: &ProbeContext, n: usize) -> Probed {
    Probed(ctx.arg::<*const u8>(n).unwrap_or(core::ptr::null()))
}

#[inline(always)]
fn enter_port(ctx: &ProbeContext) {
    let requested = ctx.arg::<u64>(1).unwrap_or(0) as u16;
    choice::enter(Path::Port, pointer(ctx, 0).0 as u64, requested, 0);
}

#[inline(always)]
fn exit(path: Path, ctx: &RetProbeContext) {
    let ret = ctx.ret::<u64>() as i32;
    choice::exit(ctx.as_ptr(), path, ret, |sock| ProbedSock::fetch(sock as *const u8));
}

/// `__inet_hash_connect`.
#[kprobe]
#[inline(always)]
fn kp_connect(ctx: ProbeContext) -> u32 {
    let sock = pointer(&ctx, 1);
    let port_offset = ctx.arg(2).unwrap_or(0);
    // There is one for a socket without a port alone (`inet_hash_connect`): then the socket need not be read.
    let requested = if port_offset == 0 { sock::port_of(&sock) } else { 0 };
    choice::enter(Path::Connect, sock.0 as u64, requested, port_offset);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_connect(ctx: RetProbeContext) -> u32 {
    exit(Path::Connect, &ctx);
    0
}

/// `tcp_v6_connect`.
#[kprobe]
fn kp_connect6(ctx: ProbeContext) -> u32 {
    unsearched::connect_begins(pointer(&ctx, 0).0 as u64, pointer(&ctx, 1).0 as u64);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_connect6(ctx: RetProbeContext) -> u32 {
    if let Some((sock, peer)) = unsearched::connecting()
        && unsearched::is_unavailable(ctx.ret::<u64>() as i32)
        && let Some(socket) = ProbedSock::fetch(sock as *const u8)
    {
        unsearched::connect_fails(ctx.as_ptr(), &socket, peer);
    }
    0
}

/// `inet_csk_get_port`.
#[kprobe]
#[inline(always)]
fn kp_tcp_port(ctx: ProbeContext) -> u32 {
    enter_port(&ctx);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_tcp_port(ctx: RetProbeContext) -> u32 {
    exit(Path::Port, &ctx);
    0
}

/// `udp_lib_get_port`.
#[kprobe]
#[inline(always)]
fn kp_udp_port(ctx: ProbeContext) -> u32 {
    enter_port(&ctx);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_udp_port(ctx: RetProbeContext) -> u32 {
    exit(Path::Port, &ctx);
    0
}

/// `ping_get_port`.
#[kprobe]
#[inline(always)]
fn kp_ping_port(ctx: ProbeContext) -> u32 {
    enter_port(&ctx);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_ping_port(ctx: RetProbeContext) -> u32 {
    exit(Path::Port, &ctx);
    0
}

/// `sctp_get_port_local(struct sock *sk, union sctp_addr *addr)`, net/sctp/socket.c: bind, connect, listen
/// and send of SCTP. The port lies two bytes into the address, network order.
#[kprobe]
#[inline(always)]
fn kp_sctp_port(ctx: ProbeContext) -> u32 {
    const PORT_AT: u32 = 2;
    let requested = pointer(&ctx, 1).at::<u16>(PORT_AT).map_or(0, u16::from_be);
    choice::enter(Path::Port, pointer(&ctx, 0).0 as u64, requested, 0);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_sctp_port(ctx: RetProbeContext) -> u32 {
    exit(Path::Port, &ctx);
    0
}

/// `inet_autobind`.
#[kprobe]
#[inline(always)]
fn kp_autobind(ctx: ProbeContext) -> u32 {
    choice::enter_autobind(pointer(&ctx, 0).0 as u64);
    0
}

/// Its exit.
#[kretprobe]
#[inline(always)]
fn kr_autobind(_ctx: RetProbeContext) -> u32 {
    choice::exit_autobind();
    0
}

/// Exit of `__inet_check_established`, of which no entry is hooked: the port is not at hand.
#[kretprobe]
fn kr_check4(ctx: RetProbeContext) -> u32 {
    collisions::tuple_checked(Turn::First, 0, ctx.ret::<u64>() as i32);
    0
}

/// The same of `__inet6_check_established`.
#[kretprobe]
fn kr_check6(ctx: RetProbeContext) -> u32 {
    collisions::tuple_checked(Turn::First, 0, ctx.ret::<u64>() as i32);
    0
}

/// The same of `tcp_twsk_unique`.
#[kretprobe]
fn kr_tw_unique(ctx: RetProbeContext) -> u32 {
    collisions::time_wait_checked(ctx.ret::<u64>() as i32);
    0
}

/// The same of `inet_csk_bind_conflict`.
#[kretprobe]
fn kr_conflict(ctx: RetProbeContext) -> u32 {
    collisions::bind_checked(ctx.ret::<u64>() as u8 != 0);
    0
}

/// The same of `inet_bhash2_addr_any_conflict`.
#[kretprobe]
fn kr_conflict_any(ctx: RetProbeContext) -> u32 {
    collisions::bind_checked(ctx.ret::<u64>() as u8 != 0);
    0
}

/// `inet_twsk_bind_unhash`.
#[kprobe]
fn kp_tw_end(ctx: ProbeContext) -> u32 {
    let time_wait = pointer(&ctx, 0);
    release::time_wait_ends(time_wait.0 as u64, &time_wait);
    0
}

/// `inet_twsk_hashdance`, or `inet_twsk_hashdance_schedule`.
#[kprobe]
fn kp_tw_start(ctx: ProbeContext) -> u32 {
    release::handed_over(pointer(&ctx, 1).0 as u64, pointer(&ctx, 0).0 as u64);
    0
}

/// `inet_put_port`.
#[kprobe]
fn kp_put_port(ctx: ProbeContext) -> u32 {
    let sock = pointer(&ctx, 0);
    release::closes(sock.0 as u64, &sock);
    0
}

/// `udp_lib_unhash`.
#[kprobe]
fn kp_udp_unhash(ctx: ProbeContext) -> u32 {
    let sock = pointer(&ctx, 0);
    release::closes(sock.0 as u64, &sock);
    0
}

/// `__udp_disconnect`.
#[kprobe]
fn kp_udp_disc(ctx: ProbeContext) -> u32 {
    if let Some(socket) = ProbedSock::fetch(pointer(&ctx, 0).0) {
        release::disconnects(&socket);
    }
    0
}

/// `ping_unhash`.
#[kprobe]
fn kp_ping_unhash(ctx: ProbeContext) -> u32 {
    let sock = pointer(&ctx, 0);
    release::closes(sock.0 as u64, &sock);
    0
}
