//! What a record says of a socket: addresses, ports, options, range, namespace.

use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use tracer_ebpf::abi::{Protocol, Record, blanks, option, present};

use super::{
    fields::{Block, Fields, Probed, Typed},
    globals::{apart, offset, opaque, ruled_out, shifted, tuned, value},
    task::{self, bytes},
};

/// `AF_INET6`.
const AF_INET6: u16 = 10;
/// `TCP_LISTEN`.
const TCP_LISTEN: u8 = 10;
/// `IPPROTO_TCP`.
const IPPROTO_TCP: u8 = 6;
/// `SOCK_BINDADDR_LOCK`, include/net/sock.h.
const BINDADDR_LOCK: u64 = 4;
/// `SOCK_BINDPORT_LOCK` of the same.
pub(crate) const BINDPORT_LOCK: u64 = 8;
/// Words that take in `struct sock_common` up to and with its namespace. The IPv6 addresses behind it are read apart: the
/// stack is small.
const COMMON_WORDS: usize = 7;

/// A `struct sock`, however it may be read.
pub(crate) trait Socket {
    /// The part that TIME_WAIT and request sockets share.
    type Common: Fields;

    /// What it is most often.
    const USUAL: Protocol;
    /// It may be on its way to listen.
    const LISTENS: bool;

    /// Address of the socket.
    fn address(&self) -> u64;
    /// `struct sock_common`.
    fn common(&self) -> &Self::Common;
    /// Protocol number and whether the kernel made it, 0 or 1.
    fn origin(&self) -> Option<(u8, u8)>;
    /// Whether a bind call named the port.
    fn is_port_locked(&self) -> bool;
    /// All that is read of it behind `struct sock_common`.
    fn nature(&self) -> Nature;
    /// Id and range of the namespace.
    fn net(&self) -> Net;
}

/// What is read behind `struct sock`. The fields are words: the compiler would pack smaller ones into one.
#[derive(Clone, Copy)]
pub(crate) struct Inet {
    /// Bits of [`option`].
    pub(crate) options: u64,
    /// Whether they could be read, bits of [`present`].
    pub(crate) seen: u64,
    /// First port of `IP_LOCAL_PORT_RANGE`, 0 where it is not set.
    pub(crate) low: u64,
    /// Last port, the same.
    pub(crate) high: u64,
}

/// What is read behind `struct sock_common`, in words as [`Inet`].
#[derive(Clone, Copy)]
pub(crate) struct Nature {
    /// Protocol number.
    pub(crate) protocol: u64,
    /// Whether the kernel made it, 0 or 1.
    pub(crate) kernel: u64,
    /// Whether they could be read, bits of [`present`].
    pub(crate) seen: u64,
    /// Options and range.
    pub(crate) inet: Inet,
}

/// What is read of `struct net`.
///
/// Plain values and bits rather than options: for an absent payload the compiler leaves a register
/// unwritten, and may copy it before it asks whether it is there, which the verifier refuses.
#[derive(Clone, Copy)]
pub(crate) struct Net {
    /// Inode number.
    pub(crate) inum: u64,
    /// First port of `ip_local_port_range`.
    pub(crate) low: u64,
    /// Last port.
    pub(crate) high: u64,
    /// Which of them were read, bits of [`present`].
    pub(crate) seen: u64,
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

    const USUAL: Protocol = if TCP { Protocol::Tcp } else { Protocol::Udp };
    const LISTENS: bool = TCP;

    #[inline(always)]
    fn address(&self) -> u64 {
        self.0.0 as u64
    }

    #[inline(always)]
    fn common(&self) -> &Typed {
        &self.0
    }

    #[inline(always)]
    fn origin(&self) -> Option<(u8, u8)> {
        let protocol: u16 = self.0.read(offset!(sk_protocol))?;
        let kernel = self.0.bits(offset!(sk_kern_sock), 1)?;
        Some((protocol as u8, kernel as u8))
    }

    #[inline(always)]
    fn is_port_locked(&self) -> bool {
        is_port_locked(&self.0)
    }

    #[inline(always)]
    fn nature(&self) -> Nature {
        if TCP && tuned!(SKC_TO_TCP) {
            // SAFETY: the argument is a typed pointer to a socket; the helper checks its kind.
            let tcp = unsafe { bpf_skc_to_tcp_sock(self.0.0.cast_mut().cast()) };
            if tcp.is_null() {
                apart();
                return Nature::of(self.origin(), Inet::UNSEEN);
            }
            // The helper gives nothing but TCP, so that the protocol need not be read.
            let kernel = self.0.bits(offset!(sk_kern_sock), 1).map(|kernel| (IPPROTO_TCP, kernel as u8));
            return Nature::of(kernel, inet(&Typed(tcp.cast_const().cast()), true));
        }
        Nature::of(self.origin(), inet(&Probed(self.0.0), false))
    }

    #[inline(always)]
    fn net(&self) -> Net {
        match self.0.read::<u64, _>(offset!(skc_net)) {
            Some(net) => {
                let net = Typed(net as *const u8);
                net_of(net.read(offset!(net_inum)), net.net_range())
            }
            None => Net::UNSEEN,
        }
    }
}

impl Socket for ProbedSock {
    type Common = Block<COMMON_WORDS>;

    const USUAL: Protocol = Protocol::Tcp;
    const LISTENS: bool = true;

    #[inline(always)]
    fn address(&self) -> u64 {
        self.0.address() as u64
    }

    #[inline(always)]
    fn common(&self) -> &Block<COMMON_WORDS> {
        &self.0
    }

    #[inline(always)]
    fn origin(&self) -> Option<(u8, u8)> {
        let (kern, protocol) = (offset!(sk_kern_sock), offset!(sk_protocol));
        let base = kern.offset().min(protocol.offset());
        let block = Block::<1>::fetch(self.0.address(), base)?;
        let protocol: u16 = block.read(protocol)?;
        let kernel = block.bits(kern, 1)?;
        Some((protocol as u8, kernel as u8))
    }

    #[inline(always)]
    fn is_port_locked(&self) -> bool {
        is_port_locked(&self.0)
    }

    #[inline(always)]
    fn nature(&self) -> Nature {
        let origin = self.origin();
        // A subflow of MPTCP is made by the kernel (`mptcp_subflow_create_socket`, net/mptcp/subflow.c): of the others it
        // is not asked, a read less.
        let subflow = matches!(origin, Some((IPPROTO_TCP, 1)));
        Nature::of(origin, inet(&Probed(self.0.address()), subflow))
    }

    #[inline(always)]
    fn net(&self) -> Net {
        let Some(net) = self.0.read::<u64, _>(offset!(skc_net)) else { return Net::UNSEEN };
        // Most often it is that of the running task, to which a typed pointer leads. A copy is compared: the compiler
        // would take one for the other, and the verifier knows the type of one alone.
        if let Some(own) = task::net()
            && opaque(own.0 as u64) == net
        {
            return net_of(own.read(offset!(net_inum)), own.net_range());
        }
        let net = Probed(net as *const u8);
        let range: Option<u64> = net.read(offset!(net_range_low));
        let high = |both| shifted::<{ blanks::value::NET_RANGE_SHIFT }>(both) as u16;
        net_of(net.read(offset!(net_inum)), range.map(|both| (both as u16, high(both))))
    }
}

impl Inet {
    const UNSEEN: Self = Self { options: 0, seen: 0, low: 0, high: 0 };
}

impl Nature {
    #[inline(always)]
    fn of(origin: Option<(u8, u8)>, inet: Inet) -> Self {
        let Some((protocol, kernel)) = origin else { return Self { protocol: 0, kernel: 0, seen: 0, inet } };
        Self { protocol: protocol.into(), kernel: kernel.into(), seen: present::KERNEL_SOCKET.into(), inet }
    }
}

impl Net {
    const UNSEEN: Self = Self { inum: 0, low: 0, high: 0, seen: 0 };
}

impl Typed {
    /// Both ends of the range of a namespace: halves of one number, or two numbers of an array (before 6.8).
    #[inline(always)]
    fn net_range(self) -> Option<(u16, u16)> {
        if value::<{ blanks::value::NET_RANGE_SHIFT }>() == 16 {
            ruled_out();
            let both: u32 = self.read(offset!(net_range_low))?;
            return Some((both as u16, (both >> 16) as u16));
        }
        ruled_out();
        let both: u64 = self.read(offset!(net_range_low))?;
        Some((both as u16, (both >> 32) as u16))
    }
}

#[inline(always)]
fn inet(fields: &impl Fields, tcp: bool) -> Inet {
    let (mut options, seen) = inet_options(fields);
    if tcp {
        let byte: u8 = fields.or_zero(offset!(is_mptcp));
        options |= (offset!(is_mptcp).shifted(byte.into()) & 1) * u64::from(option::MPTCP);
    }
    let (low, high) = fields.pair_or_zero::<_, _, { blanks::value::SOCKET_RANGE_SHIFT }>(
        offset!(socket_range_low),
        offset!(socket_range_high),
    );
    Inet { options, seen, low: low.into(), high: high.into() }
}

/// The options, and the bit that says they were read. Both lie within four bytes on every kernel, `freebind` first.
#[inline(always)]
fn inet_options(fields: &impl Fields) -> (u64, u64) {
    let freebind = offset!(freebind);
    let Some(word) = fields.read::<u32, _>(freebind).map(u64::from) else { return (0, 0) };
    let free = freebind.shifted(word) & 1;
    let no_port = shifted::<{ blanks::value::NO_PORT_SHIFT }>(word) & 1;
    let options = (free * u64::from(option::FREEBIND)) | (no_port * u64::from(option::NO_PORT));
    (options, present::INET_OPTIONS.into())
}

#[inline(always)]
fn net_of(inum: Option<u32>, range: Option<(u16, u16)>) -> Net {
    let mut net = Net::UNSEEN;
    if let Some(inum) = inum {
        net.inum = inum.into();
        net.seen |= u64::from(present::NETNS);
    }
    if let Some((low, high)) = range {
        net.low = low.into();
        net.high = high.into();
        net.seen |= u64::from(present::RANGE);
    }
    net
}

/// What of a socket's own end was named, its address and its port: of [`BINDADDR_LOCK`] and [`BINDPORT_LOCK`].
#[inline(always)]
pub(crate) fn locks(fields: &impl Fields) -> u64 {
    fields.bits(offset!(sk_userlocks), (BINDADDR_LOCK | BINDPORT_LOCK) as u8).unwrap_or(0)
}

/// Whether a bind call named the port of a socket.
#[inline(always)]
pub(crate) fn is_port_locked(fields: &impl Fields) -> bool {
    locks(fields) & BINDPORT_LOCK != 0
}

/// The first eight bytes of `::ffff:0:0/96` are 0, the next four these, as loaded on little endian.
const MAPPED: u64 = 0xffff_0000;

/// Fills in both ends and their family, IPv4 where the peer (or, before there is one, the bound address) is a mapped
/// IPv4 one.
#[inline(always)]
pub(crate) fn fill_addresses(record: &mut Record, common: &impl Fields, with_remote: bool) {
    if common.read::<u16, _>(offset!(skc_family)) == Some(AF_INET6) {
        let local: [u64; 2] = common.or_zero(offset!(skc_v6_rcv_saddr));
        let remote: [u64; 2] = if with_remote { common.or_zero(offset!(skc_v6_daddr)) } else { [0; 2] };
        let decides = if with_remote { remote } else { local };
        if !(decides[0] == 0 && decides[1] & 0xffff_ffff == MAPPED) {
            record.family = 6;
            record.local_addr = bytes(local);
            record.remote_addr = bytes(remote);
            return apart();
        }
    }
    record.family = 4;
    let zero = opaque(0);
    if with_remote {
        let both: u64 = common.or_zero(offset!(skc_addrpair));
        record.local_addr = bytes([both >> 32, zero]);
        record.remote_addr = bytes([both & 0xffff_ffff, zero]);
    } else {
        let local: u32 = common.or_zero(offset!(skc_rcv_saddr));
        record.local_addr = bytes([local.into(), zero]);
        record.remote_addr = bytes([zero; 2]);
    }
}

/// The bound address and its family, of a socket without a peer.
#[inline(always)]
pub(crate) fn local_address(common: &impl Fields) -> ([u8; 16], u8) {
    if common.read::<u16, _>(offset!(skc_family)) == Some(AF_INET6) {
        let local: [u64; 2] = common.or_zero(offset!(skc_v6_rcv_saddr));
        if !(local[0] == 0 && local[1] & 0xffff_ffff == MAPPED) {
            return (bytes(local), 6);
        }
    }
    let local: u32 = common.or_zero(offset!(skc_rcv_saddr));
    (bytes([local.into(), 0]), 4)
}

/// Options of the socket layer, and the bit that says they were read. Both lie in one byte: userspace has seen to
/// that.
#[inline(always)]
pub(crate) fn common_options(common: &impl Fields) -> (u64, u64) {
    let (reuse, reuseport) = (offset!(skc_reuse), offset!(skc_reuseport));
    let Some(byte) = common.read::<u8, _>(reuse).map(u64::from) else { return (0, 0) };
    // Four bits, of which any counts.
    let addr = ((reuse.shifted(byte) & 15) + 15) >> 4;
    let port = reuseport.shifted(byte) & 1;
    let options = (addr * u64::from(option::REUSEADDR)) | (port * u64::from(option::REUSEPORT));
    (options, present::OPTIONS.into())
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
pub(crate) fn effective_range(net: &Net, own: &Inet) -> (u64, u64) {
    let Net { mut low, mut high, .. } = *net;
    if own.low >= low && own.low <= high {
        low = own.low;
    }
    if own.high >= low && own.high <= high {
        high = own.high;
    }
    (low, high)
}
