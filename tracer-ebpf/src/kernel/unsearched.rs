//! Connects that fail as a search does that finds no port, before any is searched for: no address of the host can be the
//! source (`ip6_dst_lookup_flow` in `tcp_v6_connect`, net/ipv6/tcp_ipv6.c). Without them `EADDRNOTAVAIL` would look like
//! want of ports to whoever sees the errno alone.

use core::ffi::c_void;

use tracer_ebpf::abi::{kind, present};

use super::{
    choice,
    emit::{as_it_is, emit},
    fields::Probed,
    fill::{Filled, clear, fill_socket},
    filter,
    globals::frozen,
    inflight,
    sock::{self, Socket},
    stacks, task,
};

/// `EADDRNOTAVAIL`.
pub(super) const EADDRNOTAVAIL: u8 = 99;
/// Where `struct sockaddr_in6` has its port (include/uapi/linux/in6.h).
const PORT: u32 = 2;

/// Notes the socket and the peer's address of a connect that begins, for an exit that is not told its arguments.
#[inline(always)]
pub(crate) fn connect_begins(sock: u64, peer: u64) {
    let Some(ids) = choice::admitted() else { return };
    if let Some(slot) = inflight::claim(ids) {
        // SAFETY: `claim` returns non-null results of map lookups.
        let slot = unsafe { &mut *slot };
        slot.connecting = sock;
        slot.peer = peer;
    }
}

/// What [`connect_begins`] noted on this thread: the socket and the peer's address.
#[inline(always)]
pub(crate) fn connecting() -> Option<(u64, u64)> {
    let slot = inflight::find(task::ids())?;
    // SAFETY: `find` returns non-null results of map lookups.
    let slot = unsafe { &mut *slot };
    let sock = slot.connecting;
    slot.connecting = 0;
    (sock != 0).then_some((sock, slot.peer))
}

/// Whether a connect ended as one does that has no source.
#[inline(always)]
pub(crate) fn is_unavailable(ret: i32) -> bool {
    ret == -i32::from(EADDRNOTAVAIL)
}

/// A connect has ended so ([`is_unavailable`]): records it, unless a search did. `peer` is where its address lies,
/// `context` that of the running program.
#[inline(always)]
pub(crate) fn connect_fails<S: Socket>(context: *mut c_void, socket: &S, peer: u64) {
    let Some(ids) = choice::admitted() else { return };
    let Some(slot) = inflight::claim(ids) else { return };
    // SAFETY: `claim` returns non-null results of map lookups.
    let entry = unsafe { &mut *slot };
    if entry.refused == socket.address() {
        entry.refused = 0;
        return;
    }
    entry.sock = socket.address();
    // SAFETY: the pointer comes from a reference.
    unsafe { clear(&raw mut entry.record) };
    let event = &mut entry.record;
    ids.write(event);
    event.requested_port = sock::port_of(socket.common());
    event.kind = if event.requested_port == 0 { kind::CONNECT } else { kind::FIXED_CONNECT };
    event.error = EADDRNOTAVAIL;
    event.mono_ns = choice::now();
    let Filled { found, flags } = fill_socket(event, socket, || frozen(&entry.sock), true);
    event.local_port = 0;
    event.remote_port = Probed(peer as *const u8).at::<u16>(PORT).map_or(0, u16::from_be);
    event.flags = flags as u8;
    event.present = found as u16 | present::ERROR | present::LOCAL_ADDR | task::identify(event);
    if emit(event, filter::task_in_cgroup, as_it_is) {
        stacks::note(context, event);
    }
    inflight::release(slot);
}
