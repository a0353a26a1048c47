//! The lines of single events, all fields.

use super::piece::{addr, boolean, comm, errno, hex, number, options, range, word};
use crate::{
    enrich::Rfc3339,
    event::{CgroupId, Event, Kind, NetnsId, Port, ReleaseState, Site, SocketId, Uid},
    output::{
        Observation,
        value::{record_type, result_name},
    },
};

/// A line is seldom longer.
const USUAL_BYTES: usize = 1024;

/// Appends the line of an event.
pub(super) fn write(clock: &mut Rfc3339, seen: &Observation<'_>, out: &mut Vec<u8>) {
    out.reserve(USUAL_BYTES);
    match seen.event.kind() {
        Kind::Allocation(site) | Kind::Explicit(site) => choice(clock, seen, site, out),
        Kind::Release(state) => release(clock, seen, state, out),
    }
    out.extend_from_slice(b"}\n");
}

fn choice(clock: &mut Rfc3339, seen: &Observation<'_>, site: Site, out: &mut Vec<u8>) {
    let (event, search, process) = (seen.event, &seen.search, seen.process);
    head(clock, seen, out);
    out.extend_from_slice(b",\"site\":");
    word(out, Some(site.name()));
    out.extend_from_slice(b",\"result\":");
    word(out, Some(result_name(event.result())));
    out.extend_from_slice(b",\"error\":");
    errno(out, event.errno());
    out.extend_from_slice(b",\"cause\":");
    word(out, event.cause().map(crate::event::Cause::name));
    out.extend_from_slice(b",\"proto\":");
    word(out, Some(event.protocol().name()));
    out.extend_from_slice(b",\"family\":");
    word(out, event.family().name());
    task(event, out);
    out.extend_from_slice(b",\"uid\":");
    number(out, event.uid().map(|Uid(uid)| uid));
    out.push(b',');
    out.extend_from_slice(process.json_comm().as_bytes());
    out.extend_from_slice(b",\"thread_comm\":");
    comm(out, event.comm());
    out.push(b',');
    out.extend_from_slice(process.json_exe().as_bytes());
    out.extend_from_slice(b",\"netns\":");
    number(out, event.netns().map(NetnsId::get));
    match event.cgroup_id().map(CgroupId::get) {
        Some(id) => {
            out.extend_from_slice(b",\"cgroup_id\":\"");
            number(out, Some(id));
            out.extend_from_slice(b"\",");
        }
        None => out.extend_from_slice(b",\"cgroup_id\":null,"),
    }
    out.extend_from_slice(process.json_unit_container().as_bytes());
    out.extend_from_slice(b",\"kernel_socket\":");
    boolean(out, event.kernel_socket());
    local(event, out);
    out.extend_from_slice(b",\"requested_port\":");
    number(out, Some(event.requested_port().map_or(0, Port::get)));
    remote(event, out);
    out.extend_from_slice(b",\"search_ns\":");
    number(out, event.search_ns());
    out.extend_from_slice(b",\"search_exact\":");
    boolean(out, event.search_ns().map(|_| !event.search_upper_bound()));
    out.extend_from_slice(b",\"candidates\":");
    number(out, search.candidates);
    out.extend_from_slice(b",\"candidates_exact\":");
    boolean(out, search.candidates_exact);
    out.extend_from_slice(b",\"collisions\":");
    number(out, search.collisions);
    out.extend_from_slice(b",\"crossed_half\":");
    boolean(out, search.crossed_half);
    out.extend_from_slice(b",\"range\":");
    range(out, event.range());
    out.extend_from_slice(b",\"options\":");
    options(out, event.options());
    out.extend_from_slice(b",\"time_wait_reused\":");
    boolean(out, event.time_wait_reused());
    socket(event, out);
    if event.kind() == Kind::Explicit(Site::Bind) {
        out.extend_from_slice(b",\"holders\":");
        holders(seen, out);
    }
}

fn release(clock: &mut Rfc3339, seen: &Observation<'_>, state: ReleaseState, out: &mut Vec<u8>) {
    let event = seen.event;
    head(clock, seen, out);
    out.extend_from_slice(b",\"state\":");
    word(out, state.name());
    out.extend_from_slice(b",\"held_us\":");
    number(out, event.held_ns().map(|held| held / 1000));
    out.extend_from_slice(b",\"proto\":");
    word(out, Some(event.protocol().name()));
    out.extend_from_slice(b",\"family\":");
    word(out, event.family().name());
    task(event, out);
    out.push(b',');
    out.extend_from_slice(seen.process.json_comm().as_bytes());
    out.extend_from_slice(b",\"netns\":");
    number(out, event.netns().map(NetnsId::get));
    local(event, out);
    remote(event, out);
    socket(event, out);
}

fn head(clock: &mut Rfc3339, seen: &Observation<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":");
    word(out, Some(record_type(seen.event.kind())));
    out.extend_from_slice(b",\"ts\":\"");
    clock.write(seen.utc, out);
    out.extend_from_slice(b"\",\"mono_us\":");
    number(out, Some(seen.event.mono().0 / 1000));
}

fn task(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"pid\":");
    number(out, Some(event.pid().0));
    out.extend_from_slice(b",\"tid\":");
    number(out, Some(event.tid().0));
}

fn local(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"local_addr\":");
    addr(out, event.local_addr());
    out.extend_from_slice(b",\"local_port\":");
    number(out, event.local_port().map(Port::get));
}

fn remote(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"remote_addr\":");
    addr(out, event.remote_addr());
    out.extend_from_slice(b",\"remote_port\":");
    number(out, event.remote_port().map(Port::get));
}

fn socket(event: &Event, out: &mut Vec<u8>) {
    match event.socket().map(SocketId::get) {
        Some(id) => {
            out.extend_from_slice(b",\"socket\":\"");
            hex(out, id);
            out.push(b'"');
        }
        None => out.extend_from_slice(b",\"socket\":null"),
    }
}

/// Rare: only failed binds have holders, so a serializer will do.
fn holders(seen: &Observation<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, &seen.holders).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
