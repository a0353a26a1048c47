//! Verdicts, pools, holders and findings as `check`, `report` and `who` tell them.

use std::{collections::BTreeMap, net::IpAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictRecord {
    /// One of `OK`, `AT RISK`, `EXHAUSTED`, `CONFLICT`, `NOT PORTS`, `PORT-BOUND`, `NOT PORT-BOUND`,
    /// `TOO SHORT TO SAY`, `BLIND`.
    pub word: String,
    /// Why.
    pub reason: String,
    /// The finding behind it, such as `PS001`.
    pub finding: Option<String>,
}

/// A pool of ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolRecord {
    /// Network namespace.
    pub netns: u32,
    /// Protocol.
    pub proto: String,
    /// Local address.
    pub local_addr: IpAddr,
    /// Remote address; null of a pool of binds.
    pub remote_addr: Option<IpAddr>,
    /// Remote port; null of a pool of binds.
    pub remote_port: Option<u16>,
    /// First and last port of the range.
    pub range: [u16; 2],
    /// Unreserved ports of the range.
    pub effective: u32,
    /// Of a pool that was nearly full in the window and is among the fullest no longer, mostly since all its sockets
    /// are gone: when it was as it is told here, at its fullest, in seconds from the beginning of the window. Null of
    /// the others, which are told as they are now.
    pub held_after_s: Option<f64>,
    /// Ports that this pool cannot use.
    pub barred: u32,
    /// Most of them at once, as far as it was looked.
    pub peak_barred: u32,
    /// `barred` over `effective`; null where that is 0.
    pub utilisation: Option<f64>,
    /// Of the barred, those that a bind bars.
    pub barred_by_binds: u32,
    /// Ports held, by the state of their socket.
    pub held: BTreeMap<String, u32>,
    /// Ports in a TIME_WAIT that may be taken over at once; null where that cannot be known.
    pub reusable_time_wait: Option<u32>,
    /// Both halves; null where the search has none.
    pub halves: Option<HalvesRecord>,
    /// Failures in the window; null where nothing was traced.
    pub failures: Option<u64>,
    /// Connections per second that the pool sustains: `effective` over the mean hold; null where no close was seen.
    pub sustainable_per_s: Option<f64>,
    /// The same before the first half is full; null also where the search has no halves.
    pub cliff_per_s: Option<f64>,
    /// The mean hold that they rest on, of all connections to this destination, from whichever local address; null
    /// where no close was seen.
    pub hold: Option<HoldRecord>,
    /// When it will be full; null where no forecast can be made: nothing was traced, less than ten whole seconds
    /// were, growth cannot be told from none, or connections go to this destination from several local addresses, of
    /// which the counts by destination know nothing.
    pub exhausted_in_s: Option<ForecastRecord>,
    /// What searches took before and after the cliff; null where nothing was traced, or where they cannot be told
    /// from those of other pools: connections go to this destination from several local addresses.
    pub search: Option<PoolSearchRecord>,
    /// Who holds it, as far as that was asked.
    pub holders: Vec<PoolHolderRecord>,
}

/// The two halves of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HalvesRecord {
    /// `even` or `odd`: the one that is taken first.
    pub first: String,
    /// Even ports.
    pub even: HalfRecord,
    /// Odd ports.
    pub odd: HalfRecord,
}

/// One half.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HalfRecord {
    /// Its unreserved ports.
    pub of: u32,
    /// Of these, barred.
    pub barred: u32,
}

/// How long the ports of a pool are out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HoldRecord {
    /// Seconds from allocation until the port can be given again, on average.
    pub seconds: f64,
    /// Of these, seconds until the close.
    pub life_s: f64,
    /// Share of the closes that went to TIME_WAIT: this end closed first.
    pub time_wait_share: f64,
    /// Closes that were seen.
    pub closes: u64,
}

/// Times of the searches of a pool that found a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolSearchRecord {
    /// Those that stayed in the half that is searched first.
    pub stayed: SideRecord,
    /// Those that crossed to the other half; null where the search has no halves.
    pub crossed: Option<SideRecord>,
}

/// Searches of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SideRecord {
    /// How many were timed.
    pub searches: u64,
    /// Mean, in nanoseconds; null of no search.
    pub mean_ns: Option<f64>,
    /// Median, in nanoseconds; null of fewer than 20 searches.
    pub p50_ns: Option<u64>,
    /// 99 %, in nanoseconds; null of fewer than 1,000 searches.
    pub p99_ns: Option<u64>,
}

/// When a pool will be full. All times are null where it empties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastRecord {
    /// Seconds from now, 0 where it is full; null where it levels off or empties.
    pub estimate: Option<f64>,
    /// Lower end of the interval.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
    /// The share at which it levels off instead.
    pub levels_off_at: Option<f64>,
    /// What it rests on: `releases`, or `two stocks` where those are not recorded; `stock` where it is full now.
    pub basis: String,
}

/// Who holds ports of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolHolderRecord {
    /// One of the processes; null where the kernel alone holds them.
    pub pid: Option<u32>,
    /// How many processes.
    pub processes: u32,
    /// Name.
    pub comm: Option<String>,
    /// Executable.
    pub exe: Option<String>,
    /// systemd unit.
    pub unit: Option<String>,
    /// Container id.
    pub container: Option<String>,
    /// UID of the Kubernetes pod.
    pub pod: Option<String>,
    /// Ports held.
    pub ports: u32,
    /// Of these, in TIME_WAIT.
    pub time_wait: u32,
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingRecord {
    /// `PS001` and so on.
    pub id: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// It is about settings only: what may go wrong one day. `--fail-on` meets it by its number alone.
    pub lint: bool,
    /// Numbers of findings that are echoes of this one, and not told by themselves.
    #[serde(default)]
    pub takes_in: Vec<String>,
    /// One sentence.
    pub title: String,
    /// Numbers and names.
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// The lines of its text.
    pub lines: Vec<LineRecord>,
    /// What to do, the best first.
    pub advice: Vec<String>,
    /// What does not help.
    pub wont_help: Vec<String>,
    /// What may be run.
    pub commands: Vec<CommandRecord>,
}

/// A line of the text of a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineRecord {
    /// What it is about.
    pub label: String,
    /// What it says.
    pub text: String,
}

/// A command that a person may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandRecord {
    /// The namespace that it is for.
    pub netns: Option<u32>,
    /// The command.
    pub run: String,
    /// How to make it last.
    pub persist: Option<String>,
    /// How to take it back.
    pub undo: Option<String>,
    /// What may go wrong.
    pub risk: Option<String>,
}
