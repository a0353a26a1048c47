//! The rows of destinations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Row, table::Table};
use crate::{
    event::{Event, MonoNs, NetnsId, Port, Protocol, Site},
    stats::{Known, Occupancy, ratio::SECOND_NS, runs::Part},
};

/// How long the kernel's offset of a destination holds: `secure_ipv4_port_ephemeral` changes with it.
const EPOCH_S: u64 = 10;

/// Remote end, namespace and protocol, packed: the look-up is by three words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DestinationKey {
    addr: [u64; 2],
    /// Namespace (32 bits), port (16), protocol (8), family (8).
    rest: u64,
}

impl DestinationKey {
    /// A destination.
    #[must_use]
    #[inline]
    pub fn new(netns: Option<NetnsId>, protocol: Protocol, addr: IpAddr, port: Port) -> Self {
        let port = u64::from(port.get());
        let (addr, four) = match addr {
            IpAddr::V4(addr) => ([0, u64::from(addr.to_bits())], 1),
            IpAddr::V6(addr) => (halves(addr.to_bits()), 0),
        };
        let netns = u64::from(netns.map_or(0, NetnsId::get));
        Self { addr, rest: netns << 32 | port << 16 | u64::from(number(protocol)) << 8 | four }
    }

    /// The destination of an event; none without a remote address or port.
    #[must_use]
    #[inline]
    pub fn of(event: &Event) -> Option<Self> {
        let port = event.remote_port()?;
        Some(Self::new(event.netns(), event.protocol(), event.remote_addr()?, port))
    }

    /// Namespace; none where the events do not tell it.
    #[must_use]
    pub fn netns(&self) -> Option<NetnsId> {
        NetnsId::new(u32::try_from(self.rest >> 32).unwrap_or(0))
    }

    /// Protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        Protocol::of(u8::try_from(self.rest >> 8 & 0xff).unwrap_or(0))
    }

    /// Remote port.
    #[must_use]
    pub fn port(&self) -> Option<Port> {
        Port::new(u16::try_from(self.rest >> 16 & 0xffff).unwrap_or(0))
    }

    /// Remote address.
    #[must_use]
    pub fn addr(&self) -> IpAddr {
        let [high, low] = self.addr;
        if self.rest & 0xff == 1 {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(low).unwrap_or(0)))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)))
        }
    }
}

fn halves(bits: u128) -> [u64; 2] {
    [u64::try_from(bits >> 64).unwrap_or(0), u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)]
}

/// The IP protocol number.
const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::UdpLite => 136,
        Protocol::Icmp => 1,
        Protocol::Sctp => 132,
        Protocol::Dccp => 33,
        Protocol::Unknown(number) => number,
    }
}

/// One destination.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// Which.
    pub key: DestinationKey,
    /// Its numbers.
    pub row: &'a Row,
    /// Events that the row may have missed while the table had no room for it: at most this many.
    pub missed_at_most: u64,
}

/// The last epoch of a destination whose first choice was noted, plus 1; 0 for none.
type Epoch = u32;

/// What a row has only because it is a destination's.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    /// The last epoch whose first choice was noted.
    epoch: Epoch,
    /// How full its pool was when it was last looked at, and what its searches had met by then.
    looked: Option<(Occupancy, Known)>,
}

impl Reach {
    const fn of(epoch: Epoch) -> Self {
        Self { epoch, looked: None }
    }
}

/// The rows of destinations. Lost events have none: the rows are incomplete by as many.
#[derive(Clone, Debug)]
pub(in crate::stats) struct Destinations {
    table: Table<DestinationKey, Reach>,
    /// The epoch in which the part began, plus 1; 0 for the first part.
    begun: Epoch,
    /// Allocations that named no destination.
    without: u64,
}

impl Destinations {
    pub(in crate::stats) fn new(capacity: usize) -> Self {
        Self { table: Table::new(capacity), begun: 0, without: 0 }
    }

    /// Those of a part that begins at `at`.
    pub(in crate::stats) fn of_part(capacity: usize, at: MonoNs) -> Self {
        let epoch = at.0 / SECOND_NS / EPOCH_S;
        let begun = u32::try_from(epoch).unwrap_or(u32::MAX).saturating_add(1);
        Self { begun, ..Self::new(capacity) }
    }

    /// Takes allocations; whether the first of them is the first connect to its destination in an epoch of 10 s.
    ///
    /// A destination that is reached from several local addresses gives one first choice an epoch, not one for
    /// each address: fewer, and no less independent.
    pub(in crate::stats) fn allocate(&mut self, part: &Part<'_>) -> bool {
        let count = u64::from(part.count);
        let Some(key) = part.remote else {
            self.without += count;
            return false;
        };
        let epoch = u32::try_from(part.second / EPOCH_S).unwrap_or(u32::MAX).saturating_add(1);
        // A destination that comes back into a full table, or of an earlier part, may have had its first choice before.
        let begin = if self.table.floor() == 0 && self.begun < epoch { 0 } else { epoch };
        let connects = part.site == Site::Connect;
        let mut first = false;
        self.table.count(
            key,
            count,
            || Reach::of(begin),
            |entry| {
                entry.row.allocate(part);
                if connects && entry.extra.epoch < epoch {
                    entry.extra.epoch = epoch;
                    first = true;
                }
            },
        );
        first
    }

    pub(in crate::stats) fn release(&mut self, key: Option<DestinationKey>, event: &Event) {
        if let Some(entry) = key.and_then(|key| self.table.find_or_make(key, Reach::default)) {
            entry.row.release(event);
        }
    }

    /// Notes how full the pool of a destination is now: the collisions that each search since the last note was to expect,
    /// and what they met; none where there was no search, or nothing is known.
    pub(in crate::stats) fn occupied(&mut self, key: DestinationKey, now: Occupancy) -> Option<(f64, Known)> {
        let entry = self.table.find(&key)?;
        let met = entry.row.search().collisions;
        let looked = entry.extra.looked.replace((now, met));
        let since = met.since(looked.map_or_else(Known::default, |(_, known)| known));
        // Each has taken at most one port.
        let before = looked.map_or_else(|| now.before(since.searches), |(before, _)| before);
        (since.searches != 0).then_some(())?;
        Some((now.expected_since(before)?, since))
    }

    /// Keeps so many rows.
    pub(in crate::stats) fn condense(&mut self, rows: usize) {
        drop(self.table.condense(rows));
    }

    pub(in crate::stats) fn merge(&mut self, other: Self) {
        self.without += other.without;
        drop(self.table.merge(other.table, |mine, more| mine.epoch = mine.epoch.max(more.epoch)));
    }

    pub(in crate::stats) const fn floor(&self) -> u64 {
        self.table.floor()
    }

    pub(in crate::stats) const fn without(&self) -> u64 {
        self.without
    }

    /// The rows, the busiest first.
    pub(in crate::stats) fn list(&self) -> Vec<Destination<'_>> {
        let mut list: Vec<_> = self
            .table
            .entries()
            .iter()
            .map(|entry| Destination { key: entry.key, row: &entry.row, missed_at_most: entry.missed })
            .collect();
        list.sort_by_key(|one| (std::cmp::Reverse(one.row.allocations()), one.key.addr(), one.key.rest));
        list
    }

    pub(in crate::stats) fn find(&mut self, key: DestinationKey) -> Option<&Row> {
        self.table.find(&key).map(|entry| &entry.row)
    }
}
