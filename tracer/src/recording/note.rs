//! What is in a recording beside events: each note is a JSON object with its name under `note`.

use serde::{Deserialize, Serialize};

use crate::{
    enrich::Process,
    event::{MonoNs, NetnsId, Pid, StartTime},
    output::records::{CommandEnd, Diagnostics, Header, Holder, SelfCost},
    stock::{Halves, Holders, NetnsConfig, Pool, PoolKey, Socket, Stock},
};

/// What a recording begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The header of the trace.
    pub header: Header,
    /// What else must be known.
    pub facts: Facts,
}

/// What must be known to understand the events, and is not in the header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When the window began.
    pub start: MonoNs,
    /// What must be added to monotonic times for the time of day, nanoseconds.
    pub clock_offset_ns: i64,
    /// Connects with `IP_LOCAL_PORT_RANGE` take every port in turn.
    pub range_takes_every_port: bool,
    /// Releases are recorded.
    pub releases: bool,
    /// Collisions are counted by kind.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub collisions: bool,
}

/// What is not an event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// The times of the events that follow are counted from here on; so many sockets have been numbered.
    Time {
        /// The time.
        mono: MonoNs,
        /// The sockets.
        sockets: u64,
    },
    /// A process of the events that follow.
    Process(TellProcess),
    /// The settings of a namespace, from here on.
    Config(NetnsConfig),
    /// What must be added to monotonic times for the time of day, from here on, nanoseconds.
    Clock {
        /// The offset.
        offset_ns: i64,
    },
    /// Who holds the port that the next event was refused.
    Holders {
        /// The holders.
        of_next: Vec<Holder>,
    },
    /// A look at the pools.
    Look(LookNote),
    /// Pools that were nearly full before, as no look has told yet.
    Moments {
        /// The moments.
        moments: Vec<MomentNote>,
    },
    /// The whole stock.
    Scene(Box<SceneNote>),
    /// What had been counted when this file began: it goes on where another one ends. Before the first scene alone.
    Before(Box<End>),
    /// The accounts so far.
    Account(Account),
    /// The end.
    End(Box<End>),
    /// A note of a later version, which can be left out.
    #[serde(other)]
    Unknown,
}

/// A process as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellProcess {
    /// Its number.
    pub pid: Pid,
    /// Its start; none where it was not seen.
    pub start: Option<StartTime>,
    /// What is known of it.
    pub process: Process,
}

/// How full the pools were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookNote {
    /// When the look began.
    pub at: MonoNs,
    /// No pool was left out.
    pub all: bool,
    /// The pools. In the file only those that have changed since the last look; what is read has all of them.
    pub pools: Vec<PoolLook>,
    /// Those of the last look that are no longer among them; in the file only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<(NetnsId, PoolKey)>,
    /// Pools that were nearly full, and who had their ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<MomentNote>,
}

/// How full a pool was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolLook {
    /// Its namespace.
    pub netns: NetnsId,
    /// Which one.
    pub key: PoolKey,
    /// Ports that it could not use.
    pub barred: u32,
    /// Utilisation; none where it can have no port.
    pub share: Option<f32>,
    /// Its halves; none where the search knows none, and in recordings made before they were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halves: Option<Halves>,
}

/// A pool when it was nearly full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentNote {
    /// Its namespace.
    pub netns: NetnsId,
    /// When.
    pub at: MonoNs,
    /// The pool.
    pub pool: Pool,
    /// The sockets behind its barred ports.
    pub sockets: Vec<Socket>,
    /// The processes that had them.
    pub holders: Holders,
}

/// The host at a moment: all sockets and settings, and who holds them.
#[derive(Debug, Serialize, Deserialize)]
pub struct SceneNote {
    /// Sockets and settings of every namespace.
    pub stock: Stock,
    /// The processes that hold the sockets.
    pub holders: Holders,
    /// Open descriptors of processes, and how many they may have.
    pub descriptors: Vec<(Pid, u64, u64)>,
    /// Programs that manage ports of a cluster's node.
    pub node_agents: Vec<String>,
    /// The namespace of the recorder.
    pub own_netns: Option<NetnsId>,
}

/// What was counted beside the events of a recording, since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// When.
    pub at: MonoNs,
    /// Events that filters kept out.
    pub filtered: u64,
    /// Events of which the count alone is known.
    pub lost: u64,
    /// At most so many choices were missed; none where the kernel does not tell.
    pub missed: Option<u64>,
    /// Calls inside of searches that were looked at; none where none were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_calls: Option<u64>,
    /// Calls of the same that the kernel skipped; none where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_missed: Option<u64>,
    /// What went wrong inside.
    pub diagnostics: Diagnostics,
    /// What recording cost.
    pub cost: SelfCost,
    /// Whose events were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_by: Vec<LostCount>,
}

/// Lost events of a process, of one kind, protocol and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostCount {
    /// The process.
    pub pid: u32,
    /// Name of the thread that was counted first, NUL-padded.
    pub comm: [u8; 16],
    /// Kind × 64 + protocol × 8 + result, as the kernel half counts.
    pub cell: u32,
    /// How many.
    pub count: u64,
}

/// What a recording ends with, unless it was cut.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// The accounts, which close now.
    pub account: Account,
    /// Lost events by kind, protocol and result, those of unknown processes included.
    pub lost_cells: Vec<(u32, u64)>,
    /// The command that was recorded.
    pub command: Option<CommandEnd>,
    /// CPU time of it and its descendants.
    pub command_cpu_ns: Option<u64>,
}
