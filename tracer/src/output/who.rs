//! What `who` tells, as a screen.

use std::net::{IpAddr, SocketAddr};

use super::{
    records::{CommandRecord, OccupancyRecord, OwnerRecord, SocketRecord, Who},
    report::grouped,
    screen::{headline, line, processes, put},
};

/// Sockets that the text tells one by one.
const MOST_SHOWN: usize = 8;

/// The screen.
#[must_use]
pub fn text(who: &Who, color: bool) -> String {
    let mut out = String::new();
    for (at, port) in who.ports.iter().enumerate() {
        if at != 0 {
            put(&mut out, "\n");
        }
        if port.places.is_empty() {
            let asked = match who.netns_asked {
                1 => "1 namespace".to_owned(),
                many => format!("{many} namespaces"),
            };
            let told = format!("{} is free: no socket has it, in {asked}", port.port);
            headline(&mut out, "OK", &told, "", color);
        }
        for place in &port.places {
            occupancy(&mut out, place, color);
        }
    }
    notes(&mut out, who);
    out
}

fn occupancy(out: &mut String, place: &OccupancyRecord, color: bool) {
    let verdict = &place.verdict;
    headline(out, &verdict.word, &verdict.reason, &format!("netns {}", place.label), color);
    for socket in place.sockets.iter().take(MOST_SHOWN) {
        line(out, "holder", &format!("{} {}", owner(socket), connection(socket)));
    }
    if let Some(more) = place.sockets.len().checked_sub(MOST_SHOWN).filter(|more| *more != 0) {
        line(out, "", &format!("… {} more (-o json has them)", grouped(more as u64)));
    }
    if place.accepted != 0 {
        let plural = if place.accepted == 1 { "connection shares" } else { "connections share" };
        line(out, "accepted", &format!("{} {plural} its port", grouped(place.accepted as u64)));
    }
    if let Some(why) = &place.why {
        line(out, "why", why);
    }
    for (at, one) in place.free.iter().enumerate() {
        command(out, if at == 0 { "free it" } else { "" }, one);
    }
    if place.sockets.iter().any(|socket| socket.has_descriptor) && !place.free.is_empty() {
        line(out, "", "restarting the holder instead can leave 60 s of TIME_WAIT that still block the bind");
    }
    if let Some(reserve) = &place.reserve {
        command(out, "for good", reserve);
    }
    if !place.wont_help.is_empty() {
        line(out, "won't help", &place.wont_help.join("; "));
    }
}

/// A command stays on one line, whatever its length, so that it can be copied.
fn command(out: &mut String, label: &str, command: &CommandRecord) {
    put(out, &format!("{label:<13}{}\n", super::escape(&command.run)));
    if let Some(risk) = &command.risk {
        line(out, "", &format!("risk: {risk}"));
    }
    if let Some(undo) = &command.undo {
        put(out, &format!("{:<13}undo: {}\n", "", super::escape(undo)));
    }
    if let Some(persist) = &command.persist {
        line(out, "", &format!("over a reboot: {persist}"));
    }
}

fn owner(socket: &SocketRecord) -> String {
    let Some(first) = socket.holders.first() else {
        let uid = socket.uid.map(|uid| format!(" of user {uid}")).unwrap_or_default();
        return if socket.has_descriptor {
            format!("a process{uid} that is not seen from here")
        } else {
            "no process, the kernel keeps it:".to_owned()
        };
    };
    let place = place(first);
    let shared = match socket.holders.len() {
        1 => String::new(),
        all => format!(" and {} more that share it", all - 1),
    };
    format!("{} (pid {}{place}){shared}", first.comm.as_deref().unwrap_or("?"), first.pid)
}

/// Where a process is: its container and its pod, or its unit.
pub(in crate::output) fn place(owner: &OwnerRecord) -> String {
    let container = owner.container.as_deref().map(|id| id.get(..12).unwrap_or(id));
    let place = container.or(owner.unit.as_deref()).map(|place| format!(", {place}"));
    let pod = owner.pod.as_deref().map(|pod| format!(", pod {pod}"));
    place.into_iter().chain(pod).collect()
}

fn connection(socket: &SocketRecord) -> String {
    let end = |addr: IpAddr, port: u16| SocketAddr::new(addr, port).to_string();
    let peer =
        socket.remote_addr.zip(socket.remote_port).map(|(addr, port)| format!(" > {}", end(addr, port)));
    let left = socket.time_left_ms.map(|left| format!(", {} s left", left.div_ceil(1_000)));
    let state = if socket.state == "ESTABLISHED" { "ESTAB" } else { &socket.state };
    format!(
        "{}{} {state}{}, since {}",
        end(socket.local_addr, socket.local_port),
        peer.unwrap_or_default(),
        left.unwrap_or_default(),
        socket.since.as_deref().unwrap_or("?"),
    )
}

/// What could not be seen.
fn notes(out: &mut String, who: &Who) {
    if let Some(first) = who.unanswered.first() {
        let more = match who.unanswered.len() {
            1 => String::new(),
            all => format!(", and {} questions more (-o json has them)", all - 1),
        };
        line(out, "not seen", &format!("{first}{more}"));
    }
    if who.unreadable_processes != 0 {
        let told = processes(who.unreadable_processes);
        line(out, "not seen", &told);
    }
    if who.truncated {
        line(out, "not seen", "there are more processes, namespaces or sockets than are looked at");
    }
    if who.bound_untold && who.ports.iter().any(|port| port.places.is_empty()) {
        line(out, "not seen", "TCP sockets that are bound and nothing else: this kernel does not tell them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::records::{PortRecord, VerdictRecord};

    fn holder(comm: &str) -> OwnerRecord {
        OwnerRecord {
            pid: 977,
            comm: Some(comm.into()),
            exe: None,
            unit: Some("otel.service".into()),
            container: None,
            pod: None,
        }
    }

    fn socket(comm: &str) -> SocketRecord {
        SocketRecord {
            state: "ESTABLISHED".into(),
            local_addr: "10.0.3.14".parse().unwrap(),
            local_port: 50_051,
            remote_addr: Some("10.0.8.4".parse().unwrap()),
            remote_port: Some(4317),
            time_left_ms: None,
            uid: Some(0),
            since: None,
            has_descriptor: true,
            holders: vec![holder(comm)],
        }
    }

    fn who(places: Vec<OccupancyRecord>) -> Who {
        Who {
            schema: 1,
            host: "h".into(),
            kernel: "6.1.0".into(),
            time: "2026-11-22T12:00:00Z".into(),
            ports: vec![PortRecord {
                port: 50_051,
                places,
                verdict: None,
                history: Vec::new(),
                refused: Vec::new(),
            }],
            netns_asked: 2,
            unanswered: Vec::new(),
            unreadable_processes: 0,
            truncated: false,
            bound_untold: true,
            recorded: None,
        }
    }

    fn conflict(comm: &str) -> OccupancyRecord {
        OccupancyRecord {
            netns: 1,
            label: "host".into(),
            proto: "tcp".into(),
            verdict: VerdictRecord {
                word: "CONFLICT".into(),
                reason: "50051/tcp is held by an outgoing connection; nobody listens".into(),
                finding: None,
            },
            sockets: vec![socket(comm)],
            accepted: 0,
            why: Some("50051 is inside 32768-60999 and not reserved".into()),
            free: vec![CommandRecord {
                netns: Some(1),
                run: "ss -K src 10.0.3.14:50051 dst 10.0.8.4:4317".into(),
                persist: None,
                undo: None,
                risk: Some("its owner sees the connection aborted".into()),
            }],
            reserve: None,
            wont_help: vec!["reserving alone (frees nothing now)".into()],
        }
    }

    #[test]
    fn a_conflict_is_told_with_its_holder_and_the_way_out() {
        let told = text(&who(vec![conflict("otel-agent")]), false);
        let expected = "\
CONFLICT  50051/tcp is held by an outgoing connection; nobody listens                               netns host
holder       otel-agent (pid 977, otel.service) 10.0.3.14:50051 > 10.0.8.4:4317 ESTAB, since ?
why          50051 is inside 32768-60999 and not reserved
free it      ss -K src 10.0.3.14:50051 dst 10.0.8.4:4317
             risk: its owner sees the connection aborted
             restarting the holder instead can leave 60 s of TIME_WAIT that still block the bind
won't help   reserving alone (frees nothing now)
";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_holder_in_a_pod_is_told_with_its_container_and_its_pod() {
        let mut owner = holder("app");
        owner.container = Some("0123456789abcdef".repeat(4));
        owner.pod = Some("3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a".into());
        assert_eq!(place(&owner), ", 0123456789ab, pod 3c2fa1f5-4f0f-4c43-9d0c-1f1f6f1e2b3a");
    }

    #[test]
    fn a_free_port_is_told_with_what_was_not_seen() {
        let expected = "\
OK  50051 is free: no socket has it, in 2 namespaces
not seen     TCP sockets that are bound and nothing else: this kernel does not tell them
";
        assert_eq!(text(&who(Vec::new()), false), expected);
    }

    #[test]
    fn a_hostile_name_stays_harmless_on_its_line() {
        let told = text(&who(vec![conflict("\x1b[2J\n<script>")]), false);
        assert!(told.contains("holder       \\x1b[2J\\x0a<script> (pid 977"), "{told}");
        assert!(!told.contains('\x1b'), "{told}");
    }

    #[test]
    fn a_holder_that_is_not_seen_is_no_holder_that_is_not_there() {
        let hidden = SocketRecord { holders: Vec::new(), uid: Some(33), ..socket("x") };
        let waiting = SocketRecord {
            holders: Vec::new(),
            has_descriptor: false,
            state: "TIME_WAIT".into(),
            time_left_ms: Some(41_200),
            ..socket("x")
        };
        assert_eq!(owner(&hidden), "a process of user 33 that is not seen from here");
        let told = format!("{} {}", owner(&waiting), connection(&waiting));
        assert!(told.starts_with("no process, the kernel keeps it: 10.0.3.14:50051 >"), "{told}");
        assert!(told.ends_with("TIME_WAIT, 42 s left, since ?"), "{told}");
    }
}
