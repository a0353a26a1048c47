//! Ports that the kernel chose and that are still held: what their release needs to know.
//!
//! Only with releases. Keyed by the address of the socket, then of the TIME_WAIT that takes its port over;
//! the value is the record of the allocation, whose `state` says whether it was handed over.

use tracer_ebpf::abi::{Record, kind, present};

use super::maps::{Counters, LIVE};

/// [`Record::state`] of a port that a TIME_WAIT has taken over: the socket's own release is none.
const HANDED_OVER: u8 = 1;

/// Notes a port that was just chosen.
#[inline(always)]
pub(crate) fn born(sock: u64, record: &Record) {
    keep(sock, record);
}

/// Passes a port from a socket to the TIME_WAIT that follows it (`inet_twsk_hashdance`).
#[inline(always)]
pub(crate) fn hand_over(sock: u64, time_wait: u64) {
    let Some(record) = LIVE.get_ptr_mut(sock) else { return };
    // A second program on the hook finds it done.
    // SAFETY: the pointer is the non-null result of a map lookup.
    if unsafe { (*record).state } == HANDED_OVER {
        return;
    }
    // SAFETY: as above.
    keep(time_wait, unsafe { &*record });
    // SAFETY: as above.
    unsafe { (*record).state = HANDED_OVER };
}

/// Forgets a port whose holder is gone and whose release nobody will see: another socket may come to its address.
#[inline(always)]
pub(crate) fn forget(holder: u64) {
    // Without it nothing is there to forget.
    let _gone = LIVE.remove(holder);
}

#[inline(always)]
fn keep(holder: u64, record: &Record) {
    if LIVE.insert(holder, record, 0).is_err() {
        Counters::here().live_full();
    }
}

/// The record of a port that its holder gives back at `now`, or `None` when a TIME_WAIT took it over, or
/// its allocation was never seen.
#[inline(always)]
pub(crate) fn died(holder: u64, state: u8, now: u64) -> Option<Record> {
    let found = LIVE.get_ptr_mut(holder)?;
    // SAFETY: the pointer is the non-null result of a map lookup.
    let mut record = unsafe { *found };
    if LIVE.remove(holder).is_err() || record.state == HANDED_OVER {
        return None;
    }
    record.kind = kind::RELEASE;
    record.search_ns = u32::try_from(now.wrapping_sub(record.mono_ns) >> 10).unwrap_or(u32::MAX);
    record.present &= !(present::SEARCH_START | present::REUSED | present::SEARCH_UPPER);
    record.present |= present::SEARCH_NS;
    record.flags = 0;
    record.mono_ns = now;
    record.state = state;
    Some(record)
}
