//! Pools: from the sockets of one namespace to the ports that each kind of allocation can still have.
//!
//! Pure functions; nothing is asked here. Definitions: barred ÷ effective is the utilisation, TIME_WAITs that may
//! be reused at once are counted apart, and a port counts once.

mod bind;
mod connect;
mod fullest;
mod holding;
mod map;
mod pool;
mod port_set;
mod time_wait;

pub use map::PortMap;
pub use pool::{CliffWall, Half, Halves, Held, Pool, PoolKey, TIME_WAIT_S};
pub use port_set::{Parity, PortSet};
pub use time_wait::{Blocking, ReuseRule};

use self::holding::Holding;
use super::{NetnsConfig, Settings, Socket};

/// Pools of each kind that are worth their 8 KiB.
pub const MOST_POOLS: usize = 64;

/// What pools are made from: one namespace.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Its sockets.
    pub sockets: &'a [Socket],
    /// Its range.
    pub config: &'a NetnsConfig,
    /// What decides about its TIME_WAITs.
    pub settings: &'a Settings,
    /// Ports of TCP that are known to have been bound, by whoever watched the calls: a socket that was bound
    /// before it connected looks like any other, and up to Linux 6.12 its port stays barred to connects until
    /// the last socket has left it.
    pub binders: &'a PortSet,
}

/// The fullest pools of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// Pools for connect, the fullest first.
    pub connect: Vec<Pool>,
    /// Pools for connect that there are.
    pub connect_seen: usize,
    /// Pools for bind, listen and autobind, the fullest first; that of the wildcard is barred by all.
    pub bind: Vec<Pool>,
    /// Pools for bind that there are.
    pub bind_seen: usize,
}

impl Pools {
    /// The fullest pools, `most` of each kind.
    ///
    /// Memory: some 200 bytes for a destination, 32 for a socket, 8 KiB for each pool that is given back.
    #[must_use]
    pub fn of(ground: &Ground<'_>, most: usize) -> Self {
        let effective = PortSet::effective(ground.config.range, &ground.config.reserved);
        let holding = Holding::new(ground, &effective);
        let (connect, connect_seen) = connect::fullest(&holding, most);
        let (bind, bind_seen) = bind::fullest(&holding, most);
        Self { connect, connect_seen, bind, bind_seen }
    }

    /// Whether these are all that there are.
    #[must_use]
    pub fn is_all(&self) -> bool {
        (self.connect.len(), self.bind.len()) == (self.connect_seen, self.bind_seen)
    }
}

#[cfg(test)]
mod tests;
