//! The records of single events.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Cause, Site};

/// How a choice or a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultName {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FamilyName {
    /// IPv4, v4-mapped IPv6 addresses included.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What ended a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseStateName {
    /// The end of a TIME_WAIT.
    TimeWait,
    /// A close.
    Closed,
}

/// A choice of a port by the kernel, or a check of a port that was fixed before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// When it ended: RFC 3339, UTC, nanoseconds.
    pub ts: String,
    /// When it ended: microseconds of `CLOCK_MONOTONIC`.
    pub mono_us: u64,
    /// Where the choice was made.
    pub site: Site,
    /// How the choice ended; the system call may still fail later.
    pub result: ResultName,
    /// Name of the errno of a failure.
    pub error: Option<String>,
    /// What a failure comes down to.
    pub cause: Option<Cause>,
    /// Protocol: `tcp`, `udp`, `udplite`, `icmp`, `sctp`, `dccp`, `other`.
    pub proto: String,
    /// Address family.
    pub family: Option<FamilyName>,
    /// Process (thread group).
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Real user id.
    pub uid: Option<u32>,
    /// Name of the process: that of its first thread.
    pub comm: Option<String>,
    /// Name of the thread that asked.
    pub thread_comm: Option<String>,
    /// Path of the executable.
    pub exe: Option<String>,
    /// Inode number of the socket's network namespace.
    pub netns: Option<u32>,
    /// Id of the cgroup (version 2), a decimal number.
    pub cgroup_id: Option<String>,
    /// systemd service or scope.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// UID of the Kubernetes pod.
    pub pod: Option<String>,
    /// Whether the kernel itself made the socket.
    pub kernel_socket: Option<bool>,
    /// Local address.
    pub local_addr: Option<IpAddr>,
    /// Port chosen or held; null where the choice failed.
    pub local_port: Option<u16>,
    /// Port that the caller named; 0 where it left the choice to the kernel.
    pub requested_port: u16,
    /// Remote address; null for a socket without a peer.
    pub remote_addr: Option<IpAddr>,
    /// Remote port; null for a socket without a peer.
    pub remote_port: Option<u16>,
    /// Wall time of the search, nanoseconds.
    pub search_ns: Option<u32>,
    /// Whether `search_ns` is the search alone; false where it is an upper bound.
    pub search_exact: Option<bool>,
    /// Ports that the search looked at, skipped reserved ones and the chosen one included.
    pub candidates: Option<u32>,
    /// Whether `candidates` is exact: another search may have overlapped.
    pub candidates_exact: Option<bool>,
    /// Candidates that somebody had.
    pub collisions: Option<u32>,
    /// Of these, those that a bind had; null where they were not counted, or the search cannot be told from another.
    pub bucket_collisions: Option<u32>,
    /// Of these, those whose 4-tuple was in use; null where they were not counted.
    pub tuple_collisions: Option<u32>,
    /// Of those with a 4-tuple in use, those that a TIME_WAIT had; null where they were not counted.
    pub time_wait_collisions: Option<u32>,
    /// Whether the search went through one half of the range in vain.
    pub crossed_half: Option<bool>,
    /// First and last port of the range of this choice.
    pub range: Option<[u16; 2]>,
    /// Socket options: `reuseaddr`, `reuseport`, `bind_address_no_port`, `freebind`, `local_port_range`,
    /// `mptcp`, `bindport_lock`.
    pub options: Option<Vec<String>>,
    /// Whether the port was taken over from a connection in TIME_WAIT.
    pub time_wait_reused: Option<bool>,
    /// Identity of the socket within this trace.
    pub socket: Option<String>,
    /// Name of the host; only where a trace is of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// A bind to a port that the caller named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplicitBind {
    /// What is known of the bind itself.
    #[serde(flatten)]
    pub choice: Choice,
    /// Of a failure: who holds the port; null where nobody was asked.
    pub holders: Option<Vec<Holder>>,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Process; null where the kernel holds it alone (TIME_WAIT).
    pub pid: Option<u32>,
    /// Name of that process.
    pub comm: Option<String>,
    /// Since when: RFC 3339, UTC.
    pub since: Option<String>,
    /// How `since` is known.
    pub since_basis: Option<String>,
    /// Address of its peer.
    pub remote_addr: Option<IpAddr>,
    /// Port of its peer.
    pub remote_port: Option<u16>,
    /// State of the socket, as `ss` names it.
    pub state: String,
}

/// The end of a hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    /// When it was released: RFC 3339, UTC, nanoseconds.
    pub ts: String,
    /// When it was released: microseconds of `CLOCK_MONOTONIC`.
    pub mono_us: u64,
    /// What ended it.
    pub state: Option<ReleaseStateName>,
    /// How long it was held, microseconds.
    pub held_us: Option<u64>,
    /// Protocol.
    pub proto: String,
    /// Address family.
    pub family: Option<FamilyName>,
    /// The process that had allocated it.
    pub pid: u32,
    /// The thread that had allocated it.
    pub tid: u32,
    /// Name of that process.
    pub comm: Option<String>,
    /// Inode number of the socket's network namespace.
    pub netns: Option<u32>,
    /// Local address.
    pub local_addr: Option<IpAddr>,
    /// The port.
    pub local_port: Option<u16>,
    /// Remote address, as it was at the allocation.
    pub remote_addr: Option<IpAddr>,
    /// Remote port, as it was at the allocation.
    pub remote_port: Option<u16>,
    /// Identity of the socket within this trace.
    pub socket: Option<String>,
    /// Name of the host; only where a trace is of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}
