//! The namespaces and protocols whose ports are followed.

use super::{ProcessKey, scope::Scope};
use crate::event::{Event, NetnsId, Pid, Protocol, StartTime};

/// Pairs of namespace and protocol that are followed; those that come later are only counted.
pub const MOST_SCOPES: usize = 16;

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
        let is = |scope: &Scope| scope.netns() == netns && scope.protocol() == protocol;
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

    /// As they are, without what only events to come would want.
    pub(super) fn copy(&self) -> Self {
        Self { list: self.list.iter().map(Scope::copy).collect(), last: 0, left_out: self.left_out }
    }

    /// Ends a part: what was counted in it. Of those in which nothing was given only as many go on as leave half of the
    /// places to others.
    pub(super) fn end_part(&mut self) -> Self {
        let list: Vec<Scope> = self.list.iter_mut().map(Scope::end_part).collect();
        let mut idle = list.iter().map(|ended| ended.given() == 0).collect::<Vec<_>>().into_iter();
        let mut surplus = self.list.len().saturating_sub(MOST_SCOPES / 2);
        self.list.retain(|_| {
            let goes = idle.next() == Some(true) && surplus != 0;
            surplus -= usize::from(goes);
            !goes
        });
        self.last = 0;
        Self { list, last: 0, left_out: std::mem::take(&mut self.left_out) }
    }

    /// The ports of TCP that were given.
    pub(super) fn given(&self) -> impl Iterator<Item = (NetnsId, u16)> + '_ {
        let tcp = self.list.iter().filter(|scope| scope.protocol() == Protocol::Tcp);
        tcp.filter_map(|scope| Some((scope.netns()?, scope)))
            .flat_map(|(netns, scope)| scope.used().map(move |(port, _)| (netns, port)))
    }

    /// Processes that were given a port that nobody was given since.
    pub(super) fn owners(&self) -> impl Iterator<Item = ProcessKey> + '_ {
        self.list.iter().flat_map(Scope::owned).map(|(_, [pid, start, _])| ProcessKey {
            pid: Pid(pid),
            start: (start != 0).then_some(StartTime(start)),
        })
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
            let same =
                |mine: &&mut Scope| mine.netns() == scope.netns() && mine.protocol() == scope.protocol();
            if let Some(mine) = self.list.iter_mut().find(same) {
                mine.merge(scope);
            } else if self.list.len() < MOST_SCOPES {
                self.list.push(scope.copy_with_closes());
            } else {
                self.left_out += scope.given();
            }
        }
    }
}
