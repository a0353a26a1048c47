//! A choice of port, from its entry to its exit: the core of the fentry and kprobe backends.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tracer_ebpf::abi::{Protocol, Record, ResultClass, blanks, cell, flags, kind, present};

use super::{
    collisions, control, emit,
    fill::{Filled, fill_socket, note_bound, unfit},
    filter,
    globals::{apart, frozen, is_set, opaque, reopened, ruled_out, tuned},
    inflight::{self, Slot},
    live,
    maps::Counters,
    perturb,
    sock::{self, Socket},
    stacks,
    task::{self, Ids},
};

/// `EADDRINUSE`: what a port function that returns 1 means (kernels before 6.1).
const EADDRINUSE: u8 = 98;
/// `EAGAIN`: what `inet_autobind` makes of any failure.
const EAGAIN: u8 = 11;

/// Monotonic time, nanoseconds.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// The running task, or `None` when nothing is to be recorded: the tracer is off, or this is the tracer itself.
#[inline(always)]
pub(crate) fn admitted() -> Option<Ids> {
    running().filter(|ids| !is_own(*ids))
}

/// The running task, or `None` when the tracer is off.
#[inline(always)]
fn running() -> Option<Ids> {
    (!control::is_off()).then(task::ids)
}

/// Whether a task is the tracer itself, once its test is over.
#[inline(always)]
fn is_own(ids: Ids) -> bool {
    if ids.pid() != control::self_pid() {
        return false;
    }
    seldom();
    !control::is_self_test()
}

/// Marks a way that is seldom taken, so that it is laid out of the way of the others.
#[cold]
#[inline(always)]
fn seldom() {}

/// Which function chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// `__inet_hash_connect`.
    Connect,
    /// A `get_port` of a protocol.
    Port,
}

/// Which of two equal programs on one hook runs.
///
/// A kernel that preempts programs does not start one that is still running on that CPU: whoever comes meanwhile is
/// skipped. A second program, another one to the kernel, does then what the first would have done; most of the time it
/// finds that done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The only one, or the one that is counted on.
    First,
    /// The one that stands in.
    Spare,
}

/// Notes the entry: `requested` is the port that the caller named or the socket holds, 0 for none.
#[inline(always)]
pub(crate) fn enter(path: Path, sock: u64, requested: u16, port_offset: u64) {
    enter_in(Turn::First, path, sock, requested, port_offset);
}

/// As [`enter`], unless that is done.
#[inline(always)]
pub(crate) fn enter_in(turn: Turn, path: Path, sock: u64, requested: u16, port_offset: u64) {
    // The tracer's own choices are noted like all others, and left out at their exit.
    let Some(ids) = running() else { return };
    if turn == Turn::Spare && is_entered(ids, path, sock) {
        return;
    }
    if tuned!(COUNT_ENTRIES) {
        Counters::of(ids.0).entered();
    }
    let Some(slot) = inflight::claim(ids) else { return };
    // SAFETY: `claim` returns non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    slot.sock = sock;
    slot.requested = requested;
    // One store of the three.
    slot.time_wait_port = 0;
    slot.kind = path as u8;
    slot.reserved = 0;
    slot.entered_ns = inflight::clock();
    if path == Path::Connect {
        if tuned!(COUNT_ONLY) {
            return ruled_out();
        }
        perturb::forget(slot);
        if requested == 0 {
            perturb::enter(slot, port_offset);
        }
    }
}

/// Whether this thread has noted the entry of this choice. One that it noted before, for the same socket, is over: its
/// exit would have to have been skipped twice.
#[inline(always)]
fn is_entered(ids: Ids, path: Path, sock: u64) -> bool {
    inflight::find(ids).is_some_and(|slot| {
        // SAFETY: `find` returns non-null results of map lookups.
        let slot = unsafe { &*slot };
        slot.sock == sock && slot.kind == path as u8
    })
}

/// Notes that this thread starts to bind a socket automatically.
#[inline(always)]
pub(crate) fn enter_autobind(sock: u64) {
    let Some(ids) = admitted() else { return };
    if let Some(slot) = inflight::claim(ids) {
        // SAFETY: `claim` returns non-null results of map lookups.
        unsafe { (*slot).autobind = sock };
    }
}

/// Notes that it has done so.
#[inline(always)]
pub(crate) fn exit_autobind() {
    let Some(ids) = admitted() else { return };
    if let Some(slot) = inflight::find(ids) {
        // SAFETY: `find` returns non-null results of map lookups.
        unsafe { (*slot).autobind = 0 };
        inflight::release(slot);
    }
}

/// Ends a choice: finds its entry, and records it. `socket` turns the address noted at entry into a way to
/// read it; `context` is that of the running program.
#[inline(always)]
pub(crate) fn exit<S: Socket>(
    context: *mut c_void,
    path: Path,
    ret: i32,
    socket: impl FnOnce(u64) -> Option<S>,
) {
    exit_in(context, Turn::First, path, ret, socket);
}

/// As [`exit`], unless that is done.
#[inline(always)]
pub(crate) fn exit_in<S: Socket>(
    context: *mut c_void,
    turn: Turn,
    path: Path,
    ret: i32,
    socket: impl FnOnce(u64) -> Option<S>,
) {
    let Some(ids) = running() else { return };
    if tuned!(COUNT_ENTRIES) {
        Counters::of(ids.0).exited();
    }
    let Some(slot) = inflight::find(ids) else { return no_entry(turn) };
    // SAFETY: `find` returns non-null results of map lookups.
    let entry = unsafe { &mut *slot };
    if turn == Turn::Spare && entry.sock == 0 {
        return;
    }
    if entry.kind != path as u8 {
        return no_entry(turn);
    }
    if is_own(ids) {
        if path == Path::Connect && entry.sock != 0 {
            perturb::exit(entry);
        }
        return inflight::release(slot);
    }
    match socket(entry.sock) {
        Some(socket) if socket.address() == entry.sock => {
            let choice = Choice { context, path, ret, ids };
            // A check that succeeded is recorded only where that is asked for. The compiler would make two of all that
            // follows, one for each result.
            let unwanted = entry.requested != 0 && {
                apart();
                ret == 0 && !tuned!(EXPLICIT)
            };
            if !unwanted {
                choice.end(&socket, entry);
            }
        }
        None if entry.sock != 0 => read_failed(),
        _ => no_entry(turn),
    }
    inflight::release(slot);
}

/// A choice that has ended.
#[derive(Clone, Copy)]
struct Choice {
    context: *mut c_void,
    path: Path,
    ret: i32,
    ids: Ids,
}

impl Choice {
    #[inline(always)]
    fn end<S: Socket>(self, socket: &S, entry: &mut Slot) {
        // Where nothing but the number is wanted, nothing but the kind and the result is looked at.
        if inflight::is_timeless() && !control::is_self_test() {
            let kind = kind_of::<S>(self.path, entry, socket.common());
            let (protocol, _) = socket.origin().unwrap_or((0, 0));
            let mut at = cell(kind, S::USUAL, ResultClass::Ok);
            if self.ret != 0 || protocol != S::USUAL.number() {
                at = cell(kind, Protocol::of(protocol), ResultClass::of(errno(kind, self.ret)));
                entry.refused = frozen(&entry.sock);
                apart();
            }
            return emit::count(self.ids, at);
        }
        self.record(socket, entry);
    }

    /// Writes the record field by field, and keeps as little as it can from one to the next: what does not fit the
    /// registers costs two instructions more.
    #[inline(always)]
    fn record<S: Socket>(self, socket: &S, entry: &mut Slot) {
        let Self { context, path, ret, ids } = self;
        let connects = path == Path::Connect;
        // The halves are cheaper to take apart again than to keep.
        let ids = Ids(opaque(ids.0));
        entry.exited_ns = now();
        // A record that no filter judges is written where it is read: in the ring. Else in the slot, not on the stack,
        // whose contents the verifier follows: it would look at each combination of what was found and what was not.
        if is_direct() {
            let ids = Ids(opaque(ids.0));
            if ids.pid() != ids.tid() {
                emit::name_leader(ids, task::start(), frozen(&entry.exited_ns));
            }
        } else {
            ruled_out();
        }
        let event = if is_direct() { emit::reserve() } else { &raw mut entry.record };
        if event.is_null() {
            if ret != 0 {
                entry.refused = frozen(&entry.sock);
            }
            if connects {
                perturb::exit(entry);
            }
            let kind = kind_of::<S>(path, entry, socket.common());
            let (protocol, _) = socket.origin().unwrap_or((0, 0));
            return emit::count_lost(ids, kind, protocol, ret);
        }
        // SAFETY: the pointer is that of a map value, or of a reserved record, and not null.
        let event = unsafe { &mut *event };
        ids.write(event);
        event.kind = kind_of::<S>(path, entry, socket.common());
        event.error = 0;
        if ret != 0 {
            event.error = errno(event.kind, ret);
            entry.refused = frozen(&entry.sock);
            apart();
        }
        event.mono_ns = frozen(&entry.exited_ns);
        let took = event.mono_ns.wrapping_sub(entry.entered_ns);
        event.search_ns = u32::try_from(took).unwrap_or(u32::MAX);
        // 0 unless the port was fixed.
        event.requested_port = entry.requested;
        event.state = 0;
        let Filled { mut found, mut flags } = fill_socket(event, socket, || frozen(&entry.sock), connects);
        found |= u64::from(present::ERROR | present::SEARCH_NS | present::LOCAL_ADDR);
        if connects {
            let start = perturb::exit(entry);
            event.search_start = start.value as u32;
            found |= start.seen;
            flags |= start.exact * u64::from(flags::CANDIDATES_EXACT);
            if entry.requested != 0 {
                note_bound(event, socket);
            } else if tuned!(TIME_WAIT) {
                found |= u64::from(present::REUSED);
                // Most often none has ended meanwhile.
                let port = entry.time_wait_port;
                if port != 0 && frozen(&event.error) == 0 && port == event.local_port {
                    flags |= u64::from(flags::TIME_WAIT_REUSED);
                }
            } else {
                ruled_out();
            }
        } else {
            event.search_start = 0;
        }
        event.flags = flags as u8;
        event.present = found as u16 | task::identify(event);
        // Read again, for what is known of it would be kept.
        let event = reopened(event);
        let mut cell = cell(event.kind, S::USUAL, ResultClass::Ok);
        if event.error != 0 || event.protocol != S::USUAL.number() {
            cell = settle(event);
        }
        if is_direct() {
            return emit::publish(event, cell, ids);
        }
        let shown = emit::emit(event, filter::task_in_cgroup, |sent| collisions::note(entry, sent));
        if shown {
            stacks::note(context, event);
        }
        if tuned!(RELEASES) && shown && event.error == 0 && entry.requested == 0 {
            live::born(frozen(&entry.sock), event);
        }
    }
}

/// Whether no filter judges a record, so that it is written in the ring.
#[inline(always)]
fn is_direct() -> bool {
    is_set::<{ blanks::value::DIRECT }>()
}

/// Completes a record whose result or protocol is not the usual one, and tells the cell of the counters that it belongs
/// to.
#[cold]
#[inline(never)]
fn settle(event: &mut Record) -> usize {
    if event.error != 0 {
        event.local_port = 0;
    }
    event.present &= !unfit(event.protocol);
    cell(event.kind, Protocol::of(event.protocol), ResultClass::of(event.error))
}

/// Records that a socket or a TIME_WAIT gives its port back.
#[inline(always)]
pub(crate) fn end(holder: u64, state: u8) {
    if control::is_off() {
        return;
    }
    if let Some(mut record) = live::died(holder, state, now()) {
        emit::emit_release(&mut record);
    }
}

/// Site of a choice, and whether the port was fixed before it.
#[inline(always)]
fn kind_of<S: Socket>(path: Path, entry: &Slot, common: &S::Common) -> u8 {
    const { assert!(kind::FIXED_CONNECT == kind::CONNECT + 4) };
    const { assert!(kind::FIXED_BIND == kind::BIND + 4 && kind::FIXED_LISTEN == kind::LISTEN + 4) };
    let fixed = if entry.requested != 0 { 4 } else { 0 };
    if path == Path::Connect {
        return kind::CONNECT + fixed;
    }
    if S::LISTENS && sock::is_listening(common) {
        return kind::LISTEN + fixed;
    }
    if fixed == 0 && entry.autobind == entry.sock { kind::AUTOBIND } else { kind::BIND + fixed }
}

/// The errno that the caller sees, as a positive number.
#[inline(always)]
pub(crate) fn errno(kind: u8, ret: i32) -> u8 {
    if ret == 0 {
        0
    } else if kind == kind::AUTOBIND {
        EAGAIN
    } else if ret == 1 {
        EADDRINUSE
    } else {
        ret.wrapping_neg() as u8
    }
}

/// An exit without its entry. It is counted once: the spare sees what the first saw, or what the first has ended.
#[inline(always)]
fn no_entry(turn: Turn) {
    if turn == Turn::First {
        Counters::here().no_entry();
    }
}

#[inline(always)]
pub(crate) fn read_failed() {
    Counters::here().read_failed();
}
