//! A choice of port, from its entry to its exit: the core of the fentry and kprobe backends.

use core::{mem::MaybeUninit, ptr};

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tracer_ebpf::abi::{Control, Mode, Record, flags, kind, option, present, tune};

use super::{
    emit::{emit, emit_release},
    filter,
    globals::{CONFIG, frozen, tuned},
    inflight::{self, Slot},
    live,
    maps::{self, Counters},
    perturb,
    sock::{self, Addresses, Socket},
    task::{self, Ids, bytes},
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

/// The switch and the running task, or `None` when nothing is to be recorded: the tracer is off, or this
/// is the tracer itself.
#[inline(always)]
pub(crate) fn admitted() -> Option<(*mut Control, Ids)> {
    let control = maps::control()?;
    let ids = task::ids();
    // SAFETY: the pointer is the non-null result of a map lookup.
    let switch = unsafe { &*control };
    let own = switch.mode == Mode::Run as u32 && ids.pid == switch.self_pid;
    (!own).then_some((control, ids))
}

/// Which function chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// `__inet_hash_connect`.
    Connect,
    /// A `get_port` of a protocol.
    Port,
}

/// Notes the entry: `requested` is the port that the caller named or the socket holds, 0 for none.
#[inline(always)]
pub(crate) fn enter(path: Path, sock: u64, requested: u16, port_offset: u64) {
    let Some((control, ids)) = admitted() else { return };
    if tuned(tune::COUNT_ENTRIES)
        && let Some(counters) = Counters::here()
    {
        counters.entered();
    }
    let now = now();
    let Some(slot) = inflight::claim(ids.tid, now) else { return };
    // SAFETY: `claim` returns non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    slot.sock = sock;
    slot.entered_ns = now;
    slot.requested = requested;
    slot.time_wait_port = 0;
    slot.has_start = 0;
    slot.kind = path as u8;
    if path == Path::Connect && requested == 0 {
        perturb::enter(slot, port_offset, control);
    }
}

/// Notes that this thread starts to bind a socket automatically.
#[inline(always)]
pub(crate) fn enter_autobind(sock: u64) {
    let Some((_, ids)) = admitted() else { return };
    if let Some(slot) = inflight::claim(ids.tid, now()) {
        // SAFETY: `claim` returns non-null results of map lookups.
        unsafe { (*slot).autobind = sock };
    }
}

/// Notes that it has done so.
#[inline(always)]
pub(crate) fn exit_autobind() {
    let Some((_, ids)) = admitted() else { return };
    if let Some(slot) = inflight::find(ids.tid) {
        // SAFETY: `find` returns non-null results of map lookups.
        unsafe { (*slot).autobind = 0 };
        inflight::release(slot);
    }
}

/// Ends a choice: finds its entry, and records it. `socket` turns the address noted at entry into a way to
/// read it.
#[inline(always)]
pub(crate) fn exit<S: Socket>(path: Path, ret: i32, socket: impl FnOnce(u64) -> Option<S>) {
    let Some((control, ids)) = admitted() else { return };
    if tuned(tune::COUNT_ENTRIES)
        && let Some(counters) = Counters::here()
    {
        counters.exited();
    }
    let now = now();
    let Some(slot) = inflight::find(ids.tid) else { return no_entry() };
    // SAFETY: `find` returns non-null results of map lookups.
    let entry = unsafe { &mut *slot };
    if entry.sock == 0 || entry.kind != path as u8 {
        return no_entry();
    }
    match socket(entry.sock) {
        Some(socket) if socket.address() == entry.sock => {
            record(path, ret, &socket, entry, control, ids, now);
        }
        Some(_) => no_entry(),
        None => read_failed(),
    }
    inflight::release(slot);
}

#[inline(always)]
fn record<S: Socket>(
    path: Path,
    ret: i32,
    socket: &S,
    entry: &mut Slot,
    control: *mut Control,
    ids: Ids,
    now: u64,
) {
    let common = socket.common();
    let kind = kind_of(path, entry, common);
    let fixed = kind >= kind::FIXED_CONNECT;
    let start = if path == Path::Connect { perturb::exit(entry) } else { None };
    if fixed && ret == 0 && !tuned(tune::EXPLICIT) {
        return;
    }
    // In the slot, not on the stack: the verifier follows the contents of the stack, and would look at each
    // combination of what was found and what was not.
    // SAFETY: the pointer comes from a reference.
    unsafe { clear(&raw mut entry.record) };
    let sock = frozen(&entry.sock);
    let (requested, entered_ns, time_wait_port) = (entry.requested, entry.entered_ns, entry.time_wait_port);
    let event = &mut entry.record;
    event.mono_ns = now;
    event.pid = ids.pid;
    event.tid = ids.tid;
    event.kind = kind;
    event.present = present::ERROR | present::SEARCH_NS | present::LOCAL_ADDR;
    event.error = errno(kind, ret);
    event.search_ns = u32::try_from(now.wrapping_sub(entered_ns)).unwrap_or(u32::MAX);
    event.local_port = if ret == 0 { sock::port_of(common) } else { 0 };
    event.requested_port = if fixed { requested } else { 0 };
    if let Some((search_start, exact)) = start {
        event.search_start = search_start;
        event.present |= present::SEARCH_START;
        event.flags |= if exact { flags::CANDIDATES_EXACT } else { 0 };
    }
    if tuned(tune::TIME_WAIT) && kind == kind::CONNECT {
        event.present |= present::REUSED;
        if ret == 0 && time_wait_port == event.local_port {
            event.flags |= flags::TIME_WAIT_REUSED;
        }
    }
    fill_socket(event, socket, sock);
    task::identify(event);
    let shown = emit(event, control, filter::task_in_cgroup);
    if tuned(tune::RELEASES) && shown && ret == 0 && !fixed {
        live::born(sock, event);
    }
}

/// A record of zeros, written word by word: the compiler would make a `memset` of it, which is a loop over
/// bytes in BPF.
#[inline(always)]
pub(crate) fn blank(storage: &mut MaybeUninit<Record>) -> &mut Record {
    let record = storage.as_mut_ptr();
    // SAFETY: the pointer comes from a reference.
    unsafe { clear(record) };
    // SAFETY: every byte was written, and any bytes make a record.
    unsafe { storage.assume_init_mut() }
}

/// Writes zeros over a record.
///
/// # Safety
///
/// `record` points to memory of a record's size and alignment.
#[inline(always)]
pub(crate) unsafe fn clear(record: *mut Record) {
    let words = record.cast::<u64>();
    for index in 0..size_of::<Record>() / 8 {
        // SAFETY: the index is below the number of words of a record, whose alignment is that of a word.
        let word = unsafe { words.add(index) };
        // SAFETY: as above.
        unsafe { ptr::write_volatile(word, 0) };
    }
}

/// Records that a socket or a TIME_WAIT gives its port back.
#[inline(always)]
pub(crate) fn end(holder: u64, state: u8) {
    let Some(control) = maps::control() else { return };
    let now = now();
    if let Some(mut record) = live::died(holder, state, now) {
        emit_release(&mut record, control);
    }
}

/// Site of a choice, and whether the port was fixed before it.
#[inline(always)]
fn kind_of(path: Path, entry: &Slot, common: &impl super::fields::Fields) -> u8 {
    let fixed = entry.requested != 0;
    match path {
        Path::Connect if fixed => kind::FIXED_CONNECT,
        Path::Connect => kind::CONNECT,
        Path::Port if sock::is_listening(common) => {
            if fixed {
                kind::FIXED_LISTEN
            } else {
                kind::LISTEN
            }
        }
        Path::Port if fixed => kind::FIXED_BIND,
        Path::Port if entry.autobind == entry.sock => kind::AUTOBIND,
        Path::Port => kind::BIND,
    }
}

/// The errno that the caller sees, as a positive number.
#[inline(always)]
fn errno(kind: u8, ret: i32) -> u8 {
    match ret {
        0 => 0,
        _ if kind == kind::AUTOBIND => EAGAIN,
        1 => EADDRINUSE,
        _ => ret.unsigned_abs() as u8,
    }
}

/// Fills in what the socket says: addresses, options, range, namespace, identity.
///
/// `address` is that of the socket as a plain number, read from a map: the verifier allows no arithmetic on
/// the pointer that a hook was given.
#[inline(always)]
pub(crate) fn fill_socket<S: Socket>(event: &mut Record, socket: &S, address: u64) {
    let common = socket.common();
    let connects = matches!(event.kind, kind::CONNECT | kind::FIXED_CONNECT);
    let Addresses { family, local, remote, remote_port } = sock::addresses(common, connects);
    event.family = family;
    event.local_addr = bytes(local);
    if connects {
        event.remote_addr = bytes(remote);
        event.remote_port = remote_port;
        event.present |= present::REMOTE;
    }
    let (protocol, kernel) = socket.origin();
    event.protocol = protocol.unwrap_or(0) as u8;
    if let Some(kernel) = kernel {
        event.present |= present::KERNEL_SOCKET;
        event.flags |= if kernel { flags::KERNEL_SOCKET } else { 0 };
    }
    let (options, seen) = sock::common_options(common);
    event.options = options;
    event.present |= seen;
    let inet = socket.inet(event.protocol);
    if let Some(options) = inet.options {
        event.options |= options;
        event.present |= present::INET_OPTIONS;
    }
    if inet.range != (0, 0) {
        event.options |= option::PORT_RANGE;
    }
    if event.kind == kind::FIXED_CONNECT && sock::is_port_locked(socket) {
        event.options |= option::BOUND;
    }
    let net = socket.net();
    event.netns = net.inum;
    event.present |= net.seen;
    if net.seen & present::RANGE != 0 {
        (event.range_low, event.range_high) = sock::effective_range(net.range, inet.range);
    }
    let birth = if tuned(tune::RELEASES) { event.mono_ns } else { 0 };
    event.socket = socket_id(address, birth);
}

/// Keyed hash of a socket's address: tells two sockets apart, tells nothing of where they lie.
#[inline(always)]
pub(crate) fn socket_id(address: u64, birth: u64) -> u64 {
    let keys = [frozen(&CONFIG.socket_key[0]), frozen(&CONFIG.socket_key[1])];
    let mut id = (address ^ keys[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    id ^= id >> 32;
    id = (id ^ birth ^ keys[1]).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id ^ (id >> 29)
}

#[inline(always)]
fn no_entry() {
    if let Some(counters) = Counters::here() {
        counters.no_entry();
    }
}

#[inline(always)]
pub(crate) fn read_failed() {
    if let Some(counters) = Counters::here() {
        counters.read_failed();
    }
}
