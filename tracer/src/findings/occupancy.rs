//! Who has a port, and how it could be had.

use super::{Case, Command, Verdict, Word, place::Place};
use crate::{
    event::{NetnsId, Port, Protocol},
    stock::{Socket, State, sockets_on},
};

/// A port in a namespace, as one protocol sees it.
#[derive(Clone, Debug)]
pub struct Occupancy {
    /// The namespace.
    pub netns: NetnsId,
    /// What to call it.
    pub label: String,
    /// The protocol.
    pub proto: Protocol,
    /// `CONFLICT` where no service can have the port, `OK` where one has it.
    pub verdict: Verdict,
    /// The sockets on it: a listener, or else those that keep one away.
    pub sockets: Vec<Socket>,
    /// Connections that a listener has accepted there: they share its port.
    pub accepted: usize,
    /// Why somebody else could be given the port; none where that cannot happen.
    pub why: Option<String>,
    /// What frees it.
    pub free: Vec<Command>,
    /// What keeps it free.
    pub reserve: Option<Command>,
}

/// What to do about it does not help.
pub const WONT_HELP: [&str; 2] =
    ["reserving alone (frees nothing now)", "SO_REUSEADDR, unless the holder set it too"];

/// Where a port is held: each namespace and protocol that has a socket on it.
#[must_use]
pub fn occupancy(case: &Case<'_>, port: Port) -> Vec<Occupancy> {
    let mut found = Vec::new();
    for place in Place::all(case) {
        for proto in [Protocol::Tcp, Protocol::Udp, Protocol::UdpLite, Protocol::Sctp] {
            let on_port = sockets_on(place.space.list(), port).filter(|one| one.protocol == proto);
            let sockets: Vec<Socket> = on_port.copied().collect();
            if !sockets.is_empty() {
                found.push(of(&place, proto, port, sockets));
            }
        }
    }
    found
}

fn of(place: &Place<'_>, proto: Protocol, port: Port, sockets: Vec<Socket>) -> Occupancy {
    let (serving, others): (Vec<Socket>, Vec<Socket>) =
        sockets.into_iter().partition(|socket| socket.state == State::Listen || socket.is_binder());
    let exposed = place
        .config()
        .is_some_and(|config| config.range.contains(port.get()) && !config.reserved.contains(port.get()));
    let inside = place.config().filter(|_| exposed).map(|config| {
        let (low, high) = (config.range.low(), config.range.high());
        format!("{port} is inside {low}-{high} and not reserved", port = port.get())
    });
    let reserve = if exposed { place.reserve(&[port.get()], None) } else { None };
    let name = format!("{}/{}", port.get(), proto.name());
    let (verdict, sockets, accepted, free) = if serving.is_empty() {
        let waits = others.iter().all(|socket| socket.state == State::TimeWait);
        let what = if waits { "by connections in TIME_WAIT" } else { "by an outgoing connection" };
        let reason = format!("{name} is held {what}; nobody listens");
        let free = others.iter().take(MOST_COMMANDS).map(|socket| place.kill(port, socket)).collect();
        (Verdict { word: Word::Conflict, reason, finding: None }, others, 0, free)
    } else {
        let listens = serving.iter().any(|socket| socket.state == State::Listen);
        let reason = format!("{name} is {}", if listens { "listened on" } else { "bound" });
        let accepted = others.len();
        (Verdict { word: Word::Ok, reason, finding: None }, serving, accepted, Vec::new())
    };
    Occupancy {
        netns: place.id(),
        label: place.space.namespace.label(),
        proto,
        verdict,
        sockets,
        accepted,
        why: inside,
        free,
        reserve,
    }
}

/// Sockets whose end is told as a command.
const MOST_COMMANDS: usize = 3;
