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
