//! Fills in what a record says of a socket, for all backends.

use core::ptr;

use tracer_ebpf::abi::{Record, flags, option, present};

use super::{
    globals::{CONFIG, apart, frozen, tuned},
    sock::{self, Nature, Socket},
};

/// What the socket said, in words: the compiler would pack smaller ones into one.
#[derive(Clone, Copy)]
pub(crate) struct Filled {
    /// What was found, bits of [`present`].
    pub(crate) found: u64,
    /// Bits of [`flags`].
    pub(crate) flags: u64,
}

/// Fills in what the socket says: addresses, ports, options, range, namespace, identity. The record has its kind and time
/// already.
///
/// `address` is that of the socket as a plain number, read from a map: the verifier allows no arithmetic on
/// the pointer that a hook was given.
#[inline(always)]
pub(crate) fn fill_socket<S: Socket>(
    event: &mut Record,
    socket: &S,
    address: impl FnOnce() -> u64,
    connects: bool,
) -> Filled {
    let common = socket.common();
    let Nature { protocol, kernel, seen: origin, inet } = socket.nature();
    event.protocol = protocol as u8;
    let (mut options, seen) = sock::common_options(common);
    options |= inet.options;
    let net = socket.net();
    event.netns = net.inum as u32;
    event.range_low = net.low as u16;
    event.range_high = net.high as u16;
    if inet.low | inet.high != 0 {
        let (low, high) = sock::effective_range(&net, &inet);
        event.range_low = low as u16;
        event.range_high = high as u16;
        options |= u64::from(option::PORT_RANGE);
        apart();
    }
    event.options = options as u16;
    let mut found = origin | seen | inet.seen | net.seen;
    sock::fill_addresses(event, common, connects);
    let (remote_port, local_port) = sock::ports(common);
    event.local_port = local_port;
    event.remote_port = 0;
    if connects {
        event.remote_port = remote_port;
        found |= u64::from(present::REMOTE);
    }
    event.socket = socket_id(address(), event.mono_ns);
    Filled { found, flags: kernel * u64::from(flags::KERNEL_SOCKET) }
}

/// Notes in the record of a connect from a bound port whether it was bound by name.
#[inline(always)]
pub(crate) fn note_bound<S: Socket>(event: &mut Record, socket: &S) {
    if socket.is_port_locked() {
        event.options |= option::BOUND;
    }
}

/// Keyed hash of a socket's address: tells two sockets apart, tells nothing of where they lie.
#[inline(always)]
pub(crate) fn socket_id(address: u64, birth: u64) -> u64 {
    let keys = [frozen(&CONFIG.socket_key[0]), frozen(&CONFIG.socket_key[1])];
    let mut id = (address ^ keys[0]).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    id ^= (id >> 32) ^ keys[1];
    // Only with releases can the address be told apart from its earlier uses by more than time.
    if tuned!(RELEASES) {
        id ^= birth;
    }
    id = id.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    id ^ (id >> 29)
}

/// What a record of a protocol cannot have, bits of [`present`]: an ICMP identifier is chosen from all there are, whatever
/// the range.
#[inline(always)]
pub(crate) fn unfit(protocol: u8) -> u16 {
    if matches!(protocol, 1 | 58) { present::RANGE } else { 0 }
}

/// Writes zeros over a record, word by word: the compiler would make a `memset` of it, which is a loop over bytes in
/// BPF.
///
/// # Safety
///
/// `record` points to memory of a record's size and alignment.
#[inline(always)]
pub(crate) unsafe fn clear(record: *mut Record) {
    let words = record.cast::<u64>();
    for index in 0..size_of::<Record>() / 8 {
        // SAFETY: the index is below the number of words of a record, whose alignment is that of a word.
        let word = unsafe { words.add(index) };
        // SAFETY: as above.
        unsafe { ptr::write_volatile(word, 0) };
    }
}
