//! Pools for connect: one for each local address and destination.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

use super::{
    Blocking, Pool, PoolKey, PortSet, ReuseRule,
    fullest::greatest,
    holding::{Holding, Ports, Ranks},
};
use crate::{event::Protocol, stock::Socket};

/// What is counted of every pool, before any is made.
struct Tally {
    key: PoolKey,
    /// Ports that its own connections bar, beside those that bind()ers do.
    barred: u32,
    /// TIME_WAITs that may be reused.
    reusable: u32,
}

/// The fullest pools, and how many there are.
pub(super) fn fullest(holding: &Holding<'_>, most: usize) -> (Vec<Pool>, usize) {
    let rule = ReuseRule::of(holding.ground.settings);
    let mut places: FxHashMap<PoolKey, usize> = FxHashMap::default();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut members: Vec<(usize, &Socket)> = Vec::new();
    // Places with ports: a dump may have a connection twice, its port counts once.
    let mut barred: Vec<(usize, u16)> = Vec::new();
    for socket in holding.ground.sockets {
        let Some((key, port)) = membership(holding, socket) else { continue };
        let place = *places.entry(key).or_insert_with(|| {
            tallies.push(Tally { key, barred: 0, reusable: 0 });
            tallies.len().saturating_sub(1)
        });
        members.push((place, socket));
        if holding.bound.contains(port) {
            continue;
        }
        match (rule.judge(socket), tallies.get_mut(place)) {
            (Blocking::Reusable, Some(tally)) => tally.reusable = tally.reusable.saturating_add(1),
            _ => barred.push((place, port)),
        }
    }
    barred.sort_unstable();
    barred.dedup();
    for (place, _) in barred {
        if let Some(tally) = tallies.get_mut(place) {
            tally.barred = tally.barred.saturating_add(1);
        }
    }
    let ranked = tallies.iter().zip(0_usize..);
    let ranked = ranked.map(|(one, place)| (one.barred, one.reusable, Reverse(one.key), place));
    let chosen: Vec<(PoolKey, usize)> =
        greatest(ranked, most).into_iter().map(|(_, _, Reverse(key), place)| (key, place)).collect();
    let slots: FxHashMap<usize, usize> = chosen.iter().map(|(_, place)| *place).zip(0..).collect();
    let mut sockets: Vec<Vec<&Socket>> = vec![Vec::new(); chosen.len()];
    for (place, socket) in members {
        if let Some(list) = slots.get(&place).and_then(|slot| sockets.get_mut(*slot)) {
            list.push(socket);
        }
    }
    let mut ranks = Ranks::new();
    let pools = chosen.iter().zip(&sockets).map(|((key, _), sockets)| {
        ranks.forget();
        make(holding, rule, *key, sockets, &mut ranks)
    });
    (pools.collect(), tallies.len())
}

/// The pool that a connection belongs to, and its port: one whose port this end was given by connect.
///
/// A port outside of the range was not, nor one that somebody listens on: that connection was accepted.
fn membership(holding: &Holding<'_>, socket: &Socket) -> Option<(PoolKey, u16)> {
    if !socket.state.may_have_connected(socket.protocol) {
        return None;
    }
    let port = holding.port(socket).filter(|port| !holding.listened.contains(*port))?;
    let key = PoolKey::Connect {
        proto: Protocol::Tcp,
        laddr: socket.local_addr,
        raddr: socket.remote_addr,
        rport: socket.remote_port?,
    };
    Some((key, port))
}

fn make(
    holding: &Holding<'_>,
    rule: ReuseRule,
    key: PoolKey,
    sockets: &[&Socket],
    ranks: &mut Ranks,
) -> Pool {
    let (mut barred, mut reusable, mut is_known) = (holding.bound.clone(), PortSet::default(), true);
    for socket in sockets {
        let Some(port) = holding.port(socket) else { continue };
        ranks.note(port, socket.state);
        let judged = rule.judge(socket);
        is_known &= judged != Blocking::Unknown;
        match judged {
            Blocking::Reusable => reusable.insert(port),
            Blocking::Blocks | Blocking::Unknown => barred.insert(port),
        };
    }
    let ports = Ports { barred, by_binds: holding.bound.clone(), reusable: is_known.then_some(reusable) };
    let ranks = &*ranks;
    holding.pool(key, ports, |port| ranks.of(port).or_else(|| holding.tcp.of(port)))
}
