//! The event record: 120 bytes that, with the ring's own 8-byte header, fill two cache lines.

use core::mem::{offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One event of the kernel half, as it lies in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Record {
    /// When the choice ended, in nanoseconds of `CLOCK_MONOTONIC`.
    pub mono_ns: u64,
    /// Keyed hash of the kernel socket's address (and birth, with releases): never the address itself.
    pub socket: u64,
    /// Id of the task's cgroup in the version 2 hierarchy.
    pub cgroup_id: u64,
    /// Thread id.
    pub tid: u32,
    /// Thread-group id, in the tracer's initial PID namespace view of the kernel.
    pub pid: u32,
    /// Real user id of the task.
    pub uid: u32,
    /// Inode number of the socket's network namespace.
    pub netns: u32,
    /// Nanoseconds from entry to exit of the choice, saturating at 4.29 s. In a release: time held, in
    /// units of 1,024 ns, saturating.
    pub search_ns: u32,
    /// `table_perturb[i] + (port_offset >> 32)` at entry: the start of a connect's search.
    pub search_start: u32,
    /// Local address, network order; IPv4 in the first four bytes.
    pub local_addr: [u8; 16],
    /// Remote address, network order; IPv4 in the first four bytes.
    pub remote_addr: [u8; 16],
    /// Name of the thread, NUL-padded, any bytes.
    pub comm: [u8; 16],
    /// Port chosen, host order; 0 when none was.
    pub local_port: u16,
    /// Port the caller asked for, host order; 0 when the choice was the kernel's.
    pub requested_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// First port of the effective range of this choice.
    pub range_low: u16,
    /// Last port of the effective range of this choice.
    pub range_high: u16,
    /// Socket options, bits of [`option`].
    pub options: u16,
    /// Which fields hold a measured value, bits of [`present`].
    pub present: u16,
    /// Positive errno; 0 when it succeeded. Meaningful with [`present::ERROR`].
    pub error: u8,
    /// What happened, a value of [`kind`].
    pub kind: u8,
    /// IP protocol number (6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6, 132 SCTP, 136 UDP-Lite, 33 DCCP).
    pub protocol: u8,
    /// 4 or 6: how to read the addresses.
    pub family: u8,
    /// Bits of [`flags`].
    pub flags: u8,
    /// Of a release: 6 when the port was freed by the end of a TIME_WAIT, 7 when by a close.
    pub state: u8,
    /// Start of the process since boot, in units of 2^20 ns (about a millisecond), truncated to 32 bits.
    pub start: u32,
}

/// Values of [`Record::kind`]: the site of a choice, or what else is recorded.
pub mod kind {
    /// The kernel chooses a port inside connect.
    pub const CONNECT: u8 = 0;
    /// The kernel chooses a port inside bind.
    pub const BIND: u8 = 1;
    /// The kernel chooses a port inside listen.
    pub const LISTEN: u8 = 2;
    /// The kernel chooses a port for an unbound datagram socket at connect or send.
    pub const AUTOBIND: u8 = 3;
    /// A connect with a port that was bound before: only the 4-tuple is checked.
    pub const FIXED_CONNECT: u8 = 4;
    /// A bind to a port that the caller named.
    pub const FIXED_BIND: u8 = 5;
    /// The re-check of a bound port inside listen.
    pub const FIXED_LISTEN: u8 = 6;
    /// A port that was chosen by the kernel became free again.
    pub const RELEASE: u8 = 7;
    /// Number of kinds.
    pub const COUNT: usize = 8;
}

/// Bits of [`Record::present`]: a clear bit means "not seen", never zero.
pub mod present {
    /// [`super::Record::search_ns`].
    pub const SEARCH_NS: u16 = 1 << 0;
    /// [`super::Record::search_start`].
    pub const SEARCH_START: u16 = 1 << 1;
    /// [`super::Record::error`].
    pub const ERROR: u16 = 1 << 2;
    /// [`super::Record::local_addr`].
    pub const LOCAL_ADDR: u16 = 1 << 3;
    /// [`super::Record::remote_addr`] and [`super::Record::remote_port`].
    pub const REMOTE: u16 = 1 << 4;
    /// [`super::Record::range_low`] and [`super::Record::range_high`].
    pub const RANGE: u16 = 1 << 5;
    /// [`super::Record::uid`].
    pub const UID: u16 = 1 << 6;
    /// [`super::Record::cgroup_id`].
    pub const CGROUP: u16 = 1 << 7;
    /// [`super::Record::comm`].
    pub const COMM: u16 = 1 << 8;
    /// [`super::Record::start`].
    pub const START: u16 = 1 << 9;
    /// The reuse, reuseport and userlocks bits of [`super::Record::options`].
    pub const OPTIONS: u16 = 1 << 10;
    /// The inet bits of [`super::Record::options`]: bind-address-no-port, freebind.
    pub const INET_OPTIONS: u16 = 1 << 11;
    /// [`super::flags::TIME_WAIT_REUSED`] was observed, set or not.
    pub const REUSED: u16 = 1 << 12;
    /// [`super::flags::KERNEL_SOCKET`] was read.
    pub const KERNEL_SOCKET: u16 = 1 << 13;
    /// [`super::Record::netns`].
    pub const NETNS: u16 = 1 << 14;
    /// [`super::Record::search_ns`] is an upper bound: it holds more than the search.
    pub const SEARCH_UPPER: u16 = 1 << 15;
}

/// Bits of [`Record::options`].
pub mod option {
    /// `SO_REUSEADDR`.
    pub const REUSEADDR: u16 = 1 << 0;
    /// `SO_REUSEPORT`.
    pub const REUSEPORT: u16 = 1 << 1;
    /// `IP_BIND_ADDRESS_NO_PORT`.
    pub const NO_PORT: u16 = 1 << 2;
    /// `IP_FREEBIND`.
    pub const FREEBIND: u16 = 1 << 3;
    /// The socket has an `IP_LOCAL_PORT_RANGE` of its own.
    pub const PORT_RANGE: u16 = 1 << 4;
    /// The socket is a subflow of an MPTCP connection.
    pub const MPTCP: u16 = 1 << 5;
    /// The port was named by a bind call (`SOCK_BINDPORT_LOCK`).
    pub const BOUND: u16 = 1 << 6;
}

/// Bits of [`Record::flags`].
pub mod flags {
    /// Seen while the tracer tested itself: not to be counted or shown.
    pub const SELF_TEST: u8 = 1 << 0;
    /// The socket was made by the kernel itself.
    pub const KERNEL_SOCKET: u8 = 1 << 1;
    /// The port was taken over from a connection in TIME_WAIT.
    pub const TIME_WAIT_REUSED: u8 = 1 << 2;
    /// No other search on the same table entry overlapped: the derived number of candidates is exact.
    pub const CANDIDATES_EXACT: u8 = 1 << 3;
    /// No event: the name of the first thread of a process whose other threads will follow. Only `pid`,
    /// `start` and `comm` hold anything; it is counted nowhere.
    pub const LEADER_NAME: u8 = 1 << 4;
    /// What its search met was counted: see [`super::Record::met`].
    pub const COUNTED: u8 = 1 << 5;
}

macro_rules! layout {
    ($size:literal $($field:ident $at:literal)*) => {
        const _: () = assert!(size_of::<Record>() == $size);
        $(const _: () = assert!(offset_of!(Record, $field) == $at);)*
    };
}

layout! { 120
    mono_ns 0 socket 8 cgroup_id 16 tid 24 pid 28 uid 32 netns 36 search_ns 40 search_start 44
    local_addr 48 remote_addr 64 comm 80 local_port 96 requested_port 98 remote_port 100
    range_low 102 range_high 104 options 106 present 108 error 110 kind 111 protocol 112
    family 113 flags 114 state 115 start 116
}
