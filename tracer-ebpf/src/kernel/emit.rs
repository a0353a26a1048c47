//! From a finished record to the ring, the counters, or both.

use core::ptr;

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use tracer_ebpf::abi::{
    Control, Mode, Protocol, Record, ResultClass, TallyKey, TallyValue, cell, flags, kind, present, tune,
};

use super::{
    choice::{blank, read_failed},
    filter,
    globals::{CONFIG, frozen, tuned},
    maps::{Counters, EVENTS, LEADERS, RECENT, SLOT_COUNT, TALLY, add},
    task::{bytes, leader_comm},
};

/// Bytes that a record takes in the ring, its header included.
const RECORD_BYTES: u64 = size_of::<Record>() as u64 + 8;
/// The reader is woken by any of this many records behind the mark: two CPUs that cross it together may
/// both miss its exact edge.
const WAKE_WINDOW: u64 = 4 * RECORD_BYTES;

/// The reader is woken for new processes no more often than this: a wake-up costs more than an event.
const WAKE_PAUSE_NS: u64 = 1_000_000;

/// Counts a record and passes it on; true when it passed the filters. `in_cgroup` answers the cgroup
/// filter, and is asked only then.
#[inline(always)]
pub(crate) fn emit(record: &mut Record, control: *mut Control, in_cgroup: impl FnOnce() -> bool) -> bool {
    // SAFETY: the pointer is the non-null result of a map lookup.
    let mode = unsafe { (*control).mode };
    if mode == Mode::SelfTest as u32 {
        record.flags |= flags::SELF_TEST;
        push(record, control);
        return false;
    }
    let Some(counters) = Counters::here() else { return false };
    if !filter::passes(record, in_cgroup) {
        counters.filtered();
        return false;
    }
    count_and_push(record, control, counters);
    true
}

/// Counts the release of a port and passes it on. Its allocation has passed the filters already; they are
/// not asked again, because the running task is whoever the release happened to interrupt.
#[inline(always)]
pub(crate) fn emit_release(record: &mut Record, control: *mut Control) {
    // SAFETY: the pointer is the non-null result of a map lookup.
    if unsafe { (*control).mode } == Mode::Run as u32
        && let Some(counters) = Counters::here()
    {
        count_and_push(record, control, counters);
    }
}

#[inline(always)]
fn count_and_push(record: &Record, control: *mut Control, counters: Counters) {
    let errno = if record.present & present::ERROR != 0 { record.error } else { u8::MAX };
    let cell = cell(record.kind, Protocol::of(record.protocol), ResultClass::of(errno));
    counters.event(cell);
    if tuned(tune::COUNT_ONLY) {
        tally(record, cell, counters);
        return;
    }
    if record.pid != record.tid && record.kind != kind::RELEASE {
        name_leader(record);
    }
    if !push(record, control) {
        counters.lost();
        tally(record, cell, counters);
    }
}

/// Writes a record to the ring; false when it is full.
///
/// Nobody is woken by an event: the reader looks every few milliseconds, and is woken only when the ring
/// fills faster than that, or for a process that may be gone when it looks.
#[inline(always)]
fn push(record: &Record, control: *mut Control) -> bool {
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else { return false };
    // SAFETY: the entry is memory of the ring, of the size and alignment of a record.
    unsafe { ptr::write(entry.as_mut_ptr(), *record) };
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let beyond = waiting.wrapping_sub(frozen(&CONFIG.wake_bytes));
    let wake = beyond < WAKE_WINDOW || is_new(record, control);
    let wakeup = if wake { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
    entry.submit(u64::from(wakeup));
    true
}

/// Whether this is the first event of a process for a while, and the reader was not woken just now.
#[inline(always)]
fn is_new(record: &Record, control: *mut Control) -> bool {
    if record.kind == kind::RELEASE {
        return false;
    }
    let identity = u64::from(record.pid) << 32 | u64::from(record.start);
    let Some(seen) = RECENT.get_ptr_mut(record.pid & (SLOT_COUNT - 1)) else { return false };
    // SAFETY: the pointer is the non-null result of a map lookup.
    if unsafe { *seen } == identity {
        return false;
    }
    // SAFETY: as above; a write that another CPU overwrites costs one wake-up.
    unsafe { *seen = identity };
    // SAFETY: the pointer is the non-null result of a map lookup.
    let control = unsafe { &mut *control };
    if record.mono_ns.wrapping_sub(control.woken_ns) < WAKE_PAUSE_NS {
        return false;
    }
    control.woken_ns = record.mono_ns;
    true
}

/// A record has room for the name of its thread alone. The name of the process is that of its first thread:
/// it goes ahead in a record of its own, once a process, before anybody can look and find it gone.
#[inline(always)]
fn name_leader(event: &Record) {
    // SAFETY: the value is copied at once, and a wrong one only costs a record.
    if unsafe { LEADERS.get(&event.pid) }.copied() == Some(event.start) {
        return;
    }
    let Some(comm) = leader_comm() else { return };
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else { return };
    let name = blank(&mut entry);
    name.mono_ns = event.mono_ns;
    name.pid = event.pid;
    name.tid = event.pid;
    name.start = event.start;
    name.comm = bytes(comm);
    name.present = present::COMM | event.present & present::START;
    name.flags = flags::LEADER_NAME;
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    // A table that is full forgets who was named longest ago; a failure repeats the name.
    if LEADERS.insert(&event.pid, &event.start, 0).is_err() {
        read_failed();
    }
}

/// Counts an event that the ring does not carry under its process.
#[inline(always)]
fn tally(record: &Record, cell: usize, counters: Counters) {
    let key = TallyKey { pid: record.pid, cell: cell as u32 };
    if TALLY.get_ptr_mut(&key).is_none() {
        let fresh = TallyValue { count: 0, comm: record.comm };
        // Another CPU may have been first: the lookup below finds its entry.
        if TALLY.insert(&key, &fresh, u64::from(BPF_NOEXIST)).is_err() && TALLY.get_ptr_mut(&key).is_none() {
            counters.tally_full();
            return;
        }
    }
    let Some(value) = TALLY.get_ptr_mut(&key) else { return };
    // SAFETY: the pointer is the non-null result of a map lookup.
    let count = unsafe { &raw mut (*value).count };
    // SAFETY: it points into that map value.
    unsafe { add(count, 1) };
}
