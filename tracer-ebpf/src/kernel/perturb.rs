//! Where a connect's search starts, and whether another search could have moved it.
//!
//! `__inet_hash_connect` (net/ipv4/inet_hashtables.c) starts at `table_perturb[i] + (port_offset >> 32)`,
//! `i` being the low 16 bits of `port_offset`, and advances the entry when it is done. From the start and
//! the port that was found userspace computes how many candidates were examined. Two searches that overlap
//! on one entry may read each other's value: each entry has a pair of counters here, searches started and
//! searches under way, and an overlap takes the mark of exactness away.

use core::ptr;

use super::{
    control,
    fields::fetch,
    globals::{CONFIG, frozen},
    inflight::Slot,
    maps::{PERTURB, add},
};

const STARTED: u64 = 1 << 32;

/// Notes the start of a search in its slot.
#[inline(always)]
pub(crate) fn enter(slot: &mut Slot, port_offset: u64) {
    slot.has_start = 0;
    let index = port_offset as u32 & 0xffff;
    let Some(table) = table() else { return };
    let entry = PERTURB.at(port_offset);
    // SAFETY: the pointer is to an entry of a table.
    unsafe { add(entry, STARTED + 1) };
    // SAFETY: as above; the read sees at least the addition just made.
    let count = unsafe { ptr::read_volatile(entry) };
    slot.perturb_index = index;
    slot.perturb_started = (count >> 32) as u32;
    slot.perturb_inflight = count as u32;
    // Counted as under way from here on, whether or not the read succeeds: the exit takes it off.
    slot.has_start = 1;
    let mut value = 0_u32;
    if fetch(table, index * 4, &mut value) {
        slot.search_start = value.wrapping_add((port_offset >> 32) as u32);
        slot.has_start = 2;
    }
}

/// The start of a search that has ended, and whether no other overlapped it.
#[inline(always)]
pub(crate) fn exit(slot: &Slot) -> Option<(u32, bool)> {
    if slot.has_start == 0 {
        return None;
    }
    let entry = PERTURB.at(slot.perturb_index.into());
    // SAFETY: the pointer is to an entry of a table.
    let count = unsafe { ptr::read_volatile(entry) };
    // SAFETY: as above. Taking 1 off the lower half never borrows: `enter` added it.
    unsafe { add(entry, u64::MAX) };
    let alone = slot.perturb_inflight == 1 && (count >> 32) as u32 == slot.perturb_started;
    (slot.has_start == 2).then_some((slot.search_start, alone))
}

/// The kernel's table: the pointer is set once at boot, so it is read once.
#[inline(always)]
fn table() -> Option<*const u8> {
    let address = frozen(&CONFIG.table_perturb);
    if address == 0 {
        return None;
    }
    let mut table = control::perturb_table();
    if table == 0 {
        if !fetch(address as *const u8, 0, &mut table) {
            return None;
        }
        control::set_perturb_table(table);
    }
    Some(table as *const u8)
}
