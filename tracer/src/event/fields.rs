//! What can be asked of an event.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tracer_ebpf::abi::{Met, flags, present};

use super::{
    Cause, Errno, Event, Family, Kind, MonoNs, NetnsId, Options, Outcome, Port, PortRange, Protocol, Site,
    SocketId,
};

impl Event {
    pub(super) const fn seen(&self, bit: u16) -> bool {
        self.record.present & bit != 0
    }

    const fn flag(&self, bit: u8) -> bool {
        self.record.flags & bit != 0
    }

    /// When it ended.
    #[must_use]
    #[inline]
    pub const fn mono(&self) -> MonoNs {
        MonoNs(self.record.mono_ns)
    }

    /// What happened, and where.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How it ended. Without a look at the errno it failed, and why is not known: so count the counters of the
    /// kernel half. A release always succeeds; its record has what its allocation had.
    #[must_use]
    #[inline]
    pub const fn result(&self) -> Outcome {
        if matches!(self.kind, Kind::Release(_)) {
            Outcome::Ok
        } else if !self.seen(present::ERROR) {
            Outcome::Failed { errno: None }
        } else if self.record.error == 0 {
            Outcome::Ok
        } else {
            Outcome::Failed { errno: Errno::new(self.record.error) }
        }
    }

    /// Whether the choice or the check failed.
    #[must_use]
    #[inline]
    pub const fn failed(&self) -> bool {
        matches!(self.result(), Outcome::Failed { .. })
    }

    /// The errno of a failure, where it was seen.
    #[must_use]
    #[inline]
    pub const fn errno(&self) -> Option<Errno> {
        match self.result() {
            Outcome::Failed { errno } => errno,
            Outcome::Ok => None,
        }
    }

    /// What a failure comes down to; none for a success, and where the errno was not seen.
    #[must_use]
    #[inline]
    pub const fn cause(&self) -> Option<Cause> {
        Cause::of(self.kind, self.result())
    }

    /// Transport protocol of the socket.
    #[must_use]
    #[inline]
    pub const fn protocol(&self) -> Protocol {
        Protocol::of(self.record.protocol)
    }

    /// Address family; v4-mapped counts as IPv4, and the addresses are given so.
    #[must_use]
    #[inline]
    pub const fn family(&self) -> Family {
        match self.record.family {
            4 => Family::V4,
            6 => Family::V6,
            other => Family::Unknown(other),
        }
    }

    /// Local address, the wildcard for a socket that is bound to none. A ping socket gets its address after its
    /// identifier (`ping_bind`), and SCTP keeps addresses in a list of its own: there a wildcard says nothing.
    #[must_use]
    #[inline]
    pub const fn local_addr(&self) -> Option<IpAddr> {
        if !self.seen(present::LOCAL_ADDR) {
            return None;
        }
        match address(self.record.family, self.record.local_addr) {
            Some(found) if found.is_unspecified() && self.has_late_address() => None,
            found => found,
        }
    }

    const fn has_late_address(&self) -> bool {
        matches!(self.protocol(), Protocol::Icmp | Protocol::Sctp)
    }

    /// The port chosen, or held by a socket whose port was only checked; none where the choice failed.
    #[must_use]
    #[inline]
    pub const fn local_port(&self) -> Option<Port> {
        match self.kind {
            Kind::Allocation(_) if self.failed() => None,
            _ => Port::new(self.record.local_port),
        }
    }

    /// The port that the caller named; none where the choice was the kernel's.
    #[must_use]
    #[inline]
    pub const fn requested_port(&self) -> Option<Port> {
        if self.met().is_some() {
            return None;
        }
        Port::new(self.record.requested_port)
    }

    /// What the inner loop of its search met; none where it was not watched.
    #[inline]
    pub(super) const fn met(&self) -> Option<Met> {
        self.record.met()
    }

    /// Whether the inner loop of its search was watched: then it tells what [`super::Kinds`] are.
    #[must_use]
    #[inline]
    pub const fn is_counted(&self) -> bool {
        self.flag(flags::COUNTED)
    }

    /// Remote address; none for a socket without a peer, which has the wildcard and port 0 there.
    #[must_use]
    #[inline]
    pub const fn remote_addr(&self) -> Option<IpAddr> {
        if !self.seen(present::REMOTE) {
            return None;
        }
        match address(self.record.family, self.record.remote_addr) {
            Some(addr) if self.record.remote_port == 0 && addr.is_unspecified() => None,
            addr => addr,
        }
    }

    /// Remote port; none for a socket without a peer.
    #[must_use]
    #[inline]
    pub const fn remote_port(&self) -> Option<Port> {
        if self.seen(present::REMOTE) { Port::new(self.record.remote_port) } else { None }
    }

    /// Network namespace of the socket.
    #[must_use]
    #[inline]
    pub const fn netns(&self) -> Option<NetnsId> {
        if self.seen(present::NETNS) { NetnsId::new(self.record.netns) } else { None }
    }

    /// Wall time of the search in nanoseconds, preemption included; 4.29 s and more are shown as 4.29 s.
    #[must_use]
    #[inline]
    pub const fn search_ns(&self) -> Option<u32> {
        match self.kind {
            Kind::Release(_) => None,
            _ if self.seen(present::SEARCH_NS) => Some(self.record.search_ns),
            _ => None,
        }
    }

    /// Whether [`Event::search_ns`] holds more than the search.
    #[must_use]
    #[inline]
    pub const fn search_upper_bound(&self) -> bool {
        self.seen(present::SEARCH_UPPER)
    }

    /// Of a release: nanoseconds from allocation to release, to the 1,024; at most 73 minutes are counted.
    #[must_use]
    #[inline]
    pub fn held_ns(&self) -> Option<u64> {
        match self.kind {
            Kind::Release(_) if self.seen(present::SEARCH_NS) => Some(u64::from(self.record.search_ns) << 10),
            _ => None,
        }
    }

    /// The effective bounds of the choice: the namespace's range, or the socket's own within it. Identifiers of
    /// ping sockets come from all 16 bits (`ping_get_port`, net/ipv4/ping.c).
    #[must_use]
    #[inline]
    pub const fn range(&self) -> Option<PortRange> {
        if self.seen(present::RANGE) && !matches!(self.protocol(), Protocol::Icmp) {
            PortRange::new(self.record.range_low, self.record.range_high)
        } else {
            None
        }
    }

    /// Lowest port, port given and highest port of a TCP connect in the range of its namespace; none of all others.
    #[inline]
    pub(super) fn plain_connect(&self) -> Option<[u16; 3]> {
        let record = &self.record;
        let wanted = present::ERROR | present::RANGE | present::SEARCH_START | present::OPTIONS;
        let is_plain = matches!(self.kind, Kind::Allocation(Site::Connect))
            && record.present & wanted == wanted
            && [record.protocol, record.error] == [6, 0]
            && !Options::from_bits(record.options).contains(Options::PORT_RANGE);
        is_plain.then_some([record.range_low, record.local_port, record.range_high])
    }

    /// Socket options, as far as they were seen.
    #[must_use]
    #[inline]
    pub const fn options(&self) -> Option<Options> {
        let options = Options::from_bits(self.record.options);
        let seen = self.seen(present::OPTIONS | present::INET_OPTIONS) || !options.is_empty();
        if seen { Some(options) } else { None }
    }

    /// Whether the kernel itself made the socket.
    #[must_use]
    #[inline]
    pub const fn kernel_socket(&self) -> Option<bool> {
        if self.seen(present::KERNEL_SOCKET) { Some(self.flag(flags::KERNEL_SOCKET)) } else { None }
    }

    /// Whether the port was taken over from a connection in TIME_WAIT.
    #[must_use]
    #[inline]
    pub const fn time_wait_reused(&self) -> Option<bool> {
        if self.seen(present::REUSED) { Some(self.flag(flags::TIME_WAIT_REUSED)) } else { None }
    }

    /// The socket.
    #[must_use]
    #[inline]
    pub const fn socket(&self) -> Option<SocketId> {
        SocketId::new(self.record.socket)
    }

    /// `table_perturb[i] + (port_offset >> 32)` at the entry of a connect: where its search began.
    #[must_use]
    #[inline]
    pub const fn search_start(&self) -> Option<u32> {
        if self.seen(present::SEARCH_START) { Some(self.record.search_start) } else { None }
    }

    /// Whether no other search on the same table entry overlapped.
    #[must_use]
    #[inline]
    pub const fn exact(&self) -> bool {
        self.flag(flags::CANDIDATES_EXACT)
    }

    /// Whether it was seen while the tracer tested itself: not to be counted or shown.
    #[must_use]
    #[inline]
    pub const fn self_test(&self) -> bool {
        self.flag(flags::SELF_TEST)
    }

    /// No event: it names the first thread of a process whose other threads will follow.
    #[must_use]
    #[inline]
    pub const fn names_leader(&self) -> bool {
        self.flag(flags::LEADER_NAME)
    }
}

#[inline]
const fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        6 => Some(IpAddr::V6(Ipv6Addr::from_octets(bytes))),
        _ => None,
    }
}

impl fmt::Debug for Event {
    /// Shows what the accessors say, not the record.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        macro_rules! all {
            ($($field:ident)*) => {
                out.debug_struct("Event")$(.field(stringify!($field), &self.$field()))*.finish()
            };
        }
        all! {
            mono kind result protocol family local_addr local_port requested_port remote_addr remote_port pid tid
            uid comm start cgroup_id netns search_ns search_upper_bound held_ns range options kernel_socket
            time_wait_reused socket search_start exact self_test
        }
    }
}
