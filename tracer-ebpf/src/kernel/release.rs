//! When a port becomes free again, and when a connect takes one over from a TIME_WAIT.

use super::{
    choice,
    fields::Fields,
    globals::{offset, tuned},
    inflight, live,
    sock::{self, Socket},
    task,
};

/// `IPPROTO_TCP`.
const IPPROTO_TCP: u16 = 6;
/// [`tracer_ebpf::abi::Record::state`] after a TIME_WAIT.
const TIME_WAIT: u8 = 6;
/// [`tracer_ebpf::abi::Record::state`] after a close.
const CLOSED: u8 = 7;

/// A TIME_WAIT ends. When that happens on a thread whose connect is searching, and the search then returns
/// this very port, the connect has reused it.
#[inline(always)]
pub(crate) fn time_wait_ends(time_wait: u64, fields: &impl Fields) {
    if let Some(slot) = inflight::find(task::ids()) {
        // SAFETY: `find` returns non-null results of map lookups.
        let slot = unsafe { &mut *slot };
        if slot.sock != 0 {
            slot.time_wait_port = sock::port_of(fields);
        }
    }
    // A second call without a bind bucket follows when a connect reuses the tuple.
    if tuned!(RELEASES) && fields.read::<u64, _>(offset!(tw_tb)).is_some_and(|bucket| bucket != 0) {
        choice::end(time_wait, TIME_WAIT);
    }
}

/// A TIME_WAIT takes over the port of a socket.
#[inline(always)]
pub(crate) fn handed_over(sock: u64, time_wait: u64) {
    live::hand_over(sock, time_wait);
}

/// A socket gives back its port, if it holds one.
#[inline(always)]
pub(crate) fn closes(sock: u64, fields: &impl Fields) {
    if sock::port_of(fields) != 0 {
        choice::end(sock, CLOSED);
    }
}

/// A TCP socket goes to CLOSE without a TIME_WAIT behind it: its port is free already, unless a bind call
/// named it.
#[inline(always)]
pub(crate) fn closes_at_state(sock: u64, fields: &impl Fields) {
    if tuned!(RELEASES) && sock::port_of(fields) == 0 {
        choice::end(sock, CLOSED);
    }
}

/// A TIME_WAIT takes over the port of a socket, and its end will not be seen.
#[inline(always)]
pub(crate) fn vanishes(sock: u64) {
    if tuned!(RELEASES) {
        live::forget(sock);
    }
}

/// A socket that is not TCP is closed by its user.
#[inline(always)]
pub(crate) fn closes_datagram(sock: u64, fields: &impl Fields) {
    if fields.read::<u16, _>(offset!(sk_protocol)) != Some(IPPROTO_TCP) {
        closes(sock, fields);
    }
}

/// A UDP socket disconnects, and gives back a port that no bind call named.
#[inline(always)]
pub(crate) fn disconnects(socket: &impl Socket) {
    if sock::port_of(socket.common()) != 0 && !socket.is_port_locked() {
        choice::end(socket.address(), CLOSED);
    }
}
