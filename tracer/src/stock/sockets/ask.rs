//! Asking: one netlink socket, one dump after the other.

use std::{io, time::Duration};

use rustix::{
    fd::OwnedFd,
    io::retry_on_intr,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use zerocopy::IntoBytes as _;

use super::{End, Reply, ReplyError, Socket, message::Request, read_reply};
use crate::{event::Protocol, stock::StockError};

/// The kernel fills datagrams of at most 32 KiB (`netlink_dump`, `net/netlink/af_netlink.c`).
const BUFFER_BYTES: usize = 64 * 1024;
/// A kernel that says nothing for so long will not.
const PATIENCE: Duration = Duration::from_secs(5);
/// `ENOENT`: no handler for this protocol (`inet_diag_lock_handler`, `net/ipv4/inet_diag.c`).
const ENOENT: i32 = 2;

/// A socket to the `sock_diag` of the namespace in which it was opened.
pub(super) struct Diag {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Diag {
    /// Opens it in the namespace of this thread.
    pub(super) fn open() -> Result<Self, StockError> {
        let failed = |errno: rustix::io::Errno| StockError::Diag { doing: "opened", source: errno.into() };
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(SOCK_DIAG))
                .map_err(failed)?;
        // Connected to the kernel, it takes nothing from other processes.
        connect(&socket, &SocketAddrNetlink::new(0, 0)).map_err(failed)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).map_err(failed)?;
        Ok(Self { socket, buffer: vec![0; BUFFER_BYTES], sequence: 0 })
    }

    /// Appends the sockets of a protocol and family; none where the kernel cannot tell them.
    pub(super) fn dump(
        &mut self,
        protocol: Protocol,
        family: u8,
        most: usize,
        sockets: &mut Vec<Socket>,
    ) -> Result<Option<Reply>, StockError> {
        let Some(number) = number_of(protocol) else {
            return Ok(None);
        };
        self.sequence = self.sequence.wrapping_add(1);
        let request = Request::new(family, number, self.sequence);
        retry_on_intr(|| send(&self.socket, request.as_bytes(), SendFlags::empty()))
            .map_err(|errno| StockError::Diag { doing: "asked", source: errno.into() })?;
        let mut all = Reply::default();
        loop {
            let (datagram, length) =
                retry_on_intr(|| recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC))
                    .map(|(_, length)| (self.buffer.get(..length), length))
                    .map_err(|errno| StockError::Diag { doing: "read", source: errno.into() })?;
            let reply = datagram
                .ok_or(ReplyError::Cut { length })
                .and_then(|datagram| read_reply(datagram, protocol, self.sequence, most, sockets))
                .map_err(|source| StockError::Reply { protocol: protocol.name(), source })?;
            all.interrupted |= reply.interrupted;
            all.truncated |= reply.truncated;
            match reply.end {
                None => {}
                Some(End::Done) => return Ok(Some(all)),
                Some(End::Refused(ENOENT)) => return Ok(None),
                Some(End::Refused(errno)) => {
                    let source = io::Error::from_raw_os_error(errno);
                    return Err(StockError::Diag { doing: "asked", source });
                }
            }
        }
    }
}

/// The IP protocol number.
const fn number_of(protocol: Protocol) -> Option<u8> {
    match protocol {
        Protocol::Tcp => Some(6),
        Protocol::Udp => Some(17),
        Protocol::UdpLite => Some(136),
        Protocol::Sctp => Some(132),
        _ => None,
    }
}
