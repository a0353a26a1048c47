//! Each port of a network namespace and protocol: how often, and when last.

use std::net::IpAddr;

use super::{ProcessKey, runs::Trail};
use crate::event::{Event, MonoNs, NetnsId, Pid, Protocol, StartTime};

/// Pairs of namespace and protocol that are followed; those that come later are only counted.
pub const MOST_SCOPES: usize = 16;

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

/// The ports of one namespace and protocol. 1.5 MiB of addresses, of which the pages of the range are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    netns: Option<NetnsId>,
    protocol: Protocol,
    /// Successful allocations: the next one's index.
    given: u64,
    ports: Vec<Known>,
    /// The same at rest, where that is empty: ports of which something is known, in their order.
    at_rest: Vec<(u16, Known)>,
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
    fn new(netns: Option<NetnsId>, protocol: Protocol) -> Self {
        // Zeroed pages come from the kernel one by one, as they are touched.
        Self {
            netns,
            protocol,
            given: 0,
            ports: vec![Known::default(); PORTS],
            at_rest: Vec::new(),
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

    fn known(&self, port: u16) -> Option<&Known> {
        self.ports.get(usize::from(port)).or_else(|| {
            let place = self.at_rest.binary_search_by_key(&port, |(port, _)| *port).ok()?;
            self.at_rest.get(place).map(|(_, known)| known)
        })
    }

    /// Makes it small: few ports are in use in most namespaces. Nothing is given or closed any more.
    fn rest(&mut self) {
        self.closed = Vec::new();
        let ports = std::mem::take(&mut self.ports);
        let used = (0..=u16::MAX).zip(ports).map(|(port, known)| (port, Known { last: 0, ..known }));
        self.at_rest.extend(used.filter(|(_, known)| *known != Known::default()));
        self.at_rest.shrink_to_fit();
    }

    /// Makes it what it was before it rested.
    fn wake(&mut self) {
        if self.ports.is_empty() {
            self.ports = vec![Known::default(); PORTS];
            for (port, known) in std::mem::take(&mut self.at_rest) {
                if let Some(place) = self.ports.get_mut(usize::from(port)) {
                    *place = known;
                }
            }
        }
    }

    /// How often a port was given.
    #[must_use]
    pub fn uses(&self, port: u16) -> u32 {
        self.known(port).map_or(0, |known| known.uses)
    }

    /// How often a port was the first choice of a destination in an epoch of 10 s.
    pub(super) fn firsts(&self, port: u16) -> u32 {
        self.known(port).map_or(0, |known| known.firsts)
    }

    /// Takes a successful allocation of a port.
    #[inline]
    pub(super) fn give(&mut self, port: u16, trail: &Trail) -> Again {
        self.given += 1;
        self.out_of_range += u64::from(trail.range.is_some_and(|range| !range.contains(port)));
        let place = usize::from(port);
        let closed =
            if self.closed.is_empty() { None } else { self.closed.get(place).copied().filter(|at| *at != 0) };
        let Some(known) = self.ports.get_mut(place) else { return Again::default() };
        if let Some(owner) = trail.owner {
            known.owner = owner.0;
        }
        // Wraps after 4 billion allocations; a distance is right as long as it is shorter than that.
        let index = u32::try_from(self.given & u64::from(u32::MAX)).unwrap_or(0).max(1);
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
        let [pid, start, for_peer] = self.known(port)?.owner;
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

    fn merge(&mut self, other: &Self) {
        self.given += other.given;
        self.out_of_range += other.out_of_range;
        self.wake();
        // The parts count their indices apart: no distance reaches over the cut.
        self.ports.iter_mut().for_each(|mine| mine.last = 0);
        let awake = (0..=u16::MAX).zip(&other.ports);
        for (port, more) in awake.chain(other.at_rest.iter().map(|(port, known)| (*port, known))) {
            let Some(mine) = self.ports.get_mut(usize::from(port)) else { continue };
            mine.uses = mine.uses.saturating_add(more.uses);
            mine.firsts = mine.firsts.saturating_add(more.firsts);
            if more.owner != [0; 3] {
                mine.owner = more.owner;
            }
        }
        if self.closed.is_empty() {
            self.closed.clone_from(&other.closed);
        } else {
            self.closed.iter_mut().zip(&other.closed).for_each(|(mine, more)| *mine = (*mine).max(*more));
        }
    }
}

/// The scopes that are followed, in the order in which they were first seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Scopes {
    list: Vec<Scope>,
    last: usize,
    left_out: u64,
}

impl Scopes {
    /// The place of the scope of an event, for [`Self::at`]; none beyond [`MOST_SCOPES`].
    #[inline]
    pub(super) fn place(&mut self, event: &Event) -> Option<usize> {
        let (netns, protocol) = (event.netns(), event.protocol());
        let is = |scope: &Scope| scope.netns == netns && scope.protocol == protocol;
        if !self.list.get(self.last).is_some_and(is) {
            self.last = match self.list.iter().position(is) {
                Some(at) => at,
                None if self.list.len() < MOST_SCOPES => {
                    self.list.push(Scope::new(netns, protocol));
                    self.list.len() - 1
                }
                None => return None,
            };
        }
        Some(self.last)
    }

    /// The scope at a place; without one its event is left out.
    #[inline]
    pub(super) fn at(&mut self, place: Option<usize>) -> Option<&mut Scope> {
        let scope = place.and_then(|place| self.list.get_mut(place));
        self.left_out += u64::from(scope.is_none());
        scope
    }

    /// Notes that a port was the first choice of a destination in an epoch.
    pub(super) fn give_first(&mut self, place: Option<usize>, port: u16) {
        if let Some(scope) = place.and_then(|place| self.list.get_mut(place)) {
            scope.give_first(port);
        }
    }

    /// Makes them small, until they are merged.
    pub(super) fn rest(&mut self) {
        self.list.iter_mut().for_each(Scope::rest);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.list.iter()
    }

    /// Allocations and releases whose scope is not followed.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.left_out += other.left_out;
        for scope in &other.list {
            let same = |mine: &&mut Scope| mine.netns == scope.netns && mine.protocol == scope.protocol;
            if let Some(mine) = self.list.iter_mut().find(same) {
                mine.merge(scope);
            } else if self.list.len() < MOST_SCOPES {
                let mut scope = scope.clone();
                scope.wake();
                scope.ports.iter_mut().for_each(|known| known.last = 0);
                self.list.push(scope);
            } else {
                self.left_out += scope.given;
            }
        }
    }
}
