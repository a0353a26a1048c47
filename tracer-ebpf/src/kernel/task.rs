//! Who is running: the task behind an event.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_task_btf},
};
use tracer_ebpf::abi::{present, tune};

use super::{
    fields::{Fields, Probed, Typed},
    globals::{offset, tuned},
};

/// Thread and process.
#[derive(Clone, Copy)]
pub(crate) struct Ids {
    /// Thread-group id.
    pub(crate) pid: u32,
    /// Thread id.
    pub(crate) tid: u32,
}

/// Those of the running task.
#[inline(always)]
pub(crate) fn ids() -> Ids {
    let both = bpf_get_current_pid_tgid();
    Ids { pid: (both >> 32) as u32, tid: both as u32 }
}

/// What a record says of a task beside its ids.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    /// Name of the thread, as words in memory order.
    pub(crate) comm: [u64; 2],
    /// Cgroup, version 2.
    pub(crate) cgroup_id: u64,
    /// Real user id.
    pub(crate) uid: u32,
    /// Start of the process, 2^20 ns since boot.
    pub(crate) start: u32,
    /// Bits of [`present`].
    pub(crate) present: u32,
    /// Always 0.
    pub(crate) reserved: u32,
}

/// The running task, read by typed loads where the kernel has them, by helpers elsewhere.
#[inline(always)]
pub(crate) fn identity() -> Identity {
    // SAFETY: the helper has no preconditions.
    let cgroup_id = unsafe { bpf_get_current_cgroup_id() };
    if tuned(tune::TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = unsafe { bpf_get_current_task_btf() };
        typed(Typed(task.cast_const().cast()), cgroup_id)
    } else {
        by_helpers(cgroup_id)
    }
}

#[inline(always)]
fn typed(task: Typed, cgroup_id: u64) -> Identity {
    let mut found = present::CGROUP;
    let comm = take(task.read(offset!(task_comm)), present::COMM, &mut found, [0; 2]);
    let uid = task.read::<u64>(offset!(task_cred)).and_then(|cred| pointer(cred).read(offset!(cred_uid)));
    let uid = take(uid, present::UID, &mut found, 0);
    let start = task.read::<u64>(offset!(task_leader)).and_then(|leader| pointer(leader).read(offset!(task_start)));
    let start = take(start, present::START, &mut found, 0_u64);
    Identity { comm, cgroup_id, uid, start: (start >> 20) as u32, present: u32::from(found), reserved: 0 }
}

/// A pointer that was itself loaded through a typed pointer keeps its type.
#[inline(always)]
fn pointer(value: u64) -> Typed {
    Typed(value as *const u8)
}

#[inline(always)]
fn by_helpers(cgroup_id: u64) -> Identity {
    let mut found = present::CGROUP | present::UID;
    let uid = bpf_get_current_uid_gid() as u32;
    let comm = bpf_get_current_comm().ok().map(words);
    let comm = take(comm, present::COMM, &mut found, [0; 2]);
    let start = leader().and_then(|leader| leader.read(offset!(task_start)));
    let start = take(start, present::START, &mut found, 0_u64);
    Identity { comm, cgroup_id, uid, start: (start >> 20) as u32, present: u32::from(found), reserved: 0 }
}

/// The first thread of the running process.
#[inline(always)]
pub(crate) fn leader() -> Option<Probed> {
    // SAFETY: the helper has no preconditions.
    let task = Probed(unsafe { bpf_get_current_task() } as *const u8);
    let leader: u64 = task.read(offset!(task_leader))?;
    Some(Probed(leader as *const u8))
}

/// Name of the first thread of the running process.
#[inline(always)]
pub(crate) fn leader_comm() -> Option<[u64; 2]> {
    if tuned(tune::TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = Typed(unsafe { bpf_get_current_task_btf() }.cast_const().cast());
        let leader: u64 = task.read(offset!(task_leader))?;
        return pointer(leader).read(offset!(task_comm));
    }
    leader()?.read(offset!(task_comm))
}

#[inline(always)]
fn take<T>(value: Option<T>, bit: u16, found: &mut u16, absent: T) -> T {
    match value {
        Some(value) => {
            *found |= bit;
            value
        }
        None => absent,
    }
}

#[inline(always)]
fn words(comm: [u8; 16]) -> [u64; 2] {
    let mut halves = [[0; 8]; 2];
    halves[0].copy_from_slice(&comm[..8]);
    halves[1].copy_from_slice(&comm[8..]);
    halves.map(u64::from_ne_bytes)
}
