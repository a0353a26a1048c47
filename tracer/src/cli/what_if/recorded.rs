//! A recording as a source of what was recorded: its events, and the sockets that were there before them.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader},
    net::{IpAddr, SocketAddr},
    path::Path,
};

use rustc_hash::FxHashSet;

use super::{
    super::{
        Failure,
        exit::{complain, reason},
        reading::unreadable,
    },
    trace::settings,
};
use crate::{
    event::{Cause, Event, Kind, MonoNs, NetnsId, Outcome, Port, Protocol, ReleaseState, Site, decode},
    output::escape,
    recording::{Ending, Entry, Note, Reader, SceneNote, is_recording},
    stock::{Inode, NetnsConfig, NetnsStock, Socket, State},
    whatif::{Asked, Pool, Released, Settings, Source, Told, Way},
};

/// More events than that are not kept.
const MOST_EVENTS: u64 = 20_000_000;

/// A socket by its place and its inode: another one may have the same place later.
type Seen = (String, Option<Inode>);

/// A recording that is being read.
pub(super) struct Recorded {
    name: String,
    reader: Reader<BufReader<File>>,
    next: VecDeque<Told>,
    /// When the sockets were looked at last, and those from before that were there; none before the first look.
    looked: Option<(MonoNs, FxHashSet<Seen>)>,
    /// Sockets from before whose release was told, or the end of their TIME_WAIT.
    told: FxHashSet<String>,
    events: u64,
    start: MonoNs,
    last: MonoNs,
    is_over: bool,
}

impl Recorded {
    /// Opens a recording; none where the file is something else.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let name = escape(&path.display().to_string()).into_owned();
        let failed = |error: io::Error| Failure::new(format!("cannot read {name}: {}", reason(&error)));
        let mut file = File::open(path).map_err(failed)?;
        if !is_recording(&mut file).map_err(failed)? {
            return Ok(None);
        }
        let reader = Reader::open(BufReader::new(file)).map_err(|error| unreadable(&name, &error))?;
        let opening = reader.opening();
        let mut next = VecDeque::new();
        for space in &opening.header.netns {
            let known = settings(space).transpose();
            let known = known.map_err(|told| Failure::new(format!("{name}: {told}")))?;
            next.extend(known.map(|settings| Told::Space(space.id, settings)));
        }
        let start = opening.facts.start;
        Ok(Some(Self {
            name,
            reader,
            next,
            looked: None,
            told: FxHashSet::default(),
            events: 0,
            start,
            last: start,
            is_over: false,
        }))
    }

    /// Whether releases were recorded.
    pub(super) fn has_releases(&self) -> bool {
        self.reader.opening().facts.releases
    }

    /// Says so when it was cut.
    pub(super) fn tell_cut(&self, is_quiet: bool) {
        if let Some(Ending::Cut { at, .. }) = self.reader.ending()
            && !is_quiet
        {
            complain(&format!("{} has no end: it was read up to byte {at}", self.name));
        }
    }

    /// The sockets that there were at the start, and later which of them are gone: not every kernel tells the release of
    /// a socket that it was not seen to choose a port for, so that it is put in the middle between the looks.
    fn scene(&mut self, scene: &SceneNote) {
        let at = scene.stock.began;
        let names = |space: &NetnsStock| {
            let netns = space.namespace.id;
            let seen = |socket: &Socket| Some((name_of(netns, socket)?, socket.inode));
            space.list().iter().filter_map(seen).collect::<Vec<_>>()
        };
        let there: FxHashSet<Seen> = scene.stock.spaces.iter().flat_map(names).collect();
        let Some((before, known)) = self.looked.take() else {
            for space in &scene.stock.spaces {
                let netns = space.namespace.id;
                let told =
                    space.list().iter().filter_map(|socket| standing(netns, space, socket, self.start));
                self.next.extend(told.flatten());
                let waits = space.list().iter().filter(|socket| socket.state == State::TimeWait);
                self.told.extend(waits.filter_map(|socket| name_of(netns, socket)));
            }
            self.looked = Some((at, there));
            return;
        };
        let middle = before.0.max(self.start.0).midpoint(at.0);
        let held_us = middle.saturating_sub(self.start.0) / 1_000;
        let (still, gone): (FxHashSet<_>, Vec<_>) = (
            known.iter().filter(|seen| there.contains(*seen)).cloned().collect(),
            known.into_iter().filter(|seen| !there.contains(seen)).map(|(name, _)| name).collect(),
        );
        let ended = |socket| Told::Released(Released { socket, held_us, time_wait: false });
        self.next.extend(gone.into_iter().filter(|name| !self.told.contains(name)).map(ended));
        self.looked = Some((at, still));
    }

    fn event(&mut self, event: &Event) -> Option<Told> {
        self.last = self.last.max(event.mono());
        match event.kind() {
            Kind::Allocation(site) => Some(asked(event, site, None).unwrap_or(Told::Skipped)),
            Kind::Explicit(Site::Bind) if event.result() == Outcome::Ok => {
                Some(asked(event, Site::Bind, event.local_port()).unwrap_or(Told::Skipped))
            }
            Kind::Explicit(_) => None,
            Kind::Release(state) => self.released(event, state),
        }
    }

    /// A release of a socket whose choice was seen, or else of one from before.
    fn released(&mut self, event: &Event, state: ReleaseState) -> Option<Told> {
        if let Some((socket, held)) = event.socket().zip(event.held_ns()) {
            return Some(Told::Released(Released {
                socket: format!("{:x}", socket.get()),
                held_us: held / 1_000,
                time_wait: state == ReleaseState::TimeWait,
            }));
        }
        let peer = event.remote_addr().zip(event.remote_port());
        let socket = place(event.netns()?, event.protocol(), event.local_port()?, peer);
        self.told.insert(socket.clone());
        let held_us = event.mono().since(self.start) / 1_000;
        Some(Told::Released(Released { socket, held_us, time_wait: false }))
    }
}

impl Source for Recorded {
    type Error = Failure;

    fn next(&mut self) -> Result<Option<Told>, Failure> {
        loop {
            if let Some(told) = self.next.pop_front() {
                return Ok(Some(told));
            }
            let Some(entry) = self.reader.next() else { break };
            match entry.map_err(|error| unreadable(&self.name, &error))? {
                Entry::Event(row) => {
                    self.events += 1;
                    if self.events > MOST_EVENTS {
                        return Err(Failure::new(format!(
                            "{} has more than {MOST_EVENTS} events",
                            self.name
                        ))
                        .hint("record for a shorter time, or with a filter"));
                    }
                    let event = decode(row.bytes()).ok();
                    let told = event.map_or(Some(Told::Skipped), |event| self.event(&event));
                    self.next.extend(told);
                }
                Entry::Note(note) => match *note {
                    Note::Scene(scene) => self.scene(&scene),
                    Note::Config(config) => {
                        self.next.push_back(Told::Space(config.id.get(), configured(&config)));
                    }
                    Note::End(end) => self.last = self.last.max(end.account.at),
                    _ => {}
                },
            }
        }
        if std::mem::replace(&mut self.is_over, true) {
            return Ok(None);
        }
        Ok(Some(Told::Ended(self.last.0 / 1_000)))
    }
}

/// A namespace that came after the start: nothing but its ports was recorded.
fn configured(config: &NetnsConfig) -> Settings {
    Settings {
        range: [config.range.low(), config.range.high()],
        reserved: config.reserved.clone(),
        ..Settings::default()
    }
}

/// A request; none where it cannot be replayed.
fn asked(event: &Event, site: Site, named: Option<Port>) -> Option<Told> {
    let refused = event.failed();
    if refused && event.cause() != Some(Cause::Exhausted) {
        return None;
    }
    let datagram = is_datagram(event.protocol())?;
    let connects = site == Site::Connect && !datagram;
    let remote = match event.remote_addr().zip(event.remote_port()) {
        Some((addr, port)) if connects => Some(SocketAddr::new(addr.to_canonical(), port.get())),
        None if connects => return None,
        _ => None,
    };
    let pool =
        Pool { netns: event.netns()?.get(), datagram, local: event.local_addr()?.to_canonical(), remote };
    Some(Told::Asked(Asked {
        at_us: event.mono().0 / 1_000,
        pool,
        way: way(datagram, connects),
        program: event.comm().map(|comm| comm.lossy().into_owned()).unwrap_or_default(),
        socket: event.socket().map(|socket| format!("{:x}", socket.get())),
        refused,
        named: named.map(Port::get),
        standing: false,
    }))
}

fn is_datagram(protocol: Protocol) -> Option<bool> {
    match protocol {
        Protocol::Tcp => Some(false),
        Protocol::Udp => Some(true),
        _ => None,
    }
}

const fn way(datagram: bool, connects: bool) -> Way {
    match (datagram, connects) {
        (true, _) => Way::Datagram,
        (false, true) => Way::Connect,
        (false, false) => Way::Bind,
    }
}

/// A socket from before the start, with a port of the range; of a TIME_WAIT also its end, which is known.
fn standing(
    netns: NetnsId,
    space: &NetnsStock,
    socket: &Socket,
    start: MonoNs,
) -> Option<impl Iterator<Item = Told>> {
    let (port, datagram) = (socket.local_port?, is_datagram(socket.protocol)?);
    let peer = socket.remote_port.map(|remote| (socket.remote_addr, remote));
    let binds = datagram || matches!(socket.state, State::Listen | State::Bound);
    if !space.config.as_ref()?.range.contains(port.get()) || (!binds && peer.is_none()) {
        return None;
    }
    let remote = peer.filter(|_| !binds).map(|(addr, port)| SocketAddr::new(addr.to_canonical(), port.get()));
    let name = name_of(netns, socket)?;
    let ends = socket.time_left_ms.filter(|_| socket.state == State::TimeWait).map(|left| Released {
        socket: name.clone(),
        held_us: u64::from(left.get()) * 1_000,
        // It is one already: no other follows.
        time_wait: false,
    });
    let told = Told::Asked(Asked {
        at_us: start.0 / 1_000,
        pool: Pool { netns: netns.get(), datagram, local: socket.local_addr.to_canonical(), remote },
        way: way(datagram, !binds),
        program: String::new(),
        socket: Some(name),
        refused: false,
        named: Some(port.get()),
        standing: true,
    });
    Some(std::iter::once(told).chain(ends.map(Told::Released)))
}

/// The same of a socket of the stock; none where it has no port.
fn name_of(netns: NetnsId, socket: &Socket) -> Option<String> {
    let peer = socket.remote_port.map(|remote| (socket.remote_addr, remote));
    Some(place(netns, socket.protocol, socket.local_port?, peer))
}

/// By what a socket from before and its release are known to be the same.
fn place(netns: NetnsId, protocol: Protocol, port: Port, peer: Option<(IpAddr, Port)>) -> String {
    let peer = peer.map(|(addr, port)| SocketAddr::new(addr.to_canonical(), port.get()));
    format!("{} {} {} {peer:?}", netns.get(), protocol.name(), port.get())
}
