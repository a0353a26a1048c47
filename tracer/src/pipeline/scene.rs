//! A host as it was recorded: it can be asked like the one that this process runs on.

use rustc_hash::FxHashMap;

use super::host::{Host, NODE_AGENTS};
use crate::{
    enrich::Clock,
    event::{NetnsId, Pid},
    findings::Descriptors,
    output::records::SelfCost,
    recording::SceneNote,
    stock::{Holders, Inode, NetnsStock, Stock, StockError, Wanted},
};

/// Processes whose descriptors are recorded.
const MOST_DESCRIPTORS: usize = 4_096;

/// Asks a host for everything that a report may ask of it later, but for its stock, which was taken just now.
///
/// # Errors
///
/// /proc cannot be listed.
pub fn capture(host: &dyn Host, stock: Stock) -> Result<SceneNote, StockError> {
    let mut sockets = stock.spaces.iter().flat_map(NetnsStock::list).filter_map(|socket| socket.inode);
    let holders = host.holders(&mut sockets)?;
    let pids = holders.processes().iter().map(|holder| holder.pid).take(MOST_DESCRIPTORS);
    let known = |pid| host.descriptors(pid).map(|found| (pid, found.open, found.limit));
    let descriptors = pids.filter_map(known).collect();
    let node_agents = host.node_agents(&stock).into_iter().map(str::to_owned).collect();
    Ok(SceneNote { stock, holders, descriptors, node_agents, own_netns: host.own_netns() })
}

/// A host of a recording.
#[derive(Debug)]
pub struct Scene {
    stock: Stock,
    holders: Holders,
    descriptors: FxHashMap<Pid, Descriptors>,
    node_agents: Vec<&'static str>,
    own_netns: Option<NetnsId>,
    clock: Clock,
    cost: SelfCost,
}

impl Scene {
    /// From what was recorded.
    #[must_use]
    pub fn new(note: SceneNote, clock: Clock, cost: SelfCost) -> Self {
        let SceneNote { stock, holders, descriptors, node_agents, own_netns } = note;
        let known = |name: &&'static str| node_agents.iter().any(|found| found == name);
        Self {
            stock,
            holders,
            descriptors: descriptors
                .into_iter()
                .map(|(pid, open, limit)| (pid, Descriptors { open, limit }))
                .collect(),
            node_agents: NODE_AGENTS.into_iter().filter(|name| known(name)).collect(),
            own_netns,
            clock,
            cost,
        }
    }
}

impl Host for Scene {
    fn stock(&self, _wanted: &Wanted) -> Result<Stock, StockError> {
        Ok(self.stock.copy())
    }

    fn holders(&self, sockets: &mut dyn Iterator<Item = Inode>) -> Result<Holders, StockError> {
        Ok(self.holders.only(&sockets.collect::<Vec<_>>()))
    }

    fn descriptors(&self, pid: Pid) -> Option<Descriptors> {
        self.descriptors.get(&pid).copied()
    }

    fn node_agents(&self, _stock: &Stock) -> Vec<&'static str> {
        self.node_agents.clone()
    }

    fn own_netns(&self) -> Option<NetnsId> {
        self.own_netns
    }

    fn clock(&self) -> Clock {
        self.clock
    }

    fn cost(&self) -> SelfCost {
        self.cost.clone()
    }
}
