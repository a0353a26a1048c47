use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    event::{NetnsId, Port, PortRange, Protocol, Reserved},
    stock::{State, TimeWaitReuse, parse_reserved},
};

const US: &str = "10.0.0.1";
const DB: &str = "10.0.0.9";

fn config(low: u16, high: u16, reserved: &str) -> NetnsConfig {
    NetnsConfig {
        id: NetnsId::new(1).unwrap(),
        range: PortRange::new(low, high).unwrap(),
        reserved: parse_reserved(reserved).unwrap(),
        reserved_text: reserved.to_owned(),
        step_width: None,
    }
}

fn settings() -> Settings {
    Settings { tcp_tw_reuse: Some(TimeWaitReuse::Loopback), tcp_timestamps: Some(1), ..Settings::default() }
}

fn socket(protocol: Protocol, state: State, local: &str, remote: Option<&str>) -> Socket {
    let split = |text: &str| {
        let (addr, port) = text.rsplit_once(' ').unwrap();
        (addr.parse::<IpAddr>().unwrap(), Port::new(port.parse().unwrap()))
    };
    let (local_addr, local_port) = split(local);
    let any = if local_addr.is_ipv4() { "0.0.0.0" } else { "::" };
    let (remote_addr, remote_port) = remote.map_or((any.parse().unwrap(), None), split);
    let time_left_ms = (state == State::TimeWait).then_some(NonZeroU32::new(30_000).unwrap());
    let v6only = (local_addr.is_ipv6() && remote.is_none()).then_some(false);
    Socket {
        protocol,
        state,
        local_addr,
        remote_addr,
        local_port,
        remote_port,
        inode: None,
        interface: None,
        time_left_ms,
        uid: None,
        v6only,
    }
}

fn tcp(state: State, local: &str, remote: &str) -> Socket {
    socket(Protocol::Tcp, state, local, Some(remote))
}

fn lone(protocol: Protocol, state: State, local: &str) -> Socket {
    socket(protocol, state, local, None)
}

fn pools(sockets: &[Socket], config: &NetnsConfig, settings: &Settings) -> Pools {
    Pools::of(&Ground { sockets, config, settings, binders: &PortSet::default() }, MOST_POOLS)
}

fn bind_pool(pools: &Pools, proto: Protocol, laddr: &str) -> Option<Pool> {
    let key = PoolKey::Bind { proto, laddr: laddr.parse().unwrap() };
    pools.bind.iter().find(|pool| pool.key == key).cloned()
}

#[test]
fn a_pool_for_connect_counts_its_own_connections_and_every_binder() {
    let sockets = [
        tcp(State::Established, "10.0.0.1 40000", "10.0.0.9 5432"),
        tcp(State::SynSent, "10.0.0.1 40002", "10.0.0.9 5432"),
        tcp(State::TimeWait, "10.0.0.1 40004", "10.0.0.9 5432"),
        // Another destination, another address: their ports are free to this pool.
        tcp(State::Established, "10.0.0.1 40006", "10.0.0.9 80"),
        tcp(State::Established, "10.0.0.2 40008", "10.0.0.9 5432"),
        // Whatever their address, the ports of binders are not.
        lone(Protocol::Tcp, State::Listen, "127.0.0.1 40001"),
        lone(Protocol::Tcp, State::Bound, "10.0.0.7 40003"),
        lone(Protocol::Udp, State::Bound, "10.0.0.1 40010"),
    ];
    let pools = pools(&sockets, &config(40_000, 40_099, "40002,40050-40059"), &settings());
    assert_eq!((pools.connect_seen, pools.connect.len()), (3, 3));
    let pool = &pools.connect[0];
    let expected = PoolKey::Connect {
        proto: Protocol::Tcp,
        laddr: US.parse().unwrap(),
        raddr: DB.parse().unwrap(),
        rport: Port::new(5432).unwrap(),
    };
    assert_eq!(pool.key, expected);
    // 40002 is reserved: outside of N.
    assert_eq!((pool.effective, pool.barred, pool.barred_by_binds), (89, 4, 2));
    assert_eq!(pool.barred_ports.iter().collect::<Vec<_>>(), [40_000, 40_001, 40_003, 40_004]);
    let held: Vec<_> = pool.held.iter().collect();
    let each = [State::Listen, State::Bound, State::Established, State::TimeWait].map(|state| (state, 1));
    assert_eq!(held, each);
    let halves = pool.halves.unwrap();
    assert_eq!((halves.first, halves.first_half()), (Parity::Even, Half { of: 44, barred: 2 }));
    assert_eq!(halves.second_half(), Half { of: 45, barred: 2 });
    assert!((pool.utilisation().unwrap() - 4.0 / 89.0).abs() < 1e-12);
    assert_eq!((pool.free(), pool.limits()), (85, CliffWall { cliff: Some(44), wall: 89 }));
}

#[test]
fn accepted_connections_and_ports_outside_of_the_range_are_in_no_pool_for_connect() {
    let sockets = [
        lone(Protocol::Tcp, State::Listen, "0.0.0.0 40001"),
        tcp(State::Established, "10.0.0.1 40001", "10.0.0.9 50000"),
        tcp(State::TimeWait, "10.0.0.1 8080", "10.0.0.9 50000"),
        tcp(State::SynReceived, "10.0.0.1 40007", "10.0.0.9 50000"),
    ];
    let pools = pools(&sockets, &config(40_000, 40_099, ""), &settings());
    assert_eq!((pools.connect_seen, pools.connect), (0, vec![]));
}

#[test]
fn ports_that_were_seen_to_be_bound_are_barred_to_every_destination() {
    let sockets = [
        tcp(State::Established, "10.0.0.1 40000", "10.0.0.9 80"),
        tcp(State::CloseWait, "10.0.0.1 40002", "10.0.0.8 80"),
    ];
    let (config, settings) = (config(40_000, 40_099, ""), settings());
    let binders: PortSet = [40_002, 40_004, 39_999].into_iter().collect();
    let ground = Ground { sockets: &sockets, config: &config, settings: &settings, binders: &binders };
    let pools = Pools::of(&ground, 1);
    assert_eq!((pools.connect_seen, pools.connect.len()), (2, 1));
    let pool = &pools.connect[0];
    assert_eq!((pool.barred, pool.barred_by_binds, pool.held.unseen()), (3, 2, 1));
    assert_eq!((pool.held.of(State::Established), pool.held.of(State::CloseWait)), (1, 1));
}

#[test]
fn a_time_wait_bars_unless_it_may_be_reused() {
    use TimeWaitReuse::{Everywhere, Loopback, Off, Unknown};
    let on_host = tcp(State::TimeWait, "10.0.0.1 40000", "10.0.0.9 80");
    let on_loopback = tcp(State::TimeWait, "127.0.0.1 40000", "127.0.0.1 80");
    let on_loopback6 = tcp(State::TimeWait, "::1 40000", "::1 80");
    let young = Socket { time_left_ms: NonZeroU32::new(59_500), ..on_loopback };
    let bound_to_lo = Socket { interface: NonZeroU32::new(1), ..on_host };
    let with = |reuse, timestamps, delay| Settings {
        tcp_tw_reuse: reuse,
        tcp_timestamps: timestamps,
        tcp_tw_reuse_delay_ms: delay,
        ..Settings::default()
    };
    let table = [
        (on_host, with(Some(Off), Some(1), None), Blocking::Blocks),
        (on_host, with(Some(Loopback), Some(1), None), Blocking::Blocks),
        (on_host, with(Some(Everywhere), Some(1), None), Blocking::Reusable),
        (on_host, with(Some(Everywhere), Some(0), None), Blocking::Blocks),
        (on_host, with(Some(Everywhere), None, None), Blocking::Unknown),
        (on_host, with(Some(Off), None, None), Blocking::Blocks),
        (on_host, with(None, Some(1), None), Blocking::Unknown),
        (on_host, with(Some(Unknown(7)), Some(1), None), Blocking::Unknown),
        (on_loopback, with(Some(Loopback), Some(2), None), Blocking::Reusable),
        (on_loopback6, with(Some(Loopback), Some(1), None), Blocking::Reusable),
        (bound_to_lo, with(Some(Loopback), Some(1), None), Blocking::Reusable),
        (young, with(Some(Loopback), Some(1), None), Blocking::Blocks),
        (young, with(Some(Loopback), Some(1), Some(500)), Blocking::Reusable),
        (young, with(Some(Loopback), Some(1), Some(501)), Blocking::Blocks),
        (
            Socket { time_left_ms: None, ..on_loopback },
            with(Some(Everywhere), Some(1), None),
            Blocking::Blocks,
        ),
        (
            Socket { state: State::FinWait2, ..on_loopback },
            with(Some(Everywhere), Some(1), None),
            Blocking::Blocks,
        ),
    ];
    for (socket, settings, judged) in table {
        assert_eq!(ReuseRule::of(&settings).judge(&socket), judged, "{socket:?} {settings:?}");
    }
}

#[test]
fn reusable_time_waits_are_counted_apart() {
    let sockets = [
        tcp(State::TimeWait, "127.0.0.1 40000", "127.0.0.1 80"),
        tcp(State::TimeWait, "127.0.0.1 40001", "127.0.0.1 80"),
        tcp(State::Established, "127.0.0.1 40002", "127.0.0.1 80"),
        // Barred all the same: a bind()er has its port.
        lone(Protocol::Tcp, State::Bound, "10.0.0.1 40001"),
    ];
    let config = config(40_000, 40_099, "");
    let reusing = pools(&sockets, &config, &settings());
    let pool = &reusing.connect[0];
    assert_eq!((pool.barred, pool.reusable_time_wait, pool.held.total()), (2, Some(1), 3));
    assert_eq!(pool.held.of(State::TimeWait), 2);
    let unknown = pools(&sockets, &config, &Settings::default());
    assert_eq!((unknown.connect[0].barred, unknown.connect[0].reusable_time_wait), (3, None));
}

#[test]
fn a_bind_is_barred_by_its_address_and_by_the_wildcard() {
    let sockets = [
        tcp(State::Established, "10.0.0.1 40000", "10.0.0.9 80"),
        tcp(State::TimeWait, "10.0.0.1 40000", "10.0.0.9 81"),
        tcp(State::Established, "10.0.0.2 40001", "10.0.0.9 80"),
        lone(Protocol::Tcp, State::Listen, "0.0.0.0 40003"),
        lone(Protocol::Tcp, State::Listen, ":: 40004"),
        Socket { v6only: Some(true), ..lone(Protocol::Tcp, State::Listen, ":: 40005") },
        tcp(State::Established, "fd00::1 40006", "fd00::2 80"),
        lone(Protocol::Udp, State::Bound, "10.0.0.1 40007"),
    ];
    let pools = pools(&sockets, &config(40_000, 40_099, ""), &settings());
    let ports =
        |laddr| bind_pool(&pools, Protocol::Tcp, laddr).map(|pool| pool.barred_ports.iter().collect());
    assert_eq!(ports("10.0.0.1"), Some(vec![40_000, 40_003, 40_004]));
    assert_eq!(ports("10.0.0.2"), Some(vec![40_001, 40_003, 40_004]));
    assert_eq!(ports("fd00::1"), Some(vec![40_004, 40_005, 40_006]));
    assert_eq!(ports("0.0.0.0"), Some(vec![40_000, 40_001, 40_003, 40_004]));
    assert_eq!(ports("::"), Some(vec![40_000, 40_001, 40_003, 40_004, 40_005, 40_006]));
    let pool = bind_pool(&pools, Protocol::Tcp, "10.0.0.1").unwrap();
    assert_eq!(
        (pool.barred_by_binds, pool.reusable_time_wait, pool.halves.unwrap().first),
        (2, Some(0), Parity::Odd)
    );
    assert_eq!(pool.held.of(State::Established), 1);
    let udp = bind_pool(&pools, Protocol::Udp, "0.0.0.0").unwrap();
    assert_eq!((udp.barred, udp.barred_by_binds, udp.halves), (1, 1, None));
    assert_eq!((pools.bind_seen, pools.bind[0].barred), (7, 6));
}

#[test]
fn halves_follow_the_low_end_and_the_step_width() {
    let sockets = [tcp(State::Established, "10.0.0.1 40001", "10.0.0.9 80")];
    let mut config = config(40_001, 40_099, "");
    let odd = pools(&sockets, &config, &settings());
    assert_eq!(odd.connect[0].halves.unwrap().first, Parity::Odd);
    assert_eq!(odd.bind[0].halves.unwrap().first, Parity::Even);
    config.step_width = Some(3);
    let stepping = pools(&sockets, &config, &settings());
    assert_eq!((stepping.connect[0].halves, stepping.connect[0].limits().cliff), (None, None));
    config.step_width = Some(0);
    assert!(pools(&sockets, &config, &settings()).connect[0].halves.is_some());
}

#[test]
fn the_default_range_pays_back_470_a_second() {
    let config = config(32_768, 60_999, "");
    let connect = PoolKey::Connect {
        proto: Protocol::Tcp,
        laddr: US.parse().unwrap(),
        raddr: DB.parse().unwrap(),
        rport: Port::new(80).unwrap(),
    };
    let limits = CliffWall::of(&connect, &config);
    assert_eq!(limits, CliffWall { cliff: Some(14_116), wall: 28_232 });
    assert_eq!(format!("{:.0} {:.0}", limits.pays_back_per_s(), limits.cliff_per_s().unwrap()), "471 235");
}

#[test]
fn a_range_that_is_all_reserved_has_no_utilisation() {
    let sockets = [tcp(State::Established, "10.0.0.1 40000", "10.0.0.9 80")];
    let none = pools(&sockets, &config(40_000, 40_001, "40000-40001"), &settings());
    assert_eq!((none.connect_seen, none.bind_seen), (0, 0));
    let key = PoolKey::Bind { proto: Protocol::Udp, laddr: US.parse().unwrap() };
    let limits = CliffWall::of(&key, &config(40_000, 40_001, "40000-40001"));
    assert_eq!(limits, CliffWall { cliff: None, wall: 0 });
}

#[test]
fn ten_thousand_destinations_make_few_pools() {
    let sockets: Vec<Socket> = (0..10_000_u32)
        .map(|number| {
            let remote = IpAddr::from((0x0b00_0000_u32 + number).to_be_bytes());
            Socket { remote_addr: remote, ..tcp(State::Established, "10.0.0.1 40000", "10.0.0.9 80") }
        })
        .collect();
    let config = config(32_768, 60_999, "");
    let settings = settings();
    let ground =
        Ground { sockets: &sockets, config: &config, settings: &settings, binders: &PortSet::default() };
    let pools = Pools::of(&ground, 3);
    assert_eq!((pools.connect_seen, pools.connect.len(), pools.bind.len()), (10_000, 3, 2));
}

/// A socket of a small world, so that they meet.
fn any_socket() -> impl Strategy<Value = Socket> {
    let protocol = prop_oneof![4 => Just(Protocol::Tcp), 1 => Just(Protocol::Udp)];
    let state = proptest::sample::select(State::ALL.to_vec());
    let addr = proptest::sample::select(vec![US, "10.0.0.2", "127.0.0.1", "0.0.0.0", "::", "fd00::1"]);
    let remote = proptest::sample::select(vec![DB, "127.0.0.1", "fd00::2"]);
    let v6only = proptest::sample::select(vec![None, Some(false), Some(true)]);
    (protocol, state, addr, 990_u16..1_030, remote, 80_u16..83, 1_u32..60_000, v6only).prop_map(
        |(protocol, state, local, port, remote, rport, left, v6only)| Socket {
            time_left_ms: (state == State::TimeWait).then(|| NonZeroU32::new(left).unwrap()),
            v6only: v6only.filter(|_| local == "::"),
            ..socket(protocol, state, &format!("{local} {port}"), Some(&format!("{remote} {rport}")))
        },
    )
}

/// The ports that are barred, by the words of the definition, one at a time.
fn barred(pool: &Pool, ground: &Ground<'_>) -> BTreeSet<u16> {
    let config = ground.config;
    let in_n = |port: u16| config.range.contains(port) && !config.reserved.contains(port);
    let ports = |holds: &dyn Fn(&Socket) -> bool| -> BTreeSet<u16> {
        let of_proto = ground.sockets.iter().filter(|one| one.protocol == pool.key.proto() && holds(one));
        of_proto.filter_map(|one| one.local_port).map(Port::get).collect()
    };
    let listened = ports(&|one| one.state == State::Listen);
    let all = match pool.key {
        PoolKey::Connect { laddr, raddr, rport, .. } => {
            let rule = ReuseRule::of(ground.settings);
            let own = ports(&|one| {
                (one.local_addr, one.remote_addr, one.remote_port) == (laddr, raddr, Some(rport))
                    && one.state.may_have_connected(Protocol::Tcp)
                    && rule.judge(one) != Blocking::Reusable
            });
            let own: BTreeSet<u16> = own.difference(&listened).copied().collect();
            let told = ground.binders.iter().collect::<BTreeSet<u16>>();
            &(&own | &ports(&Socket::is_binder)) | &told
        }
        PoolKey::Bind { laddr, .. } => ports(&|one| {
            let dual = one.local_addr == "::".parse::<IpAddr>().unwrap() && one.v6only != Some(true);
            let same_family = one.local_addr.is_ipv4() == laddr.is_ipv4();
            match laddr {
                IpAddr::V6(own) if own.is_unspecified() => true,
                IpAddr::V4(own) if own.is_unspecified() => one.local_addr.is_ipv4() || dual,
                own => one.local_addr == own || dual || (same_family && one.local_addr.is_unspecified()),
            }
        }),
    };
    all.into_iter().filter(|port| in_n(*port)).collect()
}

proptest! {
    #[test]
    fn pools_agree_with_the_definitions(
        sockets in vec(any_socket(), 0..80), low in 995_u16..1_005, length in 0_u16..24,
        reserved in proptest::collection::btree_set(1_000_u16..1_020, 0..4),
        told in proptest::collection::btree_set(990_u16..1_030, 0..4),
    ) {
        let mut config = config(low, low + length, "");
        config.reserved = Reserved::from_ports(reserved);
        let (settings, binders) = (settings(), told.into_iter().collect::<PortSet>());
        let ground = Ground { sockets: &sockets, config: &config, settings: &settings, binders: &binders };
        let all = Pools::of(&ground, usize::MAX);
        prop_assert_eq!((all.connect.len(), all.bind.len()), (all.connect_seen, all.bind_seen));
        for pool in all.connect.iter().chain(&all.bind) {
            let expected = barred(pool, &ground);
            prop_assert_eq!(pool.barred_ports.iter().collect::<BTreeSet<_>>(), expected, "{:?}", pool.key);
            prop_assert_eq!(pool.barred, pool.barred_ports.count());
            prop_assert!(pool.barred_by_binds <= pool.barred && pool.barred <= pool.effective);
            prop_assert_eq!(pool.effective, config.effective());
            prop_assert_eq!(pool.held.total(), pool.barred + pool.reusable_time_wait.unwrap());
            if let Some(halves) = pool.halves {
                prop_assert_eq!(halves.even.of + halves.odd.of, pool.effective);
                prop_assert_eq!(halves.even.barred + halves.odd.barred, pool.barred);
            }
        }
        // Fewer pools are the fullest ones.
        let keys: BTreeMap<PoolKey, u32> = all.connect.iter().chain(&all.bind).map(|pool| (pool.key, pool.barred)).collect();
        prop_assert_eq!(keys.len(), all.connect_seen + all.bind_seen);
        let few = Pools::of(&ground, 2);
        for (few, all) in [(&few.connect, &all.connect), (&few.bind, &all.bind)] {
            prop_assert_eq!(few.as_slice(), &all[..all.len().min(2)]);
            prop_assert!(all.windows(2).all(|pair| pair[0].barred >= pair[1].barred));
        }
    }
}
