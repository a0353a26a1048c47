//! What would have happened with another range, other reserved ports, another TIME_WAIT: a model of how Linux chooses
//! ports, run on what was recorded.
//!
//! Arrivals come as they were recorded, whatever the model answers them (open loop). What starts at random in the
//! kernel is drawn from a seed: the same seed gives the same answer. This room reads no file and no clock.

mod holds;
mod model;
mod ports;
mod run;

pub use model::{PoolOutcome, outcomes};
pub use run::{Run, Source, gather};

use std::net::{IpAddr, SocketAddr};

use crate::event::Reserved;

/// How long a TIME_WAIT lasts in Linux, in microseconds.
pub const TIME_WAIT_US: u64 = 60_000_000;

/// What decides in a namespace which ports may be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// First and last port of the range.
    pub range: [u16; 2],
    /// `ip_local_reserved_ports`.
    pub reserved: Reserved,
    /// `tcp_tw_reuse`: 0 never, 1 always, 2 on loopback.
    pub reuse: u32,
    /// Age from which a TIME_WAIT may be taken over, in microseconds.
    pub reuse_after_us: u64,
    /// Both ends use timestamps: without them no TIME_WAIT is taken over.
    pub timestamps: bool,
    /// Length of a TIME_WAIT, in microseconds.
    pub time_wait_us: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            range: [32_768, 60_999],
            reserved: Reserved::default(),
            reuse: 2,
            reuse_after_us: 1_000_000,
            timestamps: true,
            time_wait_us: TIME_WAIT_US,
        }
    }
}

impl Settings {
    /// Whether a port may be chosen.
    pub(super) fn has(&self, port: u16) -> bool {
        (self.range[0]..=self.range[1]).contains(&port) && !self.reserved.contains(port)
    }

    /// Ports that may be chosen.
    #[must_use]
    pub fn effective(&self) -> u32 {
        let ports = (self.range[0]..=self.range[1]).filter(|port| !self.reserved.contains(*port));
        u32::try_from(ports.count()).unwrap_or(u32::MAX)
    }
}

/// What is different from the recording.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Another range, for all namespaces.
    pub range: Option<[u16; 2]>,
    /// Another list of reserved ports.
    pub reserved: Option<Reserved>,
    /// Another `tcp_tw_reuse`.
    pub reuse: Option<u32>,
    /// Another length of TIME_WAIT, in microseconds.
    pub time_wait_us: Option<u64>,
}

impl Change {
    /// These settings with the change.
    #[must_use]
    pub fn of(&self, settings: &Settings) -> Settings {
        Settings {
            range: self.range.unwrap_or(settings.range),
            reserved: self.reserved.clone().unwrap_or_else(|| settings.reserved.clone()),
            reuse: self.reuse.unwrap_or(settings.reuse),
            time_wait_us: self.time_wait_us.unwrap_or(settings.time_wait_us),
            ..settings.clone()
        }
    }
}

/// How a port is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// TCP connect: the parity of the low end first; a port may be shared with other 4-tuples.
    Connect,
    /// TCP bind to port 0, listen without bind: the other parity first; bars the port to all others.
    Bind,
    /// UDP: in an order of no consequence.
    Datagram,
}

/// The ports that can serve one kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pool {
    /// Network namespace.
    pub netns: u32,
    /// UDP, not TCP.
    pub datagram: bool,
    /// Local address.
    pub local: IpAddr,
    /// The other end of a connect.
    pub remote: Option<SocketAddr>,
}

/// A request for a port, in the order in which they came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When, in microseconds of any clock.
    pub at_us: u64,
    /// Of which pool.
    pub pool: Pool,
    /// How.
    pub way: Way,
    /// The program: where holds are drawn from when the pool has none.
    pub program: String,
    /// The socket, by which its release is found.
    pub socket: Option<String>,
    /// It was refused for want of a port.
    pub refused: bool,
    /// The port that its caller named: it is held, and nothing is searched.
    pub named: Option<u16>,
    /// A socket from before the recording began: it has the port that is `named`, or one like it where a change leaves
    /// that out, and is no request.
    pub standing: bool,
}

/// A port that became free again.
#[derive(Clone, Debug)]
pub struct Released {
    /// The socket.
    pub socket: String,
    /// How long it was held, in microseconds, a TIME_WAIT included.
    pub held_us: u64,
    /// It ended with a TIME_WAIT: this end had closed first.
    pub time_wait: bool,
}

/// What a recording tells, in its order.
#[derive(Clone, Debug)]
pub enum Told {
    /// The settings of a namespace.
    Space(u32, Settings),
    /// A request.
    Asked(Asked),
    /// A release.
    Released(Released),
    /// A request that cannot be replayed: its address is not known, or it failed for another reason.
    Skipped,
    /// When the recording ended, in microseconds.
    Ended(u64),
}
