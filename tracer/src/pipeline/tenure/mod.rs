//! Who had a port, one after the other: from recorded events, and from looks at the sockets where there are none.

use std::net::IpAddr;

use crate::{
    enrich::{Clock, Process, UtcNs},
    event::{Errno, Event, Kind, MonoNs, NetnsId, Pid, Port, Protocol, ReleaseState, Site, SocketId},
    recording::SceneNote,
    stock::{Holder, Socket, sockets_on},
};

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    pub(super) mono: MonoNs,
    pub(super) utc: UtcNs,
}

/// How somebody came by a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The kernel chose it.
    Chosen(Site),
    /// He named it.
    Named(Site),
    /// A look found him with it.
    Found,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It had not, when the recording did.
    Open,
    /// It was seen.
    Released(Stamp, ReleaseState),
    /// A look did not find him any more.
    Gone(Stamp),
}

/// Somebody who had a port.
#[derive(Clone, Debug)]
pub(super) struct Tenure {
    pub(super) netns: Option<NetnsId>,
    pub(super) proto: Protocol,
    pub(super) local: Option<IpAddr>,
    pub(super) remote: Option<(IpAddr, u16)>,
    pub(super) pid: Option<Pid>,
    pub(super) process: Process,
    pub(super) origin: Origin,
    /// When it began; where a look found it, when that was.
    pub(super) from: Stamp,
    /// The last look before that, at which he did not have it yet.
    pub(super) not_before: Option<Stamp>,
    /// The last time that he was known to have it.
    pub(super) seen: Stamp,
    pub(super) finish: Finish,
    /// Connections beside it when it was seen: they share its port.
    pub(super) accepted: usize,
    /// It serves, as opposed to connecting.
    pub(super) serves: bool,
    listens: bool,
    socket: Option<SocketId>,
}

/// Somebody who was refused a port, again and again.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) netns: Option<NetnsId>,
    pub(super) proto: Protocol,
    pub(super) local: Option<IpAddr>,
    pub(super) remote: Option<(IpAddr, u16)>,
    pub(super) pid: Pid,
    pub(super) process: Process,
    pub(super) site: Site,
    pub(super) errno: Option<Errno>,
    pub(super) first: Stamp,
    pub(super) last: Stamp,
    pub(super) count: u64,
}

/// What became of one port.
#[derive(Debug)]
pub(super) struct Chronicle {
    pub(super) port: Port,
    pub(super) tenures: Vec<Tenure>,
    pub(super) refused: Vec<Refused>,
    looked: Option<Stamp>,
}

impl Chronicle {
    pub(super) const fn new(port: Port) -> Self {
        Self { port, tenures: Vec::new(), refused: Vec::new(), looked: None }
    }

    /// Takes an event of any port.
    pub(super) fn event(&mut self, event: &Event, process: &Process, clock: Clock) {
        let port = event.local_port().or(event.requested_port());
        if port != Some(self.port) && event.requested_port() != Some(self.port) {
            return;
        }
        let at = Stamp { mono: event.mono(), utc: clock.utc(event.mono()) };
        match event.kind() {
            Kind::Release(state) => self.release(event, at, state),
            Kind::Allocation(site) | Kind::Explicit(site) if event.failed() => {
                self.refuse(event, process, site, at);
            }
            Kind::Explicit(site) if site != Site::Bind => self.checked(event, process, site, at),
            Kind::Allocation(site) => self.begin(event, process, Origin::Chosen(site), at),
            Kind::Explicit(site) => self.begin(event, process, Origin::Named(site), at),
        }
    }

    fn begin(&mut self, event: &Event, process: &Process, origin: Origin, at: Stamp) {
        let (Origin::Chosen(site) | Origin::Named(site)) = origin else { return };
        self.tenures.push(Tenure {
            netns: event.netns(),
            proto: event.protocol(),
            local: event.local_addr(),
            remote: remote(event),
            pid: Some(event.pid()),
            process: process.clone(),
            origin,
            from: at,
            not_before: None,
            seen: at,
            finish: Finish::Open,
            accepted: 0,
            serves: matches!(site, Site::Bind | Site::Listen),
            listens: site == Site::Listen,
            socket: event.socket(),
        });
    }

    /// A socket that has the port already connects or listens.
    fn checked(&mut self, event: &Event, process: &Process, site: Site, at: Stamp) {
        let is_it = |one: &&mut Tenure| {
            one.finish == Finish::Open && one.socket.is_some() && one.socket == event.socket()
        };
        let Some(found) = self.tenures.iter_mut().rev().find(is_it) else {
            // Bound before the recording began, or its bind was lost.
            let stands_for = |one: &Tenure| {
                one.finish == Finish::Open && one.netns == event.netns() && one.proto == event.protocol()
            };
            if !self.tenures.iter().any(stands_for) {
                self.begin(event, process, Origin::Named(site), at);
            }
            return;
        };
        found.seen = at;
        if site == Site::Listen {
            found.listens = true;
        } else {
            found.remote = remote(event).or(found.remote);
            found.local = event.local_addr().or(found.local);
            found.serves = false;
        }
    }

    fn release(&mut self, event: &Event, at: Stamp, state: ReleaseState) {
        let is_open = |one: &Tenure| {
            one.finish == Finish::Open && one.netns == event.netns() && one.proto == event.protocol()
        };
        let by_socket = |one: &Tenure| is_open(one) && one.socket.is_some() && one.socket == event.socket();
        let by_peer = |one: &Tenure| is_open(one) && one.socket.is_none() && one.remote == remote(event);
        let found = self.tenures.iter().rposition(by_socket);
        if let Some(place) = found.or_else(|| self.tenures.iter().rposition(by_peer)) {
            let one = &mut self.tenures[place];
            (one.seen, one.finish) = (at, Finish::Released(at, state));
        }
    }

    fn refuse(&mut self, event: &Event, process: &Process, site: Site, at: Stamp) {
        let (key, peer) = ((event.netns(), event.protocol(), event.pid()), remote(event));
        let is_same = |one: &&mut Refused| {
            (one.netns, one.proto, one.pid) == key
                && (one.site, one.errno, one.remote) == (site, event.errno(), peer)
                && one.local == event.local_addr()
        };
        if let Some(same) = self.refused.iter_mut().rev().find(is_same) {
            same.count += 1;
            same.last = at;
            return;
        }
        self.refused.push(Refused {
            netns: event.netns(),
            proto: event.protocol(),
            local: event.local_addr(),
            remote: peer,
            pid: event.pid(),
            process: process.clone(),
            site,
            errno: event.errno(),
            first: at,
            last: at,
            count: 1,
        });
    }

    /// Takes a look at all sockets. `hides_bound`: this kernel does not tell TCP sockets that are bound and nothing else.
    pub(super) fn look(&mut self, scene: &SceneNote, hides_bound: bool, clock: Clock) {
        let (began, ended) = (scene.stock.began, scene.stock.ended);
        let at = Stamp { mono: began, utc: clock.utc(began) };
        let mut met = vec![false; self.tenures.len()];
        for space in scene.stock.spaces.iter().filter(|space| space.sockets.is_some()) {
            let netns = space.namespace.id;
            for proto in [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Sctp] {
                let all = sockets_on(space.list(), self.port).filter(|one| one.protocol == proto);
                let (serving, others): (Vec<&Socket>, Vec<&Socket>) = all.partition(|one| one.is_binder());
                let accepted = if serving.is_empty() { 0 } else { others.len() };
                let mut left = Vec::new();
                for socket in serving.iter().chain(&others) {
                    let place = self.tenures.iter().enumerate().position(|(place, one)| {
                        let is_free = met.get(place) == Some(&false) && one.finish == Finish::Open;
                        is_free && (one.netns, one.proto) == (Some(netns), proto) && one.is(socket)
                    });
                    match place {
                        None => left.push(*socket),
                        Some(place) => {
                            let one = &mut self.tenures[place];
                            (met[place], one.seen) = (true, one.seen.max(at));
                            one.accepted = if socket.is_binder() { accepted } else { 0 };
                            one.listens |= socket.is_binder();
                        }
                    }
                }
                // Connections share the port of the one that accepted them.
                let is_news = |socket: &&Socket| accepted == 0 || socket.is_binder();
                for socket in left.into_iter().filter(is_news) {
                    let owner = socket.inode.and_then(|inode| scene.holders.holders(inode).next());
                    self.tenures.push(found(netns, socket, owner, accepted, at, self.looked));
                }
            }
        }
        for (one, _) in self.tenures.iter_mut().zip(met).filter(|(_, met)| !met) {
            let asked = one.netns.is_none_or(|id| tells(scene, id, one.proto));
            let hidden = hides_bound && one.proto == Protocol::Tcp && one.serves && !one.listens;
            let is_known = one.finish == Finish::Open && one.from.mono < began && one.seen.mono < began;
            if is_known && !hidden && !scene.stock.truncated && asked {
                one.finish = Finish::Gone(Stamp { mono: ended, utc: clock.utc(ended) });
            }
        }
        self.looked = Some(at);
    }
}

impl Tenure {
    /// Whether a socket can be its own.
    fn is(&self, socket: &Socket) -> bool {
        let peer = socket.remote_port.map(|port| (socket.remote_addr, port.get()));
        match self.remote {
            Some(remote) => peer == Some(remote),
            // One that serves is no connection; a datagram socket learns its peer later.
            None => !self.serves || socket.is_binder() || peer.is_none() || self.proto != Protocol::Tcp,
        }
    }

    /// Whether he had it then; none where that is not known.
    pub(super) fn had_it(&self, at: MonoNs) -> Option<bool> {
        if at < self.from.mono {
            let maybe = self.origin == Origin::Found && self.not_before.is_none_or(|last| at > last.mono);
            return if maybe { None } else { Some(false) };
        }
        match self.finish {
            Finish::Released(end, _) => Some(at < end.mono),
            _ if at <= self.seen.mono => Some(true),
            Finish::Gone(end) => {
                if at >= end.mono {
                    Some(false)
                } else {
                    None
                }
            }
            Finish::Open => None,
        }
    }
}

/// Whether a look tells all sockets of a protocol in a namespace; of one that is gone there are none.
fn tells(scene: &SceneNote, netns: NetnsId, proto: Protocol) -> bool {
    match scene.stock.space(netns) {
        Some(space) => space.sockets.as_ref().is_some_and(|sockets| {
            !sockets.truncated && !sockets.interrupted && !sockets.untold.contains(&proto)
        }),
        None => scene.stock.failures.is_empty(),
    }
}

fn remote(event: &Event) -> Option<(IpAddr, u16)> {
    Some((event.remote_addr()?, event.remote_port()?.get()))
}

fn found(
    netns: NetnsId,
    socket: &Socket,
    owner: Option<&Holder>,
    accepted: usize,
    at: Stamp,
    not_before: Option<Stamp>,
) -> Tenure {
    Tenure {
        netns: Some(netns),
        proto: socket.protocol,
        local: Some(socket.local_addr),
        remote: socket.remote_port.map(|port| (socket.remote_addr, port.get())),
        pid: owner.map(|owner| owner.pid),
        process: owner.map_or_else(Process::unknown, |owner| owner.process.clone()),
        origin: Origin::Found,
        from: at,
        not_before,
        seen: at,
        finish: Finish::Open,
        accepted,
        serves: socket.is_binder(),
        listens: socket.is_binder(),
        socket: None,
    }
}

#[cfg(test)]
mod tests;
