//! Choices under way, by thread: what the entry knew and the exit needs.
//!
//! Never by CPU: a search may sleep (`cond_resched` in `__inet_hash_connect`) and migrate. A thread has at
//! most one choice under way, so its slot is found by its id; two threads whose ids differ by a multiple of
//! the number of slots share one, and the second goes to a small hash.

use aya_ebpf::helpers::generated::bpf_jiffies64;
use tracer_ebpf::abi::{Record, blanks};

use super::{
    choice,
    globals::is_set,
    maps::{Counters, SLOTS, SPILL},
    task::Ids,
};

/// A slot held for longer than this belongs to an exit that was missed: no search takes so long.
const STALE_NS: u64 = 10_000_000_000;
/// The same in jiffies: ten seconds, or more where there are fewer of them in a second.
const STALE_JIFFIES: u64 = 10_000;

/// Whether nobody asks how long a choice took: only the number is wanted, of all of them.
#[inline(always)]
pub(crate) fn is_timeless() -> bool {
    is_set::<{ blanks::value::TIMELESS }>()
}

/// The clock that slots are dated by: nanoseconds, or jiffies where that is enough.
#[inline(always)]
pub(crate) fn clock() -> u64 {
    if is_timeless() {
        // SAFETY: the helper has no preconditions.
        return unsafe { bpf_jiffies64() };
    }
    choice::now()
}

/// One choice under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    /// Address of the socket; 0 while free.
    pub(crate) sock: u64,
    /// When it was entered, by [`clock`].
    pub(crate) entered_ns: u64,
    /// When it was left, `CLOCK_MONOTONIC`.
    pub(crate) exited_ns: u64,
    /// Address of the socket that this thread is binding automatically; 0 for none.
    pub(crate) autobind: u64,
    /// `port_offset` of the search that `start` is about; its lower 16 bits are the entry of the kernel's table.
    pub(crate) port_offset: u64,
    /// The entry of our own table when this search was counted there.
    pub(crate) perturb: u64,
    /// Address of the socket whose search has failed last: its connect need not be told again.
    pub(crate) refused: u64,
    /// Address of the socket that this thread is connecting, and of the peer's address, where an exit is to know them.
    pub(crate) connecting: u64,
    /// See `connecting`.
    pub(crate) peer: u64,
    /// `entered_ns` of the search that the counts below are of; those of any other are 0.
    pub(crate) counted_ns: u64,
    /// Candidates that the search has rejected, as far as the kernel asks a function about them.
    pub(crate) rejected: u32,
    /// Of these, those that a TIME_WAIT has.
    pub(crate) waiting: u32,
    /// Owner of the slot.
    pub(crate) tid: u32,
    /// `table_perturb[index] + (port_offset >> 32)`.
    pub(crate) search_start: u32,
    /// Local port of a TIME_WAIT that ended on this thread meanwhile.
    pub(crate) time_wait_port: u16,
    /// A value of `kind`.
    pub(crate) kind: u8,
    /// Always 0: written with the two before it.
    pub(crate) reserved: u8,
    /// Port the caller asked for, or held already.
    pub(crate) requested: u16,
    /// 1 in the hash, 0 in the table.
    pub(crate) spilled: u8,
    /// What is known of the start of a search that is counted as under way: `START_COUNTED` or `START_READ`; 0 for none.
    pub(crate) start: u8,
    /// The candidate that was rejected last.
    pub(crate) rejected_port: u16,
    /// Always 0.
    pub(crate) padding: [u16; 3],
    /// The record of the exit, while it is being written.
    pub(crate) record: Record,
}

impl Slot {
    /// The search is counted in our table.
    pub(crate) const START_COUNTED: u8 = 1;
    /// And `search_start` was read.
    pub(crate) const START_READ: u8 = 2;
}

/// The slot in which this thread may note a choice.
#[inline(always)]
pub(crate) fn claim(ids: Ids) -> Option<*mut Slot> {
    let (slot, tid) = (SLOTS.at(ids.0), ids.tid());
    // SAFETY: the pointer is to an entry of a table.
    let found = unsafe { &mut *slot };
    if found.tid == tid {
        return Some(slot);
    }
    let stale = if is_timeless() { STALE_JIFFIES } else { STALE_NS };
    if (found.sock | found.autobind) == 0 || clock().wrapping_sub(found.entered_ns) > stale {
        found.tid = tid;
        found.autobind = 0;
        return Some(slot);
    }
    spill(tid)
}

#[cold]
#[inline(never)]
fn spill(tid: u32) -> Option<*mut Slot> {
    Counters::of(tid.into()).spilled();
    if let Some(slot) = SPILL.get_ptr_mut(tid) {
        return Some(slot);
    }
    // Too large for the stack: the thread's own slot, which another thread holds, serves as the mould.
    let mould = SLOTS.at(tid.into());
    // SAFETY: the pointer is to an entry of a table.
    if SPILL.insert(&tid, unsafe { &*mould }, 0).is_err() {
        Counters::of(tid.into()).spill_full();
        return None;
    }
    let slot = SPILL.get_ptr_mut(tid)?;
    // SAFETY: the pointer is the non-null result of a map lookup.
    let fresh = unsafe { &mut *slot };
    fresh.tid = tid;
    fresh.sock = 0;
    fresh.autobind = 0;
    // That search is counted for the other thread.
    fresh.start = 0;
    fresh.spilled = 1;
    Some(slot)
}

/// The slot in which this thread noted a choice, if it did.
#[inline(always)]
pub(crate) fn find(ids: Ids) -> Option<*mut Slot> {
    let (slot, tid) = (SLOTS.at(ids.0), ids.tid());
    // SAFETY: the pointer is to an entry of a table.
    if unsafe { (*slot).tid } == tid { Some(slot) } else { SPILL.get_ptr_mut(tid) }
}

/// Marks a slot free again; one that lies in the hash is dropped there.
#[inline(always)]
pub(crate) fn release(slot: *mut Slot) {
    // SAFETY: `find` returns non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    slot.sock = 0;
    if slot.spilled != 0 && slot.autobind == 0 && SPILL.remove(slot.tid).is_err() {
        // Nobody else removes it.
    }
}
