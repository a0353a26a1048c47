//! Collisions by kind, of the searches whose inner loop was watched.

use crate::event::{Event, Kinds, Search};

/// Sums over searches that were counted; merged exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSums {
    /// How many were counted.
    pub searches: u64,
    /// Candidates whose 4-tuple was in use.
    pub tuple: u64,
    /// Of these, those that a TIME_WAIT had.
    pub time_wait: u64,
    /// Candidates that a bind had, of the searches of which that is known.
    pub bucket: u64,
    /// Searches of which that is known.
    pub bucket_known: u64,
}

impl KindSums {
    fn take(&mut self, kinds: Kinds) {
        self.searches += 1;
        self.tuple += u64::from(kinds.tuple);
        self.time_wait += u64::from(kinds.time_wait);
        self.bucket += u64::from(kinds.bucket.unwrap_or(0));
        self.bucket_known += u64::from(kinds.bucket.is_some());
    }

    fn merge(&mut self, other: Self) {
        self.searches += other.searches;
        self.tuple += other.tuple;
        self.time_wait += other.time_wait;
        self.bucket += other.bucket;
        self.bucket_known += other.bucket_known;
    }
}

/// Collisions by kind of all searches that were counted, those that failed apart: they are in no mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollisionKinds {
    /// Of those that found a port.
    pub found: KindSums,
    /// Of those that failed.
    pub failed: KindSums,
}

impl CollisionKinds {
    #[inline]
    pub(super) fn take(&mut self, event: &Event, search: &Search) {
        if let Some(kinds) = Kinds::of(event, search) {
            if event.failed() { &mut self.failed } else { &mut self.found }.take(kinds);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.found.merge(other.found);
        self.failed.merge(other.failed);
    }
}
