//! The lines of single events, all fields.

use super::line::Line;
use crate::{
    enrich::Rfc3339,
    event::{
        Cause, CgroupId, Event, Family, Kind, NetnsId, Outcome, Port, Protocol, ReleaseState, Site, SocketId,
        Uid,
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

/// Writes the line of an event.
pub(super) fn write(line: &mut Line<'_>, clock: &mut Rfc3339, seen: &Observation<'_>) {
    match seen.event.kind() {
        Kind::Allocation(site) => {
            line.put("{\"type\":\"allocation\",\"ts\":\"");
            choice(line, clock, seen, site);
        }
        Kind::Explicit(Site::Bind) => {
            line.put("{\"type\":\"bind\",\"ts\":\"");
            choice(line, clock, seen, Site::Bind);
            line.put(",\"holders\":");
            line.serialize(&seen.holders);
        }
        Kind::Explicit(site) => {
            line.put("{\"type\":\"check\",\"ts\":\"");
            choice(line, clock, seen, site);
        }
        Kind::Release(state) => {
            line.put("{\"type\":\"release\",\"ts\":\"");
            release(line, clock, seen, state);
        }
    }
    line.put("}\n");
}

fn choice(line: &mut Line<'_>, clock: &mut Rfc3339, seen: &Observation<'_>, site: Site) {
    let (event, process) = (seen.event, seen.process);
    time(line, clock, seen);
    match site {
        Site::Connect => line.put(",\"site\":\"connect\""),
        Site::Bind => line.put(",\"site\":\"bind\""),
        Site::Listen => line.put(",\"site\":\"listen\""),
        Site::Autobind => line.put(",\"site\":\"autobind\""),
    }
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
    line.put(process.json_unit_container());
    answer!(line, "kernel_socket", event.kernel_socket());
    local(line, event);
    match event.requested_port().map(Port::get) {
        None => line.put(",\"requested_port\":0"),
        Some(port) => {
            line.put(",\"requested_port\":");
            line.decimal(port.into());
        }
    }
    remote(line, event);
    search(line, seen);
    line.put(",\"range\":");
    line.range(event.range());
    line.put(",\"options\":");
    line.options(event.options());
    answer!(line, "time_wait_reused", event.time_wait_reused());
    socket(line, event);
}

fn release(line: &mut Line<'_>, clock: &mut Rfc3339, seen: &Observation<'_>, state: ReleaseState) {
    let event = seen.event;
    time(line, clock, seen);
    line.put(",\"state\":");
    line.word(state.name());
    line.put(",\"held_us\":");
    line.number(event.held_ns().map(|held| held / 1000));
    socket_kind(line, event);
    task(line, event);
    line.put(",");
    line.put(seen.process.json_comm());
    netns(line, event);
    local(line, event);
    remote(line, event);
    socket(line, event);
}

#[inline]
fn time(line: &mut Line<'_>, clock: &mut Rfc3339, seen: &Observation<'_>) {
    line.put_array(clock.format(seen.utc));
    line.put("\",\"mono_us\":");
    line.decimal(seen.event.mono().0 / 1000);
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
fn local(line: &mut Line<'_>, event: &Event) {
    line.put(",\"local_addr\":");
    line.addr(event.local_addr());
    line.put(",\"local_port\":");
    line.number(event.local_port().map(Port::get));
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
    line.put(",\"search_ns\":");
    line.number(event.search_ns());
    answer!(line, "search_exact", event.search_ns().map(|_| !event.search_upper_bound()));
    line.put(",\"candidates\":");
    line.number(search.candidates);
    answer!(line, "candidates_exact", search.candidates_exact);
    line.put(",\"collisions\":");
    line.number(search.collisions);
    answer!(line, "crossed_half", search.crossed_half);
}

#[inline]
fn socket(line: &mut Line<'_>, event: &Event) {
    match event.socket().map(SocketId::get) {
        Some(id) => {
            line.put(",\"socket\":");
            line.hex(id);
        }
        None => line.put(",\"socket\":null"),
    }
}
