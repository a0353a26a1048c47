//! The kernel's process connector: which process was forked by which, told as it happens.
//!
//! Layouts of `include/uapi/linux/{netlink,connector,cn_proc}.h`, numbers in the byte order of the host. A fork is
//! told before the child runs (`copy_process`, `kernel/fork.c`), so whatever a process does comes after its fork.

use rustix::{
    fd::OwnedFd,
    io::{Errno, Result, retry_on_intr},
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::{CONNECTOR, SocketAddrNetlink},
        recvfrom, send, socket_with,
        sockopt::set_socket_recv_buffer_size_force,
    },
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::event::{MonoNs, Pid};

/// `CN_IDX_PROC` and `CN_VAL_PROC`: the connector of processes, and its multicast group.
const PROC: u32 = 1;
/// `NLMSG_DONE`, the type of all messages of connectors.
const DONE: u16 = 3;
/// `PROC_CN_MCAST_LISTEN`.
const LISTEN: u32 = 1;
/// `PROC_EVENT_FORK`.
const FORK: u32 = 1;
/// Room for some ten thousand forks: a reader that was stopped for a while must not lose any.
const BUFFER_BYTES: usize = 8 << 20;

/// `struct nlmsghdr` and `struct cn_msg`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port_id: u32,
    index: u32,
    value: u32,
    connector_sequence: u32,
    acknowledge: u32,
    body_length: u16,
    connector_flags: u16,
}

/// Asks for all events: `enum proc_cn_mcast_op`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct AskAll {
    header: Header,
    operation: u32,
}

/// Asks for events of a kind: `struct proc_input`, Linux 6.6.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct AskForks {
    header: Header,
    operation: u32,
    events: u32,
}

/// `struct proc_event` of a fork.
#[derive(Clone, Copy, FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Told {
    header: Header,
    what: u32,
    cpu: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`, eight bytes at an address that is a multiple of four.
    at: [u8; 8],
    _parent_thread: u32,
    parent: u32,
    child_thread: u32,
    child: u32,
}

const _: () = assert!(
    size_of::<Header>() == 36
        && size_of::<AskAll>() == 40
        && size_of::<AskForks>() == 44
        && size_of::<Told>() == 68
);

impl Header {
    const fn asking(length: u32) -> Self {
        Self {
            length,
            kind: DONE,
            flags: 0,
            sequence: 0,
            port_id: 0,
            index: PROC,
            value: PROC,
            connector_sequence: 0,
            acknowledge: 0,
            body_length: if length == 40 { 4 } else { 8 },
            connector_flags: 0,
        }
    }
}

/// A new process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    pub(super) at: MonoNs,
    pub(super) parent: Pid,
    pub(super) child: Pid,
}

/// What waits at the connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Fork(Fork),
    /// Something else: a thread, or an event that was not asked for.
    Other,
    /// Some were lost.
    Lost,
    /// Nothing more for now.
    Nothing,
}

/// A socket to the connector.
#[derive(Debug)]
pub(super) struct Forks(OwnedFd);

impl Forks {
    /// Listens from now on. It needs CAP_NET_ADMIN, and the first namespaces of processes, users and networks; where
    /// those of processes or users are others, the kernel takes the question and tells nothing.
    pub(super) fn listen() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(CONNECTOR))?;
        bind(&socket, &SocketAddrNetlink::new(0, PROC))?;
        // Without the right to it the usual size must do.
        if let Err(errno) = set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES) {
            log::debug!("the buffer for forks stays small: {errno}");
        }
        let all = AskAll { header: Header::asking(40), operation: LISTEN };
        send(&socket, all.as_bytes(), SendFlags::empty())?;
        // Kernels before 6.6 know no choice, and drop this for its length.
        let forks = AskForks { header: Header::asking(44), operation: LISTEN, events: FORK };
        send(&socket, forks.as_bytes(), SendFlags::empty())?;
        Ok(Self(socket))
    }

    /// Takes the next message, without waiting.
    pub(super) fn next(&self) -> Next {
        let mut buffer = [0; 256];
        match retry_on_intr(|| recvfrom(&self.0, &mut buffer[..], RecvFlags::DONTWAIT)) {
            Ok((_, length, from)) => {
                let kernel = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                // Others may send to a group, too.
                let is_kernel = kernel.is_some_and(|from| from.pid() == 0);
                let fork = buffer.get(..length).filter(|_| is_kernel).and_then(read);
                fork.map_or(Next::Other, Next::Fork)
            }
            Err(Errno::NOBUFS) => Next::Lost,
            Err(_) => Next::Nothing,
        }
    }
}

/// The fork of a process in a message, if it tells one.
fn read(message: &[u8]) -> Option<Fork> {
    let (told, _) = Told::read_from_prefix(message).ok()?;
    let Told { header, what, at, parent, child_thread, child, .. } = told;
    let is_fork = (header.index, header.value, what) == (PROC, PROC, FORK);
    // A thread is no new process.
    (is_fork && child == child_thread).then(|| Fork {
        at: MonoNs(u64::from_ne_bytes(at)),
        parent: Pid(parent),
        child: Pid(child),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(what: u32, thread: u32, child: u32) -> Vec<u8> {
        let mut bytes = Header::asking(40).as_bytes().to_vec();
        for number in [what, 1, 7, 0, 10, 11, thread, child] {
            bytes.extend_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_fork_is_told_from_a_thread_and_from_other_events() {
        let fork = Fork { at: MonoNs(7), parent: Pid(11), child: Pid(20) };
        assert_eq!(read(&message(FORK, 20, 20)), cfg!(target_endian = "little").then_some(fork));
        assert_eq!(read(&message(FORK, 21, 20)), None);
        assert_eq!(read(&message(2, 20, 20)), None);
    }

    #[test]
    fn a_message_that_is_cut_tells_nothing() {
        let whole = message(FORK, 20, 20);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None, "{length}");
        }
    }
}
