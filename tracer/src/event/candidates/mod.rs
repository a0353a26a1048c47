//! What a search tells: candidates, collisions, and whether it had to cross to the other half.
//!
//! Derived, not measured: the inner loop of a search may run 28,000 times, so nothing is attached there unless that is
//! asked for. What it then tells of a bind can be derived from nothing else.

use tracer_ebpf::abi::Met;

use crate::event::{
    Cause, Event, Kind, Options, Outcome, PortRange, Protocol, Reserved, Site, Stride,
    walk::{Step, examined, examined_in_vain},
};

/// What one search went through; none wherever it cannot be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Ports that it looked at, the reserved ones that it skipped and the chosen one included.
    pub candidates: Option<u32>,
    /// Whether `candidates` is exact: another search on the same table entry may have overlapped.
    pub candidates_exact: Option<bool>,
    /// Candidates rejected because somebody has them; reserved ports are skipped, not rejected.
    pub collisions: Option<u32>,
    /// Whether it went through one half in vain and took, or tried, the other.
    pub crossed_half: Option<bool>,
}

/// What must be known of the kernel and of the socket's namespace to understand a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchRules<'a> {
    /// `ip_local_reserved_ports`; none where it could not be read, and then collisions are not known.
    pub reserved: Option<&'a Reserved>,
    /// Connects with `IP_LOCAL_PORT_RANGE` take every port in turn (Linux 6.8 and later).
    pub range_takes_every_port: bool,
    /// `ip_local_port_step_width` is not 0: connects stride at random.
    pub step_width: bool,
}

/// How a site goes through its range.
#[derive(Clone, Copy)]
enum Walk {
    /// Two halves, that of the low end's parity first; the start is known.
    Connect(Step),
    /// Two halves, the other parity first; the start is random.
    Bind,
    /// All ports in an order of no consequence.
    Scattered,
}

impl Walk {
    fn of(event: &Event, site: Site, rules: &SearchRules<'_>) -> Option<Self> {
        match (event.protocol(), site) {
            (Protocol::Tcp | Protocol::Dccp, Site::Connect) => {
                // Without a look at the options the socket may have a range of its own.
                let own_range = match event.options() {
                    Some(options) => options.contains(Options::PORT_RANGE),
                    None if rules.range_takes_every_port => return None,
                    None => false,
                };
                match (own_range && rules.range_takes_every_port, rules.step_width) {
                    (_, true) => None,
                    (true, false) => Some(Self::Connect(Step::Every)),
                    (false, false) => Some(Self::Connect(Step::Parity)),
                }
            }
            (Protocol::Tcp | Protocol::Dccp, Site::Bind | Site::Listen) => Some(Self::Bind),
            (Protocol::Udp | Protocol::UdpLite | Protocol::Sctp, _) => Some(Self::Scattered),
            _ => None,
        }
    }
}

/// How the searches of choices that are alike go, where that is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// A TCP connect in a range of an even number of ports, none of them reserved.
    Halves {
        /// The first port.
        low: u16,
        /// How many.
        ports: u32,
    },
    /// A choice of which nothing but the port is known: a bind of TCP tells by it whether it crossed.
    Port {
        /// The range that it goes through.
        range: PortRange,
        /// Whether it has halves.
        halves: bool,
    },
}

impl Course {
    /// The course of the searches of all choices like this one; none where each has its own.
    #[must_use]
    pub fn of(event: &Event, rules: &SearchRules<'_>) -> Option<Self> {
        // What each of them met is told by itself alone.
        if event.is_counted() {
            return None;
        }
        if let Some([low, _, high]) = event.plain_connect() {
            return Self::halves(low, high, rules);
        }
        let (Kind::Allocation(site), Some(range)) = (event.kind(), event.range()) else { return None };
        match Walk::of(event, site, rules)? {
            Walk::Connect(_) => None,
            Walk::Bind => Some(Self::Port { range, halves: range.count() > 1 }),
            Walk::Scattered => Some(Self::Port { range, halves: false }),
        }
    }

    #[inline]
    fn halves(low: u16, high: u16, rules: &SearchRules<'_>) -> Option<Self> {
        let usual = !rules.step_width && rules.reserved.is_some_and(Reserved::is_empty);
        let ports = u32::from(high.checked_sub(low)?).wrapping_add(1);
        (usual && ports & 1 == 0).then_some(Self::Halves { low, ports })
    }

    /// Whether candidates and collisions are known of these searches, and whether they have halves.
    #[must_use]
    #[inline]
    pub const fn knows(self) -> (bool, bool) {
        match self {
            Self::Halves { .. } => (true, true),
            Self::Port { halves, .. } => (false, halves),
        }
    }

    /// Collisions of a search that found this port, 0 where they are not known, and whether it had crossed to the
    /// other half; none where it cannot have met that port.
    #[must_use]
    #[inline]
    pub fn walk(self, start: u32, port: u16) -> Option<(u32, bool)> {
        match self {
            Self::Halves { low, ports } => {
                let offset = u32::from(port).wrapping_sub(u32::from(low));
                if offset >= ports {
                    return None;
                }
                // Each round goes through one half, from the place where both begin.
                let half = ports >> 1;
                let first = start.checked_rem(ports).unwrap_or(0) >> 1;
                let place = offset >> 1;
                let ahead = if place < first { place.wrapping_add(half) } else { place }.wrapping_sub(first);
                let crossed = offset & 1 == 1;
                Some((ahead.wrapping_add(if crossed { half } else { 0 }), crossed))
            }
            Self::Port { range, halves } => {
                range.contains(port).then_some((0, halves && (port ^ range.low()) & 1 == 0))
            }
        }
    }

    /// What a search that found this port went through; none where it cannot have met it.
    #[must_use]
    #[inline]
    pub fn search(self, start: u32, port: u16, exact: bool) -> Option<Search> {
        let (collisions, crossed) = self.walk(start, port)?;
        let (counted, halves) = self.knows();
        Some(Search {
            candidates: counted.then_some(collisions.wrapping_add(1)),
            candidates_exact: counted.then_some(exact),
            collisions: counted.then_some(collisions),
            crossed_half: halves.then_some(crossed),
        })
    }
}

impl Search {
    /// Derives what the search of an allocation went through; all none for other events.
    #[must_use]
    #[inline]
    pub fn of(event: &Event, rules: &SearchRules<'_>) -> Self {
        Self::plain(event, rules).unwrap_or_else(|| Self::any(event, rules))
    }

    /// The usual case of [`Search::any`], in a fifth of its instructions.
    #[inline]
    fn plain(event: &Event, rules: &SearchRules<'_>) -> Option<Self> {
        let [low, port, high] = event.plain_connect()?;
        let course = Course::halves(low, high, rules)?;
        course.search(event.search_start()?, port, event.exact())
    }

    fn any(event: &Event, rules: &SearchRules<'_>) -> Self {
        let (Kind::Allocation(site), Some(range)) = (event.kind(), event.range()) else {
            return Self::default();
        };
        let Some(walk) = Walk::of(event, site, rules) else {
            return Self::default();
        };
        match event.result() {
            Outcome::Ok => Self::found(event, walk, range, rules),
            // Without that cause the search may have been given up half way, for want of memory.
            Outcome::Failed { .. } if event.cause() == Some(Cause::Exhausted) => {
                Self::in_vain(event, walk, range, rules)
            }
            Outcome::Failed { .. } => Self::default(),
        }
    }

    fn found(event: &Event, walk: Walk, range: PortRange, rules: &SearchRules<'_>) -> Self {
        let Some(port) = event.local_port().filter(|port| range.contains(port.get())) else {
            return Self::default();
        };
        let same_parity = (port.get() ^ range.low()) & 1 == 0;
        let halves = range.count() > 1;
        match walk {
            Walk::Connect(step) => {
                let seen = event
                    .search_start()
                    .and_then(|start| examined(start, port.get(), range, step, rules.reserved));
                Self {
                    candidates: seen.map(|seen| seen.candidates),
                    candidates_exact: seen.map(|_| event.exact()),
                    collisions: seen.and_then(|seen| seen.collisions(true)),
                    crossed_half: (halves && step == Step::Parity).then_some(!same_parity),
                }
            }
            Walk::Bind => Self {
                collisions: rejected(event),
                crossed_half: halves.then_some(same_parity),
                ..Self::default()
            },
            Walk::Scattered => Self::default(),
        }
    }

    fn in_vain(event: &Event, walk: Walk, range: PortRange, rules: &SearchRules<'_>) -> Self {
        let ports = range.count();
        let step = match walk {
            Walk::Connect(step) => step,
            Walk::Bind => Step::Parity,
            Walk::Scattered => Step::Every,
        };
        // Every start gives the same number of candidates.
        let any = examined_in_vain(event.search_start().unwrap_or(0), range, step, rules.reserved);
        let start_matters = step == Step::Parity && ports & 1 == 1 && ports > 3;
        let start_known = event.search_start().is_some() && matches!(walk, Walk::Connect(_));
        let collisions = if start_matters && !start_known {
            rules.reserved.and_then(|reserved| all_but_one(range, reserved))
        } else {
            any.collisions(false)
        };
        Self {
            candidates: Some(any.candidates),
            candidates_exact: Some(true),
            collisions: rejected(event).or(collisions),
            crossed_half: (ports > 1 && !matches!(walk, Walk::Scattered) && step == Step::Parity)
                .then_some(true),
        }
    }
}

/// How many candidates a bind or listen was seen to reject.
fn rejected(event: &Event) -> Option<u32> {
    match event.met()? {
        Met::Port { bucket } => Some(bucket),
        Met::Connect { .. } => None,
    }
}

/// Unreserved ports that a search through an odd number of them looked at, all but one; none where that hangs
/// on which one it left out: the first, the last, or (bind with `SO_REUSEADDR`) the first of the upper half.
fn all_but_one(range: PortRange, reserved: &Reserved) -> Option<u32> {
    let upper = range.low().saturating_add(u16::try_from(range.count() >> 2 << 1).ok()?);
    let first = reserved.contains(range.low());
    if reserved.contains(range.high()) != first || reserved.contains(upper) != first {
        return None;
    }
    let free = range.count().checked_sub(reserved.count(range.low(), range.high(), Stride::Every))?;
    if first { Some(free) } else { free.checked_sub(1) }
}

#[cfg(test)]
mod tests;
