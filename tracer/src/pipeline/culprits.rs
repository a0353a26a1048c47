//! Who holds a port that a bind was just refused.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    event::{Cause, Event, Kind, NetnsId, Port, Protocol, Site},
    output::records::Holder,
    stock::{
        Holders, MOST_SOCKETS, Netns, Socket, Sockets, StockError, WhichHolders, namespaces, sockets_on,
    },
};

/// An answer is good for the same question for so long.
const FRESH: Duration = Duration::from_millis(500);
/// Asking takes at most 1 ÷ 10 of the time.
const PAUSE_TO_LOOK: u32 = 9;

/// What was asked.
type Question = (NetnsId, Protocol, Port);

/// Asks the stock who holds a port, now and then.
#[derive(Debug)]
pub struct Culprits {
    proc_root: PathBuf,
    /// No new look before.
    next: Instant,
    last: Option<(Question, Instant, Vec<Holder>)>,
}

impl Culprits {
    /// Nobody asked yet.
    #[must_use]
    pub fn new(proc_root: &Path) -> Self {
        Self { proc_root: proc_root.to_owned(), next: Instant::now(), last: None }
    }

    /// Who holds the port that a bind was refused; none for other events, and where there was no time to ask.
    pub fn of(&mut self, event: &Event) -> Option<&[Holder]> {
        let refused = event.kind() == Kind::Explicit(Site::Bind) && event.cause() == Some(Cause::InUse);
        if !refused {
            return None;
        }
        let question = (event.netns()?, event.protocol(), event.requested_port()?);
        let now = Instant::now();
        let known = self.last.as_ref().is_some_and(|(asked, at, _)| *asked == question && now < *at + FRESH);
        if !known {
            if now < self.next {
                return None;
            }
            let found = look(&self.proc_root, event, question);
            self.next = Instant::now() + now.elapsed() * PAUSE_TO_LOOK;
            match found {
                Ok(found) => self.last = Some((question, now, found)),
                Err(error) => {
                    log::debug!("who holds the port: {error}");
                    return None;
                }
            }
        }
        self.last.as_ref().map(|(_, _, found)| found.as_slice())
    }
}

fn look(proc_root: &Path, event: &Event, (id, protocol, port): Question) -> Result<Vec<Holder>, StockError> {
    let netns = open(proc_root, event, id)?;
    let sockets = Sockets::of(&netns, proc_root, &[protocol], MOST_SOCKETS)?;
    let mut on_port: Vec<&Socket> = sockets_on(&sockets.list, port).collect();
    // A listener and those that it has accepted share the port: the listener says it all.
    if on_port.iter().any(|socket| socket.is_binder()) {
        on_port.retain(|socket| socket.is_binder());
    }
    on_port.truncate(MOST_HOLDERS);
    let inodes = on_port.iter().filter_map(|socket| socket.inode);
    let holders = Holders::of(proc_root, inodes, WhichHolders::First)?;
    Ok(on_port.into_iter().map(|socket| holder(socket, &holders)).collect())
}

/// Sockets on one port that are told.
const MOST_HOLDERS: usize = 16;

/// The namespace of the process that was refused, or by any other way in.
fn open(proc_root: &Path, event: &Event, id: NetnsId) -> Result<Netns, StockError> {
    if let Ok(netns) = Netns::of_process(proc_root, event.pid())
        && netns.id() == id
    {
        return Ok(netns);
    }
    let all = namespaces(proc_root, Path::new(crate::stock::NAMED))?;
    let path = all.list.into_iter().find(|one| one.id == id).map(|one| one.path);
    Netns::open(&path.unwrap_or_else(|| proc_root.join("self/ns/net")))
}

fn holder(socket: &Socket, holders: &Holders) -> Holder {
    let process = socket.inode.and_then(|inode| holders.holders(inode).next());
    Holder {
        pid: process.map(|process| process.pid.0),
        comm: process.and_then(|process| process.process.comm().map(str::to_owned)),
        since: None,
        since_basis: None,
        remote_addr: socket.remote_port.map(|_| socket.remote_addr),
        remote_port: socket.remote_port.map(Port::get),
        state: socket.state.name().to_owned(),
    }
}
