//! Collisions of one search by kind, where its inner loop was watched (`--count-collisions`).

use tracer_ebpf::abi::Met;

use super::{Event, Search};

/// What a TCP search met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Candidates that a bind had: of a connect, what its collisions are beside the counted ones. None where the collisions
    /// are not known, or are those of another search.
    pub bucket: Option<u32>,
    /// Candidates whose 4-tuple was in use: exact. A bind meets none.
    pub tuple: u32,
    /// Of these, those that a TIME_WAIT had: exact.
    pub time_wait: u32,
}

impl Kinds {
    /// Those of an allocation; none where nothing was counted.
    #[must_use]
    #[inline]
    pub fn of(event: &Event, search: &Search) -> Option<Self> {
        Some(match event.met()? {
            Met::Connect { tuple, waiting } => {
                let tuple = u32::from(tuple);
                let all = search.collisions.filter(|_| search.candidates_exact == Some(true));
                let bucket = all.and_then(|all| all.checked_sub(tuple));
                Self { bucket, tuple, time_wait: waiting.into() }
            }
            Met::Port { bucket } => Self { bucket: Some(bucket), ..Self::default() },
        })
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{Record, flags, kind, present};
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::event::{Options, Reserved, SearchRules, decode};

    /// A search of 40,000 to 40,039 that began at the first of them.
    fn found(kind: u8, port: u16, flags: u8, met: Met) -> (Option<u32>, Option<Kinds>) {
        let seen = present::ERROR | present::RANGE | present::OPTIONS;
        let start = if kind == kind::CONNECT { present::SEARCH_START } else { 0 };
        let mut record = Record {
            kind,
            flags,
            protocol: 6,
            family: 4,
            local_port: port,
            range_low: 40_000,
            range_high: 40_039,
            present: seen | start,
            error: if port != 0 {
                0
            } else if kind == kind::CONNECT {
                99
            } else {
                98
            },
            ..Record::default()
        };
        record.note_met(met);
        let event = decode(record.as_bytes()).unwrap();
        assert_eq!((event.requested_port(), event.options().map(Options::bits)), (None, Some(0)));
        let reserved = Reserved::from_ports([40_002]);
        let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
        let search = Search::of(&event, &rules);
        (search.collisions, Kinds::of(&event, &search))
    }

    #[test]
    fn what_a_connect_was_not_asked_about_is_bound() {
        let met = Met::Connect { tuple: 3, waiting: 2 };
        let kinds = |bucket| Some(Kinds { bucket, tuple: 3, time_wait: 2 });
        // 40,000 to 40,018, without the reserved one and the one that was given.
        assert_eq!(found(kind::CONNECT, 40_018, flags::CANDIDATES_EXACT, met), (Some(8), kinds(Some(5))));
        assert_eq!(found(kind::CONNECT, 0, 0, met), (Some(39), kinds(Some(36))));
        // Another search may have moved the start: what was counted holds, the difference does not.
        assert_eq!(found(kind::CONNECT, 40_018, 0, met), (Some(8), kinds(None)));
        // More was counted than there can have been.
        assert_eq!(found(kind::CONNECT, 40_004, flags::CANDIDATES_EXACT, met), (Some(1), kinds(None)));
    }

    #[test]
    fn all_that_a_bind_met_is_bound() {
        let met = Met::Port { bucket: 7 };
        let kinds = Some(Kinds { bucket: Some(7), ..Kinds::default() });
        for kind in [kind::BIND, kind::LISTEN] {
            assert_eq!(found(kind, 40_001, 0, met), (Some(7), kinds));
            assert_eq!(found(kind, 0, 0, Met::Port { bucket: 39 }).0, Some(39));
        }
    }
}
