//! What a program of the workload's cgroup does to its connects (`bpf_bind`): agreed between the workload and the test
//! that loads the program.

use std::net::{Ipv4Addr, SocketAddrV4};

/// What a socket is bound to before it connects, by where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
    /// Where it connects.
    pub to: Ipv4Addr,
    /// What it is bound to; where it cannot be, it may not connect.
    pub source: SocketAddrV4,
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// The address alone: connect chooses the port.
pub const ADDRESS: Steering =
    Steering { to: Ipv4Addr::new(127, 0, 0, 2), source: SocketAddrV4::new(SOURCE, 0) };

/// A port too, outside of every range; it is free in a namespace of one's own.
pub const PORT: Steering =
    Steering { to: Ipv4Addr::new(127, 0, 0, 3), source: SocketAddrV4::new(SOURCE, 7654) };
