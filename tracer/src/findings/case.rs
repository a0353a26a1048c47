//! Everything that a verdict is drawn from.

use std::net::IpAddr;

use crate::{
    enrich::Process,
    event::{Cause, Errno, MonoNs, NetnsId, Pid, Port, Protocol, Site},
    stats::Stats,
    stock::{Pool, Pools, Socket, Stock},
};

/// What is known of the host, and of the time that was watched.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The sockets and settings now, at the end.
    pub stock: &'a Stock,
    /// The same at the beginning; none where only one was taken.
    pub before: Option<&'a Stock>,
    /// The fullest pools of each namespace, now.
    pub pools: &'a [HeldPools],
    /// What was seen to happen; none where nothing was traced.
    pub flow: Option<&'a Flow<'a>>,
    /// The namespace that this process is in.
    pub own_netns: Option<NetnsId>,
    /// Who listens, as far as it was asked; findings about listeners name them by it.
    pub listeners: &'a [Listening],
    /// Names of those programs that run here and manage ports of a cluster's node: `kubelet`, `kube-proxy`,
    /// `cilium-agent`.
    pub node_agents: &'a [&'a str],
}

/// Who listens on a port.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The namespace.
    pub netns: NetnsId,
    /// The port.
    pub port: Port,
    /// A process that has the socket.
    pub pid: Pid,
    /// What it is.
    pub process: Process,
}

/// File descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Open ones.
    pub open: u64,
    /// Its soft `RLIMIT_NOFILE`.
    pub limit: u64,
}

/// The fullest pools of a namespace, and who holds them.
#[derive(Clone, Debug)]
pub struct HeldPools {
    /// The namespace.
    pub netns: NetnsId,
    /// Its pools, fullest first, of each kind.
    pub pools: Pools,
    /// Most ports barred at once, as far as it was looked; by the place in `pools.connect`, then `pools.bind`.
    pub peak_barred: Vec<u32>,
    /// Who holds the fullest ones, by the same places; empty where nobody was asked.
    pub holders: Vec<Vec<Holding>>,
    /// Those of its pools that were nearly full while it was watched, at their fullest; they need not be among the
    /// fullest now.
    pub worst: Vec<Worst>,
}

/// A pool at a moment when it was nearly full.
#[derive(Clone, Debug)]
pub struct Worst {
    /// The pool as it was.
    pub pool: Pool,
    /// Who held it then.
    pub holders: Vec<Holding>,
    /// When that was.
    pub at: MonoNs,
    /// Its barred ports that the kernel does not list, and only the flow tells of.
    pub unlisted: u32,
}

impl HeldPools {
    /// Every pool with its most barred ports and its holders.
    pub fn iter(&self) -> impl Iterator<Item = (&Pool, u32, &[Holding])> {
        self.pools.connect.iter().chain(&self.pools.bind).enumerate().map(|(at, pool)| {
            let peak = self.peak_barred.get(at).copied().unwrap_or(0).max(pool.barred);
            (pool, peak, self.holders.get(at).map_or(&[][..], Vec::as_slice))
        })
    }
}

/// Who holds how many ports of a pool.
#[derive(Clone, Debug)]
pub struct Holding {
    /// A process of the group; none where the kernel alone holds them and their maker was not seen (TIME_WAIT).
    pub pid: Option<Pid>,
    /// How many processes of the same container or unit and executable.
    pub processes: u32,
    /// What they are.
    pub process: Process,
    /// Ports held.
    pub ports: u32,
    /// Of these, in TIME_WAIT.
    pub time_wait: u32,
    /// A socket of theirs.
    pub example: Option<Socket>,
    /// File descriptors of that of them which is nearest to its limit; none where nobody looked.
    pub descriptors: Option<Descriptors>,
}

/// What was seen to happen.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// When it began.
    pub start: MonoNs,
    /// When it ended.
    pub at: MonoNs,
    /// What was counted.
    pub stats: &'a Stats,
    /// Failures, by pool and cause, most first.
    pub refusals: &'a [Refusal],
    /// Events whose detail was lost.
    pub lost: u64,
    /// Fields of the records that this backend cannot fill in.
    pub unavailable: &'a [String],
    /// CPU time of the processes of `-- CMD`, nanoseconds; none where there was none.
    pub command_cpu_ns: Option<u64>,
    /// There was a `-- CMD`.
    pub is_load: bool,
}

/// Failures of one kind in one pool.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The namespace of the socket.
    pub netns: Option<NetnsId>,
    /// The protocol.
    pub proto: Protocol,
    /// Where the choice or the check was made.
    pub site: Site,
    /// The port that the caller named; none where the choice was the kernel's.
    pub requested: Option<Port>,
    /// Local address.
    pub laddr: Option<IpAddr>,
    /// Remote address, of a connect.
    pub raddr: Option<IpAddr>,
    /// Remote port, of a connect.
    pub rport: Option<Port>,
    /// Why.
    pub cause: Option<Cause>,
    /// The errno of the last one.
    pub errno: Option<Errno>,
    /// How many.
    pub count: u64,
    /// Attempts of the same kind in the same pool, failed or not.
    pub attempts: u64,
    /// The first.
    pub first: MonoNs,
    /// The last.
    pub last: MonoNs,
    /// Who was refused, most first.
    pub victims: Vec<Victim>,
    /// Of a named port: who held it when it was refused, as far as it was asked.
    pub holders: Vec<Holding>,
}

/// Who was refused.
#[derive(Clone, Debug)]
pub struct Victim {
    /// One of the processes.
    pub pid: Pid,
    /// How many processes of the same container or unit and executable.
    pub processes: u32,
    /// What they are.
    pub process: Process,
    /// How often.
    pub count: u64,
}
