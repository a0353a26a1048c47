//! From what a recording tells to a run that can be replayed.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    Asked, Pool, Released, Settings, Told,
    holds::{Hold, Seen, fill},
};

/// Something that tells what was recorded, until it has no more.
pub trait Source {
    /// What may go wrong.
    type Error;

    /// The next thing, in the order of its time.
    ///
    /// # Errors
    ///
    /// When the recording cannot be read any further.
    fn next(&mut self) -> Result<Option<Told>, Self::Error>;
}

/// What was recorded, each request with its hold.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Settings of the namespaces.
    pub spaces: BTreeMap<u32, Settings>,
    /// Requests and how long they would hold a port.
    pub(super) asked: Vec<(Asked, Hold)>,
    /// When the first came, and when it ended, in microseconds.
    pub span_us: [u64; 2],
    /// Requests that cannot be replayed.
    pub skipped: u64,
    /// Holds whose end was not seen: they last to the end.
    pub unended: u64,
    /// Requests that were refused: their holds are drawn.
    pub drawn: u64,
}

impl Run {
    /// Requests for a port that the kernel was to choose.
    #[must_use]
    pub fn requests(&self) -> u64 {
        count(self.asked.iter().filter(|(asked, _)| asked.named.is_none()))
    }

    /// Those that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        count(self.asked.iter().filter(|(asked, _)| asked.refused))
    }
}

impl Run {
    /// The same by pool.
    #[must_use]
    pub fn refused_by_pool(&self) -> BTreeMap<Pool, u64> {
        let mut all = BTreeMap::new();
        for (asked, _) in self.asked.iter().filter(|(asked, _)| asked.refused) {
            *all.entry(asked.pool).or_default() += 1;
        }
        all
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// Reads a recording to its end, and draws the holds that it does not tell.
///
/// # Errors
///
/// When it cannot be read.
pub fn gather<S: Source>(source: &mut S, seed: u64) -> Result<Run, S::Error> {
    let mut run = Run::default();
    let mut all: Vec<Asked> = Vec::new();
    let mut released: FxHashMap<String, Released> = FxHashMap::default();
    let mut end = 0;
    while let Some(told) = source.next()? {
        match told {
            Told::Space(netns, settings) => {
                run.spaces.insert(netns, settings);
            }
            Told::Asked(asked) => {
                end = end.max(asked.at_us);
                all.push(asked);
            }
            Told::Released(release) => {
                released.insert(release.socket.clone(), release);
            }
            Told::Skipped => run.skipped += 1,
            Told::Ended(at) => end = end.max(at),
        }
    }
    all.sort_by_key(|asked| asked.at_us);
    run.span_us = [all.first().map_or(end, |first| first.at_us), end];
    let known: Vec<Seen> = all
        .iter()
        .map(|asked| {
            let settings = run.spaces.get(&asked.pool.netns);
            let release = asked.socket.as_ref().and_then(|socket| released.get(socket));
            match release {
                _ if asked.refused => Seen::Nothing,
                Some(release) => Seen::Ended(Hold::of(release, settings)),
                None => Seen::Until(end.saturating_sub(asked.at_us)),
            }
        })
        .collect();
    run.drawn = count(known.iter().filter(|one| matches!(one, Seen::Nothing)));
    run.unended = count(known.iter().filter(|one| matches!(one, Seen::Until(_))));
    run.asked = fill(all, &known, seed);
    Ok(run)
}
