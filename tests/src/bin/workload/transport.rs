//! The transports that a scene can use, and the sockets that they open.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;

use clap::ValueEnum;
use portscope_tests::operation::Proto;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, ipproto, socket_with};

use crate::ground::Ground;

/// `SOCK_DCCP` of linux/net.h.
const SOCK_DCCP: SocketType = SocketType::from_raw(6);
/// `AF_SMC` of linux/socket.h; its protocols are `SMCPROTO_SMC` and `SMCPROTO_SMC6` of net/smc/smc.h.
const AF_SMC: AddressFamily = AddressFamily::from_raw(43);
const SMCPROTO_SMC6: Protocol = Protocol::from_raw(NonZeroU32::MIN);

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
    Dccp,
    /// Shared memory communications, which connect by TCP first, and stay there without the hardware.
    Smc,
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
            Self::Dccp => "dccp",
            Self::Smc => "smc",
        }
    }

    /// The transport whose ports are taken: a subflow of MPTCP and the inner socket of SMC are TCP.
    pub(crate) const fn proto(self) -> Proto {
        match self {
            Self::Tcp | Self::Mptcp | Self::Smc => Proto::Tcp,
            Self::Udp => Proto::Udp,
            Self::Udplite => Proto::Udplite,
            Self::Icmp => Proto::Icmp,
            Self::Sctp => Proto::Sctp,
            Self::Dccp => Proto::Dccp,
        }
    }

    /// Whether connect(2) makes a connection, and does not only name a peer.
    pub(crate) const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp | Self::Udplite | Self::Icmp)
    }

    /// Whether close(2) can end its connections by a reset (SO_LINGER).
    pub(crate) const fn can_reset(self) -> bool {
        !matches!(self, Self::Sctp | Self::Dccp)
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
            Self::Dccp => (SOCK_DCCP, ipproto::DCCP),
            Self::Smc => {
                let protocol = (ground != Ground::V4).then_some(SMCPROTO_SMC6);
                return socket_with(AF_SMC, SocketType::STREAM, SocketFlags::CLOEXEC, protocol);
            }
        };
        socket_with(ground.domain(), kind, SocketFlags::CLOEXEC, Some(protocol))
    }
}
