//! What is to be shown: judged once an event, at its exit, before anything is reserved for it.

use aya_ebpf::{helpers::generated::bpf_get_current_ancestor_cgroup_id, maps::lpm_trie::Key};
use tracer_ebpf::abi::{MAX_NAMES, MAX_RANGES, PortRange, Protocol, Record, RemoteKey, filter, present};

use super::{
    globals::{CONFIG, filters, frozen},
    maps::{FILTER_NETNS, FILTER_PIDS, FILTER_REMOTE, FILTER_UIDS},
    task::leader_comm,
};

/// Whether the filters let a record pass. `in_cgroup` is asked only where a cgroup filter is set.
#[inline(always)]
pub(crate) fn passes(record: &Record, in_cgroup: impl FnOnce() -> bool) -> bool {
    let active = filters();
    if active == 0 {
        return true;
    }
    let on = |bit| active & bit != 0;
    if on(filter::KIND) && frozen(&CONFIG.filter.kinds) >> (record.kind & 7) & 1 == 0
        || on(filter::FAILED) && record.present & present::ERROR != 0 && record.error == 0
        || on(filter::PROTOCOL)
            && frozen(&CONFIG.filter.protocols) >> (Protocol::of(record.protocol) as u32) & 1 == 0
        || on(filter::IPV4) && record.family != 4
        || on(filter::IPV6) && record.family != 6
        || on(filter::PID) && FILTER_PIDS.get_ptr(record.pid).is_none()
        || on(filter::UID) && FILTER_UIDS.get_ptr(record.uid).is_none()
        || on(filter::NETNS) && FILTER_NETNS.get_ptr(record.netns).is_none()
    {
        return false;
    }
    (!on(filter::LOCAL_PORT) || local_port(record))
        && (!on(filter::REMOTE_PORT) || remote_port(record))
        && (!on(filter::REMOTE) || remote(record))
        && (!on(filter::COMM) || name(record))
        && (!on(filter::CGROUP) || in_cgroup())
}

/// Whether the running task is in the cgroup of the filter, or below it.
#[inline(always)]
pub(crate) fn task_in_cgroup() -> bool {
    let level = frozen(&CONFIG.filter.cgroup_level);
    // SAFETY: the helper has no preconditions; an absent level gives 0.
    let ancestor = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
    ancestor == frozen(&CONFIG.filter.cgroup_id)
}

/// A failed automatic choice matches when the range it searched overlaps, so that no failure is hidden
/// because the resulting port is 0.
#[inline(always)]
fn local_port(record: &Record) -> bool {
    let (low, high) = if record.local_port != 0 {
        (record.local_port, record.local_port)
    } else if record.requested_port != 0 {
        (record.requested_port, record.requested_port)
    } else if record.present & present::RANGE != 0 {
        (record.range_low, record.range_high)
    } else {
        return true;
    };
    overlaps(&CONFIG.filter.local_ports, frozen(&CONFIG.filter.local_count), low, high)
}

#[inline(always)]
fn remote_port(record: &Record) -> bool {
    record.present & present::REMOTE != 0
        && overlaps(
            &CONFIG.filter.remote_ports,
            frozen(&CONFIG.filter.remote_count),
            record.remote_port,
            record.remote_port,
        )
}

#[inline(always)]
fn overlaps(ranges: &[PortRange; MAX_RANGES], count: u32, low: u16, high: u16) -> bool {
    for (index, range) in ranges.iter().enumerate() {
        if index as u32 >= count {
            break;
        }
        let range = frozen(range);
        if range.low <= high && low <= range.high {
            return true;
        }
    }
    false
}

#[inline(always)]
fn remote(record: &Record) -> bool {
    if record.present & present::REMOTE == 0 {
        return false;
    }
    let [a, b, c, d, ..] = record.remote_addr;
    let addr = if record.family == 4 {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
    } else {
        record.remote_addr
    };
    FILTER_REMOTE.get(Key::new(128, RemoteKey { addr })).is_some()
}

#[inline(always)]
fn name(record: &Record) -> bool {
    let mut thread = [[0; 8]; 2];
    thread[0].copy_from_slice(&record.comm[..8]);
    thread[1].copy_from_slice(&record.comm[8..]);
    let thread = thread.map(u64::from_ne_bytes);
    matches_any(thread) || leader_comm().is_some_and(matches_any)
}

#[inline(always)]
fn matches_any(comm: [u64; 2]) -> bool {
    let count = frozen(&CONFIG.filter.name_count);
    for index in 0..MAX_NAMES {
        if index as u32 >= count {
            break;
        }
        let pattern = frozen(&CONFIG.filter.names[index]);
        if (comm[0] ^ pattern.name[0]) & pattern.mask[0] == 0
            && (comm[1] ^ pattern.name[1]) & pattern.mask[1] == 0
        {
            return true;
        }
    }
    false
}
