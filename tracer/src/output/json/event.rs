//! The lines of single events, all fields.

use super::{
    draft::Drafts,
    line::{Buffer, Line},
    stamp::Stamp,
};
use crate::{
    event::{
        Cause, CgroupId, Event, Family, Kind, Kinds, NetnsId, Outcome, Port, Protocol, ReleaseState, Site,
        SocketId, Uid,
    },
    output::{Observation, value::result_name},
};

/// Writes a member whose value is true, false or null.
macro_rules! answer {
    ($line:ident, $key:literal, $answer:expr) => {
        // One call a text: then its length is known when it is compiled, and no call is left.
        match $answer {
            Some(true) => $line.put(concat!(",\"", $key, "\":true")),
            Some(false) => $line.put(concat!(",\"", $key, "\":false")),
            None => $line.put(concat!(",\"", $key, "\":null")),
        }
    };
}

/// What is kept from line to line.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    stamp: Stamp,
    drafts: Drafts,
}

/// Writes the line of an event.
pub(super) fn write(memory: &mut Memory, buffer: &mut Buffer, seen: &Observation<'_>, out: &mut Vec<u8>) {
    let opening = match seen.event.kind() {
        Kind::Allocation(_) => "{\"type\":\"allocation\",\"ts\":\"",
        Kind::Explicit(Site::Bind) => "{\"type\":\"bind\",\"ts\":\"",
        Kind::Explicit(_) => "{\"type\":\"check\",\"ts\":\"",
        Kind::Release(state) => return release(&mut Line::new(buffer, out), &mut memory.stamp, seen, state),
    };
    let (event, draft) = (seen.event, memory.drafts.of(seen, buffer));
    let mut line = Line::new(buffer, out);
    line.put(opening);
    memory.stamp.write(&mut line, seen.utc, event.mono());
    line.put_bytes(draft.asker());
    line.number(event.local_port().map(Port::get));
    line.put_bytes(draft.peer());
    search(&mut line, seen);
    line.put_bytes(draft.settings());
    match event.socket().map(SocketId::get) {
        Some(id) => line.hex(id),
        None => line.put("null"),
    }
    if matches!(event.kind(), Kind::Explicit(Site::Bind)) {
        line.put(",\"holders\":");
        line.serialize(&seen.holders);
    }
    line.put("}\n");
    line.finish();
}

/// From the site to the key of the local port: the same for most events of a thread.
pub(super) fn asker(line: &mut Line<'_>, seen: &Observation<'_>) {
    let (event, process) = (seen.event, seen.process);
    line.put(",\"site\":");
    line.word(event.kind().site().map(Site::name));
    result(line, event);
    socket_kind(line, event);
    task(line, event);
    line.put(",\"uid\":");
    line.number(event.uid().map(|Uid(uid)| uid));
    line.put(",");
    line.put(process.json_comm());
    line.put(",\"thread_comm\":");
    line.comm(event.comm());
    line.put(",");
    line.put(process.json_exe());
    netns(line, event);
    match event.cgroup_id().map(CgroupId::get) {
        Some(id) => {
            line.put(",\"cgroup_id\":\"");
            line.decimal(id);
            line.put("\",");
        }
        None => line.put(",\"cgroup_id\":null,"),
    }
    line.put(process.json_place());
    answer!(line, "kernel_socket", event.kernel_socket());
    line.put(",\"local_addr\":");
    line.addr(event.local_addr());
    line.put(",\"local_port\":");
}

/// From the port that was asked for to the key of the search: the same for most events of one peer.
pub(super) fn peer(line: &mut Line<'_>, event: &Event) {
    line.put(",\"requested_port\":");
    line.decimal(event.requested_port().map_or(0, Port::get).into());
    remote(line, event);
    line.put(",\"search_ns\":");
}

/// From the range to the key of the socket: the same for most events of a thread.
pub(super) fn settings(line: &mut Line<'_>, event: &Event) {
    line.put(",\"range\":");
    line.range(event.range());
    line.put(",\"options\":");
    line.options(event.options());
    answer!(line, "time_wait_reused", event.time_wait_reused());
    line.put(",\"socket\":");
}

fn release(line: &mut Line<'_>, stamp: &mut Stamp, seen: &Observation<'_>, state: ReleaseState) {
    let event = seen.event;
    line.put("{\"type\":\"release\",\"ts\":\"");
    stamp.write(line, seen.utc, event.mono());
    line.put(",\"state\":");
    line.word(state.name());
    line.put(",\"held_us\":");
    line.number(event.held_ns().map(|held| held / 1000));
    socket_kind(line, event);
    task(line, event);
    line.put(",");
    line.put(seen.process.json_comm());
    netns(line, event);
    line.put(",\"local_addr\":");
    line.addr(event.local_addr());
    line.put(",\"local_port\":");
    line.number(event.local_port().map(Port::get));
    remote(line, event);
    match event.socket().map(SocketId::get) {
        Some(id) => {
            line.put(",\"socket\":");
            line.hex(id);
        }
        None => line.put(",\"socket\":null"),
    }
    line.put("}\n");
    line.finish();
}

#[inline]
fn result(line: &mut Line<'_>, event: &Event) {
    match event.result() {
        Outcome::Ok => line.put(",\"result\":\"ok\",\"error\":null,\"cause\":null"),
        failed @ Outcome::Failed { errno } => {
            line.put(",\"result\":");
            line.word(Some(result_name(failed)));
            line.put(",\"error\":");
            line.errno(errno);
            line.put(",\"cause\":");
            line.word(event.cause().map(Cause::name));
        }
    }
}

#[inline]
fn socket_kind(line: &mut Line<'_>, event: &Event) {
    match event.protocol() {
        Protocol::Tcp => line.put(",\"proto\":\"tcp\""),
        Protocol::Udp => line.put(",\"proto\":\"udp\""),
        other => {
            line.put(",\"proto\":");
            line.word(Some(other.name()));
        }
    }
    match event.family() {
        Family::V4 => line.put(",\"family\":\"ipv4\""),
        Family::V6 => line.put(",\"family\":\"ipv6\""),
        Family::Unknown(_) => line.put(",\"family\":null"),
    }
}

#[inline]
fn task(line: &mut Line<'_>, event: &Event) {
    line.put(",\"pid\":");
    line.decimal(event.pid().0.into());
    line.put(",\"tid\":");
    line.decimal(event.tid().0.into());
}

#[inline]
fn netns(line: &mut Line<'_>, event: &Event) {
    line.put(",\"netns\":");
    line.number(event.netns().map(NetnsId::get));
}

#[inline]
fn remote(line: &mut Line<'_>, event: &Event) {
    line.put(",\"remote_addr\":");
    line.addr(event.remote_addr());
    line.put(",\"remote_port\":");
    line.number(event.remote_port().map(Port::get));
}

#[inline]
fn search(line: &mut Line<'_>, seen: &Observation<'_>) {
    let (event, search) = (seen.event, &seen.search);
    line.number(event.search_ns());
    answer!(line, "search_exact", event.search_ns().map(|_| !event.search_upper_bound()));
    line.put(",\"candidates\":");
    line.number(search.candidates);
    answer!(line, "candidates_exact", search.candidates_exact);
    line.put(",\"collisions\":");
    line.number(search.collisions);
    match Kinds::of(event, search) {
        None => {
            line.put(",\"bucket_collisions\":null,\"tuple_collisions\":null,\"time_wait_collisions\":null");
        }
        Some(kinds) => {
            line.put(",\"bucket_collisions\":");
            line.number(kinds.bucket);
            line.put(",\"tuple_collisions\":");
            line.number(Some(kinds.tuple));
            line.put(",\"time_wait_collisions\":");
            line.number(Some(kinds.time_wait));
        }
    }
    answer!(line, "crossed_half", search.crossed_half);
}
