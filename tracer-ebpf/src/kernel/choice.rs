//! A choice of port, from its entry to its exit: the core of the fentry and kprobe backends.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tracer_ebpf::abi::{Protocol, Record, ResultClass, blanks, cell, flags, kind, option, present};

use super::{
    control, emit, filter,
    globals::{CONFIG, apart, frozen, is_set, tuned},
    inflight::{self, Slot},
    live,
    maps::Counters,
    perturb::{self, Start},
    sock::{self, Socket},
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
    ids.pid() == control::self_pid() && !control::is_self_test()
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
    // The tracer's own choices are noted like all others, and left out at their exit.
    let Some(ids) = running() else { return };
    if tuned!(COUNT_ENTRIES) {
        Counters::of(ids.0).entered();
    }
    let now = inflight::clock();
    let Some(slot) = inflight::claim(ids, now) else { return };
    // SAFETY: `claim` returns non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    slot.sock = sock;
    slot.entered_ns = now;
    slot.requested = requested;
    slot.time_wait_port = 0;
    slot.start = 0;
    slot.kind = path as u8;
    if path == Path::Connect && requested == 0 && !tuned!(COUNT_ONLY) {
        perturb::enter(slot, port_offset);
    }
}

/// Notes that this thread starts to bind a socket automatically.
#[inline(always)]
pub(crate) fn enter_autobind(sock: u64) {
    let Some(ids) = admitted() else { return };
    if let Some(slot) = inflight::claim(ids, inflight::clock()) {
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
/// read it.
#[inline(always)]
pub(crate) fn exit<S: Socket>(path: Path, ret: i32, socket: impl FnOnce(u64) -> Option<S>) {
    let Some(ids) = running() else { return };
    if tuned!(COUNT_ENTRIES) {
        Counters::of(ids.0).exited();
    }
    let Some(slot) = inflight::find(ids) else { return no_entry() };
    // SAFETY: `find` returns non-null results of map lookups.
    let entry = unsafe { &mut *slot };
    if entry.kind != path as u8 {
        return no_entry();
    }
    if is_own(ids) {
        if path == Path::Connect && entry.sock != 0 {
            perturb::exit(entry);
        }
        return inflight::release(slot);
    }
    match socket(entry.sock) {
        Some(socket) if socket.address() == entry.sock => {
            let choice = Choice { path, ret, ids };
            // A check that succeeded is recorded only where that is asked for.
            if entry.requested == 0 || ret != 0 || tuned!(EXPLICIT) {
                choice.end(&socket, entry);
            }
        }
        None if entry.sock != 0 => read_failed(),
        _ => no_entry(),
    }
    inflight::release(slot);
}

/// A choice that has ended.
#[derive(Clone, Copy)]
struct Choice {
    path: Path,
    ret: i32,
    ids: Ids,
}

impl Choice {
    #[inline(always)]
    fn end<S: Socket>(self, socket: &S, entry: &mut Slot) {
        let kind = kind_of::<S>(self.path, entry, socket.common());
        // Where nothing but the number is wanted, nothing but the kind and the result is looked at.
        if inflight::is_timeless() && !control::is_self_test() {
            let (protocol, _) = socket.origin().unwrap_or((0, 0));
            let mut at = cell(kind, S::USUAL, ResultClass::Ok);
            if self.ret != 0 || protocol != S::USUAL.number() {
                at = cell(kind, Protocol::of(protocol), ResultClass::of(errno(kind, self.ret)));
                apart();
            }
            return emit::count(self.ids, at);
        }
        self.record(kind, socket, entry);
    }

    #[inline(always)]
    fn record<S: Socket>(self, kind: u8, socket: &S, entry: &mut Slot) {
        let Self { path, ret, ids } = self;
        let now = now();
        let connects = path == Path::Connect;
        let start = if connects { perturb::exit(entry) } else { Start { value: 0, exact: 0, seen: 0 } };
        // A record that no filter judges is written where it is read: in the ring. Else in the slot, not on the stack,
        // whose contents the verifier follows: it would look at each combination of what was found and what was not.
        let direct = is_set::<{ blanks::value::DIRECT }>();
        if direct && ids.pid() != ids.tid() {
            emit::name_leader(ids, task::start(), now);
        }
        let event = if direct { emit::reserve() } else { &raw mut entry.record };
        if event.is_null() {
            let (protocol, _) = socket.origin().unwrap_or((0, 0));
            return emit::count_lost(ids, kind, protocol, ret);
        }
        // SAFETY: the pointer is that of a map value, or of a reserved record, and not null.
        let event = unsafe { &mut *event };
        event.mono_ns = now;
        event.pid = ids.pid();
        event.tid = ids.tid();
        event.kind = kind;
        event.state = 0;
        event.search_ns = u32::try_from(now.wrapping_sub(entry.entered_ns)).unwrap_or(u32::MAX);
        // 0 unless the port was fixed.
        event.requested_port = entry.requested;
        let mut found = present::ERROR | present::SEARCH_NS | present::LOCAL_ADDR | start.seen;
        event.search_start = start.value;
        event.flags = start.exact * flags::CANDIDATES_EXACT;
        found |= fill_socket(event, socket, || frozen(&entry.sock), connects);
        event.error = 0;
        if tuned!(TIME_WAIT) && connects && kind == kind::CONNECT {
            found |= present::REUSED;
            if ret == 0 && entry.time_wait_port == event.local_port {
                event.flags |= flags::TIME_WAIT_REUSED;
            }
        }
        event.present = found | task::identify(event);
        let mut cell = cell(kind, S::USUAL, ResultClass::Ok);
        if ret != 0 || event.protocol != S::USUAL.number() {
            cell = settle(event, ret);
        }
        if direct {
            return emit::publish(event, cell, ids);
        }
        let shown = emit::emit(event, filter::task_in_cgroup);
        if tuned!(RELEASES) && shown && ret == 0 && entry.requested == 0 {
            live::born(frozen(&entry.sock), event);
        }
    }
}

/// Completes a record whose result or protocol is not the usual one, and tells the cell of the counters that it belongs
/// to.
#[cold]
#[inline(never)]
fn settle(event: &mut Record, ret: i32) -> usize {
    if ret != 0 {
        event.error = errno(event.kind, ret);
        event.local_port = 0;
    }
    event.present &= !unfit(event.protocol);
    cell(event.kind, Protocol::of(event.protocol), ResultClass::of(event.error))
}

/// What a record of a protocol cannot have, bits of [`present`]: an ICMP identifier is chosen from all there are, whatever
/// the range.
#[inline(always)]
pub(crate) fn unfit(protocol: u8) -> u16 {
    if matches!(protocol, 1 | 58) { present::RANGE } else { 0 }
}

/// Writes zeros over a record, word by word: the compiler would make a `memset` of it, which is a loop over bytes in
/// BPF.
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

/// Fills in what the socket says: addresses, ports, options, range, namespace, identity; tells what was found, bits of
/// [`present`]. The record has its kind, time and flags already.
///
/// `address` is that of the socket as a plain number, read from a map: the verifier allows no arithmetic on
/// the pointer that a hook was given.
#[inline(always)]
pub(crate) fn fill_socket<S: Socket>(
    event: &mut Record,
    socket: &S,
    address: impl FnOnce() -> u64,
    connects: bool,
) -> u16 {
    let mut found = 0;
    let common = socket.common();
    sock::fill_addresses(event, common, connects);
    let (remote_port, local_port) = sock::ports(common);
    event.local_port = local_port;
    event.remote_port = 0;
    if connects {
        event.remote_port = remote_port;
        found |= present::REMOTE;
    }
    event.protocol = 0;
    if let Some((protocol, kernel)) = socket.origin() {
        event.protocol = protocol;
        event.flags |= kernel * flags::KERNEL_SOCKET;
        found |= present::KERNEL_SOCKET;
    }
    let (mut options, seen) = sock::common_options(common);
    let inet = socket.inet(event.protocol);
    let net = socket.net();
    options |= inet.options;
    found |= (seen | inet.seen | net.seen) as u16;
    event.netns = net.inum as u32;
    event.range_low = net.low as u16;
    event.range_high = net.high as u16;
    if inet.low | inet.high != 0 {
        let (low, high) = sock::effective_range(&net, &inet);
        event.range_low = low as u16;
        event.range_high = high as u16;
        options |= u64::from(option::PORT_RANGE);
        apart();
    }
    if connects && event.kind == kind::FIXED_CONNECT && socket.is_port_locked() {
        options |= u64::from(option::BOUND);
    }
    event.options = options as u16;
    event.socket = socket_id(address(), event.mono_ns);
    found
}

/// Keyed hash of a socket's address: tells two sockets apart, tells nothing of where they lie.
#[inline(always)]
pub(crate) fn socket_id(address: u64, birth: u64) -> u64 {
    let keys = [frozen(&CONFIG.socket_key[0]), frozen(&CONFIG.socket_key[1])];
    let mut id = (address ^ keys[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    id ^= (id >> 32) ^ keys[1];
    // Only with releases can the address be told apart from its earlier uses by more than time.
    if tuned!(RELEASES) {
        id ^= birth;
    }
    id = id.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id ^ (id >> 29)
}

#[inline(always)]
fn no_entry() {
    Counters::here().no_entry();
}

#[inline(always)]
pub(crate) fn read_failed() {
    Counters::here().read_failed();
}
