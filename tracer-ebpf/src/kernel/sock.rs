//! What a record says of a socket: addresses, ports, options, range, namespace.

use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use tracer_ebpf::abi::{blanks, option, present};

use super::{
    fields::{Block, Fields, Probed, Typed},
    globals::{offset, tuned, value},
};

/// `AF_INET6`.
const AF_INET6: u16 = 10;
/// `TCP_LISTEN`.
const TCP_LISTEN: u8 = 10;
/// `IPPROTO_TCP`.
const IPPROTO_TCP: u8 = 6;
/// `SOCK_BINDPORT_LOCK`, include/net/sock.h.
pub(crate) const BINDPORT_LOCK: u8 = 8;
/// Words that take in `struct sock_common` up to and with its namespace. The IPv6 addresses behind it are read apart: the
/// stack is small.
const COMMON_WORDS: usize = 7;

/// A `struct sock`, however it may be read.
pub(crate) trait Socket {
    /// The part that TIME_WAIT and request sockets share.
    type Common: Fields;

    /// It can only be one that chooses like TCP.
    const TCP: bool;

    /// Address of the socket.
    fn address(&self) -> u64;
    /// `struct sock_common`.
    fn common(&self) -> &Self::Common;
    /// Protocol number and whether the kernel made it.
    fn origin(&self) -> (Option<u16>, Option<bool>);
    /// Whether a bind call named the port.
    fn is_port_locked(&self) -> bool;
    /// Options and range of `struct inet_sock`.
    fn inet(&self, protocol: u8) -> Inet;
    /// Id and range of the namespace.
    fn net(&self) -> Net;
}

/// What is read behind `struct sock`.
#[derive(Clone, Copy)]
pub(crate) struct Inet {
    /// Bits of [`option`]; `None` where they could not be read.
    pub(crate) options: Option<u16>,
    /// `IP_LOCAL_PORT_RANGE`, 0 for an end that is not set.
    pub(crate) range: (u16, u16),
}

/// What is read of `struct net`.
///
/// Plain values and bits rather than options: for an absent payload the compiler leaves a register
/// unwritten, and may copy it before it asks whether it is there, which the verifier refuses.
#[derive(Clone, Copy)]
pub(crate) struct Net {
    /// Inode number.
    pub(crate) inum: u32,
    /// `ip_local_port_range`.
    pub(crate) range: (u16, u16),
    /// Which of them were read, bits of [`present`].
    pub(crate) seen: u16,
}

/// A socket that an fentry program was given; `TCP` where it can only be one that chooses like TCP.
pub(crate) struct TypedSock<const TCP: bool>(pub(crate) Typed);

/// A socket of which only the address is known, its first bytes fetched.
pub(crate) struct ProbedSock(Block<COMMON_WORDS>);

impl ProbedSock {
    /// Fetches what the records need at once.
    #[inline(always)]
    pub(crate) fn fetch(address: *const u8) -> Option<Self> {
        Block::fetch(address, 0).map(Self)
    }
}

impl<const TCP: bool> Socket for TypedSock<TCP> {
    type Common = Typed;

    const TCP: bool = TCP;

    #[inline(always)]
    fn address(&self) -> u64 {
        self.0.0 as u64
    }

    #[inline(always)]
    fn common(&self) -> &Typed {
        &self.0
    }

    #[inline(always)]
    fn origin(&self) -> (Option<u16>, Option<bool>) {
        (self.0.read(offset!(sk_protocol)), self.0.bit(offset!(sk_kern_sock)))
    }

    #[inline(always)]
    fn is_port_locked(&self) -> bool {
        self.0.any_bit(offset!(sk_userlocks), BINDPORT_LOCK) == Some(true)
    }

    #[inline(always)]
    fn inet(&self, _protocol: u8) -> Inet {
        if TCP && tuned!(SKC_TO_TCP) {
            // SAFETY: the argument is a typed pointer to a socket; the helper checks its kind.
            let tcp = unsafe { bpf_skc_to_tcp_sock(self.0.0.cast_mut().cast()) };
            return if tcp.is_null() { Inet::UNSEEN } else { inet(&Typed(tcp.cast_const().cast()), true) };
        }
        inet(&Probed(self.0.0), false)
    }

    #[inline(always)]
    fn net(&self) -> Net {
        match self.0.read::<u64, _>(offset!(skc_net)) {
            Some(net) => net_of(&Typed(net as *const u8)),
            None => Net::UNSEEN,
        }
    }
}

impl Socket for ProbedSock {
    type Common = Block<COMMON_WORDS>;

    const TCP: bool = false;

    #[inline(always)]
    fn address(&self) -> u64 {
        self.0.address() as u64
    }

    #[inline(always)]
    fn common(&self) -> &Block<COMMON_WORDS> {
        &self.0
    }

    #[inline(always)]
    fn origin(&self) -> (Option<u16>, Option<bool>) {
        let (kern, protocol) = (offset!(sk_kern_sock), offset!(sk_protocol));
        let base = kern.offset().min(protocol.offset());
        match Block::<1>::fetch(self.0.address(), base) {
            Some(block) => (block.read(protocol), block.bit(kern)),
            None => (None, None),
        }
    }

    #[inline(always)]
    fn is_port_locked(&self) -> bool {
        self.0.any_bit(offset!(sk_userlocks), BINDPORT_LOCK) == Some(true)
    }

    #[inline(always)]
    fn inet(&self, protocol: u8) -> Inet {
        inet(&Probed(self.0.address()), protocol == IPPROTO_TCP)
    }

    #[inline(always)]
    fn net(&self) -> Net {
        match self.0.read::<u64, _>(offset!(skc_net)) {
            Some(net) => net_of(&Probed(net as *const u8)),
            None => Net::UNSEEN,
        }
    }
}

impl Inet {
    const UNSEEN: Self = Self { options: None, range: (0, 0) };
}

impl Net {
    const UNSEEN: Self = Self { inum: 0, range: (0, 0), seen: 0 };
}

#[inline(always)]
fn inet(fields: &impl Fields, tcp: bool) -> Inet {
    let options = inet_options(fields).map(|found| {
        let mptcp = tcp && fields.bit(offset!(is_mptcp)) == Some(true);
        if mptcp { found | option::MPTCP } else { found }
    });
    let range = fields.pair(offset!(socket_range_low), offset!(socket_range_high)).unwrap_or((0, 0));
    Inet { options, range }
}

/// Both bits lie within four bytes on every kernel, `freebind` first.
#[inline(always)]
fn inet_options(fields: &impl Fields) -> Option<u16> {
    let freebind = offset!(freebind);
    let word: u32 = fields.read(freebind)?;
    let mut options = 0;
    if word & freebind.mask() != 0 {
        options |= option::FREEBIND;
    }
    if word & value::<{ blanks::value::NO_PORT_MASK }>() as u32 != 0 {
        options |= option::NO_PORT;
    }
    Some(options)
}

#[inline(always)]
fn net_of(fields: &impl Fields) -> Net {
    let mut net = Net::UNSEEN;
    if let Some(inum) = fields.read(offset!(net_inum)) {
        net.inum = inum;
        net.seen |= present::NETNS;
    }
    if let Some(range) = fields.pair(offset!(net_range_low), offset!(net_range_high)) {
        net.range = range;
        net.seen |= present::RANGE;
    }
    net
}

/// Address family and addresses of an event.
pub(crate) struct Addresses {
    /// 4 or 6.
    pub(crate) family: u8,
    /// Bound address.
    pub(crate) local: [u64; 2],
    /// Peer's address.
    pub(crate) remote: [u64; 2],
}

/// The first eight bytes of `::ffff:0:0/96` are 0, the next four these, as loaded on little endian.
const MAPPED: u64 = 0xffff_0000;

/// Both ends, IPv4 where the peer (or, before there is one, the bound address) is a mapped IPv4 one.
#[inline(always)]
pub(crate) fn addresses(common: &impl Fields, with_remote: bool) -> Addresses {
    if common.read::<u16, _>(offset!(skc_family)) == Some(AF_INET6) {
        let local: [u64; 2] = common.read(offset!(skc_v6_rcv_saddr)).unwrap_or([0; 2]);
        let remote: [u64; 2] =
            if with_remote { common.read(offset!(skc_v6_daddr)).unwrap_or([0; 2]) } else { [0; 2] };
        let decides = if with_remote { remote } else { local };
        if !(decides[0] == 0 && decides[1] & 0xffff_ffff == MAPPED) {
            return Addresses { family: 6, local, remote };
        }
    }
    if with_remote {
        let both: u64 = common.read(offset!(skc_addrpair)).unwrap_or(0);
        return Addresses { family: 4, local: [both >> 32, 0], remote: [both & 0xffff_ffff, 0] };
    }
    let local = common.read::<u32, _>(offset!(skc_rcv_saddr)).map_or(0, u64::from);
    Addresses { family: 4, local: [local, 0], remote: [0; 2] }
}

/// Options of the socket layer, and the bit that says they were read. Both lie in one byte: userspace has seen to
/// that.
#[inline(always)]
pub(crate) fn common_options(common: &impl Fields) -> (u16, u16) {
    let (reuse, reuseport) = (offset!(skc_reuse), offset!(skc_reuseport));
    let Some(byte) = common.read::<u8, _>(reuse).map(u32::from) else { return (0, 0) };
    let mut options = 0;
    if byte & (reuse.mask() * 15) != 0 {
        options |= option::REUSEADDR;
    }
    if byte & reuseport.mask() != 0 {
        options |= option::REUSEPORT;
    }
    (options, present::OPTIONS)
}

/// The peer's port and the one that the socket holds, both host order, 0 for none.
#[inline(always)]
pub(crate) fn ports(common: &impl Fields) -> (u16, u16) {
    let both: u32 = common.read(offset!(skc_portpair)).unwrap_or(0);
    (u16::from_be(both as u16), (both >> 16) as u16)
}

/// Local port that the socket holds, 0 for none.
#[inline(always)]
pub(crate) fn port_of(common: &impl Fields) -> u16 {
    common.read(offset!(skc_num)).unwrap_or(0)
}

/// Whether the socket is on its way to listen.
#[inline(always)]
pub(crate) fn is_listening(common: &impl Fields) -> bool {
    common.read::<u8, _>(offset!(skc_state)) == Some(TCP_LISTEN)
}

/// The range a search runs over: the socket's own ends where they lie inside the namespace's
/// (`inet_sk_get_local_port_range`, net/ipv4/inet_connection_sock.c).
#[inline(always)]
pub(crate) fn effective_range(net: (u16, u16), own: (u16, u16)) -> (u16, u16) {
    let (mut low, mut high) = net;
    if own == (0, 0) {
        return net;
    }
    if own.0 >= low && own.0 <= high {
        low = own.0;
    }
    if own.1 >= low && own.1 <= high {
        high = own.1;
    }
    (low, high)
}
