//! Ports that somebody else has, and what only looks like exhaustion.

use std::num::NonZeroU32;

use super::{
    is_well_formed,
    ports::thousand,
    sample::{Scene, addr, connections, holding, port, refusal, socket},
    text,
};
use crate::{
    event::{Cause, Errno, Site},
    stock::{Socket, State},
};

/// A bind of port 50051 that failed; `sockets` are on the port.
fn lost(reserved: &str, sockets: Vec<Socket>) -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(32_768, 60_999, reserved) };
    scene.put(sockets);
    let mut refused = refusal(Site::Bind, Cause::InUse, Errno::EADDRINUSE, 14);
    refused.requested = Some(port(50_051));
    refused.laddr = Some(addr("0.0.0.0"));
    scene.refusals = vec![refused];
    scene
}

#[test]
fn ps005_frees_the_port_and_reserves_it_beside_what_is_reserved() {
    let thief = socket(State::Established, 50_051, Some(("10.0.8.4", 4_317)));
    let mut scene = lost("9100", vec![thief]);
    let mut otel = holding("otel-agent", 1, 1);
    otel.example = Some(thief);
    scene.refusals[0].holders = vec![otel];
    let finding = scene.only(5);
    is_well_formed(&finding);
    assert_eq!(finding.title, "50051/tcp is held by an outbound connection; nobody listens");
    let [kill, reserve] = finding.commands.as_slice() else { panic!("{:#?}", finding.commands) };
    assert_eq!(kill.run, "ss -tK src 10.0.3.14:50051 dst 10.0.8.4:4317");
    let risk = kill.risk.as_deref().unwrap();
    assert!(risk.contains("bound this port by name, it keeps it until it closes"), "{risk}");
    assert_eq!(reserve.run, "sysctl -w net.ipv4.ip_local_reserved_ports=\"9100,50051\"");
    assert_eq!(reserve.undo.as_deref(), Some("sysctl -w net.ipv4.ip_local_reserved_ports=9100"));
    let text = text(&finding);
    assert!(
        text.contains("holder       otel-agent (pid 977) 10.0.3.14:50051 > 10.0.8.4:4317 ESTAB"),
        "{text}"
    );
    assert!(text.contains("why          50051 is inside 32768-60999 and not reserved"), "{text}");
    assert!(scene.is_silent(20) && scene.is_silent(21));
}

#[test]
fn ps005_knows_a_time_wait_of_an_outbound_connection() {
    let scene = lost("", vec![socket(State::TimeWait, 50_051, Some(("10.0.8.4", 4_317)))]);
    let finding = scene.only(5);
    assert!(finding.commands[0].run.contains("ss -tK state time-wait 'sport = :50051'"));
    assert!(finding.advice[0].text.ends_with("or wait 40 s"), "{:?}", finding.advice);
}

#[test]
fn ps005_is_silent_where_somebody_listens_or_the_port_was_never_to_be_given() {
    assert!(lost("", vec![socket(State::Listen, 50_051, None)]).is_silent(5));
    let accepted = socket(State::Established, 50_051, Some(("10.0.8.4", 40_000)));
    assert!(lost("50051", vec![accepted]).is_silent(5));
    assert!(lost("", Vec::new()).is_silent(5));
}

#[test]
fn ps020_names_the_listener() {
    let scene = lost("", vec![socket(State::Listen, 50_051, None)]);
    let finding = scene.only(20);
    is_well_formed(&finding);
    assert_eq!(finding.title, "50051/tcp is listened on already");
    let accepted = lost("", vec![socket(State::Established, 50_051, Some(("10.0.8.4", 40_000)))]);
    assert!(accepted.is_silent(5) && accepted.is_silent(21));
    assert_eq!(accepted.only(20).title, "50051/tcp is held by connections, and nobody listens");
    assert!(lost("", Vec::new()).is_silent(20));
}

#[test]
fn ps021_says_how_long_its_own_time_waits_last() {
    let waits = (0..3).map(|place| {
        let mut wait = socket(State::TimeWait, 50_051, Some(("10.0.8.4", 40_000 + place)));
        wait.time_left_ms = NonZeroU32::new(10_500 + u32::from(place) * 1_000);
        wait
    });
    let scene = lost("", waits.collect());
    let finding = scene.only(21);
    is_well_formed(&finding);
    assert_eq!(finding.title, "50051/tcp is barred by 3 TIME_WAITs of its own past, for 13 s more");
    assert!(scene.is_silent(5) && lost("", Vec::new()).is_silent(21));
}

#[test]
fn ps019_tells_the_kinds_apart() {
    let cases = [
        (Site::Bind, Cause::NoAddress, "10.9.9.9", None, "address_not_here"),
        (Site::Bind, Cause::NoAddress, "::1", None, "no_ipv6"),
        (Site::Connect, Cause::TupleBusy, "10.0.3.14", Some("10.0.9.2"), "tuple_busy"),
        (Site::Connect, Cause::Exhausted, "::", Some("fd00::9"), "no_source_address"),
        (Site::Connect, Cause::Exhausted, "::", Some("::1"), "no_ipv6"),
    ];
    for (site, cause, laddr, raddr, kind) in cases {
        let mut scene = Scene::traced();
        scene.put(connections(State::Established, 40_000, 3, 1));
        let mut refused = refusal(site, cause, Errno::EADDRNOTAVAIL, 12);
        refused.laddr = Some(addr(laddr));
        refused.raddr = raddr.map(addr);
        scene.refusals = vec![refused];
        let finding = scene.only(19);
        is_well_formed(&finding);
        assert_eq!(finding.evidence["kind"], kind);
        assert!(scene.is_silent(1), "{kind}");
    }
}

#[test]
fn ps019_is_silent_for_exhaustion_and_for_other_errnos() {
    assert!(thousand().is_silent(19));
    let mut scene = Scene::traced();
    scene.refusals = vec![refusal(Site::Bind, Cause::Denied, Errno::EACCES, 5)];
    assert!(scene.is_silent(19));
}
