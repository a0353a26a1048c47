//! Pools for bind(0), listen and autobind: one for each protocol and local address.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use rustc_hash::FxHashMap;

use super::{
    Pool, PoolKey, PortSet,
    fullest::greatest,
    holding::{Holding, Ports, Ranks},
};
use crate::{
    event::Protocol,
    stock::{PROTOCOLS, Socket},
};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The fullest pools, and how many there are.
pub(super) fn fullest(holding: &Holding<'_>, most: usize) -> (Vec<Pool>, usize) {
    let tallies: Vec<(u32, Reverse<PoolKey>)> =
        PROTOCOLS.into_iter().flat_map(|proto| tallies(holding, proto)).collect();
    let seen = tallies.len();
    let chosen: Vec<PoolKey> = greatest(tallies, most).into_iter().map(|(_, Reverse(key))| key).collect();
    let slots: FxHashMap<(Protocol, IpAddr), usize> =
        chosen.iter().map(|key| (key.proto(), key.laddr())).zip(0..).collect();
    let mut own: Vec<Vec<&Socket>> = vec![Vec::new(); chosen.len()];
    for socket in holding.ground.sockets {
        if let Some(list) =
            slots.get(&(socket.protocol, socket.local_addr)).and_then(|slot| own.get_mut(*slot))
        {
            list.push(socket);
        }
    }
    let wild: Vec<&Socket> = holding.ground.sockets.iter().filter(|one| one.is_wildcard()).collect();
    let mut ranks = Ranks::new();
    let pools = chosen.iter().zip(&own).map(|(key, own)| {
        ranks.forget();
        if key.laddr().is_unspecified() {
            make(holding, *key, holding.ground.sockets.iter(), &mut ranks)
        } else {
            let others = wild.iter().filter(|one| one.local_addr != key.laddr());
            make(holding, *key, own.iter().chain(others).copied(), &mut ranks)
        }
    });
    (pools.collect(), seen)
}

/// The pools of a protocol with their barred ports, counted without a bitmap for each.
fn tallies(holding: &Holding<'_>, proto: Protocol) -> Vec<(u32, Reverse<PoolKey>)> {
    let sockets = || {
        let of_proto = holding.ground.sockets.iter().filter(move |one| one.protocol == proto);
        of_proto.filter_map(|one| Some((one, holding.port(one)?)))
    };
    let ports_on = |laddr: IpAddr| -> PortSet {
        sockets().filter(|(one, _)| bars(one, laddr)).map(|(_, port)| port).collect()
    };
    let (all4, all6) = (ports_on(ANY4), ports_on(ANY6));
    let mut tallies = Vec::new();
    let mut tally = |laddr, barred| tallies.push((barred, Reverse(PoolKey::Bind { proto, laddr })));
    if !all4.is_empty() {
        tally(ANY4, all4.count());
    }
    // Without IPv6 it would only be the same once more.
    if all6 != all4 {
        tally(ANY6, all6.count());
    }
    let wild = |laddr: IpAddr| -> PortSet {
        let wild = sockets().filter(|(one, _)| one.is_wildcard() && bars(one, laddr));
        wild.map(|(_, port)| port).collect()
    };
    let (wild4, wild6) = (wild(Ipv4Addr::LOCALHOST.into()), wild(Ipv6Addr::LOCALHOST.into()));
    let wild = |laddr: IpAddr| if laddr.is_ipv4() { &wild4 } else { &wild6 };
    let mut places: FxHashMap<IpAddr, usize> = FxHashMap::default();
    let mut addresses: Vec<IpAddr> = Vec::new();
    // Places with ports: sorted, each counts once.
    let mut taken: Vec<(usize, u16)> = Vec::new();
    for (socket, port) in sockets().filter(|(one, _)| !one.is_wildcard()) {
        let laddr = socket.local_addr;
        if wild(laddr).contains(port) {
            continue;
        }
        let place = *places.entry(laddr).or_insert_with(|| {
            addresses.push(laddr);
            addresses.len().saturating_sub(1)
        });
        taken.push((place, port));
    }
    taken.sort_unstable();
    taken.dedup();
    for (ports, laddr) in taken.chunk_by(|one, other| one.0 == other.0).zip(addresses) {
        let own = u32::try_from(ports.len()).unwrap_or(u32::MAX);
        tally(laddr, wild(laddr).count().saturating_add(own));
    }
    tallies
}

/// Whether a socket bars its port to a bind to this address (`inet_rcv_saddr_equal`, `net/ipv4/inet_connection_sock.c`):
/// on the same address, on the wildcard, or for the wildcard.
fn bars(socket: &Socket, laddr: IpAddr) -> bool {
    match (socket.local_addr, laddr) {
        (own, laddr) if own == laddr || laddr == ANY6 => true,
        (IpAddr::V4(own), IpAddr::V4(_)) => own.is_unspecified() || laddr == ANY4,
        (IpAddr::V6(_), IpAddr::V4(_)) => socket.is_dual_wildcard(),
        (IpAddr::V6(own), IpAddr::V6(_)) => own.is_unspecified(),
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    }
}

fn make<'s>(
    holding: &Holding<'_>,
    key: PoolKey,
    sockets: impl Iterator<Item = &'s Socket>,
    ranks: &mut Ranks,
) -> Pool {
    let (mut barred, mut by_binds) = (PortSet::default(), holding.ground.binders.clone());
    let is_other = key.proto() != Protocol::Tcp;
    for socket in sockets.filter(|one| one.protocol == key.proto() && bars(one, key.laddr())) {
        let Some(port) = holding.port(socket) else { continue };
        barred.insert(port);
        ranks.note(port, socket.state);
        if is_other || socket.is_binder() {
            by_binds.insert(port);
        }
    }
    let ports = Ports { barred, by_binds, reusable: Some(PortSet::default()) };
    holding.pool(key, ports, |port| ranks.of(port))
}
