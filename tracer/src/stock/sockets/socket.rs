//! One socket, as `sock_diag` tells it.

use std::{net::IpAddr, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use super::State;
use crate::event::{Port, Protocol, Uid};

/// Inode number of a socket: the `12345` of a link `socket:[12345]` in `/proc/PID/fd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Inode(NonZeroU32);

impl Inode {
    /// Wraps the number; 0 is none.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, never 0.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A socket that exists, or what is left of one (`struct inet_diag_msg`, `include/uapi/linux/inet_diag.h`).
///
/// v4-mapped addresses are IPv4. 64 bytes: there may be hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Socket {
    /// Transport protocol: the one that was asked for, since replies do not repeat it.
    pub protocol: Protocol,
    /// What it is doing.
    pub state: State,
    /// Local address; the wildcard where it is bound to none.
    pub local_addr: IpAddr,
    /// Remote address; the wildcard where there is no peer.
    pub remote_addr: IpAddr,
    /// Local port, host byte order.
    pub local_port: Option<Port>,
    /// Remote port, host byte order; none without a peer.
    pub remote_port: Option<Port>,
    /// Its inode; none where no file descriptor leads to it: TIME_WAIT, orphans, requests not yet accepted.
    pub inode: Option<Inode>,
    /// Index of the interface that it is bound to (`SO_BINDTODEVICE`).
    pub interface: Option<NonZeroU32>,
    /// Milliseconds until the kernel drops it, at least 1: of a TIME_WAIT, and of the FIN_WAIT2 of a socket that
    /// its owner has closed. Others have none.
    pub time_left_ms: Option<NonZeroU32>,
    /// Its owner; none for what has neither inode nor owner.
    pub uid: Option<Uid>,
    /// Whether it is deaf to IPv4 (`INET_DIAG_SKV6ONLY`): told of IPv6 sockets that listen or have no peer.
    pub v6only: Option<bool>,
}

const _: () = assert!(size_of::<Socket>() <= 64);

/// A socket as it is written: its fields in their order, without their names.
#[derive(Serialize, Deserialize)]
struct Written(
    Protocol,
    State,
    IpAddr,
    IpAddr,
    Option<Port>,
    Option<Port>,
    Option<Inode>,
    Option<NonZeroU32>,
    Option<NonZeroU32>,
    Option<Uid>,
    Option<bool>,
);

impl From<Socket> for Written {
    fn from(one: Socket) -> Self {
        let Socket { protocol, state, local_addr, remote_addr, local_port, remote_port, .. } = one;
        let Socket { inode, interface, time_left_ms, uid, v6only, .. } = one;
        Self(
            protocol,
            state,
            local_addr,
            remote_addr,
            local_port,
            remote_port,
            inode,
            interface,
            time_left_ms,
            uid,
            v6only,
        )
    }
}

impl From<Written> for Socket {
    fn from(written: Written) -> Self {
        let Written(protocol, state, local_addr, remote_addr, local_port, remote_port, ..) = written;
        let Written(.., inode, interface, time_left_ms, uid, v6only) = written;
        Self {
            protocol,
            state,
            local_addr,
            remote_addr,
            local_port,
            remote_port,
            inode,
            interface,
            time_left_ms,
            uid,
            v6only,
        }
    }
}

impl Socket {
    /// Whether it is bound to every address.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        self.local_addr.is_unspecified()
    }

    /// Whether it is bound to every address of IPv6 and of IPv4. Where the kernel does not say, it is: that is
    /// its default.
    #[must_use]
    pub fn is_dual_wildcard(&self) -> bool {
        self.local_addr.is_ipv6() && self.is_wildcard() && self.v6only != Some(true)
    }

    /// Whether it has bound its port, as opposed to having been given it by connect, in so far as the stock can
    /// tell: a socket that was bound before it connected looks like any other.
    #[must_use]
    pub const fn is_binder(&self) -> bool {
        matches!(self.state, State::Listen | State::Bound)
    }
}
