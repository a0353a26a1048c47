//! An allocation that is in no run.

use super::{
    ratio::SECOND_NS,
    rows::DestinationKey,
    runs::{Part, Trail},
    scopes::Owner,
    search::{Allocation, Length, SearchSums},
};
use crate::{
    enrich::Process,
    event::{Event, Search, Site},
};

/// What one allocation adds.
pub(super) struct Single<'a> {
    event: &'a Event,
    one: Allocation,
    sums: SearchSums,
    remote: Option<DestinationKey>,
    port: Option<u16>,
    length: Option<Length>,
}

impl<'a> Single<'a> {
    pub(super) fn of(event: &'a Event, search: &Search) -> Self {
        let one = Allocation::of(event, search);
        let mut sums = SearchSums::default();
        sums.take(&one);
        let length = one.search_ns.filter(|_| !one.failed);
        Self {
            event,
            one,
            sums,
            remote: DestinationKey::of(event),
            port: one.port.map(crate::event::Port::get),
            length: length.map(|ns| Length::new(ns, search.crossed_half == Some(true))),
        }
    }

    pub(super) fn part<'p>(&'p self, site: Site, process: &'p Process, scope: Option<usize>) -> Part<'p> {
        let Self { event, one, sums, remote, port, length } = self;
        Part {
            event,
            process,
            site,
            remote: *remote,
            scope,
            second: one.at.0 / SECOND_NS,
            count: 1,
            failed: one.failed,
            first: one.at,
            last: one.at,
            at_sum: one.at.0.into(),
            sums,
            ports: port.as_slice(),
            lengths: length.as_slice(),
            first_port: port.filter(|_| one.search.crossed_half == Some(false)),
        }
    }

    pub(super) fn trail(&self, scope: Option<usize>) -> Trail {
        Trail { scope, owner: Owner::of(self.event), range: self.event.range(), remote: self.remote }
    }
}
