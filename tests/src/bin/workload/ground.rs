//! On which loopback ground a scene plays: IPv4, IPv6, or IPv4 through an IPv6 socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portscope_tests::operation::Family;
use rustix::net::AddressFamily;

/// The addresses of a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ground {
    V4,
    V6,
    Mapped,
}

impl Ground {
    pub(crate) const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Mapped];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::Mapped => "v4-mapped",
        }
    }

    /// The domain of the sockets.
    pub(crate) const fn domain(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::INET,
            Self::V6 | Self::Mapped => AddressFamily::INET6,
        }
    }

    /// The family of the traffic.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::V4 | Self::Mapped => Family::Ipv4,
            Self::V6 => Family::Ipv6,
        }
    }

    /// The loopback address with a port, in the socket's own notation.
    pub(crate) fn at(self, port: u16) -> SocketAddr {
        let ip = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
            Self::Mapped => IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
        };
        SocketAddr::new(ip, port)
    }

    /// The wildcard address with port 0.
    pub(crate) fn anywhere(self) -> SocketAddr {
        match self {
            Self::V4 => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            Self::V6 | Self::Mapped => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
        }
    }

    /// The ground of the other end: mapped sockets talk to plain IPv4 ones.
    pub(crate) const fn unmapped(self) -> Self {
        match self {
            Self::V6 => Self::V6,
            Self::V4 | Self::Mapped => Self::V4,
        }
    }
}
