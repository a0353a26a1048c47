//! What kind of socket an event is about, and what its owner had asked of it.

use serde::{Deserialize, Serialize};
use tracer_ebpf::abi::option;

/// Transport protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (6), MPTCP subflows included.
    Tcp,
    /// UDP (17).
    Udp,
    /// UDP-Lite (136).
    UdpLite,
    /// Ping sockets: ICMP (1), ICMPv6 (58); the family says which.
    Icmp,
    /// SCTP (132).
    Sctp,
    /// DCCP (33).
    Dccp,
    /// Any other, by its number.
    Unknown(u8),
}

impl Protocol {
    /// Names an IP protocol number.
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            136 => Self::UdpLite,
            1 | 58 => Self::Icmp,
            132 => Self::Sctp,
            33 => Self::Dccp,
            other => Self::Unknown(other),
        }
    }

    /// The word that stands in every output, `other` for the unknown ones: the counters of the kernel half
    /// know no more of them either.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Icmp => "icmp",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
            Self::Unknown(_) => "other",
        }
    }
}

/// Address family of a socket, v4-mapped addresses counted as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// A number of a later version of the kernel half.
    Unknown(u8),
}

impl Family {
    /// The word that stands in every output; none for an unknown family.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::V4 => Some("ipv4"),
            Self::V6 => Some("ipv6"),
            Self::Unknown(_) => None,
        }
    }
}

/// Ports from `low` to `high`, both included, host byte order; `low` ≤ `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    low: u16,
    high: u16,
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = &'static str;

    fn try_from((low, high): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(low, high).ok_or("a range of ports that begins behind its end")
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.low, range.high)
    }
}

impl PortRange {
    /// A range; none when it would hold no port.
    #[must_use]
    pub const fn new(low: u16, high: u16) -> Option<Self> {
        if low <= high { Some(Self { low, high }) } else { None }
    }

    /// The first port.
    #[must_use]
    pub const fn low(self) -> u16 {
        self.low
    }

    /// The last port.
    #[must_use]
    pub const fn high(self) -> u16 {
        self.high
    }

    /// How many ports it has: 1 to 65,536.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.high.wrapping_sub(self.low)).wrapping_add(1)
    }

    /// Whether the port lies in it.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }
}

/// Socket options that bear on the choice, as far as they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options(u16);

/// How one option is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionName {
    /// The word in JSON and CSV.
    pub name: &'static str,
    /// The letter in the OPTS column; none where it has no place there.
    pub letter: Option<char>,
    /// The option itself.
    pub option: Options,
}

impl Options {
    /// `SO_REUSEADDR`.
    pub const REUSEADDR: Self = Self(option::REUSEADDR);
    /// `SO_REUSEPORT`.
    pub const REUSEPORT: Self = Self(option::REUSEPORT);
    /// `IP_BIND_ADDRESS_NO_PORT`.
    pub const NO_PORT: Self = Self(option::NO_PORT);
    /// `IP_FREEBIND`.
    pub const FREEBIND: Self = Self(option::FREEBIND);
    /// `IP_LOCAL_PORT_RANGE`: a range of the socket's own.
    pub const PORT_RANGE: Self = Self(option::PORT_RANGE);
    /// A subflow of an MPTCP connection.
    pub const MPTCP: Self = Self(option::MPTCP);
    /// The port was named by a bind call (`SOCK_BINDPORT_LOCK`).
    pub const BOUND: Self = Self(option::BOUND);

    /// Every option, in the order in which they are listed.
    pub const ALL: [OptionName; 7] = [
        OptionName { name: "reuseaddr", letter: Some('R'), option: Self::REUSEADDR },
        OptionName { name: "reuseport", letter: Some('r'), option: Self::REUSEPORT },
        OptionName { name: "bind_address_no_port", letter: Some('N'), option: Self::NO_PORT },
        OptionName { name: "freebind", letter: Some('F'), option: Self::FREEBIND },
        OptionName { name: "local_port_range", letter: Some('L'), option: Self::PORT_RANGE },
        OptionName { name: "mptcp", letter: Some('M'), option: Self::MPTCP },
        OptionName { name: "bindport_lock", letter: None, option: Self::BOUND },
    ];

    /// Takes bits of [`tracer_ebpf::abi::option`]; those it does not know are dropped.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0x7f)
    }

    /// The bits of [`tracer_ebpf::abi::option`].
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether none is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are set.
    pub fn iter(self) -> impl Iterator<Item = OptionName> {
        Self::ALL.into_iter().filter(move |one| self.contains(one.option))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_its_own_bit_and_none_is_dropped() {
        let all = Options::ALL.iter().fold(Options::default(), |all, one| all.union(one.option));
        assert_eq!(all.bits().count_ones(), 7);
        assert_eq!(Options::from_bits(u16::MAX), all);
        assert_eq!(Options::from_bits(option::FREEBIND | option::MPTCP).iter().count(), 2);
    }

    #[test]
    fn the_full_range_has_as_many_ports_as_there_are() {
        assert_eq!(PortRange::new(0, u16::MAX).unwrap().count(), 65_536);
        assert_eq!(PortRange::new(7, 7).unwrap().count(), 1);
        assert_eq!(PortRange::new(8, 7), None);
    }
}
