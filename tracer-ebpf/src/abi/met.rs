//! What the inner loop of a search met, in the places of a record that no choice of the kernel's fills.
//!
//! A port that the kernel chose was not asked for, ends no hold, and has no more than seven options; the start of a search is
//! known of connects alone. A record with [`flags::COUNTED`] has counts there in place of zeros.

use super::{Record, flags, kind};

/// Candidates that a TCP search rejected, as the kernel's own functions told while it searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A connect: those whose 4-tuple is in use. Those that a bind has are passed over without a call.
    Connect {
        /// All of them.
        tuple: u16,
        /// Of these, those that a TIME_WAIT has.
        waiting: u16,
    },
    /// A bind or a listen: those that conflict, all of them bound.
    Port {
        /// How often a candidate was rejected.
        bucket: u32,
    },
}

impl Record {
    /// Notes the counts in the record of a choice of the kernel's.
    #[inline(always)]
    pub fn note_met(&mut self, met: Met) {
        self.flags |= flags::COUNTED;
        match met {
            Met::Connect { tuple, waiting } => {
                let [low, high] = waiting.to_le_bytes();
                self.requested_port = tuple;
                self.state = low;
                self.options |= u16::from_le_bytes([0, high]);
            }
            Met::Port { bucket } => self.search_start = bucket,
        }
    }

    /// The counts; none where nothing was counted.
    #[must_use]
    #[inline]
    pub const fn met(&self) -> Option<Met> {
        if self.flags & flags::COUNTED == 0 {
            return None;
        }
        match self.kind {
            kind::CONNECT => {
                let [_, high] = self.options.to_le_bytes();
                Some(Met::Connect {
                    tuple: self.requested_port,
                    waiting: u16::from_le_bytes([self.state, high]),
                })
            }
            kind::BIND | kind::LISTEN => Some(Met::Port { bucket: self.search_start }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_and_leave_the_options_alone() {
        for (tuple, waiting) in [(0, 0), (1, 1), (65_535, 65_535), (28_232, 300), (700, 255)] {
            let mut record = Record { kind: kind::CONNECT, options: 0x7f, ..Record::default() };
            assert_eq!(record.met(), None);
            record.note_met(Met::Connect { tuple, waiting });
            assert_eq!(record.met(), Some(Met::Connect { tuple, waiting }));
            assert_eq!(record.options & 0xff, 0x7f);
        }
        for kind in [kind::BIND, kind::LISTEN] {
            let mut record = Record { kind, ..Record::default() };
            record.note_met(Met::Port { bucket: 131_070 });
            assert_eq!(record.met(), Some(Met::Port { bucket: 131_070 }));
        }
    }
}
