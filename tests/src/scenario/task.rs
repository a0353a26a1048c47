//! What an actor is told to do, and what it answers: one JSON object a line, each way.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// How to take a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// TCP connect.
    Connect,
    /// TCP connect that is begun and not waited for.
    Begin,
    /// TCP bind, then connect.
    BindConnect,
    /// TCP bind.
    Bind,
    /// TCP bind, then listen.
    Listen,
    /// UDP bind.
    BindUdp,
    /// UDP connect: the kernel binds on its own.
    Udp,
}

/// What becomes of a socket that has its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is kept open.
    Keep,
    /// It is closed before the next: this end closes first.
    Close,
    /// The same by RST, which leaves no TIME_WAIT at either end.
    Reset,
}

/// An option that changes what a port is shared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sharing {
    /// `SO_REUSEADDR`.
    ReuseAddr,
    /// `IP_BIND_ADDRESS_NO_PORT`.
    NoPort,
}

/// So many attempts to take a port in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// How.
    pub way: Way,
    /// Where to connect to.
    pub to: Option<SocketAddr>,
    /// What to bind to.
    pub from: Option<SocketAddr>,
    /// The option to set first.
    pub sharing: Option<Sharing>,
    /// At most so many.
    pub attempts: u64,
    /// No more after so many failures.
    pub failures: u64,
    /// What becomes of the sockets.
    pub ending: Ending,
    /// Pause after each.
    pub every_ms: u64,
}

impl Task {
    /// One attempt, whose socket is kept.
    #[must_use]
    pub fn new(way: Way) -> Self {
        Self {
            way,
            to: None,
            from: None,
            sharing: None,
            attempts: 1,
            failures: u64::MAX,
            ending: Ending::Keep,
            every_ms: 0,
        }
    }

    /// Connects there.
    #[must_use]
    pub fn connect(to: SocketAddr) -> Self {
        Self::new(Way::Connect).to(to)
    }

    /// Another destination.
    #[must_use]
    pub fn to(self, to: SocketAddr) -> Self {
        Self { to: Some(to), ..self }
    }

    /// Binds first to this address.
    #[must_use]
    pub fn from(self, from: SocketAddr) -> Self {
        Self { from: Some(from), ..self }
    }

    /// So many attempts.
    #[must_use]
    pub fn times(self, attempts: u64) -> Self {
        Self { attempts, ..self }
    }

    /// As many attempts as it takes until so many have failed, and no more than `attempts`.
    #[must_use]
    pub fn until_failed(self, failures: u64, attempts: u64) -> Self {
        Self { attempts, failures, ..self }
    }

    /// Closes each socket before the next: this end closes first.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { ending: Ending::Close, ..self }
    }

    /// Resets each connection before the next.
    #[must_use]
    pub fn resetting(self) -> Self {
        Self { ending: Ending::Reset, ..self }
    }

    /// With a pause after each.
    #[must_use]
    pub fn every_ms(self, every_ms: u64) -> Self {
        Self { every_ms, ..self }
    }

    /// With `SO_REUSEADDR`.
    #[must_use]
    pub fn reuse_addr(self) -> Self {
        Self { sharing: Some(Sharing::ReuseAddr), ..self }
    }

    /// With `IP_BIND_ADDRESS_NO_PORT`.
    #[must_use]
    pub fn no_port(self) -> Self {
        Self { sharing: Some(Sharing::NoPort), ..self }
    }
}

/// What a server does with those that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manner {
    /// Accepts them, and keeps them open.
    Keep,
    /// Closes each at once: the TIME_WAIT is the server's.
    CloseFirst,
    /// Closes each when the other end has: the TIME_WAIT is the client's.
    CloseLast,
    /// Never accepts, and its queue is full: SYNs stay without an answer.
    Ignore,
}

/// What an actor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Takes ports.
    Take(Task),
    /// Listens until the end of the process, with `SO_REUSEADDR` where it is asked for.
    Serve {
        /// Where.
        at: SocketAddr,
        /// What becomes of those that come.
        manner: Manner,
        /// `SO_REUSEADDR` on the listener.
        reuse_addr: bool,
    },
    /// Stops to listen, and closes what was accepted.
    Retire,
    /// Closes every socket that was kept.
    Close,
    /// Reads every socket that was kept to the end of its stream, which the other end has to bring about.
    AwaitEnd,
    /// Sends FIN on every socket that was kept, and keeps it.
    HalfClose,
    /// Sends so many datagrams, each to another end on loopback.
    Spray(u64),
    /// Sets the soft limit of open files to that many above those that are open.
    LeaveFiles(u64),
}

/// What came of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Attempts that had a port.
    pub ports: Vec<u16>,
    /// Those that failed, by errno.
    pub failed: BTreeMap<String, u64>,
}

impl Done {
    /// Attempts that had a port.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.ports.len() as u64
    }

    /// Attempts that failed so.
    #[must_use]
    pub fn failed_with(&self, errno: &str) -> u64 {
        self.failed.get(errno).copied().unwrap_or(0)
    }
}
