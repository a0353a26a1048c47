//! Choices under way, by thread: what the entry knew and the exit needs.
//!
//! Never by CPU: a search may sleep (`cond_resched` in `__inet_hash_connect`) and migrate. A thread has at
//! most one choice under way, so its slot is found by its id; two threads whose ids differ by a multiple of
//! the number of slots share one, and the second goes to a small hash.

use super::maps::{Counters, SLOT_COUNT, SLOTS, SPILL};

/// A slot held for longer than this belongs to an exit that was missed: no search takes so long.
const STALE_NS: u64 = 10_000_000_000;

/// One choice under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    /// Address of the socket; 0 while free.
    pub(crate) sock: u64,
    /// When it was entered, `CLOCK_MONOTONIC`.
    pub(crate) entered_ns: u64,
    /// Address of the socket that this thread is binding automatically; 0 for none.
    pub(crate) autobind: u64,
    /// Owner of the slot.
    pub(crate) tid: u32,
    /// `table_perturb[index] + (port_offset >> 32)`.
    pub(crate) search_start: u32,
    /// Searches started on that entry of the table when this one was.
    pub(crate) perturb_started: u32,
    /// Searches under way on it then, this one included.
    pub(crate) perturb_inflight: u32,
    /// Entry of the table.
    pub(crate) perturb_index: u32,
    /// Port the caller asked for, or held already.
    pub(crate) requested: u16,
    /// Local port of a TIME_WAIT that ended on this thread meanwhile.
    pub(crate) time_wait_port: u16,
    /// A value of `kind`.
    pub(crate) kind: u8,
    /// Whether `search_start` was read.
    pub(crate) has_start: u8,
    /// Always 0.
    pub(crate) reserved: [u8; 6],
}

impl Slot {
    const FREE: Self = Self {
        sock: 0,
        entered_ns: 0,
        autobind: 0,
        tid: 0,
        search_start: 0,
        perturb_started: 0,
        perturb_inflight: 0,
        perturb_index: 0,
        requested: 0,
        time_wait_port: 0,
        kind: 0,
        has_start: 0,
        reserved: [0; 6],
    };
}

/// The slot in which this thread may note a choice.
#[inline(always)]
pub(crate) fn claim(tid: u32, now_ns: u64) -> Option<*mut Slot> {
    let slot = SLOTS.get_ptr_mut(tid & (SLOT_COUNT - 1))?;
    // SAFETY: the pointer is the non-null result of a map lookup.
    let found = unsafe { &mut *slot };
    if found.tid == tid {
        return Some(slot);
    }
    if (found.sock | found.autobind) == 0 || now_ns.wrapping_sub(found.entered_ns) > STALE_NS {
        found.tid = tid;
        found.autobind = 0;
        return Some(slot);
    }
    spill(tid)
}

#[cold]
#[inline(never)]
fn spill(tid: u32) -> Option<*mut Slot> {
    if let Some(counters) = Counters::here() {
        counters.spilled();
    }
    if let Some(slot) = SPILL.get_ptr_mut(tid) {
        return Some(slot);
    }
    let fresh = Slot { tid, ..Slot::FREE };
    if SPILL.insert(tid, fresh, 0).is_err() {
        if let Some(counters) = Counters::here() {
            counters.spill_full();
        }
        return None;
    }
    SPILL.get_ptr_mut(tid)
}

/// The slot in which this thread noted a choice, if it did.
#[inline(always)]
pub(crate) fn find(tid: u32) -> Option<*mut Slot> {
    let slot = SLOTS.get_ptr_mut(tid & (SLOT_COUNT - 1))?;
    // SAFETY: the pointer is the non-null result of a map lookup.
    if unsafe { (*slot).tid } == tid { Some(slot) } else { SPILL.get_ptr_mut(tid) }
}

/// Marks a slot free again.
#[inline(always)]
pub(crate) fn release(slot: *mut Slot) {
    // SAFETY: `claim` and `find` return non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    slot.sock = 0;
    slot.time_wait_port = 0;
    if slot.autobind == 0 {
        forget_spilled(slot.tid);
    }
}

/// Drops the hash entry of a thread whose choice was noted there.
#[inline(always)]
fn forget_spilled(tid: u32) {
    let Some(slot) = SLOTS.get_ptr_mut(tid & (SLOT_COUNT - 1)) else { return };
    // SAFETY: the pointer is the non-null result of a map lookup.
    if unsafe { (*slot).tid } != tid && SPILL.remove(tid).is_err() {
        // Another thread may have taken the slot since: nothing was spilled, nothing is to be dropped.
    }
}
