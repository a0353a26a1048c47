//! How long a request holds its port, also where that was not seen.

use rustc_hash::FxHashMap;

use super::{Asked, Pool, Released, Settings, TIME_WAIT_US};

/// How long a socket lives, and whether a TIME_WAIT follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// Until the close, in microseconds; none: beyond the end.
    pub(super) life_us: Option<u64>,
    /// This end closes first.
    pub(super) time_wait: bool,
}

impl Hold {
    /// Without an end.
    const FOR_EVER: Self = Self { life_us: None, time_wait: false };

    /// The hold that a release ended. One that ended with a TIME_WAIT includes it; where it is shorter, that TIME_WAIT
    /// was taken over, at the earliest after the delay that this takes.
    pub(super) fn of(release: &Released, settings: Option<&Settings>) -> Self {
        let Released { held_us, time_wait, .. } = *release;
        let [full, least] =
            settings.map_or([TIME_WAIT_US, 0], |settings| [settings.time_wait_us, settings.reuse_after_us]);
        let waited = match time_wait {
            false => 0,
            true if held_us >= full => full,
            true => least,
        };
        Self { life_us: Some(held_us.saturating_sub(waited)), time_wait }
    }
}

/// What was seen of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All of it.
    Ended(Hold),
    /// Not its end: it lasted at least so many microseconds.
    Until(u64),
    /// Nothing: the request was refused.
    Nothing,
}

/// Holds to draw from.
#[derive(Debug, Default)]
struct Urn {
    ended: Vec<Hold>,
    until: Vec<u64>,
}

impl Urn {
    fn put(&mut self, seen: Seen) {
        match seen {
            Seen::Ended(hold) => self.ended.push(hold),
            Seen::Until(least) => self.until.push(least),
            Seen::Nothing => {}
        }
    }

    /// One of them. One whose end was not seen stands for any that lasted longer, as in Efron's redistribution to the
    /// right; where none did, it has no end.
    fn draw(&self, rng: &mut fastrand::Rng) -> Option<Hold> {
        let all = self.ended.len() + self.until.len();
        if all == 0 {
            return None;
        }
        let at = rng.usize(0..all);
        if let Some(hold) = self.ended.get(at) {
            return Some(*hold);
        }
        let least = self.until.get(at - self.ended.len()).copied().unwrap_or(u64::MAX);
        let longer: Vec<&Hold> =
            self.ended.iter().filter(|hold| hold.life_us.is_some_and(|life| life > least)).collect();
        let found = if longer.is_empty() { None } else { longer.get(rng.usize(0..longer.len())) };
        Some(found.map_or(Hold::FOR_EVER, |hold| **hold))
    }
}

/// Gives each request its hold: its own where it was seen; to the end where its end was not; drawn from those of its
/// pool, else of its program, else of all where it was refused.
pub(super) fn fill(asked: Vec<Asked>, known: &[Seen], seed: u64) -> Vec<(Asked, Hold)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut by_pool: FxHashMap<Pool, Urn> = FxHashMap::default();
    let mut by_program: FxHashMap<String, Urn> = FxHashMap::default();
    let mut every = Urn::default();
    for (one, seen) in asked.iter().zip(known).filter(|(one, _)| one.named.is_none()) {
        by_pool.entry(one.pool).or_default().put(*seen);
        by_program.entry(one.program.clone()).or_default().put(*seen);
        every.put(*seen);
    }
    let hold = |one: &Asked, seen: Seen, rng: &mut fastrand::Rng| match seen {
        Seen::Ended(hold) => hold,
        Seen::Until(_) => Hold::FOR_EVER,
        Seen::Nothing => {
            let urns = [by_pool.get(&one.pool), by_program.get(&one.program), Some(&every)];
            urns.into_iter().flatten().find_map(|urn| urn.draw(rng)).unwrap_or(Hold::FOR_EVER)
        }
    };
    let holds: Vec<Hold> = asked.iter().zip(known).map(|(one, seen)| hold(one, *seen, &mut rng)).collect();
    asked.into_iter().zip(holds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_wait_is_part_of_a_hold_and_not_of_its_life() {
        let release = |held_us, time_wait| Released { socket: String::new(), held_us, time_wait };
        let settings = Settings::default();
        let life = |held, time_wait| Hold::of(&release(held, time_wait), Some(&settings)).life_us;
        assert_eq!(life(62_000_000, true), Some(2_000_000));
        assert_eq!(life(62_000_000, false), Some(62_000_000));
        assert_eq!(life(5_000_000, true), Some(4_000_000));
    }

    #[test]
    fn one_whose_end_was_not_seen_stands_for_longer_ones() {
        let mut urn = Urn::default();
        let ended = |life| Hold { life_us: Some(life), time_wait: false };
        urn.put(Seen::Until(50));
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(urn.draw(&mut rng), Some(Hold::FOR_EVER));
        urn.put(Seen::Ended(ended(10)));
        urn.put(Seen::Ended(ended(90)));
        let drawn: Vec<_> = (0..300).filter_map(|_| urn.draw(&mut rng)?.life_us).collect();
        let long = drawn.iter().filter(|life| **life == 90).count();
        assert!(drawn.len() == 300 && (160..240).contains(&long), "{long}");
    }
}
