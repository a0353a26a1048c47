//! The words, and that nothing panics.

use proptest::{collection::vec, prelude::*};

use super::{
    is_well_formed,
    records::{connect, release},
    sample::{Scene, connections, refusal, socket},
};
use crate::{
    event::{Cause, Errno, Site},
    findings::{Id, Word},
    stock::State,
};

fn word(scene: &Scene) -> (Word, String, Option<Id>) {
    let verdict = scene.judge().verdict;
    (verdict.word, verdict.reason, verdict.finding)
}

fn exhausted() -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.put(connections(State::TimeWait, 40_000, 1_000, 1));
    scene.refusals = vec![refusal(Site::Connect, Cause::Exhausted, Errno::EADDRNOTAVAIL, 100)];
    scene
}

#[test]
fn a_quiet_host_is_ok_and_says_how_far_it_is_from_a_limit() {
    let mut scene = Scene::new(32_768, 60_999, "");
    scene.put(connections(State::Established, 40_000, 311, 1));
    assert_eq!(word(&scene), (Word::Ok, "no pool above 2 %, nothing near a limit".into(), None));
    scene.put(connections(State::Established, 41_000, 16_000, 1));
    assert!(word(&scene).1.contains("10.0.9.2:6379 is at 57.8 %"), "{}", word(&scene).1);
}

#[test]
fn a_quiet_flow_is_ok_and_says_what_was_given() {
    let mut scene = Scene::traced();
    scene.feed((0..1_204).map(|ms| connect(ms, 40_000)));
    assert_eq!(word(&scene), (Word::Ok, "1,204 ports given out in 30.0 s, none refused".into(), None));
}

#[test]
fn refusals_are_exhaustion_and_so_is_a_full_pool() {
    let scene = exhausted();
    let (found, reason, finding) = word(&scene);
    assert_eq!((found, finding), (Word::Exhausted, Some(Id(1))));
    assert!(reason.contains("100 of 400 connects refused"), "{reason}");
    assert_eq!(word(&Scene { traced: false, refusals: Vec::new(), ..exhausted() }).0, Word::Exhausted);
}

#[test]
fn a_lost_port_is_a_conflict() {
    let mut scene = Scene::traced();
    scene.put([socket(State::Listen, 8_080, None)]);
    let mut refused = refusal(Site::Bind, Cause::InUse, Errno::EADDRINUSE, 2);
    refused.requested = crate::event::Port::new(8_080);
    refused.laddr = Some(super::sample::addr("0.0.0.0"));
    scene.refusals = vec![refused];
    assert_eq!(word(&scene), (Word::Conflict, "8080/tcp is listened on already".into(), Some(Id(20))));
}

#[test]
fn an_address_that_is_not_here_is_not_ports() {
    let mut scene = Scene::traced();
    scene.refusals = vec![refusal(Site::Bind, Cause::NoAddress, Errno::EADDRNOTAVAIL, 12)];
    let (found, _, finding) = word(&scene);
    assert_eq!((found, finding), (Word::NotPorts, Some(Id(19))));
}

#[test]
fn a_full_half_is_a_risk() {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.put(connections(State::Established, 40_000, 480, 2));
    // As many as were given come back: nothing grows.
    scene.feed((0..600).flat_map(|place| {
        let one = connect(place * 50, 40_001);
        [one, release(place * 50 + 10, 7, &one)]
    }));
    let (found, _, finding) = word(&scene);
    assert_eq!((found, finding), (Word::AtRisk, Some(Id(2))));
}

#[test]
fn without_stock_and_flow_we_are_blind() {
    let mut scene = Scene::new(32_768, 60_999, "");
    scene.space().sockets = None;
    assert_eq!(word(&scene).0, Word::Blind);
    scene.stock.spaces.clear();
    assert_eq!(word(&scene).0, Word::Blind);
    scene.traced = true;
    assert_eq!(word(&scene).0, Word::Ok);
}

#[test]
fn a_load_is_port_bound_from_its_first_refusal() {
    let (found, reason, finding) = word(&Scene { is_load: true, ..exhausted() });
    assert_eq!((found, finding), (Word::PortBound, Some(Id(1))));
    assert!(reason.starts_with("from t=+6 s: 10.0.3.14 > 10.0.9.2:6379"), "{reason}");
}

#[test]
fn a_load_is_not_port_bound_by_the_full_pool_of_somebody_else() {
    let (found, reason, _) = word(&Scene { is_load: true, refusals: Vec::new(), ..exhausted() });
    assert_eq!(found, Word::NotPortBound, "{reason}");
}

#[test]
fn a_load_that_spends_its_cpu_past_the_cliff_is_port_bound() {
    let mut scene = Scene { is_load: true, cpu_ns: Some(10_000_000), ..Scene::traced() };
    scene.feed((0..1_000).map(|ms| connect(ms, 40_001)));
    let (found, reason, _) = word(&scene);
    assert_eq!(found, Word::PortBound, "{reason}");
    scene.cpu_ns = Some(1_000_000_000);
    assert_eq!(word(&scene).0, Word::NotPortBound);
    scene.cpu_ns = None;
    assert_eq!(word(&scene).0, Word::NotPortBound);
}

#[test]
fn a_load_that_ends_before_its_ports_come_back_tells_too_little() {
    let mut scene = Scene { is_load: true, seconds: 8, ..Scene::traced() };
    scene.put(connections(State::TimeWait, 40_000, 4_888, 1));
    let given = |place: u16| connect(u64::from(place) * 8_000 / 4_888, 40_000 + place);
    scene.feed((0..4_888).map(given));
    let (found, reason, _) = word(&scene);
    assert_eq!(found, Word::TooShort, "{reason}");
    assert_eq!(reason, "8 s at 611/s; this pool would fill at t=+46 s. Run >= 110 s or use --rate-check");
    scene.seconds = 61;
    assert_eq!(word(&scene).0, Word::NotPortBound);
}

#[test]
fn a_load_whose_ports_come_back_is_not_port_bound() {
    let mut scene = Scene { is_load: true, seconds: 8, ..Scene::traced() };
    scene.put(connections(State::Established, 40_000, 197, 1));
    scene.feed((0..4_888_u16).map(|place| connect(u64::from(place), 40_000 + place % 197)));
    let (found, reason, _) = word(&scene);
    assert_eq!(found, Word::NotPortBound);
    let told = "4,888 allocations, none refused; the run held at most 197 of 28,232 ports (0.7 %)";
    assert_eq!(reason, told);
    // What others hold, to another destination, is none of its ports.
    let other = (0..9_000).map(|place| socket(State::Established, 42_000 + place, Some(("10.9.9.9", 80))));
    scene.put(other.collect::<Vec<_>>());
    assert_eq!(word(&scene).1, told);
}

#[test]
fn settings_alone_are_named_in_check_and_not_in_a_flow() {
    let mut scene = Scene::new(32_768, 60_999, "");
    scene.put([socket(State::Listen, 50_051, None)]);
    assert_eq!(scene.judge().findings.iter().map(|one| one.id).collect::<Vec<_>>(), [Id(6)]);
    scene.traced = true;
    assert!(scene.judge().findings.is_empty());
}

fn state() -> impl Strategy<Value = State> {
    (0_usize..State::ALL.len()).prop_map(|place| State::ALL[place])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_case_makes_it_panic(
        range in (any::<u16>(), any::<u16>()),
        reserve_all in any::<bool>(),
        sockets in vec((state(), any::<u16>(), any::<bool>()), 0..30),
        refused in vec((0_usize..4, 0_usize..6, any::<u8>(), any::<u16>(), any::<u16>()), 0..5),
        connects in vec((0_u64..100_000, any::<u16>()), 0..50),
        flags in (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        seconds in 0_u64..200,
        start in proptest::option::of(any::<u32>()),
    ) {
        let (low, high) = (range.0.min(range.1), range.0.max(range.1));
        let reserved = if reserve_all { "0-65535" } else { "" };
        let mut scene = Scene { seconds, is_load: flags.0, traced: flags.1, ..Scene::new(low, high, reserved) };
        scene.settings().ip_unprivileged_port_start = start;
        if flags.2 {
            scene.earlier(seconds);
        }
        scene.put(sockets.into_iter().map(|(state, local, far)| {
            socket(state, local, far.then_some(("10.0.9.2", 6_379)))
        }));
        scene.refusals = refused.into_iter().map(|(site, cause, errno, count, port)| {
            let errno = Errno::new(errno).unwrap_or(Errno::EADDRNOTAVAIL);
            let mut one = refusal(Site::ALL[site], Cause::ALL[cause], errno, u64::from(count));
            one.requested = crate::event::Port::new(port);
            one.laddr = if count % 2 == 0 { None } else { one.laddr };
            one
        }).collect();
        scene.feed(connects.into_iter().map(|(ms, port)| connect(ms, port)));
        if flags.3 {
            scene.own = None;
        }
        let judged = scene.judge();
        judged.findings.iter().for_each(is_well_formed);
        prop_assert!(!judged.verdict.reason.is_empty());
        prop_assert!(judged.findings.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    }
}
