use proptest::prelude::*;

use super::*;

/// What Linux 6.18 told of 127.0.0.1:45544 > 127.0.0.1:45672 in TIME_WAIT, 59,996 ms left.
const TIME_WAIT: &str = "600000001400020007000000b956000002060300b1e8b2687f000001000000000000000000000000\
    7f000001000000000000000000000000000000000b000000000000005cea0000000000000000000000000000000000\
    0008000f0000000000";
/// Of a socket that was bound to 127.0.0.1:45671, and nothing else.
const BOUND: &str = "7c0000001400020007000000b956000002070000b26700007f000001000000000000000000000000\
    00000000000000000000000000000000000000000a0000000000000000000000000000000000000000000000c98e00\
    00050008000000000008000f00000000000c00150001000000000000000600160052000000";
/// Of a listener on [::]:45672, not v6only.
const LISTEN: &str = "840000001400020007000000b95600000a0a0000b2680000000000000000000000000000000000000\
    0000000000000000000000000000000000000000c000000000000000000000000000000800000000000\
    0000ca8e0000050008000000000005000b000000000008000f00000000000c00150001000000000000000600160012000000";
/// The end, and the end of a dump of SCTP on a kernel without it.
const DONE: &str = "140000000300020007000000b956000000000000";
const NO_HANDLER: &str = "140000000300020007000000b9560000feffffff";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A message of sequence 7, as the kernel writes it.
fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 16).unwrap();
    [
        length.to_ne_bytes().as_slice(),
        &kind.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &7_u32.to_ne_bytes(),
        &[0; 4],
        payload,
    ]
    .concat()
}

fn read(datagram: &[u8]) -> Result<(Reply, Vec<Socket>), ReplyError> {
    let mut sockets = Vec::new();
    let reply = read_reply(datagram, Protocol::Tcp, 7, usize::MAX, &mut sockets)?;
    Ok((reply, sockets))
}

fn error(datagram: &[u8]) -> String {
    read(datagram).unwrap_err().to_string()
}

fn port(number: u16) -> Option<Port> {
    Port::new(number)
}

#[test]
fn a_recorded_dump_is_understood() {
    let (reply, sockets) = read(&bytes(&[TIME_WAIT, BOUND, LISTEN, DONE].concat())).unwrap();
    assert_eq!(reply, Reply { end: Some(End::Done), ..Reply::default() });
    let [time_wait, bound, listen] = sockets.as_slice() else { panic!("{sockets:?}") };
    assert_eq!((time_wait.state, time_wait.time_left_ms), (State::TimeWait, NonZeroU32::new(59_996)));
    assert_eq!((time_wait.local_port, time_wait.remote_port), (port(45_544), port(45_672)));
    assert_eq!(time_wait.local_addr, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert_eq!((time_wait.inode, time_wait.uid, time_wait.v6only), (None, None, None));

    assert_eq!((bound.state, bound.local_port, bound.remote_port), (State::Bound, port(45_671), None));
    assert_eq!((bound.inode, bound.uid), (Inode::new(0x8ec9), Some(Uid(0))));
    assert!(bound.is_binder() && !bound.is_wildcard());

    assert_eq!((listen.state, listen.v6only), (State::Listen, Some(false)));
    assert_eq!(listen.local_addr, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    assert!(listen.is_dual_wildcard());
}

#[test]
fn the_end_may_be_a_refusal() {
    assert_eq!(read(&bytes(NO_HANDLER)).unwrap().0.end, Some(End::Refused(2)));
    let refused = message(message::ERROR, 0, &(-13_i32).to_ne_bytes());
    assert_eq!(read(&refused).unwrap().0.end, Some(End::Refused(13)));
    let absurd = message(message::ERROR, 0, &i32::MIN.to_ne_bytes());
    assert_eq!(read(&absurd).unwrap().0.end, Some(End::Refused(i32::MAX)));
    let acknowledged = message(message::ERROR, 0, &0_i32.to_ne_bytes());
    assert_eq!(read(&acknowledged).unwrap().0.end, None);
}

#[test]
fn a_disturbed_dump_says_so() {
    let (reply, _) = read(&message(message::DONE, message::DUMP_INTR, &[])).unwrap();
    assert_eq!((reply.interrupted, reply.end), (true, Some(End::Done)));
}

#[test]
fn v4_mapped_addresses_are_v4() {
    let mut listen = bytes(LISTEN);
    let mapped = Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped().octets();
    listen[16 + 8..16 + 24].copy_from_slice(&mapped);
    let (_, sockets) = read(&listen).unwrap();
    assert_eq!(sockets[0].local_addr, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
}

#[test]
fn a_timer_that_runs_off_now_still_has_a_millisecond() {
    let mut time_wait = bytes(TIME_WAIT);
    time_wait[16 + 52..16 + 56].fill(0);
    let (_, sockets) = read(&time_wait).unwrap();
    assert_eq!(sockets[0].time_left_ms, NonZeroU32::new(1));
}

#[test]
fn associations_are_told_from_endpoints_by_their_peers() {
    let state = |attributes: &[u8]| {
        let mut body = bytes(BOUND)[16..88].to_vec();
        body[1] = 3;
        body.extend_from_slice(attributes);
        let mut sockets = Vec::new();
        let datagram = message(message::BY_FAMILY, 0, &body);
        read_reply(&datagram, Protocol::Sctp, 7, 1, &mut sockets).unwrap();
        sockets[0].state
    };
    assert_eq!((state(&[4, 0, 13, 0]), state(&[])), (State::Established, State::SynReceived));
}

#[test]
fn what_makes_no_sense_is_named() {
    assert_eq!(error(&[1, 2, 3]), "a message begins 3 bytes before the end, a header takes 16");
    let mut long = message(message::DONE, 0, &[0; 4]);
    long[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(error(&long), "a message claims 4294967295 bytes where 20 are left");
    long[..4].copy_from_slice(&15_u32.to_ne_bytes());
    assert_eq!(error(&long), "a message claims 15 bytes where 20 are left");
    assert_eq!(error(&message(4, 0, &[])), "message of unexpected type 4");
    assert_eq!(error(&message(message::ERROR, 0, &[1])), "message of type 2 holds 1 bytes, 4 are needed");
    let short = message(message::BY_FAMILY, 0, &[2; 71]);
    assert_eq!(error(&short), "message of type 20 holds 71 bytes, 72 are needed");
    assert_eq!(error(&message(message::BY_FAMILY, 0, &[9; 72])), "socket of address family 9");
    let mut other = message(message::DONE, 0, &[]);
    other[8] = 8;
    assert_eq!(error(&other), "message of sequence 8 in the answer to 7");
    for claimed in [3_u16, 9] {
        let mut attribute = bytes(BOUND)[16..88].to_vec();
        attribute.extend_from_slice(&claimed.to_ne_bytes());
        attribute.extend_from_slice(&[8, 0, 0, 0, 0, 0]);
        let said = error(&message(message::BY_FAMILY, 0, &attribute));
        assert_eq!(said, format!("attribute 8 claims {claimed} bytes where 8 are left"));
    }
}

#[test]
fn a_dump_cut_at_any_byte_is_an_error_or_a_shorter_dump() {
    let whole = bytes(&[TIME_WAIT, BOUND, LISTEN].concat());
    for cut in 0..whole.len() {
        let kept = read(&whole[..cut]).map(|(_, sockets)| sockets.len());
        match cut {
            0 => assert_eq!(kept, Ok(0)),
            96 => assert_eq!(kept, Ok(1)),
            220 => assert_eq!(kept, Ok(2)),
            _ => assert!(kept.is_err(), "{cut}"),
        }
    }
}

#[test]
fn no_more_than_wanted_are_kept() {
    let mut sockets = Vec::new();
    let datagram = bytes(&[TIME_WAIT, BOUND].concat());
    let reply = read_reply(&datagram, Protocol::Tcp, 7, 1, &mut sockets).unwrap();
    assert_eq!((sockets.len(), reply.truncated), (1, true));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
        let read = read(&datagram);
        prop_assert!(read.is_err() || read.unwrap().1.len() <= datagram.len() / 88);
    }

    #[test]
    fn no_flipped_bytes_make_it_panic(
        flips in proptest::collection::vec((0_usize..352, any::<u8>()), 0..8),
    ) {
        let mut datagram = bytes(&[TIME_WAIT, BOUND, LISTEN].concat());
        for (at, byte) in flips {
            if let Some(slot) = datagram.get_mut(at) {
                *slot = byte;
            }
        }
        match read(&datagram) {
            Ok((_, sockets)) => prop_assert!(sockets.len() <= 3),
            Err(error) => prop_assert!(error.to_string().len() > 10),
        }
    }
}
