//! The last events, for a screen.

use std::collections::VecDeque;

use crate::event::{Event, decode};

/// Events of each kind that are kept: 128 bytes each.
const MOST: usize = 1_000;

/// The last events, failures kept apart: a burst of ports that were given must not push out those that were refused.
#[derive(Debug, Default)]
pub struct Recent {
    given: VecDeque<Event>,
    refused: VecDeque<Event>,
}

impl Recent {
    /// Keeps an event of the ring, and lets the oldest of its kind go.
    pub fn note(&mut self, record: &[u8]) {
        let Ok(event) = decode(record) else { return };
        if event.self_test() || event.names_leader() {
            return;
        }
        let kept = if event.failed() { &mut self.refused } else { &mut self.given };
        if kept.len() == MOST {
            kept.pop_front();
        }
        kept.push_back(event);
    }

    /// The last ones, the newest first; with `failed` those alone.
    pub fn newest(&self, failed: bool) -> impl Iterator<Item = &Event> {
        let given = if failed { None } else { Some(self.given.iter().rev()) };
        let (mut given, mut refused) =
            (given.into_iter().flatten().peekable(), self.refused.iter().rev().peekable());
        std::iter::from_fn(move || {
            let is_given_next = match (given.peek(), refused.peek()) {
                (Some(one), Some(other)) => one.mono() > other.mono(),
                (one, _) => one.is_some(),
            };
            if is_given_next { given.next() } else { refused.next() }
        })
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{Record, present};
    use zerocopy::IntoBytes as _;

    use super::*;

    fn note(recent: &mut Recent, mono_ns: u64, error: u8) {
        let record =
            Record { mono_ns, error, protocol: 6, family: 4, present: present::ERROR, ..Record::default() };
        recent.note(record.as_bytes());
    }

    fn times(recent: &Recent, failed: bool) -> Vec<u64> {
        recent.newest(failed).map(|event| event.mono().0).collect()
    }

    #[test]
    fn both_kinds_come_in_the_order_of_their_time_the_newest_first() {
        let mut recent = Recent::default();
        for (at, error) in [(1, 0), (2, 99), (3, 0), (4, 99), (5, 99)] {
            note(&mut recent, at, error);
        }
        assert_eq!(times(&recent, false), [5, 4, 3, 2, 1]);
        assert_eq!(times(&recent, true), [5, 4, 2]);
    }

    #[test]
    fn a_burst_of_given_ports_pushes_no_refusal_out() {
        let mut recent = Recent::default();
        note(&mut recent, 1, 99);
        (2..10_000).for_each(|at| note(&mut recent, at, 0));
        assert_eq!(times(&recent, true), [1]);
        assert_eq!(times(&recent, false).len(), MOST + 1);
    }
}
