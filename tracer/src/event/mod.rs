//! Typed events, decoded from the records of the kernel half, and what follows from one event alone.
//!
//! Numbers become enums here and nowhere else. This room knows the binary interface; it knows nothing of
//! processes, namespaces, statistics or output.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod candidates;
mod comm;
mod decode;
mod errno;
mod ids;
mod kind;
mod reserved;
mod socket;
mod walk;

use std::net::IpAddr;

pub use candidates::{Search, SearchRules};
pub use comm::Comm;
pub use decode::{DecodeError, decode};
pub use errno::Errno;
pub use ids::{CgroupId, MonoNs, NetnsId, Pid, Port, SocketId, StartTime, Tid, Uid};
pub use kind::{Cause, Kind, Outcome, ReleaseState, Site};
pub use reserved::{Reserved, Stride};
pub use socket::{Family, OptionName, Options, PortRange, Protocol};
pub use walk::{Examined, Step, examined, examined_in_vain};

/// One choice of a port, one check of a port, or one release: what the kernel half saw of it.
///
/// A field that is none was not seen, or does not apply; it is never a number that only looks real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it ended.
    pub mono: MonoNs,
    /// What happened, and where.
    pub kind: Kind,
    /// How it ended; a release always succeeds.
    pub result: Outcome,
    /// Transport protocol of the socket.
    pub protocol: Protocol,
    /// Address family; v4-mapped counts as IPv4, and the addresses are given so.
    pub family: Family,
    /// Local address, the wildcard for a socket that is bound to none.
    pub local_addr: Option<IpAddr>,
    /// The port chosen, or held by a socket whose port was only checked; none where the choice failed.
    pub local_port: Option<Port>,
    /// The port that the caller named; none where the choice was the kernel's.
    pub requested_port: Option<Port>,
    /// Remote address; none for a socket without a peer.
    pub remote_addr: Option<IpAddr>,
    /// Remote port; none for a socket without a peer.
    pub remote_port: Option<Port>,
    /// The process that asked.
    pub pid: Pid,
    /// The thread that asked.
    pub tid: Tid,
    /// Real user id of that thread.
    pub uid: Option<Uid>,
    /// Name of that thread.
    pub comm: Option<Comm>,
    /// Start of the process, which tells it from an earlier one of the same number.
    pub start: Option<StartTime>,
    /// Cgroup of that thread, version 2 hierarchy.
    pub cgroup_id: Option<CgroupId>,
    /// Network namespace of the socket.
    pub netns: Option<NetnsId>,
    /// Wall time of the search in nanoseconds, preemption included; 4.29 s and more are shown as 4.29 s.
    pub search_ns: Option<u32>,
    /// `search_ns` holds more than the search.
    pub search_upper_bound: bool,
    /// Of a release: nanoseconds from allocation to release, to the 1,024; at most 73 minutes are counted.
    pub held_ns: Option<u64>,
    /// The effective bounds of the choice: the namespace's range, or the socket's own within it.
    pub range: Option<PortRange>,
    /// Socket options.
    pub options: Option<Options>,
    /// Whether the kernel itself made the socket.
    pub kernel_socket: Option<bool>,
    /// Whether the port was taken over from a connection in TIME_WAIT.
    pub time_wait_reused: Option<bool>,
    /// The socket.
    pub socket: Option<SocketId>,
    /// `table_perturb[i] + (port_offset >> 32)` at the entry of a connect: where its search began.
    pub search_start: Option<u32>,
    /// No other search on the same table entry overlapped.
    pub exact: bool,
    /// Seen while the tracer tested itself: not to be counted or shown.
    pub self_test: bool,
}

impl Event {
    /// Whether the choice or the check failed.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self.result, Outcome::Failed { .. })
    }

    /// The errno of a failure, where it was seen.
    #[must_use]
    pub const fn errno(&self) -> Option<Errno> {
        match self.result {
            Outcome::Failed { errno } => errno,
            Outcome::Ok => None,
        }
    }

    /// What a failure comes down to; none for a success, and where the errno was not seen.
    #[must_use]
    pub const fn cause(&self) -> Option<Cause> {
        Cause::of(self.kind, self.result)
    }

    /// Whether the thread that asked is the first of its process, whose name is the process's.
    #[must_use]
    pub const fn by_leader(&self) -> bool {
        self.pid.0 == self.tid.0
    }
}
