//! Who is running: the task behind an event.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_task_btf},
};
use tracer_ebpf::abi::{Record, present, tune};

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

/// Fills in what a record says of the running task beside its ids: by typed loads where the kernel has them, by
/// helpers elsewhere.
///
/// `record` lies in a map, and each field is written as soon as it is read: the verifier does not follow the
/// contents of maps, so what was found and what was not does not double its work each time.
#[inline(always)]
pub(crate) fn identify(record: &mut Record) {
    // SAFETY: the helper has no preconditions.
    record.cgroup_id = unsafe { bpf_get_current_cgroup_id() };
    record.present |= present::CGROUP;
    if tuned(tune::TASK_BTF) {
        // SAFETY: the helper has no preconditions; the result is never null.
        let task = unsafe { bpf_get_current_task_btf() };
        typed(Typed(task.cast_const().cast()), record);
    } else {
        by_helpers(record);
    }
}

#[inline(always)]
fn typed(task: Typed, record: &mut Record) {
    if let Some(comm) = task.read(offset!(task_comm)) {
        record.comm = bytes(comm);
        record.present |= present::COMM;
    }
    if let Some(uid) =
        task.read::<u64>(offset!(task_cred)).and_then(|cred| pointer(cred).read(offset!(cred_uid)))
    {
        record.uid = uid;
        record.present |= present::UID;
    }
    if let Some(leader) = task.read::<u64>(offset!(task_leader)) {
        started(&pointer(leader), record);
    }
}

#[inline(always)]
fn started(leader: &impl Fields, record: &mut Record) {
    if let Some(start) = leader.read::<u64>(offset!(task_start)) {
        record.start = (start >> 20) as u32;
        record.present |= present::START;
    }
}

/// A pointer that was itself loaded through a typed pointer keeps its type.
#[inline(always)]
fn pointer(value: u64) -> Typed {
    Typed(value as *const u8)
}

#[inline(always)]
fn by_helpers(record: &mut Record) {
    record.uid = bpf_get_current_uid_gid() as u32;
    record.present |= present::UID;
    if let Ok(comm) = bpf_get_current_comm() {
        record.comm = comm;
        record.present |= present::COMM;
    }
    if let Some(leader) = leader() {
        started(&leader, record);
    }
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

/// Bytes of two words in memory order.
#[inline(always)]
pub(crate) fn bytes(words: [u64; 2]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&words[0].to_ne_bytes());
    out[8..].copy_from_slice(&words[1].to_ne_bytes());
    out
}
