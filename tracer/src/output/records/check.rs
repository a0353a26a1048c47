//! The documents of `check`, and of `check --bundle`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FindingRecord, NetnsState, PoolRecord, SelfCost, VerdictRecord};

/// What a host looks like now, without tracing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "check")]
pub struct Check {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// Version of portscope.
    pub version: String,
    /// Name of the host.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// When it was looked at: RFC 3339, UTC.
    pub time: String,
    /// The answer in one line.
    pub verdict: VerdictRecord,
    /// Network namespaces: that of this process first, then the fullest.
    pub netns: Vec<SpaceRecord>,
    /// The fullest pools.
    pub pools: Vec<PoolRecord>,
    /// What a person should know, the worst first.
    pub findings: Vec<FindingRecord>,
    /// How this kernel could be traced.
    pub tracing: TracingRecord,
    /// Questions to namespaces that had no answer.
    pub unanswered: Vec<String>,
    /// Processes whose namespace may not be known.
    pub unreadable_processes: usize,
    /// There were more processes, namespaces or sockets than are looked at.
    pub truncated: bool,
    /// What it cost.
    #[serde(rename = "self")]
    pub cost: SelfCost,
}

/// A namespace, its range and its settings; null where the kernel has no such setting, or did not tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceRecord {
    /// Its number, name and range.
    #[serde(flatten)]
    pub state: NetnsState,
    /// What to call it: its name, its first process, or its number.
    pub label: String,
    /// Unreserved ports of the half that connects take first; null where there are no halves.
    pub cliff: Option<u32>,
    /// Ports that a pool gives back in a second, where this end closes first.
    pub pays_back_per_s: Option<f64>,
    /// Sockets; null where they were not told.
    pub sockets: Option<usize>,
    /// `tcp_fin_timeout`, seconds.
    pub tcp_fin_timeout_s: Option<u32>,
    /// `tcp_max_tw_buckets`.
    pub tcp_max_tw_buckets: Option<u32>,
    /// `ip_unprivileged_port_start`.
    pub ip_unprivileged_port_start: Option<u32>,
    /// `ip_autobind_reuse`.
    pub ip_autobind_reuse: Option<u32>,
    /// TIME_WAITs there are.
    pub time_waits: Option<u64>,
    /// Tracked connections.
    pub conntrack: ConntrackRecord,
}

/// Connection tracking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConntrackRecord {
    /// Connections that are tracked.
    pub count: Option<u32>,
    /// Connections that may be; 0 is no limit.
    pub max: Option<u32>,
    /// Seconds for which NAT keeps the port of a closed connection.
    pub time_wait_s: Option<u32>,
}

/// How this kernel could be traced, told from what it shows; nothing was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TracingRecord {
    /// Backends that nothing speaks against, the best first.
    pub possible: Vec<String>,
    /// The others, each with its reason.
    pub impossible: Vec<String>,
    /// Capabilities that this process lacks for it.
    pub missing_capabilities: Vec<String>,
}

/// The evidence for a ticket: no arguments of processes, no environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "bundle")]
pub struct Bundle {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// Boot id of the kernel.
    pub boot_id: Option<String>,
    /// Build of the kernel, as `uname -v` tells it.
    pub kernel_build: String,
    /// Machine, as `uname -m` tells it.
    pub machine: String,
    /// What `check` tells.
    pub check: Check,
    /// More of each namespace.
    pub netns: Vec<SpaceDetail>,
}

/// Sockets and counters of a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpaceDetail {
    /// Inode number.
    pub id: u32,
    /// Sockets by protocol and state.
    pub sockets: Vec<SocketCount>,
    /// Protocols whose sockets this kernel cannot tell.
    pub untold: Vec<String>,
    /// A dump was disturbed again and again: sockets may be missing, or be there twice.
    pub interrupted: Option<bool>,
    /// Counters of the kernel since the namespace was made, by their name; null where it has none.
    pub counters: std::collections::BTreeMap<String, Option<u64>>,
}

/// How many sockets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketCount {
    /// Protocol.
    pub proto: String,
    /// State, as `ss` names it.
    pub state: String,
    /// How many.
    pub count: usize,
}
