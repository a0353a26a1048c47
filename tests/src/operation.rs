//! One operation that a workload did on a socket, as the workload itself saw it: the ground truth of the live tests.
//!
//! Written by the `workload` binary as JSON Lines, read back by the comparison. Knows nothing of the tracer.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Where the kernel chose the port, or refused to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// connect(2), or what connects inside sendto(2).
    Connect,
    /// bind(2).
    Bind,
    /// listen(2) on a socket without a port, or its second look at a port that was named.
    Listen,
    /// connect(2) or a send on a datagram socket without a port.
    Autobind,
}

impl Site {
    /// The word that stands in the records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Bind => "bind",
            Self::Listen => "listen",
            Self::Autobind => "autobind",
        }
    }
}

/// The transport that owns the port table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proto {
    /// TCP, the subflows of MPTCP too.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite, a table of its own.
    Udplite,
    /// Ping sockets: the port is the ICMP identifier.
    Icmp,
    /// SCTP.
    Sctp,
    /// DCCP, gone in 6.16.
    Dccp,
}

impl Proto {
    /// The word that stands in the records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Udplite => "udplite",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        }
    }
}

/// Address family of the traffic: v4-mapped is `ipv4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4, v4-mapped addresses included.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    /// The word that stands in the records.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Who named the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The kernel was to choose.
    Allocation,
    /// The caller named it.
    Explicit,
}

/// One operation, told by the process that did it.
///
/// A `None` in `family`, `local_addr` or `range` means that the application cannot know what the kernel saw at the
/// moment of the choice; in `remote_addr` and `remote_port`, that there is no remote end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The scene in words, for messages only.
    pub scene: String,
    /// Where the choice was made.
    pub site: Site,
    /// The transport.
    pub proto: Proto,
    /// The family, where it is decided when the port is chosen.
    pub family: Option<Family>,
    /// Chosen by the kernel or named by the caller.
    pub kind: Kind,
    /// Whether a port was had.
    pub ok: bool,
    /// The errno of the choice that failed.
    pub errno: Option<String>,
    /// The errno of the call where the choice itself went well (a refused connect).
    pub call_errno: Option<String>,
    /// Why it failed, in the words of the records.
    pub cause: Option<String>,
    /// `getsockname` after, or the address that a failed bind asked for.
    pub local_addr: Option<IpAddr>,
    /// `getsockname` after; 0 when failed.
    pub local_port: u16,
    /// The port that the caller named, else 0.
    pub requested_port: u16,
    /// Where to.
    pub remote_addr: Option<IpAddr>,
    /// Where to.
    pub remote_port: Option<u16>,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Name of the process's leader.
    pub comm: String,
    /// Name of the thread.
    pub thread_comm: String,
    /// Inode of the network namespace.
    pub netns: u64,
    /// The range that the kernel had to search.
    pub range: Option<[u16; 2]>,
    /// Options that were set on the socket.
    pub options: Vec<String>,
}

impl Operation {
    /// Whether the tracer shows it without `--explicit`.
    #[must_use]
    pub fn is_shown_by_default(&self) -> bool {
        self.kind == Kind::Allocation || !self.ok
    }

    /// Whether the kernel chose, or was to choose.
    #[must_use]
    pub fn is_allocation(&self) -> bool {
        self.kind == Kind::Allocation
    }
}

/// One line that a workload prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The first line, before the wait.
    Hello(Hello),
    /// Something that this kernel does not have.
    Absent(Absent),
    /// The last line of the workloads that count.
    Summary(Summary),
    /// An operation.
    Operation(Box<Operation>),
}

/// Who the workload is, told before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Always true.
    pub hello: bool,
    /// Its process.
    pub pid: u32,
    /// Inode of its network namespace.
    pub netns: u64,
}

/// A protocol or option that this kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// The name of what is absent: `udplite`, `mptcp`, `local_port_range`, `ipv6`, …
    pub absent: String,
    /// What the kernel answered.
    pub errno: String,
}

/// What a workload that counts did altogether.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Always true.
    pub summary: bool,
    /// Calls of connect(2).
    pub connects: u64,
    /// Calls of bind(2).
    pub binds: u64,
    /// Calls that got no port.
    pub failures: u64,
    /// The failures by the errno's name.
    pub by_errno: std::collections::BTreeMap<String, u64>,
    /// How far `Tcp: ActiveOpens` of the namespace moved meanwhile.
    pub active_opens: u64,
    /// When the first call got no port, in milliseconds after the start of the work, where that is looked at.
    #[serde(default)]
    pub first_failure_ms: Option<u64>,
}
