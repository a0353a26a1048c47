//! Who holds which port, and the making of a pool from it.

use super::{Ground, Half, Halves, Held, Parity, Pool, PoolKey, PortSet};
use crate::{
    event::{Port, Protocol},
    stock::{Socket, State},
};

/// No socket.
const NONE: u8 = u8::MAX;

/// For each port the state that is named first ([`State::rank`]) of its sockets: 64 KiB.
pub(super) struct Ranks(Vec<u8>);

impl Ranks {
    pub(super) fn new() -> Self {
        Self(vec![NONE; 1 << 16])
    }

    pub(super) fn forget(&mut self) {
        self.0.fill(NONE);
    }

    pub(super) fn note(&mut self, port: u16, state: State) {
        if let Some(slot) = self.0.get_mut(usize::from(port)) {
            *slot = state.rank().min(*slot);
        }
    }

    pub(super) fn of(&self, port: u16) -> Option<u8> {
        self.0.get(usize::from(port)).copied().filter(|rank| *rank != NONE)
    }
}

/// A namespace, prepared for the making of pools.
pub(super) struct Holding<'a> {
    pub(super) ground: &'a Ground<'a>,
    /// N.
    pub(super) effective: &'a PortSet,
    /// Ports with a TCP listener.
    pub(super) listened: PortSet,
    /// Ports of N whose TCP bucket has a bind()er.
    pub(super) bound: PortSet,
    /// TCP sockets by port, whatever their addresses.
    pub(super) tcp: Ranks,
}

/// The ports of a pool.
pub(super) struct Ports {
    pub(super) barred: PortSet,
    /// Those of them that a bind()er bars.
    pub(super) by_binds: PortSet,
    /// Ports in a TIME_WAIT that may be reused, barred or not; none where that is not known.
    pub(super) reusable: Option<PortSet>,
}

impl<'a> Holding<'a> {
    pub(super) fn new(ground: &'a Ground<'a>, effective: &'a PortSet) -> Self {
        let (mut listened, mut bound, mut tcp) = (PortSet::default(), ground.binders.clone(), Ranks::new());
        for socket in ground.sockets.iter().filter(|one| one.protocol == Protocol::Tcp) {
            let Some(port) = socket.local_port.map(Port::get) else { continue };
            tcp.note(port, socket.state);
            if socket.state == State::Listen {
                listened.insert(port);
            }
            if socket.is_binder() {
                bound.insert(port);
            }
        }
        Self { ground, effective, listened, bound: bound.and(effective), tcp }
    }

    /// The local port of a socket, if it is one of N.
    pub(super) fn port(&self, socket: &Socket) -> Option<u16> {
        socket.local_port.map(Port::get).filter(|port| self.effective.contains(*port))
    }

    /// Makes a pool; `rank_of` tells the holder of a barred port.
    pub(super) fn pool(&self, key: PoolKey, ports: Ports, rank_of: impl Fn(u16) -> Option<u8>) -> Pool {
        let config = self.ground.config;
        let half = |parity: Parity| Half {
            of: self.effective.count_of(parity),
            barred: ports.barred.count_of(parity),
        };
        let reusable = ports.reusable.map(|reusable| reusable.without(&ports.barred));
        let mut held = Held::default();
        for port in ports.barred.iter() {
            held.add(rank_of(port));
        }
        for _ in reusable.iter().flat_map(PortSet::iter) {
            held.add(Some(State::TimeWait.rank()));
        }
        Pool {
            key,
            range: config.range,
            effective: self.effective.count(),
            barred: ports.barred.count(),
            barred_by_binds: ports.by_binds.and(&ports.barred).count(),
            held,
            reusable_time_wait: reusable.as_ref().map(PortSet::count),
            halves: key.first_parity(config).map(|first| Halves {
                first,
                even: half(Parity::Even),
                odd: half(Parity::Odd),
            }),
            barred_ports: ports.barred,
        }
    }
}
