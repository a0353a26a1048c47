//! Who has a port: from the stock to the document of `who`.

use std::{num::NonZero, path::Path};

use super::{
    answer,
    check::{now, unanswered},
    survey::Survey,
};
use crate::{
    event::Port,
    findings::{Occupancy, WONT_HELP, occupancy},
    output::records::{OccupancyRecord, OwnerRecord, PortRecord, SCHEMA, SocketRecord, Who},
    stock::{Holder, Holders, Socket, StockError, WhichHolders, leaves_out_bound},
};

/// Looks for the holders of some ports, and of no other sockets.
///
/// # Errors
///
/// /proc cannot be listed.
pub fn document(survey: &Survey, ports: &[Port], proc_root: &Path) -> Result<Who, StockError> {
    let case = survey.case(None, None);
    let answers: Vec<(Port, Vec<Occupancy>)> =
        ports.iter().map(|port| (*port, occupancy(&case, *port))).collect();
    let places = answers.iter().flat_map(|(_, places)| places);
    let inodes = places.flat_map(|place| &place.sockets).filter_map(|socket| socket.inode);
    let holders = Holders::of(proc_root, inodes, WhichHolders::All)?;
    let names = rustix::system::uname();
    let kernel = names.release().to_string_lossy().into_owned();
    Ok(Who {
        schema: SCHEMA,
        host: names.nodename().to_string_lossy().into_owned(),
        bound_untold: leaves_out_bound(&kernel),
        kernel,
        time: now(),
        ports: answers
            .iter()
            .map(|(port, places)| PortRecord {
                port: port.get(),
                places: places.iter().map(|one| place(one, *port, &holders)).collect(),
                verdict: None,
                history: Vec::new(),
                refused: Vec::new(),
            })
            .collect(),
        netns_asked: survey.stock.spaces.iter().filter(|space| space.sockets.is_some()).count(),
        unanswered: unanswered(&survey.stock),
        unreadable_processes: survey.stock.unreadable.max(holders.unreadable),
        truncated: survey.stock.truncated || holders.truncated,
        recorded: None,
    })
}

fn place(place: &Occupancy, port: Port, holders: &Holders) -> OccupancyRecord {
    let wont_help: &[&str] = if place.free.is_empty() { &[] } else { &WONT_HELP };
    OccupancyRecord {
        netns: place.netns.get(),
        label: place.label.clone(),
        proto: place.proto.name().to_owned(),
        verdict: answer::verdict(&place.verdict),
        sockets: place.sockets.iter().map(|one| socket(one, port, holders)).collect(),
        accepted: place.accepted,
        why: place.why.clone(),
        free: place.free.iter().map(answer::command).collect(),
        reserve: place.reserve.as_ref().map(answer::command),
        wont_help: wont_help.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn socket(socket: &Socket, port: Port, holders: &Holders) -> SocketRecord {
    SocketRecord {
        state: socket.state.name().to_owned(),
        local_addr: socket.local_addr,
        local_port: port.get(),
        remote_addr: socket.remote_port.map(|_| socket.remote_addr),
        remote_port: socket.remote_port.map(Port::get),
        time_left_ms: socket.time_left_ms.map(NonZero::get),
        uid: socket.uid.map(|uid| uid.0),
        since: None,
        has_descriptor: socket.inode.is_some(),
        holders: socket.inode.into_iter().flat_map(|inode| holders.holders(inode)).map(owner).collect(),
    }
}

fn owner(holder: &Holder) -> OwnerRecord {
    let text = |text: Option<&str>| text.map(str::to_owned);
    OwnerRecord {
        pid: holder.pid.0,
        comm: text(holder.process.comm()),
        exe: text(holder.process.exe()),
        unit: text(holder.process.unit()),
        container: text(holder.process.container()),
        pod: text(holder.process.pod()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pipeline::host::ThisHost, stock::Wanted};

    #[test]
    fn a_listener_of_ours_is_told_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
        let survey = Survey::bare(&ThisHost::new(Path::new("/proc")), &Wanted::default()).unwrap();
        let told = document(&survey, &[port], Path::new("/proc")).unwrap();
        let places = &told.ports[0].places;
        let ours = |one: &&OccupancyRecord| {
            one.sockets
                .iter()
                .any(|socket| socket.holders.iter().any(|owner| owner.pid == std::process::id()))
        };
        let place = places.iter().find(ours).unwrap();
        assert_eq!((place.verdict.word.as_str(), place.proto.as_str()), ("OK", "tcp"));
        assert!(place.free.is_empty() && place.wont_help.is_empty());
    }
}
