//! From the kernel's monotonic clock to the time of day.

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::event::MonoNs;

/// Nanoseconds since 1970 in UTC, 1677 to 2262.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcNs(pub i64);

/// What must be added to `CLOCK_MONOTONIC` for the time of day, as it was when sampled.
///
/// The time of day may be set, and is slewed; whoever runs for long samples again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    offset_ns: i64,
}

/// How many times both clocks are read; the tightest pair of readings counts.
const ATTEMPTS: u32 = 5;

impl Clock {
    /// Reads both clocks of this machine.
    #[must_use]
    pub fn sample() -> Self {
        let tightest = (0..ATTEMPTS)
            .map(|_| {
                let before = nanoseconds(clock_gettime(ClockId::Monotonic));
                let utc = nanoseconds(clock_gettime(ClockId::Realtime));
                let after = nanoseconds(clock_gettime(ClockId::Monotonic));
                (after - before, utc - before.midpoint(after))
            })
            .min_by_key(|(gap, _)| *gap);
        Self { offset_ns: tightest.map_or(0, |(_, offset)| offset) }
    }

    /// A clock of this offset, in nanoseconds: of a recording, or of a test.
    #[must_use]
    pub const fn with_offset(offset_ns: i64) -> Self {
        Self { offset_ns }
    }

    /// The offset in nanoseconds.
    #[must_use]
    pub const fn offset_ns(self) -> i64 {
        self.offset_ns
    }

    /// The time of day of a monotonic time.
    #[must_use]
    pub const fn utc(self, mono: MonoNs) -> UtcNs {
        UtcNs(self.offset_ns.saturating_add_unsigned(mono.0))
    }
}

/// The monotonic time now.
#[must_use]
pub fn monotonic_now() -> MonoNs {
    MonoNs(u64::try_from(nanoseconds(clock_gettime(ClockId::Monotonic))).unwrap_or(0))
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_agree_within_ten_milliseconds() {
        let gap = Clock::sample().offset_ns() - Clock::sample().offset_ns();
        assert!(gap.abs() < 10_000_000, "{gap}");
    }

    #[test]
    fn the_offset_is_added_and_never_overflows() {
        assert_eq!(Clock::with_offset(5).utc(MonoNs(7)), UtcNs(12));
        assert_eq!(Clock::with_offset(-5).utc(MonoNs(0)), UtcNs(-5));
        assert_eq!(Clock::with_offset(5).utc(MonoNs(u64::MAX)), UtcNs(i64::MAX));
    }
}
