//! Who has which port, and the order in which Linux looks for one.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::{Pool, Settings, Way};

const PORTS: usize = 1 << 16;
/// Candidates of connects are two apart: the parity stays.
const STEP: u32 = 2;

/// A socket, or what is left of it, on a port.
#[derive(Clone, Copy, Debug)]
struct Holder {
    id: u64,
    pool: Pool,
    /// A bind bars the port to everybody.
    bound: bool,
    /// Since when it is a TIME_WAIT.
    waits_since: Option<u64>,
}

/// The ports of a namespace and protocol.
#[derive(Debug)]
pub(super) struct Table {
    held: Vec<Vec<Holder>>,
    /// Ports that the pool itself has, by pool; those of binds, by local address.
    own: FxHashMap<Pool, u32>,
    bound: u32,
    users: FxHashMap<IpAddr, u32>,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The port; none where there was none.
    pub(super) port: Option<u16>,
    /// Ports that it looked at.
    pub(super) candidates: u32,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            held: vec![Vec::new(); PORTS],
            own: FxHashMap::default(),
            bound: 0,
            users: FxHashMap::default(),
        }
    }

    fn at(&self, port: u16) -> &[Holder] {
        self.held.get(usize::from(port)).map_or(&[], Vec::as_slice)
    }

    /// Whether a pool can be given a port now.
    fn is_free(&self, port: u16, pool: &Pool, now: u64, settings: &Settings) -> bool {
        let holders = self.at(port);
        match pool.remote {
            Some(_) => holders.iter().all(|one| {
                let gives_way =
                    one.waits_since.is_some_and(|since| may_take_over(pool, since, now, settings));
                !one.bound && (one.pool != *pool || gives_way)
            }),
            None => holders.iter().all(|one| !meet(one.pool.local, pool.local)),
        }
    }

    /// Gives a port to a pool. A TIME_WAIT of the same 4-tuple is taken over.
    pub(super) fn take(&mut self, port: u16, pool: Pool, id: u64) {
        let bound = pool.remote.is_none();
        let taken_over = self.at(port).iter().find(|one| one.pool == pool && one.waits_since.is_some());
        if let Some(old) = taken_over.map(|one| one.id) {
            self.free(port, old);
        }
        if let Some(holders) = self.held.get_mut(usize::from(port)) {
            holders.push(Holder { id, pool, bound, waits_since: None });
        }
        *self.own.entry(pool).or_default() += 1;
        *self.users.entry(pool.local).or_default() += 1;
        self.bound += u32::from(bound);
    }

    /// What a socket leaves behind is a TIME_WAIT. Whether the socket was still there.
    pub(super) fn begin_time_wait(&mut self, port: u16, id: u64, now: u64) -> bool {
        let holders = self.held.get_mut(usize::from(port));
        let holder = holders.and_then(|holders| holders.iter_mut().find(|one| one.id == id));
        holder.map(|one| one.waits_since = Some(now)).is_some()
    }

    /// A socket, or its TIME_WAIT, is gone; it may have been taken over before.
    pub(super) fn free(&mut self, port: u16, id: u64) -> Option<Pool> {
        let holders = self.held.get_mut(usize::from(port))?;
        let gone = holders.remove(holders.iter().position(|one| one.id == id)?);
        let less =
            |count: Option<&mut u32>| count.into_iter().for_each(|count| *count = count.saturating_sub(1));
        less(self.own.get_mut(&gone.pool));
        less(self.users.get_mut(&gone.pool.local));
        self.bound -= u32::from(gone.bound);
        Some(gone.pool)
    }

    /// Ports that a pool cannot use. Of binds: sockets that stand in the way, which is more where they share ports.
    pub(super) fn barred(&self, pool: &Pool) -> u32 {
        let of = |local: &IpAddr| self.users.get(local).copied().unwrap_or(0);
        match pool.remote {
            Some(_) => self.own.get(pool).copied().unwrap_or(0) + self.bound,
            None => self.users.keys().filter(|local| meet(**local, pool.local)).map(of).sum(),
        }
    }

    /// Looks for a port as the kernel does from this offset.
    pub(super) fn search(
        &self,
        way: Way,
        pool: &Pool,
        settings: &Settings,
        offset: u32,
        now: u64,
    ) -> (Found, u32) {
        let [low, high] = settings.range.map(u32::from);
        let behind = high + 1;
        let all = behind.saturating_sub(low);
        // An odd one out is never reached by pairs, but where it is alone.
        let rem = if all > 1 && way != Way::Datagram { all & !1 } else { all };
        let mut candidates = 0;
        let passes = match way {
            // The parity of the low end, then the other.
            Way::Connect => [(offset % rem.max(1)) & !1, ((offset % rem.max(1)) & !1) + 1],
            Way::Bind => [(offset % rem.max(1)) | 1, ((offset % rem.max(1)) | 1) - 1],
            Way::Datagram => [offset % rem.max(1), 0],
        };
        let (step, passes) = match way {
            Way::Datagram => (1, passes.get(..1).unwrap_or_default()),
            Way::Connect | Way::Bind => (STEP, passes.as_slice()),
        };
        for begin in passes {
            let mut port = low + begin;
            let mut walked = 0;
            while walked < rem {
                if port >= behind {
                    port -= rem;
                }
                let this = u16::try_from(port).unwrap_or(u16::MAX);
                candidates += 1;
                if !settings.reserved.contains(this) && self.is_free(this, pool, now, settings) {
                    return (Found { port: Some(this), candidates }, walked);
                }
                walked += step;
                port += step;
            }
        }
        (Found { port: None, candidates }, 0)
    }
}

/// Whether sockets of these addresses are in each other's way.
fn meet(one: IpAddr, other: IpAddr) -> bool {
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// Whether a connect may take over a TIME_WAIT of its 4-tuple.
fn may_take_over(pool: &Pool, since: u64, now: u64, settings: &Settings) -> bool {
    let is_loopback = pool.local.is_loopback() || pool.remote.is_some_and(|remote| remote.ip().is_loopback());
    let applies = match settings.reuse {
        1 => true,
        2 => is_loopback,
        _ => false,
    };
    applies && settings.timestamps && now > since.saturating_add(settings.reuse_after_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(remote: Option<&str>) -> Pool {
        let remote = remote.map(|remote| remote.parse().unwrap());
        Pool { netns: 1, datagram: false, local: "127.0.0.1".parse().unwrap(), remote }
    }

    fn settings(range: [u16; 2]) -> Settings {
        Settings { range, ..Settings::default() }
    }

    #[test]
    fn a_connect_takes_the_parity_of_the_low_end_first_and_a_bind_the_other() {
        let (mut table, range) = (Table::new(), settings([40_000, 40_007]));
        let to = pool(Some("127.0.0.1:80"));
        let mut ports = Vec::new();
        for id in 0..8 {
            let (found, _) = table.search(Way::Connect, &to, &range, 3, 0);
            ports.push(found.port.unwrap());
            table.take(found.port.unwrap(), to, id);
        }
        assert_eq!(ports, [40_002, 40_004, 40_006, 40_000, 40_003, 40_005, 40_007, 40_001]);
        let (found, _) = table.search(Way::Connect, &to, &range, 3, 0);
        assert_eq!(found, Found { port: None, candidates: 8 });
        let other = pool(Some("127.0.0.1:81"));
        assert!(table.search(Way::Connect, &other, &range, 0, 0).0.port.is_some());
        assert_eq!(table.search(Way::Bind, &pool(None), &range, 0, 0).0.port, None);
        let odd = Table::new().search(Way::Bind, &pool(None), &range, 0, 0).0;
        assert_eq!(odd, Found { port: Some(40_001), candidates: 1 });
    }

    #[test]
    fn reserved_ports_are_skipped_and_bound_ones_bar_every_connect() {
        let mut range = settings([40_000, 40_003]);
        range.reserved = crate::event::Reserved::from_ports([40_000]);
        let mut table = Table::new();
        table.take(40_002, pool(None), 1);
        let to = pool(Some("10.0.0.1:80"));
        let (found, _) = table.search(Way::Connect, &to, &range, 0, 0);
        assert_eq!(found, Found { port: Some(40_001), candidates: 3 });
        assert_eq!((table.barred(&to), range.effective()), (1, 3));
    }

    #[test]
    fn a_time_wait_is_taken_over_where_that_is_allowed_and_old_enough() {
        let mut table = Table::new();
        let to = pool(Some("127.0.0.1:80"));
        table.take(40_000, to, 1);
        assert!(table.begin_time_wait(40_000, 1, 10));
        let mut range = settings([40_000, 40_000]);
        let port =
            |table: &Table, range: &Settings, now| table.search(Way::Connect, &to, range, 0, now).0.port;
        assert_eq!(port(&table, &range, 1_000_010), None);
        assert_eq!(port(&table, &range, 1_000_011), Some(40_000));
        range.reuse = 0;
        assert_eq!(port(&table, &range, 9_000_000), None);
        table.take(40_000, to, 2);
        assert_eq!((table.free(40_000, 1), table.free(40_000, 2)), (None, Some(to)));
        assert_eq!(table.barred(&to), 0);
    }
}
