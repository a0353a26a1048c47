//! What the inner loop of a TCP search meets, counted by kind: with `--count-collisions` only.
//!
//! The loop asks a function about a candidate that somebody has (net/ipv4/inet_hashtables.c,
//! inet_connection_sock.c); each answer that rejects is added to the slot of the thread that searches. Nothing is
//! recorded before the search ends: it may ask 28,000 times, most of them under a lock.
//!
//! The entry of a search sets nothing back, so that it costs nothing where nothing is counted: the counts are dated by
//! the entry that they belong to.

use tracer_ebpf::abi::{Met, Record, kind};

use super::{
    choice::{Path, Turn},
    control,
    globals::{ruled_out, tuned},
    inflight::{self, Slot},
    maps::Counters,
    task,
};

/// `EADDRNOTAVAIL`.
const EADDRNOTAVAIL: i32 = 99;
/// `IPPROTO_TCP`.
const IPPROTO_TCP: u8 = 6;

/// The search of this thread for any port, if it is of this path; its counts are set back the first time.
#[inline(always)]
fn searching(turn: Turn, path: Path) -> Option<&'static mut Slot> {
    if control::is_off() {
        return None;
    }
    let ids = task::ids();
    if turn == Turn::First {
        Counters::of(ids.0).inner_calls();
    }
    let slot = inflight::find(ids)?;
    // SAFETY: `find` returns non-null results of map lookups; only the owner thread writes behind it.
    let slot = unsafe { &mut *slot };
    if slot.sock == 0 || slot.kind != path as u8 || slot.requested != 0 {
        return None;
    }
    if slot.counted_ns != slot.entered_ns {
        slot.counted_ns = slot.entered_ns;
        slot.rejected = 0;
        slot.waiting = 0;
        slot.rejected_port = 0;
    }
    Some(slot)
}

/// A connect has asked whether it can have its 4-tuple with a port, 0 where that is not at hand. A search looks at a port
/// once; from 6.15 on it may ask twice, and is then refused by the second answer alone. So a spare finds that the first
/// has counted by the port.
#[inline(always)]
pub(crate) fn tuple_checked(turn: Turn, port: u16, ret: i32) {
    if let Some(slot) = searching(turn, Path::Connect)
        && ret == -EADDRNOTAVAIL
        && (port == 0 || slot.rejected_port != port)
    {
        slot.rejected = slot.rejected.wrapping_add(1);
        slot.rejected_port = port;
    }
}

/// A connect has asked whether it may take a port over from a TIME_WAIT.
#[inline(always)]
pub(crate) fn time_wait_checked(ret: i32) {
    if let Some(slot) = searching(Turn::First, Path::Connect)
        && ret == 0
    {
        slot.waiting = slot.waiting.wrapping_add(1);
    }
}

/// A bind or listen has asked whether it conflicts with those that have a port.
#[inline(always)]
pub(crate) fn bind_checked(conflicts: bool) {
    if let Some(slot) = searching(Turn::First, Path::Port)
        && conflicts
    {
        slot.rejected = slot.rejected.wrapping_add(1);
    }
}

/// Notes in the record of a search that has ended what it met.
#[inline(always)]
pub(crate) fn note(slot: &Slot, record: &mut Record) {
    if !tuned!(COLLISIONS) {
        return ruled_out();
    }
    // Other protocols choose by other functions, or wait without asking.
    if slot.requested != 0 || record.protocol != IPPROTO_TCP {
        return;
    }
    let counted = slot.counted_ns == slot.entered_ns;
    let (rejected, waiting) = if counted { (slot.rejected, slot.waiting) } else { (0, 0) };
    record.note_met(match record.kind {
        kind::CONNECT => Met::Connect { tuple: rejected as u16, waiting: waiting as u16 },
        _ => Met::Port { bucket: rejected },
    });
}
