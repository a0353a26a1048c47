use std::path::PathBuf;

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::{
    event::decode,
    stock::{Holders, Namespace, NetnsStock, Sockets, State, Stock},
};

const NETNS: u32 = 4_026_532_000;
const PORT: u16 = 40_000;

fn chronicle() -> Chronicle {
    Chronicle::new(Port::new(PORT).unwrap())
}

fn socket(state: State, peer: Option<u16>) -> Socket {
    Socket {
        protocol: Protocol::Tcp,
        state,
        local_addr: "127.0.0.1".parse().unwrap(),
        remote_addr: if peer.is_some() { "127.0.0.1" } else { "0.0.0.0" }.parse().unwrap(),
        local_port: Port::new(PORT),
        remote_port: peer.and_then(Port::new),
        inode: None,
        interface: None,
        time_left_ms: None,
        uid: None,
        v6only: None,
    }
}

fn look(chronicle: &mut Chronicle, at: u64, hides_bound: bool, list: Vec<Socket>) {
    let id = NetnsId::new(NETNS).unwrap();
    let namespace = Namespace { id, name: Some("shop".into()), pid: None, path: PathBuf::new() };
    let sockets = Some(Sockets { list, began: MonoNs(at), ended: MonoNs(at), ..Sockets::default() });
    let space = NetnsStock { namespace, config: None, settings: None, counters: None, sockets };
    let stock = Stock { spaces: vec![space], began: MonoNs(at), ended: MonoNs(at), ..Stock::default() };
    let scene = SceneNote {
        stock,
        holders: Holders::default(),
        descriptors: Vec::new(),
        node_agents: Vec::new(),
        own_netns: None,
    };
    chronicle.look(&scene, hides_bound, Clock::with_offset(0));
}

/// An event of a process at a time; the peer's port is 0 where there is none.
fn take(chronicle: &mut Chronicle, at: u64, pid: u32, what: u8, error: u8, peer: u16) {
    let addr = [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let is_named = what == kind::FIXED_BIND;
    let record = Record {
        mono_ns: at,
        pid,
        socket: pid.into(),
        kind: what,
        error,
        state: if what == kind::RELEASE { 7 } else { 0 },
        protocol: 6,
        family: 4,
        netns: NETNS,
        local_addr: addr,
        local_port: if error == 0 { PORT } else { 0 },
        requested_port: if is_named { PORT } else { 0 },
        remote_addr: if peer == 0 { [0; 16] } else { addr },
        remote_port: peer,
        present: present::ERROR | present::NETNS | present::LOCAL_ADDR | present::REMOTE,
        ..Record::default()
    };
    let event = decode(record.as_bytes()).unwrap();
    chronicle.event(&event, &Process::new(Some("p"), None, None), Clock::with_offset(0));
}

fn pids(chronicle: &Chronicle, at: u64) -> Vec<(u32, bool)> {
    let had = |one: &Tenure| match one.had_it(MonoNs(at)) {
        Some(false) => None,
        sure => Some((one.pid.map_or(0, |pid| pid.0), sure == Some(true))),
    };
    chronicle.tenures.iter().filter_map(had).collect()
}

#[test]
fn one_after_the_other_has_it_and_others_are_refused_it_between() {
    let mut all = chronicle();
    look(&mut all, 10, false, Vec::new());
    take(&mut all, 100, 7, kind::CONNECT, 0, 80);
    for at in [110, 120] {
        take(&mut all, at, 8, kind::FIXED_BIND, 98, 0);
    }
    take(&mut all, 150, 7, kind::RELEASE, 0, 80);
    take(&mut all, 200, 9, kind::CONNECT, 0, 80);
    look(&mut all, 300, false, vec![socket(State::Established, Some(80))]);
    let [one, other] = all.tenures.as_slice() else { panic!("{:?}", all.tenures) };
    assert!(matches!(one.finish, Finish::Released(at, ReleaseState::Closed) if at.mono == MonoNs(150)));
    assert_eq!((other.finish, other.seen.mono), (Finish::Open, MonoNs(300)));
    let [refused] = all.refused.as_slice() else { panic!("{:?}", all.refused) };
    assert_eq!((refused.pid.0, refused.count, refused.errno), (8, 2, Some(Errno::EADDRINUSE)));
    assert_eq!((refused.first.mono, refused.last.mono), (MonoNs(110), MonoNs(120)));
    for (at, expected) in [(99, vec![]), (100, vec![(7, true)]), (150, vec![]), (250, vec![(9, true)])] {
        assert_eq!(pids(&all, at), expected, "{at}");
    }
    // Behind the last look it is not known.
    assert_eq!(pids(&all, 400), [(9, false)]);
}

#[test]
fn a_named_port_ends_between_two_looks() {
    let mut all = chronicle();
    take(&mut all, 100, 7, kind::FIXED_BIND, 0, 0);
    take(&mut all, 101, 7, kind::FIXED_LISTEN, 0, 0);
    let accepted = [Some(50_001), Some(50_002)].map(|peer| socket(State::Established, peer));
    let mut list = vec![socket(State::Listen, None)];
    list.extend(accepted);
    look(&mut all, 200, true, list);
    look(&mut all, 300, true, Vec::new());
    let [one] = all.tenures.as_slice() else { panic!("{:?}", all.tenures) };
    assert!(matches!(one.finish, Finish::Gone(by) if by.mono == MonoNs(300)) && one.serves);
    assert_eq!((one.origin, one.seen.mono), (Origin::Named(Site::Bind), MonoNs(200)));
    assert_eq!(pids(&all, 200), [(7, true)]);
    assert_eq!((pids(&all, 250), pids(&all, 300)), (vec![(7, false)], vec![]));
}

#[test]
fn what_this_kernel_does_not_tell_is_not_gone() {
    let mut all = chronicle();
    take(&mut all, 100, 7, kind::FIXED_BIND, 0, 0);
    look(&mut all, 200, true, Vec::new());
    assert_eq!(all.tenures[0].finish, Finish::Open);
    look(&mut all, 300, false, Vec::new());
    assert!(matches!(all.tenures[0].finish, Finish::Gone(_)));
}

#[test]
fn who_had_it_before_the_recording_is_found_by_its_first_look() {
    let mut all = chronicle();
    look(&mut all, 10, false, vec![socket(State::Listen, None), socket(State::Established, Some(50_001))]);
    look(&mut all, 70, false, vec![socket(State::Listen, None)]);
    look(&mut all, 130, false, vec![socket(State::Established, Some(80))]);
    let [one, other] = all.tenures.as_slice() else { panic!("{:?}", all.tenures) };
    assert_eq!((one.origin, one.not_before, one.accepted), (Origin::Found, None, 0));
    assert!(matches!(one.finish, Finish::Gone(by) if by.mono == MonoNs(130)));
    // A connection that no event told of came after the look before.
    assert_eq!(other.not_before.map(|last| last.mono), Some(MonoNs(70)));
    assert_eq!((other.had_it(MonoNs(70)), other.had_it(MonoNs(100))), (Some(false), None));
}
