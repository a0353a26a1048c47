//! Searches and forecasts.

use super::{
    is_well_formed,
    records::{connect, release},
    sample::{Scene, connections},
    text,
};
use crate::{
    findings::{Id, Severity},
    stock::State,
};
use tracer_ebpf::abi::Record;

/// 1,000 ports, `barred` even ones out to redis, and a connect every 10 ms that takes an odd one.
fn cliff(barred: u16) -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.put(connections(State::Established, 40_000, barred, 2));
    scene.feed((0..2_990_u16).map(|place| searched(u64::from(place) * 10, 40_001 + place % 400 * 2)));
    scene
}

fn searched(ms: u64, port: u16) -> Record {
    Record { range_low: 40_000, range_high: 40_999, search_ns: 900_000, ..connect(ms, port) }
}

#[test]
fn ps002_shows_both_halves() {
    let finding = cliff(460).only(2);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Warning);
    let text = text(&finding);
    assert!(text.contains("halves       even (first) 460 of 500, odd 0 of 500"), "{text}");
    assert!(text.contains("100.0 % of them scanned the first half in vain"), "{text}");
    assert!(text.contains("IP_LOCAL_PORT_RANGE"), "{text}");
    assert!(cliff(500).only(2).title.contains("is full"));
}

#[test]
fn ps002_takes_the_word_of_the_searches_where_bound_sockets_are_not_listed() {
    let mut scene = cliff(2);
    assert!(scene.is_silent(2));
    scene.space().sockets.as_mut().unwrap().bound_untold = true;
    let finding = scene.only(2);
    is_well_formed(&finding);
    let half = serde_json::json!({"parity": "even", "of": 500, "barred": 500});
    assert_eq!(
        (&finding.evidence["first_half"], &finding.evidence["listed_in_first_half"]),
        (&half, &2.into())
    );
    let text = text(&finding);
    assert!(text.contains("halves       even (first) 500 of 500, odd 0 of 500"), "{text}");
    assert!(text.contains("498 of the first as the searches found them: Linux before 6.8"), "{text}");
    // Searches that did not cross prove nothing.
    let mut near = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    near.put(connections(State::Established, 40_000, 2, 2));
    near.space().sockets.as_mut().unwrap().bound_untold = true;
    near.feed((0..2_990_u16).map(|place| searched(u64::from(place) * 10, 40_000 + place % 400 * 2)));
    assert!(near.is_silent(2));
}

#[test]
fn ps002_is_silent_before_the_cliff_and_where_nobody_asks() {
    assert!(cliff(449).is_silent(2));
    let mut idle = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    idle.put(connections(State::Established, 40_000, 500, 2));
    idle.feed((0..30).map(|second| searched(second * 1_000, 40_001)));
    assert!(idle.is_silent(2));
}

#[test]
fn ps011_weighs_cpu_time() {
    let finding = cliff(500).only(11);
    is_well_formed(&finding);
    // 2,990 searches of 0.9 ms in 30 s.
    assert_eq!(
        (finding.severity, finding.title.as_str()),
        (Severity::Warning, "port search keeps 0.09 CPUs busy")
    );
    let mut few = Scene::traced();
    few.feed((0..999).map(|ms| Record { search_ns: 90_000_000, ..searched(ms, 40_001) }));
    assert!(few.is_silent(11));
    let mut short = Scene::traced();
    short.feed((0..2_000).map(|ms| connect(ms, 40_000)));
    assert!(short.is_silent(11));
}

/// 1,000 ports, `per_s` connects a second that stay open; so many are out now.
fn filling(per_s: u16, out: u16) -> Scene {
    let mut scene = Scene { traced: true, ..Scene::new(40_000, 40_999, "") };
    scene.put(connections(State::Established, 40_000, out, 1));
    let connects = (0..30_u64).flat_map(|second| {
        (0..per_s).map(move |place| {
            let serial = u16::try_from(second).unwrap() * per_s + place;
            searched(second * 1_000 + u64::from(place), 40_000 + serial % 1_000)
        })
    });
    scene.feed(connects);
    scene
}

#[test]
fn ps003_forecasts_and_tells_its_interval() {
    let finding = filling(2, 60).only(3);
    is_well_formed(&finding);
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(finding.title, "10.0.3.14 > 10.0.9.2:6379 is full in 7 min");
    assert!(text(&finding).contains("when         in 7 min (between 7 min and 7 min), from releases"));
    assert_eq!(filling(20, 600).only(3).severity, Severity::Critical);
}

#[test]
fn ps003_is_silent_where_nothing_grows_or_the_hour_is_far() {
    assert!(filling(0, 60).is_silent(3));
    let mut wide = Scene::traced();
    wide.put(connections(State::Established, 40_000, 60, 1));
    wide.feed((0..30_u16).map(|second| connect(u64::from(second) * 1_000, 40_000 + second)));
    assert!(wide.is_silent(3));
}

#[test]
fn ps003_without_releases_needs_two_stocks() {
    let mut scene = filling(20, 0);
    let settings = crate::stats::Settings::new(super::sample::START);
    scene.stats = crate::stats::Stats::new(settings);
    scene.feed((0..600_u16).map(|place| searched(u64::from(place) * 50, 40_000 + place)));
    scene.put(connections(State::Established, 40_000, 600, 1));
    assert!(scene.is_silent(3));
    let now = scene.space().sockets.take();
    scene.space().sockets = Some(crate::stock::Sockets::default());
    scene.earlier(0);
    scene.space().sockets = now;
    let finding = scene.only(3);
    assert_eq!(finding.evidence["full_in_s"]["basis"], "two stocks");
}

/// 20 connects a second, each closed after `held` ms; 1,000 ports.
fn steady(held: u64) -> Scene {
    let mut scene = filling(0, 500);
    scene.seconds = 90;
    let mut records: Vec<Record> = (0..1_790_u64)
        .map(|place| searched(place * 50, 40_000 + u16::try_from(place % 1_000).unwrap()))
        .collect();
    let closes: Vec<Record> = records
        .iter()
        .filter_map(|one| {
            let ms = (one.mono_ns - super::sample::START.0) / 1_000_000 + held;
            (ms < 90_000).then(|| release(ms, 7, one))
        })
        .collect();
    records.extend(closes);
    records.sort_by_key(|one| one.mono_ns);
    scene.feed(records);
    scene
}

#[test]
fn ps010_multiplies_rate_and_hold() {
    let finding = steady(42_000).only(10);
    is_well_formed(&finding);
    assert!(text(&finding).contains("out each = "), "{}", text(&finding));
    assert!(steady(5_000).is_silent(10));
}

#[test]
fn exhaustion_takes_in_its_echoes() {
    let mut scene = filling(20, 600);
    let echoes = scene.judge();
    assert_eq!(echoes.findings[0].id, Id(3));
    scene.put(connections(State::Established, 40_600, 400, 1));
    scene.refusals = vec![super::sample::refusal(
        crate::event::Site::Connect,
        crate::event::Cause::Exhausted,
        crate::event::Errno::EADDRNOTAVAIL,
        5,
    )];
    let judged = scene.judge();
    assert_eq!(judged.findings[0].id, Id(1));
    let ids: Vec<u16> = judged.findings.iter().map(|one| one.id.0).collect();
    assert!(ids.iter().all(|id| ![2, 3, 10, 11].contains(id)), "{ids:?}");
}

#[test]
fn a_cliff_and_its_cost_are_one_root_under_exhaustion() {
    let mut scene = cliff(500);
    scene.refusals = vec![super::sample::refusal(
        crate::event::Site::Connect,
        crate::event::Cause::Exhausted,
        crate::event::Errno::EADDRNOTAVAIL,
        5,
    )];
    let judged = scene.judge();
    assert_eq!(judged.findings[0].id, Id(1));
    assert_eq!(judged.findings[0].takes_in, [Id(2), Id(3), Id(11)]);
}
