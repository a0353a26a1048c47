//! Who is running: the task behind an event.

use core::{mem::offset_of, ptr};

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_task, bpf_get_current_task_btf,
    },
};
use tracer_ebpf::abi::{Record, present};

use super::{
    fields::{Fields, Probed, Typed},
    globals::{offset, opaque, ruled_out, tuned},
};

/// Thread-group id in the upper half, thread id in the lower.
#[derive(Clone, Copy)]
pub(crate) struct Ids(pub(crate) u64);

impl Ids {
    /// Thread-group id.
    #[inline(always)]
    pub(crate) fn pid(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Thread id.
    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        self.0 as u32
    }

    /// Writes both into a record by one store: they lie there as they are in the word.
    #[inline(always)]
    pub(crate) fn write(self, record: &mut Record) {
        const { assert!(offset_of!(Record, tid) % 8 == 0) };
        const { assert!(offset_of!(Record, pid) == offset_of!(Record, tid) + 4) };
        let both = ptr::from_mut(record).cast::<u64>().wrapping_add(offset_of!(Record, tid) / 8);
        // SAFETY: both fields lie there, and as the layout of a record is, aligned to a word.
        unsafe { ptr::write(both, self.0) };
    }
}

/// Those of the running task.
#[inline(always)]
pub(crate) fn ids() -> Ids {
    Ids(bpf_get_current_pid_tgid())
}

/// Fills in what a record says of the running task beside its ids, and tells what was found, bits of [`present`]: by
/// typed loads where the kernel has them, by helpers elsewhere.
///
/// Each field is written as soon as it is read: `record` does not lie on the stack, whose contents the verifier follows.
#[inline(always)]
pub(crate) fn identify(record: &mut Record) -> u16 {
    // SAFETY: the helper has no preconditions.
    record.cgroup_id = unsafe { bpf_get_current_cgroup_id() };
    let found = if tuned!(TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = unsafe { bpf_get_current_task_btf() };
        typed(Typed(task.cast_const().cast()), record)
    } else {
        by_helpers(record)
    };
    found | present::CGROUP
}

#[inline(always)]
fn typed(task: Typed, record: &mut Record) -> u16 {
    let mut found = 0;
    let comm: Option<[u64; 2]> = task.read(offset!(task_comm));
    record.comm = bytes(comm.unwrap_or([0; 2]));
    if comm.is_some() {
        found |= present::COMM;
    }
    let cred: Option<u64> = task.read(offset!(task_cred));
    let uid: Option<u32> = cred.and_then(|cred| pointer(cred).read(offset!(cred_uid)));
    record.uid = uid.unwrap_or(0);
    if uid.is_some() {
        found |= present::UID;
    }
    // The first thread is its own leader.
    let leader =
        if record.pid == record.tid { Some(task) } else { task.read(offset!(task_leader)).map(pointer) };
    found | started(leader, record)
}

#[inline(always)]
fn started(leader: Option<impl Fields>, record: &mut Record) -> u16 {
    let start: Option<u64> = leader.and_then(|leader| leader.read(offset!(task_start)));
    record.start = (start.unwrap_or(0) >> 20) as u32;
    if start.is_some() { present::START } else { 0 }
}

/// The network namespace of the running task, a typed pointer, where the kernel has those.
#[inline(always)]
pub(crate) fn net() -> Option<Typed> {
    if !tuned!(TASK_BTF) {
        ruled_out();
        return None;
    }
    // SAFETY: the helper has no preconditions; the result is never null.
    let task = Typed(unsafe { bpf_get_current_task_btf() }.cast_const().cast());
    let proxy: u64 = task.read(offset!(task_nsproxy))?;
    pointer(proxy).read(offset!(nsproxy_net)).map(pointer)
}

/// A pointer that was itself loaded through a typed pointer keeps its type.
#[inline(always)]
fn pointer(value: u64) -> Typed {
    Typed(value as *const u8)
}

#[inline(always)]
fn by_helpers(record: &mut Record) -> u16 {
    let mut found = present::UID;
    record.uid = bpf_get_current_uid_gid() as u32;
    record.comm = comm();
    // The helper fails for want of a task only, and those programs run in one.
    found |= present::COMM;
    found | started(leader(), record)
}

/// The first thread of the running process.
#[inline(always)]
pub(crate) fn leader() -> Option<Probed> {
    // SAFETY: the helper has no preconditions.
    let task = Probed(unsafe { bpf_get_current_task() } as *const u8);
    let leader: u64 = task.read(offset!(task_leader))?;
    Some(Probed(leader as *const u8))
}

/// Name of the running thread.
#[inline(always)]
pub(crate) fn comm() -> [u8; 16] {
    // Not as an array of zeros: that would be a call of `memset`, and one more frame on a small stack.
    let mut comm = bytes([opaque(0); 2]);
    // SAFETY: the helper writes as many bytes as it is told.
    unsafe { bpf_get_current_comm((&raw mut comm).cast(), size_of_val(&comm) as u32) };
    comm
}

/// Start of the running process since boot, as [`Record::start`] has it; 0 where it is not known.
#[inline(always)]
pub(crate) fn start() -> u32 {
    let start: Option<u64> = if tuned!(TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = Typed(unsafe { bpf_get_current_task_btf() }.cast_const().cast());
        task.read(offset!(task_leader)).and_then(|leader| pointer(leader).read(offset!(task_start)))
    } else {
        leader().and_then(|leader| leader.read(offset!(task_start)))
    };
    (start.unwrap_or(0) >> 20) as u32
}

/// Name of the first thread of the running process.
#[inline(always)]
pub(crate) fn leader_comm() -> Option<[u64; 2]> {
    if tuned!(TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = Typed(unsafe { bpf_get_current_task_btf() }.cast_const().cast());
        let leader: u64 = task.read(offset!(task_leader))?;
        return pointer(leader).read(offset!(task_comm));
    }
    leader()?.read(offset!(task_comm))
}

/// Bytes of two words in memory order.
#[inline(always)]
pub(crate) fn bytes(words: [u64; 2]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&words[0].to_ne_bytes());
    out[8..].copy_from_slice(&words[1].to_ne_bytes());
    out
}
