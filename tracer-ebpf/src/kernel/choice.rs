//! A choice of port, from its entry to its exit: the core of the fentry and kprobe backends.

use core::ptr;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use tracer_ebpf::abi::{Mode, Protocol, Record, flags, kind, option, present};

use super::{
    control, emit, filter,
    globals::{CONFIG, filters, frozen, tuned},
    inflight::{self, Slot},
    live,
    maps::Counters,
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

/// The running task, or `None` when nothing is to be recorded: the tracer is off, or this is the tracer itself.
#[inline(always)]
pub(crate) fn admitted() -> Option<Ids> {
    let mode = control::mode();
    if mode == Mode::Off as u32 {
        return None;
    }
    let ids = task::ids();
    let own = mode == Mode::Run as u32 && ids.pid == control::self_pid();
    (!own).then_some(ids)
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
    let Some(ids) = admitted() else { return };
    if tuned!(COUNT_ENTRIES)
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
    if path == Path::Connect && requested == 0 && !tuned!(COUNT_ONLY) {
        perturb::enter(slot, port_offset);
    }
}

/// Notes that this thread starts to bind a socket automatically.
#[inline(always)]
pub(crate) fn enter_autobind(sock: u64) {
    let Some(ids) = admitted() else { return };
    if let Some(slot) = inflight::claim(ids.tid, now()) {
        // SAFETY: `claim` returns non-null results of map lookups.
        unsafe { (*slot).autobind = sock };
    }
}

/// Notes that it has done so.
#[inline(always)]
pub(crate) fn exit_autobind() {
    let Some(ids) = admitted() else { return };
    if let Some((slot, spilled)) = inflight::find(ids.tid) {
        // SAFETY: `find` returns non-null results of map lookups.
        unsafe { (*slot).autobind = 0 };
        inflight::release(slot, spilled);
    }
}

/// Ends a choice: finds its entry, and records it. `socket` turns the address noted at entry into a way to
/// read it.
#[inline(always)]
pub(crate) fn exit<S: Socket>(path: Path, ret: i32, socket: impl FnOnce(u64) -> Option<S>) {
    let Some(ids) = admitted() else { return };
    if tuned!(COUNT_ENTRIES)
        && let Some(counters) = Counters::here()
    {
        counters.exited();
    }
    // Where nothing but the number is wanted, nothing but the kind and the result is looked at.
    let counting = tuned!(COUNT_ONLY) && filters() == 0 && !control::is_self_test();
    let now = if counting { 0 } else { now() };
    let Some((slot, spilled)) = inflight::find(ids.tid) else { return no_entry() };
    // SAFETY: `find` returns non-null results of map lookups.
    let entry = unsafe { &mut *slot };
    if entry.sock == 0 || entry.kind != path as u8 {
        return no_entry();
    }
    match socket(entry.sock) {
        Some(socket) if socket.address() == entry.sock => {
            let choice = Choice { path, ret, ids, now };
            if counting { choice.count(&socket, entry) } else { choice.record(&socket, entry) }
        }
        Some(_) => no_entry(),
        None => read_failed(),
    }
    inflight::release(slot, spilled);
}

/// A choice that has ended.
#[derive(Clone, Copy)]
struct Choice {
    path: Path,
    ret: i32,
    ids: Ids,
    now: u64,
}

impl Choice {
    /// Site and result, or `None` for a check that succeeded and is not to be recorded.
    #[inline(always)]
    fn site(self, socket: &impl Socket, entry: &Slot) -> Option<(u8, u8)> {
        let kind = kind_of(self.path, entry, socket.common());
        if kind >= kind::FIXED_CONNECT && self.ret == 0 && !tuned!(EXPLICIT) {
            return None;
        }
        Some((kind, errno(kind, self.ret)))
    }

    #[inline(always)]
    fn count(self, socket: &impl Socket, entry: &Slot) {
        if let Some((kind, error)) = self.site(socket, entry) {
            emit::count(self.ids.pid, kind, protocol_of(socket), error);
        }
    }

    #[inline(always)]
    fn record(self, socket: &impl Socket, entry: &mut Slot) {
        let start = if self.path == Path::Connect { perturb::exit(entry) } else { None };
        let Some((kind, error)) = self.site(socket, entry) else { return };
        let fixed = kind >= kind::FIXED_CONNECT;
        // A record that no filter judges is written where it is read: in the ring. Else in the slot, not on the stack,
        // whose contents the verifier follows: it would look at each combination of what was found and what was not.
        let direct = filters() == 0 && !tuned!(COUNT_ONLY) && !tuned!(RELEASES);
        if direct && self.ids.pid != self.ids.tid {
            emit::name_leader(self.ids, task::start(), self.now);
        }
        let sock = frozen(&entry.sock);
        let (requested, entered_ns, time_wait_port) =
            (entry.requested, entry.entered_ns, entry.time_wait_port);
        let event = if direct { emit::reserve() } else { &raw mut entry.record };
        if event.is_null() {
            return emit::count_lost(self.ids.pid, kind, protocol_of(socket), error);
        }
        // SAFETY: the pointer is that of a map value, or of a reserved record, and not null.
        let event = unsafe { &mut *event };
        event.mono_ns = self.now;
        event.pid = self.ids.pid;
        event.tid = self.ids.tid;
        event.kind = kind;
        event.error = error;
        event.state = 0;
        event.search_ns = u32::try_from(self.now.wrapping_sub(entered_ns)).unwrap_or(u32::MAX);
        event.requested_port = if fixed { requested } else { 0 };
        let mut found = present::ERROR | present::SEARCH_NS | present::LOCAL_ADDR;
        let mut marks = 0;
        event.search_start = 0;
        if let Some((search_start, exact)) = start {
            event.search_start = search_start;
            found |= present::SEARCH_START;
            marks |= if exact { flags::CANDIDATES_EXACT } else { 0 };
        }
        event.flags = marks;
        found |= fill_socket(event, socket, sock);
        if self.ret != 0 {
            event.local_port = 0;
        }
        if tuned!(TIME_WAIT) && kind == kind::CONNECT {
            found |= present::REUSED;
            if self.ret == 0 && time_wait_port == event.local_port {
                event.flags |= flags::TIME_WAIT_REUSED;
            }
        }
        event.present = found | task::identify(event);
        if direct {
            return emit::publish(event);
        }
        let shown = emit::emit(event, filter::task_in_cgroup);
        if tuned!(RELEASES) && shown && self.ret == 0 && !fixed {
            live::born(sock, event);
        }
    }
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

/// Protocol number of a socket, 0 where it cannot be read.
#[inline(always)]
fn protocol_of(socket: &impl Socket) -> u8 {
    socket.origin().0.unwrap_or(0) as u8
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
pub(crate) fn fill_socket<S: Socket>(event: &mut Record, socket: &S, address: u64) -> u16 {
    let mut found = 0;
    let common = socket.common();
    let connects = matches!(event.kind, kind::CONNECT | kind::FIXED_CONNECT);
    let Addresses { family, local, remote } = sock::addresses(common, connects);
    event.family = family;
    event.local_addr = bytes(local);
    event.remote_addr = bytes(remote);
    let (remote_port, local_port) = sock::ports(common);
    event.local_port = local_port;
    event.remote_port = if connects { remote_port } else { 0 };
    if connects {
        found |= present::REMOTE;
    }
    let (protocol, kernel) = socket.origin();
    let protocol = protocol.unwrap_or(0) as u8;
    event.protocol = protocol;
    if let Some(kernel) = kernel {
        found |= present::KERNEL_SOCKET;
        event.flags |= if kernel { flags::KERNEL_SOCKET } else { 0 };
    }
    let (mut options, seen) = sock::common_options(common);
    found |= seen;
    let inet = socket.inet(protocol);
    if let Some(more) = inet.options {
        options |= more;
        found |= present::INET_OPTIONS;
    }
    if inet.range != (0, 0) {
        options |= option::PORT_RANGE;
    }
    if event.kind == kind::FIXED_CONNECT && socket.is_port_locked() {
        options |= option::BOUND;
    }
    event.options = options;
    let net = socket.net();
    event.netns = net.inum;
    (event.range_low, event.range_high) = sock::effective_range(net.range, inet.range);
    let birth = if tuned!(RELEASES) { event.mono_ns } else { 0 };
    event.socket = socket_id(address, birth);
    if !S::TCP && Protocol::of(protocol) as u8 == Protocol::Icmp as u8 {
        // An identifier is chosen from all there are, whatever the range.
        return found | (net.seen & !present::RANGE);
    }
    found | net.seen
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
