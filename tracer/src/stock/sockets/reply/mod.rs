//! Understanding what `sock_diag` answers: datagrams of netlink messages, which may hold anything.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

use zerocopy::FromBytes as _;

use crate::event::{Port, Protocol, Uid};
use crate::stock::sockets::{Inode, Socket, State, message};

/// An answer that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The datagram ends within the header of a message.
    #[error("a message begins {left} bytes before the end, a header takes 16")]
    Header {
        /// Bytes that are left.
        left: usize,
    },
    /// A message is shorter than its header, or longer than what is left.
    #[error("a message claims {claimed} bytes where {left} are left")]
    Length {
        /// What its header says.
        claimed: u32,
        /// Bytes that are left, the header included.
        left: usize,
    },
    /// A message of a kind that does not belong there.
    #[error("message of unexpected type {0}")]
    Type(u16),
    /// A message that answers another question.
    #[error("message of sequence {found} in the answer to {asked}")]
    Sequence {
        /// The number that was asked with.
        asked: u32,
        /// The number of the message.
        found: u32,
    },
    /// A message too short for what it should hold.
    #[error("message of type {kind} holds {length} bytes, {needed} are needed")]
    Short {
        /// Its type.
        kind: u16,
        /// What it holds behind its header.
        length: usize,
        /// What it should hold.
        needed: usize,
    },
    /// A socket that is neither IPv4 nor IPv6.
    #[error("socket of address family {0}")]
    Family(u8),
    /// An attribute of a socket is shorter than its own header, or longer than what is left.
    #[error("attribute {kind} claims {claimed} bytes where {left} are left")]
    Attribute {
        /// Its number.
        kind: u16,
        /// What it says.
        claimed: u16,
        /// Bytes that are left.
        left: usize,
    },
    /// The datagram was longer than the buffer.
    #[error("a datagram of {length} bytes did not fit the buffer")]
    Cut {
        /// How long it was.
        length: usize,
    },
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is complete.
    Done,
    /// The kernel refused it, with this (positive) errno.
    Refused(i32),
}

/// What a datagram told besides sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The end, when it came.
    pub end: Option<End>,
    /// The dump was disturbed (`NLM_F_DUMP_INTR`): it may lack sockets, or have them twice.
    pub interrupted: bool,
    /// There were more sockets than were wanted.
    pub truncated: bool,
}

/// Reads one datagram of the answer to the question of number `sequence` about a protocol, and appends its
/// sockets, until there are `most`.
///
/// # Errors
///
/// What makes no sense is named; the sockets before it have been appended.
pub fn read_reply(
    datagram: &[u8],
    protocol: Protocol,
    sequence: u32,
    most: usize,
    sockets: &mut Vec<Socket>,
) -> Result<Reply, ReplyError> {
    let mut reply = Reply::default();
    let mut rest = datagram;
    while !rest.is_empty() && reply.end.is_none() {
        let (header, payload, behind) = split_message(rest)?;
        rest = behind;
        if header.sequence != sequence {
            return Err(ReplyError::Sequence { asked: sequence, found: header.sequence });
        }
        reply.interrupted |= header.flags & message::DUMP_INTR != 0;
        match header.kind {
            message::NOOP => {}
            message::BY_FAMILY if sockets.len() >= most => reply.truncated = true,
            message::BY_FAMILY => sockets.push(socket(payload, protocol)?),
            message::ERROR => match result(payload, message::ERROR)? {
                // An acknowledgement.
                0 => {}
                errno => reply.end = Some(End::Refused(errno)),
            },
            // Kernels tell there how the dump ended; an end without a result is one, too.
            message::DONE if payload.is_empty() => reply.end = Some(End::Done),
            message::DONE => {
                reply.end = Some(match result(payload, message::DONE)? {
                    0 => End::Done,
                    errno => End::Refused(errno),
                });
            }
            other => return Err(ReplyError::Type(other)),
        }
    }
    Ok(reply)
}

/// The first message's header, its payload, and what is behind it.
fn split_message(bytes: &[u8]) -> Result<(message::Header, &[u8], &[u8]), ReplyError> {
    let left = bytes.len();
    let Ok((header, _)) = message::Header::read_from_prefix(bytes) else {
        return Err(ReplyError::Header { left });
    };
    let wrong = ReplyError::Length { claimed: header.length, left };
    let length = usize::try_from(header.length).ok().ok_or(wrong)?;
    let payload = bytes.get(size_of::<message::Header>()..length).ok_or(wrong)?;
    // The last one need not be filled up to four bytes.
    let behind = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok((header, payload, behind))
}

/// The errno of an error or an end, 0 for success.
fn result(payload: &[u8], kind: u16) -> Result<i32, ReplyError> {
    let (number, _) = i32::read_from_prefix(payload).ok().ok_or(ReplyError::Short {
        kind,
        length: payload.len(),
        needed: 4,
    })?;
    // Dumps may end with a length, which is no error.
    Ok(if number < 0 { number.checked_neg().unwrap_or(i32::MAX) } else { 0 })
}

fn socket(payload: &[u8], protocol: Protocol) -> Result<Socket, ReplyError> {
    let Ok((body, attributes)) = message::Body::read_from_prefix(payload) else {
        let needed = size_of::<message::Body>();
        return Err(ReplyError::Short { kind: message::BY_FAMILY, length: payload.len(), needed });
    };
    let told = Told::read(attributes)?;
    let (local_addr, remote_addr) = (
        address(body.family, body.ends.local_addr).ok_or(ReplyError::Family(body.family))?,
        address(body.family, body.ends.remote_addr).ok_or(ReplyError::Family(body.family))?,
    );
    let local_port = Port::new(u16::from_be_bytes(body.ends.local_port));
    let inode = Inode::new(body.inode);
    let state = match protocol {
        Protocol::Sctp if told.peers => State::of_association(body.state),
        _ => State::of(body.state, local_port.is_some()),
    };
    let timed = protocol == Protocol::Tcp && body.timer == message::TIMER_TIME_WAIT;
    Ok(Socket {
        protocol,
        state,
        local_addr,
        remote_addr,
        local_port,
        remote_port: Port::new(u16::from_be_bytes(body.ends.remote_port)),
        inode,
        interface: NonZeroU32::new(body.ends.interface),
        time_left_ms: timed.then_some(NonZeroU32::new(body.expires).unwrap_or(NonZeroU32::MIN)),
        uid: (inode.is_some() || body.uid != 0).then_some(Uid(body.uid)),
        v6only: told.v6only,
    })
}

fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        message::INET => {
            let [a, b, c, d, ..] = bytes;
            Some(Ipv4Addr::new(a, b, c, d).into())
        }
        message::INET6 => Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}

/// What the attributes of a socket tell.
#[derive(Default)]
struct Told {
    v6only: Option<bool>,
    peers: bool,
}

impl Told {
    fn read(mut bytes: &[u8]) -> Result<Self, ReplyError> {
        let mut told = Self::default();
        while let Ok((attribute, _)) = message::Attribute::read_from_prefix(bytes) {
            let kind = attribute.kind & !message::ATTRIBUTE_FLAGS;
            let length = usize::from(attribute.length);
            let Some(value) = bytes.get(size_of::<message::Attribute>()..length) else {
                return Err(ReplyError::Attribute { kind, claimed: attribute.length, left: bytes.len() });
            };
            match kind {
                message::SKV6ONLY => told.v6only = value.first().map(|byte| *byte != 0),
                message::PEERS => told.peers = true,
                _ => {}
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
