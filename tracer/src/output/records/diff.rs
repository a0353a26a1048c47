//! The document of `diff`: two reports held against each other.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::VerdictRecord;

/// What differs between two reports, A and B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename = "diff")]
pub struct Diff {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// The first report, mostly the earlier one.
    pub a: SourceRecord,
    /// The second report.
    pub b: SourceRecord,
    /// What makes them hard to compare, the worst first.
    pub caveats: Vec<String>,
    /// Fields that only one of them shows, and what of it cannot be compared therefore.
    pub one_sided: Vec<String>,
    /// Findings that are new, gone, or still there, in this order.
    pub findings: Vec<FindingChange>,
    /// Settings of namespaces that differ.
    pub settings: Vec<SettingChange>,
    /// Numbers on the whole.
    pub measures: Vec<Measure>,
    /// Pools, those that were refused ports first.
    pub pools: Vec<PoolChange>,
    /// Programs by name, those whose refusals differ most first.
    pub programs: Vec<RowChange>,
    /// Destinations, in the same order.
    pub destinations: Vec<RowChange>,
}

/// One of the two reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRecord {
    /// The file.
    pub file: String,
    /// Which of its documents it is; null where there is only one.
    pub document: Option<String>,
    /// Host.
    pub host: String,
    /// Release of its kernel.
    pub kernel: String,
    /// Version of portscope.
    pub version: String,
    /// `fentry`, `kprobe` or `tracepoint`.
    pub backend: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// Length of its window.
    pub seconds: f64,
    /// What was watched: `whole host`, `filtered`, or the name of the command.
    pub watched: String,
    /// Its verdict.
    pub verdict: VerdictRecord,
}

/// How the second number stands to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is higher, beyond chance.
    More,
    /// It is lower, beyond chance.
    Fewer,
    /// There was none of it in A.
    Appeared,
    /// There is none of it in B.
    Gone,
    /// The numbers show no difference: the interval of their ratio takes in 1.
    NoneShown,
    /// Nothing says how sure one can be of the difference.
    Unsure,
    /// One of the two does not have it.
    NotComparable,
}

/// A number of both reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measure {
    /// What it is, such as `failures`, `failures EADDRNOTAVAIL`, `search p99`.
    pub name: String,
    /// `per_second`, `per_allocation`, `share`, `ns`, `cpus`, `seconds` or `ports`.
    pub unit: Unit,
    /// In A.
    pub a: Option<f64>,
    /// In B.
    pub b: Option<f64>,
    /// The count behind it in A; null where it is no count.
    pub count_a: Option<u64>,
    /// The same in B.
    pub count_b: Option<u64>,
    /// B over A; null where that cannot be told.
    pub ratio: Option<f64>,
    /// 95 % interval of the true ratio: its lower end; null where there is no interval.
    pub low: Option<f64>,
    /// Its upper end; null also where it is open.
    pub high: Option<f64>,
    /// What follows.
    pub word: Word,
    /// What the interval rests on, or why there is none.
    pub basis: String,
}

/// Of what a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A rate.
    PerSecond,
    /// A mean.
    PerAllocation,
    /// From 0 to 1.
    Share,
    /// A time in nanoseconds.
    Ns,
    /// CPUs kept busy.
    Cpus,
}

/// A finding of one report or of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingChange {
    /// `PS001` and so on.
    pub id: String,
    /// What became of it.
    pub change: Change,
    /// Its worst severity in A.
    pub severity_a: Option<String>,
    /// Its worst severity in B.
    pub severity_b: Option<String>,
    /// Its sentences in A.
    pub titles_a: Vec<String>,
    /// Its sentences in B.
    pub titles_b: Vec<String>,
    /// It is about settings only.
    pub lint: bool,
}

/// What became of something from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only B has it.
    New,
    /// Only A has it.
    Gone,
    /// Both have it.
    Still,
}

/// A setting that differs; null where it was not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingChange {
    /// The namespace, as B names it.
    pub netns: String,
    /// Name of the sysctl.
    pub name: String,
    /// In A.
    pub a: Option<String>,
    /// In B.
    pub b: Option<String>,
}

/// A pool of one report or of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolChange {
    /// The namespace by name; null where it has none.
    pub netns: Option<String>,
    /// Protocol.
    pub proto: String,
    /// Local address.
    pub local_addr: IpAddr,
    /// Remote address; null of a pool of binds.
    pub remote_addr: Option<IpAddr>,
    /// Remote port; null of a pool of binds.
    pub remote_port: Option<u16>,
    /// Whether both reports have it. A report has the fullest pools alone: one that is new may have been there, little
    /// used.
    pub change: Change,
    /// In A.
    pub a: Option<PoolSide>,
    /// In B.
    pub b: Option<PoolSide>,
    /// Its failures per second.
    pub failures: Measure,
}

/// How a pool was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolSide {
    /// First and last port of the range.
    pub range: [u16; 2],
    /// Unreserved ports of the range.
    pub effective: u32,
    /// Ports that it could not use, as it is told.
    pub barred: u32,
    /// Most of them at once.
    pub peak_barred: u32,
    /// The former over `effective`.
    pub utilisation: Option<f64>,
    /// Failures; null where they are not known.
    pub failures: Option<u64>,
    /// Connections per second that it sustains.
    pub sustainable_per_s: Option<f64>,
    /// Mean hold in seconds.
    pub hold_s: Option<f64>,
}

/// A program or a destination of one report or of both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowChange {
    /// What it is called: programs by name and unit whatever their numbers, destinations by protocol and address.
    pub name: String,
    /// Whether both reports have it.
    pub change: Change,
    /// Allocations per second.
    pub allocations: Measure,
    /// Failures per second.
    pub failures: Measure,
}
