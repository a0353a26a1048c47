//! Sockets that are bound and nothing else, which a kernel before 6.8 does not list: what the flow tells of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    host::Host,
    survey::{Known, Survey, barring, group},
};
use crate::{
    event::{MonoNs, NetnsId, Port, Protocol},
    findings::{Refusal, Worst, is_exhaustion, key_of},
    stock::{NetnsStock, Pool, PoolKey, PortSet, Socket, State, StockError},
};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// A pool that was refused, as it must have been then.
struct Found {
    netns: NetnsId,
    at: MonoNs,
    pool: Pool,
    sockets: Vec<Socket>,
    unlisted: u32,
}

impl Survey {
    /// Adds the pools that were refused where the kernel does not list bound sockets, as they must have been at the
    /// last refusal: a port that the stock shows nobody on was held by whom bind had given it to, or it would not
    /// have been refused.
    ///
    /// # Errors
    ///
    /// /proc cannot be listed.
    pub(super) fn add_unlisted(
        &mut self,
        refusals: &[Refusal],
        host: &dyn Host,
        known: &mut dyn Known,
    ) -> Result<(), StockError> {
        let refused: Vec<(NetnsId, PoolKey, MonoNs)> = refusals
            .iter()
            .filter(|one| is_exhaustion(one) && one.proto == Protocol::Tcp && one.requested.is_none())
            .filter_map(|one| Some((one.netns?, key_of(one)?, one.last)))
            .collect();
        let mut found = Vec::new();
        for held in &self.pools {
            let keys = || refused.iter().filter(|(netns, ..)| *netns == held.netns);
            let Some(space) = self.stock.space(held.netns).filter(|space| leaves_out_bound(space)) else {
                continue;
            };
            if keys().next().is_some() {
                let addresses: Vec<IpAddr> = keys().map(|(_, key, _)| key.laddr()).collect();
                found.extend(at_refusals(space, &addresses, keys(), known));
            }
        }
        let mut inodes = found.iter().flat_map(|one| &one.sockets).filter_map(|socket| socket.inode);
        let holders = host.holders(&mut inodes)?;
        for Found { netns, at, pool, sockets, unlisted } in found {
            let Some(held) = self.pools.iter_mut().find(|held| held.netns == netns) else { continue };
            let is_less = |worst: &Worst| worst.pool.key == pool.key && worst.pool.barred <= pool.barred;
            held.worst.retain(|worst| !is_less(worst));
            if held.worst.iter().all(|worst| worst.pool.key != pool.key) {
                let holders = group(netns, &sockets, &holders, known);
                held.worst.push(Worst { pool, holders, at, unlisted });
            }
        }
        Ok(())
    }
}

/// The pools of a namespace that were refused, with what the kernel does not list.
fn at_refusals<'r>(
    space: &NetnsStock,
    addresses: &[IpAddr],
    refused: impl Iterator<Item = &'r (NetnsId, PoolKey, MonoNs)>,
    known: &mut dyn Known,
) -> Vec<Found> {
    let netns = space.namespace.id;
    let (binders, listed) = (known.binders(netns), listed(space));
    let missing = binders.without(&listed);
    if missing.is_empty() {
        return Vec::new();
    }
    let mut whole = space.clone();
    if let Some(sockets) = &mut whole.sockets {
        sockets.list.extend(missing.iter().filter_map(|port| unlisted(netns, port, addresses, known)));
    }
    let Some(pools) = whole.pools(&binders) else { return Vec::new() };
    let pool_of = |key: &PoolKey| pools.connect.iter().chain(&pools.bind).find(|pool| pool.key == *key);
    refused
        .filter_map(|(_, key, at)| {
            let pool = pool_of(key)?.clone();
            let unlisted = pool.barred_ports.without(&listed).count();
            (unlisted > 0).then(|| Found {
                netns,
                at: *at,
                sockets: barring(&pool, whole.list()),
                pool,
                unlisted,
            })
        })
        .collect()
}

/// The socket that bind gave a port to, on one of these addresses or on all of them.
fn unlisted(netns: NetnsId, port: u16, addresses: &[IpAddr], known: &mut dyn Known) -> Option<Socket> {
    let bound = |addr: &IpAddr| Socket {
        protocol: Protocol::Tcp,
        state: State::Bound,
        local_addr: *addr,
        remote_addr: if addr.is_ipv4() { ANY4 } else { ANY6 },
        local_port: Port::new(port),
        remote_port: None,
        inode: None,
        interface: None,
        time_left_ms: None,
        uid: None,
        v6only: None,
    };
    addresses.iter().chain(&[ANY4, ANY6]).map(bound).find(|socket| known.maker(netns, socket).is_some())
}

/// The ports of a namespace that a bind was seen to be given, and that are still bound.
///
/// Where releases are not followed, one that no socket is on has been given back: or it is not listed, and then only
/// a refusal proves that it is still held.
pub(super) fn still_bound(space: &NetnsStock, known: &dyn Known) -> PortSet {
    let binders = known.binders(space.namespace.id);
    let is_exact = known.follows_releases() && leaves_out_bound(space);
    if is_exact || binders.is_empty() { binders } else { binders.and(&listed(space)) }
}

fn leaves_out_bound(space: &NetnsStock) -> bool {
    space.sockets.as_ref().is_some_and(|sockets| sockets.bound_untold)
}

/// The ports of TCP that a listed socket is on.
fn listed(space: &NetnsStock) -> PortSet {
    let tcp = space.list().iter().filter(|one| one.protocol == Protocol::Tcp);
    tcp.filter_map(|one| one.local_port).map(Port::get).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        path::{Path, PathBuf},
        sync::Arc,
    };

    use super::*;
    use crate::{
        enrich::Process,
        event::{Cause, Errno, Pid, PortRange, Reserved, Site},
        pipeline::{host::ThisHost, look::Moment},
        stock::{Namespace, NetnsConfig, Settings, Sockets, Stock},
    };

    /// A process that bind gave the ports 40,000 to 40,003 on 127.0.0.1.
    struct Binder {
        follows: bool,
    }

    impl Known for Binder {
        fn binders(&self, _netns: NetnsId) -> PortSet {
            (40_000..40_004).collect()
        }

        fn follows_releases(&self) -> bool {
            self.follows
        }

        fn peak(&self, _netns: NetnsId, _key: &PoolKey) -> u32 {
            0
        }

        fn moments(&self, _netns: NetnsId) -> Vec<Arc<Moment>> {
            Vec::new()
        }

        fn maker(&mut self, _netns: NetnsId, socket: &Socket) -> Option<(Pid, Process)> {
            let is_ours = socket.local_addr == IpAddr::V4(Ipv4Addr::LOCALHOST);
            is_ours.then(|| (Pid(7), Process::new(Some("binder"), None, None)))
        }
    }

    fn space(bound_untold: bool) -> NetnsStock {
        let id = NetnsId::new(1).unwrap();
        let listener = Socket {
            protocol: Protocol::Tcp,
            state: State::Listen,
            local_addr: ANY4,
            remote_addr: ANY4,
            local_port: Port::new(40_003),
            remote_port: None,
            inode: None,
            interface: None,
            time_left_ms: None,
            uid: None,
            v6only: None,
        };
        NetnsStock {
            namespace: Namespace { id, name: None, pid: None, path: PathBuf::new() },
            config: Some(NetnsConfig {
                id,
                range: PortRange::new(40_000, 40_003).unwrap(),
                reserved: Reserved::default(),
                reserved_text: String::new(),
                step_width: None,
            }),
            settings: Some(Settings::default()),
            counters: None,
            sockets: Some(Sockets { list: vec![listener], bound_untold, ..Sockets::default() }),
        }
    }

    fn refusal() -> Refusal {
        Refusal {
            netns: NetnsId::new(1),
            proto: Protocol::Tcp,
            site: Site::Bind,
            requested: None,
            laddr: Some(Ipv4Addr::LOCALHOST.into()),
            raddr: None,
            rport: None,
            cause: Some(Cause::Exhausted),
            errno: Some(Errno::EADDRINUSE),
            count: 1,
            attempts: 4,
            first: MonoNs(5),
            last: MonoNs(9),
            victims: Vec::new(),
            holders: Vec::new(),
        }
    }

    fn survey(bound_untold: bool) -> Survey {
        let host = ThisHost::new(Path::new("/proc"));
        let stock = Stock { spaces: vec![space(bound_untold)], ..Stock::default() };
        let mut survey = Survey::of(stock, &host, &mut Binder { follows: false }).unwrap();
        let mut known = Binder { follows: false };
        survey.add_unlisted(&[refusal()], &host, &mut known).unwrap();
        survey
    }

    #[test]
    fn a_refusal_proves_that_who_was_given_a_port_held_it() {
        let survey = survey(true);
        let [worst] = survey.pools[0].worst.as_slice() else { panic!("{:?}", survey.pools) };
        assert_eq!((worst.pool.barred, worst.pool.effective, worst.unlisted), (4, 4, 3));
        assert_eq!(worst.at, MonoNs(9));
        let binder = worst.holders.iter().find(|one| one.pid == Some(Pid(7))).unwrap();
        assert_eq!((binder.ports, binder.process.comm()), (3, Some("binder")));
        // Now it may be otherwise.
        assert_eq!(survey.pools[0].pools.bind[0].barred, 1);
    }

    #[test]
    fn where_bound_sockets_are_listed_the_list_has_the_last_word() {
        assert!(survey(false).pools[0].worst.is_empty());
    }

    #[test]
    fn a_port_that_no_socket_is_on_was_given_back_unless_its_release_would_have_been_seen() {
        let ports = |untold, follows| still_bound(&space(untold), &Binder { follows }).count();
        assert_eq!(ports(true, true), 4);
        assert_eq!((ports(true, false), ports(false, true), ports(false, false)), (1, 1, 1));
    }
}
