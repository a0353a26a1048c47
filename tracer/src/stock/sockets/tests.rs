use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::event::{Pid, Port};

fn here(protocols: &[Protocol]) -> Sockets {
    Sockets::here(Path::new("/proc"), protocols, MOST_SOCKETS).unwrap()
}

fn of_port(sockets: &Sockets, port: u16) -> Vec<Socket> {
    sockets.list.iter().filter(|one| one.local_port == Port::new(port)).copied().collect()
}

#[test]
fn our_own_sockets_are_found() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let served = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, peer) = listener.accept().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let all = here(&PROTOCOLS);
    assert!(all.began < all.ended && !all.truncated);

    // Others may have connections from the same port, to elsewhere.
    let to_us = |sockets: &Sockets| -> Vec<Socket> {
        let found = of_port(sockets, peer.port()).into_iter();
        found.filter(|one| one.remote_port == Port::new(served)).collect()
    };
    let ours = to_us(&all);
    let [ours] = ours.as_slice() else { panic!("{ours:?}") };
    assert_eq!((ours.protocol, ours.state), (Protocol::Tcp, State::Established));
    assert_eq!(ours.remote_port, Port::new(served));
    assert_eq!(ours.remote_addr, IpAddr::V4(Ipv4Addr::LOCALHOST));
    let link = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&client)));
    assert_eq!(link.unwrap().to_str().unwrap(), format!("socket:[{}]", ours.inode.unwrap().get()));

    let mut states: Vec<State> = of_port(&all, served).iter().map(|one| one.state).collect();
    states.sort_unstable();
    assert_eq!(states, [State::Listen, State::Established]);
    let datagrams = of_port(&all, udp.local_addr().unwrap().port());
    assert!(datagrams.iter().any(|one| (one.protocol, one.state) == (Protocol::Udp, State::Bound)));

    // We close first: a TIME_WAIT with its timer is left on our port.
    drop(client);
    drop(accepted);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let left = loop {
        let left = to_us(&here(&[Protocol::Tcp]));
        if let [one] = left.as_slice()
            && one.state == State::TimeWait
        {
            break *one;
        }
        assert!(std::time::Instant::now() < deadline, "{left:?}");
    };
    let left_ms = left.time_left_ms.unwrap().get();
    assert!((50_000..=61_000).contains(&left_ms), "{left_ms}");
    assert_eq!((left.inode, left.uid), (None, None));
}

#[test]
fn a_dual_stack_listener_and_its_v4_mapped_child_are_told_apart() {
    let Ok(listener) = TcpListener::bind("[::]:0") else {
        assert!(!Path::new("/proc/net/if_inet6").exists());
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let accepted = listener.accept().unwrap();
    let found = of_port(&here(&[Protocol::Tcp]), port);
    drop((client, accepted));
    let listening = found.iter().find(|one| one.state == State::Listen).unwrap();
    assert_eq!((listening.v6only, listening.is_dual_wildcard()), (Some(false), true));
    let child = found.iter().find(|one| one.state == State::Established).unwrap();
    assert_eq!(child.local_addr, IpAddr::V4(Ipv4Addr::LOCALHOST));
}

#[test]
fn no_more_than_wanted_are_held() {
    let _listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let some = Sockets::here(Path::new("/proc"), &[Protocol::Tcp], 2).unwrap();
    assert_eq!((some.list.len(), some.truncated), (2, true));
}

#[test]
fn a_namespace_can_be_asked_through_its_file() {
    let own = Netns::of_process(Path::new("/proc"), Pid(std::process::id())).unwrap();
    assert!(Sockets::of(&own, Path::new("/proc"), &[], 1).unwrap().list.is_empty());
}
