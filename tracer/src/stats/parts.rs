//! Parts of a stream: how one ends and the next goes on, how they are made small, and how they add up.

use super::{Settings, Stats, rows::Destinations, runs::Runs};
use crate::event::MonoNs;

impl Stats {
    /// Adds what another part of the stream came to.
    pub fn merge(&mut self, mut other: Self) {
        self.settle();
        other.settle();
        self.settings.start = self.settings.start.min(other.settings.start);
        self.settings.releases &= other.settings.releases;
        self.settings.checks &= other.settings.checks;
        self.totals.merge(&other.totals);
        self.churn.merge(&other.churn);
        self.freed.merge(&other.freed);
        self.holds.merge(&other.holds);
        self.searches.merge(&other.searches);
        self.expected.merge(other.expected);
        self.kinds.merge(other.kinds);
        self.processes.merge(other.processes);
        self.destinations.merge(other.destinations);
        self.scopes.merge(&other.scopes);
        self.reuse.merge(&other.reuse);
        self.bound.merge(&other.bound);
        self.bound_connects += other.bound_connects;
        self.refusals.merge(&other.refusals);
    }

    /// Ends a part of the stream at `at`: what was counted in it, to be merged with what came before and after. Counting
    /// goes on, with all that hangs on the order of events: whose ports are, when each was given and closed, what is
    /// bound.
    #[must_use]
    pub fn end_part(&mut self, at: MonoNs) -> Self {
        self.settle();
        let (scopes, reuse) = (self.scopes.end_part(), self.reuse.end_part());
        let given = (!self.settings.releases).then(|| scopes.given().collect());
        self.bound.end_part(given.as_ref());
        let processes = self.processes.end_part(self.scopes.owners());
        let fresh = Self::new(Settings { start: at, ..self.settings });
        Self {
            settings: std::mem::replace(&mut self.settings, fresh.settings),
            totals: std::mem::replace(&mut self.totals, fresh.totals),
            churn: std::mem::replace(&mut self.churn, fresh.churn),
            freed: std::mem::replace(&mut self.freed, fresh.freed),
            holds: std::mem::replace(&mut self.holds, fresh.holds),
            searches: std::mem::replace(&mut self.searches, fresh.searches),
            expected: std::mem::replace(&mut self.expected, fresh.expected),
            kinds: std::mem::replace(&mut self.kinds, fresh.kinds),
            processes,
            destinations: std::mem::replace(
                &mut self.destinations,
                Destinations::of_part(self.settings.rows, at),
            ),
            scopes,
            reuse,
            bound: fresh.bound,
            bound_connects: std::mem::take(&mut self.bound_connects),
            refusals: std::mem::replace(&mut self.refusals, fresh.refusals),
            runs: std::mem::replace(&mut self.runs, fresh.runs),
        }
    }

    /// What was counted so far, without what only events to come would want.
    #[must_use]
    pub fn copy(&self) -> Self {
        debug_assert!(self.runs.is_empty(), "numbers are read before they are settled");
        Self {
            settings: self.settings,
            totals: self.totals.clone(),
            churn: self.churn.clone(),
            freed: self.freed.clone(),
            holds: self.holds,
            searches: self.searches.clone(),
            expected: self.expected,
            kinds: self.kinds,
            processes: self.processes.copy(),
            destinations: self.destinations.clone(),
            scopes: self.scopes.copy(),
            reuse: self.reuse.copy(),
            bound: self.bound.copy(),
            bound_connects: self.bound_connects,
            refusals: self.refusals.clone(),
            runs: Runs::new(),
        }
    }

    /// Makes it small, when nothing is to be taken any more but only to be merged: so many rows of processes and of
    /// destinations stay, with the bound on what they missed. All other numbers are as they were.
    pub fn condense(&mut self, rows: usize) {
        self.settle();
        self.processes.condense(rows);
        self.destinations.condense(rows);
        self.scopes.rest();
        self.reuse.rest();
        self.bound.rest();
    }
}
