//! Events into sums.

use super::{
    DestinationKey, Stats, holds,
    runs::{Instant, Part, Run, Runs, Trail},
    scope::Owner,
    search::{Allocation, Length, SearchSums},
};
use crate::{
    enrich::Process,
    event::{Course, Event, Glimpse, Kind, MonoNs, Port, Protocol, Search, Site},
    stats::ratio::SECOND_NS,
};

impl Stats {
    /// Takes one event that passed the filters, with what its search tells and who asked. It is in no number
    /// before [`Stats::settle`]. Whether more like it may be expected ([`Stats::expect_more`]).
    #[inline]
    pub fn take(&mut self, event: &Event, search: &Search, process: &Process) -> bool {
        if event.is_counted() {
            self.kinds.take(event, search);
        }
        if let (Kind::Allocation(site), Some(port), Some(ns)) =
            (event.kind(), event.local_port(), event.search_ns())
            && let Some(now) = self.runs.within(event.mono()).or_else(|| self.turn(event.mono()))
        {
            let source = event.source();
            let place = Runs::place(source);
            if !self.runs.at(place).is_some_and(|run| run.is_of(event, process)) {
                if !self.runs.is_worth_a_run(place, source) {
                    self.take_apart(event, search, process);
                    return false;
                }
                self.open(place, site, event, process);
            }
            self.add_to_run(place, event, search, (port, ns, now));
            if matches!(site, Site::Bind | Site::Listen) && event.protocol() == Protocol::Tcp {
                self.bound.give(event);
            }
            return event.is_sure_of_process() && !self.reuse.follows_closes();
        }
        self.take_apart(event, search, process);
        false
    }

    /// Expects more like an event of which [`Stats::take`] said so: their searches go that way. Until
    /// [`Stats::settle`].
    #[inline]
    pub fn expect_more(&mut self, event: &Event, course: Course) {
        if let Some(run) = self.runs.at(Runs::place(event.source()))
            && event.is_of_source_of(run.event())
        {
            run.foresee(event, course);
        }
    }

    /// Takes a record that is like an event after which more were expected: it passes the filters as that did, and
    /// has its process. Whether it is one; else nothing was done.
    #[inline]
    pub fn take_more(&mut self, glimpse: Glimpse<'_>) -> bool {
        let place = Runs::place(glimpse.source());
        let Some(now) = self.runs.within(glimpse.mono()) else { return false };
        let (Some(run), Some(choice)) = (self.runs.at(place), glimpse.choice()) else { return false };
        let begins = run.is_empty();
        if !run.take_expected(glimpse, &choice, now) {
            return false;
        }
        let trail = run.trail();
        if let Some(scope) = self.scopes.at(trail.scope) {
            self.reuse.come_again(scope.give(choice.port.get(), trail));
        }
        let is_full = run.is_full();
        if run.is_bind() {
            self.bound.give_like(run.event(), choice.port, choice.socket);
        }
        self.end(place, begins, is_full);
        true
    }

    /// Adds what was taken to the numbers: after a batch, and before they are read.
    pub fn settle(&mut self) {
        for place in self.runs.begun() {
            self.fold(place);
            self.runs.at(place).into_iter().for_each(Run::foresee_none);
        }
    }

    #[inline]
    fn add_to_run(&mut self, place: u8, event: &Event, search: &Search, given: (Port, u32, Instant)) {
        let (port, ns, now) = given;
        let Some(run) = self.runs.at(place) else { return };
        let begins = run.is_empty();
        run.take(port.get(), ns, event.search_upper_bound(), search, now);
        let is_full = run.is_full();
        let trail = *run.trail();
        self.follow(event, port, &trail);
        self.end(place, begins, is_full);
    }

    /// Looks after a run that was added to.
    #[inline]
    fn end(&mut self, place: u8, begins: bool, is_full: bool) {
        if is_full {
            self.fold(place);
        } else if begins {
            self.runs.begin(place);
            if self.runs.are_many() {
                self.settle();
            }
        }
    }

    /// Goes on to a later second; none where the time is earlier than that of the runs.
    #[cold]
    #[inline(never)]
    fn turn(&mut self, at: MonoNs) -> Option<Instant> {
        self.settle();
        self.runs.turn(at)
    }

    /// Makes a run for allocations like this one, in the place of another.
    #[inline(never)]
    fn open(&mut self, place: u8, site: Site, event: &Event, process: &Process) {
        let scope = self.scopes.place(event);
        let run = Run::new(event, process, site, scope);
        if let Some(mut before) = self.runs.lift(place) {
            before.fold(|part| self.add(part));
            *before = run;
            self.runs.put(place, before);
        } else {
            self.runs.put(place, Box::new(run));
        }
    }

    #[inline(never)]
    fn fold(&mut self, place: u8) {
        let Some(mut run) = self.runs.lift(place) else { return };
        run.fold(|part| self.add(part));
        self.runs.put(place, run);
    }

    /// Adds up to the sums and rows, whatever does not hang on the order of events.
    fn add(&mut self, part: &Part<'_>) {
        let count = u64::from(part.count);
        self.churn.add_in(part.second, part.count);
        self.searches.take(part.site, part.sums, part.lengths);
        self.processes.allocate(part);
        let is_first = self.destinations.allocate(part);
        if part.failed {
            self.totals.take(part.event);
            return;
        }
        self.totals.give(part.site, part.event.protocol(), count);
        self.holds.open(count, part.at_sum);
        self.refusals.give(part.site, part.event, count);
        if let Some(port) = part.first_port.filter(|_| is_first) {
            self.scopes.give_first(part.scope, port);
        }
    }

    /// Takes what hangs on the order of events: distances, intervals, owners.
    #[inline]
    fn follow(&mut self, event: &Event, port: Port, trail: &Trail) {
        if let Some(scope) = self.scopes.at(trail.scope) {
            let again = scope.give(port.get(), trail);
            self.reuse.allocate(event, again, trail.remote);
        }
    }

    /// Takes an event that no run takes: all but successful allocations of the latest second.
    #[inline(never)]
    fn take_apart(&mut self, event: &Event, search: &Search, process: &Process) {
        if event.failed() {
            self.refusals.take(event, process);
        }
        match event.kind() {
            Kind::Allocation(site) => self.allocate(site, event, search, process),
            Kind::Explicit(_) => self.check(event, process),
            Kind::Release(_) => self.release(event, process),
        }
    }

    fn allocate(&mut self, site: Site, event: &Event, search: &Search, process: &Process) {
        if self.runs.within(event.mono()).is_none() {
            // What is left of a second comes before anything of a later one: the busiest second hangs on that.
            self.turn(event.mono());
        }
        let one = Allocation::of(event, search);
        let mut sums = SearchSums::default();
        sums.take(&one);
        let port = one.port.map(Port::get);
        let length = one
            .search_ns
            .filter(|_| !one.failed)
            .map(|ns| Length::new(ns, search.crossed_half == Some(true)));
        let (remote, scope) = (DestinationKey::of(event), self.scopes.place(event));
        self.add(&Part {
            event,
            process,
            site,
            remote,
            scope,
            second: one.at.0 / SECOND_NS,
            count: 1,
            failed: one.failed,
            first: one.at,
            last: one.at,
            at_sum: one.at.0.into(),
            sums: &sums,
            ports: port.as_slice(),
            lengths: length.as_slice(),
            first_port: port.filter(|_| search.crossed_half == Some(false)),
        });
        let Some(port) = one.port else { return };
        self.follow(event, port, &Trail { scope, owner: Owner::of(event), range: event.range(), remote });
        if matches!(site, Site::Bind | Site::Listen) && event.protocol() == Protocol::Tcp {
            self.bound.give(event);
        }
    }

    fn check(&mut self, event: &Event, process: &Process) {
        self.totals.take(event);
        if event.failed() {
            self.processes.fail_check(event, process);
        }
        if event.protocol() != Protocol::Tcp {
            return;
        }
        if let Some(step) = self.bound.check(event) {
            self.bound_connects += 1;
            self.processes.bound(event, process, step);
        }
    }

    fn release(&mut self, event: &Event, process: &Process) {
        self.totals.take(event);
        self.freed.add(event.mono(), 1);
        self.holds.release(event);
        self.processes.release(event, process);
        let remote = DestinationKey::of(event);
        self.destinations.release(remote, event);
        let scope = self.scopes.place(event);
        if let (Some(scope), Some(port)) = (self.scopes.at(scope), event.local_port()) {
            scope.close(port.get(), holds::closed_at(event));
        }
        self.reuse.release(event, remote);
        if event.protocol() == Protocol::Tcp
            && let Some(step) = self.bound.release(event)
        {
            self.processes.bound(event, process, step);
        }
    }
}
