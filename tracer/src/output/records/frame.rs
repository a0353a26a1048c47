//! The first and the last record of a trace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was traced, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// Version of portscope.
    pub version: String,
    /// Name of the host.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Boot id of the kernel, from `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// When tracing began: RFC 3339, UTC.
    pub started: String,
    /// `fentry`, `kprobe` or `tracepoint`.
    pub backend: String,
    /// Fields that are null throughout, because this kernel or this backend cannot show them.
    pub fields_unavailable: Vec<String>,
    /// Fields that are bounds or estimates on this kernel or this backend.
    pub fields_approximate: Vec<String>,
    /// Network namespaces known at the start.
    pub netns: Vec<NetnsState>,
    /// Filters in force, by the name of their option.
    pub filters: BTreeMap<String, FilterValue>,
    /// What became of each hook.
    pub hooks: Vec<HookState>,
    /// Size of the ring buffer in bytes.
    pub buffer_bytes: u64,
}

impl Header {
    /// The filters in force as they are given on the command line, an option each.
    #[must_use]
    pub fn filters_given(&self) -> Vec<String> {
        let given = self.filters.iter().filter_map(|(name, value)| match value {
            FilterValue::Set(false) => None,
            FilterValue::Set(true) => Some(match name.as_str() {
                "ipv4" => "-4".to_owned(),
                "ipv6" => "-6".to_owned(),
                name => format!("--{}", name.replace('_', "-")),
            }),
            FilterValue::Any(any) => Some(format!("--{} {}", name.replace('_', "-"), any.join(","))),
        });
        given.collect()
    }
}

/// The value of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FilterValue {
    /// A switch.
    Set(bool),
    /// A list of what passes.
    Any(Vec<String>),
}

/// A network namespace and its port range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetnsState {
    /// Inode number.
    pub id: u32,
    /// A name for people.
    pub name: Option<String>,
    /// First and last port of `ip_local_port_range`.
    pub range: Option<[u16; 2]>,
    /// `ip_local_reserved_ports`, as the kernel writes it.
    pub reserved: Option<String>,
    /// Unreserved ports of the range.
    pub effective: Option<u32>,
    /// `ip_local_port_step_width`; null where the kernel has none.
    pub step_width: Option<u32>,
    /// `tcp_tw_reuse`; null where it was not read.
    pub tcp_tw_reuse: Option<u32>,
    /// `tcp_tw_reuse_delay`, milliseconds; null where the kernel has none.
    pub tcp_tw_reuse_delay_ms: Option<u32>,
    /// `tcp_timestamps`; null where it was not read.
    pub tcp_timestamps: Option<u32>,
}

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookState {
    /// The kernel function or tracepoint.
    pub hook: String,
    /// The program.
    pub program: String,
    /// `attached`, `not wanted`, `unsupported`, `refused` or `silent`.
    pub verdict: String,
    /// Why it is not attached.
    pub reason: Option<String>,
}

/// What was counted. `seen` = `emitted` + `filtered` + `lost`, to the event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Footer {
    /// Events that the kernel half saw.
    pub seen: u64,
    /// Events in this output.
    pub emitted: u64,
    /// Events that a filter kept out.
    pub filtered: u64,
    /// Events that passed the filters and found the ring full: counted, their detail lost.
    pub lost: u64,
    /// At most so many choices were missed: their exit never came (`kprobe`), or the kernel skipped a program that was
    /// still running on the same CPU; null where the kernel does not tell.
    pub missed: Option<u64>,
    /// Calls inside of searches that were looked at to count collisions by kind, each for some hundred instructions; null
    /// where none are counted.
    #[serde(default)]
    pub inner_calls: Option<u64>,
    /// Calls of the same that the kernel skipped, and no spare program saw: where there are any, counts of collisions by kind
    /// may be too low. Null where none are counted, or the kernel does not tell.
    #[serde(default)]
    pub inner_missed: Option<u64>,
    /// When tracing ended: RFC 3339, UTC.
    pub ended: String,
    /// Emitted and lost events, counted by the kernel half.
    pub totals: Totals,
    /// Whose events were lost.
    pub lost_by: Vec<LostBy>,
    /// What went wrong inside.
    pub diagnostics: Diagnostics,
    /// What tracing cost.
    #[serde(rename = "self")]
    pub cost: SelfCost,
    /// Name of the host; only where a trace is of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// Counts of the events that passed the filters, lost ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Choices by the kernel, failed ones included.
    pub allocations: u64,
    /// Of these, the failed ones.
    pub failures: u64,
    /// Failures by errno, those of named ports included; `unknown` where it could not be seen.
    pub by_error: BTreeMap<String, u64>,
    /// Failures by cause, those of named ports included.
    pub by_cause: BTreeMap<String, u64>,
    /// Allocations by site.
    pub by_site: BTreeMap<String, u64>,
    /// Allocations by protocol.
    pub by_proto: BTreeMap<String, u64>,
}

/// Lost events of one process and one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostBy {
    /// Process; null where the kernel half had no room to note it.
    pub pid: Option<u32>,
    /// Name of the thread that was first to lose one.
    pub comm: Option<String>,
    /// Site, or `release`.
    pub site: String,
    /// Protocol.
    pub proto: String,
    /// Errno; null for a success, `unknown` for a failure whose errno was not seen.
    pub error: Option<String>,
    /// How many.
    pub count: u64,
}

/// Counters that should be 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostics {
    /// Exits without an entry: choices that began before the hooks were armed, or whose entry was missed.
    pub no_entry: u64,
    /// Entries that found the slot of their thread taken and used the overflow table.
    pub spilled: u64,
    /// Entries that found the overflow table full.
    pub spill_full: u64,
    /// Reads of kernel memory that failed.
    pub read_failed: u64,
    /// Allocations whose release will not be seen, for want of room.
    pub live_full: u64,
    /// Lost or uncounted events whose process is unknown, for want of room.
    pub tally_full: u64,
    /// Records that could not be decoded.
    pub decode_errors: u64,
}

/// What the tracer itself cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCost {
    /// CPU time of the process, seconds.
    pub cpu_s: f64,
    /// Largest resident memory, bytes.
    pub rss_bytes: u64,
    /// Time that the programs ran in the kernel per event seen, nanoseconds, without what calling them takes; null
    /// where it was not measured (`--kernel-cost`, or the switch `kernel.bpf_stats_enabled` of the host).
    pub kernel_ns_per_event: Option<f64>,
}
