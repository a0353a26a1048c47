//! From the stock, and what the flow knows of it, to what a verdict is drawn from.

use std::{collections::BTreeMap, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{host::Host, look::Moment, unlisted::still_bound};
use crate::{
    enrich::Process,
    event::{Cause, NetnsId, Pid, Port, Protocol},
    findings::{Case, Flow, HeldPools, Holding, Listening, Refusal, Worst},
    stock::{
        Holders, Inode, Pool, PoolKey, Pools, PortMap, PortSet, Socket, State, Stock, StockError, Wanted,
        exposed_listeners, sockets_on,
    },
};

/// Pools of a namespace whose holders are looked for: the fullest, and those above [`NAMED_SHARE`].
const MOST_NAMED: usize = 8;
/// Share of its ports from which on a pool's holders matter.
const NAMED_SHARE: f64 = 0.1;

/// Listeners of a namespace that are asked for.
const MOST_LISTENERS: usize = 64;

/// Sockets on a named port that are asked for.
const MOST_KEEPERS: usize = 16;

/// What else is known than the stock tells.
pub trait Known {
    /// Ports of a namespace that a bind was seen to be given.
    fn binders(&self, netns: NetnsId) -> PortSet;
    /// Whether those that were given back are no longer among them.
    fn follows_releases(&self) -> bool;
    /// Most ports of a pool barred at once.
    fn peak(&self, netns: NetnsId, key: &PoolKey) -> u32;
    /// The pools of a namespace that were nearly full, each at its fullest.
    fn moments(&self, netns: NetnsId) -> Vec<Arc<Moment>>;
    /// Who made a connection that no process holds any more.
    fn maker(&mut self, netns: NetnsId, socket: &Socket) -> Option<(Pid, Process)>;
}

/// Nothing was traced.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Known for Nothing {
    fn binders(&self, _netns: NetnsId) -> PortSet {
        PortSet::default()
    }

    fn follows_releases(&self) -> bool {
        true
    }

    fn peak(&self, _netns: NetnsId, _key: &PoolKey) -> u32 {
        0
    }

    fn moments(&self, _netns: NetnsId) -> Vec<Arc<Moment>> {
        Vec::new()
    }

    fn maker(&mut self, _netns: NetnsId, _socket: &Socket) -> Option<(Pid, Process)> {
        None
    }
}

/// The stock with its pools and their holders.
#[derive(Debug)]
pub struct Survey {
    /// Sockets and settings.
    pub stock: Stock,
    /// The fullest pools of each namespace.
    pub pools: Vec<HeldPools>,
    /// The namespace of this process.
    pub own_netns: Option<NetnsId>,
    /// Who listens inside a range.
    pub listeners: Vec<Listening>,
    /// Programs that manage ports of a cluster's node.
    pub node_agents: Vec<&'static str>,
}

impl Survey {
    /// Looks at the host. Not on a thread that must not wait: namespaces are entered.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn take(host: &dyn Host, wanted: &Wanted, known: &mut dyn Known) -> Result<Self, StockError> {
        Self::of(host.stock(wanted)?, host, known)
    }

    /// Looks at the host, but not at its pools.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn bare(host: &dyn Host, wanted: &Wanted) -> Result<Self, StockError> {
        let (stock, own_netns) = (host.stock(wanted)?, host.own_netns());
        Ok(Self { stock, pools: Vec::new(), own_netns, listeners: Vec::new(), node_agents: Vec::new() })
    }

    /// Finds the pools and their holders in a stock.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn of(stock: Stock, host: &dyn Host, known: &mut dyn Known) -> Result<Self, StockError> {
        let own_netns = host.own_netns();
        let mut pools: Vec<HeldPools> = Vec::new();
        for space in &stock.spaces {
            let Some(found) = space.pools(&still_bound(space, known)) else { continue };
            let peak_barred = every(&found).map(|pool| known.peak(space.namespace.id, &pool.key)).collect();
            pools.push(HeldPools {
                netns: space.namespace.id,
                pools: found,
                peak_barred,
                holders: Vec::new(),
                worst: Vec::new(),
            });
        }
        let node_agents = host.node_agents(&stock);
        let mut survey = Self { stock, pools, own_netns, listeners: Vec::new(), node_agents };
        survey.name_holders(host, known)?;
        Ok(survey)
    }

    /// What a verdict is drawn from.
    #[must_use]
    pub fn case<'a>(&'a self, before: Option<&'a Stock>, flow: Option<&'a Flow<'a>>) -> Case<'a> {
        Case {
            stock: &self.stock,
            before,
            pools: &self.pools,
            flow,
            own_netns: self.own_netns,
            listeners: &self.listeners,
            node_agents: &self.node_agents,
        }
    }

    /// The map of the fullest pool for connect, else of the fullest one, else of our own namespace; with what to
    /// call the namespace. Pools that are not `wanted` are left out.
    #[must_use]
    pub fn map(&self, wanted: impl Fn(NetnsId, &PoolKey) -> bool) -> Option<(String, PortMap)> {
        let fullest = |kind: fn(&Pools) -> &[Pool]| {
            let held =
                self.pools.iter().flat_map(|held| kind(&held.pools).iter().map(|pool| (held.netns, pool)));
            let share = |(_, pool): &(NetnsId, &Pool)| pool.utilisation().unwrap_or(0.0);
            held.filter(|(netns, pool)| pool.barred != 0 && wanted(*netns, &pool.key))
                .max_by(|one, other| share(one).total_cmp(&share(other)))
        };
        let pool = fullest(|pools| &pools.connect).or_else(|| fullest(|pools| &pools.bind));
        let netns = pool.map(|(netns, _)| netns).or(self.own_netns)?;
        let space = self.stock.space(netns)?;
        let map = PortMap::of(space, pool.map(|(_, pool)| pool))?;
        Some((space.namespace.label(), map))
    }

    /// Asks who has the ports that were named and refused, all in one walk through the processes.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub fn name_keepers(
        &self,
        refusals: &mut [Refusal],
        host: &dyn Host,
        known: &mut dyn Known,
    ) -> Result<(), StockError> {
        let keepers: Vec<Vec<Socket>> = refusals
            .iter()
            .map(|refusal| {
                let port = refusal.requested.filter(|_| refusal.cause == Some(Cause::InUse));
                let space = refusal.netns.and_then(|netns| self.stock.space(netns));
                port.zip(space)
                    .map_or_else(Vec::new, |(port, space)| keepers(space.list(), refusal.proto, port))
            })
            .collect();
        let holders = host.holders(&mut keepers.iter().flatten().filter_map(|socket| socket.inode))?;
        for (refusal, keepers) in refusals.iter_mut().zip(&keepers) {
            let Some(netns) = refusal.netns else { continue };
            let holdings = keepers.iter().flat_map(|socket| group(netns, &[*socket], &holders, known));
            refusal.holders = holdings.filter(|one| one.pid.is_some()).collect();
        }
        Ok(())
    }

    /// Asks who holds the pools that matter, all in one walk through the processes.
    fn name_holders(&mut self, host: &dyn Host, known: &mut dyn Known) -> Result<(), StockError> {
        let mut sockets: Vec<Vec<Vec<Socket>>> = Vec::new();
        for held in &self.pools {
            let list = self.stock.space(held.netns).map_or(&[][..], |space| space.list());
            let wanted = named(&held.pools);
            sockets.push(
                every(&held.pools)
                    .zip(wanted)
                    .map(|(pool, is_wanted)| if is_wanted { barring(pool, list) } else { Vec::new() })
                    .collect(),
            );
        }
        let listening = listening(&self.stock);
        let inodes: Vec<Inode> = sockets
            .iter()
            .flatten()
            .flatten()
            .filter_map(|one| one.inode)
            .chain(listening.iter().map(|(_, _, inode)| *inode))
            .collect();
        let holders = host.holders(&mut inodes.into_iter())?;
        let named = listening.into_iter().filter_map(|(netns, port, inode)| {
            let holder = holders.holders(inode).next()?;
            Some(Listening { netns, port, pid: holder.pid, process: holder.process.clone() })
        });
        self.listeners = named.collect();
        for held in &mut self.pools {
            let moments = known.moments(held.netns);
            held.worst = moments.iter().map(|moment| worst(moment, known)).collect();
        }
        for (held, sockets) in self.pools.iter_mut().zip(sockets) {
            held.holders =
                sockets.iter().map(|sockets| group(held.netns, sockets, &holders, known)).collect();
            for top in held.holders.iter_mut().filter_map(|holders| holders.first_mut()) {
                top.descriptors = top.pid.and_then(|pid| host.descriptors(pid));
            }
        }
        Ok(())
    }
}

/// Sockets on a named port, those first that may have named it, too.
fn keepers(list: &[Socket], proto: Protocol, port: Port) -> Vec<Socket> {
    let mut found: Vec<Socket> =
        sockets_on(list, port).filter(|one| one.protocol == proto).copied().collect();
    found.sort_by_key(|socket| !socket.is_binder());
    found.truncate(MOST_KEEPERS);
    found
}

fn every(pools: &Pools) -> impl Iterator<Item = &Pool> {
    pools.connect.iter().chain(&pools.bind)
}

/// Listeners inside a range, whose port the kernel could give away when they are gone.
fn listening(stock: &Stock) -> Vec<(NetnsId, Port, Inode)> {
    let nobody = PortSet::default();
    let mut found = Vec::new();
    for space in &stock.spaces {
        let Some(config) = &space.config else { continue };
        let exposed = exposed_listeners(space.list(), config, &nobody);
        let known = exposed.iter().filter_map(|one| Some((space.namespace.id, one.port, one.socket.inode?)));
        found.extend(known.take(MOST_LISTENERS));
    }
    found
}

/// Of each pool, whether its holders matter.
fn named(pools: &Pools) -> Vec<bool> {
    let kind = |pools: &[Pool]| -> Vec<bool> {
        let matters = |(at, pool): (usize, &Pool)| {
            at < MOST_NAMED && (at == 0 || pool.utilisation().is_some_and(|share| share >= NAMED_SHARE))
        };
        pools.iter().enumerate().map(matters).collect()
    };
    [kind(&pools.connect), kind(&pools.bind)].concat()
}

/// The sockets behind the barred ports of a pool, one a port: one of a process rather than a TIME_WAIT, one of
/// the pool itself rather than another.
pub(super) fn barring(pool: &Pool, sockets: &[Socket]) -> Vec<Socket> {
    let mut by_port: FxHashMap<u16, (u8, Socket)> = FxHashMap::default();
    for socket in sockets.iter().filter(|one| one.protocol == pool.key.proto()) {
        let Some(port) = socket.local_port.map(Port::get) else { continue };
        if !pool.barred_ports.contains(port) {
            continue;
        }
        let Some(rank) = rank(pool, socket) else { continue };
        let best = by_port.entry(port).or_insert((rank, *socket));
        if rank < best.0 {
            *best = (rank, *socket);
        }
    }
    let mut found: Vec<Socket> = by_port.into_values().map(|(_, socket)| socket).collect();
    found.sort_by_key(|socket| socket.local_port);
    found
}

/// How well a socket explains that its port is barred: 0 best; none where it does not.
fn rank(pool: &Pool, socket: &Socket) -> Option<u8> {
    let alive = u8::from(socket.inode.is_none());
    let own = pool.key.takes_in(socket);
    match pool.key {
        PoolKey::Connect { .. } => {
            // On a barred port any socket may be the bind()er: the one that listens or is bound alone surely is.
            let other = if socket.is_binder() { 2 } else { 4 };
            Some(alive + if own { 0 } else { other })
        }
        PoolKey::Bind { .. } => own.then_some(alive),
    }
}

/// A pool at its worst, with those who had it then.
fn worst(moment: &Moment, known: &mut dyn Known) -> Worst {
    let holders = group(moment.netns, &moment.sockets, &moment.holders, known);
    Worst { pool: moment.pool.clone(), holders, at: moment.at, unlisted: 0 }
}

/// Sockets by who holds them, the most first.
pub(super) fn group(
    netns: NetnsId,
    sockets: &[Socket],
    holders: &Holders,
    known: &mut dyn Known,
) -> Vec<Holding> {
    type Key = (Option<String>, Option<String>);
    let mut groups: BTreeMap<Option<Key>, (Holding, FxHashSet<Pid>)> = BTreeMap::new();
    for socket in sockets {
        let holder = socket
            .inode
            .and_then(|inode| holders.holders(inode).next())
            .map(|holder| (holder.pid, holder.process.clone()))
            .or_else(|| known.maker(netns, socket));
        let key = holder.as_ref().map(|(_, process)| {
            let (place, program) = process.program();
            (place.map(str::to_owned), program.map(str::to_owned))
        });
        let (holding, pids) = groups.entry(key).or_insert_with(|| {
            let (pid, process) = match &holder {
                Some((pid, process)) => (Some(*pid), process.clone()),
                None => (None, Process::unknown()),
            };
            let none = Holding {
                pid,
                processes: 0,
                process,
                ports: 0,
                time_wait: 0,
                example: Some(*socket),
                descriptors: None,
            };
            (none, FxHashSet::default())
        });
        holding.ports += 1;
        holding.time_wait += u32::from(socket.state == State::TimeWait);
        pids.extend(holder.map(|(pid, _)| pid));
    }
    let mut all: Vec<Holding> = groups
        .into_values()
        .map(|(holding, pids)| Holding {
            processes: u32::try_from(pids.len()).unwrap_or(u32::MAX),
            ..holding
        })
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.ports));
    all
}
