//! The document of `report`.

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Header, SelfCost, Totals};

/// What happened in a window, and what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "report")]
pub struct Report {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// What was traced, and how.
    pub header: Header,
    /// When.
    pub window: Window,
    /// Which interval of `--interval` this is about, counted from 1; null: it is about the whole.
    pub interval: Option<u32>,
    /// The answer in one line.
    pub verdict: super::VerdictRecord,
    /// Counts of everything.
    pub totals: ReportTotals,
    /// Who asked, the busiest first.
    pub processes: Vec<ProcessRecord>,
    /// For whom, the busiest first.
    pub destinations: Vec<DestinationRecord>,
    /// What cannot be told of further processes and destinations.
    pub rows_bound: RowsBound,
    /// The fullest pools, as they are at the end; after them those that were nearly full in the window
    /// and are so no longer (`held_after_s`).
    pub pools: Vec<super::PoolRecord>,
    /// Searches and the candidates that they had to reject.
    pub collisions: CollisionsRecord,
    /// How long searches took.
    pub search: SearchRecord,
    /// How soon ports came again.
    pub reuse: ReuseRecord,
    /// Which ports were chosen, in the busiest namespace and protocol.
    pub distribution: DistributionRecord,
    /// From where in their code processes called; null where `--stack` was not given, and in reports of intervals.
    #[serde(default)]
    pub call_sites: Option<super::CallSitesRecord>,
    /// What a person should know, the worst first.
    pub findings: Vec<super::FindingRecord>,
    /// seen = emitted + filtered + lost.
    pub accounting: Accounting,
    /// The command of `-- CMD`; null without one.
    pub command: Option<CommandEnd>,
    /// What it cost.
    #[serde(rename = "self")]
    pub cost: SelfCost,
}

/// A stretch of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// RFC 3339, UTC.
    pub started: String,
    /// RFC 3339, UTC.
    pub ended: String,
    /// Its length.
    pub seconds: f64,
}

/// Counts of everything that passed the filters, lost events included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportTotals {
    /// The same counts as a trace gives.
    #[serde(flatten)]
    pub counted: Totals,
    /// Allocations per second.
    pub churn_mean: Option<f64>,
    /// Allocations of the busiest second.
    pub churn_peak: u32,
    /// Variance of the allocations of a second over their mean, beyond ten minutes of several seconds: about 1 where
    /// each comes on its own, more where they come in bursts; null of less than ten whole seconds, or of none.
    pub churn_dispersion: Option<f64>,
    /// The same of failures.
    pub failures_dispersion: Option<f64>,
}

/// Times of searches in nanoseconds; a quantile is null where too few were timed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchTimes {
    /// Median.
    pub p50: Option<u64>,
    /// 90 %.
    pub p90: Option<u64>,
    /// 99 %.
    pub p99: Option<u64>,
    /// 99.9 %.
    pub p999: Option<u64>,
    /// The longest.
    pub max: u64,
    /// All together, failed searches included.
    pub sum: u64,
}

/// A process, or several of one container or unit and executable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessRecord {
    /// Its number; null where the row stands for several.
    pub pid: Option<u32>,
    /// How many processes.
    pub processes: u64,
    /// Name of the first thread.
    pub comm: Option<String>,
    /// Path of the executable.
    pub exe: Option<String>,
    /// systemd unit.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// UID of the Kubernetes pod.
    pub pod: Option<String>,
    /// Counts.
    #[serde(flatten)]
    pub row: RowRecord,
    /// Sockets bound to port 0 and connected without `IP_BIND_ADDRESS_NO_PORT`.
    pub bound_connects: u64,
    /// Connections that ended in a TIME_WAIT on this side; null where releases are not recorded.
    pub time_wait_made: Option<u64>,
}

/// A destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationRecord {
    /// Network namespace.
    pub netns: Option<u32>,
    /// Protocol.
    pub proto: String,
    /// Remote address.
    pub remote_addr: IpAddr,
    /// Remote port.
    pub remote_port: Option<u16>,
    /// Counts.
    #[serde(flatten)]
    pub row: RowRecord,
}

/// Counts of a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowRecord {
    /// Allocations, failed ones included.
    pub allocations: u64,
    /// Of these, the failed ones.
    pub failures: u64,
    /// Failures by errno, those of named ports included.
    pub by_error: BTreeMap<String, u64>,
    /// Allocations per second.
    pub churn_mean: Option<f64>,
    /// Allocations of its busiest second.
    pub churn_peak: u32,
    /// Different ports; null where that is not kept for this row.
    pub distinct_ports: Option<u32>,
    /// Ports that its searches looked at.
    pub candidates: Option<u64>,
    /// Of these, ports that somebody had.
    pub collisions: Option<u64>,
    /// Times of its searches.
    pub search_ns: SearchTimes,
}

/// What a row that is not shown may have had at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowsBound {
    /// Events of a process without a row, at most.
    pub process_at_most: u64,
    /// Events of a destination without a row, at most.
    pub destination_at_most: u64,
}

/// Candidates and collisions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CollisionsRecord {
    /// Ports that searches looked at; null where that is not known.
    pub candidates: Option<u64>,
    /// Of these, ports that somebody had.
    pub collisions: Option<u64>,
    /// By kind, of searches that found a port; empty where kinds are not counted.
    pub by_kind: BTreeMap<String, u64>,
    /// What is beside the kinds; null where they are not counted.
    #[serde(default)]
    pub counted: Option<CountedRecord>,
    /// Collisions per allocation.
    pub observed_per_allocation: Option<f64>,
    /// What was to be expected of a connect, from how full its pool was before and after it; null where collisions are not
    /// known, or no pool was looked at.
    pub expected_per_allocation: Option<f64>,
    /// What those connects met of which something was to be expected; null where there is none.
    #[serde(default)]
    pub compared: Option<ComparedRecord>,
    /// Searches that went through one half in vain; null where no search has halves.
    pub crossed_half: Option<u64>,
    /// Their share of the searches of which that is known.
    pub crossed_share: Option<f64>,
    /// By site.
    pub by_site: BTreeMap<String, SiteCollisions>,
}

/// Searches of which the collisions are known, and how full their pool was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRecord {
    /// How many.
    pub searches: u64,
    /// Collisions of each.
    pub observed_per_allocation: Option<f64>,
    /// Observed ÷ expected; null where none were to be expected. It has no threshold. A healthy host that connects to one
    /// destination and holds each port for a minute has 1.25 with a quarter of a half in use, 0.89 with three, 0.37 with
    /// 95 %.
    pub ratio: Option<f64>,
}

/// Searches whose collisions were counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CountedRecord {
    /// Those that found a port.
    pub searches: u64,
    /// Of these, those whose ports that a bind had are not known: another search may have overlapped, or where it began
    /// was not seen. By kind they have only the others.
    pub bucket_unknown: u64,
    /// Of the collisions with a 4-tuple in use, those that a TIME_WAIT had.
    pub time_wait: u64,
    /// Those that failed, which are in none of these numbers.
    pub failed: u64,
    /// Collisions of those by kind.
    pub failed_by_kind: BTreeMap<String, u64>,
    /// Of these, those that a TIME_WAIT had.
    pub failed_time_wait: u64,
}

/// Collisions at a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SiteCollisions {
    /// Ports looked at.
    pub candidates: Option<u64>,
    /// Ports that somebody had.
    pub collisions: Option<u64>,
    /// Searches that crossed to the other half.
    pub crossed_half: Option<u64>,
}

/// Between which times the quantiles are with a probability of 95 %, if searches were drawn one by one; null where there
/// is no quantile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SearchIntervals {
    /// Of the median.
    pub p50: Option<[u64; 2]>,
    /// Of 90 %.
    pub p90: Option<[u64; 2]>,
    /// Of 99 %.
    pub p99: Option<[u64; 2]>,
    /// Of 99.9 %.
    pub p999: Option<[u64; 2]>,
}

/// Times of all searches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchRecord {
    /// Of those that found a port.
    pub found_ns: SearchTimes,
    /// How sure their quantiles are.
    #[serde(default)]
    pub found_ns_between: SearchIntervals,
    /// Failed searches.
    pub failed: u64,
    /// Mean time of a failed search.
    pub failed_mean_ns: Option<f64>,
    /// CPUs kept busy: wall time of all searches over the window, an estimate from above.
    pub cpus: Option<f64>,
    /// Whether the times are upper bounds.
    pub upper_bound: bool,
}

/// How soon ports came again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReuseRecord {
    /// Share of allocations whose port was closed less than 60 s before.
    pub within_60s: Option<f64>,
    /// The same with 120 s.
    pub within_120s: Option<f64>,
    /// Share of connects whose 4-tuple was closed less than 60 s before.
    pub same_tuple_within_60s: Option<f64>,
    /// Fewest allocations between two of one port.
    pub distance_min: Option<u32>,
    /// Their median.
    pub distance_p50: Option<u64>,
}

/// Which ports were chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DistributionRecord {
    /// The namespace; null where nothing was chosen.
    pub netns: Option<u32>,
    /// The protocol.
    pub proto: Option<String>,
    /// First port of each bucket, and the one behind the last.
    pub bucket_edges: Vec<u32>,
    /// Choices in each bucket.
    pub counts: Vec<u64>,
    /// χ² of the first choices.
    pub chi2: Option<f64>,
    /// Probability of at least that by chance.
    pub p_value: Option<f64>,
    /// Ports that were chosen far more often than others.
    pub hot_ports: Vec<HotPortRecord>,
    /// Choices outside the range.
    pub out_of_range: u64,
}

/// A port that was chosen often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HotPortRecord {
    /// The port.
    pub port: u16,
    /// How often.
    pub uses: u32,
    /// Times the median.
    pub to_median: Option<f64>,
    /// Reserved ports in a row before it.
    pub behind_hole: Option<u32>,
}

/// The accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accounting {
    /// Events that the kernel half saw.
    pub seen: u64,
    /// Events that were counted with their detail.
    pub emitted: u64,
    /// Events that a filter kept out.
    pub filtered: u64,
    /// Events of which only the count remains.
    pub lost: u64,
    /// At most so many choices were missed; null where the kernel does not tell.
    pub missed: Option<u64>,
    /// Time that the programs ran in the kernel for these events, nanoseconds; null where it was not measured.
    #[serde(default)]
    pub kernel_ns: Option<u64>,
    /// Calls inside of searches that were looked at to count collisions by kind, each for some hundred instructions; null
    /// where none are counted.
    #[serde(default)]
    pub inner_calls: Option<u64>,
    /// Calls of the same that the kernel skipped, and no spare program saw: where there are any, counts of collisions by kind
    /// may be too low. Null where none are counted, or the kernel does not tell.
    #[serde(default)]
    pub inner_missed: Option<u64>,
}

/// How the command of `-- CMD` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandEnd {
    /// The command, without its arguments.
    pub name: String,
    /// Its exit status, 128 + n for signal n; null while it runs.
    pub status: Option<u8>,
    /// Whether only its descendants were traced.
    pub alone: bool,
    /// How these were told from others: `cgroup` (one of its own), `forks` (the kernel told each), `parents` (read from
    /// `/proc` at the first event of each process); null where all were traced.
    pub told_by: Option<String>,
    /// Events left out because their process was gone before its parents could be read.
    pub untold: u64,
}
