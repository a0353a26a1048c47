//! System calls under way, by thread: where the tracepoint backend notes a choice until it knows its end.

use tracer_ebpf::abi::Record;

use super::maps::{PENDING, SLOT_COUNT};

/// Nothing is under way.
pub(super) const IDLE: u8 = 0;
/// A choice has begun.
pub(super) const SEARCHING: u8 = 1;
/// It has failed; the errno is yet to come.
pub(super) const REFUSED: u8 = 2;
/// It has ended and was recorded; its caller is yet to be counted, for a hook inside of bind may not look at stacks.
pub(super) const RECORDED: u8 = 3;

/// What a thread is doing.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    /// The record as far as it is known.
    pub(crate) record: Record,
    /// Address of the socket.
    pub(crate) sock: u64,
    /// Its inode, where it was found by its descriptor.
    pub(crate) inode: u64,
    /// When the choice began, `CLOCK_MONOTONIC`.
    pub(crate) entered_ns: u64,
    /// Owner.
    pub(crate) tid: u32,
    /// `inet_sport` at the beginning, network order.
    pub(crate) sport: u16,
    /// `IDLE`, `SEARCHING`, `REFUSED` or `RECORDED`.
    pub(crate) stage: u8,
    /// 1 inside a system call whose end is hooked.
    pub(crate) in_syscall: u8,
    /// 1 when the task passed the cgroup filter.
    pub(crate) in_cgroup: u8,
    /// 1 when the record's local address was noted at the beginning and stays.
    pub(crate) local_fixed: u8,
    /// 1 inside a send without an address.
    pub(crate) nameless: u8,
    /// 1 inside a connect.
    pub(crate) connects: u8,
    /// Descriptor of that send or connect.
    pub(crate) fd: u32,
    /// Where the address of the peer of that connect lies, in user memory.
    pub(crate) peer: u64,
}

/// The slot of a thread.
#[inline(always)]
pub(super) fn slot(tid: u32) -> Option<&'static mut Pending> {
    let slot = PENDING.get_ptr_mut(tid & (SLOT_COUNT - 1))?;
    // SAFETY: the pointer is the non-null result of a map lookup; only the owner thread writes behind it.
    Some(unsafe { &mut *slot })
}

/// The slot of a thread, if it holds a choice for `sock` at `stage`.
#[inline(always)]
pub(super) fn owned(tid: u32, sock: u64, stage: u8) -> Option<&'static mut Pending> {
    slot(tid).filter(|slot| slot.tid == tid && slot.sock == sock && slot.stage == stage)
}
