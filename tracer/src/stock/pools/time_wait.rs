//! Whether a TIME_WAIT bars its port.

use std::net::IpAddr;

use super::TIME_WAIT_S;
use crate::stock::{Settings, Socket, State, TimeWaitReuse};

/// Index of the loopback interface (`LOOPBACK_IFINDEX`).
const LOOPBACK_INDEX: u32 = 1;
/// Kernels without `tcp_tw_reuse_delay` ask for a tick of the clock of seconds (`tcp_twsk_unique`).
const TICK_MS: u32 = 1_000;
/// A TIME_WAIT that has just begun has so long to go.
const WHOLE_MS: u32 = TIME_WAIT_S * 1_000;

/// What a TIME_WAIT means for the next connect to the same destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// Its port is barred.
    Blocks,
    /// The connect takes it over, if both ends of the old connection used timestamps.
    Reusable,
    /// `tcp_tw_reuse` or `tcp_timestamps` is not known.
    Unknown,
}

/// When a connect may take over a TIME_WAIT (`tcp_twsk_unique`, `net/ipv4/tcp_ipv4.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReuseRule {
    reuse: Option<TimeWaitReuse>,
    /// Whether this end uses them.
    timestamps: Option<bool>,
    delay_ms: u32,
}

impl ReuseRule {
    /// The rule of a namespace.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            reuse: settings.tcp_tw_reuse,
            timestamps: settings.tcp_timestamps.map(|number| number != 0),
            delay_ms: settings.tcp_tw_reuse_delay_ms.unwrap_or(TICK_MS),
        }
    }

    /// Seconds from the beginning of a TIME_WAIT until a connect may take it over, where it may.
    #[must_use]
    pub fn delay_s(&self) -> f64 {
        f64::from(self.delay_ms) / 1e3
    }

    /// Judges a socket; what is no TIME_WAIT blocks.
    ///
    /// Its age is what is gone of its 60 s: a late segment begins them anew, and makes it look younger.
    #[must_use]
    pub fn judge(&self, socket: &Socket) -> Blocking {
        let (State::TimeWait, Some(left)) = (socket.state, socket.time_left_ms) else {
            return Blocking::Blocks;
        };
        let applies = match self.reuse {
            None | Some(TimeWaitReuse::Unknown(_)) => return Blocking::Unknown,
            Some(TimeWaitReuse::Off) => false,
            Some(TimeWaitReuse::Everywhere) => true,
            Some(TimeWaitReuse::Loopback) => on_loopback(socket),
        };
        let is_old_enough = WHOLE_MS.saturating_sub(left.get()) >= self.delay_ms;
        match self.timestamps {
            None if applies && is_old_enough => Blocking::Unknown,
            Some(true) if applies && is_old_enough => Blocking::Reusable,
            _ => Blocking::Blocks,
        }
    }
}

fn on_loopback(socket: &Socket) -> bool {
    let is_loopback = |addr: IpAddr| addr.is_loopback();
    is_loopback(socket.local_addr)
        || is_loopback(socket.remote_addr)
        || socket.interface.is_some_and(|index| index.get() == LOOPBACK_INDEX)
}
