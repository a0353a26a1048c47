//! From the stream of events to numbers that can be added up.
//!
//! Counts are exact, whatever the rate; detail has bounded memory and says what it left out. Parts of a stream,
//! merged in any order, give the totals, histograms and rows of the whole, as long as the tables have room;
//! what hangs on the order of events (distances, intervals, bind before connect) is seen within a part only.
//!
//! This room knows events and processes. It does no input or output and reads no clock: time comes with the
//! events, or as an argument. It filters nothing: what it is given has passed.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::as_conversions))]

mod beta;
mod bound;
mod churn;
mod collisions;
mod distribution;
mod errnos;
mod forecast;
mod histogram;
mod holds;
mod kinds;
mod parts;
mod quantiles;
mod ratio;
mod recent;
mod refusals;
mod reuse;
mod rows;
mod runs;
mod scope;
mod scopes;
mod search;
mod sums;
mod tails;
mod taking;
mod totals;

pub use beta::beta_quantile;
pub use churn::Churn;
pub use collisions::{
    Expected, ExpectedSums, Half, Occupancy, Place, expected_linear, expected_on_map, expected_uniform,
    observed_to_expected,
};
pub use distribution::{Distribution, HotPort};
pub use errnos::ByErrno;
pub use forecast::{Demand, Forecast, Slope, forecast, freed};
pub use holds::{Ends, Hold, Holds, TIME_WAIT_NS, TimeWaits};
pub use kinds::{CollisionKinds, KindSums};
pub use quantiles::{QuantileIntervals, Quantiles};
pub use refusals::{MOST_REFUSALS, MOST_VICTIMS, RefusalKey, RefusalRow, Refused};
pub use reuse::ReuseReport;
pub use rows::{By, Destination, DestinationKey, Group, Identity, MOST_ROWS, ProcessKey, Row};
pub use scope::Scope;
pub use scopes::MOST_SCOPES;
pub use search::{Known, SearchSums, Searched, Timed};
pub use totals::{Counts, Lost, Totals};

use std::net::IpAddr;

use self::{
    bound::Bound,
    refusals::Refusals,
    reuse::Reuse,
    rows::{Destinations, ProcessRows},
    runs::Runs,
    scopes::Scopes,
    search::SearchesBySite,
};
use crate::event::{MonoNs, NetnsId, Protocol, Site};

/// Seconds that are kept one by one.
const SECONDS: usize = 600;

/// What the stream holds, and how much of it to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When the window began.
    pub start: MonoNs,
    /// Releases are recorded: without them no interval is known.
    pub releases: bool,
    /// Successful checks of named ports are recorded: without them bind before connect is not seen.
    pub checks: bool,
    /// Rows of each table.
    pub rows: usize,
}

impl Settings {
    /// Allocations and failures only, [`MOST_ROWS`] rows.
    #[must_use]
    pub const fn new(start: MonoNs) -> Self {
        Self { start, releases: false, checks: false, rows: MOST_ROWS }
    }
}

/// Collisions of all searches that found a port, and of each site.
#[derive(Clone, Debug, PartialEq)]
pub struct CollisionReport {
    /// All sites together.
    pub all: SearchSums,
    /// Each site.
    pub by_site: [(Site, SearchSums); 4],
    /// Collisions per allocation whose collisions are known; none where there is none.
    pub observed_per_allocation: Option<f64>,
    /// What was to be expected of connects, as far as their pools were looked at ([`Stats::occupied`]).
    pub expected: ExpectedSums,
    /// Share of the searches that crossed to the other half, of those that have halves; none where none has.
    pub crossed_share: Option<f64>,
    /// By kind, of the searches whose inner loop was watched.
    pub kinds: CollisionKinds,
}

/// Everything that is counted.
#[derive(Clone, Debug)]
pub struct Stats {
    settings: Settings,
    totals: Totals,
    churn: Churn,
    freed: Churn,
    holds: Holds,
    searches: SearchesBySite,
    expected: ExpectedSums,
    kinds: CollisionKinds,
    processes: ProcessRows,
    destinations: Destinations,
    scopes: Scopes,
    reuse: Reuse,
    bound: Bound,
    bound_connects: u64,
    refusals: Refusals,
    /// What was taken and is in none of the numbers above yet.
    runs: Runs,
}

impl Stats {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            totals: Totals::default(),
            churn: Churn::new(SECONDS),
            freed: Churn::new(SECONDS),
            holds: Holds::default(),
            searches: SearchesBySite::default(),
            expected: ExpectedSums::default(),
            kinds: CollisionKinds::default(),
            processes: ProcessRows::new(settings.rows),
            destinations: Destinations::new(settings.rows),
            scopes: Scopes::default(),
            reuse: Reuse::new(settings.start, settings.releases),
            bound: Bound::new(),
            bound_connects: 0,
            refusals: Refusals::default(),
            runs: Runs::new(),
        }
    }

    /// Adds events of which only the count is known. Totals and process rows stay exact; destinations, searches
    /// and seconds miss them, and [`Totals::lost`] says how many.
    pub fn absorb(&mut self, lost: &Lost) {
        self.settle();
        self.totals.absorb(lost);
        self.processes.absorb(lost);
    }

    /// Notes how full the pool of a destination is now. The searches for it since the last note are expected to have met
    /// what there was on the way from there to here.
    pub fn occupied(&mut self, key: DestinationKey, now: Occupancy) {
        self.settle();
        if let Some((expected, met)) = self.destinations.occupied(key, now) {
            self.expected.add(expected, met);
        }
    }

    /// What the stream holds.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Exact counts.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        debug_assert!(self.runs.is_empty(), "numbers are read before they are settled");
        &self.totals
    }

    /// Allocations by second, failed ones included, lost ones not.
    #[must_use]
    pub const fn churn(&self) -> &Churn {
        &self.churn
    }

    /// Releases by second.
    #[must_use]
    pub const fn freed(&self) -> &Churn {
        &self.freed
    }

    /// Holds of all allocations together.
    #[must_use]
    pub const fn holds(&self) -> &Holds {
        &self.holds
    }

    /// Sums over all searches, and quantiles of the times of those that found a port.
    #[must_use]
    pub fn search(&self) -> (SearchSums, Quantiles) {
        let all = self.searches.all();
        (all.sums, all.times.quantiles())
    }

    /// Between which times the quantiles of searches that found a port are.
    #[must_use]
    pub fn search_intervals(&self) -> QuantileIntervals {
        self.searches.all().times.intervals()
    }

    /// How long searches took that found a port: the longest of each group in nanoseconds, ascending, and how many
    /// there are; the times of a group are within 1 % of each other.
    #[must_use]
    pub fn search_times(&self) -> Vec<(u64, u64)> {
        self.searches.all().times.groups()
    }

    /// The same for each site.
    pub fn search_by_site(&self) -> impl Iterator<Item = (Site, SearchSums, Quantiles)> + '_ {
        self.searches.iter().map(|(site, one)| (site, one.sums, one.times.quantiles()))
    }

    /// Searches of a site that found a port after they had crossed to the other half, or those that had not.
    #[must_use]
    pub fn searched(&self, site: Site, crossed: bool) -> Searched {
        let one = self.searches.iter().find(|(one, _)| *one == site);
        one.map_or_else(Searched::default, |(_, one)| one.sums.side(crossed, Some(&one.times)))
    }

    /// Collisions, observed and expected.
    #[must_use]
    pub fn collisions(&self) -> CollisionReport {
        let mut by_site = Site::ALL.map(|site| (site, SearchSums::default()));
        for ((_, sums), (_, one)) in by_site.iter_mut().zip(self.searches.iter()) {
            *sums = one.sums;
        }
        let all = self.searches.all().sums;
        CollisionReport {
            all,
            by_site,
            observed_per_allocation: all.collisions.mean(),
            expected: self.expected,
            crossed_share: all.crossed.mean(),
            kinds: self.kinds,
        }
    }

    /// The rows of processes, collapsed, the busiest first.
    #[must_use]
    pub fn processes(&self, by: By) -> Vec<Group> {
        self.processes.grouped(by)
    }

    /// How many processes have a row of their own.
    #[must_use]
    pub fn process_rows(&self) -> usize {
        self.processes.len()
    }

    /// How many events one without a row may have had at most, where rows are collapsed like that. Of processes 0 until
    /// the table was full, and never more than events ÷ rows; what made room there is in a sum by name, so that programs
    /// miss nothing until there are a thousand names beside those in the table.
    #[must_use]
    pub const fn processes_bound(&self, by: By) -> u64 {
        self.processes.floor(by)
    }

    /// The rows of destinations, the busiest first.
    #[must_use]
    pub fn destinations(&self) -> Vec<Destination<'_>> {
        self.destinations.list()
    }

    /// The row of one destination.
    pub fn destination(&mut self, key: DestinationKey) -> Option<&Row> {
        self.destinations.find(key)
    }

    /// How many events a destination without a row may have had at most, and how many allocations named none.
    #[must_use]
    pub const fn destinations_bound(&self) -> (u64, u64) {
        (self.destinations.floor(), self.destinations.without())
    }

    /// The ports of each namespace and protocol; [`Distribution::of`] one of them.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.iter()
    }

    /// Allocations and releases of namespaces and protocols beyond [`MOST_SCOPES`]: they are in no distribution,
    /// distance or interval.
    #[must_use]
    pub const fn scopes_left_out(&self) -> u64 {
        self.scopes.left_out()
    }

    /// How soon ports and 4-tuples were used again.
    #[must_use]
    pub fn reuse(&self, at: MonoNs) -> ReuseReport {
        self.reuse.report(at)
    }

    /// Allocations from one of a port to the next of that port: the highest of each group, ascending, and how many there
    /// are; the numbers of a group are within 1 % of each other.
    #[must_use]
    pub fn reuse_distances(&self) -> Vec<(u64, u64)> {
        self.reuse.distances()
    }

    /// The same of the milliseconds from the close of a 4-tuple to its next use; nothing where no release is recorded.
    #[must_use]
    pub fn reuse_intervals_ms(&self) -> Vec<(u64, u64)> {
        self.reuse.intervals_ms()
    }

    /// Sockets that were bound to port 0 and then connected without `IP_BIND_ADDRESS_NO_PORT`; none where
    /// successful checks are not recorded. By process in [`Group::bound_connects`].
    #[must_use]
    pub fn bound_connects(&self) -> Option<u64> {
        self.settings.checks.then_some(self.bound_connects)
    }

    /// Failures by what was asked for, in the order in which they were first seen, and how many more there were.
    #[must_use]
    pub fn refusals(&self) -> (&[RefusalRow], u64) {
        self.refusals.list()
    }

    /// Ports that were given at the same site, address and namespace as a refusal without a peer; none where none
    /// was, or where its kind is counted by destination.
    #[must_use]
    pub fn given_beside(&self, key: &RefusalKey) -> Option<u64> {
        self.refusals.given(key)
    }

    /// The process that was last given a port in a namespace, if it was for this destination: the maker of the
    /// TIME_WAIT that holds it now. Or, of a local address and port 0, if it was without a destination on that address.
    #[must_use]
    pub fn owner(
        &self,
        netns: NetnsId,
        proto: Protocol,
        port: u16,
        remote: (IpAddr, u16),
    ) -> Option<ProcessKey> {
        let scope = self.scopes().find(|scope| scope.netns() == Some(netns) && scope.protocol() == proto)?;
        scope.owner(port, remote)
    }

    /// What a process is called that has a row; looks through all of them.
    #[must_use]
    pub fn identity(&self, key: ProcessKey) -> Option<&Identity> {
        self.processes.identity(key)
    }

    /// Whether the flow knows a socket that is bound to this TCP port. Sockets bound before the start are not
    /// known, and without releases those that are gone still are.
    #[must_use]
    pub fn is_bound(&self, netns: NetnsId, port: u16) -> bool {
        self.bound.is_bound(netns, port)
    }

    /// The ports of which [`Self::is_bound`] is true, ascending.
    pub fn bound_ports(&self, netns: NetnsId) -> impl Iterator<Item = u16> + '_ {
        self.bound.ports(netns)
    }
}

#[cfg(test)]
mod tests;
