//! The pools of a case, and what the flow tells of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Case, Flow, HeldPools, Holding, Refusal, place::Place, wording};
use crate::{
    event::{Cause, Errno, MonoNs, NetnsId, Port, Protocol, Site},
    stats::{Destination, Row, Searched, TIME_WAIT_NS, TimeWaits},
    stock::{Blocking, NetnsStock, Pool, PoolKey, PortSet, ReuseRule, Socket, State},
};

/// A pool as it was seen.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) netns: NetnsId,
    pub(super) pool: &'a Pool,
    /// Most ports barred at once, as far as it was looked.
    pub(super) peak: u32,
    pub(super) holders: &'a [Holding],
    /// When it was so; none for now.
    pub(super) then: Option<MonoNs>,
    /// Its barred ports that only the flow tells of.
    pub(super) unlisted: u32,
}

impl Seen<'_> {
    /// Its most barred ports ÷ its ports.
    pub(super) fn peak_share(&self) -> Option<f64> {
        wording::share(self.peak.into(), self.pool.effective.into())
    }

    /// Ports in a TIME_WAIT that bars them.
    pub(super) fn blocking_time_waits(&self) -> u32 {
        self.pool.held.of(State::TimeWait).saturating_sub(self.pool.reusable_time_wait.unwrap_or(0))
    }
}

/// All pools.
pub(super) fn pools<'a>(case: &Case<'a>) -> impl Iterator<Item = Seen<'a>> {
    let seen = |held: &'a HeldPools| {
        let netns = held.netns;
        held.iter().map(move |(pool, peak, holders)| Seen {
            netns,
            pool,
            peak,
            holders,
            then: None,
            unlisted: 0,
        })
    };
    case.pools.iter().flat_map(seen)
}

/// The fullest pool, by its most barred ports.
pub(super) fn fullest<'a>(case: &Case<'a>) -> Option<Seen<'a>> {
    let share = |seen: &Seen<'_>| seen.peak_share().unwrap_or(0.0);
    // Of equals the first: pools for connect come before those for bind.
    pools(case).reduce(|most, one| if share(&one) > share(&most) { one } else { most })
}

/// Failures for want of a port.
///
/// The cause says so. A connect without a local address never came to its search: it found no source address.
#[must_use]
pub fn is_exhaustion(refusal: &Refusal) -> bool {
    refusal.cause == Some(Cause::Exhausted) && refusal.count > 0 && !lacks_source(refusal)
}

/// A connect that failed before it had a local address.
pub(super) fn lacks_source(refusal: &Refusal) -> bool {
    refusal.site == Site::Connect
        && refusal.errno == Some(Errno::EADDRNOTAVAIL)
        && refusal.laddr.is_some_and(|addr| addr.is_unspecified())
}

/// The pool that a refusal is about; none where its ends are not known.
#[must_use]
pub fn key_of(refusal: &Refusal) -> Option<PoolKey> {
    let proto = refusal.proto;
    match (refusal.site, refusal.laddr, refusal.raddr, refusal.rport) {
        (Site::Connect, laddr, raddr, rport) if proto == Protocol::Tcp => {
            Some(PoolKey::Connect { proto, laddr: laddr?, raddr: raddr?, rport: rport? })
        }
        (_, Some(laddr), ..) => Some(PoolKey::Bind { proto, laddr }),
        (_, None, raddr, _) => {
            let v6 = raddr.is_some_and(|addr| addr.is_ipv6());
            let any4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            Some(PoolKey::Bind { proto, laddr: if v6 { Ipv6Addr::UNSPECIFIED.into() } else { any4 } })
        }
    }
}

/// The pool of this key.
pub(super) fn pool_of<'a>(case: &Case<'a>, netns: Option<NetnsId>, key: &PoolKey) -> Option<Seen<'a>> {
    let netns = netns_of(case, netns);
    pools(case).find(|seen| Some(seen.netns) == netns && seen.pool.key == *key)
}

/// The namespace, or the one that is meant where none is named.
fn netns_of(case: &Case<'_>, netns: Option<NetnsId>) -> Option<NetnsId> {
    netns.or_else(|| Place::of(case, None).map(|place| place.id()))
}

/// The pool of this key when it was fullest, which may be now.
pub(super) fn worst_of<'a>(case: &Case<'a>, netns: Option<NetnsId>, key: &PoolKey) -> Option<Seen<'a>> {
    let now = pool_of(case, netns, key);
    let netns = netns_of(case, netns);
    let held = case.pools.iter().find(|held| Some(held.netns) == netns)?;
    let worst = held.worst.iter().find(|worst| worst.pool.key == *key).map(|worst| Seen {
        netns: held.netns,
        pool: &worst.pool,
        peak: worst.pool.barred,
        holders: &worst.holders,
        then: Some(worst.at),
        unlisted: worst.unlisted,
    });
    let barred = |seen: &Option<Seen<'_>>| seen.map_or(0, |seen| seen.pool.barred);
    if barred(&worst) > barred(&now) { worst } else { now }
}

/// Whether the kernel lists no sockets of a namespace that are bound and nothing else.
pub(super) fn bound_untold(case: &Case<'_>, netns: NetnsId) -> bool {
    let sockets = case.stock.space(netns).and_then(|space| space.sockets.as_ref());
    sockets.is_some_and(|sockets| sockets.bound_untold)
}

/// The row of a destination, if its pool is the only one to there: a row knows no local address.
pub(super) fn row_of<'a>(case: &Case<'_>, rows: &[Destination<'a>], seen: &Seen<'_>) -> Option<&'a Row> {
    let PoolKey::Connect { raddr, rport, .. } = seen.pool.key else { return None };
    let same_end = |key: &PoolKey| matches!(key, PoolKey::Connect { raddr: addr, rport: port, .. } if (*addr, *port) == (raddr, rport));
    let alone = pools(case).filter(|one| one.netns == seen.netns && same_end(&one.pool.key)).count() == 1;
    row_to(rows, seen).filter(|_| alone)
}

/// The row of the destination of a pool: of all pools to there.
pub(super) fn row_to<'a>(rows: &[Destination<'a>], seen: &Seen<'_>) -> Option<&'a Row> {
    let PoolKey::Connect { proto, raddr, rport, .. } = seen.pool.key else { return None };
    let is = |row: &&Destination<'_>| {
        let key = &row.key;
        key.netns().is_none_or(|netns| netns == seen.netns)
            && (key.addr(), key.port(), key.protocol()) == (raddr, Some(rport), proto)
    };
    rows.iter().find(is).map(|one| one.row)
}

/// The searches of a pool that had crossed to the other half, or those that had not; none where they cannot be told
/// from those of other pools.
pub(super) fn searched(
    case: &Case<'_>,
    flow: &Flow<'_>,
    rows: &[Destination<'_>],
    seen: &Seen<'_>,
    crossed: bool,
) -> Option<Searched> {
    if let Some(row) = row_of(case, rows, seen) {
        return Some(row.searched(crossed));
    }
    is_only_bind_pool(case, seen).then(|| flow.stats.searched(Site::Bind, crossed))
}

/// Whether all binds of TCP are this pool's: they have no rows by address.
pub(super) fn is_only_bind_pool(case: &Case<'_>, seen: &Seen<'_>) -> bool {
    let is_bind = |one: &Seen<'_>| matches!(one.pool.key, PoolKey::Bind { proto: Protocol::Tcp, laddr } if !laddr.is_unspecified());
    is_bind(seen) && pools(case).filter(is_bind).count() == 1
}

/// Length of the window in nanoseconds.
pub(super) const fn window_ns(flow: &Flow<'_>) -> u64 {
    flow.at.since(flow.start)
}

/// Allocations per second that succeeded.
pub(super) fn given_per_s(flow: &Flow<'_>, row: &Row) -> Option<f64> {
    let given = row.allocations().checked_sub(row.failures())?;
    wording::share(given, window_ns(flow)).map(|per_ns| per_ns * 1e9)
}

/// The sockets that belong to a pool for connect.
pub(super) fn members<'a>(
    space: &'a NetnsStock,
    pool: &'a Pool,
) -> impl Iterator<Item = &'a Socket> + use<'a> {
    between(space, pool.key)
        .filter(move |socket| socket.local_port.is_some_and(|port| pool.range.contains(port.get())))
}

/// The sockets between the ends of a pool for connect.
fn between(space: &NetnsStock, key: PoolKey) -> impl Iterator<Item = &Socket> {
    let is_connect = matches!(key, PoolKey::Connect { .. });
    space
        .list()
        .iter()
        .filter(move |socket| is_connect && socket.protocol == key.proto() && key.takes_in(socket))
}

/// The sockets that go where a pool for connect does, from whichever local address.
pub(super) fn toward<'a>(
    space: &'a NetnsStock,
    pool: &'a Pool,
) -> impl Iterator<Item = &'a Socket> + use<'a> {
    let there = match pool.key {
        PoolKey::Connect { proto, raddr, rport, .. } => Some((proto, raddr, Some(rport))),
        PoolKey::Bind { .. } => None,
    };
    let all = space.list().iter();
    all.filter(move |one| Some((one.protocol, one.remote_addr, one.remote_port)) == there)
        .filter(move |one| one.local_port.is_some_and(|port| pool.range.contains(port.get())))
}

/// Nanoseconds until each TIME_WAIT of a pool ends.
pub(super) fn due_ns(case: &Case<'_>, seen: &Seen<'_>) -> Vec<u64> {
    let space = case.stock.space(seen.netns);
    space.map(|space| left_ns(members(space, seen.pool)).collect()).unwrap_or_default()
}

fn left_ns<'a>(sockets: impl Iterator<Item = &'a Socket>) -> impl Iterator<Item = u64> {
    sockets
        .filter(|socket| socket.state == State::TimeWait)
        .filter_map(|socket| Some(u64::from(socket.time_left_ms?.get()) * 1_000_000))
}

/// The TIME_WAITs to the destination of a pool that began within the window: connections that no release has told of
/// yet.
pub(super) fn waiting(case: &Case<'_>, flow: &Flow<'_>, seen: &Seen<'_>) -> TimeWaits {
    let window = window_ns(flow);
    let sockets = case.stock.space(seen.netns).into_iter().flat_map(|space| toward(space, seen.pool));
    let ages = left_ns(sockets).map(|left| TIME_WAIT_NS.saturating_sub(left));
    ages.filter(|age| *age < window).fold(TimeWaits::default(), |sum, age| TimeWaits {
        count: sum.count.saturating_add(1),
        age_ns: sum.age_ns.saturating_add(u128::from(age)),
    })
}

/// Ports of a pool for connect that were barred at the beginning; none where that is not known.
pub(super) fn barred_before(case: &Case<'_>, seen: &Seen<'_>) -> Option<u32> {
    let is_connect = matches!(seen.pool.key, PoolKey::Connect { .. });
    barred_in(case.before?.space(seen.netns)?, seen.pool.key).filter(|_| is_connect)
}

/// Ports that are free now in a pool, which need not be among the fullest.
pub(super) fn free_in(case: &Case<'_>, netns: Option<NetnsId>, key: &PoolKey) -> Option<u32> {
    if let Some(seen) = pool_of(case, netns, key) {
        return Some(seen.pool.free());
    }
    let space = Place::of(case, netns)?.space;
    space.config.as_ref()?.effective().checked_sub(barred_in(space, *key)?)
}

/// Ports of a pool that are barred, by one walk of the sockets, where all pools would have to be made for the sake
/// of one.
fn barred_in(space: &NetnsStock, key: PoolKey) -> Option<u32> {
    let (sockets, config, settings) =
        (space.sockets.as_ref()?, space.config.as_ref()?, space.settings.as_ref()?);
    let of_proto = || sockets.list.iter().filter(|one| one.protocol == key.proto());
    let barring: Vec<&Socket> = match key {
        PoolKey::Connect { .. } => {
            let rule = ReuseRule::of(settings);
            let own = between(space, key).filter(|one| rule.judge(one) != Blocking::Reusable);
            of_proto().filter(|one| one.is_binder()).chain(own).collect()
        }
        PoolKey::Bind { .. } => of_proto().filter(|one| key.takes_in(one)).collect(),
    };
    let barred: PortSet = barring.iter().filter_map(|one| one.local_port).map(Port::get).collect();
    Some(barred.and(&PortSet::effective(config.range, &config.reserved)).count())
}
