//! Any bytes, read as an answer of `sock_diag`: no panic, and no more sockets than were wanted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portscope::{event::Protocol, stock::read_reply};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, datagram)) = bytes.split_first() else { return };
    let protocol = Protocol::of(*first);
    let mut sockets = Vec::new();
    // The sequence of the first message, so that what lies behind it is met, too.
    let sequence = datagram.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(1, u32::from_ne_bytes);
    let _told = read_reply(datagram, protocol, sequence, 16, &mut sockets);
    assert!(sockets.len() <= 16);
});
