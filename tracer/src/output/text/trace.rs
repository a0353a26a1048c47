//! The cells of a trace line.

use std::io::Write as _;

use crate::{
    event::{Event, Kind, NetnsId, Outcome, Port, Search, Site},
    output::{Observation, escape, plain, records::Holder},
};

/// What does not apply.
const NOTHING: &[u8] = b"-";
/// What could not be seen.
const UNSEEN: &[u8] = b"?";

/// Name of the process, or of the thread where that is all there is.
pub(super) fn comm(seen: &Observation<'_>, cell: &mut Vec<u8>) {
    match (seen.process.comm(), seen.event.comm()) {
        (Some(comm), _) => cell.extend_from_slice(escape(comm).as_bytes()),
        (None, Some(comm)) => cell.extend_from_slice(escape(&comm.lossy()).as_bytes()),
        (None, None) => cell.extend_from_slice(UNSEEN),
    }
}

/// Inode number of the network namespace.
pub(super) fn netns(event: &Event, cell: &mut Vec<u8>) {
    match event.netns() {
        Some(netns) => plain::number(cell, NetnsId::get(netns)),
        None => cell.extend_from_slice(UNSEEN),
    }
}

/// Where the choice was made.
pub(super) fn site(event: &Event, cell: &mut Vec<u8>) {
    cell.extend_from_slice(event.kind().site().map_or("release", Site::name).as_bytes());
}

/// Local address.
pub(super) fn local_addr(event: &Event, cell: &mut Vec<u8>) {
    match event.local_addr() {
        Some(addr) => plain::addr(cell, addr),
        None => cell.extend_from_slice(UNSEEN),
    }
}

/// The port chosen, the port asked for where that failed, `*` where any would have done.
pub(super) fn local_port(event: &Event, cell: &mut Vec<u8>) {
    match event.local_port().or(event.requested_port()) {
        Some(port) => plain::number(cell, Port::get(port)),
        None if event.failed() => cell.push(b'*'),
        None => cell.extend_from_slice(UNSEEN),
    }
}

/// Remote address.
pub(super) fn remote_addr(event: &Event, cell: &mut Vec<u8>) {
    match event.remote_addr() {
        Some(addr) => plain::addr(cell, addr),
        None => cell.extend_from_slice(NOTHING),
    }
}

/// Remote port.
pub(super) fn remote_port(event: &Event, cell: &mut Vec<u8>) {
    match event.remote_port() {
        Some(port) => plain::number(cell, Port::get(port)),
        None => cell.extend_from_slice(NOTHING),
    }
}

/// How the choice ended.
pub(super) fn ret(event: &Event, cell: &mut Vec<u8>) {
    match (event.kind(), event.result()) {
        (Kind::Release(_), _) => cell.extend_from_slice(NOTHING),
        (_, Outcome::Ok) => cell.extend_from_slice(b"ok"),
        (_, Outcome::Failed { errno: None }) => cell.extend_from_slice(UNSEEN),
        (_, Outcome::Failed { errno: Some(errno) }) => plain::errno(cell, errno),
    }
}

/// Search time in microseconds, to the tenth below a millisecond; `<` before an upper bound.
pub(super) fn micros(event: &Event, cell: &mut Vec<u8>) {
    let Some(ns) = event.search_ns() else {
        let release = matches!(event.kind(), Kind::Release(_));
        return cell.extend_from_slice(if release { NOTHING } else { UNSEEN });
    };
    if event.search_upper_bound() {
        cell.push(b'<');
    }
    // Rounded to a tenth; half a tenth is 50 ns.
    let tenths = ns.saturating_add(50) / 100;
    if tenths < 10_000 {
        plain::number(cell, tenths / 10);
        cell.push(b'.');
        plain::number(cell, tenths % 10);
    } else {
        plain::number(cell, ns.saturating_add(500) / 1000);
    }
}

/// Collisions: `~` before a number that may be off; `half` where one half of the range was searched in vain
/// and nothing more is known.
pub(super) fn collisions(event: &Event, search: &Search, cell: &mut Vec<u8>) {
    match (search.collisions, search.crossed_half) {
        (Some(collisions), _) => {
            if search.candidates_exact == Some(false) {
                cell.push(b'~');
            }
            plain::number(cell, collisions);
        }
        (None, Some(true)) if !event.failed() => cell.extend_from_slice(b"half"),
        (None, _) => cell.extend_from_slice(NOTHING),
    }
}

/// Letters of what bears on the choice; of a release, how long the port was held, and what ended it.
pub(super) fn options(event: &Event, cell: &mut Vec<u8>) {
    if let Kind::Release(state) = event.kind() {
        return held(event.held_ns(), state.name(), cell);
    }
    let before = cell.len();
    let asked = event.options().into_iter().flat_map(|options| options.iter().filter_map(|one| one.letter));
    let more = [
        (event.kernel_socket() == Some(true), 'K'),
        (event.time_wait_reused() == Some(true), 'T'),
        (matches!(event.kind(), Kind::Explicit(_)), 'E'),
    ];
    let more = more.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter);
    cell.extend(asked.chain(more).filter_map(|letter| u8::try_from(letter).ok()));
    if cell.len() == before {
        cell.extend_from_slice(if event.options().is_some() { NOTHING } else { UNSEEN });
    }
}

fn held(ns: Option<u64>, state: Option<&str>, cell: &mut Vec<u8>) {
    cell.extend_from_slice(b"held=");
    match ns {
        Some(ns) => {
            let millis = ns / 1_000_000;
            // Writing to a vector cannot fail.
            let _infallible = write!(cell, "{}.{:03}s", millis / 1000, millis % 1000);
        }
        None => cell.extend_from_slice(UNSEEN),
    }
    cell.push(b',');
    cell.extend_from_slice(state.map_or(UNSEEN, str::as_bytes));
}

/// A line of its own below a refused bind: who holds the port.
pub(super) fn held_by(holder: &Holder, out: &mut Vec<u8>) {
    let who = match (&holder.comm, holder.pid) {
        (Some(comm), Some(pid)) => format!("{} (pid {pid})", escape(comm)),
        (None, Some(pid)) => format!("pid {pid}"),
        (_, None) => "the kernel alone".to_owned(),
    };
    let peer = match (holder.remote_addr, holder.remote_port) {
        (Some(addr), Some(port)) => format!(" > {addr}:{port}"),
        _ => String::new(),
    };
    out.extend_from_slice(format!("{:<13}held by {who}{peer} {}\n", "", holder.state).as_bytes());
}
