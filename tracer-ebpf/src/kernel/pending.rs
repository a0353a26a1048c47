//! A choice pieced together from what surrounds it: the core of the tracepoint backend.
//!
//! No hook sits on the choosing functions here. A hook before them notes the socket under its thread
//! ([`begin`]); a hook behind them finds the port in the socket ([`chosen`]), or the socket back in its old
//! state ([`refused`]); the end of the system call brings the errno ([`leave`]). The time between is an
//! upper bound of the search.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_user, generated::bpf_get_current_task};
use tracer_ebpf::abi::{filter::CGROUP, kind, present};

use super::{
    choice::{self, Turn},
    control,
    descriptor::{self, Found},
    emit::{as_it_is, emit},
    fields::{Fields as _, Probed},
    fill::{clear, fill_socket, note_bound, unfit},
    filter,
    globals::{filters, frozen, offset, ruled_out, tuned},
    live, maps,
    maps::AUTOBOUND,
    sock::{self, ProbedSock, Socket as _},
    stacks,
    syscall::{IDLE, Pending, RECORDED, REFUSED, SEARCHING, owned, slot},
    task,
    unsearched::EADDRNOTAVAIL,
};

/// `EAGAIN`.
const EAGAIN: i32 = 11;
/// `EDESTADDRREQ`.
const EDESTADDRREQ: i32 = 89;

/// Thread id of the running task, where the helper for it does not exist (socket-operations programs
/// before 6.10).
#[inline(always)]
fn current_tid() -> Option<u32> {
    // SAFETY: the helper has no preconditions.
    Probed(unsafe { bpf_get_current_task() } as *const u8).read(offset!(task_pid))
}

/// A system call that may choose a port begins.
#[inline(always)]
pub(crate) fn enter_syscall() {
    let Some(ids) = choice::admitted() else { return };
    if let Some(slot) = slot(ids.tid()) {
        slot.tid = ids.tid();
        slot.stage = IDLE;
        slot.in_syscall = 1;
        slot.nameless = 0;
        slot.connects = 0;
    }
}

/// A connect begins: of a stream socket it is looked at only if it fails without a search ([`leave`]).
#[inline(always)]
pub(crate) fn enter_connect(fd: u64, peer: u64) {
    let Some(ids) = choice::admitted() else { return };
    if let Some(slot) = slot(ids.tid()) {
        slot.tid = ids.tid();
        slot.stage = IDLE;
        slot.in_syscall = 1;
        slot.nameless = 0;
        slot.connects = 1;
        slot.fd = fd as u32;
        slot.peer = peer;
    }
}

/// A send without an address begins. An unbound socket is bound automatically even so, before the send
/// fails for want of a peer: only then is it looked at ([`leave`]).
#[inline(always)]
pub(crate) fn enter_nameless_send(fd: u64) {
    let Some(ids) = choice::admitted() else { return };
    if let Some(slot) = slot(ids.tid()) {
        slot.tid = ids.tid();
        slot.stage = IDLE;
        slot.in_syscall = 1;
        slot.nameless = 1;
        slot.connects = 0;
        slot.fd = fd as u32;
    }
}

/// A connect or send begins on the socket behind a descriptor: an unbound datagram socket will be bound
/// automatically.
#[inline(always)]
pub(crate) fn begin_datagram(fd: u64) {
    if choice::admitted().is_none() {
        return;
    }
    if let Some(found) = descriptor::datagram(fd)
        && sock::port_of(&found.socket) == 0
    {
        begin_autobind(&found);
    }
}

/// Where a choice begins.
pub(crate) struct Beginning {
    /// The socket.
    pub(crate) sock: u64,
    /// A value of `kind`.
    pub(crate) kind: u8,
    /// Port the caller named, or the socket holds.
    pub(crate) requested: u16,
    /// Address that the caller named (network order, IPv6 as such), and the address family.
    pub(crate) local: Option<([u8; 16], u8)>,
    /// Inode of the socket, where it was found by its descriptor.
    pub(crate) inode: u64,
}

/// A choice begins on the running thread.
#[inline(always)]
pub(crate) fn begin(at: &Beginning) {
    begin_in(Turn::First, at);
}

/// As [`begin`], unless that is done.
#[inline(always)]
pub(crate) fn begin_in(turn: Turn, at: &Beginning) {
    let Some(ids) = choice::admitted() else { return };
    if turn == Turn::Spare && owned(ids.tid(), at.sock, SEARCHING).is_some() {
        return;
    }
    let Some(slot) = slot(ids.tid()) else { return };
    if slot.tid != ids.tid() {
        slot.in_syscall = 0;
    }
    slot.tid = ids.tid();
    slot.sock = at.sock;
    slot.inode = at.inode;
    slot.stage = SEARCHING;
    slot.sport = Probed(at.sock as *const u8).read(offset!(inet_sport)).unwrap_or(0);
    slot.in_cgroup = 1;
    if filters() & CGROUP != 0 {
        slot.in_cgroup = u8::from(filter::task_in_cgroup());
    }
    // In place: a record on the stack would be too much for the deepest chain of calls.
    // SAFETY: the pointer comes from a reference.
    unsafe { clear(&raw mut slot.record) };
    let record = &mut slot.record;
    record.pid = ids.pid();
    record.tid = ids.tid();
    record.kind = at.kind;
    record.requested_port = at.requested;
    slot.local_fixed = 0;
    if let Some((addr, family)) = at.local {
        record.local_addr = addr;
        record.family = family;
        slot.local_fixed = 1;
    }
    record.present = task::identify(record);
    slot.entered_ns = choice::now();
}

/// An unbound datagram socket is about to be bound automatically. The choice comes before the route, so the
/// local address is what the socket is bound to now: a wildcard, most of the time.
#[inline(always)]
fn begin_autobind(found: &Found) {
    let Some(fetched) = ProbedSock::fetch(found.socket.0) else { return };
    begin(&Beginning {
        sock: fetched.address(),
        kind: kind::AUTOBIND,
        requested: 0,
        local: Some(sock::local_address(fetched.common())),
        inode: found.inode.read(offset!(inode_number)).unwrap_or(0),
    });
}

/// The choice on this thread has succeeded: the socket holds its port.
#[inline(always)]
pub(crate) fn chosen(sock: u64) {
    let Some(tid) = current_tid() else { return };
    let Some(slot) = owned(tid, sock, SEARCHING) else { return };
    slot.stage = IDLE;
    finish(slot, Some(0), None);
}

/// A connect or listen is back where it began: it was refused, or dropped behind the choice.
#[inline(always)]
pub(crate) fn refused(sock: u64) {
    let Some(ids) = choice::admitted() else { return };
    let Some(slot) = owned(ids.tid(), sock, SEARCHING) else { return };
    let sport: u16 = Probed(sock as *const u8).read(offset!(inet_sport)).unwrap_or(0);
    if slot.record.kind == kind::CONNECT && sport != slot.sport {
        // A port was chosen; what failed came later (a route, memory).
        slot.stage = IDLE;
        return finish(slot, Some(0), Some(u16::from_be(sport)));
    }
    // The addresses are cleared before the system call ends: fill them in now.
    describe(slot);
    slot.stage = REFUSED;
    if slot.in_syscall == 0 {
        slot.stage = IDLE;
        finish_described(slot, None, Some(0));
    }
}

/// The system call that ends has called for what was recorded last in it.
#[inline(always)]
pub(crate) fn note_caller(context: *mut c_void) {
    if !tuned!(STACKS) {
        return ruled_out();
    }
    let Some(ids) = choice::admitted() else { return };
    if let Some(slot) = slot(ids.tid())
        && slot.tid == ids.tid()
        && slot.stage == RECORDED
    {
        slot.stage = IDLE;
        stacks::note(context, &slot.record);
    }
}

/// The system call ends with `ret`.
#[inline(always)]
pub(crate) fn leave(ret: i64) {
    let Some(ids) = choice::admitted() else { return };
    let Some(slot) = slot(ids.tid()) else { return };
    if slot.tid != ids.tid() {
        return;
    }
    slot.in_syscall = 0;
    let stage = slot.stage;
    if tuned!(STACKS) && stage == RECORDED {
        return;
    }
    slot.stage = IDLE;
    let errno = if ret < 0 { (-ret) as i32 } else { 0 };
    if stage == REFUSED {
        return finish_described(slot, Some(errno), Some(0));
    }
    if stage == IDLE && slot.nameless != 0 && (errno == EDESTADDRREQ || errno == EAGAIN) {
        return leave_nameless_send(slot, errno);
    }
    if stage == IDLE && slot.connects != 0 && errno == i32::from(EADDRNOTAVAIL) {
        return leave_unsearched(slot);
    }
    if stage != SEARCHING {
        return;
    }
    let port = Probed(slot.sock as *const u8).read::<u16, _>(offset!(skc_num)).unwrap_or(0);
    match slot.record.kind {
        // No hook saw the port behind bind: it failed, or the choice was put off
        // (`IP_BIND_ADDRESS_NO_PORT`).
        kind::BIND | kind::FIXED_BIND if errno != 0 => finish(slot, Some(errno), Some(0)),
        // Of a connect the SYN is put off (TCP_FASTOPEN_CONNECT), or the protocol does not report it (DCCP, its
        // listen too).
        kind::AUTOBIND | kind::CONNECT | kind::LISTEN | kind::FIXED_LISTEN if port != 0 => {
            if slot.record.kind == kind::AUTOBIND {
                heed_program(slot, port);
            }
            finish(slot, Some(0), Some(port));
        }
        kind::AUTOBIND if errno == EAGAIN => finish(slot, Some(errno), Some(0)),
        _ => {}
    }
}

/// What was to be an automatic bind has ended with this port. If a program of the cgroup has bound the socket meanwhile
/// (`bpf_bind`), then to an address, or to a port of it too.
#[inline(always)]
fn heed_program(slot: &mut Pending, port: u16) {
    let locks = sock::locks(&Probed(slot.sock as *const u8));
    if locks != 0 {
        // The address that was noted may be older than the program's.
        slot.local_fixed = 0;
    }
    if locks & sock::BINDPORT_LOCK != 0 {
        slot.record.kind = kind::FIXED_BIND;
        slot.record.requested_port = port;
    }
}

/// A connect has failed before it came to a search: no address of the host can be the source.
#[inline(always)]
fn leave_unsearched(slot: &mut Pending) {
    let Some(found) = descriptor::tcp(u64::from(slot.fd)) else { return };
    let sock = found.socket.0 as u64;
    let requested = sock::port_of(&found.socket);
    let kind = if requested == 0 { kind::CONNECT } else { kind::FIXED_CONNECT };
    begin(&Beginning { sock, kind, requested, local: None, inode: 0 });
    slot.stage = IDLE;
    slot.entered_ns = 0;
    describe(slot);
    // Both families have the port there.
    let port = slot.peer.wrapping_add(2) as *const u16;
    // SAFETY: the helper checks the user address itself.
    slot.record.remote_port = unsafe { bpf_probe_read_user(port) }.map_or(0, u16::from_be);
    finish_described(slot, Some(EADDRNOTAVAIL.into()), Some(0));
}

/// A send without an address has failed: with a port that was not seen before, it has bound its socket
/// automatically; without one, that is what failed.
#[inline(always)]
fn leave_nameless_send(slot: &mut Pending, errno: i32) {
    let Some(found) = descriptor::datagram(u64::from(slot.fd)) else { return };
    let port = sock::port_of(&found.socket);
    let inode: u64 = found.inode.read(offset!(inode_number)).unwrap_or(0);
    let bound = errno == EDESTADDRREQ
        && port != 0
        && !sock::is_port_locked(&found.socket)
        // SAFETY: the value is copied at once; in the entry of another inode it would differ in its port.
        && unsafe { AUTOBOUND.get(&inode) }.copied() != Some(port);
    let refused = errno == EAGAIN && port == 0;
    if !(bound || refused) {
        return;
    }
    begin_autobind(&found);
    slot.stage = IDLE;
    // The choice was over before it was looked at: its time is not known.
    slot.entered_ns = 0;
    finish(slot, Some(if bound { 0 } else { errno }), Some(port));
}

/// Completes the record: `errno` is `None` where it could not be seen, `port` `None` to ask the socket.
#[inline(always)]
fn finish(slot: &mut Pending, errno: Option<i32>, port: Option<u16>) {
    describe(slot);
    finish_described(slot, errno, port);
}

/// Fills in what the socket says, but for a local address that was noted at the beginning.
#[inline(always)]
fn describe(slot: &mut Pending) {
    let address = frozen(&slot.sock);
    let Some(socket) = ProbedSock::fetch(address as *const u8) else { return };
    let (addr, family) = (slot.record.local_addr, slot.record.family);
    slot.record.mono_ns = choice::now();
    let connects = matches!(slot.record.kind, kind::CONNECT | kind::FIXED_CONNECT);
    let filled = fill_socket(&mut slot.record, &socket, || address, connects);
    slot.record.flags = filled.flags as u8;
    slot.record.present |= filled.found as u16;
    if slot.record.kind == kind::FIXED_CONNECT {
        note_bound(&mut slot.record, &socket);
    }
    slot.record.present &= !unfit(slot.record.protocol);
    slot.record.local_port = sock::port_of(socket.common());
    if slot.local_fixed != 0 {
        slot.record.local_addr = addr;
        slot.record.family = family;
    }
}

#[inline(always)]
fn finish_described(slot: &mut Pending, errno: Option<i32>, port: Option<u16>) {
    if control::is_off() {
        return;
    }
    let record = &mut slot.record;
    let fixed = record.kind >= kind::FIXED_CONNECT;
    if fixed && errno == Some(0) && !tuned!(EXPLICIT) {
        return;
    }
    record.present |= present::LOCAL_ADDR;
    if slot.entered_ns != 0 {
        record.present |= present::SEARCH_NS | present::SEARCH_UPPER;
        let took = record.mono_ns.wrapping_sub(slot.entered_ns);
        record.search_ns = u32::try_from(took).unwrap_or(u32::MAX);
    }
    if let Some(errno) = errno {
        record.error = errno as u8;
        record.present |= present::ERROR;
    }
    if let Some(port) = port {
        record.local_port = port;
    }
    if record.kind == kind::AUTOBIND && errno == Some(0) {
        let (inode, port) = (slot.inode, record.local_port);
        if AUTOBOUND.insert(&inode, &port, 0).is_err() {
            maps::Counters::here().live_full();
        }
    }
    let in_cgroup = slot.in_cgroup != 0;
    let shown = emit(record, || in_cgroup, as_it_is);
    if tuned!(STACKS) && shown {
        slot.stage = RECORDED;
    }
    if tuned!(RELEASES) && shown && errno == Some(0) && !fixed {
        live::born(slot.sock, record);
    }
}
