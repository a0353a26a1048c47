//! Allocations that are alike, added up before they go into the sums and rows.
//!
//! An event touches two rows and the sums of its site; most come from few sources, and what they have in common
//! can be added once for many of them.

use super::{
    ratio::SECOND_NS,
    rows::DestinationKey,
    scope::Owner,
    search::{Length, SearchSums},
    sums::{Known, Sums, Times},
};
use crate::{
    enrich::Process,
    event::{Choice, Course, Event, Glimpse, MonoNs, PortRange, Protocol, Search, Site},
};

/// Allocations that a run holds: not more than the ports that a row keeps one by one.
const LONGEST: usize = 32;
/// Runs that are open at the same time.
const PLACES: usize = 64;
/// Bits of a number of a place.
const PLACE_BITS: u32 = PLACES.trailing_zeros();

/// Allocations of a source in a row from which on it has a run.
const WORTH_A_RUN: u8 = 4;
/// Runs that may begin before all are folded.
const MOST_BEGUN: usize = 4 * PLACES;

/// Allocations at one site, of one process and to one peer, within one second of the clock; all failed, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// One of them: what it shares with the others may be asked of it.
    pub(super) event: &'a Event,
    pub(super) process: &'a Process,
    pub(super) site: Site,
    pub(super) remote: Option<DestinationKey>,
    pub(super) scope: Option<usize>,
    pub(super) second: u64,
    pub(super) count: u32,
    pub(super) failed: bool,
    pub(super) first: MonoNs,
    pub(super) last: MonoNs,
    /// Sum of their times.
    pub(super) at_sum: u128,
    pub(super) sums: &'a SearchSums,
    /// The ports that were given.
    pub(super) ports: &'a [u16],
    /// Of those that found a port and were timed.
    pub(super) lengths: &'a [Length],
    /// The port of the first of them, if it was found in the first half.
    pub(super) first_port: Option<u16>,
}

/// What of a run is the same for all that are in it.
#[derive(Clone, Debug)]
struct Source {
    event: Event,
    process: Process,
    site: Site,
    trail: Trail,
}

/// What hangs on the order of allocations, and is therefore followed one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trail {
    pub(super) scope: Option<usize>,
    pub(super) owner: Option<Owner>,
    pub(super) range: Option<PortRange>,
    pub(super) remote: Option<DestinationKey>,
}

/// How searches go, and so what is known of each.
#[derive(Clone, Copy, Debug)]
struct Expected {
    course: Course,
    known: Known,
}

/// A run: successful allocations of one source.
#[derive(Clone, Debug)]
pub(super) struct Run {
    source: Source,
    /// How the searches of more like it go; none until an event of this batch told.
    expected: Option<Expected>,
    second: u64,
    times: Times,
    sums: Sums,
    /// Whether the first of them was found in the first half.
    stayed_first: bool,
    len: usize,
    ports: [u16; LONGEST],
    lengths: [Length; LONGEST],
}

impl Run {
    /// One without an allocation yet.
    pub(super) fn new(event: &Event, process: &Process, site: Site, scope: Option<usize>) -> Self {
        let source = Source {
            event: *event,
            process: process.clone(),
            site,
            trail: Trail {
                scope,
                owner: Owner::of(event),
                range: event.range(),
                remote: DestinationKey::of(event),
            },
        };
        Self {
            source,
            expected: None,
            second: 0,
            len: 0,
            times: Times::NONE,
            sums: Sums::default(),
            stayed_first: false,
            ports: [0; LONGEST],
            lengths: [Length::default(); LONGEST],
        }
    }

    /// Takes more like this event without a look at what they share with it.
    pub(super) fn foresee(&mut self, event: &Event, course: Course) {
        self.source.event = *event;
        let known = Known::new(course.knows(), event.search_upper_bound());
        self.expected = Some(Expected { course, known });
    }

    /// Takes no more without that look.
    pub(super) fn foresee_none(&mut self) {
        self.expected = None;
    }

    /// Whether its ports are bound by it.
    #[inline]
    pub(super) fn is_bind(&self) -> bool {
        matches!(self.source.site, Site::Bind | Site::Listen) && self.source.event.protocol() == Protocol::Tcp
    }

    /// Its event, of which all may be asked but the choice.
    pub(super) const fn event(&self) -> &Event {
        &self.source.event
    }

    #[inline]
    pub(super) fn is_of(&self, event: &Event, process: &Process) -> bool {
        event.is_of_source_of(&self.source.event) && process.is(&self.source.process)
    }

    /// What must be known to follow its ports.
    #[inline]
    pub(super) const fn trail(&self) -> &Trail {
        &self.source.trail
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= LONGEST
    }

    /// Takes an allocation of this source, in the second of those that are in it.
    pub(super) fn take(
        &mut self,
        port: u16,
        search_ns: u32,
        upper_bound: bool,
        search: &Search,
        now: Instant,
    ) {
        self.sums.add(search_ns, search, upper_bound);
        if self.len == 0 {
            self.stayed_first = search.crossed_half == Some(false);
        }
        self.put(port, Length::new(search_ns, search.crossed_half == Some(true)), now);
    }

    /// Takes a choice that differs from what was expected in nothing but the choice itself; whether it is one.
    #[inline]
    pub(super) fn take_expected(&mut self, glimpse: Glimpse<'_>, choice: &Choice, now: Instant) -> bool {
        let Some(Expected { course, known }) = self.expected else { return false };
        if !glimpse.is_like(&self.source.event) {
            return false;
        }
        let Some((collisions, crossed)) = course.walk(choice.search_start, choice.port.get()) else {
            return false;
        };
        self.sums.add_known(choice.search_ns, known, collisions, crossed, choice.exact);
        if self.len == 0 {
            self.stayed_first = course.knows().1 && !crossed;
        }
        self.put(choice.port.get(), Length::new(choice.search_ns, crossed), now);
        true
    }

    #[inline]
    fn put(&mut self, port: u16, length: Length, now: Instant) {
        if let (Some(at), Some(slot)) = (self.ports.get_mut(self.len), self.lengths.get_mut(self.len)) {
            *at = port;
            *slot = length;
            self.second = now.second;
            self.len += 1;
            self.times.add(now.since_ns);
        }
    }

    /// Adds up what is in it, and forgets it.
    pub(super) fn fold(&mut self, add: impl FnOnce(&Part<'_>)) {
        let (Some(ports), Some(lengths)) = (self.ports.get(..self.len), self.lengths.get(..self.len)) else {
            return;
        };
        let Some(first_port) = ports.first() else { return };
        let start = self.second * SECOND_NS;
        let count = u32::try_from(self.len).unwrap_or(u32::MAX);
        let Source { event, process, site, trail, .. } = &self.source;
        add(&Part {
            event,
            process,
            site: *site,
            remote: trail.remote,
            scope: trail.scope,
            second: self.second,
            count,
            failed: false,
            first: MonoNs(start + u64::from(self.times.first)),
            last: MonoNs(start + u64::from(self.times.last)),
            at_sum: u128::from(start) * u128::from(count) + u128::from(self.times.sum),
            sums: &self.sums.total(count.into()),
            ports,
            lengths,
            first_port: self.stayed_first.then_some(*first_port),
        });
        self.len = 0;
        self.times = Times::NONE;
        self.sums = Sums::default();
    }
}

/// A time of the clock as its second and what is beyond it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Instant {
    pub(super) second: u64,
    pub(super) since_ns: u32,
}

/// The runs that are open, all of one second.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    places: Vec<Option<Box<Run>>>,
    /// By place: the source without a run that came last, and how often in a row.
    asked: Vec<(u64, u8)>,
    /// Places of runs that are not empty, in the order in which they began; some of them are empty by now.
    begun: Vec<u8>,
    second: u64,
    /// When that second began.
    start_ns: u64,
}

impl Runs {
    pub(super) fn new() -> Self {
        Self {
            places: vec![None; PLACES],
            asked: vec![(0, 0); PLACES],
            begun: Vec::new(),
            second: 0,
            start_ns: 0,
        }
    }

    /// The time within the second of the runs; none where it is not in it.
    #[inline]
    pub(super) fn within(&self, at: MonoNs) -> Option<Instant> {
        let since_ns = at.0.wrapping_sub(self.start_ns);
        let since_ns = u32::try_from(since_ns).ok().filter(|_| since_ns < SECOND_NS)?;
        Some(Instant { second: self.second, since_ns })
    }

    /// Goes on to the second of a later time; the runs are empty.
    pub(super) fn turn(&mut self, at: MonoNs) -> Option<Instant> {
        if at.0 < self.start_ns {
            return None;
        }
        self.second = at.0 / SECOND_NS;
        self.start_ns = self.second * SECOND_NS;
        self.within(at)
    }

    /// Where the run of a source is, if there is one.
    #[inline]
    #[expect(clippy::as_conversions, reason = "six bits")]
    pub(super) const fn place(source: u64) -> u8 {
        (source >> (u64::BITS - PLACE_BITS)) as u8
    }

    /// Whether a source without a run has come often enough in a row to be given one: for one that comes now and
    /// then, a run is more work than none.
    #[inline]
    pub(super) fn is_worth_a_run(&mut self, place: u8, source: u64) -> bool {
        let Some((asked, times)) = self.asked.get_mut(usize::from(place)) else { return false };
        *times = if *asked == source { times.saturating_add(1) } else { 1 };
        *asked = source;
        *times >= WORTH_A_RUN
    }

    #[inline]
    pub(super) fn at(&mut self, place: u8) -> Option<&mut Run> {
        self.places.get_mut(usize::from(place))?.as_deref_mut()
    }

    /// The run of a place, to be given back by [`Self::put`].
    pub(super) fn lift(&mut self, place: u8) -> Option<Box<Run>> {
        self.places.get_mut(usize::from(place))?.take()
    }

    pub(super) fn put(&mut self, place: u8, run: Box<Run>) {
        if let Some(slot) = self.places.get_mut(usize::from(place)) {
            *slot = Some(run);
        }
    }

    /// Notes that a run begins.
    #[inline]
    pub(super) fn begin(&mut self, place: u8) {
        self.begun.push(place);
    }

    /// Whether so many have begun that they had better be folded.
    #[inline]
    pub(super) const fn are_many(&self) -> bool {
        self.begun.len() >= MOST_BEGUN
    }

    /// Whether there is no run with an allocation in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.begun.is_empty()
    }

    /// The places of the runs that have begun, which are to be folded now.
    pub(super) fn begun(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }
}
