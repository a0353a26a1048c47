//! Counters that hold whatever becomes of the ring: blocks of them, and a table of what the ring did not carry.

use core::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What an event is counted under first: the values of [`super::kind`].
pub type Lane = u8;

/// Protocols that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// TCP (6), MPTCP subflows included.
    Tcp = 0,
    /// UDP (17).
    Udp = 1,
    /// UDP-Lite (136).
    UdpLite = 2,
    /// Ping sockets, ICMP (1) and ICMPv6 (58).
    Icmp = 3,
    /// SCTP (132).
    Sctp = 4,
    /// DCCP (33).
    Dccp = 5,
    /// Anything else.
    Other = 6,
}

impl Protocol {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Tcp, Self::Udp, Self::UdpLite, Self::Icmp, Self::Sctp, Self::Dccp, Self::Other];

    /// An IP protocol number of this class.
    #[must_use]
    #[inline(always)]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::UdpLite => 136,
            Self::Icmp => 1,
            Self::Sctp => 132,
            Self::Dccp => 33,
            Self::Other => u8::MAX,
        }
    }

    /// Classes an IP protocol number.
    #[must_use]
    #[inline(always)]
    pub const fn of(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            136 => Self::UdpLite,
            1 | 58 => Self::Icmp,
            132 => Self::Sctp,
            33 => Self::Dccp,
            _ => Self::Other,
        }
    }
}

/// Results that are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ResultClass {
    /// It succeeded.
    Ok = 0,
    /// `EADDRNOTAVAIL`.
    AddrNotAvail = 1,
    /// `EADDRINUSE`.
    AddrInUse = 2,
    /// `EAGAIN`.
    Again = 3,
    /// `ENOMEM`.
    NoMem = 4,
    /// `EACCES`.
    Access = 5,
    /// Another errno.
    Other = 6,
    /// It failed; the errno could not be seen.
    Unknown = 7,
}

impl ResultClass {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::AddrNotAvail,
        Self::AddrInUse,
        Self::Again,
        Self::NoMem,
        Self::Access,
        Self::Other,
        Self::Unknown,
    ];

    /// Classes a positive errno (x86-64 and aarch64 numbers), 0 being success.
    #[must_use]
    #[inline(always)]
    pub const fn of(errno: u8) -> Self {
        match errno {
            0 => Self::Ok,
            99 => Self::AddrNotAvail,
            98 => Self::AddrInUse,
            11 => Self::Again,
            12 => Self::NoMem,
            13 => Self::Access,
            255 => Self::Unknown,
            _ => Self::Other,
        }
    }
}

/// Number of cells of [`CounterBlock::events`].
pub const CELLS: usize = super::kind::COUNT * 64;

/// Number of blocks of counters; a power of two.
pub const COUNTER_BLOCKS: usize = 32;

/// Index in [`CounterBlock::events`] of a kind, a protocol and a result.
#[must_use]
#[inline(always)]
pub const fn cell(kind: Lane, protocol: Protocol, result: ResultClass) -> usize {
    ((kind as usize & 7) << 6) | ((protocol as usize) << 3) | result as usize
}

/// A block of counters. Every thread has one of [`COUNTER_BLOCKS`], by its id, and adds to it atomically: the sum of all
/// blocks is exact.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct CounterBlock {
    /// Events that passed the filters, by [`cell`]; those lost to a full ring included.
    pub events: [u64; CELLS],
    /// Events that a filter kept out.
    pub filtered: u64,
    /// Events that passed the filters and found the ring full.
    pub lost: u64,
    /// Events for which [`super::names::TALLY`] was full: their process is unknown.
    pub tally_full: u64,
    /// Entries to a choice, by hooks whose exit may be missed.
    pub entered: u64,
    /// Exits of a choice, by the same hooks.
    pub exited: u64,
    /// Exits without an entry: started before the hooks were armed, or the entry was missed.
    pub no_entry: u64,
    /// Entries that found the slot of their thread taken by another and used the overflow table.
    pub spilled: u64,
    /// Entries that found the overflow table full: the exit will be counted under `no_entry`.
    pub spill_full: u64,
    /// Reads of kernel memory that failed.
    pub read_failed: u64,
    /// Inserts into the table of live sockets that failed: their release will not be seen.
    pub live_full: u64,
    /// Calls in the inner loops of searches that were looked at, to count collisions.
    pub inner_calls: u64,
    /// Stacks for which [`super::names::CALLS`] was full: their caller is unknown.
    pub calls_full: u64,
}

impl CounterBlock {
    /// A block of zeros.
    pub const ZERO: Self = Self {
        events: [0; CELLS],
        filtered: 0,
        lost: 0,
        tally_full: 0,
        entered: 0,
        exited: 0,
        no_entry: 0,
        spilled: 0,
        spill_full: 0,
        read_failed: 0,
        live_full: 0,
        inner_calls: 0,
        calls_full: 0,
    };
}

/// Whose event did not go through the ring: the key of [`super::names::TALLY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TallyKey {
    /// Thread-group id.
    pub pid: u32,
    /// [`cell`] of the event.
    pub cell: u32,
}

/// How many did not go through the ring: the value of [`super::names::TALLY`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct TallyValue {
    /// The number.
    pub count: u64,
    /// Name of the thread that was counted first.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<CounterBlock>() == CELLS * 8 + 96);
const _: () = assert!(size_of::<TallyKey>() == 8);
const _: () = assert!(size_of::<TallyValue>() == 24);
