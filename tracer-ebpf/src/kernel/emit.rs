//! From a finished record to the ring, the counters, or both.

use core::ptr;

use aya_ebpf::{
    bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_reserve, bpf_ringbuf_submit},
};
use tracer_ebpf::abi::{
    Protocol, Record, ResultClass, TallyKey, TallyValue, blanks, cell, flags, kind, present,
};

use super::{
    choice::{errno, read_failed},
    control,
    fill::clear,
    filter,
    globals::{opaque, tuned, value},
    maps::{Counters, EVENTS, LEADERS, RECENT, TALLY, add},
    task::{self, Ids, bytes},
};

/// The reader is woken no more often than this: a wake-up costs more than some events do.
///
/// Nobody is woken by an event: the reader looks every few milliseconds, and is woken only when the ring
/// fills faster than that, or for a process that may be gone when it looks.
const WAKE_PAUSE_NS: u64 = 500_000;

/// Room for a record in the ring, uninitialized; null when it is full. It must be submitted.
#[inline(always)]
pub(crate) fn reserve() -> *mut Record {
    let ring = (&raw const EVENTS).cast_mut();
    // SAFETY: the map is a ring, and the flags are 0 as they must be.
    unsafe { bpf_ringbuf_reserve(ring.cast(), size_of::<Record>() as u64, 0) }.cast()
}

/// Passes on a record that was reserved.
///
/// # Safety
///
/// `record` comes from [`reserve`], is not null, and was written in full.
#[inline(always)]
unsafe fn submit(record: *mut Record, wakeup: u32) {
    // SAFETY: as the caller says.
    unsafe { bpf_ringbuf_submit(record.cast(), u64::from(wakeup)) }
}

/// Counts a record that was written into the ring, and passes it on.
#[inline(always)]
pub(crate) fn publish(record: &mut Record, cell: usize, ids: Ids) {
    if control::is_self_test() {
        record.flags |= flags::SELF_TEST;
    } else {
        let before = Counters::of(ids.0).event(cell);
        // Whether the ring fills up is asked now and then: the answer costs more than all of the counting.
        if before.is_multiple_of(8) && is_filling(record.mono_ns) {
            // SAFETY: the caller has reserved it and written it in full.
            return unsafe { submit(record, BPF_RB_FORCE_WAKEUP) };
        }
    }
    let wakeup =
        if is_new(ids, record.start, record.mono_ns) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    // SAFETY: as above.
    unsafe { submit(record, wakeup) };
}

/// Whether so much waits in the ring that the reader has to be woken, and was not woken just now.
#[inline(always)]
fn is_filling(now: u64) -> bool {
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    waiting > value::<{ blanks::value::WAKE_BYTES }>() as u64 && may_wake(now)
}

/// Whether the reader was not woken just now; it is then.
#[inline(always)]
fn may_wake(now: u64) -> bool {
    if now.wrapping_sub(control::woken_ns()) < WAKE_PAUSE_NS {
        return false;
    }
    control::set_woken_ns(now);
    true
}

/// Counts a record and passes it on; true when it passed the filters. `in_cgroup` answers the cgroup
/// filter, and is asked only then; `amend` changes what is passed on, and nothing else.
#[inline(always)]
pub(crate) fn emit(
    record: &mut Record,
    in_cgroup: impl FnOnce() -> bool,
    amend: impl FnOnce(&mut Record),
) -> bool {
    if control::is_self_test() {
        record.flags |= flags::SELF_TEST;
        push(record, as_it_is);
        return false;
    }
    let counters = Counters::of(u64::from(record.tid));
    if !filter::passes(record, in_cgroup) {
        counters.filtered();
        return false;
    }
    count_and_push(record, counters, amend);
    true
}

/// Counts the release of a port and passes it on. Its allocation has passed the filters already; they are
/// not asked again, because the running task is whoever the release happened to interrupt.
#[inline(always)]
pub(crate) fn emit_release(record: &mut Record) {
    if !control::is_self_test() {
        count_and_push(record, Counters::here(), as_it_is);
    }
}

/// Counts an event of which nothing else is wanted, under its process.
#[inline(always)]
pub(crate) fn count(ids: Ids, cell: usize) {
    let counters = Counters::of(ids.0);
    counters.event(cell);
    tally(ids.pid(), cell, counters, task::comm);
}

/// Counts an event that found the ring full.
#[inline(never)]
pub(crate) fn count_lost(ids: Ids, kind: u8, protocol: u8, ret: i32) {
    if control::is_self_test() {
        return;
    }
    Counters::of(ids.0).lost();
    count(ids, cell(kind, Protocol::of(protocol), ResultClass::of(errno(kind, ret))));
}

/// The cell of the counters that an event belongs to.
#[inline(always)]
fn cell_of(record: &Record) -> usize {
    let errno = if record.present & present::ERROR != 0 { record.error } else { u8::MAX };
    cell(record.kind, Protocol::of(record.protocol), ResultClass::of(errno))
}

#[inline(always)]
fn count_and_push(record: &Record, counters: Counters, amend: impl FnOnce(&mut Record)) {
    let cell = cell_of(record);
    counters.event(cell);
    let comm = record.comm;
    if tuned!(COUNT_ONLY) {
        tally(record.pid, cell, counters, || comm);
        return;
    }
    if record.pid != record.tid && record.kind != kind::RELEASE {
        let ids = Ids(u64::from(record.pid) << 32 | u64::from(record.tid));
        name_leader(ids, record.start, record.mono_ns);
    }
    if !push(record, amend) {
        counters.lost();
        tally(record.pid, cell, counters, || comm);
    }
}

/// What passes a record on unchanged ([`emit`]).
#[inline(always)]
pub(crate) fn as_it_is(_sent: &mut Record) {}

/// Copies a record to the ring, amended; false when it is full.
#[inline(always)]
fn push(record: &Record, amend: impl FnOnce(&mut Record)) -> bool {
    let room = reserve();
    if room.is_null() {
        return false;
    }
    // SAFETY: it is memory of the ring, of the size and alignment of a record.
    unsafe { ptr::write(room, *record) };
    // SAFETY: it was just written in full.
    amend(unsafe { &mut *room });
    let ids = Ids(u64::from(record.pid) << 32 | u64::from(record.tid));
    let is_new = record.kind != kind::RELEASE && is_new(ids, record.start, record.mono_ns);
    let wake = is_filling(record.mono_ns) || is_new;
    let wakeup = if wake { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    // SAFETY: it was reserved and written just now.
    unsafe { submit(room, wakeup) };
    true
}

/// Whether this is the first event of a process for a while, and the reader was not woken just now.
#[inline(always)]
fn is_new(ids: Ids, start: u32, now: u64) -> bool {
    let seen = RECENT.at(ids.0 >> 32);
    // SAFETY: the pointer is to an entry of a table.
    if unsafe { *seen } == start {
        return false;
    }
    // SAFETY: as above; a write that another CPU overwrites costs one wake-up.
    unsafe { *seen = start };
    may_wake(now)
}

/// A record has room for the name of its thread alone. The name of the process is that of its first thread:
/// it goes ahead in a record of its own, once a process, before anybody can look and find it gone.
#[inline(always)]
pub(crate) fn name_leader(ids: Ids, start: u32, now: u64) {
    let pid = ids.pid();
    // SAFETY: the value is copied at once, and a wrong one only costs a record.
    if unsafe { LEADERS.get(&pid) }.copied() == Some(start) {
        return;
    }
    let Some(comm) = task::leader_comm() else { return };
    let room = reserve();
    if room.is_null() {
        return;
    }
    // SAFETY: it is memory of the ring, of the size and alignment of a record.
    unsafe { clear(room) };
    // SAFETY: it was just written in full, and any bytes make a record.
    let name = unsafe { &mut *room };
    name.mono_ns = now;
    name.pid = pid;
    name.tid = pid;
    name.start = start;
    name.comm = bytes(comm);
    name.present = present::COMM | if start == 0 { 0 } else { present::START };
    name.flags = flags::LEADER_NAME;
    // SAFETY: it was reserved and written just now.
    unsafe { submit(room, BPF_RB_NO_WAKEUP) };
    // A table that is full forgets who was named longest ago; a failure repeats the name.
    if LEADERS.insert(&pid, &start, 0).is_err() {
        read_failed();
    }
}

/// Counts an event that the ring does not carry under its process. `comm` is asked for its name the first time.
#[inline(always)]
fn tally(pid: u32, cell: usize, counters: Counters, comm: impl FnOnce() -> [u8; 16]) {
    let key = TallyKey { pid, cell: cell as u32 };
    let value = if let Some(value) = TALLY.get_ptr_mut(&key) {
        value
    } else {
        let fresh = TallyValue { count: opaque(0), comm: comm() };
        let inserted = TALLY.insert(&key, &fresh, u64::from(BPF_NOEXIST)).is_ok();
        // Another CPU may have been first: then this finds its entry.
        let Some(value) = TALLY.get_ptr_mut(&key) else {
            if !inserted {
                counters.tally_full();
            }
            return;
        };
        value
    };
    // SAFETY: the pointer is the non-null result of a map lookup.
    let count = unsafe { &raw mut (*value).count };
    // SAFETY: it points into that map value.
    unsafe { add(count, 1) };
}
