//! bind() before connect() without `IP_BIND_ADDRESS_NO_PORT`: ports that nobody else can share.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use super::recent::Recent;
use crate::event::{Event, Kind, NetnsId, Options, Port, Protocol, Site, SocketId};

/// Sockets with a port from bind(0) that are watched.
const SOCKETS: usize = 32_768;
/// Bound ports that are kept, of all namespaces together.
const MOST_BOUND: usize = 262_144;

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
    /// Sockets that are bound to a port, as far as the flow tells.
    binders: FxHashMap<(NetnsId, u16), Binders>,
}

/// Sockets that are bound to one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Binders {
    count: u32,
    /// One of them came in this part of the stream.
    fresh: bool,
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
        self.bind(event.netns(), port);
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
                if let (Some(port), Protocol::Tcp) = (event.local_port(), event.protocol()) {
                    self.bind(event.netns(), port);
                }
                None
            }
            _ => None,
        }
    }

    /// Takes a release of TCP.
    pub(super) fn release(&mut self, event: &Event) -> Option<Step> {
        // Its record is that of its allocation: one without a peer was a bind or a listen.
        if event.remote_port().is_none()
            && let (Some(netns), Some(port)) = (event.netns(), event.local_port())
        {
            self.unbind((netns, port.get()));
        }
        let socket = self.sockets.remove(key(event.socket()?))?;
        socket.connected.then_some(Step::GivesBack)
    }

    fn bind(&mut self, netns: Option<NetnsId>, port: Port) {
        let Some(netns) = netns else { return };
        let is_full = self.binders.len() >= MOST_BOUND;
        match self.binders.entry((netns, port.get())) {
            Entry::Occupied(binders) => {
                let binders = binders.into_mut();
                *binders = Binders { count: binders.count.saturating_add(1), fresh: true };
            }
            Entry::Vacant(_) if is_full => {}
            Entry::Vacant(place) => _ = place.insert(Binders { count: 1, fresh: true }),
        }
    }

    fn unbind(&mut self, port: (NetnsId, u16)) {
        if let Entry::Occupied(mut binders) = self.binders.entry(port) {
            match binders.get().count.checked_sub(1) {
                None | Some(0) => _ = binders.remove(),
                Some(count) => binders.get_mut().count = count,
            }
        }
    }

    /// Whether the flow knows a socket that is bound to this TCP port: a lower bound, since those bound before
    /// the start are not known; without releases those of the past are among them.
    pub(super) fn is_bound(&self, netns: NetnsId, port: u16) -> bool {
        self.binders.contains_key(&(netns, port))
    }

    /// The ports that are so bound, ascending.
    pub(super) fn ports(&self, netns: NetnsId) -> impl Iterator<Item = u16> + '_ {
        let mut ports: Vec<u16> =
            self.binders.keys().filter(|(of, _)| *of == netns).map(|(_, port)| *port).collect();
        ports.sort_unstable();
        ports.into_iter()
    }

    /// Lets go of what only events to come would want.
    pub(super) fn rest(&mut self) {
        self.sockets = self.sockets.emptied();
    }

    /// As it is, without that.
    pub(super) fn copy(&self) -> Self {
        Self { sockets: self.sockets.emptied(), binders: self.binders.clone() }
    }

    /// Ends a part: the next one knows what is bound. Where releases are not recorded a port counts as free again that
    /// was given in the part, in ways that `given` tells, and that nobody bound in it: a search passes by bound ports.
    pub(super) fn end_part(&mut self, given: Option<&FxHashSet<(NetnsId, u16)>>) {
        if let Some(given) = given {
            self.binders.retain(|port, binders| binders.fresh || !given.contains(port));
        }
        if self.binders.len() >= MOST_BOUND {
            self.binders.retain(|_, binders| binders.fresh);
        }
        self.binders.values_mut().for_each(|binders| binders.fresh = false);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sockets.merge(&other.sockets, |mine, more| Socket {
            connected: more.connected || mine.is_some_and(|mine| mine.connected),
            ..more
        });
        for (port, more) in &other.binders {
            let mine = self.binders.entry(*port).or_default();
            mine.count = mine.count.saturating_add(more.count);
            mine.fresh |= more.fresh;
        }
    }
}

fn key(socket: SocketId) -> u64 {
    socket.get()
}
