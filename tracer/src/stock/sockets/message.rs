//! The binary interface of `sock_diag`: layouts of `include/uapi/linux/{netlink,inet_diag}.h`.
//!
//! Numbers are in the byte order of the host, ports and addresses in that of the network.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `NLMSG_NOOP`.
pub(super) const NOOP: u16 = 1;
/// `NLMSG_ERROR`.
pub(super) const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub(super) const DONE: u16 = 3;
/// `SOCK_DIAG_BY_FAMILY`.
pub(super) const BY_FAMILY: u16 = 20;
/// `NLM_F_DUMP_INTR`: what is dumped changed meanwhile.
pub(super) const DUMP_INTR: u16 = 0x10;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const ASK_ALL: u16 = 0x301;

/// `AF_INET`.
pub(super) const INET: u8 = 2;
/// `AF_INET6`.
pub(super) const INET6: u8 = 10;
/// `idiag_timer` of a TIME_WAIT.
pub(super) const TIMER_TIME_WAIT: u8 = 3;
/// Attribute `INET_DIAG_SKV6ONLY`, one byte.
pub(super) const SKV6ONLY: u16 = 11;
/// Attribute `INET_DIAG_PEERS`, which only SCTP associations have.
pub(super) const PEERS: u16 = 13;
/// Bits of an attribute's type that are none of its number: `NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`.
pub(super) const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Header {
    /// Of the whole message, this header included.
    pub(super) length: u32,
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port_id: u32,
}

/// `struct nlattr`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Attribute {
    /// Of the attribute, these four bytes included, what fills it up to four not.
    pub(super) length: u16,
    pub(super) kind: u16,
}

/// `struct inet_diag_sockid`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Ends {
    pub(super) local_port: [u8; 2],
    pub(super) remote_port: [u8; 2],
    pub(super) local_addr: [u8; 16],
    pub(super) remote_addr: [u8; 16],
    pub(super) interface: u32,
    pub(super) cookie: [u32; 2],
}

/// `struct inet_diag_msg`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Body {
    pub(super) family: u8,
    pub(super) state: u8,
    pub(super) timer: u8,
    pub(super) retransmits: u8,
    pub(super) ends: Ends,
    /// Milliseconds until the timer runs off.
    pub(super) expires: u32,
    pub(super) receive_queue: u32,
    pub(super) send_queue: u32,
    pub(super) uid: u32,
    pub(super) inode: u32,
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: all sockets of a protocol and family.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub(super) struct Request {
    header: Header,
    family: u8,
    protocol: u8,
    extensions: u8,
    padding: u8,
    states: u32,
    ends: Ends,
}

const _: () = assert!(
    size_of::<Header>() == 16
        && size_of::<Ends>() == 48
        && size_of::<Body>() == 72
        && size_of::<Request>() == 72
);

impl Request {
    /// Asks for the sockets of an IP protocol number, whatever their state: a kernel ignores the states that it
    /// does not know.
    pub(super) const fn new(family: u8, protocol: u8, sequence: u32) -> Self {
        let ends = Ends {
            local_port: [0; 2],
            remote_port: [0; 2],
            local_addr: [0; 16],
            remote_addr: [0; 16],
            interface: 0,
            cookie: [0; 2],
        };
        let header = Header { length: 72, kind: BY_FAMILY, flags: ASK_ALL, sequence, port_id: 0 };
        Self { header, family, protocol, extensions: 0, padding: 0, states: u32::MAX, ends }
    }
}
