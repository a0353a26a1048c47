//! Each port of a network namespace and protocol: how often, and when last.

use std::net::IpAddr;

use super::{ProcessKey, runs::Trail};
use crate::event::{Event, MonoNs, NetnsId, Pid, Protocol, StartTime};

const PORTS: usize = 65_536;

/// What is known of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Index of its last allocation, 0 for none yet.
    last: u32,
    uses: u32,
    /// First choices of an epoch.
    firsts: u32,
    /// Who was last given it, as an [`Owner`].
    owner: [u32; 3],
}

/// Uses, and first choices of an epoch.
type Uses = [u32; 2];

/// The ports of one namespace and protocol. 1.5 MiB while it is counted, as much as is known of its ports at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    netns: Option<NetnsId>,
    protocol: Protocol,
    /// Successful allocations.
    given: u64,
    /// Those of all parts so far: the next one's index.
    index: u64,
    /// By port; empty at rest.
    ports: Vec<Known>,
    /// At rest: the ports that were given, ascending.
    uses: Vec<(u16, Uses)>,
    /// At rest: whose ports are, as [`Owner`]s, ascending.
    owners: Vec<(u16, [u32; 3])>,
    /// By port: when it was last closed, 0 for never; empty where no release was seen.
    closed: Vec<u64>,
    out_of_range: u64,
}

/// A hash of a peer: one in four billion peers passes for another.
#[inline]
fn peer(addr: IpAddr, port: u16) -> u32 {
    let bits = match addr {
        IpAddr::V4(addr) => u64::from(addr.to_bits()),
        IpAddr::V6(addr) => {
            let bits = addr.to_bits();
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            half(bits).rotate_left(29) ^ half(bits >> 64)
        }
    };
    let mixed = (bits ^ u64::from(port) << 48 ^ u64::from(port)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from(mixed >> 32).unwrap_or(0)
}

/// What one allocation says of its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    /// Allocations from the last one of this port to this one, the next one 1; none of the first.
    pub(super) distance: Option<u32>,
    /// When the port was last closed.
    pub(super) closed: Option<MonoNs>,
}

/// Who was given a port, and for which peer: number and start of the process, a hash of the peer. Without one the
/// local address stands in its place, with port 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner([u32; 3]);

impl Owner {
    /// That of an allocation; none where its addresses are not known.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let start = event.start().map_or(0, |start| start.0);
        let (addr, port) = match event.remote_port() {
            Some(port) => (event.remote_addr()?, port.get()),
            None => (event.local_addr()?, 0),
        };
        Some(Self([event.pid().0, start, peer(addr, port)]))
    }
}

impl Scope {
    pub(super) fn new(netns: Option<NetnsId>, protocol: Protocol) -> Self {
        let ports = vec![Known::default(); PORTS];
        Self { ports, ..Self::resting(netns, protocol) }
    }

    const fn resting(netns: Option<NetnsId>, protocol: Protocol) -> Self {
        Self {
            netns,
            protocol,
            given: 0,
            index: 0,
            ports: Vec::new(),
            uses: Vec::new(),
            owners: Vec::new(),
            closed: Vec::new(),
            out_of_range: 0,
        }
    }

    /// The namespace; none where the events do not tell it.
    #[must_use]
    pub const fn netns(&self) -> Option<NetnsId> {
        self.netns
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Successful allocations.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.given
    }

    /// Successful allocations of a port outside the range that the search went through.
    #[must_use]
    pub const fn out_of_range(&self) -> u64 {
        self.out_of_range
    }

    /// The ports that were given, ascending.
    pub(super) fn used(&self) -> impl Iterator<Item = (u16, Uses)> + '_ {
        let awake = (0..=u16::MAX).zip(&self.ports).map(|(port, known)| (port, [known.uses, known.firsts]));
        awake.filter(|(_, uses)| *uses != [0, 0]).chain(self.uses.iter().copied())
    }

    /// Whose ports are, ascending.
    pub(super) fn owned(&self) -> impl Iterator<Item = (u16, [u32; 3])> + '_ {
        let awake = (0..=u16::MAX).zip(&self.ports).map(|(port, known)| (port, known.owner));
        awake.filter(|(_, owner)| *owner != [0; 3]).chain(self.owners.iter().copied())
    }

    /// What was counted, and whose ports are: few ports are in use in most namespaces.
    pub(super) fn copy(&self) -> Self {
        Self {
            given: self.given,
            uses: self.used().collect(),
            owners: self.owned().collect(),
            out_of_range: self.out_of_range,
            ..Self::resting(self.netns, self.protocol)
        }
    }

    /// The same, and when each port was closed.
    pub(super) fn copy_with_closes(&self) -> Self {
        Self { closed: self.closed.clone(), ..self.copy() }
    }

    /// Ends a part: what was counted in it. The next one knows when each port was last given and closed, and to whom.
    pub(super) fn end_part(&mut self) -> Self {
        self.wake();
        let used = self.used().collect();
        for known in &mut self.ports {
            (known.uses, known.firsts) = (0, 0);
        }
        Self {
            given: std::mem::take(&mut self.given),
            uses: used,
            out_of_range: std::mem::take(&mut self.out_of_range),
            ..Self::resting(self.netns, self.protocol)
        }
    }

    /// Lets go of all that only events to come would want, and of whose ports are.
    pub(super) fn rest(&mut self) {
        *self = Self { owners: Vec::new(), ..self.copy() };
    }

    /// Makes it what it was before it rested.
    #[cold]
    #[inline(never)]
    fn wake(&mut self) {
        if !self.ports.is_empty() {
            return;
        }
        self.ports = vec![Known::default(); PORTS];
        for (port, [uses, firsts]) in std::mem::take(&mut self.uses) {
            if let Some(known) = self.ports.get_mut(usize::from(port)) {
                (known.uses, known.firsts) = (uses, firsts);
            }
        }
        for (port, owner) in std::mem::take(&mut self.owners) {
            if let Some(known) = self.ports.get_mut(usize::from(port)) {
                known.owner = owner;
            }
        }
    }

    fn uses_of(&self, port: u16) -> Uses {
        match self.ports.get(usize::from(port)) {
            Some(known) => [known.uses, known.firsts],
            None => found(&self.uses, port).unwrap_or_default(),
        }
    }

    /// How often a port was given.
    #[must_use]
    pub fn uses(&self, port: u16) -> u32 {
        let [uses, _] = self.uses_of(port);
        uses
    }

    /// How often a port was the first choice of a destination in an epoch of 10 s.
    pub(super) fn firsts(&self, port: u16) -> u32 {
        let [_, firsts] = self.uses_of(port);
        firsts
    }

    /// Takes a successful allocation of a port.
    #[inline]
    pub(super) fn give(&mut self, port: u16, trail: &Trail) -> Again {
        self.given += 1;
        self.index += 1;
        self.out_of_range += u64::from(trail.range.is_some_and(|range| !range.contains(port)));
        let place = usize::from(port);
        if self.ports.is_empty() {
            self.wake();
        }
        let closed =
            if self.closed.is_empty() { None } else { self.closed.get(place).copied().filter(|at| *at != 0) };
        let Some(known) = self.ports.get_mut(place) else { return Again::default() };
        if let Some(owner) = trail.owner {
            known.owner = owner.0;
        }
        // Wraps after 4 billion allocations; a distance is right as long as it is shorter than that.
        let index = u32::try_from(self.index & u64::from(u32::MAX)).unwrap_or(0).max(1);
        let distance = (known.last != 0).then(|| index.wrapping_sub(known.last));
        known.last = index;
        known.uses = known.uses.saturating_add(1);
        Again { distance, closed: closed.map(MonoNs) }
    }

    /// Notes that a port was the first choice of a destination in an epoch.
    pub(super) fn give_first(&mut self, port: u16) {
        if let Some(known) = self.ports.get_mut(usize::from(port)) {
            known.firsts = known.firsts.saturating_add(1);
        }
    }

    /// The process that was last given a port, if it was for this peer, or, of port 0, without one on this address.
    pub(super) fn owner(&self, port: u16, (addr, remote): (IpAddr, u16)) -> Option<ProcessKey> {
        let [pid, start, for_peer] = match self.ports.get(usize::from(port)) {
            Some(known) => known.owner,
            None => found(&self.owners, port)?,
        };
        let key = ProcessKey { pid: Pid(pid), start: (start != 0).then_some(StartTime(start)) };
        (pid != 0 && for_peer == peer(addr, remote)).then_some(key)
    }

    pub(super) fn close(&mut self, port: u16, at: MonoNs) {
        if self.closed.is_empty() {
            self.closed = vec![0; PORTS];
        }
        if let Some(closed) = self.closed.get_mut(usize::from(port)) {
            *closed = (*closed).max(at.0);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.given += other.given;
        self.out_of_range += other.out_of_range;
        let both = |[uses, firsts]: Uses, more: Uses| {
            let [more_uses, more_firsts] = more;
            [uses.saturating_add(more_uses), firsts.saturating_add(more_firsts)]
        };
        self.uses = joined(self.used(), other.used(), both);
        self.owners = joined(self.owned(), other.owned(), |_, later| later);
        // Indices of another part are not comparable: no distance reaches over the cut.
        (self.ports, self.index) = (Vec::new(), 0);
        if self.closed.is_empty() {
            self.closed.clone_from(&other.closed);
        } else {
            self.closed.iter_mut().zip(&other.closed).for_each(|(mine, more)| *mine = (*mine).max(*more));
        }
    }
}

fn found<T: Copy>(ports: &[(u16, T)], port: u16) -> Option<T> {
    let place = ports.binary_search_by_key(&port, |(port, _)| *port).ok()?;
    ports.get(place).map(|(_, found)| *found)
}

/// Both, ascending, where both are; a port that is in both is there once.
fn joined<T: Copy>(
    one: impl Iterator<Item = (u16, T)>,
    other: impl Iterator<Item = (u16, T)>,
    both: impl Fn(T, T) -> T,
) -> Vec<(u16, T)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    let mut all = Vec::new();
    loop {
        let next = match (one.peek(), other.peek()) {
            (Some((mine, _)), Some((more, _))) if mine == more => {
                let (mine, more) = (one.next(), other.next());
                mine.zip(more).map(|((port, mine), (_, more))| (port, both(mine, more)))
            }
            (Some((mine, _)), Some((more, _))) if mine < more => one.next(),
            (Some(_), None) => one.next(),
            (_, Some(_)) => other.next(),
            (None, None) => return all,
        };
        all.extend(next);
    }
}
