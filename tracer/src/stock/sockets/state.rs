//! What a socket is doing.

use serde::{Deserialize, Serialize};

use crate::event::Protocol;

/// State of a socket, in the kernel's words (`include/net/tcp_states.h`) as far as it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits for connections.
    Listen,
    /// It has a port, but neither listens nor is connected: a TCP socket between `bind` and what follows (told
    /// from Linux 6.8 on, `inet_diag_dump_icsk`), or a datagram socket without a peer.
    Bound,
    /// Connected, or a datagram socket with a peer.
    Established,
    /// It has asked for a connection.
    SynSent,
    /// It was asked for one; not yet accepted.
    SynReceived,
    /// Closed by us, the peer has not yet acknowledged it.
    FinWait1,
    /// Closed by us, the peer has not yet closed.
    FinWait2,
    /// Closed by the peer, not yet by us.
    CloseWait,
    /// Closed by both, at once.
    Closing,
    /// Closed by both, the peer first.
    LastAck,
    /// Closed by both, we first: the port is out for another 60 s.
    TimeWait,
    /// No port, no connection.
    Close,
    /// A number that this version does not know.
    Unknown(u8),
}

impl State {
    /// The known ones, from the one that is named first for a port that several sockets have.
    pub const ALL: [Self; 12] = [
        Self::Listen,
        Self::Bound,
        Self::Established,
        Self::SynSent,
        Self::SynReceived,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
        Self::Close,
    ];

    /// Names a state of `enum` in `include/net/tcp_states.h`, which datagram sockets use, too. `has_port`: the
    /// socket has a local port.
    #[must_use]
    pub const fn of(number: u8, has_port: bool) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            // A request is told as SYN_RECV; 12 (NEW_SYN_RECV) is the kernel's own word for it.
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            // Bound-only sockets are asked for as 13 (BOUND_INACTIVE), and told as CLOSE.
            7 | 13 if has_port => Self::Bound,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Unknown(other),
        }
    }

    /// Names a state of an SCTP association (`enum sctp_state` in `include/linux/sctp.h`) by the TCP state that
    /// comes nearest.
    #[must_use]
    pub const fn of_association(number: u8) -> Self {
        match number {
            0 => Self::Close,
            1 | 2 => Self::SynSent,
            3 => Self::Established,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::CloseWait,
            7 => Self::LastAck,
            other => Self::Unknown(other),
        }
    }

    /// The word that stands in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::Bound => "BOUND",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECV",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// Whether a TCP socket in this state has or had a peer that it may have connected to itself.
    ///
    /// A SYN_RECV never did: it was asked.
    #[must_use]
    pub const fn may_have_connected(self, protocol: Protocol) -> bool {
        matches!(protocol, Protocol::Tcp)
            && !matches!(
                self,
                Self::Listen | Self::Bound | Self::SynReceived | Self::Close | Self::Unknown(_)
            )
    }

    /// Its place in [`State::ALL`]; the unknown ones share the place behind.
    pub(in crate::stock) fn rank(self) -> u8 {
        let place = Self::ALL.iter().position(|one| *one == self).unwrap_or(Self::ALL.len());
        u8::try_from(place).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_kernel_have_their_names() {
        let named = [
            (1, "ESTABLISHED"),
            (2, "SYN_SENT"),
            (3, "SYN_RECV"),
            (4, "FIN_WAIT1"),
            (5, "FIN_WAIT2"),
            (6, "TIME_WAIT"),
            (7, "BOUND"),
            (8, "CLOSE_WAIT"),
            (9, "LAST_ACK"),
            (10, "LISTEN"),
            (11, "CLOSING"),
            (12, "SYN_RECV"),
            (13, "BOUND"),
            (14, "UNKNOWN"),
        ];
        for (number, name) in named {
            assert_eq!(State::of(number, true).name(), name);
        }
        assert_eq!(State::of(7, false), State::Close);
        assert_eq!(State::of(0, true), State::Unknown(0));
        assert_eq!(State::of_association(3), State::Established);
        assert_eq!(State::of_association(9), State::Unknown(9));
    }

    #[test]
    fn every_state_has_a_rank_of_its_own() {
        let ranks: Vec<u8> = State::ALL.iter().map(|state| state.rank()).collect();
        assert_eq!(ranks, (0..12).collect::<Vec<u8>>());
        assert_eq!((State::Unknown(3).rank(), State::Unknown(99).rank()), (12, 12));
    }
}
