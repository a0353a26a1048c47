//! What a report asks of a host beside events: of the one that it runs on here, of a recorded one in `scene`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::frame::self_cost;
use crate::{
    enrich::Clock,
    event::{NetnsId, Pid},
    findings::Descriptors,
    output::records::SelfCost,
    stock::{Holders, Inode, Netns, NetnsConfig, Stock, StockError, Wanted, WhichHolders},
};

/// A host that can be asked.
pub trait Host {
    /// Its sockets and settings.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    fn stock(&self, wanted: &Wanted) -> Result<Stock, StockError>;
    /// The first holder of each of these sockets.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    fn holders(&self, sockets: &mut dyn Iterator<Item = Inode>) -> Result<Holders, StockError>;
    /// Open descriptors of a process, and how many it may have.
    fn descriptors(&self, pid: Pid) -> Option<Descriptors>;
    /// Programs that manage ports of a cluster's node.
    fn node_agents(&self, stock: &Stock) -> Vec<&'static str>;
    /// The namespace of the tracer.
    fn own_netns(&self) -> Option<NetnsId>;
    /// Its clock.
    fn clock(&self) -> Clock;
    /// What tracing has cost.
    fn cost(&self) -> SelfCost;
}

/// The host that this process runs on.
#[derive(Clone, Debug)]
pub struct ThisHost(PathBuf);

impl ThisHost {
    /// By its `/proc`.
    #[must_use]
    pub fn new(proc_root: &Path) -> Self {
        Self(proc_root.to_owned())
    }
}

impl Host for ThisHost {
    fn stock(&self, wanted: &Wanted) -> Result<Stock, StockError> {
        Stock::take(&self.0, wanted)
    }

    fn holders(&self, sockets: &mut dyn Iterator<Item = Inode>) -> Result<Holders, StockError> {
        Holders::of(&self.0, sockets, WhichHolders::First)
    }

    fn descriptors(&self, pid: Pid) -> Option<Descriptors> {
        descriptors(&self.0, pid)
    }

    fn node_agents(&self, stock: &Stock) -> Vec<&'static str> {
        node_agents(&self.0, stock)
    }

    fn own_netns(&self) -> Option<NetnsId> {
        Netns::open(Path::new("/proc/self/ns/net")).ok().map(|netns| netns.id())
    }

    fn clock(&self) -> Clock {
        Clock::sample()
    }

    fn cost(&self) -> SelfCost {
        self_cost()
    }
}

/// Programs that manage ports of a cluster's node, as the kernel cuts their names.
pub(super) const NODE_AGENTS: [&str; 3] = ["kubelet", "kube-proxy", "cilium-agent"];
/// `--service-node-port-range` of Kubernetes, unless it is set otherwise.
const NODE_PORTS: (u16, u16) = (30_000, 32_767);

/// Open descriptors of a process, and how many it may have.
fn descriptors(proc_root: &Path, pid: Pid) -> Option<Descriptors> {
    let dir = proc_root.join(pid.0.to_string());
    // The size of the directory from Linux 6.2 on; to list one of thousands takes milliseconds.
    let open = match fs::metadata(dir.join("fd")).ok()?.len() {
        0 => u64::try_from(fs::read_dir(dir.join("fd")).ok()?.count()).ok()?,
        open => open,
    };
    let limit = soft_limit(&fs::read_to_string(dir.join("limits")).ok()?)?;
    Some(Descriptors { open, limit })
}

/// The soft limit of `Max open files` of /proc/PID/limits; none where there is none.
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Node agents that run here; nobody is looked for where no range reaches into the node ports.
fn node_agents(proc_root: &Path, stock: &Stock) -> Vec<&'static str> {
    let reaches =
        |config: &NetnsConfig| config.range.low() <= NODE_PORTS.1 && NODE_PORTS.0 <= config.range.high();
    if !stock.spaces.iter().filter_map(|space| space.config.as_ref()).any(reaches) {
        return Vec::new();
    }
    let mut found: Vec<&'static str> = Vec::new();
    let processes = fs::read_dir(proc_root).into_iter().flatten().filter_map(Result::ok);
    for process in
        processes.filter(|entry| entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit))
    {
        let comm = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        found.extend(NODE_AGENTS.iter().filter(|name| **name == comm.trim_end()));
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_descriptors_are_counted() {
        let own = descriptors(Path::new("/proc"), Pid(std::process::id())).unwrap();
        assert!(own.open >= 3 && own.limit > own.open, "{own:?}");
        assert_eq!(descriptors(Path::new("/nowhere"), Pid(1)), None);
    }

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits =
            "Limit  Soft  Hard\nMax open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), None);
    }
}
