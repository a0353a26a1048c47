//! From a file descriptor of the running task to the socket behind it.

use aya_ebpf::helpers::generated::bpf_get_current_task;

use super::{
    fields::{Fields as _, Probed},
    globals::{Field, offset},
};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
/// `SOCK_DGRAM`.
const SOCK_DGRAM: u16 = 2;
/// `IPPROTO_TCP`.
const IPPROTO_TCP: u16 = 6;
/// Protocols whose sockets are bound automatically: ICMP, UDP, ICMPv6, UDP-Lite.
const AUTOBOUND: [u16; 4] = [1, 17, 58, 136];

/// A socket that was found by its descriptor.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    /// The socket.
    pub(crate) socket: Probed,
    /// Its inode, whose number no other socket has had for long.
    pub(crate) inode: Probed,
}

/// The datagram socket behind a descriptor, if it is one that may be bound automatically.
#[inline(always)]
pub(crate) fn datagram(fd: u64) -> Option<Found> {
    let found = find(fd)?;
    let protocol: u16 = found.socket.read(offset!(sk_protocol))?;
    let kind: u16 = found.socket.read(offset!(sk_type))?;
    (AUTOBOUND.contains(&protocol) && kind == SOCK_DGRAM).then_some(found)
}

/// The TCP socket behind a descriptor, if it is one.
#[inline(always)]
pub(crate) fn tcp(fd: u64) -> Option<Found> {
    let found = find(fd)?;
    let protocol: u16 = found.socket.read(offset!(sk_protocol))?;
    (protocol == IPPROTO_TCP).then_some(found)
}

/// The socket behind a descriptor.
#[inline(always)]
fn find(fd: u64) -> Option<Found> {
    // SAFETY: the helper has no preconditions.
    let task = Probed(unsafe { bpf_get_current_task() } as *const u8);
    let files = follow(task, offset!(task_files))?;
    let table = follow(files, offset!(files_fdt))?;
    let size: u32 = table.read(offset!(fdt_max))?;
    if fd >= u64::from(size) {
        return None;
    }
    let slots = follow(table, offset!(fdt_fd))?;
    let file = Probed(slots.0.wrapping_add(fd as usize * 8)).at::<u64>(0).filter(|&file| file != 0)?;
    let file = Probed(file as *const u8);
    let inode = follow(file, offset!(file_inode))?;
    let mode: u16 = inode.read(offset!(inode_mode))?;
    if mode & S_IFMT != S_IFSOCK {
        return None;
    }
    let socket = follow(follow(file, offset!(file_private))?, offset!(socket_sk))?;
    Some(Found { socket, inode })
}

#[inline(always)]
fn follow<const F: usize>(from: Probed, field: Field<F>) -> Option<Probed> {
    let to: u64 = from.read(field)?;
    (to != 0).then_some(Probed(to as *const u8))
}
