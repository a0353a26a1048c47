//! bind() before connect() without `IP_BIND_ADDRESS_NO_PORT`: ports that nobody else can share.

use rustc_hash::FxHashMap;

use super::recent::Recent;
use crate::event::{Event, Kind, NetnsId, Options, Port, Protocol, Site, SocketId};

/// Sockets with a port from bind(0) that are watched.
const SOCKETS: usize = 32_768;
/// Namespaces whose bound ports are kept.
const MOST_NETNS: usize = 16;
const PORTS: usize = 65_536;

/// A socket whose bind(0) was given a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Socket {
    port: u16,
    connected: bool,
}

/// What an event says of a socket that was bound to port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It connects from the port that its bind was given, for the first time.
    Connects,
    /// It had connected so, and gives its port back.
    GivesBack,
}

/// Follows TCP sockets from bind(0) to a connect from that port.
///
/// Successful connects from a bound port are recorded only where checks are, and then each is a [`Step`].
/// A bind(0) that is given a port proves by itself that `IP_BIND_ADDRESS_NO_PORT` was not set.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    sockets: Recent<Socket>,
    /// By namespace and port: sockets bound to it, as far as the flow tells.
    binders: FxHashMap<NetnsId, Vec<u16>>,
}

impl Bound {
    pub(super) fn new() -> Self {
        Self { sockets: Recent::new(SOCKETS), binders: FxHashMap::default() }
    }

    /// Takes a successful bind(0) or listen of TCP.
    pub(super) fn give(&mut self, event: &Event) {
        if let Some(port) = event.local_port() {
            self.give_like(event, port, event.socket());
        }
    }

    /// As [`Self::give`], of an event that differs in port and socket.
    pub(super) fn give_like(&mut self, event: &Event, port: Port, socket: Option<SocketId>) {
        self.count_port(event.netns(), port, u16::saturating_add);
        let may_connect = event.kind() == Kind::Allocation(Site::Bind);
        if let Some(socket) = socket.filter(|_| may_connect) {
            self.sockets.put(key(socket), Socket { port: port.get(), connected: false });
        }
    }

    /// Takes a check of TCP.
    pub(super) fn check(&mut self, event: &Event) -> Option<Step> {
        let key = key(event.socket()?);
        match event.kind() {
            Kind::Explicit(Site::Connect) => {
                if event.options().is_some_and(|options| options.contains(Options::NO_PORT)) {
                    return None;
                }
                let port = event.local_port()?.get();
                // An id may come again where releases are not recorded: the port tells.
                let socket = self.sockets.find(key).filter(|socket| socket.port == port)?;
                (!std::mem::replace(&mut socket.connected, true)).then_some(Step::Connects)
            }
            Kind::Explicit(Site::Listen) => {
                self.sockets.remove(key);
                None
            }
            Kind::Explicit(_) if !event.failed() => {
                self.count(event, u16::saturating_add);
                None
            }
            _ => None,
        }
    }

    /// Takes a release of TCP.
    pub(super) fn release(&mut self, event: &Event) -> Option<Step> {
        // Its record is that of its allocation: one without a peer was a bind or a listen.
        if event.remote_port().is_none() {
            self.count(event, u16::saturating_sub);
        }
        let socket = self.sockets.remove(key(event.socket()?))?;
        socket.connected.then_some(Step::GivesBack)
    }

    fn count(&mut self, event: &Event, change: fn(u16, u16) -> u16) {
        if let (Some(port), Protocol::Tcp) = (event.local_port(), event.protocol()) {
            self.count_port(event.netns(), port, change);
        }
    }

    fn count_port(&mut self, netns: Option<NetnsId>, port: Port, change: fn(u16, u16) -> u16) {
        let Some(netns) = netns else { return };
        if self.binders.len() >= MOST_NETNS && !self.binders.contains_key(&netns) {
            return;
        }
        let ports = self.binders.entry(netns).or_insert_with(|| vec![0; PORTS]);
        if let Some(binders) = ports.get_mut(usize::from(port.get())) {
            *binders = change(*binders, 1);
        }
    }

    /// Whether the flow knows a socket that is bound to this TCP port: a lower bound, since those bound before
    /// the start are not known; without releases those of the past are among them.
    pub(super) fn is_bound(&self, netns: NetnsId, port: u16) -> bool {
        self.binders
            .get(&netns)
            .and_then(|ports| ports.get(usize::from(port)))
            .is_some_and(|count| *count != 0)
    }

    /// The ports that are so bound, ascending.
    pub(super) fn ports(&self, netns: NetnsId) -> impl Iterator<Item = u16> + '_ {
        let counts = self.binders.get(&netns).into_iter().flatten();
        (0..=u16::MAX).zip(counts).filter(|(_, count)| **count != 0).map(|(port, _)| port)
    }

    /// Lets go of what only events to come would want.
    pub(super) fn rest(&mut self) {
        self.sockets.clear();
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sockets.merge(&other.sockets, |mine, more| Socket {
            connected: more.connected || mine.is_some_and(|mine| mine.connected),
            ..more
        });
        for (netns, ports) in &other.binders {
            if let Some(mine) = self.binders.get_mut(netns) {
                mine.iter_mut().zip(ports).for_each(|(sum, part)| *sum = sum.saturating_add(*part));
            } else if self.binders.len() < MOST_NETNS {
                self.binders.insert(*netns, ports.clone());
            }
        }
    }
}

fn key(socket: SocketId) -> u64 {
    socket.get()
}
