//! Backend `tracepoint`, its tracepoints: where kprobes and trampolines are refused (hardened and microVM
//! kernels). See `kernel::pending` for how a choice is pieced together.
//!
//! Raw tracepoints cost nothing where nothing happens; the system-call tracepoints run only for the calls
//! named here. Neither sees what io_uring does, and 32-bit callers are not seen.

use aya_ebpf::{
    EbpfContext as _,
    helpers::bpf_probe_read_user,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use tracer_ebpf::abi::kind;

use crate::kernel::{
    choice::Turn,
    fields::{Fields as _, Probed},
    globals::offset,
    pending::{self, Beginning},
    release, sock,
};

/// TCP states, include/net/tcp_states.h.
mod state {
    pub(super) const SYN_SENT: u64 = 2;
    pub(super) const FIN_WAIT2: u64 = 5;
    pub(super) const CLOSE: u64 = 7;
    pub(super) const LISTEN: u64 = 10;
    pub(super) const CLOSING: u64 = 11;
}

/// Protocols that choose through `__inet_hash_connect` and `inet_csk_get_port`.
const IPPROTO_TCP: u16 = 6;
const IPPROTO_DCCP: u16 = 33;

/// `inet_sock_set_state(sk, oldstate, newstate)`, include/trace/events/sock.h: fires before the search of a
/// connect or listen, and again when it fails.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn tp_set_state(ctx: RawTracePointContext) -> i32 {
    set_state(Turn::First, &ctx)
}

/// The spare of [`tp_set_state`].
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn tp_set_state_2(ctx: RawTracePointContext) -> i32 {
    set_state(Turn::Spare, &ctx)
}

#[inline(always)]
fn set_state(turn: Turn, ctx: &RawTracePointContext) -> i32 {
    let socket = Probed(ctx.arg(0));
    let (old, new): (u64, u64) = (ctx.arg::<u64>(1) & 0xff, ctx.arg::<u64>(2) & 0xff);
    match new {
        state::SYN_SENT => begin(turn, &socket, kind::CONNECT, kind::FIXED_CONNECT),
        state::LISTEN if old == state::CLOSE => begin(turn, &socket, kind::LISTEN, kind::FIXED_LISTEN),
        state::CLOSE => {
            if old == state::SYN_SENT || old == state::LISTEN {
                pending::refused(socket.0 as u64);
            }
            // From these two a TIME_WAIT has taken the port over, and nothing here sees it end.
            if old == state::FIN_WAIT2 || old == state::CLOSING {
                release::vanishes(socket.0 as u64);
            } else {
                release::closes_at_state(socket.0 as u64, &socket);
            }
        }
        _ => {}
    }
    0
}

#[inline(always)]
fn begin(turn: Turn, socket: &Probed, chosen: u8, fixed: u8) {
    let protocol: u16 = socket.read(offset!(sk_protocol)).unwrap_or(0);
    if protocol != IPPROTO_TCP && protocol != IPPROTO_DCCP {
        return;
    }
    let requested = sock::port_of(socket);
    let kind = if requested == 0 { chosen } else { fixed };
    let at = Beginning { sock: socket.0 as u64, kind, requested, local: None, inode: 0 };
    pending::begin_in(turn, &at);
}

/// `tcp_destroy_sock(sk)`: a TCP socket goes, and with it a port that it held without connecting.
#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
fn tp_destroy(ctx: RawTracePointContext) -> i32 {
    destroy(&ctx)
}

/// The spare of [`tp_destroy`].
#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
fn tp_destroy_2(ctx: RawTracePointContext) -> i32 {
    destroy(&ctx)
}

#[inline(always)]
fn destroy(ctx: &RawTracePointContext) -> i32 {
    let socket = Probed(ctx.arg(0));
    release::closes(socket.0 as u64, &socket);
    0
}

/// Arguments of a system call start here in the record of its tracepoint, eight bytes each; so does the
/// result in the record of its end.
const ARGS: usize = 16;

#[inline(always)]
fn arg(ctx: &TracePointContext, n: usize) -> u64 {
    // SAFETY: the record of a system call has six arguments; the verifier checks the bound.
    unsafe { ctx.read_at(ARGS + 8 * n) }.unwrap_or(0)
}

/// bind and listen begin.
#[tracepoint]
fn tp_enter(_ctx: TracePointContext) -> u32 {
    pending::enter_syscall();
    0
}

/// connect begins: an unbound datagram socket is bound automatically. (The cgroup hook of connect would be
/// cheaper, but UDP-Lite does not call it.)
#[tracepoint]
fn tp_enter_conn(ctx: TracePointContext) -> u32 {
    pending::enter_connect(arg(&ctx, 0), arg(&ctx, 1));
    pending::begin_datagram(arg(&ctx, 0));
    0
}

/// sendto begins: an unbound datagram socket may be bound automatically.
#[tracepoint]
fn tp_enter_sendto(ctx: TracePointContext) -> u32 {
    enter_send(arg(&ctx, 0), arg(&ctx, 4));
    0
}

/// sendmsg or sendmmsg begins: the address is in the (first) message header.
#[tracepoint]
fn tp_enter_msg(ctx: TracePointContext) -> u32 {
    // SAFETY: the helper checks the user address itself; `msg_name` is the header's first field.
    let name = unsafe { bpf_probe_read_user(arg(&ctx, 1) as *const u64) }.unwrap_or(0);
    enter_send(arg(&ctx, 0), name);
    0
}

/// A system call ends.
#[tracepoint]
fn tp_exit(ctx: TracePointContext) -> u32 {
    pending::leave(arg(&ctx, 0) as i64);
    pending::note_caller(ctx.as_ptr());
    0
}

#[inline(always)]
fn enter_send(fd: u64, name: u64) {
    if name == 0 {
        // A connected socket, TCP most of the time: nothing is looked at before it fails.
        pending::enter_nameless_send(fd);
    } else {
        pending::enter_syscall();
        pending::begin_datagram(fd);
    }
}
