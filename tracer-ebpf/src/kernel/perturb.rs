//! Where a connect's search starts, and whether another search could have moved it.
//!
//! `__inet_hash_connect` (net/ipv4/inet_hashtables.c) starts at `table_perturb[i] + (port_offset >> 32)`,
//! `i` being the low 16 bits of `port_offset`, and advances the entry when it is done. From the start and
//! the port that was found userspace computes how many candidates were examined. Two searches that overlap
//! on one entry may read each other's value: each entry has a pair of counters here, searches started and
//! searches under way, and an overlap takes the mark of exactness away.

use core::ptr;

use tracer_ebpf::abi::present;

use super::{
    control,
    fields::{fetch, fetched},
    globals::{CONFIG, apart, frozen},
    inflight::Slot,
    maps::{PERTURB, add},
};

const STARTED: u64 = 1 << 32;

/// Takes off the count a search of which the exit was missed, or is not this one's: every other search of its destination
/// would be taken to overlap it.
#[inline(always)]
pub(crate) fn forget(slot: &mut Slot) {
    if slot.start != 0 {
        leave(slot.port_offset);
        slot.start = 0;
        apart();
    }
}

/// Notes the start of a search in its slot, which has none so far.
#[inline(always)]
pub(crate) fn enter(slot: &mut Slot, port_offset: u64) {
    let Some(table) = table() else { return };
    slot.port_offset = port_offset;
    let entry = PERTURB.at(port_offset);
    // SAFETY: the pointer is to an entry of a table.
    unsafe { add(entry, STARTED + 1) };
    // SAFETY: as above; the read sees at least the addition just made.
    slot.perturb = unsafe { ptr::read_volatile(entry) };
    if let Some(value) = fetched::<u32>(table, (port_offset as u32 & 0xffff) * 4) {
        slot.search_start = value.wrapping_add((port_offset >> 32) as u32);
        slot.start = Slot::START_READ;
    } else {
        // Counted as under way even so: the exit takes it off.
        slot.start = Slot::START_COUNTED;
        apart();
    }
}

/// The start of a search that has ended. The fields are words: the compiler would pack smaller ones into one.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// `table_perturb[i] + (port_offset >> 32)`.
    pub(crate) value: u64,
    /// 1 when no other search overlapped it.
    pub(crate) exact: u64,
    /// [`present::SEARCH_START`], or 0 for none.
    pub(crate) seen: u64,
}

impl Start {
    /// Of a search whose start was not read.
    pub(crate) const UNSEEN: Self = Self { value: 0, exact: 0, seen: 0 };
}

/// Takes a search that has ended off the count, and tells its start.
#[inline(always)]
pub(crate) fn exit(slot: &mut Slot) -> Start {
    if slot.start == Slot::START_READ {
        slot.start = 0;
        let count = leave(slot.port_offset);
        // None was under way when it began, and none has begun since.
        let alone = count == slot.perturb && count as u32 == 1;
        return Start {
            value: slot.search_start.into(),
            exact: u64::from(alone),
            seen: present::SEARCH_START.into(),
        };
    }
    forget(slot);
    Start::UNSEEN
}

/// Takes one search off the count of its entry; tells what the count was.
#[inline(always)]
fn leave(port_offset: u64) -> u64 {
    let entry = PERTURB.at(port_offset);
    // SAFETY: the pointer is to an entry of a table.
    let count = unsafe { ptr::read_volatile(entry) };
    // SAFETY: as above. Taking 1 off the lower half never borrows: `enter` added it.
    unsafe { add(entry, u64::MAX) };
    count
}

/// The kernel's table: the pointer is set once at boot, so it is read once.
#[inline(always)]
fn table() -> Option<*const u8> {
    let table = control::perturb_table();
    if table != 0 { Some(table as *const u8) } else { first_table() }
}

#[cold]
#[inline(always)]
fn first_table() -> Option<*const u8> {
    let address = frozen(&CONFIG.table_perturb);
    if address == 0 {
        return None;
    }
    let mut table = 0;
    if !fetch(address as *const u8, 0, &mut table) || table == 0 {
        return None;
    }
    control::set_perturb_table(table);
    Some(table as *const u8)
}
