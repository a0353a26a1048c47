//! The ports that can serve one kind of allocation, and how many of them are left.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Parity, PortSet};
use crate::{
    event::{Port, PortRange, Protocol},
    stock::{NetnsConfig, Socket, State},
};

/// How long a TIME_WAIT lasts, seconds: `TCP_TIMEWAIT_LEN` of `include/net/tcp.h`. No setting changes it.
pub const TIME_WAIT_S: u32 = 60;

/// What tells a pool from the others of its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKey {
    /// Ports for a connect from one address to one destination.
    Connect {
        /// Transport protocol: TCP. A datagram socket that connects takes its port from a bind pool.
        proto: Protocol,
        /// Local address.
        laddr: IpAddr,
        /// Remote address.
        raddr: IpAddr,
        /// Remote port, host byte order.
        rport: Port,
    },
    /// Ports for bind(0), listen and autobind.
    Bind {
        /// Transport protocol.
        proto: Protocol,
        /// Local address. `::` stands for IPv4, too: not for a socket that is v6only.
        laddr: IpAddr,
    },
}

impl PoolKey {
    /// Its transport protocol.
    #[must_use]
    pub const fn proto(&self) -> Protocol {
        match self {
            Self::Connect { proto, .. } | Self::Bind { proto, .. } => *proto,
        }
    }

    /// Its local address.
    #[must_use]
    pub const fn laddr(&self) -> IpAddr {
        match self {
            Self::Connect { laddr, .. } | Self::Bind { laddr, .. } => *laddr,
        }
    }

    /// Whether a socket of its protocol is one of the pool itself: it lies between the ends of a connect, or is bound where
    /// it bars a bind to this address.
    #[must_use]
    pub fn takes_in(&self, socket: &Socket) -> bool {
        match *self {
            Self::Connect { laddr, raddr, rport, .. } => {
                (socket.local_addr, socket.remote_addr, socket.remote_port) == (laddr, raddr, Some(rport))
            }
            Self::Bind { laddr, .. } => {
                laddr.is_unspecified() || socket.is_wildcard() || socket.local_addr == laddr
            }
        }
    }

    /// The parity that a search in this pool takes first; none where it takes the ports as they come.
    #[must_use]
    pub fn first_parity(&self, config: &NetnsConfig) -> Option<Parity> {
        let low = Parity::of(config.range.low());
        match self {
            Self::Connect { .. } if config.step_width.is_some_and(|width| width != 0) => None,
            Self::Connect { .. } => Some(low),
            Self::Bind { proto: Protocol::Tcp | Protocol::Dccp, .. } => Some(low.other()),
            Self::Bind { .. } => None,
        }
    }
}

/// Ports by the state of the socket that holds each; every port counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// By [`State::rank`]; the last place is for unknown states.
    ports: [u32; State::ALL.len() + 1],
    unseen: u32,
}

impl Held {
    /// Adds a port of a holder of this rank; none where no socket was seen.
    pub(super) fn add(&mut self, rank: Option<u8>) {
        let slot = rank.and_then(|rank| self.ports.get_mut(usize::from(rank)));
        let slot = slot.unwrap_or(&mut self.unseen);
        *slot = slot.saturating_add(1);
    }

    /// Ports that a socket in this state holds.
    #[must_use]
    pub fn of(&self, state: State) -> u32 {
        self.ports.get(usize::from(state.rank())).copied().unwrap_or(0)
    }

    /// Ports that are known to be bound although the stock has no socket on them: it cannot show it, or it is
    /// gone.
    #[must_use]
    pub const fn unseen(&self) -> u32 {
        self.unseen
    }

    /// The states with their ports, where there are any, in the order of [`State::ALL`]; all unknown states are
    /// one.
    pub fn iter(&self) -> impl Iterator<Item = (State, u32)> {
        let states = State::ALL.into_iter().chain([State::Unknown(u8::MAX)]);
        states.zip(self.ports).filter(|(_, ports)| *ports > 0)
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.ports.iter().fold(self.unseen, |sum, ports| sum.saturating_add(*ports))
    }
}

/// A half of the effective range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Half {
    /// Ports of it.
    pub of: u32,
    /// Those that are barred.
    pub barred: u32,
}

/// Both halves of an effective range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halves {
    /// Which one a search takes first.
    pub first: Parity,
    /// Even ports.
    pub even: Half,
    /// Odd ports.
    pub odd: Half,
}

impl Halves {
    /// One of them.
    #[must_use]
    pub const fn half(&self, parity: Parity) -> Half {
        match parity {
            Parity::Even => self.even,
            Parity::Odd => self.odd,
        }
    }

    /// The one that a search takes first.
    #[must_use]
    pub const fn first_half(&self) -> Half {
        self.half(self.first)
    }

    /// The same with a first half that is full.
    #[must_use]
    pub const fn with_full_first(self) -> Self {
        let of = self.first_half().of;
        let full = Half { of, barred: of };
        match self.first {
            Parity::Even => Self { even: full, ..self },
            Parity::Odd => Self { odd: full, ..self },
        }
    }

    /// The one that it takes when the first is full.
    #[must_use]
    pub const fn second_half(&self) -> Half {
        self.half(self.first.other())
    }
}

/// A pool as the stock shows it.
///
/// Pools are views of the same sockets: never sum them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Which one.
    pub key: PoolKey,
    /// `ip_local_port_range` of the namespace. A socket's own `IP_LOCAL_PORT_RANGE` is not in the stock.
    pub range: PortRange,
    /// N: unreserved ports of the range.
    pub effective: u32,
    /// Ports of N that this pool cannot use now. An upper bound: the stock does not tell which sockets would
    /// share (`SO_REUSEADDR`, `SO_REUSEPORT`, `SO_BINDTODEVICE`).
    pub barred: u32,
    /// Those of them that a bind()er bars, as far as it is known to be one; of other protocols than
    /// TCP, all.
    pub barred_by_binds: u32,
    /// Holders of the barred ports, and of those in a TIME_WAIT that may be reused at once.
    pub held: Held,
    /// Ports of N in a TIME_WAIT that a connect may take over at once, not counted as barred; at most so many,
    /// for the stock does not tell whether both ends used timestamps. None where the rule is not
    /// known: then they are counted as barred. Of a bind pool always 0: for bind, a TIME_WAIT bars.
    pub reusable_time_wait: Option<u32>,
    /// The halves by parity; none where the search knows none.
    pub halves: Option<Halves>,
    /// The barred ports themselves.
    pub barred_ports: PortSet,
}

impl Pool {
    /// Barred ÷ effective, 0 to 1; none where no port can be given at all.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        (self.effective > 0).then(|| f64::from(self.barred) / f64::from(self.effective))
    }

    /// Ports that it can still give.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.effective.saturating_sub(self.barred)
    }

    /// Where its cliff and its wall are.
    #[must_use]
    pub fn limits(&self) -> CliffWall {
        CliffWall { cliff: self.halves.map(|halves| halves.first_half().of), wall: self.effective }
    }
}

/// How many ports a pool can hold before its searches become long, and before they fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CliffWall {
    /// Ports of the half that is taken first; none where there are no halves.
    pub cliff: Option<u32>,
    /// Ports of the effective range.
    pub wall: u32,
}

impl CliffWall {
    /// Those of an empty pool.
    #[must_use]
    pub fn of(key: &PoolKey, config: &NetnsConfig) -> Self {
        let effective = PortSet::effective(config.range, &config.reserved);
        let cliff = key.first_parity(config).map(|first| effective.count_of(first));
        Self { cliff, wall: effective.count() }
    }

    /// Ports a second that come back when each is out for a TIME_WAIT, the fastest that one pool can go on
    /// where this end closes first and nothing is reused.
    #[must_use]
    pub fn pays_back_per_s(self) -> f64 {
        f64::from(self.wall) / f64::from(TIME_WAIT_S)
    }

    /// The same before the cliff.
    #[must_use]
    pub fn cliff_per_s(self) -> Option<f64> {
        self.cliff.map(|cliff| f64::from(cliff) / f64::from(TIME_WAIT_S))
    }
}
