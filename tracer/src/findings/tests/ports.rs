//! Exhaustion, and bind before connect.

use super::{
    is_well_formed,
    records::{bound_connect, connect},
    sample::{Scene, US, addr, connections, holding, refusal, socket},
    text,
};
use crate::{
    event::{Cause, Errno, NetnsId, Pid, Protocol, Site},
    findings::{Id, Severity, Worst},
    stock::{PoolKey, State},
};

/// A namespace of 1,000 ports, all of them out to one destination, and a listener below the range.
pub(super) fn thousand() -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.put(connections(State::TimeWait, 40_000, 990, 1));
    scene.put(connections(State::Established, 40_990, 10, 1));
    scene.put([socket(State::Listen, 15_672, None)]);
    scene.held_by(vec![holding("php-fpm", 48, 970), holding("curl", 1_904, 30)]);
    scene.refusals = vec![refusal(Site::Connect, Cause::Exhausted, Errno::EADDRNOTAVAIL, 458)];
    scene
}

#[test]
fn ps001_says_who_holds_who_is_refused_why_and_what_to_do() {
    let finding = thousand().only(1);
    is_well_formed(&finding);
    assert_eq!(finding.title, "10.0.3.14 > 10.0.9.2:6379: 458 of 1,832 connects refused (EADDRNOTAVAIL)");
    let expected = "\
held by      1,000 of 1,000: 990 TIME_WAIT + 10 ESTAB; php-fpm x48 97.0 %, curl x1,904 3.0 %
refused to   php-fpm x48 413, curl 45
why          61/s asked, we close first, each port out for 60 s: this pool pays back 16/s
why          the range 40000-40999 has 1,000 ports, the default one 28,232
do 1         keep connections open (pool, keep-alive) in php-fpm
do 2         more 4-tuples: another source address, or more addresses or ports of the destination
do 3         sysctl -w net.ipv4.ip_local_port_range=\"15000 60999\"   45,999 ports, 766/s; reserve 15672 first
undo         =\"40000 40999\"
risk         a service that starts later may find its port given out
do 4         sysctl -w net.ipv4.tcp_tw_reuse=1   undo: =2
risk         NAT or a firewall may drop reused flows; the peer needs timestamps, too
won't help   tcp_fin_timeout, ulimit -n, tcp_tw_recycle (removed from Linux), lower tcp_max_tw_buckets
             SO_LINGER 0 (unsent data is lost)";
    assert_eq!(text(&finding), expected);
    let [reserve, widen, reuse] = finding.commands.as_slice() else { panic!("{:#?}", finding.commands) };
    assert_eq!(reserve.run, "sysctl -w net.ipv4.ip_local_reserved_ports=15672");
    assert_eq!(reserve.undo.as_deref(), Some("sysctl -w net.ipv4.ip_local_reserved_ports=\"\""));
    assert_eq!(widen.undo.as_deref(), Some("sysctl -w net.ipv4.ip_local_port_range=\"40000 40999\""));
    assert_eq!(
        widen.persist.as_deref(),
        Some("/etc/sysctl.d/60-ports.conf: net.ipv4.ip_local_port_range = 15000 60999")
    );
    assert_eq!(reuse.undo.as_deref(), Some("sysctl -w net.ipv4.tcp_tw_reuse=2"));
    assert_eq!(finding.evidence["refused"], 458);
    assert_eq!(finding.evidence["pays_back_per_s"], 1_000.0 / 60.0);
}

#[test]
fn ps001_says_that_sockets_which_are_only_bound_are_not_listed() {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_009, "") };
    scene.put([]);
    scene.refusals = vec![refusal(Site::Bind, Cause::Exhausted, Errno::EADDRINUSE, 20)];
    assert!(!text(&scene.only(1)).contains("6.8"));
    scene.space().sockets.as_mut().unwrap().bound_untold = true;
    let finding = scene.only(1);
    is_well_formed(&finding);
    let said = text(&finding);
    assert!(
        said.starts_with("held by      others were gone by the end, or bound before it began: Linux"),
        "{said}"
    );
    // The flow knows of all of them.
    let mut bound: Vec<_> = (40_000..40_010).map(|port| socket(State::Bound, port, None)).collect();
    for socket in &mut bound {
        socket.local_addr = addr(US);
    }
    let listed = scene.space().sockets.clone();
    scene.put(bound);
    let pool = scene.pools[0].pools.bind.iter().find(|pool| pool.key.laddr() == addr(US)).unwrap().clone();
    scene.space().sockets = listed;
    scene.put([]);
    let holders = vec![holding("binder", 1, 10)];
    scene.pools[0].worst = vec![Worst { pool, holders, at: scene.refusals[0].last, unlisted: 10 }];
    let finding = scene.only(1);
    is_well_formed(&finding);
    let said = text(&finding);
    let expected = "\
held by      10 of 10: 10 BOUND; binder 100.0 % (at t=+29 s)
             10 of them as bind gave them here: Linux before 6.8 lists no sockets that are only bound
";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!(finding.evidence["barred_unlisted"], 10);
}

#[test]
fn ps001_is_silent_while_ports_are_free_and_for_other_causes() {
    let mut scene = Scene::traced();
    scene.put(connections(State::Established, 40_000, 311, 1));
    scene.refusals = vec![
        refusal(Site::Bind, Cause::NoAddress, Errno::EADDRNOTAVAIL, 3),
        refusal(Site::Connect, Cause::TupleBusy, Errno::EADDRNOTAVAIL, 3),
    ];
    assert!(scene.is_silent(1));
}

#[test]
fn a_full_pool_is_said_though_nobody_was_refused() {
    let mut scene = thousand();
    scene.traced = false;
    let finding = scene.only(1);
    is_well_formed(&finding);
    assert!(finding.title.ends_with("all 1,000 ports are out, the next connect fails"), "{}", finding.title);
}

#[test]
fn another_namespace_is_entered_and_a_pod_is_told_where_to_persist() {
    let mut scene = thousand();
    scene.own = NetnsId::new(7);
    scene.space().namespace.name = None;
    let command = scene.only(1).commands.remove(2);
    assert_eq!(command.run, "nsenter -t 1 -n sysctl -w net.ipv4.tcp_tw_reuse=1");
    assert!(command.persist.unwrap().contains("not a safe sysctl"));
    scene.space().namespace.pid = None;
    scene.space().namespace.path = "/run/netns/it's".into();
    let command = scene.only(1).commands.remove(2);
    assert_eq!(command.run, r#"nsenter --net='/run/netns/it'"'"'s' sysctl -w net.ipv4.tcp_tw_reuse=1"#);
}

#[test]
fn a_namespace_whose_name_cannot_be_shown_is_entered_by_another_way_or_by_none() {
    let mut scene = thousand();
    scene.own = NetnsId::new(7);
    for name in ["a\nb", "\u{1b}[31m", "a\\b", "\u{202e}x", "\u{fffd}"] {
        let namespace = &mut scene.space().namespace;
        namespace.name = Some(name.to_owned());
        namespace.pid = Some(Pid(9));
        assert!(scene.only(1).commands[2].run.starts_with("nsenter -t 9 -n sysctl"), "{name:?}");
        let namespace = &mut scene.space().namespace;
        namespace.pid = None;
        namespace.path = format!("/run/netns/{name}").into();
        let id = namespace.id.get();
        let run = scene.only(1).commands.remove(2).run;
        assert!(run.starts_with(&format!("nsenter --net='net:[{id}]' sysctl")), "{run:?}");
    }
}

#[test]
fn tcp_tw_reuse_is_not_advised_without_timestamps() {
    let mut scene = thousand();
    scene.settings().tcp_timestamps = Some(0);
    assert!(!text(&scene.only(1)).contains("tcp_tw_reuse=1"));
    scene.settings().tcp_timestamps = None;
    assert!(!text(&scene.only(1)).contains("tcp_tw_reuse=1"));
}

/// envoy has bound a quarter of the range before it connected.
fn bound(sockets: u16) -> Scene {
    let mut scene = Scene::traced();
    scene.feed((0..sockets).flat_map(|place| bound_connect(u64::from(place), 32_769 + place)));
    let to = |place: u16| if place.is_multiple_of(2) { ("10.0.9.2", 443) } else { ("10.0.9.3", 443) };
    scene.put((0..sockets).map(|place| socket(State::Established, 32_769 + place, Some(to(place)))));
    scene
}

#[test]
fn ps004_says_what_sharing_would_gain() {
    let finding = bound(4_000).only(4);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Warning);
    let text = text(&finding);
    assert!(
        text.contains("held by      php-fpm: 4,000 of 28,232, each bound alone, to 2 destinations"),
        "{text}"
    );
    assert!(text.contains("the fullest destination would be at 7.1 %"), "{text}");
    assert_eq!(bound(20).only(4).severity, Severity::Info);
}

#[test]
fn ps004_is_silent_below_ten() {
    assert!(bound(9).is_silent(4));
    assert!(Scene::traced().is_silent(4));
}

#[test]
fn ps004_explains_the_exhaustion_of_its_pool() {
    let mut scene = bound(4_000);
    scene.refusals = vec![
        refusal(Site::Bind, Cause::Exhausted, Errno::EADDRINUSE, 1_377),
        refusal(Site::Connect, Cause::Exhausted, Errno::EADDRNOTAVAIL, 52),
    ];
    let judged = scene.judge();
    let root = &judged.findings[0];
    assert_eq!((root.id, root.severity), (Id(4), Severity::Critical));
    assert!(root.takes_in.contains(&Id(1)));
    let title = "10.0.3.14: 1,377 of 5,508 bind(port 0) refused (EADDRINUSE), 52 connects too";
    assert_eq!(root.title, title);
    assert!(judged.findings.iter().all(|one| one.id != Id(1)));
    let labels: Vec<&str> = root.lines.iter().map(|line| line.label).take(3).collect();
    assert_eq!(labels, ["held by", "refused to", "also"]);
}

#[test]
fn a_refused_bind_names_the_holders_of_the_address_and_not_the_victims() {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_099, "") };
    scene.put(connections(State::Established, 40_000, 100, 1));
    let bind = scene.pools[0]
        .pools
        .bind
        .iter()
        .position(|pool| pool.key == PoolKey::Bind { proto: Protocol::Tcp, laddr: addr("10.0.3.14") });
    let place = scene.pools[0].pools.connect.len() + bind.unwrap();
    scene.pools[0].holders = vec![Vec::new(); place];
    scene.pools[0].holders.push(vec![holding("envoy", 1, 100)]);
    scene.refusals = vec![refusal(Site::Bind, Cause::Exhausted, Errno::EADDRINUSE, 10)];
    let text = text(&scene.only(1));
    assert!(text.contains("held by      100 of 100: 100 ESTAB; envoy 100.0 %"), "{text}");
    assert!(text.contains("refused to   php-fpm x48 9, curl 1"), "{text}");
    assert!(!text.contains("tcp_tw_reuse=1"), "{text}");
}

#[test]
fn a_finding_about_an_unknown_namespace_gives_no_command() {
    let mut scene = thousand();
    scene.refusals[0].netns = NetnsId::new(5);
    let found = scene.find(1);
    assert!(found.iter().any(|one| one.evidence["netns"] == 5 && one.commands.is_empty()), "{found:#?}");
}

#[test]
fn refusals_of_which_only_the_count_is_known_are_said_all_the_same() {
    let mut scene = Scene::traced();
    scene.feed([connect(1, 0), connect(2, 40_000)]);
    let finding = scene.only(1);
    is_well_formed(&finding);
    assert_eq!(finding.title, "1 choices of a port failed for want of one");
}

#[test]
fn the_next_fullest_destination_says_whether_others_are_hit() {
    let mut scene = thousand();
    scene.put([socket(State::Established, 40_005, Some(("10.0.9.9", 443)))]);
    scene.held_by(vec![holding("php-fpm", 48, 1_000)]);
    let text = text(&scene.only(1));
    assert!(text.contains("; other destinations fine (next fullest 0.1 %)"), "{text}");
}

#[test]
fn a_wider_range_of_a_cluster_node_keeps_off_the_node_ports() {
    let mut scene = thousand();
    scene.agents = vec!["kubelet"];
    let finding = scene.only(1);
    assert!(
        text(&finding).contains("43,231 ports, 720/s; reserve 15672, 30000-32767 first"),
        "{}",
        text(&finding)
    );
    assert_eq!(finding.commands[0].run, "sysctl -w net.ipv4.ip_local_reserved_ports=\"15672,30000-32767\"");
}
