//! Who asked for a port; of a release, who had asked.

use tracer_ebpf::abi::present;

use super::{CgroupId, Comm, Event, Pid, StartTime, Tid, Uid};

impl Event {
    /// The process that asked.
    #[must_use]
    #[inline]
    pub const fn pid(&self) -> Pid {
        Pid(self.record.pid)
    }

    /// The thread that asked.
    #[must_use]
    #[inline]
    pub const fn tid(&self) -> Tid {
        Tid(self.record.tid)
    }

    /// Whether that thread is the first of its process, whose name is the process's.
    #[must_use]
    #[inline]
    pub const fn by_leader(&self) -> bool {
        self.record.pid == self.record.tid
    }

    /// Real user id of that thread.
    #[must_use]
    #[inline]
    pub const fn uid(&self) -> Option<Uid> {
        if self.seen(present::UID) { Some(Uid(self.record.uid)) } else { None }
    }

    /// Name of that thread.
    #[must_use]
    #[inline]
    pub const fn comm(&self) -> Option<Comm> {
        if self.seen(present::COMM) { Some(Comm(self.record.comm)) } else { None }
    }

    /// Start of the process, which tells it from an earlier one of the same number.
    #[must_use]
    #[inline]
    pub const fn start(&self) -> Option<StartTime> {
        if self.seen(present::START) { Some(StartTime(self.record.start)) } else { None }
    }

    /// Cgroup of that thread, version 2 hierarchy.
    #[must_use]
    #[inline]
    pub const fn cgroup_id(&self) -> Option<CgroupId> {
        if self.seen(present::CGROUP) { CgroupId::new(self.record.cgroup_id) } else { None }
    }
}
