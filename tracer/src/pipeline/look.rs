//! A look at the stock while events are gathered: how full the pools are, and who holds those that are nearly full.
//!
//! At the end of a report the holders may be long gone: what counts is who had the ports when there were none left.

use std::{path::Path, sync::Arc};

use rustc_hash::FxHashMap;

use super::survey::barring;
use crate::{
    enrich::monotonic_now,
    event::{MonoNs, NetnsId},
    recording::{LookNote, MomentNote, PoolLook},
    stats::{DestinationKey, Half, Occupancy},
    stock::{
        self, Halves, Holders, Pool, PoolKey, Pools, PortSet, Socket, Stock, StockError, Wanted, WhichHolders,
    },
};

/// Share of its ports from which on a pool is remembered as it was.
const NEARLY_FULL: f64 = 0.9;
/// Pools whose holders one look asks for: each may have tens of thousands of sockets.
const MOST_MOMENTS: usize = 4;
/// Pools that are remembered.
const MOST_KEPT: usize = 16;

/// A pool at a moment when it was nearly full, and who had its ports.
#[derive(Debug)]
pub struct Moment {
    /// The namespace.
    pub netns: NetnsId,
    /// When.
    pub at: MonoNs,
    /// The pool.
    pub pool: Pool,
    /// The sockets behind its barred ports.
    pub sockets: Vec<Socket>,
    /// The processes that had them.
    pub holders: Arc<Holders>,
}

/// A pool of a namespace.
pub(super) type Key = (NetnsId, PoolKey);

/// How full pools were at most, as far as it was looked.
#[derive(Clone, Debug, Default)]
pub struct Peaks {
    barred: FxHashMap<Key, u32>,
    moments: FxHashMap<Key, Arc<Moment>>,
}

impl Peaks {
    /// Most ports of a pool barred at once.
    #[must_use]
    pub fn barred(&self, netns: NetnsId, key: &PoolKey) -> u32 {
        self.barred.get(&(netns, *key)).copied().unwrap_or(0)
    }

    /// The pools of a namespace that were nearly full, each at its fullest.
    pub fn moments(&self, netns: NetnsId) -> impl Iterator<Item = &Arc<Moment>> {
        self.moments.values().filter(move |moment| moment.netns == netns)
    }

    /// All of them.
    pub(super) fn all_moments(&self) -> impl Iterator<Item = &Arc<Moment>> {
        self.moments.values()
    }

    /// Takes in what one look found.
    pub(super) fn raise(&mut self, look: &Look) {
        for pool in &look.pools {
            let most = self.barred.entry((pool.netns, pool.key)).or_insert(0);
            *most = (*most).max(pool.barred);
        }
        look.moments.iter().for_each(|moment| self.remember(moment));
    }

    /// Takes in those of another part of the time.
    pub(super) fn merge(&mut self, other: &Self) {
        for (key, barred) in &other.barred {
            let most = self.barred.entry(*key).or_insert(0);
            *most = (*most).max(*barred);
        }
        other.moments.values().for_each(|moment| self.remember(moment));
    }

    /// Keeps a moment if it is the fullest of its pool, and there is room.
    fn remember(&mut self, moment: &Arc<Moment>) {
        let key = (moment.netns, moment.pool.key);
        let is_fuller = self.fullest(&key).is_none_or(|most| moment.pool.barred > most);
        if is_fuller && (self.moments.len() < MOST_KEPT || self.moments.contains_key(&key)) {
            self.moments.insert(key, Arc::clone(moment));
        }
    }

    fn fullest(&self, key: &Key) -> Option<u32> {
        self.moments.get(key).map(|moment| moment.pool.barred)
    }
}

/// What one look at the stock found.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When it began.
    pub(super) at: MonoNs,
    /// How full the pools were.
    pub(super) pools: Vec<PoolLook>,
    /// No pool was left out.
    pub(super) all: bool,
    /// Pools that were nearly full.
    pub(super) moments: Vec<Arc<Moment>>,
    /// What it looked at.
    pub(super) stock: Option<Stock>,
}

impl Look {
    /// Looks. Namespaces are entered: not on a thread that must not wait. Pools that were as full before, in all of
    /// these, are not looked at more closely again.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub(super) fn take(proc_root: &Path, before: &[Peaks]) -> Result<Self, StockError> {
        let at = monotonic_now();
        let stock = Stock::take(proc_root, &Wanted::default())?;
        let mut look = Self { at, pools: Vec::new(), all: true, moments: Vec::new(), stock: None };
        let mut fuller = Vec::new();
        for space in &stock.spaces {
            let netns = space.namespace.id;
            let Some(pools) = space.pools(&PortSet::default()) else {
                look.all = false;
                continue;
            };
            look.all &= pools.is_all();
            let Pools { connect, bind, .. } = pools;
            for pool in connect.into_iter().chain(bind) {
                let key = (netns, pool.key);
                let Pool { key: of, barred, halves, .. } = pool;
                look.pools.push(PoolLook { netns, key: of, barred, share: share(&pool), halves });
                let is_new = before.iter().any(|one| one.fullest(&key).is_none_or(|most| pool.barred > most));
                if is_new && pool.utilisation().is_some_and(|share| share >= NEARLY_FULL) {
                    fuller.push((netns, barring(&pool, space.list()), pool));
                }
            }
        }
        fuller.truncate(MOST_MOMENTS);
        let inodes = fuller.iter().flat_map(|(_, sockets, _)| sockets).filter_map(|socket| socket.inode);
        let holders = Arc::new(Holders::of(proc_root, inodes, WhichHolders::First)?);
        look.moments = fuller
            .into_iter()
            .map(|(netns, sockets, pool)| {
                Arc::new(Moment { netns, at, pool, sockets, holders: Arc::clone(&holders) })
            })
            .collect();
        look.stock = Some(stock);
        Ok(look)
    }

    /// The utilisation of the pools.
    pub(super) fn shares(&self) -> impl Iterator<Item = (Key, f32)> {
        self.pools.iter().filter_map(|pool| Some(((pool.netns, pool.key), pool.share?)))
    }

    /// How full the pools of connects are by which searches go in halves. None of a destination that is reached from several
    /// local addresses: what was counted for it does not tell from which.
    pub(super) fn occupancies(&self) -> impl Iterator<Item = (DestinationKey, Occupancy)> {
        let mut found: FxHashMap<_, Option<Occupancy>> = FxHashMap::default();
        for PoolLook { netns, key, halves, .. } in &self.pools {
            if let PoolKey::Connect { proto, raddr, rport, .. } = *key {
                let key = DestinationKey::new(Some(*netns), proto, raddr, rport);
                found.entry(key).and_modify(|one| *one = None).or_insert_with(|| halves.map(occupancy));
            }
        }
        found.into_iter().filter_map(|(key, now)| Some((key, now?)))
    }

    /// The look as it is recorded, with these moments.
    pub(super) fn note(&self, moments: Vec<MomentNote>) -> LookNote {
        LookNote { at: self.at, all: self.all, pools: self.pools.clone(), gone: Vec::new(), moments }
    }
}

impl From<LookNote> for Look {
    fn from(note: LookNote) -> Self {
        let moments = note.moments.into_iter().map(|note| Arc::new(note.into())).collect();
        Self { at: note.at, pools: note.pools, all: note.all, moments, stock: None }
    }
}

impl Moment {
    /// Which pool.
    pub(super) fn key(&self) -> Key {
        (self.netns, self.pool.key)
    }

    /// The moment as it is recorded.
    pub(super) fn note(&self) -> MomentNote {
        let Self { netns, at, pool, sockets, holders } = self;
        let mine: Vec<_> = sockets.iter().filter_map(|socket| socket.inode).collect();
        MomentNote {
            netns: *netns,
            at: *at,
            pool: pool.clone(),
            sockets: sockets.clone(),
            holders: holders.only(&mine),
        }
    }
}

impl From<MomentNote> for Moment {
    fn from(note: MomentNote) -> Self {
        let MomentNote { netns, at, pool, sockets, holders } = note;
        Self { netns, at, pool, sockets, holders: Arc::new(holders) }
    }
}

/// How full the halves are, in the order in which a search takes them.
fn occupancy(halves: Halves) -> Occupancy {
    let half = |half: stock::Half| Half { ports: half.of, barred: half.barred };
    Occupancy { first: half(halves.first_half()), other: half(halves.second_half()) }
}

/// The utilisation of a pool; none where it can have no port.
#[expect(clippy::cast_possible_truncation, reason = "a share of at most 65,536 ports")]
pub(super) fn share(pool: &Pool) -> Option<f32> {
    pool.utilisation().map(|share| share as f32)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{
        event::{PortRange, Protocol},
        stock::Held,
    };

    fn look(barred: u32) -> Look {
        let key = PoolKey::Bind { proto: Protocol::Udp, laddr: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let pool = Pool {
            key,
            range: PortRange::new(40_000, 40_009).unwrap(),
            effective: 10,
            barred,
            barred_by_binds: 0,
            held: Held::default(),
            reusable_time_wait: Some(0),
            halves: None,
            barred_ports: PortSet::default(),
        };
        let netns = NetnsId::new(7).unwrap();
        let holders = Arc::new(Holders::default());
        let at = MonoNs(u64::from(barred));
        let moment = Arc::new(Moment { netns, at, pool, sockets: Vec::new(), holders });
        let pools = vec![PoolLook { netns, key, barred, share: None, halves: None }];
        Look { at, pools, all: true, moments: vec![moment], stock: None }
    }

    #[test]
    fn the_fullest_moment_of_a_pool_is_kept() {
        let mut peaks = Peaks::default();
        for barred in [9, 10, 9] {
            peaks.raise(&look(barred));
        }
        let netns = NetnsId::new(7).unwrap();
        let kept: Vec<_> = peaks.moments(netns).map(|moment| moment.at).collect();
        assert_eq!(kept, [MonoNs(10)]);
        assert_eq!(peaks.barred(netns, &look(0).moments[0].pool.key), 10);
        assert_eq!(peaks.moments(NetnsId::new(8).unwrap()).count(), 0);
    }

    #[test]
    fn peaks_of_two_parts_are_the_fuller_of_each() {
        let of = |barred| {
            let mut peaks = Peaks::default();
            peaks.raise(&look(barred));
            peaks
        };
        let (netns, key) = (NetnsId::new(7).unwrap(), look(0).moments[0].pool.key);
        for (one, other) in [(9, 10), (10, 9)] {
            let mut both = of(one);
            both.merge(&of(other));
            assert_eq!(both.barred(netns, &key), 10);
            assert_eq!(both.moments(netns).map(|moment| moment.at).collect::<Vec<_>>(), [MonoNs(10)]);
        }
    }
}
