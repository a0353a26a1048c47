//! How long ports are held, and what rate a range can sustain.

use super::ratio::{SECOND_NS, real, real_wide, seconds, share};
use crate::event::{Event, Kind, MonoNs, ReleaseState};

/// How long a TIME_WAIT lasts: `TCP_TIMEWAIT_LEN`, fixed in Linux.
pub const TIME_WAIT_NS: u64 = 60 * SECOND_NS;

/// Connections that sit in TIME_WAIT at the end of the window, which no release has told of yet; from the
/// stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWaits {
    /// How many of them were allocated in the window.
    pub count: u64,
    /// Nanoseconds since each was closed, summed: 60 s less what its timer shows.
    pub age_ns: u128,
}

/// Mean hold and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    /// Seconds from allocation to close: socket-seconds exposed ÷ closes (Ŵ_life).
    pub life_s: f64,
    /// Share of the closes that went to TIME_WAIT, so that this end had closed first (p_tw).
    pub time_wait_share: f64,
    /// Seconds until the port can be given again: Ŵ = Ŵ_life + p_tw · T_tw.
    pub hold_s: f64,
    /// Closes that all this rests on.
    pub closes: u64,
}

/// What the stock at both ends of a window and the allocations between tell of holds, where no release is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ends {
    /// Allocations that succeeded.
    pub given: u64,
    /// Sockets that were open at the beginning: in any state but TIME_WAIT.
    pub open_before: u64,
    /// Sockets that are open at the end.
    pub open_after: u64,
    /// TIME_WAITs at the end that began in the window: of all of it, or of its last minute.
    pub waiting: u64,
    /// How long a TIME_WAIT bars its port here, in seconds.
    pub wait_s: f64,
    /// Length of the window in nanoseconds.
    pub window_ns: u64,
}

impl Ends {
    /// The mean hold: closes are what was given or open before and is not open any more, and the sockets open
    /// between are taken to have changed evenly. None where no close was seen.
    #[must_use]
    pub fn hold(&self) -> Option<Hold> {
        let closes =
            (self.given + self.open_before).checked_sub(self.open_after).filter(|closes| *closes != 0)?;
        let open = f64::midpoint(real(self.open_before), real(self.open_after));
        let life_s = open * seconds(self.window_ns) / real(closes);
        let seen = share(self.window_ns.min(TIME_WAIT_NS), self.window_ns)?;
        let time_wait_share = (real(self.waiting) / (real(closes) * seen)).min(1.0);
        Some(Hold { life_s, time_wait_share, hold_s: life_s + time_wait_share * self.wait_s, closes })
    }
}

impl Hold {
    /// Allocations per second that `ports` can sustain: N ÷ Ŵ. None of a hold of no length.
    #[must_use]
    pub fn sustainable_per_s(&self, ports: u32) -> Option<f64> {
        (self.hold_s > 0.0).then(|| f64::from(ports) / self.hold_s)
    }

    /// Allocations per second before the first half is full: N ÷ 2Ŵ. Of no meaning where a search knows no
    /// halves. None of a hold of no length.
    #[must_use]
    pub fn cliff_per_s(&self, ports: u32) -> Option<f64> {
        self.sustainable_per_s(ports).map(|rate| rate / 2.0)
    }
}

/// Holds of one scope, as sums that add up: merged exactly.
///
/// Fed by successful allocations and by releases; a release that was never seen counts as a socket still open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    opened: u64,
    opened_at: u128,
    closed: u64,
    closed_at: u128,
    time_waits: u64,
    /// TIME_WAITs that ended early, and when their sockets were opened: both count as never opened.
    cut_short: u64,
    cut_opened_at: u128,
}

impl Holds {
    /// So many were opened, at times of this sum.
    #[inline]
    pub(super) fn open(&mut self, count: u64, at_sum: u128) {
        self.opened += count;
        self.opened_at += at_sum;
    }

    #[inline]
    pub(super) fn release(&mut self, event: &Event) {
        let Kind::Release(state) = event.kind() else { return };
        let at = event.mono();
        if state == ReleaseState::TimeWait {
            self.time_waits += 1;
            if let Some(held) = event.held_ns().filter(|held| *held < TIME_WAIT_NS) {
                // A reuse or a purge ended it early, and when it had begun is not known.
                self.cut_short += 1;
                self.cut_opened_at += u128::from(at.0.saturating_sub(held));
                return;
            }
        }
        self.closed += 1;
        self.closed_at += u128::from(closed_at(event).0);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.opened_at += other.opened_at;
        self.closed += other.closed;
        self.closed_at += other.closed_at;
        self.time_waits += other.time_waits;
        self.cut_short += other.cut_short;
        self.cut_opened_at += other.cut_opened_at;
    }

    /// Releases that were seen.
    #[must_use]
    pub const fn releases(&self) -> u64 {
        self.closed + self.cut_short
    }

    /// Releases that were the end of a TIME_WAIT.
    #[must_use]
    pub const fn time_waits(&self) -> u64 {
        self.time_waits
    }

    /// TIME_WAITs that ended within 60 s of the allocation: reused or purged, and left out of the hold, since
    /// nothing tells when they began.
    #[must_use]
    pub const fn cut_short(&self) -> u64 {
        self.cut_short
    }

    /// The mean hold at the end of the window; none where no close was seen.
    ///
    /// Sockets that are still open count with the time they have been so: completed holds alone would be
    /// biased low. `waiting` are connections in TIME_WAIT now; without them a window shorter than a minute
    /// takes all of those for open sockets.
    #[must_use]
    pub fn hold(&self, at: MonoNs, waiting: TimeWaits) -> Option<Hold> {
        let closes = self.closed + waiting.count;
        let opened = self.opened.saturating_sub(self.cut_short);
        if closes == 0 || closes > opened {
            return None;
        }
        let open = u128::from(at.0) * u128::from(opened - closes);
        let ended =
            self.closed_at + (u128::from(at.0) * u128::from(waiting.count)).checked_sub(waiting.age_ns)?;
        let opened_at = self.opened_at.saturating_sub(self.cut_opened_at);
        let exposed_ns = (open + ended).checked_sub(opened_at)?;
        let life_s = real_wide(exposed_ns) / real(SECOND_NS) / real(closes);
        let waits = self.time_waits - self.cut_short.min(self.time_waits) + waiting.count;
        let time_wait_share = share(waits, closes)?;
        let hold_s = life_s + time_wait_share * real(TIME_WAIT_NS / SECOND_NS);
        Some(Hold { life_s, time_wait_share, hold_s, closes })
    }
}

/// When the connection of a release was closed: now, or before its TIME_WAIT of 60 s; never before its
/// allocation. Of a TIME_WAIT that was cut short it is too early.
pub(super) fn closed_at(event: &Event) -> MonoNs {
    let at = event.mono();
    if event.kind() != Kind::Release(ReleaseState::TimeWait) {
        return at;
    }
    MonoNs(at.0.saturating_sub(event.held_ns().map_or(TIME_WAIT_NS, |held| held.min(TIME_WAIT_NS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ends: Ends) -> Option<(f64, f64, f64, u64)> {
        ends.hold().map(|hold| (hold.life_s, hold.time_wait_share, hold.hold_s, hold.closes))
    }

    #[test]
    fn holds_follow_from_the_stock_at_both_ends() {
        let ends = Ends { given: 3_000, wait_s: 60.0, window_ns: 10 * SECOND_NS, ..Ends::default() };
        // All closed at once by this end: out for a minute each.
        assert_eq!(told(Ends { waiting: 3_000, ..ends }), Some((0.0, 1.0, 60.0, 3_000)));
        // All closed by the other end, 100 of them open at any time: 100 x 10 s over 3,000 closes.
        let steady = Ends { open_before: 100, open_after: 100, ..ends };
        assert_eq!(told(steady), Some((1.0 / 3.0, 0.0, 1.0 / 3.0, 3_000)));
        // A third closed by this end, and a TIME_WAIT that bars for a second only.
        let mixed = Ends { waiting: 1_000, wait_s: 1.0, ..steady };
        assert_eq!(told(mixed), Some((1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0, 3_000)));
        // Of two minutes the TIME_WAITs of the second are still there.
        let long = Ends { given: 6_000, waiting: 3_000, window_ns: 120 * SECOND_NS, ..ends };
        assert_eq!(told(long), Some((0.0, 1.0, 60.0, 6_000)));
    }

    #[test]
    fn without_a_close_there_is_no_hold() {
        let leak =
            Ends { given: 500, open_before: 7, open_after: 507, window_ns: SECOND_NS, ..Ends::default() };
        assert_eq!(leak.hold(), None);
        // More open than can be: stock and flow do not agree.
        assert_eq!(Ends { open_after: 600, ..leak }.hold(), None);
    }
}
