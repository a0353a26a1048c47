//! Lints, leaks, and limits of the kernel.

use super::{
    is_well_formed,
    records::{connect, release},
    sample::{START, Scene, connections, holding, netns, port, program, socket},
    text,
};
use crate::{
    event::{MonoNs, Pid},
    findings::{Descriptors, Listening, Severity},
    stock::{State, TimeWaitReuse},
};

fn host() -> Scene {
    Scene::new(32_768, 60_999, "")
}

#[test]
fn ps006_names_listeners_in_the_range_and_reserves_them() {
    let mut scene = Scene::new(32_768, 60_999, "9100");
    scene.put([socket(State::Listen, 50_051, None), socket(State::Listen, 8_080, None)]);
    let process = program("grpc-server");
    scene.listeners = vec![Listening { netns: netns(), port: port(50_051), pid: Pid(20_411), process }];
    let finding = scene.only(6);
    is_well_formed(&finding);
    assert_eq!(
        finding.title,
        "grpc-server listens on 50051, inside the range, not reserved: can be lost at a restart"
    );
    assert_eq!(finding.commands[0].run, "sysctl -w net.ipv4.ip_local_reserved_ports=\"9100,50051\"");
    let mut healthy = Scene::new(32_768, 60_999, "50051");
    healthy.put([socket(State::Listen, 50_051, None), socket(State::Listen, 8_080, None)]);
    assert!(healthy.is_silent(6));
}

#[test]
fn ps008_needs_an_overlap_and_a_cluster() {
    let mut scene = Scene::new(15_000, 60_999, "");
    assert!(scene.is_silent(8));
    scene.agents = vec!["kubelet"];
    let finding = scene.only(8);
    is_well_formed(&finding);
    assert_eq!(finding.evidence["overlap"], 2_768);
    assert_eq!(finding.commands[0].run, "sysctl -w net.ipv4.ip_local_port_range=\"32768 60999\"");
    let mut healthy = host();
    healthy.agents = vec!["kubelet"];
    assert!(healthy.is_silent(8));
}

#[test]
fn ps012_needs_time_waits_that_bar() {
    let mut scene = Scene::new(40_000, 40_999, "");
    scene.settings().tcp_tw_reuse = Some(TimeWaitReuse::Everywhere);
    scene.settings().tcp_timestamps = Some(0);
    scene.put(connections(State::TimeWait, 40_000, 249, 1));
    assert!(scene.is_silent(12));
    scene.put(connections(State::TimeWait, 40_300, 10, 1));
    let finding = scene.only(12);
    is_well_formed(&finding);
    assert_eq!(finding.commands[0].run, "sysctl -w net.ipv4.tcp_timestamps=1");
    scene.settings().tcp_timestamps = Some(1);
    assert!(scene.is_silent(12));
}

#[test]
fn ps013_judges_the_width_and_the_ends() {
    let narrow = Scene::new(40_000, 40_999, "");
    let finding = narrow.only(13);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Warning);
    assert!(text(&finding).contains("pays back    16/s per destination"), "{}", text(&finding));
    assert!(text(&finding).contains("(1024) is refused: EINVAL"));
    assert_eq!(Scene::new(32_768, 60_999, "40000").only(13).severity, Severity::Info);
    assert!(Scene::new(1_024, 65_534, "").only(13).title.contains("even"));
    assert!(host().is_silent(13));
}

#[test]
fn ps014_names_the_ports_behind_a_hole() {
    let mut scene = Scene { traced: true, ..Scene::new(32_768, 60_999, "40000-40099") };
    let quiet = (0..200_u16).map(|place| connect(u64::from(place), 33_000 + place));
    let busy = (0..30_u64).map(|time| connect(1_000 + time, 40_100));
    scene.feed(quiet.clone().chain(busy));
    let finding = scene.only(14);
    is_well_formed(&finding);
    assert_eq!(finding.evidence["hole"], 100);
    let mut healthy = Scene { traced: true, ..Scene::new(32_768, 60_999, "40000-40099") };
    healthy.feed(quiet.chain((0..3_u64).map(|time| connect(1_000 + time, 40_100))));
    assert!(healthy.is_silent(14));
}

#[test]
fn ps015_tells_by_state_what_is_not_given_back() {
    let remedies = [
        (State::CloseWait, "must close its socket when the peer has closed"),
        (State::SynSent, "timeout"),
        (State::FinWait2, "tcp_fin_timeout"),
    ];
    for (state, remedy) in remedies {
        let mut scene = Scene::traced();
        scene.put(connections(state, 40_000, 20, 1));
        scene.earlier(90);
        scene.put(connections(state, 42_000, 100, 1));
        let finding = scene.only(15);
        is_well_formed(&finding);
        assert!(finding.title.contains("grew from 20 to 120 in 90.0 s"), "{}", finding.title);
        assert!(text(&finding).contains(remedy), "{}", text(&finding));
    }
}

#[test]
fn ps015_is_silent_for_time_wait_for_chance_and_for_a_short_while() {
    let mut waits = Scene::traced();
    waits.earlier(90);
    waits.put(connections(State::TimeWait, 40_000, 500, 1));
    assert!(waits.is_silent(15));
    let mut chance = Scene::traced();
    chance.put(connections(State::CloseWait, 40_000, 100, 1));
    chance.earlier(90);
    chance.put(connections(State::CloseWait, 42_000, 15, 1));
    assert!(chance.is_silent(15));
    let mut short = Scene::traced();
    short.earlier(30);
    short.put(connections(State::CloseWait, 40_000, 500, 1));
    assert!(short.is_silent(15));
}

#[test]
fn ps015_takes_open_connections_for_a_leak_only_while_they_grow() {
    let leak = |until: u64| {
        let mut scene = Scene { seconds: 120, ..Scene::traced() };
        scene.earlier(120);
        scene.put(connections(State::Established, 40_000, 600, 1));
        scene.feed(
            (0..until).map(|second| connect(second * 1_000 + 500, 40_000 + u16::try_from(second).unwrap())),
        );
        scene
    };
    assert_eq!(leak(119).find(15).len(), 1);
    assert!(leak(40).is_silent(15));
}

#[test]
fn ps016_judges_the_table_of_tracked_connections() {
    let mut scene = host();
    assert!(scene.is_silent(16));
    scene.counters().conntrack_count = Some(240_000);
    let near = scene.only(16);
    is_well_formed(&near);
    assert_eq!(near.severity, Severity::Warning);
    assert_eq!(near.commands[0].run, "sysctl -w net.netfilter.nf_conntrack_max=524288");
    scene.earlier(30);
    scene.counters().conntrack_drop = Some(4);
    let drops = scene.only(16);
    assert_eq!((drops.severity, &drops.evidence["drop"]), (Severity::Critical, &4.into()));
    scene.counters().conntrack_count = None;
    scene.counters().conntrack_drop = None;
    assert!(scene.is_silent(16));
}

#[test]
fn ps017_weighs_what_was_lost() {
    let mut scene = Scene::traced();
    scene.feed((0..1_000).map(|ms| connect(ms, 40_000)));
    assert!(scene.is_silent(17));
    scene.lost = 5;
    assert_eq!(scene.only(17).severity, Severity::Info);
    scene.lost = 10;
    let finding = scene.only(17);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Warning);
}

#[test]
fn ps018_names_a_holder_near_its_limit() {
    let mut scene = host();
    scene.put(connections(State::Established, 40_000, 3, 1));
    let mut near = holding("php-fpm", 48, 3);
    near.descriptors = Some(Descriptors { open: 949, limit: 1_000 });
    scene.held_by(vec![near.clone()]);
    assert!(scene.is_silent(18));
    near.descriptors = Some(Descriptors { open: 950, limit: 1_000 });
    scene.held_by(vec![near]);
    let finding = scene.only(18);
    is_well_formed(&finding);
    assert_eq!(finding.title, "php-fpm (pid 977) has 95.0 % of its open files");
}

#[test]
fn ps022_needs_a_rise() {
    let mut scene = host();
    scene.counters().time_wait_overflow = Some(9);
    assert!(scene.is_silent(22));
    scene.earlier(30);
    assert!(scene.is_silent(22));
    scene.counters().time_wait_overflow = Some(12);
    let finding = scene.only(22);
    is_well_formed(&finding);
    assert_eq!(finding.evidence["overflows"], 3);
    assert_eq!(finding.commands[0].undo.as_deref(), Some("sysctl -w net.ipv4.tcp_max_tw_buckets=131072"));
}

#[test]
fn ps009_warns_only_where_something_on_the_way_may_drop() {
    let mut scene = Scene { seconds: 100, ..Scene::traced() };
    let pairs = (0..90_u64).flat_map(|second| {
        let one = connect(second * 1_000, 40_000);
        [one, release(second * 1_000 + 500, 7, &one)]
    });
    scene.feed(pairs);
    let finding = scene.only(9);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Info);
    assert_eq!(finding.title, "100.0 % reused a 4-tuple closed < 60 s ago");
    scene.earlier(100);
    scene.counters().syn_retrans = Some(11);
    assert_eq!(scene.only(9).severity, Severity::Warning);
    let mut healthy = Scene { seconds: 100, ..Scene::traced() };
    healthy.feed((0..90_u64).map(|second| connect(second * 1_000, 40_000 + u16::try_from(second).unwrap())));
    assert!(healthy.is_silent(9));
    assert_eq!(scene.stock.began, MonoNs(START.0 + 100_000_000_000));
}
