//! The transports that a scene can use, and the sockets that they open.

use std::os::fd::OwnedFd;

use clap::ValueEnum;
use portscope_tests::operation::Proto;
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, ipproto, socket_with};

use crate::ground::Ground;

/// A transport as the application names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Tcp,
    Mptcp,
    Udp,
    Udplite,
    /// Ping sockets.
    Icmp,
    Sctp,
}

impl Transport {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Mptcp => "mptcp",
            Self::Udp => "udp",
            Self::Udplite => "udplite",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
        }
    }

    /// The transport whose ports are taken: a subflow of MPTCP is TCP.
    pub(crate) const fn proto(self) -> Proto {
        match self {
            Self::Tcp | Self::Mptcp => Proto::Tcp,
            Self::Udp => Proto::Udp,
            Self::Udplite => Proto::Udplite,
            Self::Icmp => Proto::Icmp,
            Self::Sctp => Proto::Sctp,
        }
    }

    /// Whether connect(2) makes a connection, and does not only name a peer.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Mptcp | Self::Sctp)
    }

    pub(crate) fn socket(self, ground: Ground) -> Result<OwnedFd, Errno> {
        let (kind, protocol) = match self {
            Self::Tcp => (SocketType::STREAM, ipproto::TCP),
            Self::Mptcp => (SocketType::STREAM, ipproto::MPTCP),
            Self::Udp => (SocketType::DGRAM, ipproto::UDP),
            Self::Udplite => (SocketType::DGRAM, ipproto::UDPLITE),
            Self::Icmp if ground == Ground::V4 => (SocketType::DGRAM, ipproto::ICMP),
            Self::Icmp => (SocketType::DGRAM, ipproto::ICMPV6),
            Self::Sctp => (SocketType::STREAM, ipproto::SCTP),
        };
        socket_with(ground.domain(), kind, SocketFlags::CLOEXEC, Some(protocol))
    }
}
