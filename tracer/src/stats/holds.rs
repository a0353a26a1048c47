//! How long ports are held, and what rate a range can sustain.

use super::ratio::{SECOND_NS, real, real_wide, share};
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
