//! Counts by errno.

use crate::event::Errno;

/// How many failures had which errno; none stands for one that could not be seen.
///
/// Failures come with one or two errnos: a short sorted list, nothing on the heap while there is no failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByErrno(Vec<(Option<Errno>, u64)>);

impl ByErrno {
    /// Adds `count` failures.
    pub(super) fn add(&mut self, errno: Option<Errno>, count: u64) {
        match self.0.binary_search_by_key(&errno, |(errno, _)| *errno) {
            Ok(at) => {
                if let Some((_, sum)) = self.0.get_mut(at) {
                    *sum += count;
                }
            }
            Err(at) => self.0.insert(at, (errno, count)),
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (errno, count) in other.iter() {
            self.add(errno, count);
        }
    }

    /// How many had this errno.
    #[must_use]
    pub fn of(&self, errno: Option<Errno>) -> u64 {
        self.iter().find(|(one, _)| *one == errno).map_or(0, |(_, count)| count)
    }

    /// Errnos and counts, the unseen first, then in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Option<Errno>, u64)> + '_ {
        self.0.iter().copied()
    }
}
