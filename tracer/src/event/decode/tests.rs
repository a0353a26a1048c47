//! Decoding: every field, every oddity, and any bytes at all.

use std::net::IpAddr;

use proptest::prelude::*;
use tracer_ebpf::abi::flags;
use zerocopy::IntoBytes as _;

use super::*;
use crate::event::{
    Cause, CgroupId, Comm, Errno, Family, MonoNs, NetnsId, Options, Outcome, Pid, Port, PortRange, Protocol,
    SocketId, StartTime, Tid, Uid,
};

fn full() -> Record {
    Record {
        mono_ns: 81_895_158_000_123,
        socket: 0x1a2b,
        cgroup_id: 77,
        pid: 101,
        tid: 102,
        uid: 1000,
        netns: 4_026_531_840,
        search_ns: 2230,
        search_start: 9,
        local_addr: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        remote_addr: [10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        comm: *b"curl\0\0\0\0\0\0\0\0\0\0\0\0",
        local_port: 40_112,
        requested_port: 0,
        remote_port: 443,
        range_low: 32_768,
        range_high: 60_999,
        options: 1,
        present: u16::MAX,
        error: 0,
        kind: kind::CONNECT,
        protocol: 6,
        family: 4,
        flags: flags::CANDIDATES_EXACT,
        state: 0,
        start: 5,
    }
}

fn event(record: &Record) -> Event {
    decode(record.as_bytes()).unwrap()
}

fn addr(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn octets(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().unwrap().octets()
}

#[test]
fn every_field_of_a_full_record_arrives() {
    let event = event(&full());
    assert_eq!((event.mono(), event.kind()), (MonoNs(81_895_158_000_123), Kind::Allocation(Site::Connect)));
    assert_eq!((event.result(), event.protocol(), event.family()), (Outcome::Ok, Protocol::Tcp, Family::V4));
    assert_eq!((event.local_addr(), event.local_port()), (addr("10.0.0.1"), Port::new(40_112)));
    assert_eq!((event.remote_addr(), event.remote_port()), (addr("10.0.0.9"), Port::new(443)));
    assert_eq!((event.requested_port(), event.range()), (None, PortRange::new(32_768, 60_999)));
    assert_eq!((event.pid(), event.tid(), event.uid()), (Pid(101), Tid(102), Some(Uid(1000))));
    assert_eq!((event.comm(), event.start()), (Some(Comm::from_name(b"curl")), Some(StartTime(5))));
    assert_eq!((event.cgroup_id(), event.netns()), (CgroupId::new(77), NetnsId::new(4_026_531_840)));
    assert_eq!((event.search_ns(), event.search_upper_bound()), (Some(2230), true));
    assert_eq!((event.search_start(), event.exact()), (Some(9), true));
    assert_eq!((event.options(), event.held_ns()), (Some(Options::REUSEADDR), None));
    assert_eq!((event.kernel_socket(), event.time_wait_reused()), (Some(false), Some(false)));
    assert_eq!((event.socket(), event.self_test()), (SocketId::new(0x1a2b), false));
}

#[test]
fn what_is_not_present_is_none() {
    let event = event(&Record { present: 0, options: 0, ..full() });
    assert_eq!((event.local_addr(), event.remote_addr(), event.remote_port()), (None, None, None));
    assert_eq!(
        (event.uid(), event.comm(), event.start(), event.cgroup_id(), event.netns()),
        (None, None, None, None, None)
    );
    assert_eq!(
        (event.search_ns(), event.search_start(), event.range(), event.options()),
        (None, None, None, None)
    );
    assert_eq!((event.kernel_socket(), event.time_wait_reused()), (None, None));
}

#[test]
fn a_failure_is_told_from_a_success_with_and_without_its_errno() {
    let table = [
        (0, 40_112, true, false, None),
        (0, 0, true, false, None),
        (99, 0, true, true, Errno::new(99)),
        (255, 0, true, true, None),
        (0, 0, false, true, None),
        (0, 40_112, false, true, None),
    ];
    for (error, local_port, seen, failed, errno) in table {
        let present = if seen { present::ERROR } else { 0 };
        let event = event(&Record { error, local_port, present, ..full() });
        assert_eq!((event.failed(), event.errno()), (failed, errno), "{error} {local_port} {seen}");
        assert_eq!(event.cause(), errno.map(|_| Cause::Exhausted));
        assert!(!failed || event.local_port().is_none());
    }
}

#[test]
fn v4_mapped_addresses_become_ipv4_and_so_does_the_wildcard_beside_them() {
    let (mapped, wildcard, six) = (octets("::ffff:10.0.0.9"), octets("::"), octets("2001:db8::1"));
    let table = [
        (mapped, mapped, Family::V4, "10.0.0.9", "10.0.0.9"),
        (wildcard, mapped, Family::V4, "0.0.0.0", "10.0.0.9"),
        (six, six, Family::V6, "2001:db8::1", "2001:db8::1"),
        (wildcard, six, Family::V6, "::", "2001:db8::1"),
    ];
    for (local_addr, remote_addr, family, local, remote) in table {
        let event = event(&Record { family: 6, local_addr, remote_addr, ..full() });
        assert_eq!(
            (event.family(), event.local_addr(), event.remote_addr()),
            (family, addr(local), addr(remote))
        );
    }
}

#[test]
fn a_wildcard_peer_without_a_port_is_no_peer() {
    let nobody = event(&Record { remote_addr: [0; 16], remote_port: 0, ..full() });
    assert_eq!((nobody.remote_addr(), nobody.remote_port()), (None, None));
    let port_zero = event(&Record { remote_port: 0, ..full() });
    assert_eq!((port_zero.remote_addr(), port_zero.remote_port()), (addr("10.0.0.9"), None));
}

#[test]
fn a_release_carries_its_hold_and_never_fails() {
    for (state, expected) in
        [(6, ReleaseState::TimeWait), (7, ReleaseState::Closed), (9, ReleaseState::Unknown(9))]
    {
        let event = event(&Record { kind: kind::RELEASE, state, error: 99, local_port: 0, ..full() });
        assert_eq!((event.kind(), event.result()), (Kind::Release(expected), Outcome::Ok));
        assert_eq!((event.held_ns(), event.search_ns()), (Some(2230 << 10), None));
    }
    let longest = event(&Record { kind: kind::RELEASE, search_ns: u32::MAX, ..full() });
    assert_eq!(longest.held_ns(), Some(u64::from(u32::MAX) * 1024));
}

#[test]
fn what_ping_and_sctp_sockets_do_not_hold_yet_is_absent() {
    let wildcard = Record { local_addr: [0; 16], ..full() };
    assert_eq!(event(&wildcard).local_addr(), addr("0.0.0.0"));
    let ping = event(&Record { protocol: 1, ..wildcard });
    assert_eq!((ping.local_addr(), ping.range()), (None, None));
    assert_eq!(event(&Record { protocol: 132, ..wildcard }).local_addr(), None);
}

#[test]
fn unknown_numbers_are_kept_or_refused_by_name() {
    let odd = event(&Record { family: 9, protocol: 41, ..full() });
    assert_eq!(
        (odd.family(), odd.protocol(), odd.local_addr()),
        (Family::Unknown(9), Protocol::Unknown(41), None)
    );
    assert_eq!(decode(Record { kind: 8, ..full() }.as_bytes()), Err(DecodeError::Kind(8)));
}

#[test]
fn a_range_upside_down_is_none() {
    assert_eq!(event(&Record { range_low: 9, range_high: 8, ..full() }).range(), None);
}

#[test]
fn decode_reads_a_record_at_any_address() {
    let mut bytes = vec![0; 1];
    bytes.extend_from_slice(full().as_bytes());
    assert_eq!(decode(bytes.get(1..).unwrap()), Ok(event(&full())));
}

proptest! {
    #[test]
    fn decode_takes_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..260)) {
        match decode(&bytes) {
            Ok(_) => prop_assert_eq!(bytes.len(), 120),
            Err(DecodeError::Kind(kind)) => prop_assert!(bytes.len() == 120 && kind >= 8),
            Err(DecodeError::Length { actual, expected }) => {
                prop_assert!(actual == bytes.len() && actual != expected && expected == 120);
            }
        }
    }

    #[test]
    fn a_record_of_random_bytes_keeps_its_numbers(bytes in any::<[[u8; 8]; 15]>(), kind in 0_u8..8) {
        let mut record = Record::read_from_bytes(bytes.as_bytes()).unwrap();
        record.kind = kind;
        let event = event(&record);
        prop_assert_eq!(event.mono().0, record.mono_ns);
        prop_assert_eq!((event.pid().0, event.tid().0), (record.pid, record.tid));
        if !event.failed() {
            prop_assert_eq!(event.local_port().map_or(0, Port::get), record.local_port);
        }
        let requested = if record.met().is_none() { record.requested_port } else { 0 };
        prop_assert_eq!(event.requested_port().map_or(0, Port::get), requested);
        prop_assert_eq!(event.self_test(), record.flags & flags::SELF_TEST != 0);
        let class = if record.present & present::ERROR == 0 { 255 } else { record.error };
        prop_assert_eq!(event.failed(), class != 0 && kind != kind::RELEASE);
        if let Some(range) = event.range() {
            prop_assert_eq!((range.low(), range.high()), (record.range_low, record.range_high));
        }
    }
}
