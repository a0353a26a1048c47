//! A record beside an event that it may be like: what it shares with it need not be decoded again.

use tracer_ebpf::abi::{Record, flags, present};
use zerocopy::FromBytes as _;

use super::{Event, MonoNs, Port, SocketId, source::source};

/// A record of the ring that was looked at, not decoded.
#[derive(Clone, Copy, Debug)]
pub struct Glimpse<'a>(&'a Record);

/// What a record tells of one choice alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The port chosen.
    pub port: Port,
    /// Wall time of the search in nanoseconds.
    pub search_ns: u32,
    /// Where a connect's search began.
    pub search_start: u32,
    /// Whether no other search on the same table entry overlapped.
    pub exact: bool,
    /// The socket.
    pub socket: Option<SocketId>,
}

impl<'a> Glimpse<'a> {
    /// Looks at the bytes of a record; none where they are no record, or do not lie where one can be read in place.
    #[must_use]
    #[inline]
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        Record::ref_from_bytes(bytes).ok().map(Self)
    }

    /// When it ended.
    #[must_use]
    #[inline]
    pub const fn mono(&self) -> MonoNs {
        MonoNs(self.0.mono_ns)
    }

    /// As [`Event::source`].
    #[must_use]
    #[inline]
    pub fn source(&self) -> u64 {
        source(self.0)
    }

    /// Whether it is of the same source as a decoded event and of a thread of that name, so that both have the same
    /// process, rules and filters, and differ in the choice alone.
    #[must_use]
    #[inline]
    pub fn is_like(&self, event: &Event) -> bool {
        let (one, other) = (self.0, &event.record);
        let of_choice = flags::CANDIDATES_EXACT | flags::TIME_WAIT_REUSED;
        let numbers = |record: &Record| [record.pid, record.start, record.netns];
        let ports = |record: &Record| {
            [record.requested_port, record.remote_port, record.range_low, record.range_high]
        };
        let seen = |record: &Record| [record.options, record.present];
        let kinds = |record: &Record| [record.error, record.kind, record.protocol, record.family];
        numbers(one) == numbers(other)
            && one.remote_addr == other.remote_addr
            && one.local_addr == other.local_addr
            && one.comm == other.comm
            && ports(one) == ports(other)
            && seen(one) == seen(other)
            && kinds(one) == kinds(other)
            && (one.flags ^ other.flags) & !of_choice == 0
            && (one.pid == one.tid) == (other.pid == other.tid)
    }

    /// What is told of the choice, of a record that is like an event of a choice that succeeded and was timed.
    #[must_use]
    #[inline]
    pub fn choice(&self) -> Option<Choice> {
        let Record { local_port, search_ns, search_start, socket, flags: bits, .. } = *self.0;
        Some(Choice {
            port: Port::new(local_port)?,
            search_ns,
            search_start,
            exact: bits & flags::CANDIDATES_EXACT != 0,
            socket: SocketId::new(socket),
        })
    }
}

impl Event {
    /// Whether another process cannot pass for this one: its start was seen.
    #[must_use]
    #[inline]
    pub const fn is_sure_of_process(&self) -> bool {
        self.seen(present::START)
    }
}
