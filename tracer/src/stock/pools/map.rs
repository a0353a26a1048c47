//! Where in its range a pool is held, and by what.

use super::{Parity, Pool, PoolKey, PortSet};
use crate::{
    event::{Port, PortRange, Protocol},
    stock::{NetnsStock, Socket, State},
};

/// The ports of a range, by what a pool can make of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMap {
    /// The pool; none where the namespace has none: nobody holds anything.
    pub key: Option<PoolKey>,
    /// The range.
    pub range: PortRange,
    /// The half that a search takes first; none where it knows no halves.
    pub first: Option<Parity>,
    /// Ports that are never given.
    pub reserved: PortSet,
    /// Unreserved ports that the pool cannot use now.
    pub barred: PortSet,
    /// Those of them that only a TIME_WAIT holds.
    pub time_wait: PortSet,
    /// How many unreserved ports are in a TIME_WAIT that a connect may take over at once: free, in this map.
    pub reusable: u32,
    /// Ports of the range that somebody listens on, at whatever address; datagrams know no listening.
    pub listening: PortSet,
}

impl PortMap {
    /// The map of a pool of a namespace, or of the namespace's TCP where there is no pool; none where its range is
    /// not known.
    #[must_use]
    pub fn of(space: &NetnsStock, pool: Option<&Pool>) -> Option<Self> {
        let config = space.config.as_ref()?;
        let key = pool.map(|pool| pool.key);
        let range: PortSet = (config.range.low()..=config.range.high()).collect();
        let effective = PortSet::effective(config.range, &config.reserved);
        let proto = key.map_or(Protocol::Tcp, |key| key.proto());
        let barred = pool.map_or_else(PortSet::default, |pool| pool.barred_ports.clone());
        let sockets = || space.list().iter().filter(move |socket| socket.protocol == proto);
        let is_own = |socket: &&Socket| key.is_some_and(|key| key.takes_in(socket));
        let (own, any) = (Held::of(sockets().filter(is_own)), Held::of(sockets()));
        // What the pool's own sockets do not explain, others bar by their bind.
        let time_wait =
            own.time_wait.without(&own.live).or(&any.time_wait.without(&any.live).without(&own.live));
        Some(Self {
            key,
            range: config.range,
            first: match key {
                Some(key) => key.first_parity(config),
                None => (config.step_width.unwrap_or(0) == 0).then(|| Parity::of(config.range.low())),
            },
            reserved: range.without(&effective),
            time_wait: time_wait.and(&barred),
            reusable: pool.and_then(|pool| pool.reusable_time_wait).unwrap_or(0),
            barred,
            listening: sockets()
                .filter(|socket| socket.state == State::Listen)
                .filter_map(|socket| socket.local_port.map(Port::get))
                .filter(|port| range.contains(*port))
                .collect(),
        })
    }
}

/// Ports of some sockets, by whether a process may still use them.
#[derive(Default)]
struct Held {
    live: PortSet,
    time_wait: PortSet,
}

impl Held {
    fn of<'a>(sockets: impl Iterator<Item = &'a Socket>) -> Self {
        let mut held = Self::default();
        for socket in sockets {
            let Some(port) = socket.local_port.map(Port::get) else { continue };
            let set = if socket.state == State::TimeWait { &mut held.time_wait } else { &mut held.live };
            set.insert(port);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::{
        event::NetnsId,
        stock::{Namespace, NetnsConfig, Settings, Sockets, parse_reserved},
    };

    const US: &str = "10.0.0.1";
    const DB: &str = "10.0.0.9";

    fn socket(state: State, port: u16, remote: Option<(&str, u16)>) -> Socket {
        Socket {
            protocol: Protocol::Tcp,
            state,
            local_addr: US.parse().unwrap(),
            remote_addr: remote.map_or("0.0.0.0", |(addr, _)| addr).parse().unwrap(),
            local_port: Port::new(port),
            remote_port: remote.and_then(|(_, port)| Port::new(port)),
            inode: None,
            interface: None,
            time_left_ms: (state == State::TimeWait).then_some(NonZeroU32::new(30_000).unwrap()),
            uid: None,
            v6only: None,
        }
    }

    fn space(list: Vec<Socket>) -> NetnsStock {
        let id = NetnsId::new(1).unwrap();
        NetnsStock {
            namespace: Namespace { id, name: Some("host".to_owned()), pid: None, path: "/nowhere".into() },
            config: Some(NetnsConfig {
                id,
                range: PortRange::new(40_000, 40_009).unwrap(),
                reserved: parse_reserved("40008").unwrap(),
                reserved_text: "40008".to_owned(),
                step_width: None,
            }),
            settings: Some(Settings::default()),
            counters: None,
            sockets: Some(Sockets { list, ..Sockets::default() }),
        }
    }

    #[test]
    fn live_ports_time_waits_listeners_and_reserved_ones_are_told_apart() {
        let there = Some((DB, 5432));
        let space = space(vec![
            socket(State::Established, 40_000, there),
            socket(State::TimeWait, 40_002, there),
            // Another destination's connection bars nothing of this pool.
            socket(State::Established, 40_004, Some((DB, 80))),
            // A bound socket does, and so does a listener.
            socket(State::Bound, 40_006, None),
            socket(State::Listen, 40_001, None),
            // A port that both a live socket and a TIME_WAIT of the pool hold is a live one.
            socket(State::TimeWait, 40_000, there),
        ]);
        let pools = space.pools(&PortSet::default()).unwrap();
        let pool = pools.connect.iter().find(|pool| pool.barred_ports.contains(40_000)).unwrap();
        let map = PortMap::of(&space, Some(pool)).unwrap();
        let ports = |set: &PortSet| set.iter().collect::<Vec<_>>();
        assert_eq!(ports(&map.barred), [40_000, 40_001, 40_002, 40_006]);
        assert_eq!(ports(&map.time_wait), [40_002]);
        assert_eq!(ports(&map.listening), [40_001]);
        assert_eq!(ports(&map.reserved), [40_008]);
        assert_eq!(map.first, Some(Parity::Even));
    }

    #[test]
    fn a_namespace_without_pools_has_an_empty_map() {
        let map = PortMap::of(&space(Vec::new()), None).unwrap();
        assert!(map.key.is_none() && map.barred.is_empty() && map.time_wait.is_empty());
        assert_eq!(map.reserved.count(), 1);
    }
}
