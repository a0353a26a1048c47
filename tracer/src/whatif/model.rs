//! The replay: requests and releases in the order of their time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use rustc_hash::FxHashMap;

use super::{Asked, Change, Pool, Run, Settings, Way, holds::Hold, ports::Table};

/// After so long the kernel begins its searches elsewhere.
const EPOCH_US: u64 = 10_000_000;

/// What came of the requests of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOutcome {
    /// The pool.
    pub pool: Pool,
    /// Unreserved ports of its range.
    pub effective: u32,
    /// Requests.
    pub asked: u64,
    /// Refused.
    pub refused: u64,
    /// When the first was, in microseconds from the first request of all.
    pub first_refused_us: Option<u64>,
    /// Most ports that it could not use.
    pub peak: u32,
    /// Their mean over time.
    pub mean: f64,
    /// Ports that a search looked at, on average.
    pub candidates_mean: Option<f64>,
    /// The same that 99 % of the searches did not exceed.
    pub candidates_p99: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Close { time_wait: bool },
    Free,
}

/// What happens to a socket, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: u64,
    id: u64,
    step: Step,
    pool: Pool,
    port: u16,
}

impl Hold {
    /// The close of a socket that got its port now; none where it comes behind the end.
    fn due(self, now: u64, id: u64, pool: Pool, port: u16) -> Option<Due> {
        let step = Step::Close { time_wait: self.time_wait };
        self.life_us.map(|life| Due { at: now.saturating_add(life), id, step, pool, port })
    }
}

#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    refused: u64,
    first: Option<u64>,
    peak: u32,
    /// Ports × microseconds until `since`.
    area: f64,
    since: u64,
    level: u32,
    candidates: Vec<u32>,
    /// Where its next search begins, and in which epoch that was drawn.
    offset: (u64, u32),
}

/// Replays a run with a change, and tells what came of it, pool by pool.
#[must_use]
pub fn outcomes(run: &Run, change: &Change, seed: u64) -> Vec<PoolOutcome> {
    let mut replay = Replay {
        settings: run.spaces.iter().map(|(netns, settings)| (*netns, change.of(settings))).collect(),
        tables: FxHashMap::default(),
        tallies: BTreeMap::new(),
        due: BinaryHeap::new(),
        rng: fastrand::Rng::with_seed(seed),
        begin: run.span_us[0],
    };
    for (id, (asked, hold)) in (0_u64..).zip(&run.asked) {
        replay.until(asked.at_us);
        replay.ask(id, asked, *hold);
    }
    replay.until(run.span_us[1]);
    replay.told(run.span_us)
}

struct Replay {
    settings: BTreeMap<u32, Settings>,
    tables: FxHashMap<(u32, bool), Table>,
    tallies: BTreeMap<Pool, Tally>,
    due: BinaryHeap<Reverse<Due>>,
    rng: fastrand::Rng,
    begin: u64,
}

impl Replay {
    /// Lets everything happen that is due by then.
    fn until(&mut self, now: u64) {
        while let Some(Reverse(due)) = self.due.peek().copied().filter(|Reverse(due)| due.at <= now) {
            self.due.pop();
            let Some(table) = self.tables.get_mut(&(due.pool.netns, due.pool.datagram)) else { continue };
            let waits = self.settings.get(&due.pool.netns).map_or(0, |settings| settings.time_wait_us);
            match due.step {
                Step::Close { time_wait: true } if waits != 0 => {
                    if table.begin_time_wait(due.port, due.id, due.at) {
                        let at = due.at.saturating_add(waits);
                        self.due.push(Reverse(Due { at, step: Step::Free, ..due }));
                    }
                }
                Step::Close { .. } | Step::Free => {
                    if table.free(due.port, due.id).is_some() {
                        let level = table.barred(&due.pool);
                        self.tallies.entry(due.pool).or_default().level(level, due.at);
                    }
                }
            }
        }
    }

    fn ask(&mut self, id: u64, asked: &Asked, hold: Hold) {
        let (now, pool) = (asked.at_us, asked.pool);
        let settings = self.settings.entry(pool.netns).or_default();
        let table = self.tables.entry((pool.netns, pool.datagram)).or_insert_with(Table::new);
        if let Some(named) = asked.named {
            let port = match settings.has(named) {
                true => Some(named),
                // With another range it would have got another port.
                false if asked.standing => {
                    table.search(asked.way, &pool, settings, self.rng.u32(..), now).0.port
                }
                // Ports that no search comes to are in nobody's way.
                false => None,
            };
            if let Some(port) = port {
                table.take(port, pool, id);
                self.due.extend(hold.due(now, id, pool, port).map(Reverse));
            }
            return;
        }
        let tally = self.tallies.entry(pool).or_insert_with(|| Tally { since: now, ..Tally::default() });
        let offset = match asked.way {
            Way::Connect => tally.offset(now, &mut self.rng),
            Way::Bind | Way::Datagram => self.rng.u32(..),
        };
        let (found, walked) = table.search(asked.way, &pool, settings, offset, now);
        tally.asked += 1;
        tally.candidates.push(found.candidates);
        if let Some(port) = found.port {
            // As `__inet_hash_connect` moves its table on.
            let onward = walked.max(self.rng.u32(0..8) * 2) + 2;
            tally.offset.1 = tally.offset.1.wrapping_add(onward);
            table.take(port, pool, id);
            self.due.extend(hold.due(now, id, pool, port).map(Reverse));
        } else {
            tally.refused += 1;
            tally.first.get_or_insert(now.saturating_sub(self.begin));
        }
        tally.level(table.barred(&pool), now);
    }

    fn told(self, [begin, end]: [u64; 2]) -> Vec<PoolOutcome> {
        let settings = self.settings;
        let outcome = |(pool, mut tally): (Pool, Tally)| {
            tally.level(tally.level, end);
            tally.candidates.sort_unstable();
            let searches = tally.candidates.len();
            let sum: u64 = tally.candidates.iter().map(|count| u64::from(*count)).sum();
            let rank = (searches * 99).div_ceil(100).saturating_sub(1);
            PoolOutcome {
                pool,
                effective: settings.get(&pool.netns).map_or(0, Settings::effective),
                asked: tally.asked,
                refused: tally.refused,
                first_refused_us: tally.first,
                peak: tally.peak,
                mean: tally.area / real(end.saturating_sub(begin).max(1)),
                candidates_mean: (tally.asked != 0).then(|| real(sum) / real(tally.asked)),
                candidates_p99: tally.candidates.get(rank).copied(),
            }
        };
        let mut all: Vec<PoolOutcome> = self.tallies.into_iter().map(outcome).collect();
        all.sort_by_key(|one| (Reverse(one.refused), Reverse(one.peak), Reverse(one.asked)));
        all
    }
}

impl Tally {
    /// Notes how many ports are barred from now on.
    fn level(&mut self, level: u32, now: u64) {
        self.area += f64::from(self.level) * real(now.saturating_sub(self.since));
        self.since = self.since.max(now);
        self.level = level;
        self.peak = self.peak.max(level);
    }

    /// Where a connect begins: anywhere in each epoch, from there on where the last one left off.
    fn offset(&mut self, now: u64, rng: &mut fastrand::Rng) -> u32 {
        let epoch = now / EPOCH_US + 1;
        if self.offset.0 != epoch {
            self.offset = (epoch, rng.u32(..));
        }
        self.offset.1
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a recording")]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connect a millisecond to one place, each held for so long; then as many closes.
    fn run(range: [u16; 2], requests: u64, life_us: u64, time_wait: bool) -> Run {
        let pool = Pool {
            netns: 1,
            datagram: false,
            local: "10.0.0.1".parse().unwrap(),
            remote: Some("10.0.0.2:80".parse().unwrap()),
        };
        let asked = |number: u64| Asked {
            at_us: number * 1_000,
            pool,
            way: Way::Connect,
            program: String::new(),
            socket: None,
            refused: false,
            named: None,
            standing: false,
        };
        let hold = Hold { life_us: Some(life_us), time_wait };
        Run {
            spaces: [(1, Settings { range, ..Settings::default() })].into(),
            asked: (0..requests).map(|number| (asked(number), hold)).collect(),
            span_us: [0, requests * 1_000],
            ..Run::default()
        }
    }

    fn refused(run: &Run, change: &Change) -> u64 {
        outcomes(run, change, 1).iter().map(|one| one.refused).sum()
    }

    #[test]
    fn a_pool_refuses_what_its_ports_and_holds_do_not_carry() {
        // 1,000/s, held for 100 ms: 100 ports do, and 50 carry half of it.
        let run = run([40_000, 40_099], 1_000, 99_500, false);
        assert_eq!(refused(&run, &Change::default()), 0);
        let half = Change { range: Some([40_000, 40_049]), ..Change::default() };
        let outcome = &outcomes(&run, &half, 1)[0];
        assert_eq!((outcome.refused, outcome.peak, outcome.first_refused_us), (500, 50, Some(50_000)));
        assert_eq!(outcome.candidates_p99, Some(50));
        assert!((outcome.mean - 48.7).abs() < 0.5, "{}", outcome.mean);
        assert_eq!(outcomes(&run, &half, 7), outcomes(&run, &half, 7));
    }

    #[test]
    fn a_time_wait_bars_as_long_as_it_is_and_as_it_may_not_be_taken_over() {
        let run = run([40_000, 40_099], 4_000, 1_000, true);
        assert_eq!(refused(&run, &Change::default()), 3_900);
        let short = Change { time_wait_us: Some(50_000), ..Change::default() };
        assert_eq!(refused(&run, &short), 0);
        // Each port again after a little more than a second: 100 of 1,002 ms.
        let reuse = Change { reuse: Some(1), ..Change::default() };
        let left = refused(&run, &reuse);
        assert!((3_590..=3_610).contains(&left), "{left}");
    }

    #[test]
    fn what_was_there_before_has_a_port_at_any_range_until_it_is_released() {
        let mut run = run([40_000, 40_099], 1_000, 1_500, false);
        let pool = run.asked[0].0.pool;
        let standing = |named| Asked { at_us: 0, named, standing: true, ..run.asked[0].0.clone() };
        let hold = Hold { life_us: Some(499_500), time_wait: false };
        // All ports but one are taken for the first half; at another range they would have been taken there.
        let before: Vec<_> = (40_000..40_099).map(|port| (standing(Some(port)), hold)).collect();
        run.asked.splice(0..0, before);
        let outcome = &outcomes(&run, &Change::default(), 1)[0];
        // The one that is left serves every other request: half of those of 500 ms.
        assert_eq!((outcome.asked, outcome.refused), (1_000, 250));
        let moved = Change { range: Some([50_000, 50_099]), ..Change::default() };
        let there = &outcomes(&run, &moved, 1)[0];
        assert_eq!((there.pool, there.asked, there.refused), (pool, 1_000, outcome.refused));
    }

    #[test]
    fn fewer_ports_are_fewer_whether_by_range_or_by_reserving() {
        let run = run([40_000, 40_099], 1_000, 99_500, false);
        let reserved = Some(crate::event::Reserved::from_ports(40_000..40_050));
        assert_eq!(refused(&run, &Change { reserved, ..Change::default() }), 500);
    }
}
